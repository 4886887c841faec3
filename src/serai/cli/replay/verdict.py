"""Judges a replay: each figure that was expected beside what the shop itself says. Pure."""

import collections
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from serai.cli.replay.figures import Figures, Moved, digest_of_movements, top_skus
from serai.cli.replay.marks import read_marks
from serai.cli.replay.plan import Goods, Order, Plan, Unsent
from serai.cli.replay.reads import OrderSeen, OrderTotals, ReturnSeen, StockItem, StockTotal
from serai.cli.replay.steps import RECEIPT

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
    stock: Sequence[StockTotal]
    returns: Sequence[ReturnSeen]
    skus: set[str]


def judge(expected: Figures, seen: Seen, unsent: Unsent) -> list[Judgement]:
    """Each expected figure beside the shop's own, and beside it what else must agree."""
    confirmed = _of_status(seen.totals, "confirmed")
    moved = moved_units(seen.stock)
    covered = list(read_marks(seen.returns).values())
    full = sum(line.units == line.wanted for line in covered)
    found: dict[str, Any] = {
        "skus": len(seen.skus),
        "orders": confirmed.orders,
        "order_lines": confirmed.lines,
        "customers": confirmed.customers,
        "guest_orders": confirmed.guests,
        "units_sold": sum(m.sold for m in moved.values()),
        "revenue_minor": confirmed.total_minor,
        "received_units": sum(m.received for m in moved.values()),
        "written_off_units": sum(m.written_off for m in moved.values()),
        "skipped_rows": unsent.skipped_rows,
        "top_skus": top_skus(moved),
        "movements_sha256": digest_of_movements(moved),
        "returns.full": full + unsent.full_of_nothing,
        "returns.partial": len(covered) - full,
        "returns.unmatched": unsent.unmatched,
        "returns.without_customer": unsent.without_customer,
        "returns.units_returned": sum(m.returned for m in moved.values()),
        "returns.refund_minor": sum(r.refund_minor for r in seen.returns if r.status == "refunded"),
    }
    unseen = {"skipped_rows", "returns.unmatched", "returns.without_customer"}
    judgements = [
        Judgement(name, value, found[name], REPLAY if name in unseen else SHOP)
        for name, value in expected.flat().items()
    ]
    return judgements + _agree(expected, seen, confirmed)


def _agree(expected: Figures, seen: Seen, confirmed: OrderTotals) -> list[Judgement]:
    """What the contexts must say alike: orders, stock, payments and shipments are told apart."""
    returned = expected.returns
    not_confirmed = sum(t.orders for t in seen.totals if t.status != "confirmed")
    refunds_open = sum(r.status != "refunded" for r in seen.returns)
    units_back = sum(line.quantity for r in seen.returns for line in r.lines)
    return [
        Judgement("orders.units", expected.units_sold, confirmed.units, SHOP),
        Judgement("orders.captured_minor", expected.revenue_minor, confirmed.captured_minor, SHOP),
        Judgement("orders.units_shipped", expected.units_sold, confirmed.shipped, SHOP),
        Judgement("orders.units_returned", returned.units_returned, confirmed.returned, SHOP),
        Judgement("orders.refunded_minor", returned.refund_minor, confirmed.refunded_minor, SHOP),
        Judgement("orders.not_confirmed", 0, not_confirmed, SHOP),
        Judgement("returns.not_refunded", 0, refunds_open, SHOP),
        Judgement("returns.units", returned.units_returned, units_back, SHOP),
    ]


def judge_scarce(
    plan: Plan,
    supply_of: Callable[[Goods], int],
    seen: Seen,
    orders: Sequence[OrderSeen],
    items: Sequence[StockItem],
) -> list[Judgement]:
    """That refusals are clean and nothing is oversold, whichever orders there was stock for."""
    known = {order.invoice: order for order in plan.orders}
    confirmed = [o for o in orders if o.status == "confirmed"]
    refused = [o for o in orders if o.status == "cancelled" and o.reason == "out_of_stock"]
    totals = _of_status(seen.totals, "confirmed")
    sold = _units_of(confirmed, known)
    moved = moved_units(seen.stock)
    supply = {goods.sku: supply_of(goods) + goods.received for goods in plan.goods.values()}
    received = collections.Counter({item.sku: item.received for item in items})
    oversold = [sku for sku, m in moved.items() if m.sold > supply.get(sku, 0) + m.returned]
    unbalanced = [
        item.sku
        for item in items
        if item.received != item.available + item.reserved + item.sold + item.written_off
        or min(item.available, item.reserved, item.sold, item.written_off) < 0
    ]
    ledger = {sku: m.sold for sku, m in moved.items() if m.sold}
    captured = sum(order.total_minor for order in confirmed)
    refunded = sum(r.refund_minor for r in seen.returns)
    wanted = {
        sku: units for sku, units in supply.items() if units
    }  # what was to be received, by stock code
    return [
        Judgement("skus", len(plan.goods), len(seen.skus), SHOP),
        Judgement("orders", len(plan.orders), len(orders), SHOP),
        Judgement(
            "orders.confirmed_or_refused", len(plan.orders), len(confirmed) + len(refused), SHOP
        ),
        Judgement(
            "orders.refused_for_another_reason",
            0,
            len(orders) - len(confirmed) - len(refused),
            SHOP,
        ),
        Judgement("stock.received_otherwise", 0, _unlike(wanted, received), SHOP),
        Judgement("stock.oversold_skus", 0, len(oversold), SHOP),
        Judgement("stock.unbalanced_skus", 0, len(unbalanced), SHOP),
        Judgement("stock.still_reserved", 0, sum(item.reserved for item in items), SHOP),
        Judgement("stock.sold_unlike_orders", 0, _unlike(sold, ledger), SHOP),
        Judgement("units_sold", sold.total(), sum(m.sold for m in moved.values()), SHOP),
        Judgement("orders.captured_minor", captured, totals.captured_minor, SHOP),
        Judgement("orders.units_shipped", sold.total(), totals.shipped, SHOP),
        Judgement("orders.refunded_minor", refunded, totals.refunded_minor, SHOP),
        Judgement(
            "returns.units_restocked",
            sum(line.quantity for r in seen.returns for line in r.lines),
            sum(m.returned for m in moved.values()),
            SHOP,
        ),
        Judgement(
            "returns.not_refunded", 0, sum(r.status != "refunded" for r in seen.returns), SHOP
        ),
    ]


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


def _units_of(orders: Sequence[OrderSeen], known: Mapping[str, Order]) -> collections.Counter[str]:
    units: collections.Counter[str] = collections.Counter()
    for order in orders:
        placed = known.get(order.reference or "")
        for line in placed.lines if placed is not None else ():
            units[line.sku] += line.quantity
    return units


def _unlike(expected: Mapping[str, int], found: Mapping[str, int]) -> int:
    """How many stock codes have another number of units than expected."""
    skus = expected.keys() | found.keys()
    return sum(expected.get(sku, 0) != found.get(sku, 0) for sku in skus)
