"""Payments from request to settled, with everything that can come between."""

from uuid import UUID

import msgspec
import pytest

from serai.contexts.payments import model
from serai.contexts.payments.contract import (
    PaymentCaptured,
    PaymentDeclined,
    PaymentRequested,
    PaymentUnknown,
    RefundFailed,
    RefundRequested,
    RefundSettled,
    RefundTooLarge,
    RequestPayment,
)
from serai.contexts.payments.gateways import sandbox_cards as cards
from serai.contexts.payments.handlers import answers, requests
from serai.contexts.payments.handlers.answers import HearCallback
from serai.contexts.payments.handlers.asking import Heard
from serai.contexts.payments.model import Intent
from serai.contexts.payments.ports import Answer
from serai.kernel import ids
from serai.kernel.failure import IllegalState, NotFound
from serai.kernel.tenant import POOLED
from tests.unit.payments_world import CALLBACK_DELAY_S, HOLD, LATE_DELAY_S, WHY, World


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


# ------------------------------------------------------------------------------------- callbacks


async def test_a_callback_settles_what_is_unknown_and_its_twin_changes_nothing(
    world: World,
) -> None:
    order = await world.request(card=cards.TOLD_TWICE)
    await world.consume()
    world.wait(CALLBACK_DELAY_S)
    news = world.news()
    assert [one.status for one in news] == ["captured", "captured"]
    assert await world.hear(*news) == [None, None]
    before = world.intent(order)
    assert await world.hear(*news) == [None, None]
    assert world.intent(order) == before
    assert world.told(order) == ["PaymentRequested", "PaymentUnknown", "PaymentCaptured"]


async def test_callbacks_out_of_order_settle_once(world: World) -> None:
    order = await world.request(card=cards.TOLD_OUT_OF_ORDER)
    await world.consume()
    world.wait(CALLBACK_DELAY_S)
    news = world.news()
    assert [one.status for one in news] == ["captured", "authorised"]
    for one in (*news, *reversed(news)):
        await world.hear(one)
    assert world.told(order)[2:] == ["PaymentCaptured"]
    assert await world.look() == 1
    assert world.books.looks == {}
    assert world.intent(order).status == "captured"


async def test_a_callback_that_is_faster_than_the_answer_counts_once(world: World) -> None:
    order = await world.request(card=cards.ANSWERED_TWICE)
    (asked,) = world.waiting()
    said = await world.ask([asked])
    world.wait(CALLBACK_DELAY_S)
    await world.hear(*world.news())
    await world.record([asked], said)
    assert world.told(order) == ["PaymentRequested", "PaymentCaptured"]


async def test_an_early_word_of_the_hold_does_not_make_a_request_unknown(world: World) -> None:
    order = await world.request()
    key = model.key_of(world.tenant, order)
    early = HearCallback(world.tenant, order, Answer(key, "authorised", "ch", None, 500), WHY)
    async with world.database.transaction(POOLED, (world.tenant,)) as tx:
        heard = await answers.hear_callbacks(
            [early], tx=tx, now=tx.now, books=world.books, new_id=ids.new_id
        )
    assert heard == [None]
    assert world.intent(order).status == "requested"


async def test_news_of_an_unknown_key_is_refused_so_that_it_comes_again(world: World) -> None:
    order = await world.request(card=cards.TOLD_TWICE)
    await world.consume()
    world.wait(CALLBACK_DELAY_S)
    (news, _) = world.news()
    stranger = msgspec.structs.replace(news, key=model.key_of(ids.new_id(), order))
    (refused, taken) = await world.hear(stranger, news)
    assert isinstance(refused, NotFound)
    assert taken is None


async def test_a_foreign_text_is_cut_to_what_can_be_stored(world: World) -> None:
    order = await world.request()
    (asked,) = world.waiting()
    answer = Answer("k", "declined", None, "no\0t " + "x" * 500, 0)
    await world.record([asked], [answer])
    reason = world.intent(order).reason
    assert reason == "not " + "x" * 196


# --------------------------------------------------------------------------------------- refunds


async def paid(world: World, amount: int = 500) -> UUID:
    order = await world.request(amount)
    await world.consume()
    return order


async def test_a_payment_is_refunded_in_parts_and_never_beyond_its_capture(world: World) -> None:
    order = await paid(world)
    first = await world.refund(order, 200)
    assert not isinstance(first, RefundTooLarge)
    await world.consume()
    second = await world.refund(order, 301)
    assert isinstance(second, RefundTooLarge)
    assert second.facts == {"left_minor": 300}
    third = await world.refund(order, 300)
    assert not isinstance(third, RefundTooLarge)
    await world.consume()
    assert (world.intent(order).refunded_minor, world.intent(order).left_minor) == (500, 0)
    assert [event.amount_minor for event in world.events(RefundSettled)] == [200, 300]
    assert isinstance(await world.refund(ids.new_id(), 1), NotFound)


async def test_refunds_on_their_way_count_against_what_is_left(world: World) -> None:
    order = await paid(world)
    one, two, three = ids.new_id(), ids.new_id(), ids.new_id()
    wanted = [(order, one, 300), (order, two, 300), (order, three, 200)]
    assert await world.request_refunds(*wanted) == [True, False, True]
    assert [event.amount_minor for event in world.events(RefundRequested)] == [300, 200]
    assert world.intent(order).refunding_minor == 500


async def test_a_refund_that_is_asked_for_twice_is_made_once(world: World) -> None:
    order = await paid(world)
    one = ids.new_id()
    assert await world.request_refunds((order, one, 300), (order, one, 300)) == [True, True]
    assert await world.request_refunds((order, one, 300), (order, one, 301)) == [True, False]
    await world.consume()
    assert await world.request_refunds((order, one, 300)) == [True]
    assert len(world.events(RefundSettled)) == 1
    assert world.intent(order).refunded_minor == 300


async def test_what_was_not_captured_is_not_refunded(world: World) -> None:
    held = await world.request(is_manual=True)
    await world.consume()
    wanted = [(held, ids.new_id(), 1), (ids.new_id(), ids.new_id(), 1)]
    assert await world.request_refunds(*wanted) == [False, False]
    assert world.books.refunds == {}


async def test_a_refund_that_the_provider_refuses_is_told(world: World) -> None:
    order = await paid(world)
    await world.refund(order, 200)
    (asked,) = world.waiting()
    await world.record([asked], [Answer("k", "declined", None, "account_closed", 0)])
    (refund,) = world.refunds_of(order)
    assert (refund.status, refund.failure) == ("failed", "account_closed")
    assert world.events(RefundFailed) == [RefundFailed(order, refund.refund_id, "account_closed")]
    assert world.intent(order).left_minor == 500
    # Its request, delivered again, must not move the money after all.
    assert await world.ask([asked]) == [None]


async def test_a_refund_without_an_answer_is_looked_up_and_asked_for_again(world: World) -> None:
    order = await paid(world)
    await world.refund(order, 200)
    world.provider.is_deaf = True
    await world.consume()
    (refund,) = world.refunds_of(order)
    assert refund.status == "unknown"
    world.provider.is_deaf = False
    world.wait(1)
    await world.look()
    assert world.refunds_of(order)[0].status == "unknown"
    world.wait(HOLD.total_seconds())
    await world.look()
    assert world.refunds_of(order)[0].status == "settled"
    assert world.provider.asked == ["charge", "refund", "look_up", "look_up", "refund"]
    assert world.books.looks == {}


async def test_a_refund_whose_answer_was_lost_is_not_made_twice(world: World) -> None:
    order = await paid(world)
    await world.refund(order, 200)
    world.provider.lost = 1
    await world.consume()
    world.wait(1)
    await world.look()
    assert world.refunds_of(order)[0].status == "settled"
    line = world.line(order)
    assert line is not None
    assert line.refunded_minor == 200


async def test_heard_words_of_payments_that_are_not_there_change_nothing(world: World) -> None:
    word = answers.ChargeWord(
        (world.tenant, ids.new_id()), Heard(Answer("k", "captured", None, None, 5)), None
    )
    async with world.database.transaction(POOLED, (world.tenant,)) as tx:
        after = await answers.settle_charges(
            [word], tx=tx, now=tx.now, books=world.books, new_id=ids.new_id
        )
    assert after == {}
    assert world.database.log == []
