"""The checkout flow over all contexts: every way an order can go, and what is left afterwards."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from serai.contexts.orders.contract import ConfirmOrder, OrderNotCancellable, OrderUnpaid
from serai.contexts.orders.handlers import RequestCancellation
from serai.contexts.orders.store import PostgresOrders
from serai.contexts.payments.gateways import sandbox_cards
from serai.contexts.payments.handlers.answers import HearCallback
from serai.contexts.payments.handlers.requests import CapturePayment, RefundPayment
from serai.contexts.payments.model import key_of
from serai.contexts.payments.ports import Answer
from serai.contexts.shipping.handlers import DispatchOrder
from serai.contexts.shipping.model import Booking, Units
from serai.kernel import ids
from serai.kernel.db import Database
from serai.kernel.events import Cause
from serai.kernel.failure import NotFound
from serai.kernel.tenant import POOLED
from tests.integration.fulfilment_shop import Client, code_of, open_client, outbox
from tests.integration.house import House, at_once

SKUS = ("tent", "lamp")


@pytest.fixture
async def house(database: Database, tmp_path: Path) -> AsyncIterator[House]:
    opened = await House(database, tmp_path).open()
    await opened.offer(*SKUS)
    await opened.receive(tent=10, lamp=10)
    yield opened
    findings = await opened.findings()
    await opened.composition.close()
    assert findings == []


async def cancel(house: House, order_id: UUID) -> None:
    await house.submit(
        "orders.request_cancellations",
        RequestCancellation(house.tenant, order_id, Cause(ids.new_id())),
    )


async def test_an_order_is_reserved_paid_confirmed_shipped_and_told(house: House) -> None:
    order_id = await house.place(("tent", 2), ("lamp", 1))
    await house.rest()
    order = await house.order(order_id)
    assert (order["status"], order["total_minor"], order["captured_minor"]) == (
        "confirmed",
        3000,
        3000,
    )
    assert await house.stock("tent") == (8, 0, 2, 0)
    assert await house.stock("lamp") == (9, 0, 1, 0)
    shipments = await house.rows(
        "SELECT status FROM shipping.shipments WHERE order_id = $1", order_id
    )
    assert [s["status"] for s in shipments] == ["pending"]
    messages = await house.rows("SELECT kind, status FROM notifications.messages")
    assert [m["status"] for m in messages] == ["queued"]


async def test_buyers_of_the_last_units_get_exactly_those(house: House) -> None:
    orders = await at_once(*(house.place(("tent", 1)) for _ in range(25)))
    await house.rest()
    rows = [await house.order(order_id) for order_id in orders]
    assert Counter((r["status"], r["reason"]) for r in rows) == {
        ("confirmed", None): 10,
        ("cancelled", "out_of_stock"): 15,
    }
    assert await house.stock("tent") == (0, 0, 10, 0)


async def test_all_lines_or_none(house: House) -> None:
    order_id = await house.place(("tent", 1), ("lamp", 11))
    await house.rest()
    assert (await house.order(order_id))["reason"] == "out_of_stock"
    assert await house.stock("tent") == (10, 0, 0, 0)


async def test_a_declined_card_frees_the_goods(house: House) -> None:
    order_id = await house.place(("tent", 4), card=sandbox_cards.NO_FUNDS)
    await house.rest()
    order = await house.order(order_id)
    assert (order["status"], order["reason"], order["captured_minor"]) == (
        "cancelled",
        "payment_declined",
        0,
    )
    assert await house.stock("tent") == (10, 0, 0, 0)


async def test_an_unpaid_order_expires_and_frees_its_goods(house: House) -> None:
    order_id = await house.place(("tent", 4), card=None)
    await house.rest()
    assert await house.stock("tent") == (6, 4, 0, 0)
    await house.ring()
    assert (await house.order(order_id))["status"] == "placed"
    house.clock.advance(timedelta(minutes=15, seconds=1))
    await house.ring()
    order = await house.order(order_id)
    assert (order["status"], order["reason"]) == ("cancelled", "expired")
    assert await house.stock("tent") == (10, 0, 0, 0)


async def test_a_confirmed_order_that_is_cancelled_gives_goods_and_money_back(house: House) -> None:
    order_id = await house.place(("tent", 3))
    await house.rest()
    await cancel(house, order_id)
    await house.rest()
    order = await house.order(order_id)
    assert (order["status"], order["reason"]) == ("cancelled", "requested")
    assert (order["captured_minor"], order["refunded_minor"]) == (3000, 3000)
    assert await house.stock("tent") == (10, 0, 0, 0)
    shipments = await house.rows(
        "SELECT status FROM shipping.shipments WHERE order_id = $1", order_id
    )
    assert {s["status"] for s in shipments} <= {"cancelled"}


async def test_an_order_cancelled_before_checkout_began_is_never_charged(house: House) -> None:
    order_id = await house.place(("tent", 3))
    await cancel(house, order_id)
    await house.rest()
    order = await house.order(order_id)
    assert order["status"] == "cancelled"
    assert order["captured_minor"] == order["refunded_minor"]
    assert await house.stock("tent") == (10, 0, 0, 0)


async def test_cancelling_twice_or_a_stranger_s_order_is_refused(house: House) -> None:
    order_id = await house.place(("tent", 1))
    await house.rest()
    await cancel(house, order_id)
    with pytest.raises(OrderNotCancellable):
        await cancel(house, order_id)
    with pytest.raises(NotFound):
        await cancel(house, ids.new_id())
    await house.rest()


async def test_an_order_that_costs_nothing_is_confirmed_without_payment(house: House) -> None:
    order_id = await house.place(("tent", 1), price="0", card=None)
    await house.rest()
    assert (await house.order(order_id))["status"] == "confirmed"
    assert await house.rows("SELECT 1 FROM payments.intents") == []


async def test_an_authorised_order_is_confirmed_and_not_captured(house: House) -> None:
    order_id = await house.place(("tent", 1), is_capture_manual=True)
    await house.rest()
    order = await house.order(order_id)
    assert (order["status"], order["captured_minor"]) == ("confirmed", 0)


# --------------------------------------------------- money that was held and is gone when wanted


async def hold(house: House) -> UUID:
    """An order of two tents that is confirmed, with its money held and not captured."""
    order_id = await house.place(("tent", 2), is_capture_manual=True)
    await house.rest()
    assert (await house.order(order_id))["status"] == "confirmed"
    return order_id


async def lose_hold(house: House, order_id: UUID) -> None:
    """The provider says that it holds the money no longer."""
    answer = Answer(key_of(house.tenant, order_id), "voided", "ch_1", "hold_expired", 0)
    await house.submit(
        "payments.hear_callbacks",
        HearCallback(house.tenant, order_id, answer, Cause(ids.new_id())),
    )


async def dispatch(house: House, order_id: UUID, units: int) -> None:
    await house.submit(
        "shipping.dispatch_orders",
        DispatchOrder(
            house.tenant, order_id, (Units(1, units),), Booking("caravan", None), ids.new_id(),
            Cause(ids.new_id()),
        ),
    )  # fmt: skip


async def unpaid(house: House) -> list[UUID]:
    events = await outbox(house.database, house.tenant)
    return [event.order_id for event in events if isinstance(event, OrderUnpaid)]


async def test_a_hold_that_is_gone_before_anything_left_undoes_the_order(house: House) -> None:
    order_id = await hold(house)
    await lose_hold(house, order_id)
    await house.rest()
    order = await house.order(order_id)
    assert (order["status"], order["reason"], order["is_unpaid"]) == (
        "cancelled", "payment_declined", False,
    )  # fmt: skip
    assert await house.stock("tent") == (10, 0, 0, 0)
    shipments = await house.rows("SELECT status FROM shipping.shipments")
    assert [s["status"] for s in shipments] == ["cancelled"]
    messages = await house.rows("SELECT kind FROM notifications.messages ORDER BY id")
    assert [m["kind"] for m in messages] == ["order_confirmed", "order_cancelled"]
    assert await unpaid(house) == []


async def test_a_hold_that_is_gone_before_the_shipment_was_made_lets_none_be_made(
    house: House,
) -> None:
    order_id = await house.place(("tent", 2), is_capture_manual=True)
    await house.rest(without=("shipping",))
    assert (await house.order(order_id))["status"] == "confirmed"
    await lose_hold(house, order_id)
    await house.rest(without=("shipping",))
    await house.rest()
    assert (await house.order(order_id))["reason"] == "payment_declined"
    assert await house.stock("tent") == (10, 0, 0, 0)
    shipments = await house.rows("SELECT status FROM shipping.shipments")
    assert {s["status"] for s in shipments} == {"cancelled"}


async def test_a_hold_that_is_gone_with_goods_on_the_road_marks_the_order_unpaid(
    house: House,
) -> None:
    order_id = await hold(house)
    await dispatch(house, order_id, 1)
    await house.rest()
    await lose_hold(house, order_id)
    await house.rest()
    order = await house.order(order_id)
    assert (order["status"], order["reason"], order["is_unpaid"], order["captured_minor"]) == (
        "confirmed", None, True, 0,
    )  # fmt: skip
    assert await house.stock("tent") == (8, 0, 2, 0)
    assert await unpaid(house) == [order_id]
    # Later too `serai check` has nothing to say of it: a person was told.
    house.clock.advance(timedelta(minutes=11))
    assert await house.findings() == []


async def test_staff_finds_unpaid_orders_over_http(house: House) -> None:
    order_id = await hold(house)
    others = [await hold(house), await hold(house)]
    await dispatch(house, order_id, 1)
    await lose_hold(house, order_id)
    await house.rest()
    (orders,) = [module for module in house.composition.modules if module.name == "orders"]
    async with open_client(orders) as http:
        staff = Client(http, house.tenant)
        listed = (await staff.get("/v1/orders", unpaid="true")).json()["items"]
        assert [(order["id"], order["is_unpaid"]) for order in listed] == [(str(order_id), True)]
        read = (await staff.get(f"/v1/orders/{order_id}")).json()
        assert (read["is_unpaid"], read["status"]) == (True, "confirmed")
        everything = (await staff.get("/v1/orders")).json()["items"]
        assert {order["id"]: order["is_unpaid"] for order in everything} == {
            str(order_id): True, **{str(other): False for other in others}
        }  # fmt: skip
        for query in ({"unpaid": "maybe"}, {"unpaid": "true", "status": "confirmed"}):
            assert code_of(await staff.get("/v1/orders", **query)) == (400, "invalid")


async def test_an_unpaid_order_nobody_was_told_of_is_found(house: House) -> None:
    order_id = await hold(house)
    await dispatch(house, order_id, 1)
    await lose_hold(house, order_id)
    await house.rest()
    house.clock.advance(timedelta(minutes=11))
    async with house.database.transaction(POOLED, (house.tenant,)) as tx:
        await tx.connection.execute("UPDATE orders.orders SET is_unpaid = false")
    found = {(f.check, f.detail) for f in await house.findings()}
    assert found == {
        ("checkout.paid", f"order_id={order_id}"),
        ("flows.orders_agree", f"order_id={order_id}: it is confirmed and its payment is declined"),
    }
    async with house.database.transaction(POOLED, (house.tenant,)) as tx:
        await tx.connection.execute("UPDATE orders.orders SET is_unpaid = true")


async def test_a_lost_hold_and_a_cancellation_undo_an_order_once(house: House) -> None:
    for first, second in ((lose_hold, cancel), (cancel, lose_hold)):
        order_id = await hold(house)
        await first(house, order_id)
        await second(house, order_id)
        await house.rest()
        assert (await house.order(order_id))["status"] == "cancelled"
    assert await house.stock("tent") == (10, 0, 0, 0)
    messages = await house.rows("SELECT kind FROM notifications.messages")
    assert Counter(m["kind"] for m in messages) == {"order_confirmed": 2, "order_cancelled": 2}


async def test_a_refund_heard_before_its_capture_counts_no_money_twice(house: House) -> None:
    order_id = await house.place(("tent", 1), is_capture_manual=True)
    await house.rest()
    cause = Cause(ids.new_id())
    capture = CapturePayment(house.tenant, order_id, None, cause)
    await house.submit("payments.capture_payments", capture)
    await house.rest(without=("checkout",))
    refund = RefundPayment(house.tenant, order_id, ids.new_id(), 250, None, cause)
    await house.submit("payments.refund_payments", refund)
    await house.rest(without=("checkout",))
    assert (await house.order(order_id))["refunded_minor"] == 250
    await house.rest()
    order = await house.order(order_id)
    assert (order["captured_minor"], order["refunded_minor"]) == (1000, 250)


async def test_a_refund_heard_before_its_hold_keeps_the_money_that_was_captured(
    house: House,
) -> None:
    order_id = await house.place(("tent", 1), is_capture_manual=True)
    hearing_no_money = ("checkout",)
    await house.rest()
    other = await house.place(("tent", 1), is_capture_manual=True)
    await house.rest()
    cause = Cause(ids.new_id())
    await house.submit(
        "payments.capture_payments", CapturePayment(house.tenant, other, None, cause)
    )
    await house.rest(without=hearing_no_money)
    await house.submit(
        "payments.refund_payments",
        RefundPayment(house.tenant, other, ids.new_id(), 250, None, cause),
    )
    await house.rest(without=hearing_no_money)
    async with house.database.transaction(POOLED, (house.tenant,)) as tx:
        # As if checkout had not heard of the hold either: its order is still placed.
        await tx.connection.execute(
            "UPDATE orders.orders SET status = 'placed', settled_at = NULL WHERE id = $1", other
        )
        await PostgresOrders().confirm_orders(
            [ConfirmOrder(house.tenant, other, 0, cause)], tx=tx, now=tx.now
        )
    await house.rest()
    order = await house.order(other)
    assert (order["captured_minor"], order["refunded_minor"]) == (1000, 250)
    assert (await house.order(order_id))["captured_minor"] == 0
