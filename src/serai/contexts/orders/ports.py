"""What orders need of the world: their own rows."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from serai.contexts.orders.contract import (
    CancelOrder,
    ConfirmOrder,
    OrderedLine,
    OrderView,
    RefundRecord,
)
from serai.contexts.orders.model import Back, Draft, KeptLine, Order
from serai.kernel.db import Record, Tx
from serai.kernel.tenant import Home

Key = tuple[UUID, UUID]
"""A tenant and an order of it."""


class OrderBook(Protocol):
    """Orders and lines; every call is part of the given transaction."""

    async def insert_orders(self, drafts: Sequence[Draft], *, tx: Tx, now: datetime) -> None:
        """Writes new orders with their lines."""
        ...

    async def confirm_orders(
        self, commands: Sequence[ConfirmOrder], *, tx: Tx, now: datetime
    ) -> dict[UUID, tuple[str, int, str | None, tuple[OrderedLine, ...]]]:
        """Confirms placed orders; currency, total, e-mail and lines of those that were, by id."""
        ...

    async def cancel_orders(
        self, commands: Sequence[CancelOrder], *, tx: Tx, now: datetime
    ) -> dict[UUID, tuple[str, int, str | None]]:
        """Cancels orders; currency, total and e-mail of those that were not cancelled before."""
        ...

    async def keep_orders(self, keys: Sequence[Key], *, tx: Tx) -> None:
        """Takes back the wish to cancel."""
        ...

    async def mark_unpaid(self, keys: Sequence[Key], *, tx: Tx) -> dict[UUID, tuple[str, int]]:
        """Marks confirmed orders as unpaid; currency and total of those that were not, by id."""
        ...

    async def lock_orders(self, keys: Sequence[Key], *, tx: Tx) -> dict[Key, Order]:
        """Locks orders in id order."""
        ...

    async def list_lines(self, keys: Sequence[Key], *, tx: Tx) -> dict[Key, list[KeptLine]]:
        """The lines of orders."""
        ...

    async def request_cancellations(self, keys: Sequence[Key], *, tx: Tx) -> None:
        """Notes that orders are to be cancelled."""
        ...

    async def return_lines(self, back: Mapping[tuple[UUID, UUID, int], Back], *, tx: Tx) -> None:
        """Adds returned units and their money to lines (tenant, order, line number)."""
        ...

    async def ship_lines(self, units: Sequence[tuple[UUID, UUID, int, int]], *, tx: Tx) -> None:
        """Adds shipped units to lines: tenant, order, line number, units."""
        ...

    async def record_captures(self, records: Sequence[RefundRecord], *, tx: Tx) -> None:
        """Adds captured money."""
        ...

    async def record_refunds(self, records: Sequence[RefundRecord], *, tx: Tx) -> None:
        """Adds refunded money."""
        ...


class OrderReads(Protocol):
    """What the routes of orders look up."""

    async def find_order(self, tenant_id: UUID, order_id: UUID, *, tx: Tx) -> OrderView | None:
        """One order with its lines, or None."""
        ...

    async def list_settled(self, keys: Sequence[Key], *, tx: Tx) -> dict[UUID, OrderView]:
        """Those of the given orders that have reached an end, by id."""
        ...

    async def list_orders(
        self,
        tenant_id: UUID,
        *,
        before: UUID | None,
        status: str | None,
        reference: str | None,
        customer: str | None,
        is_unpaid: bool,
        limit: int,
        tx: Tx,
        owner: UUID | None = None,
    ) -> list[OrderView]:
        """A page of orders, newest first, by one of the filters; with an owner, of hers."""
        ...

    async def sum_orders(self, tenant_id: UUID, *, tx: Tx) -> Sequence[Record]:
        """Sums by status."""
        ...


class Settlements(Protocol):
    """Waits for orders to reach an end."""

    async def wait(
        self, home: Home, tenant_id: UUID, order_id: UUID, wait_s: float
    ) -> OrderView | None:
        """The order at its end, or None when the time is up."""
        ...
