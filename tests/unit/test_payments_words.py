"""Callbacks and refunds: what comes twice, late or of nothing we know, and what goes back."""

from uuid import UUID

import msgspec
import pytest

from serai.contexts.payments import model
from serai.contexts.payments.contract import (
    RefundFailed,
    RefundRequested,
    RefundSettled,
    RefundTooLarge,
)
from serai.contexts.payments.gateways import sandbox_cards as cards
from serai.contexts.payments.handlers import answers
from serai.contexts.payments.handlers.answers import HearCallback
from serai.contexts.payments.handlers.asking import Heard
from serai.contexts.payments.ports import Answer
from serai.kernel import ids
from serai.kernel.failure import NotFound
from serai.kernel.tenant import POOLED
from tests.unit.payments_world import CALLBACK_DELAY_S, HOLD, WHY, World


@pytest.fixture
def world() -> World:
    return World()


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
    # What is settled needs no look, given up or not.
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
