"""Payments from request to settled, with everything that can come between."""

import pytest

from serai.contexts.payments import model
from serai.contexts.payments.contract import (
    PaymentCaptured,
    PaymentDeclined,
    PaymentRequested,
    PaymentUnknown,
    RequestPayment,
)
from serai.contexts.payments.gateways import sandbox_cards as cards
from serai.contexts.payments.handlers import requests
from serai.contexts.payments.model import Intent
from serai.contexts.payments.ports import Answer
from serai.kernel import ids
from serai.kernel.failure import IllegalState, NotFound
from serai.kernel.tenant import POOLED
from tests.unit.payments_world import HOLD, LATE_DELAY_S, WHY, World


@pytest.fixture
def world() -> World:
    return World()


# ------------------------------------------------------------------------------------ the usual way


async def test_an_approved_card_is_captured_and_told_once(world: World) -> None:
    order = await world.request(500)
    await world.consume()
    intent = world.intent(order)
    assert (intent.status, intent.captured_minor, intent.card) == ("captured", 500, None)
    assert world.told(order) == ["PaymentRequested", "PaymentCaptured"]
    assert world.events(PaymentCaptured) == [PaymentCaptured(order, order, 500)]
    line = world.line(order)
    assert line is not None
    assert (line.status, line.captured_minor, line.key) == (
        "captured", 500, world.tenant.hex + order.hex,
    )  # fmt: skip


async def test_a_declined_card_is_told_with_the_reason(world: World) -> None:
    order = await world.request(card=cards.NO_FUNDS)
    await world.consume()
    assert world.intent(order).status == "declined"
    assert world.events(PaymentDeclined) == [PaymentDeclined(order, order, "insufficient_funds")]
    assert world.books.looks == {}


async def test_an_order_has_one_payment_however_often_it_is_asked_for(world: World) -> None:
    order = await world.request(500)
    again = RequestPayment(
        world.tenant, order, 900, "EUR", cards.APPROVED, is_capture_manual=False, cause=WHY
    )
    async with world.database.transaction(POOLED, (world.tenant,)) as tx:
        await requests.request_payments([again, again], tx=tx, now=tx.now, books=world.books)
        assert tx.announced == []
    assert world.intent(order).amount_minor == 500
    assert len(world.events(PaymentRequested)) == 1


async def test_an_order_that_costs_nothing_is_told_as_paid_without_the_provider(
    world: World,
) -> None:
    order = await world.request(0)
    await world.consume()
    assert world.told(order) == ["PaymentCaptured"]
    assert world.provider.asked == []
    await world.withdraw(order)
    assert world.told(order) == ["PaymentCaptured"]


async def test_a_batch_costs_one_question_for_those_that_are_captured_at_once(world: World) -> None:
    calls = 0
    charge = world.provider.charge

    async def counted(charges: object) -> list[Answer]:
        nonlocal calls
        calls += 1
        return await charge(charges)  # type: ignore[arg-type]

    world.provider.charge = counted  # type: ignore[method-assign]
    orders = [await world.request(100 + n) for n in range(30)]
    await world.consume()
    assert calls == 1
    assert [world.intent(order).captured_minor for order in orders] == list(range(100, 130))


async def test_an_order_without_a_card_is_paid_when_the_card_comes(world: World) -> None:
    order = await world.expect(700)
    await world.consume()
    assert (world.told(order), world.provider.asked) == ([], [])
    paid = await world.pay(order)
    assert isinstance(paid, Intent)
    assert paid.status == "requested"
    await world.consume()
    assert world.told(order) == ["PaymentRequested", "PaymentCaptured"]
    assert isinstance(await world.pay(order), IllegalState)
    assert len(world.told(order)) == 2


async def test_an_order_that_was_given_up_takes_no_card(world: World) -> None:
    order = await world.expect(700)
    await world.withdraw(order)
    refused = await world.pay(order)
    assert isinstance(refused, IllegalState)
    assert world.told(order) == []
    assert isinstance(await world.pay(ids.new_id()), NotFound)


async def test_held_money_is_captured_by_hand_in_part_and_once(world: World) -> None:
    order = await world.request(500, is_manual=True)
    await world.consume()
    assert world.intent(order).status == "authorised"
    first = await world.capture(order, 200)
    second = await world.capture(order, 200)
    assert isinstance(first, Intent)
    assert second.code == "payment_not_capturable"  # type: ignore[union-attr]
    await world.consume()
    intent = world.intent(order)
    assert (intent.status, intent.captured_minor, intent.left_minor) == ("captured", 200, 200)
    assert world.told(order) == [
        "PaymentRequested", "PaymentAuthorised", "CaptureRequested", "PaymentCaptured",
    ]  # fmt: skip
    assert isinstance(await world.capture(ids.new_id()), NotFound)


async def test_a_capture_whose_hold_is_gone_ends_as_declined(world: World) -> None:
    order = await world.request(500, is_manual=True)
    await world.consume()
    world.sandbox.void([model.key_of(world.tenant, order)], now=world.now_s())
    await world.capture(order)
    await world.consume()
    assert world.intent(order).status == "declined"
    assert world.told(order)[-1] == "PaymentDeclined"


# -------------------------------------------------------------------------------------- given up


async def test_a_request_that_still_waits_in_the_queue_is_not_charged_after_the_end(
    world: World,
) -> None:
    order = await world.request()
    await world.withdraw(order)
    await world.consume()
    assert "charge" not in world.provider.asked
    intent = world.intent(order)
    assert (intent.status, intent.is_closed, intent.captured_minor) == ("withdrawn", True, 0)
    assert world.told(order) == ["PaymentRequested", "PaymentWithdrawn"]
    assert world.line(order) is None


async def test_money_taken_while_the_order_was_given_up_goes_back_untold(world: World) -> None:
    order = await world.request()
    (asked,) = world.waiting()
    said = await world.ask([asked])
    await world.withdraw(order)
    await world.record([asked], said)
    await world.consume()
    intent = world.intent(order)
    assert (intent.status, intent.captured_minor, intent.refunded_minor) == ("withdrawn", 500, 500)
    assert world.told(order) == ["PaymentRequested", "PaymentWithdrawn", "RefundRequested"]
    line = world.line(order)
    assert line is not None
    assert (line.captured_minor, line.refunded_minor) == (500, 500)
    assert world.books.looks == {}


async def test_money_that_arrives_after_the_withdrawal_was_handled_goes_back_at_once(
    world: World,
) -> None:
    order = await world.request()
    (asked,) = world.waiting()
    said = await world.ask([asked])
    await world.withdraw(order)
    (_, ended) = world.waiting()
    world.provider.is_deaf = True
    await world.record([ended], await world.ask([ended]))
    assert world.intent(order).captured_minor == 0
    await world.record([asked], said)
    assert world.intent(order).refunding_minor == 500
    assert world.told(order)[-1] == "RefundRequested"


async def test_money_that_was_told_of_goes_back_told(world: World) -> None:
    order = await world.request()
    await world.consume()
    await world.withdraw(order)
    await world.withdraw(order)
    await world.consume()
    assert world.told(order)[2:] == ["RefundRequested", "RefundSettled"]
    assert world.intent(order).refunded_minor == 500


async def test_what_is_held_is_voided_when_the_order_is_given_up(world: World) -> None:
    order = await world.request(is_manual=True)
    await world.consume()
    await world.withdraw(order)
    await world.consume()
    line = world.line(order)
    assert line is not None
    assert line.status == "voided"
    assert world.intent(order).is_closed


async def test_a_withdrawal_that_gets_no_answer_is_tried_until_it_does(world: World) -> None:
    order = await world.request(card=cards.LATE_APPROVED)
    await world.consume()
    await world.withdraw(order)
    world.provider.is_deaf = True
    await world.consume()
    assert not world.intent(order).is_closed
    world.provider.is_deaf = False
    world.wait(LATE_DELAY_S)
    assert await world.look() == 1
    await world.consume()
    intent = world.intent(order)
    assert (intent.captured_minor, intent.refunded_minor) == (500, 500)
    assert world.books.looks == {}


async def test_withdrawing_what_was_never_asked_for_does_nothing(world: World) -> None:
    await world.withdraw(ids.new_id())
    assert world.database.log == []


# -------------------------------------------------------------------------- crashes, lost answers


async def test_an_answer_that_was_lost_in_a_crash_is_asked_for_again_and_charged_once(
    world: World,
) -> None:
    order = await world.request()
    await world.ask(world.waiting())
    await world.consume()
    assert world.provider.asked == ["charge", "charge"]
    line = world.line(order)
    assert line is not None
    assert line.captured_minor == 500
    assert world.told(order) == ["PaymentRequested", "PaymentCaptured"]


@pytest.mark.parametrize(
    ("card", "status"), [(cards.SILENT_APPROVED, "captured"), (cards.SILENT_DECLINED, "declined")]
)
async def test_a_time_out_is_unknown_until_a_look_tells(
    world: World, card: str, status: str
) -> None:
    order = await world.request(card=card)
    await world.consume()
    assert world.intent(order).status == "unknown"
    assert world.events(PaymentUnknown) == [PaymentUnknown(order, order)]
    assert await world.look() == 0
    world.wait(1)
    assert await world.look() == 1
    assert world.intent(order).status == status
    assert world.provider.asked == ["charge", "look_up"]
    assert world.books.looks == {}
    assert world.database.log[-1].cause.correlation_id == WHY.correlation_id


async def test_what_the_provider_never_saw_is_asked_for_again_after_the_hold(world: World) -> None:
    world.provider.is_deaf = True
    order = await world.request()
    await world.consume()
    world.provider.is_deaf = False
    world.wait(1)
    await world.look()
    assert world.intent(order).status == "unknown"
    assert world.provider.asked == ["charge", "look_up"]
    world.wait(HOLD.total_seconds())
    await world.look()
    assert world.intent(order).status == "captured"
    assert world.provider.asked == ["charge", "look_up", "look_up", "charge"]


async def test_looks_grow_rarer_and_end_with_a_matter_for_a_person(world: World) -> None:
    world.provider.is_deaf = True
    order = await world.request()
    await world.consume()
    looks = 0
    for _ in range(model.LOOKS_MAX + 5):
        world.wait(model.LOOK_PAUSE_MAX_S)
        looks += await world.look()
    assert looks == model.LOOKS_MAX
    (look,) = world.books.looks.values()
    assert (look.thing_id, look.looks, look.due_at) == (order, model.LOOKS_MAX, None)
    assert world.intent(order).status == "unknown"


async def test_a_lost_capture_is_looked_up_and_not_made_twice(world: World) -> None:
    order = await world.request(is_manual=True)
    await world.consume()
    await world.capture(order, 300)
    world.provider.lost = 1
    await world.consume()
    assert world.intent(order).status == "authorised"
    world.wait(1)
    await world.look()
    intent = world.intent(order)
    assert (intent.status, intent.captured_minor) == ("captured", 300)
    assert world.provider.asked == ["authorise", "capture", "look_up"]


async def test_a_capture_that_was_not_heard_is_asked_for_again(world: World) -> None:
    order = await world.request(is_manual=True)
    await world.consume()
    await world.capture(order, 300)
    world.provider.is_deaf = True
    await world.consume()
    world.provider.is_deaf = False
    world.wait(1)
    await world.look()
    assert world.intent(order).captured_minor == 300
    assert world.provider.asked == ["authorise", "capture", "look_up", "capture"]
