"""Each promise seen broken on a made-up history, and none where all is well."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest

from serai.cli.check import Outcome, Report
from serai.cli.check import Violation as Finding
from serai.cli.prove.history import History, Sight
from serai.cli.prove.invariants import INVARIANTS, judge
from serai.cli.prove.witness import (
    ChargeSeen,
    MessageSeen,
    OrderSeen,
    PaymentSeen,
    Remains,
    ShipmentSeen,
    StockSeen,
)
from serai.kernel.remains import RepeatedEvent, RunningFlow, UnhandledEvent
from tests.unit.prove_case import (
    BOUGHT,
    HELD,
    LEFT,
    PRICE,
    REFUSED,
    UNDONE,
    a_case,
    a_history,
    attempt,
    charge,
    evidence,
    order,
    placed,
)

NOW = datetime(2026, 11, 24, tzinfo=UTC)
KEY = UUID(int=1)
Change = Callable[[History, dict[str, Any]], None]
BREAKS: dict[str, tuple[str, Change]] = {}


def breaks(invariant: str) -> Callable[[Change], Change]:
    """A way to break a promise, known by the name of its function."""

    def register(change: Change) -> Change:
        BREAKS[change.__name__] = (invariant, change)
        return change

    return register


def orders_with(*changed: OrderSeen) -> list[OrderSeen]:
    new = {one.id: one for one in changed}
    return [new.pop(one.id, one) for one in evidence().orders] + list(new.values())


def book_with(*changed: ChargeSeen) -> list[ChargeSeen]:
    new = {one.reference: one for one in changed}
    return [new.pop(one.reference, one) for one in evidence().book] + list(new.values())


@breaks("acknowledged")
def order_is_lost(_history: History, seen: dict[str, Any]) -> None:
    seen["orders"] = [one for one in evidence().orders if one.id != REFUSED]


@breaks("acknowledged")
def order_is_doubled(_history: History, seen: dict[str, Any]) -> None:
    seen["orders"] = orders_with(order(1, "o-second", "cancelled"))


@breaks("acknowledged")
def buyer_who_left_has_two_orders(_history: History, seen: dict[str, Any]) -> None:
    seen["orders"] = orders_with(order(4, "o-second", "cancelled"))


@breaks("acknowledged")
def order_is_of_nobody(_history: History, seen: dict[str, Any]) -> None:
    seen["orders"] = orders_with(order(99, "o-stray", "cancelled"))


@breaks("ended")
def order_is_stuck(_history: History, seen: dict[str, Any]) -> None:
    seen["orders"] = orders_with(order(1, REFUSED, "placed"))


@breaks("reasons")
def nobody_asked_for_the_cancellation(_history: History, seen: dict[str, Any]) -> None:
    seen["orders"] = orders_with(order(1, REFUSED, "cancelled", reason="requested"))


@breaks("reasons")
def good_card_is_declined(_history: History, seen: dict[str, Any]) -> None:
    seen["orders"] = orders_with(order(1, REFUSED, "cancelled", reason="payment_declined"))


@breaks("kept")
def confirmed_order_is_taken_back(history: History, _seen: dict[str, Any]) -> None:
    history.stories[1].sights.append(Sight(1.5, "confirmed"))


@breaks("oversold")
def last_unit_is_sold_twice(history: History, seen: dict[str, Any]) -> None:
    seen["orders"] = orders_with(order(1, REFUSED, "confirmed"), order(3, UNDONE, "confirmed"))
    del history.stories[3].deeds[1]


@breaks("stock")
def shelf_says_otherwise(_history: History, seen: dict[str, Any]) -> None:
    seen["stock"] = [StockSeen("lamp", 3, 2, 0, 1, 0)]


@breaks("stock")
def units_come_from_nowhere(_history: History, seen: dict[str, Any]) -> None:
    seen["stock"] = [StockSeen("lamp", 4, 2, 0, 2, 0)]


@breaks("reserved")
def reservation_leaks(_history: History, seen: dict[str, Any]) -> None:
    seen["stock"] = [StockSeen("lamp", 3, 0, 1, 2, 0)]


@breaks("charged_once")
def order_is_charged_twice(_history: History, seen: dict[str, Any]) -> None:
    seen["book"] = [*evidence().book, charge(LEFT, key="k-again")]


@breaks("charged_for_goods")
def money_of_an_undone_order_is_kept(_history: History, seen: dict[str, Any]) -> None:
    seen["book"] = book_with(charge(UNDONE, refunded=PRICE - 1))


@breaks("charged_for_goods")
def hold_of_an_undone_order_is_kept(_history: History, seen: dict[str, Any]) -> None:
    seen["book"] = book_with(charge(REFUSED, captured=0, status="authorised"))


@breaks("charged_for_goods")
def money_is_taken_for_no_order(_history: History, seen: dict[str, Any]) -> None:
    seen["book"] = [*evidence().book, charge("o-unheard-of")]


@breaks("paid")
def confirmed_order_is_not_paid(_history: History, seen: dict[str, Any]) -> None:
    seen["book"] = [one for one in evidence().book if one.reference != LEFT]


@breaks("paid")
def answered_capture_did_not_happen(_history: History, seen: dict[str, Any]) -> None:
    seen["book"] = book_with(charge(HELD, captured=0, status="authorised"))


@breaks("refunded")
def return_is_refunded_twice(_history: History, seen: dict[str, Any]) -> None:
    seen["book"] = book_with(charge(BOUGHT, refunded=2 * PRICE))


@breaks("refunded")
def return_is_not_refunded(_history: History, seen: dict[str, Any]) -> None:
    seen["book"] = book_with(charge(BOUGHT))


@breaks("carried_out")
def answered_cancellation_did_not_happen(_history: History, seen: dict[str, Any]) -> None:
    seen["orders"] = orders_with(order(3, UNDONE, "confirmed"))


@breaks("carried_out")
def answered_return_is_not_there(_history: History, seen: dict[str, Any]) -> None:
    seen["returns"] = []


@breaks("settled")
def payment_is_open(_history: History, seen: dict[str, Any]) -> None:
    seen["payments"] = [PaymentSeen(LEFT, "unknown", 0, 0, 0)]


@breaks("settled")
def refund_is_open(_history: History, seen: dict[str, Any]) -> None:
    seen["payments"] = [PaymentSeen(BOUGHT, "captured", PRICE, PRICE, 0)]


@breaks("settled")
def return_is_given_up(_history: History, seen: dict[str, Any]) -> None:
    (one,) = evidence().returns
    seen["returns"] = [msgspec.structs.replace(one, status="refund_failed")]


@breaks("handled")
def event_is_never_handled(_history: History, seen: dict[str, Any]) -> None:
    lost = UnhandledEvent("shipping", "orders.order_confirmed.v1", KEY, KEY, NOW)
    seen["remains"] = Remains(unhandled=[lost])


@breaks("handled")
def event_is_parked(_history: History, seen: dict[str, Any]) -> None:
    seen["remains"] = Remains(parked=["shipping orders.order_confirmed.v1, dead: KeyError"])


@breaks("once")
def event_is_announced_twice(_history: History, seen: dict[str, Any]) -> None:
    seen["repeated"] = [RepeatedEvent("orders.order_confirmed.v1", KEY, 2)]


@breaks("once")
def order_is_shipped_twice(_history: History, seen: dict[str, Any]) -> None:
    seen["shipments"] = [*evidence().shipments, ShipmentSeen("s-again", LEFT, "pending")]


@breaks("once")
def undone_order_is_shipped(_history: History, seen: dict[str, Any]) -> None:
    seen["shipments"] = [*evidence().shipments, ShipmentSeen("s-stray", REFUSED, "pending")]


@breaks("once")
def buyer_is_told_twice(_history: History, seen: dict[str, Any]) -> None:
    seen["messages"] = [*evidence().messages, MessageSeen(LEFT, "order_confirmed")]


@breaks("once")
def buyer_is_not_told(_history: History, seen: dict[str, Any]) -> None:
    seen["messages"] = [one for one in evidence().messages if one.order_id != REFUSED]


@breaks("once")
def refund_is_told_of_twice(_history: History, seen: dict[str, Any]) -> None:
    seen["messages"] = [*evidence().messages, MessageSeen(BOUGHT, "refund_settled")]


@breaks("flows")
def saga_runs_on(_history: History, seen: dict[str, Any]) -> None:
    seen["remains"] = Remains(flows=[RunningFlow("checkout", KEY, "paying", NOW, NOW)])


@breaks("equal_keys")
def twins_get_two_orders(history: History, _seen: dict[str, Any]) -> None:
    history.stories[1].deeds[0].attempts.append(placed("o-second"))


@breaks("equal_keys")
def twins_get_two_answers(history: History, _seen: dict[str, Any]) -> None:
    said = {"id": REFUSED, "status": "cancelled"}
    history.stories[1].deeds[0].attempts.append(attempt(said=said))


@breaks("bugs")
def request_meets_a_bug(history: History, _seen: dict[str, Any]) -> None:
    history.stories[1].deeds[0].attempts.insert(0, attempt(500, "internal"))


@breaks("accepted")
def order_is_refused_for_no_reason(history: History, _seen: dict[str, Any]) -> None:
    history.stories[5].deeds[0].attempts.append(attempt(401, "unauthenticated"))


@breaks("check")
def check_finds_something(_history: History, seen: dict[str, Any]) -> None:
    finding = Outcome("orders", "orders", "Sums.", [Finding("proving-ground", "id=1")])
    seen["check"] = Report(is_clean=False, tenants=1, checks=[finding])


def test_a_run_in_which_all_went_well_breaks_nothing() -> None:
    assert judge(a_case()) == []


@pytest.mark.parametrize("way", list(BREAKS))
def test_a_broken_promise_is_seen_and_named(way: str) -> None:
    invariant, change = BREAKS[way]
    history, seen = a_history(), dict[str, Any]()
    change(history, seen)
    found = judge(a_case(history, **seen))
    assert invariant in {violation.invariant for violation in found}
    assert all(violation.detail for violation in found)


def test_every_promise_is_seen_broken() -> None:
    assert {invariant for invariant, _ in BREAKS.values()} == {i.name for i in INVARIANTS}


def test_a_violation_comes_with_the_history_that_shows_it() -> None:
    history, seen = a_history(), dict[str, Any]()
    order_is_charged_twice(history, seen)
    (violation,) = [v for v in judge(a_case(history, **seen)) if v.invariant == "charged_once"]
    text = "\n".join(violation.history)
    assert "buyer-00004 wants 1 x lamp" in text
    assert "FAULT api_killed api-1 process 1" in text
    assert text.count("in the provider's book") == 2


def test_units_that_are_oversold_are_counted() -> None:
    history, seen = a_history(), dict[str, Any]()
    last_unit_is_sold_twice(history, seen)
    (violation,) = [v for v in judge(a_case(history, **seen)) if v.invariant == "oversold"]
    assert (violation.count, violation.detail) == (1, "lamp: 4 sold of 3")


def test_an_order_that_its_buyer_cancelled_may_have_been_seen_confirmed() -> None:
    history = a_history()
    history.stories[3].sights.append(Sight(1.2, "confirmed"))
    assert judge(a_case(history)) == []


def test_a_later_state_under_an_equal_key_is_no_other_answer_where_it_was_asked_for() -> None:
    history = a_history()
    later = {"id": REFUSED, "status": "cancelled"}
    history.stories[1].deeds[0].attempts.append(attempt(said=later, is_waiting=True))
    assert judge(a_case(history)) == []


def test_a_return_nobody_answered_may_or_may_not_be_there() -> None:
    history = a_history()
    history.stories[0].deeds[1].attempts = [attempt(0, "no answer within 6 s")]
    assert judge(a_case(history)) == []
