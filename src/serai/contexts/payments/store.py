"""Payments' rows in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from serai.contexts.payments.contract import (
    GivenUp,
    PaymentStatus,
    PaymentTestimony,
    PaymentView,
    RefundView,
)
from serai.contexts.payments.handlers.books import FirstWord, Key, Kind, Look
from serai.contexts.payments.model import Intent, Refund
from serai.kernel import queries
from serai.kernel.db import Record, Tx
from serai.kernel.person import OfOrders

SQL = queries.load(__package__)

REFUNDS_SHOWN_MAX = 1000
"""Refunds that a payment's view shows."""
_FIRST_ID = UUID(int=0)
_LAST_ID = UUID(int=2**128 - 1)


def _columns(keys: Sequence[Key]) -> tuple[list[UUID], list[UUID]]:
    return [tenant_id for tenant_id, _ in keys], [thing_id for _, thing_id in keys]


class PostgresBooks:
    """Adapter of `handlers.books`: its Protocols Books and Views."""

    async def insert_intents(self, intents: Sequence[Intent], *, tx: Tx) -> set[UUID]:
        rows = await tx.fetch(
            SQL.insert_intents,
            [i.tenant_id for i in intents],
            [i.order_id for i in intents],
            [i.status for i in intents],
            [i.amount_minor for i in intents],
            [i.currency for i in intents],
            [i.card for i in intents],
            [i.is_capture_manual for i in intents],
            [i.correlation_id for i in intents],
            [i.created_at for i in intents],
            [i.asked_at for i in intents],
            [i.settled_at for i in intents],
        )
        return {row[0] for row in rows}

    async def list_requested(self, keys: Sequence[Key], *, tx: Tx) -> list[int]:
        rows = await tx.fetch(SQL.list_requested, *_columns(keys))
        return [row[0] - 1 for row in rows]

    async def settle_requested(
        self, words: Sequence[FirstWord], *, tx: Tx, now: datetime
    ) -> list[int]:
        rows = await tx.fetch(
            SQL.settle_requested,
            [w.tenant_id for w in words],
            [w.order_id for w in words],
            [w.status for w in words],
            [w.captured_minor for w in words],
            [w.provider_ref for w in words],
            [w.reason for w in words],
            now,
        )
        return [row[0] - 1 for row in rows]

    async def find_intents(self, keys: Sequence[Key], *, tx: Tx) -> dict[Key, Intent]:
        rows = await tx.fetch(SQL.find_intents, *_columns(keys))
        return {(row["tenant_id"], row["order_id"]): Intent(*row) for row in rows}

    async def lock_intents(self, keys: Sequence[Key], *, tx: Tx) -> dict[Key, Intent]:
        rows = await tx.fetch(SQL.lock_intents, *_columns(keys))
        return {(row["tenant_id"], row["order_id"]): Intent(*row) for row in rows}

    async def save_intents(self, intents: Sequence[Intent], *, tx: Tx) -> None:
        await tx.execute(
            SQL.save_intents,
            [i.tenant_id for i in intents],
            [i.order_id for i in intents],
            [i.status for i in intents],
            [i.card for i in intents],
            [i.asked_at for i in intents],
            [i.settled_at for i in intents],
            [i.capture_asked_minor for i in intents],
            [i.captured_minor for i in intents],
            [i.refunding_minor for i in intents],
            [i.refunded_minor for i in intents],
            [i.is_closed for i in intents],
            [i.provider_ref for i in intents],
            [i.reason for i in intents],
            [i.version for i in intents],
        )

    async def insert_refunds(self, refunds: Sequence[Refund], *, tx: Tx) -> None:
        await tx.execute(
            SQL.insert_refunds,
            [r.tenant_id for r in refunds],
            [r.refund_id for r in refunds],
            [r.order_id for r in refunds],
            [r.status for r in refunds],
            [r.amount_minor for r in refunds],
            [r.currency for r in refunds],
            [r.reason for r in refunds],
            [r.is_told for r in refunds],
            [r.correlation_id for r in refunds],
            [r.created_at for r in refunds],
        )

    async def find_refunds(self, keys: Sequence[Key], *, tx: Tx) -> dict[Key, Refund]:
        rows = await tx.fetch(SQL.find_refunds, *_columns(keys))
        return {(row["tenant_id"], row["refund_id"]): Refund(*row) for row in rows}

    async def save_refunds(self, refunds: Sequence[Refund], *, tx: Tx) -> None:
        await tx.execute(
            SQL.save_refunds,
            [r.tenant_id for r in refunds],
            [r.refund_id for r in refunds],
            [r.status for r in refunds],
            [r.settled_at for r in refunds],
            [r.failure for r in refunds],
        )

    async def add_looks(self, kind: Kind, keys: Sequence[Key], *, due_at: datetime, tx: Tx) -> None:
        await tx.execute(SQL.add_looks, kind, *_columns(keys), due_at)

    async def take_due_looks(
        self, tenants: Sequence[UUID], *, now: datetime, until: datetime, limit: int, tx: Tx
    ) -> list[Look]:
        rows = await tx.fetch(SQL.take_due_looks, tenants, now, until, limit)
        return [Look(*row) for row in rows]

    async def move_looks(self, looks: Sequence[Look], *, tx: Tx) -> None:
        await tx.execute(
            SQL.move_looks,
            [look.tenant_id for look in looks],
            [look.kind for look in looks],
            [look.thing_id for look in looks],
            [look.due_at for look in looks],
        )

    async def end_looks(self, kind: Kind, keys: Sequence[Key], *, tx: Tx) -> None:
        tenants, things = _columns(keys)
        # The kind stands beside each id: as one value the planner would walk all of that kind.
        await tx.execute(SQL.end_looks, tenants, [kind] * len(keys), things)

    async def list_given_up(
        self, tenant_id: UUID, *, after: UUID | None, limit: int, tx: Tx
    ) -> list[GivenUp]:
        rows = await tx.fetch(SQL.list_given_up, tenant_id, after, limit)
        return [GivenUp(*row) for row in rows]

    async def retry_looks(
        self, tenant_id: UUID, *, order_id: UUID | None, due_at: datetime, limit: int, tx: Tx
    ) -> list[tuple[Kind, UUID]]:
        """Makes matters that were given up due again; which they were."""
        rows = await tx.fetch(SQL.retry_looks, tenant_id, order_id, due_at, limit)
        return [(row["kind"], row["thing_id"]) for row in rows]

    async def find_payment(self, tenant_id: UUID, order_id: UUID, *, tx: Tx) -> PaymentView | None:
        row = await tx.fetchrow(SQL.find_payment, tenant_id, order_id)
        if row is None:
            return None
        refunds = await tx.fetch(SQL.list_refunds, tenant_id, order_id, REFUNDS_SHOWN_MAX)
        view = PaymentView(*row)
        return msgspec.structs.replace(view, refunds=[RefundView(*refund) for refund in refunds])

    async def list_payments(
        self, tenant_id: UUID, *, before: UUID | None, limit: int, tx: Tx
    ) -> list[PaymentView]:
        rows = await tx.fetch(SQL.list_payments, tenant_id, before or _LAST_ID, limit)
        return [PaymentView(*row) for row in rows]

    async def list_payments_by_status(
        self,
        tenant_id: UUID,
        status: PaymentStatus,
        *,
        before: UUID | None,
        limit: int,
        scanned_max: int,
        tx: Tx,
    ) -> tuple[list[PaymentView], UUID | None]:
        below = before or _LAST_ID
        end: UUID | None = await tx.fetchval(SQL.find_scan_end, tenant_id, below, scanned_max - 1)
        rows = await tx.fetch(
            SQL.list_payments_by_status, tenant_id, status, below, end or _FIRST_ID, limit
        )
        return [PaymentView(*row) for row in rows], end

    async def list_ended(
        self, tenant_id: UUID, *, before: datetime, after: UUID, limit: int, tx: Tx
    ) -> list[UUID]:
        """Orders whose payment had ended without money before a time, by id."""
        rows = await tx.fetch(SQL.list_ended, tenant_id, after, before, limit)
        return [row["order_id"] for row in rows]

    async def tell_payments(
        self, tenant_id: UUID, *, after: UUID, until: UUID, tx: Tx
    ) -> list[PaymentTestimony]:
        """Where the money of the orders of a range of ids is."""
        rows = await tx.fetch(SQL.tell_payments, tenant_id, after, until)
        return [PaymentTestimony(**dict(row)) for row in rows]

    async def check_captures(self, tenant_id: UUID, limit: int, *, tx: Tx) -> list[Record]:
        """Orders with more than one capture."""
        return await tx.fetch(SQL.check_captures, tenant_id, limit)

    async def check_refunds(self, tenant_id: UUID, limit: int, *, tx: Tx) -> list[Record]:
        """Payments that disagree with their refunds."""
        return await tx.fetch(SQL.check_refunds, tenant_id, limit)

    async def check_open(
        self,
        tenant_id: UUID,
        limit: int,
        *,
        asked_before: datetime,
        settled_before: datetime,
        tx: Tx,
    ) -> list[Record]:
        """Intents and refunds that have been open for too long."""
        return await tx.fetch(SQL.check_open, tenant_id, asked_before, settled_before, limit)


class PaymentsOfOrders(OfOrders):
    """The kernel's Protocol OfOrders."""

    holds = "payments"

    async def tell_of(
        self, tenant_id: UUID, orders: Sequence[UUID], *, tx: Tx
    ) -> list[dict[str, Any]]:
        rows = await tx.fetch(SQL.tell_of_orders, tenant_id, orders)
        return [{"what": "payment", **row} for row in rows]
