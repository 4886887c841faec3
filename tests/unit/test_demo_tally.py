"""The tally counts one tenant's events exactly and remembers its last orders."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec

from serai.cli.demo.scene import Counts
from serai.cli.demo.tally import A_MOMENT, HEARD, ORDERS_SHOWN_MAX, Tally, plus
from serai.contexts.orders.contract import (
    CancellationRequested,
    OrderCancelled,
    OrderConfirmed,
    OrderedLine,
    OrderPlaced,
    Reason,
)
from serai.contexts.returns.contract import ReturnAccepted
from serai.contexts.shipping.contract import ShipmentDispatched
from serai.kernel.events import Delivery, type_of

TENANT, OTHER = UUID(int=1), UUID(int=2)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
TITLES = {"TENT-RED": "Tent", "TENT-BLUE": "Tent", "TEA": "Tea"}


def delivery(event: msgspec.Struct, *, tenant: UUID = TENANT, minute: int = 0) -> Delivery:
    kind = type_of(type(event))
    return Delivery(
        UUID(int=9),
        tenant,
        kind,
        getattr(event, kind.key),
        0,
        (1, 1),
        NOON + timedelta(minutes=minute),
        UUID(int=8),
        None,
        msgspec.json.encode(event),
    )


def placed(number: int, *lines: tuple[str, int]) -> OrderPlaced:
    goods = tuple(OrderedLine(n, sku, units) for n, (sku, units) in enumerate(lines, 1))
    return OrderPlaced(UUID(int=number), "EUR", 1_250, None, is_capture_manual=False, lines=goods)


def confirmed(number: int) -> OrderConfirmed:
    return OrderConfirmed(UUID(int=number), "EUR", 1_250, None, ())


def cancelled(number: int, reason: Reason) -> OrderCancelled:
    return OrderCancelled(UUID(int=number), reason, None, "EUR", 1_250)


def heard(*events: msgspec.Struct) -> Tally:
    tally = Tally(TENANT, TITLES)
    tally.hear([delivery(event) for event in events])
    return tally


def test_orders_count_once_for_each_thing_that_befalls_them() -> None:
    tally = heard(
        *(placed(number, ("TEA", 1)) for number in range(10, 15)),
        confirmed(10),
        confirmed(11),
        cancelled(12, "out_of_stock"),
        cancelled(13, "payment_declined"),
    )
    assert tally.standing == Counts(placed=5, confirmed=2, cancelled=2)
    assert dict(tally.reasons) == {"out_of_stock": 1, "payment_declined": 1}


def test_an_order_that_was_confirmed_and_then_cancelled_stands_as_cancelled() -> None:
    tally = heard(
        placed(10),
        confirmed(10),
        CancellationRequested(UUID(int=10), was_confirmed=True),
        cancelled(10, "requested"),
        placed(11),
        CancellationRequested(UUID(int=11), was_confirmed=False),
        cancelled(11, "requested"),
    )
    assert tally.standing == Counts(placed=2, confirmed=0, cancelled=2)
    assert (tally.confirmed, tally.undone) == (1, 1)


def test_events_of_other_tenants_pass_it_by() -> None:
    tally = Tally(TENANT, TITLES)
    tally.hear([delivery(placed(10, ("TEA", 1)), tenant=OTHER)])
    assert tally.standing == Counts()
    assert tally.last_orders(LATER) == ()


def test_the_last_orders_are_told_newest_first_with_goods_and_fate() -> None:
    tally = Tally(TENANT, TITLES)
    tally.hear(
        [
            delivery(placed(10, ("TENT-RED", 1), ("TENT-BLUE", 2), ("TEA", 1)), minute=1),
            delivery(placed(11, ("UNKNOWN", 4)), minute=2),
            delivery(cancelled(10, "expired"), minute=3),
        ]
    )
    newest, oldest = tally.last_orders(LATER)
    assert (newest.order_id, newest.goods, newest.fate) == (UUID(int=11), "4x UNKNOWN", "placed")
    assert (oldest.order_id, oldest.goods, oldest.fate) == (
        UUID(int=10),
        "3x Tent, Tea",
        "expired",
    )
    assert oldest.placed_at == NOON + timedelta(minutes=1)
    assert (oldest.total_minor, oldest.currency) == (1_250, "EUR")


def test_shipments_and_returns_are_counted_and_told_at_their_order() -> None:
    order_id = UUID(int=10)
    tally = heard(
        placed(10),
        confirmed(10),
        ShipmentDispatched(order_id, UUID(int=20), "cart", None, ()),
        ReturnAccepted(order_id, UUID(int=21), "EUR", 500, is_restocked=True, lines=()),
    )
    assert (tally.shipped, tally.returned) == (1, 1)
    assert [row.fate for row in tally.last_orders(LATER)] == ["returned"]


def test_only_so_many_orders_are_remembered() -> None:
    tally = heard(*(placed(number) for number in range(ORDERS_SHOWN_MAX + 5)), confirmed(0))
    assert len(tally.last_orders(LATER)) == ORDERS_SHOWN_MAX
    assert tally.last_orders(LATER)[-1].order_id == UUID(int=5)
    assert tally.standing == Counts(placed=ORDERS_SHOWN_MAX + 5, confirmed=1)


def test_everything_that_it_counts_is_what_it_asks_the_log_for() -> None:
    assert [type_of(model).name for model in HEARD] == [
        "orders.order_placed.v1",
        "orders.order_confirmed.v1",
        "orders.order_cancelled.v1",
        "orders.cancellation_requested.v1",
        "shipping.shipment_dispatched.v1",
        "returns.return_accepted.v1",
    ]


def test_what_has_come_since_is_added_to_what_stood() -> None:
    assert plus(Counts(100, 90, 5), Counts(30, 20, 4), Counts(10, 5, 1)) == Counts(120, 105, 8)


def test_an_order_that_came_just_now_has_a_moment_to_settle() -> None:
    tally = heard(placed(10), placed(11), confirmed(11))
    assert [row.order_id for row in tally.last_orders(NOON + A_MOMENT)] == [UUID(int=11)]
    assert len(tally.last_orders(NOON + A_MOMENT + timedelta(microseconds=1))) == 2
