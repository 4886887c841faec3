"""Wiring of orders."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from serai.contexts.billing.contract import Quotas
from serai.contexts.catalog.contract import Prices
from serai.contexts.orders import handlers, routes
from serai.contexts.orders.contract import (
    CancelOrder,
    ConfirmOrder,
    OrderRef,
    OrderTestimony,
    OrderView,
    RefundRecord,
    ReturnLines,
    Status,
    Taken,
)
from serai.contexts.orders.gateways import PolledSettlements
from serai.contexts.orders.store import PostgresOrders, PostgresPeople
from serai.contexts.shipping.contract import ShipmentDispatched
from serai.kernel.batch import Batch
from serai.kernel.clock import Clock
from serai.kernel.db import Tx
from serai.kernel.failure import Refused
from serai.kernel.idempotency import Answer
from serai.kernel.module import Check, Consumer, Finding, Module, Surroundings
from serai.kernel.web import answer_with

FINDINGS_MAX = 100
LATE_GRACE = timedelta(seconds=60)


class Offers:
    """The contract's Protocol Orders."""

    def __init__(self, book: PostgresOrders) -> None:
        self._book = book

    async def confirm_orders(
        self, commands: Sequence[ConfirmOrder], *, tx: Tx, now: datetime
    ) -> set[UUID]:
        return await handlers.confirm_orders(commands, tx=tx, now=now, book=self._book)

    async def cancel_orders(
        self, commands: Sequence[CancelOrder], *, tx: Tx, now: datetime
    ) -> set[UUID]:
        return await handlers.cancel_orders(commands, tx=tx, now=now, book=self._book)

    async def keep_orders(self, refs: Sequence[OrderRef], *, tx: Tx, now: datetime) -> None:
        del now
        if refs:
            await self._book.keep_orders([(r.tenant_id, r.order_id) for r in refs], tx=tx)

    async def mark_unpaid(self, refs: Sequence[OrderRef], *, tx: Tx, now: datetime) -> None:
        del now
        await handlers.mark_unpaid(refs, tx=tx, book=self._book)

    async def return_lines(
        self, commands: Sequence[ReturnLines], *, tx: Tx, now: datetime
    ) -> list[Taken | Refused]:
        return await handlers.return_lines(commands, tx=tx, now=now, book=self._book)

    async def weigh_returns(
        self, commands: Sequence[ReturnLines], *, tx: Tx
    ) -> list[Taken | Refused]:
        return await handlers.weigh_returns(commands, tx=tx, book=self._book)

    async def list_owned(
        self, tenant_id: UUID, owner: UUID, order_ids: Sequence[UUID], *, tx: Tx
    ) -> set[UUID]:
        return await self._book.list_owned(tenant_id, owner, order_ids, tx=tx)

    async def find_statuses(self, refs: Sequence[OrderRef], *, tx: Tx) -> list[Status | None]:
        statuses = await self._book.find_statuses([(r.tenant_id, r.order_id) for r in refs], tx=tx)
        return [statuses.get((r.tenant_id, r.order_id)) for r in refs]

    async def find_versions(self, refs: Sequence[OrderRef], *, tx: Tx) -> list[int | None]:
        versions = await self._book.find_versions([(r.tenant_id, r.order_id) for r in refs], tx=tx)
        return [versions.get((r.tenant_id, r.order_id)) for r in refs]

    async def list_trusting(
        self, tenant_id: UUID, order_ids: Sequence[UUID], *, tx: Tx
    ) -> list[UUID]:
        return await self._book.list_trusting(tenant_id, order_ids, tx=tx)

    async def tell_orders(
        self, tenant_id: UUID, *, after: UUID, limit: int, tx: Tx
    ) -> list[OrderTestimony]:
        return await self._book.tell_orders(tenant_id, after=after, limit=limit, tx=tx)

    async def record_captures(
        self, records: Sequence[RefundRecord], *, tx: Tx, now: datetime
    ) -> None:
        del now
        if records:
            await self._book.record_captures(records, tx=tx)

    async def record_refunds(
        self, records: Sequence[RefundRecord], *, tx: Tx, now: datetime
    ) -> None:
        del now
        if records:
            await self._book.record_refunds(records, tx=tx)


def build(s: Surroundings, prices: Prices, *, quotas: Quotas | None = None) -> Module:
    """Orders over PostgreSQL, priced by the catalog, and counted where there are plans."""
    book = PostgresOrders()
    make = partial(Batch, database=s.database, queue_max=s.settings.queue_max)
    place: Batch[Any, Any] = make(
        "orders.place_orders",
        partial(handlers.place_orders, book=book, prices=prices, quotas=quotas),
        routes.answer_order,
        weigh=lambda command: len(command.lines),
    )
    cancel: Batch[Any, Any] = make(
        "orders.request_cancellations",
        partial(handlers.request_cancellations, book=book),
        _answer_cancellation,
    )
    settlements = PolledSettlements(s.database, book)
    deadline = timedelta(seconds=s.settings.payment_deadline_s)
    return Module(
        name="orders",
        routes=[
            *routes.writing_routes(place, cancel, settlements),
            *routes.reading_routes(s.database, book),
        ],
        batches=[place, cancel],
        consumers=[
            Consumer(
                "orders",
                {ShipmentDispatched: partial(handlers.hear_shipment_dispatched, book=book)},
            )
        ],
        checks=[
            Check(
                "orders.orders",
                "Every order's lines sum to its total, it reaches an end within its deadline, and "
                "a cancelled order keeps no money; only a confirmed one can be marked unpaid.",
                partial(_check, book, s.clock, deadline + LATE_GRACE),
            )
        ],
        offers=Offers(book),
        personal=PostgresPeople(),
    )


def _answer_cancellation(view: OrderView) -> Answer:
    return answer_with(
        view, status=202, location=f"/v1/orders/{view.id}", version=view.version, buyer=view.email
    )


async def _check(
    book: PostgresOrders, clock: Clock, late_after: timedelta, tx: Tx, tenant_id: UUID
) -> list[Finding]:
    rows = await book.check_orders(tenant_id, clock.now() - late_after, FINDINGS_MAX, tx=tx)
    return [
        Finding("orders.orders", ", ".join(f"{key}={value}" for key, value in dict(row).items()))
        for row in rows
    ]
