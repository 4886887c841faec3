import csv
import gzip
import hashlib
import importlib.util
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serai.cli.replay import figures, fit
from serai.cli.replay.figures import figures_of, read_expectations
from serai.cli.replay.plan import Line, Piece, Plan, Planner
from serai.cli.replay.reader import FileFault, Row, read_rows

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "online-retail"
COLUMNS = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice")


class Sale(NamedTuple):
    invoice: str
    sku: str
    quantity: int
    price: str = "1.00"
    customer: str = "7"


def plan_of(rows: Sequence[Sale]) -> Plan:
    planner = Planner()
    for number, row in enumerate(rows, 2):
        planner.take(
            Row(
                number, row.invoice, row.sku, "LAMP", row.quantity, Decimal(row.price), row.customer
            )
        )
    return planner.plan


def pennies(amount: Decimal) -> int:
    return int((amount * 100).quantize(Decimal(1), ROUND_HALF_UP))


def tally_returns(rows: Sequence[Sale]) -> tuple[Counter[str], Counter[str]]:
    """The returns by the rules: every unit sold is kept by itself, so matching is counting."""
    kinds: Counter[str] = Counter()
    units_back: Counter[str] = Counter()
    pools: defaultdict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
    for place, row in enumerate(rows):
        pool = pools[row.customer, row.sku]
        if row.invoice[0] != "C":
            pool += [(place, row.price)] * (row.quantity if is_sale(row) else 0)
        elif not row.customer:
            kinds["without_customer"] += 1
        elif row.quantity > 0 and pool:
            # A return of less than nothing: there is more of the oldest line than before.
            pool[:0] = [pool[0]] * row.quantity
            kinds["full"] += 1
            kinds["units_returned"] -= row.quantity
            kinds["refund_minor"] -= pennies(Decimal(pool[0][1]) * row.quantity)
            units_back[row.sku] -= row.quantity
        else:
            wanted = max(0, -row.quantity)
            covered, pool[:wanted] = pool[:wanted], []
            for (_place, price), units in Counter(covered).items():
                kinds["refund_minor"] += pennies(Decimal(price) * units)
            kinds["units_returned"] += len(covered)
            units_back[row.sku] += len(covered)
            is_full = len(covered) == -row.quantity
            kinds["full" if is_full else "partial" if covered else "unmatched"] += 1
    return kinds, units_back


def is_sale(row: Sale) -> bool:
    if not row.invoice[0].isdigit() or Decimal(row.price) < 0 or row.quantity <= 0:
        return False
    return Decimal(row.price) != 0 or bool(row.customer)


def reference(rows: Sequence[Sale]) -> dict[str, Any]:
    """The figures by the rules alone, written for clarity and without regard for time."""
    plain = [row for row in rows if row.invoice[0].isdigit() and Decimal(row.price) >= 0]
    sales = [row for row in plain if is_sale(row)]
    receipts = [row for row in plain if row.quantity > 0 and not is_sale(row)]
    kinds, units_back = tally_returns(rows)
    sold, received, lost = Counter[str](), Counter[str](), Counter[str]()
    for row in sales:
        sold[row.sku] += row.quantity
    for row in receipts:
        received[row.sku] += row.quantity
    for row in plain:
        lost[row.sku] += max(0, -row.quantity)
    skus = {row.sku for row in rows}
    moved = {sku: (sold[sku], units_back[sku], received[sku], lost[sku]) for sku in skus}
    lines = [f"{sku}:{':'.join(map(str, n))}" for sku, n in sorted(moved.items()) if any(n)]
    top = sorted((sku for sku in skus if sold[sku]), key=lambda sku: (-sold[sku], sku))[:5]
    names = ("full", "partial", "unmatched", "without_customer", "units_returned", "refund_minor")
    return {
        "skus": len(skus),
        "orders": len({row.invoice for row in sales}),
        "order_lines": len(sales),
        "customers": len({row.customer for row in sales if row.customer}),
        "guest_orders": len({row.invoice for row in sales if not row.customer}),
        "units_sold": sold.total(),
        "revenue_minor": sum(pennies(Decimal(row.price) * row.quantity) for row in sales),
        "received_units": received.total(),
        "written_off_units": lost.total(),
        "skipped_rows": sum(row not in plain and row.invoice[0] != "C" for row in rows),
        "returns": {name: kinds[name] for name in names},
        "top_skus": [[sku, sold[sku]] for sku in top],
        "movements_sha256": hashlib.sha256("\n".join(lines).encode()).hexdigest(),
    }


CODES = ["A", "a", "B 1", "é", " A", "'A'", ""]
PENNIES = ["0", "0.00", "2.55", "3", "-1"]


def rows_of(prices: Sequence[str], *, c_units: tuple[int, int]) -> st.SearchStrategy[list[Sale]]:
    """Files of any rows; the lines of one invoice may be of several customers and of guests."""
    plain = st.builds(
        Sale,
        st.sampled_from("12345"),
        st.sampled_from(CODES),
        st.integers(-3, 6),
        st.sampled_from(prices),
        st.sampled_from(["", "7", "7", "8"]),
    )
    other = st.builds(
        Sale,
        st.sampled_from(["C1", "C2", "A3", "c4"]),
        st.sampled_from(CODES[:5]),
        st.integers(*c_units),
        st.sampled_from(["2.55", "-1"]),
        st.sampled_from(["", "7", "7", "8"]),
    )
    return st.lists(plain | plain | other, max_size=30)


files = rows_of([*PENNIES, "0.125", "0.005"], c_units=(-9, 0))
odd_files = rows_of(PENNIES, c_units=(-9, 4))
"""With resales. At prices finer than a penny each line's share of a return is rounded by itself."""


@settings(max_examples=1000)
@given(rows=files | odd_files)
def test_a_plan_comes_to_what_the_rules_say(rows: list[Sale]) -> None:
    plan = plan_of(rows)
    assert plan.problems == []
    assert plan.rows == len(rows)
    assert json.loads(msgspec.json.encode(figures_of(plan))) == reference(rows)


@given(rows=odd_files)
def test_rows_and_invoices_of_any_size_find_room(rows: list[Sale]) -> None:
    with pytest.MonkeyPatch.context() as bounds:
        bounds.setattr(fit, "QUANTITY_MAX", 2)
        bounds.setattr("serai.cli.replay.plan.LINES_MAX", 3)
        bounds.setattr("serai.cli.replay.plan.AMOUNT_MINOR_MAX", 2_000)
        plan = plan_of(rows)
    assert plan.problems == []
    assert json.loads(msgspec.json.encode(figures_of(plan))) == reference(rows)
    for order in plan.orders:
        assert 0 < len(order.lines) <= 3
        assert order.total_minor <= 2_000
        assert all(line.quantity <= 2 for line in order.lines)
        assert order.total_minor == sum(
            pennies(Decimal(line.unit_price) * line.quantity) for line in order.lines
        )


@given(rows=files | odd_files)
def test_nothing_more_comes_back_of_a_line_than_was_bought(rows: list[Sale]) -> None:
    plan = plan_of(rows)
    back: Counter[tuple[int, int]] = Counter()
    for comeback in plan.comebacks:
        assert 0 < sum(piece.quantity for piece in comeback.pieces) <= comeback.wanted
        for piece in comeback.pieces:
            back[piece.order, piece.line_no] += piece.quantity
    for (order, line_no), units in back.items():
        assert units <= plan.orders[order].lines[line_no - 1].quantity


def given_expectations() -> Callable[[str], dict[str, Any]]:
    path = DATA / "expected.py"
    if not path.exists():
        pytest.skip("the data folder ../shared/data is not there, so its expected.py is not asked")
    spec = importlib.util.spec_from_file_location("expected", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Callable[[str], dict[str, Any]] = module.expected
    return found


@settings(max_examples=200)
@given(rows=files | odd_files)
def test_a_plan_agrees_with_the_given_expectations_on_any_file(
    rows: list[Sale], tmp_path_factory: pytest.TempPathFactory
) -> None:
    expected = given_expectations()
    path = tmp_path_factory.mktemp("retail") / "retail.csv.gz"
    with gzip.open(path, "wt", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow((*COLUMNS, "CustomerID", "Country"))
        for row in rows:
            writer.writerow(
                (row.invoice, row.sku, "LAMP", row.quantity, "d", row.price, row.customer, "UK")
            )
    planner = Planner()
    for read in read_rows(path):
        planner.take(read)
    theirs = path.with_name("expected.json")
    theirs.write_text(json.dumps(expected(str(path))))
    assert figures_of(planner.plan) == read_expectations(theirs)


def test_a_return_is_cut_into_pieces_of_the_oldest_lines_first() -> None:
    plan = plan_of(
        [
            Sale("1", "A", 2),
            Sale("2", "B", 1),
            Sale("2", "A", 5),
            Sale("C9", "A", -4),
            Sale("C9", "A", -9),
        ]
    )
    assert [(c.invoice, c.number, c.wanted, c.pieces) for c in plan.comebacks] == [
        ("C9", 1, 4, (Piece(0, 1, 2), Piece(1, 2, 2))),
        ("C9", 2, 9, (Piece(1, 2, 3),)),
    ]


def test_a_refund_is_rounded_piece_by_piece() -> None:
    plan = plan_of([Sale("1", "A", 4, "0.125"), Sale("C9", "A", -1), Sale("C9", "A", -1)])
    assert plan.orders[0].total_minor == 50
    assert plan.refund_minor == 26


def test_goods_are_called_what_they_were_sold_as() -> None:
    planner = Planner()
    for line, (description, quantity, price) in enumerate(
        [("", 1, "0"), ("damaged?\r\n", -1, "0"), ("  RED\tLAMP ", 1, "2.5"), ("OTHER", 1, "3")], 2
    ):
        planner.take(Row(line, str(line), "A", description, quantity, Decimal(price), ""))
    goods = planner.plan.goods["A"]
    assert (goods.title, goods.price_minor) == ("RED LAMP", 250)


@pytest.mark.parametrize(
    ("row", "column", "code"),
    [
        (Sale("1", "A" * 65, 1), "StockCode", "field_too_long"),
        (Sale("1", " " + "A" * 62, 1), "StockCode", "field_too_long"),
        (Sale("1", "A\x00B", 1), "StockCode", "control_character"),
        (Sale("1\n2", "A", 1), "InvoiceNo", "control_character"),
        (Sale("1" * 65, "A", 1), "InvoiceNo", "field_too_long"),
        (Sale("1", "A", 1, customer="7" * 65), "CustomerID", "field_too_long"),
        (Sale("1", "A", -1_000_000_001), "Quantity", "too_many_units"),
        (Sale("1", "A", 1_000_000_001, "0", ""), "Quantity", "too_many_units"),
        (Sale("1", "A", 1, "0.1234567"), "UnitPrice", "price_too_fine"),
        (Sale("1", "A", 1, "1e-99999"), "UnitPrice", "price_too_fine"),
        (Sale("1", "A", 1, "1e99999"), "UnitPrice", "price_too_large"),
        (Sale("1", "A", 2, "9999999999999"), "UnitPrice", "amount_too_large"),
        (Sale("C1", "Z", 1_000_000_000), "Quantity", "too_many_units"),
    ],
)
def test_what_a_shop_cannot_hold_is_told_by_row_and_changes_nothing(
    row: Sale, column: str, code: str
) -> None:
    first = Sale("0", "Z", 1)
    plan = plan_of([first, row, Sale("C0", "Z", -1)])
    assert [(p.row, p.column, p.code) for p in plan.problems] == [(3, column, code)]
    untouched = plan_of([first, Sale("C0", "Z", -1)])
    assert figures_of(plan) == figures_of(untouched)


def test_a_resale_comes_back_before_later_lines_and_at_the_price_of_the_oldest() -> None:
    plan = plan_of(
        [Sale("1", "A", 2, "3"), Sale("2", "A", 2, "5"), Sale("C8", "A", 1), Sale("C9", "A", -4)]
    )
    assert [(o.invoice, [tuple_of(line) for line in o.lines]) for o in plan.orders] == [
        ("1", [("A", 2, "3")]), ("2", [("A", 2, "5")]), ("C8", [("A", 1, "3")]),
    ]  # fmt: skip
    assert [c.pieces for c in plan.comebacks] == [(Piece(0, 1, 2), Piece(2, 1, 1), Piece(1, 1, 1))]
    assert figures_of(plan).returns == figures.Returned(2, 0, 0, 0, 3, 1_100)


def tuple_of(line: Line) -> tuple[str, int, str]:
    return line.sku, line.quantity, line.unit_price


def test_no_two_codes_are_one_sku() -> None:
    codes = ["", " ", "A", " A", "A ", "'A'", "' A'", "''", "'", "'A", "''A''", "\u00a0A"]
    skus = [fit.write_sku(code) for code in codes]
    assert len(set(skus)) == len(codes)
    assert [fit.read_sku(sku) for sku in skus] == codes
    assert all(sku and sku == sku.strip() for sku in skus)


def test_cancellations_that_the_rules_count_and_nothing_can_be_sent_for() -> None:
    rows = [
        Sale("1", "A", 1),
        Sale("C1", "A", 0),
        Sale("C2", "B", 5),
        Sale("C3", "A", -1, customer=""),
    ]
    plan = plan_of(rows)
    assert plan.problems == []
    assert plan.comebacks == []
    assert figures_of(plan).returns == figures.Returned(1, 0, 1, 1, 0, 0)


def test_a_price_is_sent_as_plain_text() -> None:
    prices = ["2.50", "1E+2", "0.001", "-0.00", "1.230000000"]
    plan = plan_of([Sale("1", "A", 1, price) for price in prices])
    assert [line.unit_price for line in plan.orders[0].lines] == [
        "2.5",
        "100",
        "0.001",
        "0",
        "1.23",
    ]


@pytest.mark.parametrize("text", ["", "[]", '{"skus": 1}', '{"skus": "one"}'])
def test_a_file_that_holds_no_expectations_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "expected.json"
    path.write_text(text)
    with pytest.raises(FileFault, match="does not hold the figures"):
        read_expectations(path)
