"""What an order costs, and what may be cancelled or taken back."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serai.contexts.catalog.contract import Quote
from serai.contexts.orders import model
from serai.contexts.orders.contract import (
    AmountTooLarge,
    CurrencyNotOffered,
    OrderNotCancellable,
    ProductNotForSale,
    ReturnLine,
    ReturnLines,
    ReturnNotPossible,
    Taken,
    UnknownSku,
)
from serai.contexts.orders.model import Draft, KeptLine, Order, PlaceLine, PlaceOrder
from serai.kernel import money
from serai.kernel.events import Cause
from serai.kernel.failure import NotFound, Refused

TENANT, ORDER = UUID(int=1), UUID(int=2)
CAUSE = Cause(UUID(int=3))
NOW = datetime(2026, 1, 1, tzinfo=UTC)
QUOTES: dict[str, Quote | None] = {
    "tent": Quote("published", "Tent", Decimal("9.99")),
    "old": Quote("archived", "Old", Decimal("1.00")),
    "new": Quote("draft", "New", Decimal("1.00")),
    "foreign": Quote("published", "Foreign", None),
    "ghost": None,
}


def order_of(*lines: PlaceLine, currency: str = "USD") -> PlaceOrder:
    return PlaceOrder(
        TENANT, ORDER, currency, lines, None,
        is_capture_manual=False, email=None, customer=None, reference=None, cause=CAUSE,
    )  # fmt: skip


def test_an_order_costs_the_sum_of_its_lines() -> None:
    draft = model.place(order_of(PlaceLine("tent", 3, None), PlaceLine("tent", 1, None)), QUOTES)
    assert isinstance(draft, Draft)
    assert [line.amount_minor for line in draft.lines] == [2997, 999]
    assert draft.total_minor == 3996


@pytest.mark.parametrize(
    ("sku", "refusal"),
    [
        ("ghost", UnknownSku),
        ("old", ProductNotForSale),
        ("new", ProductNotForSale),
        ("foreign", CurrencyNotOffered),
    ],
)
def test_what_is_not_for_sale_is_refused_with_its_line(sku: str, refusal: type[Refused]) -> None:
    outcome = model.place(order_of(PlaceLine("tent", 1, None), PlaceLine(sku, 1, None)), QUOTES)
    assert isinstance(outcome, refusal)
    assert outcome.facts["line_no"] == 2


def test_staff_may_sell_a_draft_at_their_own_price_but_nothing_archived() -> None:
    draft = model.place(order_of(PlaceLine("new", 3, Decimal("0.335"))), QUOTES)
    assert isinstance(draft, Draft)
    assert draft.total_minor == 101, "3 x 0.335 = 1.005, rounded half up once"
    outcome = model.place(order_of(PlaceLine("old", 1, Decimal(1))), QUOTES)
    assert isinstance(outcome, ProductNotForSale)


def test_a_total_beyond_any_amount_is_refused() -> None:
    outcome = model.place(order_of(PlaceLine("tent", 1_000_000, Decimal(10**13))), QUOTES)
    assert isinstance(outcome, AmountTooLarge)


def order(status: str = "confirmed", *, is_cancelling: bool = False) -> Order:
    return Order(
        TENANT, ORDER, status, None, is_cancelling, "GBP", 1000, 1000, 0, None, None, None,  # type: ignore[arg-type]
        NOW, None, 2, is_unpaid=False,
    )  # fmt: skip


def line(number: int, quantity: int, price: str, shipped: int = 0, returned: int = 0) -> KeptLine:
    amount = money.extend(Decimal(price), quantity, "GBP")
    return KeptLine(number, f"sku-{number}", quantity, Decimal(price), amount, shipped, returned)


def sent(number: int, quantity: int, price: str, returned: int = 0) -> KeptLine:
    return line(number, quantity, price, shipped=quantity, returned=returned)


def test_an_order_with_goods_on_the_road_is_not_cancelled() -> None:
    assert model.may_cancel(order(), [line(1, 2, "1")]) is None
    for given_order, lines in (
        (order("cancelled"), []),
        (order(is_cancelling=True), []),
        (order(), [line(1, 2, "1", shipped=1)]),
        (order(), [line(1, 2, "1", returned=1)]),
    ):
        assert isinstance(model.may_cancel(given_order, lines), OrderNotCancellable)
    assert isinstance(model.may_cancel(None, []), NotFound)


def give_back(*pieces: tuple[int, int]) -> ReturnLines:
    return ReturnLines(TENANT, ORDER, tuple(ReturnLine(n, q) for n, q in pieces), CAUSE)


def test_units_of_an_order_that_is_being_cancelled_do_not_come_back_a_second_time() -> None:
    lines = [line(1, 2, "1")]
    taken = model.take_back(give_back((1, 1)), order(is_cancelling=True), lines)
    assert isinstance(taken, ReturnNotPossible)
    assert [kept.returned for kept in lines] == [0]


def test_each_piece_is_refunded_at_its_own_rounding() -> None:
    lines = [sent(1, 3, "0.335"), sent(2, 1, "2.55")]
    taken = model.take_back(give_back((1, 1), (1, 2), (2, 1)), order(), lines)
    assert isinstance(taken, Taken)
    assert [piece.refund_minor for piece in taken.lines] == [34, 67, 255]
    assert taken.refund_minor == 356
    assert [kept.returned for kept in lines] == [3, 1]


def test_pieces_that_round_up_do_not_give_back_more_than_their_line_had_cost() -> None:
    lines = [sent(1, 2, "0.335")]
    assert lines[0].amount_minor == 67
    taken = [model.take_back(give_back((1, 1)), order(), lines) for _ in range(2)]
    assert [t.refund_minor for t in taken if isinstance(t, Taken)] == [34, 33]
    assert lines[0].refund_minor == 67


def test_what_has_not_left_cannot_come_back() -> None:
    lines = [line(1, 3, "1", shipped=2)]
    taken = model.take_back(give_back((1, 3)), order(), lines)
    assert isinstance(taken, ReturnNotPossible)
    assert taken.facts == {"line_no": 1, "shipped": 2, "returned": 0}
    assert isinstance(model.take_back(give_back((1, 2)), order(), lines), Taken)


def test_nothing_comes_back_from_an_order_that_is_being_undone() -> None:
    lines = [sent(1, 3, "1")]
    taken = model.take_back(give_back((1, 1)), order(is_cancelling=True), lines)
    assert isinstance(taken, ReturnNotPossible)
    assert lines[0].returned == 0


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 5)), min_size=1, max_size=6))
def test_no_more_comes_back_than_was_bought_and_a_refusal_changes_nothing(
    pieces: list[tuple[int, int]],
) -> None:
    lines = [sent(1, 4, "1"), sent(2, 2, "1", returned=1)]
    before = [kept.returned for kept in lines]
    taken = model.take_back(give_back(*pieces), order(), lines)
    wanted = {n: sum(q for m, q in pieces if m == n) for n, _ in pieces}
    fits = wanted.get(1, 0) <= 4 and wanted.get(2, 0) <= 1 and 3 not in wanted
    assert isinstance(taken, Taken) is fits
    if not fits:
        assert isinstance(taken, ReturnNotPossible)
        assert [kept.returned for kept in lines] == before
