# ruff: noqa: ARG002 - a fake has the port's parameters, and rows in memory need no transaction
"""Payments' rows in memory, held to the same constraints as the tables; and a world around them.

`tests/integration/test_payments_store.py` runs one suite on these rows and on PostgreSQL's.
"""

import contextlib
from collections.abc import AsyncIterator, Collection, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec

from serai.contexts.payments.handlers.books import FirstWord, Key, Kind, Look
from serai.contexts.payments.model import Intent, Refund
from serai.contexts.payments.ports import Answer, Capture, Charge, PaymentProvider
from serai.contexts.payments.ports import Refund as RefundOrder
from serai.kernel import ids
from serai.kernel.clock import ManualClock
from serai.kernel.db import Database, Tx
from serai.kernel.events import Announcement, Delivery
from serai.kernel.tenant import POOLED, Home

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
STATUSES = {"awaiting", "requested", "authorised", "captured", "declined", "unknown", "withdrawn"}


class Violated(Exception):
    """A row that the table would not take."""


def check_intent(row: Intent) -> None:
    """The table's CHECKs."""
    asked = row.capture_asked_minor
    holds = (
        row.status in STATUSES
        and row.amount_minor >= 0
        and len(row.currency) == 3
        and (asked is None or 1 <= asked <= row.amount_minor)
        and row.refunding_minor >= 0
        and row.refunded_minor >= 0
        and row.refunded_minor + row.refunding_minor <= row.captured_minor <= row.amount_minor
        and (row.captured_minor == 0 or row.status in {"captured", "declined", "withdrawn"})
        and (asked is None or row.status == "authorised")
        and (row.card is not None or row.status not in {"requested", "unknown"})
    )
    if not holds:
        raise Violated(row)


class MemoryBooks:
    """`Books` without a database. Locks are nothing here: a test does one thing at a time."""

    def __init__(self) -> None:
        self.intents: dict[Key, Intent] = {}
        self.refunds: dict[Key, Refund] = {}
        self.looks: dict[tuple[UUID, Kind, UUID], Look] = {}

    async def insert_intents(self, intents: Sequence[Intent], *, tx: Tx) -> set[UUID]:
        fresh = set()
        for intent in intents:
            key = (intent.tenant_id, intent.order_id)
            if key not in self.intents:
                check_intent(intent)
                self.intents[key] = intent
                fresh.add(intent.order_id)
        return fresh

    async def list_requested(self, keys: Sequence[Key], *, tx: Tx) -> list[int]:
        return [
            place
            for place, key in enumerate(keys)
            if key in self.intents and self.intents[key].status == "requested"
        ]

    async def settle_requested(
        self, words: Sequence[FirstWord], *, tx: Tx, now: datetime
    ) -> list[int]:
        settled = []
        for place, word in enumerate(words):
            key = (word.tenant_id, word.order_id)
            intent = self.intents.get(key)
            if intent is None or intent.status != "requested":
                continue
            after = msgspec.structs.replace(
                intent,
                status=word.status,
                captured_minor=word.captured_minor,
                provider_ref=word.provider_ref,
                reason=word.reason,
                card=intent.card if word.status == "unknown" else None,
                settled_at=now if word.status in {"captured", "declined"} else None,
                version=intent.version + 1,
            )
            check_intent(after)
            self.intents[key] = after
            settled.append(place)
        return settled

    async def find_intents(self, keys: Sequence[Key], *, tx: Tx) -> dict[Key, Intent]:
        return {key: self.intents[key] for key in keys if key in self.intents}

    async def lock_intents(self, keys: Sequence[Key], *, tx: Tx) -> dict[Key, Intent]:
        return await self.find_intents(keys, tx=tx)

    async def save_intents(self, intents: Sequence[Intent], *, tx: Tx) -> None:
        for intent in intents:
            check_intent(intent)
            self.intents[intent.tenant_id, intent.order_id] = intent

    async def insert_refunds(self, refunds: Sequence[Refund], *, tx: Tx) -> None:
        for refund in refunds:
            key = (refund.tenant_id, refund.refund_id)
            if key in self.refunds or refund.amount_minor < 1:
                raise Violated(refund)
            self.refunds[key] = refund

    async def find_refunds(self, keys: Sequence[Key], *, tx: Tx) -> dict[Key, Refund]:
        return {key: self.refunds[key] for key in keys if key in self.refunds}

    async def save_refunds(self, refunds: Sequence[Refund], *, tx: Tx) -> None:
        for refund in refunds:
            self.refunds[refund.tenant_id, refund.refund_id] = refund

    async def add_looks(self, kind: Kind, keys: Sequence[Key], *, due_at: datetime, tx: Tx) -> None:
        for tenant_id, thing_id in keys:
            look = Look(tenant_id, kind, thing_id, 0, due_at)
            self.looks.setdefault((tenant_id, kind, thing_id), look)

    async def take_due_looks(
        self, tenants: Sequence[UUID], *, now: datetime, until: datetime, limit: int, tx: Tx
    ) -> list[Look]:
        due = [
            look
            for look in self.looks.values()
            if look.tenant_id in tenants and look.due_at is not None and look.due_at <= now
        ]
        due.sort(key=lambda look: look.due_at or now)
        taken = [
            msgspec.structs.replace(look, looks=look.looks + 1, due_at=until)
            for look in due[:limit]
        ]
        await self.move_looks(taken, tx=tx)
        return taken

    async def move_looks(self, looks: Sequence[Look], *, tx: Tx) -> None:
        for look in looks:
            self.looks[look.tenant_id, look.kind, look.thing_id] = look

    async def end_looks(self, kind: Kind, keys: Sequence[Key], *, tx: Tx) -> None:
        for tenant_id, thing_id in keys:
            self.looks.pop((tenant_id, kind, thing_id), None)


class MemoryDatabase(Database):
    """Transactions over nothing: what was announced in them is kept when they end well."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__("", pool_max=1, clock=clock)
        self.log: list[Announcement] = []

    @contextlib.asynccontextmanager
    async def transaction(
        self,
        home: Home,
        tenants: Collection[UUID],
        *,
        is_transport: bool = False,
        is_read_only: bool = False,
        is_report: bool = False,
        is_from_outside: bool = False,
    ) -> AsyncIterator[Tx]:
        tx = Tx(None, home, self.clock.now())
        yield tx
        self.log += tx.announced


class OneHome:
    """`Homes` with the pooled home and the tenants that a test names."""

    def __init__(self, *tenants: UUID) -> None:
        self._tenants = tenants

    async def home_of(self, tenant_id: UUID) -> Home:
        return POOLED

    async def all_homes(self) -> Collection[Home]:
        return (POOLED,)

    async def tenants_of(self, home: Home) -> Collection[UUID]:
        return self._tenants


class FlakyProvider:
    """A provider behind a bad line: the next `lost` answers are lost, what was asked is done.

    With `is_deaf` what is asked is not even heard.
    """

    def __init__(self, provider: PaymentProvider) -> None:
        self._provider = provider
        self.lost = 0
        self.is_deaf = False
        self.asked: list[str] = []

    def _through(self, answers: list[Answer]) -> list[Answer]:
        heard = []
        for answer in answers:
            if self.lost:
                self.lost -= 1
                heard.append(Answer(answer.key, "unknown", None, "timeout", 0))
            else:
                heard.append(answer)
        return heard

    def _note(self, verb: str, keys: Sequence[str]) -> list[Answer] | None:
        self.asked += [verb] * len(keys)
        if self.is_deaf:
            return [Answer(key, "unknown", None, "unavailable", 0) for key in keys]
        return None

    async def charge(self, charges: Sequence[Charge]) -> list[Answer]:
        deaf = self._note("charge", [charge.key for charge in charges])
        return deaf or self._through(await self._provider.charge(charges))

    async def authorise(self, charges: Sequence[Charge]) -> list[Answer]:
        deaf = self._note("authorise", [charge.key for charge in charges])
        return deaf or self._through(await self._provider.authorise(charges))

    async def capture(self, captures: Sequence[Capture]) -> list[Answer]:
        deaf = self._note("capture", [capture.key for capture in captures])
        return deaf or self._through(await self._provider.capture(captures))

    async def void(self, keys: Sequence[str]) -> list[Answer]:
        deaf = self._note("void", keys)
        return deaf or self._through(await self._provider.void(keys))

    async def refund(self, refunds: Sequence[RefundOrder]) -> list[Answer]:
        deaf = self._note("refund", [refund.key for refund in refunds])
        return deaf or self._through(await self._provider.refund(refunds))

    async def look_up(self, keys: Sequence[str]) -> list[Answer]:
        deaf = self._note("look_up", keys)
        return deaf or self._through(await self._provider.look_up(keys))


def delivery_of(announcement: Announcement, at: datetime) -> Delivery:
    """An announcement as it comes out of the log."""
    return Delivery(
        announcement.event_id,
        announcement.tenant_id,
        announcement.type,
        announcement.key,
        0,
        (0, 0),
        at,
        announcement.cause.correlation_id,
        None,
        announcement.data(),
    )


def intent_of(status: str = "requested", **changes: object) -> Intent:
    """An intent of 500 cents, as it is in that status."""
    settled = status in {"captured", "declined", "withdrawn"}
    wants_card = status in {"requested", "unknown"}
    intent = Intent(
        tenant_id=ids.new_id(),
        order_id=ids.new_id(),
        status="requested",
        amount_minor=500,
        currency="EUR",
        card="4000009901000003" if wants_card else None,
        is_capture_manual=False,
        correlation_id=ids.new_id(),
        created_at=START,
        asked_at=None if status == "awaiting" else START,
        settled_at=START if settled else None,
        captured_minor=500 if status == "captured" else 0,
    )
    return msgspec.structs.replace(intent, status=status, **changes)


def later(seconds: float) -> datetime:
    """The tests' start, and so many seconds."""
    return START + timedelta(seconds=seconds)
