"""Judges a replay: each figure that was expected beside what the shop itself says. Pure."""

import collections
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from serai.cli.replay.figures import Figures, Moved, digest_of_movements, top_skus
from serai.cli.replay.marks import read_marks
from serai.cli.replay.plan import Goods, Order, Plan, Unsent
from serai.cli.replay.reads import (
    OrderSeen,
    OrderTotals,
    OrderWhole,
    ReturnSeen,
    StockItem,
    StockTotal,
)
from serai.cli.replay.steps import RECEIPT
from serai.contexts.orders.contract import QUANTITY_MAX

SHOP: Final = "shop"
"""A figure that the shop's API says, from its database."""
REPLAY: Final = "replay"
"""A figure of rows that the replay had nothing to send for, so the shop cannot know them."""
RETURNED: Final = "returned"
"""Why returned units are received, as inventory has it."""


class Judgement(msgspec.Struct, frozen=True):
    """A figure as it was expected and as it was found."""

    figure: str
    expected: Any
    found: Any
    source: str

    @property
    def is_met(self) -> bool:
        """Whether both are the same."""
        return bool(self.expected == self.found)


class Seen(msgspec.Struct, frozen=True):
    """What the shop says that it holds."""

    totals: Sequence[OrderTotals]
    orders: Sequence[OrderSeen]
    whole: Sequence[OrderWhole]
    """Those orders whose lines must be looked at: resales, and rows that needed several lines."""
    stock: Sequence[StockTotal]
    returns: Sequence[ReturnSeen]
    skus: set[str]


class ScarceSeen(msgspec.Struct, frozen=True):
    """What a shop that lacked stock says that it holds."""

    totals: Sequence[OrderTotals]
    orders: Sequence[OrderSeen]
    items: Sequence[StockItem]
    returns: Sequence[ReturnSeen]
    skus: set[str]


class Resold(msgspec.Struct):
    """What went out once more by C invoices, and lines that go on with a row begun before them."""

    rows: int = 0
    lines: int = 0
    units: collections.Counter[str] = msgspec.field(default_factory=collections.Counter[str])
    total_minor: int = 0
    continued: int = 0


def judge(expected: Figures, seen: Seen, unsent: Unsent) -> list[Judgement]:
    """Each expected figure beside the shop's own, and beside it what else must agree."""
    confirmed = _of_status(seen.totals, "confirmed")
    bought = [o for o in seen.orders if o.status == "confirmed" and not _is_resale(o)]
    resold = look_through(seen.whole)
    moved = moved_units(seen.stock)
    for sku, units in resold.units.items():
        moved[sku].sold -= units
        moved[sku].returned -= units
    covered = list(read_marks(seen.returns).values())
    full = sum(line.units == line.wanted for line in covered)
    refunded = sum(r.refund_minor for r in seen.returns if r.status == "refunded")
    found: dict[str, Any] = {
        "skus": len(seen.skus),
        "orders": len({order.reference for order in bought}),
        "order_lines": confirmed.lines - resold.lines - resold.continued,
        "customers": confirmed.customers,
        "guest_orders": len({order.reference for order in bought if order.customer is None}),
        "units_sold": sum(m.sold for m in moved.values()),
        "revenue_minor": confirmed.total_minor - resold.total_minor,
        "received_units": sum(m.received for m in moved.values()),
        "written_off_units": sum(m.written_off for m in moved.values()),
        "skipped_rows": unsent.skipped_rows,
        "top_skus": top_skus(moved),
        "movements_sha256": digest_of_movements(moved),
        "returns.full": full + unsent.full_of_nothing + resold.rows,
        "returns.partial": len(covered) - full,
        "returns.unmatched": unsent.unmatched,
        "returns.without_customer": unsent.without_customer,
        "returns.units_returned": sum(m.returned for m in moved.values()),
        "returns.refund_minor": refunded - resold.total_minor,
    }
    unseen = {"skipped_rows", "returns.unmatched", "returns.without_customer"}
    judgements = [
        Judgement(name, value, found[name], REPLAY if name in unseen else SHOP)
        for name, value in expected.flat().items()
    ]
    return judgements + _agree(expected, seen, confirmed, resold)


def look_through(orders: Iterable[OrderWhole]) -> Resold:
    """What orders hold that is no row of a sale."""
    found = Resold()
    for order in orders:
        continued = sum(
            before.quantity == QUANTITY_MAX
            and (before.sku, before.unit_price) == (line.sku, line.unit_price)
            for before, line in itertools.pairwise(order.lines)
        )
        if not _is_resale(order):
            found.continued += continued
            continue
        found.rows += len(order.lines) - continued
        found.lines += len(order.lines)
        found.total_minor += order.total_minor
        for line in order.lines:
            found.units[line.sku] += line.quantity
    return found


def _is_resale(order: OrderSeen | OrderWhole) -> bool:
    return order.reference is not None and order.reference.startswith("C")


def _agree(
    expected: Figures, seen: Seen, confirmed: OrderTotals, resold: Resold
) -> list[Judgement]:
    """What the contexts must say alike: orders, stock, payments and shipments are told apart."""
    returned = expected.returns
    not_confirmed = sum(t.orders for t in seen.totals if t.status != "confirmed")
    refunds_open = sum(r.status != "refunded" for r in seen.returns)
    units_back = sum(line.quantity for r in seen.returns for line in r.lines)
    # A resale is a return of less than nothing to the figures, and an order to the shop.
    units, money = resold.units.total(), resold.total_minor
    captured, refunded = confirmed.captured_minor - money, confirmed.refunded_minor - money
    units_returned = confirmed.returned - units
    return [
        Judgement("orders.units", expected.units_sold, confirmed.units - units, SHOP),
        Judgement("orders.captured_minor", expected.revenue_minor, captured, SHOP),
        Judgement("orders.units_shipped", expected.units_sold, confirmed.shipped - units, SHOP),
        Judgement("orders.units_returned", returned.units_returned, units_returned, SHOP),
        Judgement("orders.refunded_minor", returned.refund_minor, refunded, SHOP),
        Judgement("orders.not_confirmed", 0, not_confirmed, SHOP),
        Judgement("returns.not_refunded", 0, refunds_open, SHOP),
        Judgement("returns.units", returned.units_returned, units_back - units, SHOP),
    ]


def judge_scarce(
    plan: Plan,
    supply_of: Callable[[Goods], int],
    placed: Mapping[str, Order],
    seen: ScarceSeen,
) -> list[Judgement]:
    """That refusals are clean and nothing is oversold, whichever orders there was stock for.

    `placed` are the plan's orders by the ids that they got.
    """
    confirmed = [order for order in seen.orders if order.status == "confirmed"]
    refused = sum(o.status == "cancelled" and o.reason == "out_of_stock" for o in seen.orders)
    bought = _units_of(confirmed, placed)
    back: collections.Counter[str] = collections.Counter()
    for line in (line for returned in seen.returns for line in returned.lines):
        back[line.sku] += line.quantity
    stock = {item.sku: item for item in seen.items}
    received = {sku: item.received for sku, item in stock.items()}
    supply = {goods.sku: supply_of(goods) + goods.received for goods in plan.goods.values()}
    kept = {sku: units - back[sku] for sku, units in bought.items()}
    oversold = sum(
        units + _written_off(stock, sku) > supply.get(sku, 0) for sku, units in kept.items()
    )
    totals = _of_status(seen.totals, "confirmed")
    found = {
        "skus": (len(plan.goods), len(seen.skus)),
        "orders": (len(plan.orders), len(seen.orders)),
        "orders.confirmed_or_refused": (len(plan.orders), len(confirmed) + refused),
        "orders.otherwise_ended": (0, len(seen.orders) - len(confirmed) - refused),
        "orders.captured_minor": (sum(o.total_minor for o in confirmed), totals.captured_minor),
        "orders.units_shipped": (bought.total(), totals.shipped),
        "orders.units_returned": (back.total(), totals.returned),
        "orders.refunded_minor": (sum(r.refund_minor for r in seen.returns), totals.refunded_minor),
        "returns.not_refunded": (0, sum(r.status != "refunded" for r in seen.returns)),
        "stock.oversold_skus": (0, oversold),
        "stock.unbalanced_skus": (0, sum(not _is_balanced(item) for item in seen.items)),
        "stock.still_reserved": (0, sum(item.reserved for item in seen.items)),
        "stock.received_otherwise": (0, _unlike(supply, received)),
        "stock.sold_otherwise": (0, _unlike(kept, {sku: i.sold for sku, i in stock.items()})),
    }
    return [Judgement(name, expected, value, SHOP) for name, (expected, value) in found.items()]


def _written_off(stock: Mapping[str, StockItem], sku: str) -> int:
    return stock[sku].written_off if sku in stock else 0


def _is_balanced(item: StockItem) -> bool:
    parts = (item.available, item.reserved, item.sold, item.written_off)
    return item.received == sum(parts) and min(parts) >= 0


def moved_units(stock: Iterable[StockTotal]) -> dict[str, Moved]:
    """What the ledger says that moved, by stock code; our own supply is no receipt of the file."""
    moved: dict[str, Moved] = {}
    for total in stock:
        units = moved.setdefault(total.sku, Moved())
        match total.kind, total.reason:
            case "sale", _:
                units.sold += total.quantity
            case "return", reason if reason == RETURNED:
                units.returned += total.quantity
            case "return", _:
                units.sold -= total.quantity
            case "receipt", reason if reason == RECEIPT:
                units.received += total.quantity
            case "write_off", _:
                units.written_off += total.quantity
    return moved


def _of_status(totals: Sequence[OrderTotals], status: str) -> OrderTotals:
    nothing = OrderTotals(status, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    return next((t for t in totals if t.status == status), nothing)


def _units_of(orders: Sequence[OrderSeen], placed: Mapping[str, Order]) -> collections.Counter[str]:
    units: collections.Counter[str] = collections.Counter()
    for order in orders:
        planned = placed.get(order.id)
        for line in planned.lines if planned is not None else ():
            units[line.sku] += line.quantity
    return units


def _unlike(expected: Mapping[str, int], found: Mapping[str, int]) -> int:
    """How many stock codes have another number of units than expected."""
    skus = expected.keys() | found.keys()
    return sum(expected.get(sku, 0) != found.get(sku, 0) for sku in skus)
