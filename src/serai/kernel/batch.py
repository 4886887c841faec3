"""Coalesces concurrent commands into one set-based transaction; the platform's engine (D5).

There is no timer: while one transaction runs, the next commands gather, so a lone command does not
wait and a crowd is carried by the hundred. A command that breaks a batch is found by halving it
and fails alone. Handlers take a batch and return, in order, a result or a Refused for each command;
a handler may also raise Refused, which halves the batch in the same way.
"""

import asyncio
import collections
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

import msgspec
import structlog

from serai.kernel import idempotency, observe
from serai.kernel.db import CONFLICT_RETRIES_MAX, Conflicted, Database, Tx
from serai.kernel.departures import TenantMoving
from serai.kernel.failure import IdempotencyKeyReused, Refused, Unavailable
from serai.kernel.idempotency import Answer, Claim, Owned
from serai.kernel.tenant import Home

_log = structlog.get_logger(__name__)

ITEMS_MAX = 256
"""Commands in one transaction."""
WEIGHT_MAX = 4096
"""Lines, or whatever the operation counts, in one transaction; a heavier command travels alone."""
IN_FLIGHT_MAX = 2
"""Transactions of one operation that may run at once."""
CROWD = 64
"""Commands that must wait before another transaction is begun beside one that runs."""
ANSWER_TIMEOUT_S = 30.0
RETRY_BASE_S = 0.01


class Command(Protocol):
    """What every command carries: whose it is."""

    @property
    def tenant_id(self) -> UUID: ...


C = TypeVar("C", bound=Command)
R = TypeVar("R")
In_contra = TypeVar("In_contra", bound=Command, contravariant=True)
Out_co = TypeVar("Out_co", covariant=True)


class Handler(Protocol[In_contra, Out_co]):
    """Carries out a batch of commands in one transaction; one result or refusal each, in order."""

    def __call__(
        self, commands: Sequence[In_contra], *, tx: Tx, now: datetime
    ) -> Awaitable[Sequence[Out_co | Refused]]: ...


class _Item(Generic[C]):
    __slots__ = ("claim", "command", "future", "weight")

    def __init__(self, command: C, claim: Claim | None, weight: int) -> None:
        self.command = command
        self.claim = claim
        self.weight = weight
        self.future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()


class Batch(Generic[C, R]):
    """The queue of one operation. `answer` turns a result into the bytes that are sent and kept."""

    def __init__(
        self,
        name: str,
        handler: Handler[C, R],
        answer: Callable[[R], Answer],
        *,
        database: Database,
        queue_max: int,
        weigh: Callable[[C], int] = lambda _command: 1,
        in_flight_max: int = IN_FLIGHT_MAX,
    ) -> None:
        self.name = name
        self._handler = handler
        self._answer = answer
        self._database = database
        self._queue_max = queue_max
        self._weigh = weigh
        self._in_flight_max = in_flight_max
        self._queues: dict[Home, collections.deque[_Item[C]]] = {}
        self._in_flight: collections.Counter[Home] = collections.Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting = 0

    async def submit(self, command: C, *, home: Home, claim: Claim | None = None) -> Answer:
        """Carries out one command among others; its answer, or its Refused or Unavailable."""
        if self._waiting >= self._queue_max:
            observe.BATCH_REFUSED.labels(self.name).inc()
            raise Unavailable(f"too many requests wait for {self.name}", retry_after_s=1)
        item = _Item(command, claim, self._weigh(command))
        queue = self._queues.setdefault(home, collections.deque())
        queue.append(item)
        self._waiting += 1
        self._pump(home)
        try:
            # Shielded: a client that hangs up does not undo what others in the batch are part of.
            return await asyncio.wait_for(asyncio.shield(item.future), ANSWER_TIMEOUT_S)
        except TimeoutError:
            item.future.add_done_callback(_forget)
            raise Unavailable(f"{self.name} took longer than {ANSWER_TIMEOUT_S:.0f} s") from None
        except asyncio.CancelledError:
            item.future.add_done_callback(_forget)
            raise

    async def drain(self) -> None:
        """Waits until everything that was accepted has been answered."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _pump(self, home: Home) -> None:
        queue = self._queues[home]
        # A few who wait travel together after the one at work; a crowd is worth a second one.
        while self._in_flight[home] < self._in_flight_max and len(queue) >= (
            CROWD if self._in_flight[home] else 1
        ):
            # One loop turn before it is cut, so that requests parsed in this turn travel along.
            self._in_flight[home] += 1
            task = asyncio.get_running_loop().create_task(self._carry(home))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry(self, home: Home) -> None:
        queue = self._queues[home]
        try:
            while queue:
                await self._settle(home, self._cut(queue))
        finally:
            self._in_flight[home] -= 1

    def _cut(self, queue: collections.deque[_Item[C]]) -> list[_Item[C]]:
        items: list[_Item[C]] = []
        weight = 0
        while queue and len(items) < ITEMS_MAX:
            if items and weight + queue[0].weight > WEIGHT_MAX:
                break
            items.append(queue.popleft())
            weight += items[-1].weight
        self._waiting -= len(items)
        observe.BATCH_SIZE.labels(self.name).observe(len(items))
        return items

    async def _settle(self, home: Home, items: list[_Item[C]]) -> None:
        """Runs items as one transaction; on a failure that is not the world's, by halves."""
        for attempt in range(CONFLICT_RETRIES_MAX + 1):
            try:
                await self._run(home, items)
            except Conflicted as error:
                if attempt == CONFLICT_RETRIES_MAX:
                    _fail(items, error)
                    return
                await asyncio.sleep(RETRY_BASE_S * 2**attempt * random.random())  # noqa: S311 - jitter
            except TenantMoving as error:
                # The others of the batch are at home: theirs is carried out without those.
                moving = [item for item in items if error.concerns(item.command.tenant_id)]
                staying = [item for item in items if not error.concerns(item.command.tenant_id)]
                _fail(moving, error)
                if staying and moving:
                    await self._settle(home, staying)
                _fail(staying, error)
                return
            except Unavailable as error:
                _fail(items, error)
                return
            except Exception as error:  # noqa: BLE001 - whatever it is, it must fail its own item only
                await self._isolate(home, items, error)
                return
            else:
                return

    async def _isolate(self, home: Home, items: list[_Item[C]], error: Exception) -> None:
        if len(items) > 1:
            middle = len(items) // 2
            await self._settle(home, items[:middle])
            await self._settle(home, items[middle:])
            return
        if not isinstance(error, Refused):
            _log.error("command_failed", action="command_failed", batch=self.name, exc_info=error)
        _fail(items, error)

    async def _run(self, home: Home, items: list[_Item[C]]) -> None:
        tenants = {item.command.tenant_id for item in items}
        settled: list[tuple[_Item[C], Answer | Exception]] = []
        again: list[_Item[C]] = []
        async with self._database.transaction(home, tenants, is_from_outside=True) as tx:
            fresh = await self._claim(items, settled, again, tx=tx)
            if fresh:
                await self._handle(fresh, settled, tx=tx)
        answers = {id(item): outcome for item, outcome in settled}
        for item, outcome in settled:
            _resolve(item, outcome)
        await self._follow(home, again, items, answers)

    async def _claim(
        self,
        items: list[_Item[C]],
        settled: list[tuple[_Item[C], Answer | Exception]],
        again: list[_Item[C]],
        *,
        tx: Tx,
    ) -> list[_Item[C]]:
        """Claims the items' keys; the items to carry out. Repeats are answered, twins put aside."""
        keyed = [item for item in items if item.claim is not None]
        if not keyed:
            return items
        owned = [_owned(item) for item in keyed]
        mine = await idempotency.claim_keys(owned, tx=tx, now=tx.now)
        fresh, known, seen = [], [], set()
        for item in items:
            if item.claim is None:
                fresh.append(item)
                continue
            key = (item.command.tenant_id, item.claim.key)
            if key not in mine:
                known.append(item)
            elif key in seen:
                again.append(item)
            else:
                seen.add(key)
                fresh.append(item)
        if known:
            kept = await idempotency.find_answers([_owned(item) for item in known], tx=tx)
            settled.extend((item, _recall(item, kept)) for item in known)
        return fresh

    async def _handle(
        self,
        fresh: list[_Item[C]],
        settled: list[tuple[_Item[C], Answer | Exception]],
        *,
        tx: Tx,
    ) -> None:
        outcomes = await self._handler([item.command for item in fresh], tx=tx, now=tx.now)
        kept: list[tuple[Owned, Answer]] = []
        refused: list[Owned] = []
        for item, outcome in zip(fresh, outcomes, strict=True):
            answer = outcome if isinstance(outcome, Refused) else self._answer(outcome)
            settled.append((item, idempotency.as_sent(answer)))
            if item.claim is not None:
                if isinstance(answer, Refused):
                    refused.append(_owned(item))
                else:
                    kept.append((_owned(item), answer))
        if kept:
            await idempotency.store_answers(kept, tx=tx)
        if refused:
            await idempotency.release_keys(refused, tx=tx)

    async def _follow(
        self,
        home: Home,
        again: list[_Item[C]],
        items: list[_Item[C]],
        answers: dict[int, Answer | Exception],
    ) -> None:
        """Answers twins, the items whose key stood earlier in the same batch."""
        retry: list[_Item[C]] = []
        for twin in again:
            first = next(
                item
                for item in items
                if item.claim is not None
                and twin.claim is not None
                and item.claim.key == twin.claim.key
                and item.command.tenant_id == twin.command.tenant_id
            )
            outcome = answers[id(first)]
            if first.claim == twin.claim:
                _resolve(twin, outcome)
            elif isinstance(outcome, Answer):
                _resolve(twin, _reused())
            else:
                retry.append(twin)
        for twin in retry:
            await self._settle(home, [twin])


def _owned(item: _Item[Any]) -> Owned:
    assert item.claim is not None, "only an item with a claim owns a key"
    return Owned(item.command.tenant_id, item.claim)


def _recall(
    item: _Item[Any], kept: dict[tuple[UUID, str], tuple[bytes, Answer | None]]
) -> Answer | Exception:
    owned = _owned(item)
    fingerprint, answer = kept.get((owned.tenant_id, owned.claim.key), (b"", None))
    if answer is None:
        return Unavailable("the first request under this key is still being answered")
    if fingerprint != owned.claim.fingerprint:
        return _reused()
    return msgspec.structs.replace(answer, is_repeated=True)


def _reused() -> Refused:
    return IdempotencyKeyReused("this idempotency key was used for another request; take a new key")


def _resolve(item: _Item[Any], outcome: Answer | Exception) -> None:
    if item.future.done():
        return
    if isinstance(outcome, Exception):
        item.future.set_exception(outcome)
    else:
        item.future.set_result(outcome)


def _fail(items: Sequence[_Item[Any]], error: Exception) -> None:
    for item in items:
        _resolve(item, error)


def _forget(future: asyncio.Future[Any]) -> None:
    """Looks at the outcome nobody waits for, so that it is not reported as never retrieved."""
    if not future.cancelled():
        future.exception()
