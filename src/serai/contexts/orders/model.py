"""Decides what an order costs, and whether it may be placed, cancelled or taken back."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from serai.contexts.catalog.contract import Quote
from serai.contexts.orders.contract import (
    AmountTooLarge,
    CurrencyNotOffered,
    OrderedLine,
    OrderNotCancellable,
    OrderView,
    ProductNotForSale,
    Reason,
    ReturnedLine,
    ReturnLines,
    ReturnNotPossible,
    Status,
    Taken,
    UnknownSku,
)
from serai.kernel import money
from serai.kernel.events import Cause
from serai.kernel.failure import NotFound, Refused


class PlaceLine(msgspec.Struct, frozen=True):
    """A line as it is asked for; `unit_price` is set where staff give the line its own price."""

    sku: str
    quantity: int
    unit_price: Decimal | None


class PlaceOrder(msgspec.Struct, frozen=True):
    """Places an order: it is accepted now, and carried to its end by the checkout flow."""

    tenant_id: UUID
    order_id: UUID
    currency: str
    lines: tuple[PlaceLine, ...]
    card: str | None
    is_capture_manual: bool
    email: str | None
    customer: str | None
    reference: str | None
    cause: Cause


class Line(msgspec.Struct, frozen=True):
    """A priced line; `unit_price` in major units, `amount_minor` rounded half up once."""

    line_no: int
    sku: str
    quantity: int
    unit_price: Decimal
    amount_minor: int


class Draft(msgspec.Struct, frozen=True):
    """An order that may be placed."""

    command: PlaceOrder
    lines: list[Line]
    total_minor: int
    goods: tuple[OrderedLine, ...]

    def view(self, now: datetime) -> OrderView:
        """The order as it is answered when it is accepted."""
        c = self.command
        return OrderView(
            c.order_id, "placed", None, c.currency, self.total_minor, 0, 0, c.reference, c.customer,
            c.email, now, None, 1,
        )  # fmt: skip


class Order(msgspec.Struct, frozen=True):
    """What an order is now."""

    tenant_id: UUID
    id: UUID
    status: Status
    reason: Reason | None
    is_cancelling: bool
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
    is_unpaid: bool

    def view(self) -> OrderView:
        """The order as the API shows it."""
        return OrderView(
            self.id, self.status, self.reason, self.currency, self.total_minor, self.captured_minor,
            self.refunded_minor, self.reference, self.customer, self.email, self.placed_at,
            self.settled_at, self.version, self.is_unpaid,
        )  # fmt: skip


class KeptLine(msgspec.Struct):
    """A line as it is stored; `returned` is changed in place while a batch is decided."""

    line_no: int
    sku: str
    quantity: int
    unit_price: Decimal
    amount_minor: int
    shipped: int
    returned: int
    refund_minor: int = 0
    """What was promised back for the units that were returned."""


class Back(msgspec.Struct):
    """Units of a line that are taken back, and what is promised for them."""

    quantity: int = 0
    refund_minor: int = 0


def place(command: PlaceOrder, quotes: Mapping[str, Quote | None]) -> Draft | Refused:
    """Prices an order by the catalog's quotes in its currency, by SKU, or says why it cannot be."""
    lines: list[Line] = []
    goods: list[OrderedLine] = []
    total = 0
    for number, wanted in enumerate(command.lines, 1):
        quote = quotes[wanted.sku]
        if quote is None:
            return UnknownSku("the catalog has no such SKU", sku=wanted.sku, line_no=number)
        price = wanted.unit_price
        if price is None:
            if quote.status != "published":
                return ProductNotForSale(
                    f"the product is {quote.status}", sku=wanted.sku, line_no=number
                )
            price = quote.unit_price
        elif quote.status == "archived":
            return ProductNotForSale("the product is archived", sku=wanted.sku, line_no=number)
        if price is None:
            return CurrencyNotOffered(
                f"the SKU has no price in {command.currency}", sku=wanted.sku, line_no=number
            )
        amount = money.extend(price, wanted.quantity, command.currency)
        total += amount
        lines.append(Line(number, wanted.sku, wanted.quantity, price, amount))
        goods.append(OrderedLine(number, wanted.sku, wanted.quantity))
    if total > money.AMOUNT_MINOR_MAX:
        return AmountTooLarge(f"an order may cost at most {money.AMOUNT_MINOR_MAX} minor units")
    return Draft(command, lines, total, tuple(goods))


def is_hers(order: Order | OrderView, owner: UUID | None) -> bool:
    """Whether an order is of who asks; None asks for everybody's."""
    return owner is None or order.customer == str(owner)


def may_cancel(order: Order | None, lines: Sequence[KeptLine]) -> Refused | None:
    """Why an order cannot be cancelled, or None where it can."""
    if order is None:
        return NotFound("there is no such order")
    if order.status == "cancelled":
        return OrderNotCancellable("the order is cancelled already")
    if order.is_cancelling:
        return OrderNotCancellable("the order is being cancelled already")
    if any(line.shipped for line in lines):
        return OrderNotCancellable("goods are on the road; take them back as a return instead")
    if any(line.returned for line in lines):
        return OrderNotCancellable("goods have come back; the order is closed by its returns")
    return None


def take_back(
    command: ReturnLines, order: Order | None, lines: Sequence[KeptLine]
) -> Taken | Refused:
    """Takes units back, all lines or none; `lines` is changed only when all pass.

    Only what has left can come back: what has not is cancelled, or its parcel would still leave.
    Each piece is refunded at quantity x price, rounded half up, and all pieces of a line together
    at no more than the line had cost.
    """
    if order is None or not is_hers(order, command.owner):
        return NotFound("there is no such order")
    if order.status != "confirmed":
        return ReturnNotPossible(f"the order is {order.status}; only confirmed orders take returns")
    if order.is_cancelling:
        # Both would put the same units back on the shelf and give the same money back.
        return ReturnNotPossible("the order is being cancelled")
    by_number = {line.line_no: line for line in lines}
    wanted: dict[int, int] = {}
    for piece in command.lines:
        wanted[piece.line_no] = wanted.get(piece.line_no, 0) + piece.quantity
    for number, quantity in wanted.items():
        line = by_number.get(number)
        if line is None:
            return ReturnNotPossible("the order has no such line", line_no=number)
        if quantity > line.shipped - line.returned:
            return ReturnNotPossible(
                f"{line.shipped} units were shipped and {line.returned} came back already, "
                f"{quantity} are given",
                line_no=number, shipped=line.shipped, returned=line.returned,
            )  # fmt: skip
    returned: list[ReturnedLine] = []
    refund = 0
    for piece in command.lines:
        line = by_number[piece.line_no]
        line.returned += piece.quantity
        amount = min(
            money.extend(line.unit_price, piece.quantity, order.currency),
            line.amount_minor - line.refund_minor,
        )
        line.refund_minor += amount
        refund += amount
        returned.append(ReturnedLine(piece.line_no, line.sku, piece.quantity, amount))
    return Taken(order.id, order.currency, order.email, refund, tuple(returned))
