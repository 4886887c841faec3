"""Asks the provider again about what is open, until it is settled or a person has to look."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
import structlog

from serai.contexts.payments import model
from serai.contexts.payments.handlers.answers import (
    ChargeWord,
    RefundWord,
    settle_charges,
    settle_refunds,
)
from serai.contexts.payments.handlers.asking import Asking
from serai.contexts.payments.handlers.books import Books, Key, Kind, Look
from serai.contexts.payments.handlers.changes import NewId
from serai.contexts.payments.model import Intent, Refund
from serai.kernel.clock import Clock
from serai.kernel.db import Database, Tx
from serai.kernel.tenant import Home, Homes

_log = structlog.get_logger(__name__)

LOOKS_CHUNK = 200
"""Open matters that the provider is asked about at once."""
TENANTS_MAX = 200
"""Tenants that one transaction looks at."""
LOOK_LEASE = timedelta(minutes=5)
"""How long a look that was interrupted keeps others away: longer than any call to the provider."""


class Looking:
    """Reconciliation: what the job `payments.look` does."""

    def __init__(
        self, asking: Asking, books: Books, homes: Homes, *, hold: timedelta, new_id: NewId
    ) -> None:
        self._asking = asking
        self._books = books
        self._homes = homes
        self._hold = hold
        self._new_id = new_id

    async def look(self, database: Database, home: Home, _clock: Clock) -> int:
        """Looks once at everything that is due in a home; the most matters found at once."""
        tenants = list(await self._homes.tenants_of(home))
        most = 0
        for start in range(0, len(tenants), TENANTS_MAX):
            chunk = tenants[start : start + TENANTS_MAX]
            most = max(most, await self._look_at(database, home, chunk))
        return most

    async def _look_at(self, database: Database, home: Home, tenants: Sequence[UUID]) -> int:
        async with database.transaction(home, tenants) as tx:
            now = tx.now
            due = await self._books.take_due_looks(
                tenants, now=now, until=now + LOOK_LEASE, limit=LOOKS_CHUNK, tx=tx
            )
            charges = _of_kind(due, "intent")
            refunds = _of_kind(due, "refund")
            open_intents = await self._find_intents(charges, tx=tx)
            open_refunds = await self._find_refunds(refunds, tx=tx)
        # Two transactions: the locks of each are taken in order, those of both would not be.
        if charges:
            await self._look_at_charges(database, home, charges, open_intents, now)
        if refunds:
            await self._look_at_refunds(database, home, refunds, open_refunds, now)
        return len(due)

    async def _find_intents(self, looks: Sequence[Look], *, tx: Tx) -> list[Intent]:
        if not looks:
            return []
        found = await self._books.find_intents(_keys(looks), tx=tx)
        return [intent for intent in found.values() if model.is_open(intent)]

    async def _find_refunds(self, looks: Sequence[Look], *, tx: Tx) -> list[Refund]:
        if not looks:
            return []
        found = await self._books.find_refunds(_keys(looks), tx=tx)
        return [refund for refund in found.values() if refund.status == "unknown"]

    async def _look_at_charges(
        self,
        database: Database,
        home: Home,
        looks: Sequence[Look],
        intents: Sequence[Intent],
        now: datetime,
    ) -> None:
        heard = await self._asking.ask_again(intents, now=now, hold=self._hold)
        words = [ChargeWord(key, word, None) for key, word in heard.items()]
        async with database.transaction(home, {look.tenant_id for look in looks}) as tx:
            after = await settle_charges(
                words, tx=tx, now=tx.now, books=self._books, new_id=self._new_id
            )
            still_open = {key for key, intent in after.items() if model.is_open(intent)}
            await self._put_back(looks, still_open, tx=tx)

    async def _look_at_refunds(
        self,
        database: Database,
        home: Home,
        looks: Sequence[Look],
        refunds: Sequence[Refund],
        now: datetime,
    ) -> None:
        heard = await self._asking.ask_refunds_again(refunds, now=now, hold=self._hold)
        words = [
            RefundWord(
                (r.tenant_id, r.refund_id), r.order_id, heard[r.tenant_id, r.refund_id], None
            )
            for r in refunds
        ]
        async with database.transaction(home, {look.tenant_id for look in looks}) as tx:
            after = await settle_refunds(
                words, tx=tx, now=tx.now, books=self._books, new_id=self._new_id
            )
            still_open = {key for key, refund in after.items() if refund.status == "unknown"}
            await self._put_back(looks, still_open, tx=tx)

    async def _put_back(self, looks: Sequence[Look], still_open: set[Key], *, tx: Tx) -> None:
        """Says when the matters that are still open are looked at next, and forgets the others."""
        settled = [key for key in _keys(looks) if key not in still_open]
        later = []
        for look in looks:
            if (look.tenant_id, look.thing_id) in still_open:
                pause = model.look_pause(look.looks)
                due_at = None if pause is None else tx.now + pause
                later.append(msgspec.structs.replace(look, due_at=due_at))
                if pause is None:
                    _log.error(
                        "payment_given_up", action="payment_given_up", kind=look.kind,
                        tenant_id=str(look.tenant_id), thing_id=str(look.thing_id),
                    )  # fmt: skip
        if later:
            await self._books.move_looks(later, tx=tx)
        if settled:
            await self._books.end_looks(looks[0].kind, settled, tx=tx)


def _of_kind(looks: Sequence[Look], kind: Kind) -> list[Look]:
    return [look for look in looks if look.kind == kind]


def _keys(looks: Sequence[Look]) -> list[Key]:
    return [(look.tenant_id, look.thing_id) for look in looks]
