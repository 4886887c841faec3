"""Payments in the whole house: what reconciliation, cards by hand and second thoughts come to."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from serai.contexts.payments.contract import RefundTooLarge
from serai.contexts.payments.gateways import sandbox_cards as cards
from serai.contexts.payments.handlers.requests import CapturePayment, PayOrder, RefundPayment
from serai.kernel import ids
from serai.kernel.db import Database
from serai.kernel.events import Cause
from serai.kernel.tenant import POOLED
from tests.integration.fulfilment_shop import Client, open_client
from tests.integration.house import House, at_once

LATE = timedelta(seconds=10)
WHY = Cause(ids.new_id())


@pytest.fixture
async def house(database: Database, tmp_path: Path) -> AsyncIterator[House]:
    opened = await House(database, tmp_path).open()
    await opened.offer("tent")
    await opened.receive(tent=10)
    yield opened
    findings = await opened.findings()
    await opened.composition.close()
    assert findings == []


async def look(house: House) -> None:
    """Does what the job does until nothing is due, then lets the house come to rest."""
    (job,) = [job for job in house.composition.jobs if job.name == "payments.look"]
    while await job.run(house.database, POOLED, house.clock):
        pass
    await house.rest()


async def money(house: House, order_id: UUID) -> tuple[str, int, int]:
    """What the payment says, which the order's own book must say too."""
    (row,) = await house.rows(
        "SELECT status, captured_minor, refunded_minor FROM payments.intents WHERE order_id = $1",
        order_id,
    )
    return row["status"], row["captured_minor"], row["refunded_minor"]


async def booked(house: House, order_id: UUID) -> tuple[str, int, int]:
    order = await house.order(order_id)
    return order["status"], order["captured_minor"], order["refunded_minor"]


@pytest.mark.parametrize(
    ("card", "order", "payment"),
    [
        (cards.SILENT_APPROVED, ("confirmed", 1000, 0), ("captured", 1000, 0)),
        (cards.SILENT_DECLINED, ("cancelled", 0, 0), ("declined", 0, 0)),
        (cards.LATE_APPROVED, ("confirmed", 1000, 0), ("captured", 1000, 0)),
        (cards.LATE_DECLINED, ("cancelled", 0, 0), ("declined", 0, 0)),
        (cards.DOWN_LONG, ("confirmed", 1000, 0), ("captured", 1000, 0)),
    ],
)
async def test_a_payment_without_an_answer_is_looked_up_and_the_order_ends_by_it(
    house: House, card: str, order: tuple[str, int, int], payment: tuple[str, int, int]
) -> None:
    order_id = await house.place(("tent", 1), card=card)
    await house.rest()
    assert (await money(house, order_id))[0] == "unknown"
    assert (await house.order(order_id))["status"] == "placed"
    for _ in range(3):
        house.clock.advance(LATE)
        await look(house)
    assert await money(house, order_id) == payment
    assert await booked(house, order_id) == order


async def test_a_payment_that_arrives_after_the_order_expired_goes_back(house: House) -> None:
    order_id = await house.place(("tent", 1), card=cards.SILENT_APPROVED)
    await house.rest()
    house.clock.advance(timedelta(days=1))
    await house.ring()
    await look(house)
    assert await money(house, order_id) == ("withdrawn", 1000, 1000)
    assert await booked(house, order_id) == ("cancelled", 0, 0)
    assert await house.stock("tent") == (10, 0, 0, 0)


async def test_an_order_without_a_card_is_paid_by_the_card_that_comes(house: House) -> None:
    order_id = await house.place(("tent", 1), card=None)
    await house.rest()
    assert await money(house, order_id) == ("awaiting", 0, 0)
    paid = PayOrder(house.tenant, order_id, cards.APPROVED, WHY)
    outcomes = await at_once(*(house.submit("payments.pay_orders", paid) for _ in range(5)))
    assert (
        sorted(type(outcome).__name__ for outcome in outcomes) == ["Answer"] + ["IllegalState"] * 4
    )
    await house.rest()
    assert await booked(house, order_id) == ("confirmed", 1000, 0)


async def test_held_money_is_captured_in_part_and_refunded_up_to_that(house: House) -> None:
    order_id = await house.place(("tent", 1), is_capture_manual=True)
    await house.rest()
    assert await money(house, order_id) == ("authorised", 0, 0)
    await house.submit(
        "payments.capture_payments", CapturePayment(house.tenant, order_id, 600, WHY)
    )
    await house.rest()
    assert await booked(house, order_id) == ("confirmed", 600, 0)
    refunds = [
        RefundPayment(house.tenant, order_id, ids.new_id(), 250, None, WHY) for _ in range(4)
    ]
    outcomes = await at_once(*(house.submit("payments.refund_payments", r) for r in refunds))
    assert sum(isinstance(outcome, RefundTooLarge) for outcome in outcomes) == 2
    await house.rest()
    assert await money(house, order_id) == ("captured", 600, 500)
    assert await booked(house, order_id) == ("confirmed", 600, 500)


async def test_money_captured_just_before_the_order_expired_goes_back_and_is_booked_both_ways(
    house: House,
) -> None:
    order_id = await house.place(("tent", 1), card=cards.SILENT_APPROVED)
    await house.rest()
    house.clock.advance(timedelta(days=1))
    (job,) = [job for job in house.composition.jobs if job.name == "payments.look"]
    await job.run(house.database, POOLED, house.clock)
    # The capture is told, and the deadline rings before checkout hears of it.
    await house.ring()
    assert await money(house, order_id) == ("captured", 1000, 1000)
    assert await booked(house, order_id) == ("cancelled", 1000, 1000)


# -------------------------------------------------------------------- what a person has to look at


async def give_up(house: House) -> None:
    """Puts every open matter where the last of its looks puts it."""
    async with house.database.transaction(POOLED, (house.tenant,)) as tx:
        await tx.connection.execute("UPDATE payments.looks SET looks = 20, due_at = 'infinity'")


async def test_what_was_given_up_is_shown_and_asked_about_again_on_a_persons_word(
    house: House,
) -> None:
    orders = [await house.place(("tent", 1), card=cards.SILENT_APPROVED) for _ in range(2)]
    await house.rest()
    await give_up(house)
    house.clock.advance(LATE)
    await look(house)
    assert [(await house.order(order))["status"] for order in orders] == ["placed", "placed"]
    assert {finding.check for finding in await house.findings()} == {"payments.settled"}

    desk = house.composition.look_ups
    found = await desk.list_given_up(house.tenant, after=None, limit=10)
    assert [(f.kind, f.order_id, f.status, f.amount_minor, f.looks) for f in found] == [
        ("intent", order, "unknown", 1000, 20) for order in sorted(orders)
    ]
    (payments,) = [m for m in house.composition.modules if m.name == "payments"]
    async with open_client(payments) as http:
        staff = Client(http, house.tenant)
        first = (await staff.get("/v1/payments/given-up", limit=1)).json()
        rest = (await staff.get("/v1/payments/given-up", limit=1, cursor=first["next"])).json()
        listed = [*first["items"], *rest["items"]]
        assert [item["order_id"] for item in listed] == [str(order) for order in sorted(orders)]
        assert rest["next"] is None
        stranger = Client(http, ids.new_id())
        assert (await stranger.get("/v1/payments/given-up")).json()["items"] == []

    assert await desk.retry_given_up(house.tenant, order_id=ids.new_id()) == 0
    assert await desk.retry_given_up(house.tenant, order_id=orders[0]) == 1
    await look(house)
    assert [(await house.order(order))["status"] for order in orders] == ["confirmed", "placed"]
    assert await desk.retry_given_up(house.tenant, order_id=None) == 1
    await look(house)
    assert (await house.order(orders[1]))["status"] == "confirmed"
    assert await desk.list_given_up(house.tenant, after=None, limit=10) == []


async def test_a_refund_that_was_given_up_is_found_by_its_order(house: House) -> None:
    order = await house.place(("tent", 1))
    await house.rest()
    refund = ids.new_id()
    await house.submit(
        "payments.refund_payments", RefundPayment(house.tenant, order, refund, 400, None, WHY)
    )
    async with house.database.transaction(POOLED, (house.tenant,)) as tx:
        await tx.connection.execute("UPDATE payments.refunds SET status = 'unknown'")
        await tx.connection.execute(
            "INSERT INTO payments.looks VALUES ($1, 'refund', $2, 20, 'infinity')",
            house.tenant,
            refund,
        )
    desk = house.composition.look_ups
    (found,) = await desk.list_given_up(house.tenant, after=None, limit=10)
    assert (found.kind, found.order_id, found.thing_id) == ("refund", order, refund)
    assert (found.status, found.amount_minor, found.currency) == ("unknown", 400, "USD")
    assert await desk.retry_given_up(house.tenant, order_id=order) == 1
    house.clock.advance(LATE)
    await look(house)
    assert await money(house, order) == ("captured", 1000, 400)
