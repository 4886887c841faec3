"""What others may know of orders: ids, commands, events, views, refusals and what orders offer."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

import msgspec

from serai.kernel.db import Tx
from serai.kernel.events import Cause, event
from serai.kernel.failure import Refused, Unprocessable

EMAIL_DAYS = 1_095
"""How long an order keeps the buyer's address where a tenant says nothing else."""
LINES_MAX = 10_000
QUANTITY_MAX = 1_000_000
REFERENCE_CHARS_MAX = 64
ORDER_EMAIL = "orders.orders.email"
"""Where the address in events about orders was sealed for: so it opens."""

Status = Literal["placed", "confirmed", "cancelled"]
Reason = Literal["out_of_stock", "payment_declined", "expired", "requested"]


class UnknownSku(Unprocessable):
    """The order names a SKU that the catalog does not have."""


class ProductNotForSale(Unprocessable):
    """The order names a variant whose product is a draft or archived."""


class CurrencyNotOffered(Unprocessable):
    """A line has no price in the order's currency."""


class AmountTooLarge(Unprocessable):
    """The order's total is more than any amount may be."""


class OrderNotCancellable(Refused):
    """The order has been shipped or has already ended, so it cannot be cancelled any more."""


class ReturnNotPossible(Unprocessable):
    """More units are returned than the buyer still has, or the order is not confirmed."""


class RefundTooLarge(Unprocessable):
    """More money is asked back than was captured and not yet refunded."""


class OrderRef(msgspec.Struct, frozen=True):
    """An order of a tenant, and why it is spoken of."""

    tenant_id: UUID
    order_id: UUID
    cause: Cause


class OrderedLine(msgspec.Struct, frozen=True):
    """A line as other contexts need it."""

    line_no: int
    sku: str
    quantity: int


@event(topic="orders", key="order_id")
class OrderPlaced(msgspec.Struct, frozen=True):
    """An order was accepted: it is on disk and will be carried to its end."""

    order_id: UUID
    currency: str
    total_minor: int
    card: str | None
    is_capture_manual: bool
    lines: tuple[OrderedLine, ...]


@event(topic="orders", key="order_id")
class OrderConfirmed(msgspec.Struct, frozen=True):
    """The goods are reserved and the money is there: the order will be shipped.

    The address is sealed for ORDER_EMAIL; only what was written long ago has it in clear.
    """

    order_id: UUID
    currency: str
    total_minor: int
    email: str | None
    lines: tuple[OrderedLine, ...]


@event(topic="orders", key="order_id")
class OrderCancelled(msgspec.Struct, frozen=True):
    """The order ended without goods changing hands; what was done for it is undone.

    The address is as in OrderConfirmed.
    """

    order_id: UUID
    reason: Reason
    email: str | None
    currency: str
    total_minor: int


@event(topic="orders", key="order_id")
class OrderUnpaid(msgspec.Struct, frozen=True):
    """Goods of the order are on the road and its money will not come: a person has to look."""

    order_id: UUID
    currency: str
    total_minor: int


@event(topic="orders", key="order_id")
class CancellationRequested(msgspec.Struct, frozen=True):
    """Someone with the right to do so wants the order undone."""

    order_id: UUID
    was_confirmed: bool


class ConfirmOrder(msgspec.Struct, frozen=True):
    """Confirms an order whose goods are reserved and of whose money `captured_minor` is there."""

    tenant_id: UUID
    order_id: UUID
    captured_minor: int
    cause: Cause


class CancelOrder(msgspec.Struct, frozen=True):
    """Ends an order that is placed (or being undone) for a reason."""

    tenant_id: UUID
    order_id: UUID
    reason: Reason
    cause: Cause


class ReturnLine(msgspec.Struct, frozen=True):
    """Units of a line that come back."""

    line_no: int
    quantity: int


class ReturnLines(msgspec.Struct, frozen=True):
    """Takes units of an order back into the order's own book; with an owner, of hers only."""

    tenant_id: UUID
    order_id: UUID
    lines: tuple[ReturnLine, ...]
    cause: Cause
    owner: UUID | None = None


class ReturnedLine(msgspec.Struct, frozen=True):
    """Units taken back, and what they had cost: each piece is quantity x price, half up."""

    line_no: int
    sku: str
    quantity: int
    refund_minor: int


class Taken(msgspec.Struct, frozen=True):
    """The order's answer to a return."""

    order_id: UUID
    currency: str
    email: str | None
    refund_minor: int
    lines: tuple[ReturnedLine, ...]


class RefundRecord(msgspec.Struct, frozen=True):
    """Money of an order that moved."""

    tenant_id: UUID
    order_id: UUID
    amount_minor: int


class Orders(Protocol):
    """What orders offer to flows and contexts; every call is part of the caller's transaction."""

    async def confirm_orders(
        self, commands: Sequence[ConfirmOrder], *, tx: Tx, now: datetime
    ) -> set[UUID]:
        """Confirms those that are placed; returns the ids that were."""
        ...

    async def cancel_orders(
        self, commands: Sequence[CancelOrder], *, tx: Tx, now: datetime
    ) -> set[UUID]:
        """Cancels those that are not cancelled yet; returns the ids that were cancelled now."""
        ...

    async def keep_orders(self, refs: Sequence[OrderRef], *, tx: Tx, now: datetime) -> None:
        """Takes back the wish to cancel: goods are on the road, so the orders stay confirmed."""
        ...

    async def mark_unpaid(self, refs: Sequence[OrderRef], *, tx: Tx, now: datetime) -> None:
        """Marks confirmed orders whose money will not come although goods are on the road."""
        ...

    async def return_lines(
        self, commands: Sequence[ReturnLines], *, tx: Tx, now: datetime
    ) -> list[Taken | Refused]:
        """Takes units back, all lines of a command or none."""
        ...

    async def weigh_returns(
        self, commands: Sequence[ReturnLines], *, tx: Tx
    ) -> list[Taken | Refused]:
        """What taking units back would answer now; takes none. The orders are locked."""
        ...

    async def find_statuses(self, refs: Sequence[OrderRef], *, tx: Tx) -> list[Status | None]:
        """The status of each order, in order; None for one that the tenant does not have."""
        ...

    async def find_versions(self, refs: Sequence[OrderRef], *, tx: Tx) -> list[int | None]:
        """The version of each order, in order; None for one that the tenant does not have."""
        ...

    async def list_trusting(
        self, tenant_id: UUID, order_ids: Sequence[UUID], *, tx: Tx
    ) -> list[UUID]:
        """Which of a tenant's orders are confirmed and not marked as unpaid."""
        ...

    async def record_captures(
        self, records: Sequence[RefundRecord], *, tx: Tx, now: datetime
    ) -> None:
        """Notes the money that was captured for orders: of each once, whatever was heard before."""
        ...

    async def record_refunds(
        self, records: Sequence[RefundRecord], *, tx: Tx, now: datetime
    ) -> None:
        """Notes money that was refunded for orders."""
        ...


class OrderOwners(Protocol):
    """Tells whose orders are, for routes that show who asks her own things only."""

    async def list_owned(
        self, tenant_id: UUID, owner: UUID, order_ids: Sequence[UUID], *, tx: Tx
    ) -> set[UUID]:
        """Which of the given orders are of this customer; never those of another tenant."""
        ...


class LineView(msgspec.Struct, frozen=True):
    """A line as the API shows it; `unit_price` is decimal text in major units."""

    line_no: int
    sku: str
    quantity: int
    unit_price: str
    amount_minor: int
    shipped: int
    returned: int


class OrderView(msgspec.Struct, frozen=True):
    """An order as the API shows it; `is_unpaid`: goods have left, and the money will not come."""

    id: UUID
    status: Status
    reason: Reason | None
    currency: str
    total_minor: int
    captured_minor: int
    refunded_minor: int
    reference: str | None
    customer: str | None
    email: str | None
    placed_at: datetime
    settled_at: datetime | None
    version: int
    is_unpaid: bool = False
    lines: list[LineView] | None = None


class OrderTestimony(msgspec.Struct, frozen=True):
    """What an order says of itself; units are sums over its lines."""

    order_id: UUID
    status: Status
    is_unpaid: bool
    total_minor: int
    captured_minor: int
    refunded_minor: int
    has_email: bool
    settled_at: datetime | None
    units: int
    shipped: int


class OrderWitness(Protocol):
    """Tells what orders say, for those who compare it with what others say of them."""

    async def tell_orders(
        self, tenant_id: UUID, *, after: UUID, limit: int, tx: Tx
    ) -> list[OrderTestimony]:
        """The orders above an id, by id."""
        ...
