"""What the shop says of itself: everything that a replay is judged by comes from here."""

from collections.abc import AsyncIterator
from typing import Any, Final, TypeVar
from urllib.parse import quote

import msgspec

from serai.cli.console import Failure
from serai.cli.replay.client import Answer, Client

PAGE: Final = 200

T = TypeVar("T")


class OrderTotals(msgspec.Struct, frozen=True):
    """The tenant's orders of one status, summed."""

    status: str
    orders: int
    lines: int
    units: int
    total_minor: int
    captured_minor: int
    refunded_minor: int
    shipped: int
    returned: int
    customers: int
    guests: int


class OrderSeen(msgspec.Struct, frozen=True, gc=False):
    """An order as a list shows it."""

    id: str
    status: str
    reason: str | None
    total_minor: int
    reference: str | None
    customer: str | None


class LineSeen(msgspec.Struct, frozen=True, gc=False):
    """A line of an order."""

    sku: str
    quantity: int
    unit_price: str


class OrderWhole(msgspec.Struct, frozen=True):
    """An order with its lines."""

    id: str
    total_minor: int
    reference: str | None
    lines: list[LineSeen]


class StockTotal(msgspec.Struct, frozen=True, gc=False):
    """Units of a stock code that moved in one way and for one reason."""

    sku: str
    kind: str
    reason: str
    quantity: int


class StockItem(msgspec.Struct, frozen=True, gc=False):
    """Where every unit of a stock code is."""

    sku: str
    received: int
    available: int
    reserved: int
    sold: int
    written_off: int


class ReturnedLine(msgspec.Struct, frozen=True, gc=False):
    """Units of an order line that came back."""

    line_no: int
    sku: str
    quantity: int
    refund_minor: int


class ReturnSeen(msgspec.Struct, frozen=True):
    """A return as a list shows it."""

    order_id: str
    status: str
    reason: str
    refund_minor: int
    lines: list[ReturnedLine]


class _Variant(msgspec.Struct, frozen=True):
    sku: str


class Reads:
    """Asks the shop what it holds, page by page."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def sum_orders(self) -> list[OrderTotals]:
        """The orders by status."""
        answer = await self._client.get("/v1/order-totals")
        return msgspec.json.decode(_expect(answer), type=list[OrderTotals])

    async def list_orders(self, query: str = "") -> list[OrderSeen]:
        """Every order, or those that a query such as `status=placed` finds."""
        return [order async for order in self._pages("/v1/orders", OrderSeen, query)]

    async def read_order(self, order_id: str) -> OrderWhole:
        """One order with its lines."""
        answer = await self._client.get(f"/v1/orders/{order_id}")
        return msgspec.json.decode(_expect(answer), type=OrderWhole)

    async def total_stock(self) -> list[StockTotal]:
        """The ledger by stock code, kind and reason."""
        return [total async for total in self._pages("/v1/stock-totals", StockTotal)]

    async def list_stock(self) -> list[StockItem]:
        """Every stock item."""
        return [item async for item in self._pages("/v1/stock-items", StockItem)]

    async def list_returns(self) -> list[ReturnSeen]:
        """Every return."""
        return [seen async for seen in self._pages("/v1/returns", ReturnSeen)]

    async def list_skus(self) -> set[str]:
        """The SKU of every variant."""
        return {variant.sku async for variant in self._pages("/v1/variants", _Variant)}

    async def _pages(self, path: str, model: type[T], query: str = "") -> AsyncIterator[T]:
        decoder: Any = msgspec.json.Decoder(_page_of(model))
        start = f"{path}?limit={PAGE}{'&' if query else ''}{query}"
        cursor: str | None = ""
        while cursor is not None:
            address = f"{start}&cursor={quote(cursor)}" if cursor else start
            page = decoder.decode(_expect(await self._client.get(address)))
            for item in page.items:
                yield item
            cursor = page.next


def _page_of(model: type) -> Any:
    return msgspec.defstruct("Page", [("items", list[model]), ("next", str | None)])  # type: ignore[valid-type]


def _expect(answer: Answer) -> bytes:
    if not answer.is_ok:
        raise Failure(f"the shop does not say what it holds: {answer.code}", code=answer.code)
    return answer.body
