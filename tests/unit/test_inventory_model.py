"""The reservation decision: never negative, all or none, in order, equal to one at a time."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from serai.contexts.inventory import model
from serai.contexts.inventory.contract import OutOfStock, ReserveStock, Restock, Want
from serai.contexts.inventory.model import Level, Move, NotEnoughStock, TooMuchStock
from serai.kernel.events import Cause

TENANT = UUID(int=1)
CAUSE = Cause(UUID(int=2))
SKUS = ("a", "b", "c")


def request(number: int, wants: dict[str, int]) -> ReserveStock:
    return ReserveStock(
        TENANT, UUID(int=number), tuple(Want(s, q) for s, q in wants.items()), None, CAUSE
    )


def levels_of(stock: dict[str, list[int]]) -> dict[tuple[UUID, str], list[Level]]:
    return {
        (TENANT, sku): [Level(f"place-{n}", units) for n, units in enumerate(places)]
        for sku, places in stock.items()
    }


stocks = st.fixed_dictionaries(
    {sku: st.lists(st.integers(0, 12), min_size=1, max_size=3) for sku in SKUS}
)
orders = st.lists(
    st.dictionaries(st.sampled_from((*SKUS, "unknown")), st.integers(1, 8), min_size=1), max_size=20
)


def one_at_a_time(stock: dict[str, list[int]], wanted: list[dict[str, int]]) -> list[bool]:
    """The plain reference: totals only, an order after the other."""
    left = {sku: sum(places) for sku, places in stock.items()}
    accepted = []
    for wants in wanted:
        can = all(left.get(sku, 0) >= quantity for sku, quantity in wants.items())
        accepted.append(can)
        if can:
            for sku, quantity in wants.items():
                left[sku] -= quantity
    return accepted


@given(stocks, orders)
def test_the_decision_equals_one_order_at_a_time(
    stock: dict[str, list[int]], wanted: list[dict[str, int]]
) -> None:
    levels = levels_of(stock)
    outcomes = model.reserve(levels, [request(n, wants) for n, wants in enumerate(wanted)])
    assert [not isinstance(o, OutOfStock) for o in outcomes] == one_at_a_time(stock, wanted)
    for wants, outcome in zip(wanted, outcomes, strict=True):
        if isinstance(outcome, OutOfStock):
            continue
        given_units: dict[str, int] = {}
        for allocation in outcome:
            given_units[allocation.sku] = given_units.get(allocation.sku, 0) + allocation.quantity
        assert given_units == wants
    for (_, sku), places in levels.items():
        taken = sum(
            a.quantity for o in outcomes if not isinstance(o, OutOfStock) for a in o if a.sku == sku
        )
        assert all(level.available >= 0 for level in places)
        assert sum(level.available for level in places) == sum(stock[sku]) - taken


def test_a_refused_order_takes_nothing_and_names_what_lacks() -> None:
    levels = levels_of({"a": [5], "b": [1], "c": [9]})
    first, second = model.reserve(levels, [request(1, {"a": 2, "b": 2}), request(2, {"a": 5})])
    assert isinstance(first, OutOfStock)
    assert first.facts["skus"] == ["b"]
    assert isinstance(second, list)
    assert levels[TENANT, "a"][0].available == 0
    assert levels[TENANT, "b"][0].available == 1


def test_an_order_is_filled_from_several_places_in_their_order() -> None:
    levels = levels_of({"a": [2, 5], "b": [0], "c": [0]})
    (outcome,) = model.reserve(levels, [request(1, {"a": 4})])
    assert isinstance(outcome, list)
    assert [(a.location, a.quantity) for a in outcome] == [("place-0", 2), ("place-1", 2)]


moves = st.lists(
    st.builds(
        Move,
        st.sampled_from(["receipt", "write_off"]),
        st.sampled_from(SKUS),
        st.just("place-0"),
        st.integers(1, 20),
        st.just(""),
    ),
    min_size=1,
    max_size=10,
)


@given(st.dictionaries(st.sampled_from(SKUS), st.integers(0, 30)), moves)
def test_moves_are_made_all_or_none_and_never_below_zero(
    start: dict[str, int], steps: list[Move]
) -> None:
    levels = {(TENANT, sku, "place-0"): Level("place-0", start.get(sku, 0)) for sku in SKUS}
    outcome = model.move(levels, TENANT, steps)
    left = {sku: start.get(sku, 0) for sku in SKUS}
    can = True
    for step in steps:
        left[step.sku] += step.quantity if step.kind == "receipt" else -step.quantity
        can = can and left[step.sku] >= 0
    expected = left if can else {sku: start.get(sku, 0) for sku in SKUS}
    assert {sku: levels[TENANT, sku, "place-0"].available for sku in SKUS} == expected
    assert isinstance(outcome, NotEnoughStock) is not can


def test_a_transfer_changes_two_places_and_no_total() -> None:
    levels = {
        (TENANT, "a", "main"): Level("main", 5, 8),
        (TENANT, "a", "shop"): Level("shop", 0, 0),
    }
    step = Move("transfer", "a", "main", 3, "", None, "shop")
    movements = model.move(levels, TENANT, [step])
    assert isinstance(movements, list)
    deltas = model.deltas_of(movements)
    assert (deltas[TENANT, "a", "main"].received, deltas[TENANT, "a", "main"].available) == (-3, -3)
    assert (deltas[TENANT, "a", "shop"].received, deltas[TENANT, "a", "shop"].available) == (3, 3)


def test_no_stock_item_may_hold_more_than_its_bound() -> None:
    levels = {(TENANT, "a", "main"): Level("main", 1, 999_999_999)}
    outcome = model.move(levels, TENANT, [Move("receipt", "a", "main", 2, "")])
    assert isinstance(outcome, TooMuchStock)
    assert levels[TENANT, "a", "main"].received == 999_999_999


@given(st.lists(st.sampled_from(["receipt", "write_off", "sale", "return"]), max_size=20))
def test_every_kind_of_movement_keeps_every_unit_somewhere(kinds: list[str]) -> None:
    movements = [
        model.Movement(TENANT, "a", "main", kind, 3, "", None)  # type: ignore[arg-type]
        for kind in kinds
    ]
    for delta in model.deltas_of(movements).values():
        whole = delta.available + delta.reserved + delta.sold + delta.written_off
        assert delta.received == whole


def test_returned_units_go_back_to_where_they_were_sold_from() -> None:
    order = UUID(int=7)
    sold = {(TENANT, order, "a"): [("main", 2), ("shop", 3)]}
    movements = model.restock(sold, [Restock(TENANT, order, (Want("a", 4),), CAUSE)])
    assert [(m.location, m.quantity) for m in movements] == [("main", 2), ("shop", 2)]
