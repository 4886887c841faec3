from collections import Counter
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serai.cli.replay.figures import figures_of
from serai.cli.replay.marks import Bundle, Covered, ReturnPiece, bundle, read_marks
from serai.cli.replay.plan import Comeback, Order, Piece, Plan, Planner
from serai.cli.replay.reader import Row
from serai.cli.replay.reads import (
    LineSeen,
    OrderSeen,
    OrderTotals,
    OrderWhole,
    ReturnedLine,
    ReturnSeen,
    StockItem,
    StockTotal,
)
from serai.cli.replay.verdict import (
    REPLAY,
    ScarceSeen,
    Seen,
    judge,
    judge_scarce,
    moved_units,
)
from serai.contexts.returns.contract import REASON_CHARS_MAX

ROWS = [
    ("1", "A", 10, "2.50", "7"),
    ("1", "B", 1, "0.125", "7"),
    ("2", "A", 5, "2.00", ""),
    ("3", "B", -4, "0", ""),
    ("4", "B", 6, "0", ""),
    ("C1", "A", -3, "2.50", "7"),
    ("C1", "B", -2, "0.125", "7"),
    ("C2", "Z", -1, "1", "7"),
    ("C3", "A", -1, "1", ""),
    ("A9", "B", 1, "-5", ""),
]


def plan() -> Plan:
    planner = Planner()
    for line, (invoice, sku, quantity, price, customer) in enumerate(ROWS, 2):
        planner.take(Row(line, invoice, sku, "LAMP", quantity, Decimal(price), customer))
    return planner.plan


def returns() -> list[ReturnSeen]:
    lines = [ReturnedLine(1, "A", 3, 750), ReturnedLine(2, "B", 1, 13)]
    return [ReturnSeen("id-1", "refunded", "1:3:1,2:2:1 C1", 763, lines)]


def shop() -> Seen:
    """A shop in which the rows above were carried out."""
    totals = OrderTotals("confirmed", 2, 3, 16, 3513, 3513, 763, 16, 4, 1, 1)
    stock = [
        StockTotal("A", "receipt", "supply", 15),
        StockTotal("A", "return", "returned", 3),
        StockTotal("A", "sale", "", 15),
        StockTotal("B", "receipt", "receipt", 6),
        StockTotal("B", "receipt", "supply", 5),
        StockTotal("B", "return", "returned", 1),
        StockTotal("B", "sale", "", 1),
        StockTotal("B", "write_off", "write-off", 4),
    ]
    orders = [
        OrderSeen("id-1", "confirmed", None, 2513, "1", "7"),
        OrderSeen("id-2", "confirmed", None, 1000, "2", None),
    ]
    return Seen([totals], orders, [], stock, returns(), {"A", "B", "Z"})


def unmet(seen: Seen) -> set[str]:
    planned = plan()
    return {j.figure for j in judge(figures_of(planned), seen, planned.unsent) if not j.is_met}


def test_a_faithful_shop_meets_every_figure() -> None:
    planned = plan()
    judgements = judge(figures_of(planned), shop(), planned.unsent)
    assert [j.figure for j in judgements if not j.is_met] == []
    assert [(j.figure, j.found) for j in judgements if j.source == REPLAY] == [
        ("skipped_rows", 1),
        ("returns.unmatched", 1),
        ("returns.without_customer", 1),
    ]
    assert {j.figure: j.found for j in judgements}["returns.full"] == 1


@pytest.mark.parametrize(
    ("change", "figures"),
    [
        ({"skus": {"A", "B"}}, {"skus"}),
        (
            {"orders": shop().orders[:1]},
            {"orders", "guest_orders"},
        ),
        (
            {"totals": [*shop().totals, OrderTotals("placed", 1, 1, 1, 1, 0, 0, 0, 0, 1, 0)]},
            {"orders.not_confirmed"},
        ),
        (
            {"totals": [OrderTotals("confirmed", 2, 3, 16, 3513, 3512, 763, 15, 4, 1, 1)]},
            {"orders.captured_minor", "orders.units_shipped"},
        ),
        (
            {"stock": [*shop().stock, StockTotal("Z", "sale", "", 1)]},
            {"units_sold", "top_skus", "movements_sha256"},
        ),
        (
            {"stock": [*shop().stock, StockTotal("A", "return", "undone", 15)]},
            {"units_sold", "top_skus", "movements_sha256"},
        ),
        (
            {"returns": [msgspec.structs.replace(returns()[0], status="accepted")]},
            {"returns.refund_minor", "returns.not_refunded"},
        ),
        (
            {"returns": [msgspec.structs.replace(returns()[0], reason="1:4:1,2:1:1 C1")]},
            set(),
        ),
        (
            {"returns": [msgspec.structs.replace(returns()[0], reason="1:4:1,2:2:1 C1")]},
            {"returns.full", "returns.partial"},
        ),
    ],
)
def test_a_shop_that_went_another_way_is_told(change: dict[str, Any], figures: set[str]) -> None:
    assert unmet(msgspec.structs.replace(shop(), **change)) == figures


def test_a_row_of_many_lines_and_a_resale_are_told_from_the_lines_of_the_shop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("serai.cli.replay.fit.QUANTITY_MAX", 5)
    monkeypatch.setattr("serai.cli.replay.verdict.QUANTITY_MAX", 5)
    planner = Planner()
    for line, (invoice, quantity) in enumerate([("1", 12), ("1", 1), ("2", 3), ("C1", 7)], 2):
        planner.take(Row(line, invoice, "A", "LAMP", quantity, Decimal("2.50"), "7"))
    planned = planner.plan
    whole = [
        OrderWhole(f"id-{n}", order.total_minor, order.invoice,
                   [LineSeen(x.sku, x.quantity, x.unit_price) for x in order.lines])
        for n, order in enumerate(planned.orders) if order.invoice != "2"
    ]  # fmt: skip
    seen = Seen(
        [OrderTotals("confirmed", 3, 7, 23, 5750, 5750, 0, 23, 0, 1, 0)],
        [OrderSeen(f"id-{n}", "confirmed", None, order.total_minor, order.invoice, "7")
         for n, order in enumerate(planned.orders)],
        whole,
        [StockTotal("A", "receipt", "supply", 23), StockTotal("A", "sale", "", 23)],
        [],
        {"A"},
    )  # fmt: skip
    judgements = judge(figures_of(planned), seen, planned.unsent)
    assert [j.figure for j in judgements if not j.is_met] == []
    found = {j.figure: j.found for j in judgements}
    assert (found["order_lines"], found["orders"], found["units_sold"]) == (3, 2, 16)
    assert (found["returns.full"], found["returns.units_returned"]) == (1, -7)
    assert found["returns.refund_minor"] == -1750
    blind = msgspec.structs.replace(seen, whole=[])
    unlike = {j.figure for j in judge(figures_of(planned), blind, planned.unsent) if not j.is_met}
    assert {"order_lines", "units_sold", "revenue_minor", "returns.full"} <= unlike


def test_a_return_that_bears_no_mark_is_not_ours() -> None:
    with pytest.raises(ValueError, match="damaged"):
        read_marks([ReturnSeen("id-1", "refunded", "damaged in transit", 1, [])])
    with pytest.raises(ValueError, match="no mark names"):
        read_marks([ReturnSeen("id-1", "refunded", "1:1:0 C1", 1, returns()[0].lines)])


def test_a_line_that_stands_twice_in_a_return_goes_into_another_one() -> None:
    planned = Plan(
        orders=[Order("1", "7"), Order("2", "7")],
        comebacks=[
            Comeback("C1", 1, 2, (Piece(0, 1, 2),)),
            Comeback("C1", 2, 9, (Piece(0, 1, 1), Piece(1, 3, 4))),
            Comeback("C2", 1, 1, (Piece(0, 1, 1),)),
        ],
    )
    assert bundle(planned) == [
        Bundle(0, "C1", [ReturnPiece(1, 2)], ["1:2:1"]),
        Bundle(0, "C1", [ReturnPiece(1, 1)], ["2:9:1"]),
        Bundle(1, "C1", [ReturnPiece(3, 4)], ["2:9:1"]),
        Bundle(0, "C2", [ReturnPiece(1, 1)], ["1:1:1"]),
    ]


comebacks = st.lists(
    st.builds(
        lambda invoice, wanted, pieces: (invoice, wanted, tuple(pieces)),
        st.sampled_from(["C1", "C 2", "C" + "é" * 63]),
        st.integers(1, 10**6),
        st.lists(
            st.builds(Piece, st.integers(0, 2), st.integers(1, 4), st.integers(1, 9)),
            min_size=1,
            max_size=5,
            unique_by=lambda piece: (piece.order, piece.line_no),
        ),
    ),
    max_size=40,
)


@given(drawn=comebacks)
def test_marks_tell_what_came_back_for_each_line(
    drawn: list[tuple[str, int, tuple[Piece, ...]]],
) -> None:
    numbers: Counter[str] = Counter()
    planned = Plan()
    expected: dict[tuple[str, int], Covered] = {}
    for invoice, wanted, pieces in drawn:
        numbers[invoice] += 1
        planned.comebacks.append(Comeback(invoice, numbers[invoice], wanted, pieces))
        units = sum(piece.quantity for piece in pieces)
        expected[invoice, numbers[invoice]] = Covered(wanted, units)
    seen = []
    for one in bundle(planned):
        assert len(one.reason) <= REASON_CHARS_MAX
        line_nos = [piece.line_no for piece in one.pieces]
        assert len(set(line_nos)) == len(line_nos)
        lines = [ReturnedLine(piece.line_no, "A", piece.quantity, 0) for piece in one.pieces]
        seen.append(ReturnSeen(str(one.order), "refunded", one.reason, 0, lines))
    assert read_marks(seen) == expected


def test_stock_that_is_supplied_for_the_replay_is_no_receipt_of_the_file() -> None:
    moved = moved_units(shop().stock)
    assert (moved["A"].received, moved["B"].received) == (0, 6)


def scarce_shop() -> ScarceSeen:
    """The rows above with three of five units supplied: the first order found what it wanted."""
    confirmed = OrderTotals("confirmed", 1, 2, 11, 2513, 2513, 763, 11, 4, 1, 0)
    cancelled = OrderTotals("cancelled", 1, 1, 5, 1000, 0, 0, 0, 0, 0, 1)
    orders = [
        OrderSeen("id-1", "confirmed", None, 2513, "1", "7"),
        OrderSeen("id-2", "cancelled", "out_of_stock", 1000, "2", None),
    ]
    items = [StockItem("A", 12, 5, 0, 7, 0), StockItem("B", 9, 5, 0, 0, 4)]
    return ScarceSeen([cancelled, confirmed], orders, items, returns(), {"A", "B", "Z"})


def unmet_scarce(seen: ScarceSeen) -> set[str]:
    planned = plan()
    supply = {"A": 12, "B": 3, "Z": 0}
    placed = {f"id-{number}": order for number, order in enumerate(planned.orders, 1)}
    judged = judge_scarce(planned, lambda goods: supply[goods.sku], placed, seen)
    return {j.figure for j in judged if not j.is_met}


def test_clean_refusals_meet_every_figure() -> None:
    assert unmet_scarce(scarce_shop()) == set()


@pytest.mark.parametrize(
    ("change", "figures"),
    [
        (
            {"orders": [scarce_shop().orders[0]]},
            {"orders", "orders.confirmed_or_refused"},
        ),
        (
            {
                "orders": [
                    scarce_shop().orders[0],
                    OrderSeen("id-2", "cancelled", "payment_declined", 1000, "2", None),
                ]
            },
            {"orders.confirmed_or_refused", "orders.otherwise_ended"},
        ),
        (
            {"items": [StockItem("A", 12, 5, 1, 7, 0), scarce_shop().items[1]]},
            {"stock.unbalanced_skus", "stock.still_reserved"},
        ),
        (
            {"items": [StockItem("A", 13, -1, 0, 14, 0), scarce_shop().items[1]]},
            {"stock.unbalanced_skus", "stock.received_otherwise", "stock.sold_otherwise"},
        ),
        (
            {"items": [StockItem("A", 12, -1, 0, 7, 6), scarce_shop().items[1]]},
            {"stock.oversold_skus", "stock.unbalanced_skus"},
        ),
    ],
)
def test_a_refusal_that_is_not_clean_is_told(change: dict[str, Any], figures: set[str]) -> None:
    assert unmet_scarce(msgspec.structs.replace(scarce_shop(), **change)) == figures
