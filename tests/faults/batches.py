"""Known faults of the batch engine: answers that are not true, effects that come twice."""

from collections.abc import Sequence
from typing import Any

from serai.kernel import idempotency
from serai.kernel.batch import Batch, _fail, _owned, _recall, _resolve
from serai.kernel.db import Tx
from serai.kernel.failure import Refused
from serai.kernel.idempotency import Owned
from serai.kernel.tenant import Home
from tests.faults.plant import Fault, planting


def _answer_first(_original: Any) -> Any:
    """Carries a batch out and answers before the transaction has committed."""

    async def run(self: Batch[Any, Any], home: Home, items: list[Any]) -> None:
        tenants = {item.command.tenant_id for item in items}
        settled: list[tuple[Any, Any]] = []
        again: list[Any] = []
        async with self._database.transaction(home, tenants) as tx:
            fresh = await self._claim(items, settled, again, tx=tx)
            if fresh:
                await self._handle(fresh, settled, tx=tx)
            for item, outcome in settled:
                _resolve(item, outcome)
        await self._follow(home, again, items, {id(item): outcome for item, outcome in settled})

    return run


def _keep_the_key_afterwards(_original: Any) -> Any:
    """Looks whether a key is known, does the work, and writes the key down when it is done."""

    async def run(self: Batch[Any, Any], home: Home, items: list[Any]) -> None:
        tenants = {item.command.tenant_id for item in items}
        keyed = [_owned(item) for item in items if item.claim is not None]
        async with self._database.transaction(home, tenants) as tx:
            known = await idempotency.find_answers(keyed, tx=tx) if keyed else {}
            fresh, settled = [], []
            for item in items:
                if item.claim and (item.command.tenant_id, item.claim.key) in known:
                    settled.append((item, _recall(item, known)))
                else:
                    fresh.append(item)
            done = await self._handler([item.command for item in fresh], tx=tx, now=tx.now)
        kept: list[tuple[Owned, idempotency.Answer]] = []
        for item, outcome in zip(fresh, done, strict=True):
            answer = outcome if isinstance(outcome, Refused) else self._answer(outcome)
            settled.append((item, answer))
            if item.claim is not None and not isinstance(answer, Refused):
                kept.append((_owned(item), answer))
        if kept:
            async with self._database.transaction(home, tenants) as tx:
                await idempotency.claim_keys([owned for owned, _ in kept], tx=tx, now=tx.now)
                await idempotency.store_answers(kept, tx=tx)
        for item, outcome in settled:
            _resolve(item, outcome)

    return run


def _fail_all(_original: Any) -> Any:
    async def isolate(
        self: Batch[Any, Any], home: Home, items: list[Any], error: Exception
    ) -> None:
        del self, home
        _fail(items, error)

    return isolate


def _keep_claimed(_original: Any) -> Any:
    async def release_keys(claims: Sequence[Owned], *, tx: Tx) -> None:
        del claims, tx

    return release_keys


BATCH_FAULTS = (
    Fault(
        "acknowledged_before_commit",
        "A request is answered 2xx before its transaction has committed: a crash in between "
        "loses what the client believes is kept.",
        planting(Batch, "_run", _answer_first),
    ),
    Fault(
        "key_stored_after_the_effect",
        "The idempotency key is written in a transaction after the effect: equal requests at once, "
        "or a crash between the two, place an order twice.",
        planting(Batch, "_run", _keep_the_key_afterwards),
    ),
    Fault(
        "neighbours_get_the_error",
        "One request that breaks a batch makes every request in it fail.",
        planting(Batch, "_isolate", _fail_all),
    ),
    Fault(
        "refused_request_keeps_its_key",
        "A request that was refused can never be repeated: its key stays claimed, without an "
        "answer.",
        planting(idempotency, "release_keys", _keep_claimed),
    ),
)
