"""What every payment provider promises, on the sandbox in process and on its server over HTTP."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import pytest

from serai.contexts.payments.gateways import sandbox_cards as cards
from serai.contexts.payments.ports import Capture, Refund
from tests.ports.payment_settings import (
    CALLBACK_DELAY_S,
    HOLD_S,
    HOST,
    LATE_DELAY_S,
    SECRET,
    SandboxProcess,
    Setting,
    answer,
    direct_setting,
    free_port,
    http_setting,
    make_charge,
    plain,
)


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, int]]:
    """The address of one server for all tests of this file, and the port it calls back to."""
    callback_port = free_port()
    process = SandboxProcess(
        *("--callback-url", f"http://{HOST}:{callback_port}/callbacks"),
        *("--callback-secret", SECRET, "--timeout-hold-s", str(HOLD_S)),
        *("--callback-delay-s", str(CALLBACK_DELAY_S), "--late-delay-s", str(LATE_DELAY_S)),
    )
    process.start()
    yield process.url, callback_port
    assert process.stop() == 0


@pytest.fixture(params=["direct", "http"])
async def setting(request: pytest.FixtureRequest) -> AsyncIterator[Setting]:
    if request.param == "direct":
        opening = direct_setting()
    else:
        opening = http_setting(*request.getfixturevalue("server"))
    async with opening as opened:
        yield opened


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    """A key of the test's own, as the server keeps its book from test to test."""
    return f"{request.node.originalname}-{time.time_ns()}"[-100:]


@pytest.mark.parametrize("count", [1, 4, 5, 20])
async def test_each_charge_has_its_own_answer_in_order(
    setting: Setting, key: str, count: int
) -> None:
    script = [cards.APPROVED, cards.NO_FUNDS, "4111111111111112", cards.NOT_HONOURED]
    charges = [make_charge(f"{key}-{n}", script[n % 4], 100 + n) for n in range(count)]
    expected = [
        [
            answer(f"{key}-{n}", "captured", None, 100 + n),
            answer(f"{key}-{n}", "declined", "insufficient_funds"),
            answer(f"{key}-{n}", "declined", "invalid_card"),
            answer(f"{key}-{n}", "declined", "do_not_honour"),
        ][n % 4]
        for n in range(count)
    ]
    answers = await setting.provider.charge(charges)
    assert plain(answers) == expected
    assert len({answer.provider_ref for answer in answers}) == count
    assert await setting.provider.charge(charges) == answers
    assert await setting.provider.look_up([charge.key for charge in charges]) == answers


async def test_nothing_asked_is_nothing_answered(setting: Setting) -> None:
    provider = setting.provider
    assert await provider.charge([]) == await provider.refund([]) == []
    assert await provider.look_up([]) == await provider.void([]) == await provider.capture([]) == []


async def test_held_money_is_captured_in_part_or_voided(setting: Setting, key: str) -> None:
    provider = setting.provider
    one, two = f"{key}-1", f"{key}-2"
    held = await provider.authorise([make_charge(one), make_charge(two)])
    assert plain(held) == [answer(k, "authorised", None, 500) for k in (one, two)]
    too_much = await provider.capture([Capture(one, 501)])
    assert plain(too_much) == [answer(one, "declined", "capture_over_authorised")]
    taken = [answer(one, "captured", None, 300)]
    assert plain(await provider.capture([Capture(one, 300)])) == taken
    assert plain(await provider.capture([Capture(one, 300)])) == taken
    voided = await provider.void([two, one])
    assert plain(voided) == [answer(two, "voided"), answer(one, "declined", "already_captured")]
    assert plain(await provider.look_up([one, two])) == [*taken, answer(two, "voided")]


async def test_a_refund_never_exceeds_what_was_captured(setting: Setting, key: str) -> None:
    provider = setting.provider
    refund = Refund(f"{key}-r", key, 300, "EUR")
    given = [answer(refund.key, "refunded", None, 300)]
    assert plain(await provider.refund([refund])) == [
        answer(refund.key, "declined", "unknown_charge")
    ]
    await provider.charge([make_charge(key)])
    assert plain(await provider.refund([refund])) == given
    assert plain(await provider.refund([refund])) == given
    assert plain(await provider.look_up([refund.key])) == given
    more = Refund(f"{key}-s", key, 201, "EUR")
    assert plain(await provider.refund([more])) == [
        answer(more.key, "declined", "refund_over_captured")
    ]
    (line,) = [line for line in (await setting.read_book()).charges if line.key == key]
    assert (line.captured_minor, line.refunded_minor) == (500, 300)


async def test_a_key_used_for_another_charge_is_declined_and_moves_nothing(
    setting: Setting, key: str
) -> None:
    provider = setting.provider
    first = await provider.charge([make_charge(key)])
    reused = await provider.charge([make_charge(key, amount=501)])
    assert plain(reused) == [answer(key, "declined", "idempotency_key_reused")]
    assert await provider.look_up([key]) == first


@pytest.mark.parametrize("filler", [0, 10])
async def test_a_malformed_item_is_declined_and_the_others_are_served(
    setting: Setting, key: str, filler: int
) -> None:
    charges = [
        make_charge(f"{key}-1"),
        make_charge("a/../b"),
        make_charge(f"{key}-2", amount=2**70),
        make_charge(f"{key}-3", card="\ud800"),
        make_charge(f"{key}-4"),
        *(make_charge(f"{key}-filler-{n}") for n in range(filler)),
    ]
    answers = await setting.provider.charge(charges)
    assert plain(answers)[:5] == [
        answer(f"{key}-1", "captured", None, 500),
        answer("a/../b", "declined", "invalid_key"),
        answer(f"{key}-2", "declined", "invalid_amount"),
        answer(f"{key}-3", "declined", "invalid_card"),
        answer(f"{key}-4", "captured", None, 500),
    ]
    assert {answer.status for answer in answers[5:]} <= {"captured"}
    assert plain(await setting.provider.void(["a/../b"])) == [
        answer("a/../b", "declined", "invalid_key")
    ]
    assert plain(await setting.provider.look_up(["a/../b"])) == [
        answer("a/../b", "unknown", "absent")
    ]


@pytest.mark.parametrize(
    ("card", "truth"),
    [
        (cards.SILENT_APPROVED, ("captured", None, 500)),
        (cards.SILENT_DECLINED, ("declined", "processing_error", 0)),
    ],
)
async def test_a_time_out_is_unknown_until_it_is_looked_up(
    setting: Setting, key: str, card: str, truth: tuple[str, str | None, int]
) -> None:
    answers = await setting.impatient.charge([make_charge(key, card)])
    assert plain(answers) == [answer(key, "unknown", "timeout")]
    assert plain(await setting.provider.look_up([key])) == [answer(key, *truth)]
    assert plain(await setting.provider.charge([make_charge(key, card)])) == [answer(key, *truth)]


async def test_a_silent_card_does_not_hold_up_its_batch(setting: Setting, key: str) -> None:
    charges = [make_charge(f"{key}-{n}") for n in range(9)]
    charges.append(make_charge(f"{key}-9", cards.SILENT_APPROVED))
    answers = await setting.provider.charge(charges)
    assert Counter(answer.status for answer in answers) == {"captured": 9, "unknown": 1}
    assert answers[9].status == "unknown"
    assert plain(await setting.provider.look_up([f"{key}-9"])) == [
        answer(f"{key}-9", "captured", None, 500)
    ]


@pytest.mark.parametrize("filler", [0, 10])
async def test_a_provider_that_is_down_is_asked_again_within_bounds(
    setting: Setting, key: str, filler: int
) -> None:
    brief, long = f"{key}-brief", f"{key}-long"
    charges = [make_charge(brief, cards.DOWN_BRIEFLY), make_charge(long, cards.DOWN_LONG)]
    charges += [make_charge(f"{key}-{n}") for n in range(filler)]
    answers = plain(await setting.provider.charge(charges))
    assert answers[0] == answer(brief, "captured", None, 500)
    assert answers[1] == answer(long, "unknown", "unavailable")
    assert {answer.status for answer in answers[2:]} <= {"captured"}
    assert plain(await setting.provider.look_up([long])) == [answer(long, "unknown", "absent")]
    assert plain(await setting.provider.charge(charges[1:2])) == [
        answer(long, "captured", None, 500)
    ]


async def test_voiding_an_absent_key_shuts_out_a_charge_that_comes_later(
    setting: Setting, key: str
) -> None:
    provider = setting.provider
    assert plain(await provider.look_up([key])) == [answer(key, "unknown", "absent")]
    assert plain(await provider.void([key])) == [answer(key, "voided")]
    assert plain(await provider.charge([make_charge(key)])) == [answer(key, "voided")]


@pytest.mark.parametrize(
    ("card", "first", "news"),
    [
        (cards.ANSWERED_TWICE, ("captured", None, 500), ["captured"]),
        (cards.LATE_APPROVED, ("unknown", "pending", 0), ["captured"]),
        (cards.LATE_DECLINED, ("unknown", "pending", 0), ["declined"]),
        (cards.TOLD_TWICE, ("unknown", "pending", 0), ["captured", "captured"]),
        (cards.TOLD_OUT_OF_ORDER, ("unknown", "pending", 0), ["captured", "authorised"]),
    ],
)
async def test_news_comes_by_callback_as_the_script_says(
    setting: Setting, key: str, card: str, first: tuple[str, str | None, int], news: list[str]
) -> None:
    answers = await setting.provider.charge([make_charge(key, card)])
    assert plain(answers) == [answer(key, *first)]
    callbacks = await setting.mailbox.wait_for(key, len(news))
    assert [callback.status for callback in callbacks] == news
    assert {callback.provider_ref for callback in callbacks} == {answers[0].provider_ref}
    assert {callback.reference for callback in callbacks} == {f"order-of-{key}"}
    reason, amount = ("do_not_honour", 0) if news == ["declined"] else (None, 500)
    assert plain(await setting.provider.look_up([key])) == [answer(key, news[0], reason, amount)]


async def test_a_charge_voided_while_pending_is_never_captured_nor_told(
    setting: Setting, key: str
) -> None:
    other = f"{key}-other"
    charges = [make_charge(key, cards.LATE_APPROVED), make_charge(other, cards.LATE_APPROVED)]
    await setting.provider.charge(charges)
    assert plain(await setting.provider.void([key])) == [answer(key, "voided")]
    await setting.mailbox.wait_for(other, 1)
    assert setting.mailbox.of(key) == []
    assert plain(await setting.provider.look_up([key])) == [answer(key, "voided")]


async def test_a_callback_that_is_not_taken_is_sent_again(setting: Setting, key: str) -> None:
    setting.mailbox.refusals = 2
    await setting.provider.charge([make_charge(key, cards.ANSWERED_TWICE)])
    callbacks = await setting.mailbox.wait_for(key, 3)
    assert callbacks == [callbacks[0]] * 3


async def test_many_charges_at_once_from_many_callers_are_each_taken_once(
    setting: Setting, key: str
) -> None:
    charges = [make_charge(f"{key}-{n}", amount=n + 1) for n in range(1_200)]
    both = await asyncio.gather(*(setting.provider.charge(charges) for _ in range(2)))
    assert both[0] == both[1]
    assert plain(both[0]) == [answer(c.key, "captured", None, c.amount_minor) for c in charges]
    lines = [line for line in (await setting.read_book()).charges if line.key.startswith(key)]
    assert Counter(line.key for line in lines) == Counter(charge.key for charge in charges)
    assert sum(line.captured_minor for line in lines) == sum(range(1_201))
    refunds = [Refund(f"{c.key}-r", c.key, 1, "EUR") for c in charges[:100]]
    given = await setting.provider.refund(refunds)
    assert plain(given) == [answer(refund.key, "refunded", None, 1) for refund in refunds]
