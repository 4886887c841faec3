"""Shipping's commands and events, over batches, on rows in memory."""

from uuid import UUID

import pytest

from serai.contexts.orders.contract import OrderConfirmed, OrderedLine
from serai.contexts.shipping import handlers, model
from serai.contexts.shipping.contract import (
    ShipmentCreated,
    ShipmentDelivered,
    ShipmentDispatched,
    ShipmentRef,
    ShippedLine,
)
from serai.contexts.shipping.handlers import DispatchOrder, DispatchShipment, TrackShipment
from serai.contexts.shipping.model import Booking, Shipment, TrackingEvent, Units
from serai.kernel import ids
from serai.kernel.events import Cause
from serai.kernel.failure import Refused
from tests.unit.fulfilment_fakes import (
    NOW,
    MemoryShipments,
    OrderDesk,
    announced,
    delivery_of,
    make_tx,
)

A, B = UUID(int=1), UUID(int=2)
CAUSE = Cause(UUID(int=99))
LINES = (ShippedLine(1, "MUG", 5), ShippedLine(2, "TEA", 2))
POST = Booking("Post", "T1")


@pytest.fixture
def rows() -> MemoryShipments:
    return MemoryShipments()


def confirmed(order_id: UUID) -> OrderConfirmed:
    lines = tuple(OrderedLine(line.line_no, line.sku, line.quantity) for line in LINES)
    return OrderConfirmed(order_id, "GBP", 1200, None, lines)


async def confirm(rows: MemoryShipments, tenant: UUID, order_id: UUID) -> UUID:
    delivery = delivery_of(tenant, confirmed(order_id))
    await handlers.hear_order_confirmed([delivery], tx=make_tx(), now=NOW, shipments=rows)
    return model.first_id(delivery.event_id)


async def test_each_confirmed_order_gets_one_pending_shipment_of_all_its_lines(
    rows: MemoryShipments,
) -> None:
    heard = [delivery_of(A, confirmed(UUID(int=n))) for n in range(10, 310)]
    tx = make_tx()
    await handlers.hear_order_confirmed(heard, tx=tx, now=NOW, shipments=rows)
    assert rows.writes == 1
    made = [model.first_id(d.event_id) for d in heard]
    assert [rows.rows[A, i] for i in made] == [
        Shipment(A, i, UUID(int=n), 1, "pending", LINES, NOW)
        for n, i in zip(range(10, 310), made, strict=True)
    ]
    assert announced(tx) == [
        ShipmentCreated(UUID(int=n), i) for n, i in zip(range(10, 310), made, strict=True)
    ]
    assert {a.cause.causation_id for a in tx.announced} == {d.event_id for d in heard}


async def test_a_confirmation_heard_twice_makes_nothing_new(rows: MemoryShipments) -> None:
    heard = [delivery_of(A, confirmed(UUID(int=10)))]
    await handlers.hear_order_confirmed(heard, tx=make_tx(), now=NOW, shipments=rows)
    again, other_event = make_tx(), [delivery_of(A, confirmed(UUID(int=10)))]
    await handlers.hear_order_confirmed(heard, tx=again, now=NOW, shipments=rows)
    await handlers.hear_order_confirmed(other_event, tx=again, now=NOW, shipments=rows)
    assert (len(rows.rows), announced(again)) == (1, [])


def send(tenant: UUID, shipment_id: UUID, *units: Units, rest: int = 500) -> DispatchShipment:
    return DispatchShipment(tenant, shipment_id, units or None, POST, UUID(int=rest), CAUSE)


def send_order(tenant: UUID, order_id: UUID, *units: Units, rest: int = 500) -> DispatchOrder:
    return DispatchOrder(tenant, order_id, units or None, POST, UUID(int=rest), CAUSE)


def codes(outcomes: list[Shipment | Refused]) -> list[str]:
    return [o.code if isinstance(o, Refused) else o.status for o in outcomes]


async def test_a_mixed_batch_refuses_only_what_is_wrong(rows: MemoryShipments) -> None:
    first, second = await confirm(rows, A, UUID(int=10)), await confirm(rows, A, UUID(int=11))
    tx = make_tx()
    outcomes = await handlers.dispatch_shipments(
        [
            send(A, first, Units(1, 3), rest=501),
            send(B, second),
            send(A, ids.new_id()),
            send(A, second, Units(2, 3)),
            send(A, first),
            send(A, UUID(int=501), Units(1, 2), rest=502),
            send(A, second),
        ],
        tx=tx,
        now=NOW,
        shipments=rows,
    )
    assert codes(outcomes) == [
        "dispatched", "not_found", "not_found", "nothing_to_ship", "illegal_state", "dispatched",
        "dispatched",
    ]  # fmt: skip
    parcels = [
        (first, (ShippedLine(1, "MUG", 3),)),
        (UUID(int=501), (ShippedLine(1, "MUG", 2),)),
        (second, LINES),
    ]
    assert announced(tx) == [
        ShipmentDispatched(UUID(int=11 if i == second else 10), i, "Post", "T1", lines)
        for i, lines in parcels
    ]
    assert {(k[1], s.status, s.number) for k, s in rows.rows.items()} == {
        (first, "dispatched", 1),
        (UUID(int=501), "dispatched", 2),
        (UUID(int=502), "pending", 3),
        (second, "dispatched", 1),
    }


async def test_a_refused_batch_writes_nothing(rows: MemoryShipments) -> None:
    first = await confirm(rows, A, UUID(int=10))
    before, writes, tx = dict(rows.rows), rows.writes, make_tx()
    outcomes = await handlers.dispatch_shipments(
        [send(A, first, Units(9, 1))], tx=tx, now=NOW, shipments=rows
    )
    assert codes(outcomes) == ["nothing_to_ship"]
    assert (rows.rows, rows.writes, announced(tx)) == (before, writes, [])


async def test_an_order_is_dispatched_by_what_waits_for_it(rows: MemoryShipments) -> None:
    await confirm(rows, A, UUID(int=10))
    desk = OrderDesk()
    outcomes = await handlers.dispatch_orders(
        [
            send_order(A, UUID(int=10), Units(1, 1), rest=501),
            send_order(A, UUID(int=10), rest=502),
            send_order(A, UUID(int=10), rest=503),
        ],
        tx=make_tx(),
        now=NOW,
        shipments=rows,
        orders=desk,
    )
    assert codes(outcomes) == ["dispatched", "dispatched", "illegal_state"]
    assert desk.asked == []
    assert rows.rows[A, UUID(int=501)].lines == (ShippedLine(1, "MUG", 4), ShippedLine(2, "TEA", 2))


async def test_an_order_that_shipping_never_heard_of_is_asked_after(rows: MemoryShipments) -> None:
    desk = OrderDesk({UUID(int=1): "placed", UUID(int=2): "cancelled", UUID(int=3): "confirmed"})
    outcomes = await handlers.dispatch_orders(
        [send_order(A, UUID(int=n)) for n in range(5)],
        tx=make_tx(),
        now=NOW,
        shipments=rows,
        orders=desk,
    )
    assert codes(outcomes) == [
        "not_found", "illegal_state", "illegal_state", "shipment_not_ready", "not_found",
    ]  # fmt: skip
    assert (rows.rows, rows.writes) == ({}, 0)


async def test_what_happens_to_a_parcel_is_noted_in_order_until_it_arrives(
    rows: MemoryShipments,
) -> None:
    first, waiting = await confirm(rows, A, UUID(int=10)), await confirm(rows, A, UUID(int=11))
    await handlers.dispatch_shipments([send(A, first)], tx=make_tx(), now=NOW, shipments=rows)
    news = [(first, "in_transit"), (waiting, "in_transit"), (first, "delivered"), (first, "lost")]
    commands = [
        TrackShipment(A, i, UUID(int=n), status, "", NOW, CAUSE)
        for n, (i, status) in enumerate([*news, (UUID(int=7), "in_transit")])
    ]
    tx = make_tx()
    outcomes = await handlers.track_shipments(commands, tx=tx, now=NOW, shipments=rows)
    assert [o.code if isinstance(o, Refused) else o.status for o in outcomes] == [
        "in_transit", "illegal_state", "delivered", "illegal_state", "not_found",
    ]  # fmt: skip
    assert announced(tx) == [ShipmentDelivered(UUID(int=10), first)]
    assert rows.tracking == [
        TrackingEvent(A, first, UUID(int=0), "in_transit", "", NOW),
        TrackingEvent(A, first, UUID(int=2), "delivered", "", NOW),
    ]
    assert (rows.rows[A, first].status, rows.rows[A, first].version) == ("delivered", 4)


async def cancel(rows: MemoryShipments, *orders: int) -> set[UUID]:
    refs = [ShipmentRef(A, UUID(int=n), CAUSE) for n in orders]
    return await handlers.cancel_shipments(refs, tx=make_tx(), now=NOW, shipments=rows)


async def test_orders_are_undone_unless_goods_are_on_the_road(rows: MemoryShipments) -> None:
    waiting, gone = await confirm(rows, A, UUID(int=10)), await confirm(rows, A, UUID(int=11))
    other = await confirm(rows, B, UUID(int=10))
    part = [send(A, gone, Units(1, 1), rest=501)]
    await handlers.dispatch_shipments(part, tx=make_tx(), now=NOW, shipments=rows)
    assert await cancel(rows, 10, 11) == {UUID(int=10)}
    assert await cancel(rows, 10, 11) == {UUID(int=10)}
    assert await cancel(rows) == set()
    assert {k[1]: s.status for k, s in rows.rows.items()} == {
        waiting: "cancelled", gone: "dispatched", UUID(int=501): "pending", other: "pending",
    }  # fmt: skip
    refused = await handlers.dispatch_shipments(
        [send(A, waiting)], tx=make_tx(), now=NOW, shipments=rows
    )
    assert codes(refused) == ["illegal_state"]


async def test_a_confirmation_that_comes_after_the_cancellation_ships_nothing(
    rows: MemoryShipments,
) -> None:
    assert await cancel(rows, 10) == {UUID(int=10)}
    tx = make_tx()
    await handlers.hear_order_confirmed(
        [delivery_of(A, confirmed(UUID(int=10)))], tx=tx, now=NOW, shipments=rows
    )
    assert announced(tx) == []
    outcomes = await handlers.dispatch_orders(
        [send_order(A, UUID(int=10))], tx=make_tx(), now=NOW, shipments=rows, orders=OrderDesk()
    )
    assert codes(outcomes) == ["illegal_state"]
