"""The checkout flow over all contexts: every way an order can go, and what is left afterwards."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from serai.contexts.orders.contract import OrderNotCancellable
from serai.contexts.orders.handlers import RequestCancellation
from serai.contexts.payments.gateways import sandbox_cards
from serai.kernel import ids
from serai.kernel.db import Database
from serai.kernel.events import Cause
from serai.kernel.failure import NotFound
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
