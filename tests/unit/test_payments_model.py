"""What an intent and a refund become, word by word."""

from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serai.contexts.payments import model
from serai.contexts.payments.contract import ExpectPayment, PaymentNotCapturable, RequestPayment
from serai.contexts.payments.model import Intent, Refund, Step
from serai.contexts.payments.ports import Answer
from serai.kernel import ids
from serai.kernel.events import Cause
from serai.kernel.failure import IllegalState
from tests.unit.payments_memory import START, check_intent, intent_of, later

TENANT, ORDER, WHY = ids.new_id(), ids.new_id(), Cause(ids.new_id())


def said(status: Any, amount: int = 0, reason: str | None = None) -> Answer:
    return Answer("key", status, "ch_1", reason, amount)


def asking_for(amount: int, *, is_manual: bool = False) -> RequestPayment:
    return RequestPayment(
        TENANT, ORDER, amount, "EUR", "card", is_capture_manual=is_manual, cause=WHY
    )


def changed(before: Intent, after: Intent) -> dict[str, object]:
    """What differs, but for the version, which differs whenever anything does."""
    old, new = msgspec.structs.asdict(before), msgspec.structs.asdict(after)
    differing = {name: new[name] for name in new if new[name] != old[name]}
    version = differing.pop("version", None)
    assert version == (before.version + 1 if differing else None)
    return differing


# ---------------------------------------------------------------------------------- what we begin


def test_an_order_with_a_card_is_asked_for_under_its_own_id() -> None:
    intent = model.expect(asking_for(500, is_manual=True), START)
    assert (intent.status, intent.card, intent.asked_at) == ("requested", "card", START)
    assert (intent.intent_id, intent.is_capture_manual) == (ORDER, True)
    assert intent.correlation_id == WHY.correlation_id


def test_an_order_without_a_card_waits_for_one() -> None:
    intent = model.expect(ExpectPayment(TENANT, ORDER, 500, "EUR", WHY), START)
    assert (intent.status, intent.card, intent.asked_at) == ("awaiting", None, None)
    paid = model.pay(intent, "card", later(5))
    assert isinstance(paid, Intent)
    assert changed(intent, paid) == {"status": "requested", "card": "card", "asked_at": later(5)}


@pytest.mark.parametrize("command", [asking_for(0), ExpectPayment(TENANT, ORDER, 0, "EUR", WHY)])
def test_an_order_that_costs_nothing_is_paid(command: RequestPayment | ExpectPayment) -> None:
    intent = model.expect(command, START)
    assert (intent.status, intent.card, intent.settled_at) == ("captured", None, START)
    assert intent.captured_minor == 0


@pytest.mark.parametrize(
    "status", ["requested", "authorised", "captured", "declined", "unknown", "withdrawn"]
)
def test_only_an_intent_that_waits_takes_a_card(status: str) -> None:
    refused = model.pay(intent_of(status), "card", START)
    assert isinstance(refused, IllegalState)
    assert refused.facts == {"status": status}


@pytest.mark.parametrize(("wanted", "asked"), [(None, 500), (500, 500), (1, 1)])
def test_held_money_is_captured_in_full_or_in_part(wanted: int | None, asked: int) -> None:
    intent = intent_of("authorised", is_capture_manual=True)
    after = model.capture(intent, wanted)
    assert isinstance(after, Intent)
    assert changed(intent, after) == {"capture_asked_minor": asked}


@pytest.mark.parametrize(
    ("intent", "wanted"),
    [
        (intent_of("authorised"), 501),
        (intent_of("authorised"), 0),
        (intent_of("authorised", capture_asked_minor=100), 100),
        (intent_of("requested"), None),
        (intent_of("captured"), None),
        (intent_of("withdrawn"), None),
    ],
)
def test_what_is_not_held_is_not_captured(intent: Intent, wanted: int | None) -> None:
    assert isinstance(model.capture(intent, wanted), PaymentNotCapturable)


def test_no_more_is_refunded_than_is_left() -> None:
    intent = intent_of("captured", refunding_minor=100, refunded_minor=150)
    assert intent.left_minor == 250
    after = model.refund(intent, 250)
    assert after is not None
    assert changed(intent, after) == {"refunding_minor": 350}
    assert [model.refund(intent, amount) for amount in (251, 0, -1)] == [None, None, None]
    assert model.refund(after, 1) is None
    assert model.refund(intent_of("authorised"), 1) is None


# ------------------------------------------------------------------------- what the provider says


@pytest.mark.parametrize("status", ["requested", "unknown"])
@pytest.mark.parametrize(
    ("word", "is_manual", "becomes", "told"),
    [
        (said("captured", 500), False, {"status": "captured", "captured_minor": 500}, "captured"),
        (said("captured", 300), True, {"status": "captured", "captured_minor": 300}, "captured"),
        (said("authorised", 500), True, {"status": "authorised"}, "authorised"),
        (said("declined", reason="no"), False, {"status": "declined", "reason": "no"}, "declined"),
        (said("voided"), False, {"status": "declined", "reason": "voided"}, "declined"),
    ],
)
def test_the_first_clear_word_settles(
    *, status: str, word: Answer, is_manual: bool, becomes: dict[str, object], told: str
) -> None:
    intent = intent_of(status, is_capture_manual=is_manual)
    step = model.settle(intent, word, later(1))
    expected: dict[str, object] = {"card": None} | becomes
    if becomes["status"] != "authorised":
        expected["settled_at"] = later(1)
    if becomes["status"] != "declined":
        expected["provider_ref"] = "ch_1"
    assert (changed(intent, step.intent), step.told, step.refund_minor) == (expected, told, 0)


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        (said("unknown", reason="timeout"), "timeout"),
        (said("captured", 499), "unexpected_captured"),
        (said("captured", 501), "unexpected_captured"),
        (said("captured", 0), "unexpected_captured"),
        (said("authorised", 500), "unexpected_authorised"),
        (said("refunded", 500), "unexpected_refunded"),
    ],
)
def test_a_word_that_settles_nothing_leaves_the_payment_unknown(word: Answer, reason: str) -> None:
    intent = intent_of("requested")
    step = model.settle(intent, word, later(1))
    assert changed(intent, step.intent) == {"status": "unknown", "reason": reason}
    assert step.told == "unknown"
    assert model.settle(step.intent, word, later(2)) == Step(step.intent)


WORDS = [
    said("captured", 500), said("captured", 499), said("authorised", 500), said("voided"),
    said("declined", reason="no"), said("unknown", reason="timeout"), said("refunded", 1),
]  # fmt: skip


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("is_manual", [True, False])
def test_what_is_captured_stays_as_it_is(word: Answer, *, is_manual: bool) -> None:
    intent = intent_of("captured", is_capture_manual=is_manual)
    assert model.settle(intent, word, later(1)) == Step(intent)


@pytest.mark.parametrize("status", ["declined", "withdrawn"])
def test_money_that_arrives_after_the_end_goes_back_once_and_is_not_told(status: str) -> None:
    intent = intent_of(status)
    step = model.settle(intent, said("captured", 500), later(1))
    assert changed(intent, step.intent) == {
        "captured_minor": 500, "refunding_minor": 500, "is_closed": True, "provider_ref": "ch_1",
    }  # fmt: skip
    assert (step.told, step.refund_minor) == (None, 500)
    assert model.settle(step.intent, said("captured", 500), later(2)) == Step(step.intent)


@pytest.mark.parametrize("word", [word for word in WORDS if word.status != "captured"])
def test_only_a_capture_moves_a_declined_payment(word: Answer) -> None:
    intent = intent_of("declined")
    assert model.settle(intent, word, later(1)) == Step(intent)


def test_a_withdrawn_payment_is_open_until_it_is_voided() -> None:
    intent = intent_of("withdrawn")
    for word in (said("unknown"), said("declined"), said("authorised", 500)):
        assert model.settle(intent, word, later(1)) == Step(intent)
    assert model.is_open(intent)
    step = model.settle(intent, said("voided"), later(1))
    assert changed(intent, step.intent) == {"is_closed": True}
    assert (step.told, model.is_open(step.intent)) == (None, False)
    assert model.settle(step.intent, said("voided"), later(2)) == Step(step.intent)


def test_a_refused_capture_may_be_asked_for_again_while_the_money_is_held() -> None:
    intent = intent_of("authorised", is_capture_manual=True, capture_asked_minor=200)
    held = said("authorised", 500)
    assert model.settle(intent, held, later(1)) == Step(intent)
    step = model.settle(intent, held, later(1), refusal="too late")
    assert changed(intent, step.intent) == {"capture_asked_minor": None, "reason": "too late"}
    assert step.told is None
    gone = model.settle(intent, said("voided"), later(1), refusal="not_authorised")
    assert (gone.intent.status, gone.intent.reason, gone.told) == ("declined", "voided", "declined")
    assert gone.intent.capture_asked_minor is None


@pytest.mark.parametrize(
    ("status", "told", "is_closed"),
    [("awaiting", None, True), ("requested", "withdrawn", False), ("unknown", "withdrawn", False),
     ("authorised", "withdrawn", False)],
)  # fmt: skip
def test_an_undone_order_is_never_charged_later(
    *, status: str, told: str | None, is_closed: bool
) -> None:
    step = model.withdraw(intent_of(status), later(1))
    assert (step.intent.status, step.told, step.refund_minor) == ("withdrawn", told, 0)
    assert (step.intent.card, step.intent.is_closed) == (None, is_closed)
    assert model.withdraw(step.intent, later(2)) == Step(step.intent)


def test_an_undone_order_s_money_goes_back_but_for_what_went_already() -> None:
    intent = intent_of("captured", refunding_minor=100, refunded_minor=150)
    step = model.withdraw(intent, later(1))
    assert changed(intent, step.intent) == {"refunding_minor": 350}
    assert (step.told, step.refund_minor) == (None, 250)
    assert model.withdraw(step.intent, later(2)) == Step(step.intent)
    assert model.withdraw(intent_of("declined"), START).told is None


def refund_of(intent: Intent, amount: int) -> Refund:
    return Refund(
        tenant_id=intent.tenant_id,
        refund_id=ids.new_id(),
        order_id=intent.order_id,
        status="requested",
        amount_minor=amount,
        currency="EUR",
        reason=None,
        is_told=True,
        correlation_id=intent.correlation_id,
        created_at=START,
    )


def test_a_refund_settles_once() -> None:
    intent = intent_of("captured", refunding_minor=200)
    asked = refund_of(intent, 200)
    after, settled = model.settle_refund(intent, asked, said("refunded", 200), later(1))
    assert changed(intent, after) == {"refunding_minor": 0, "refunded_minor": 200}
    assert (settled.status, settled.settled_at) == ("settled", later(1))
    for word in (said("refunded", 200), said("declined"), said("unknown")):
        assert model.settle_refund(after, settled, word, later(2)) == (after, settled)


def test_a_refused_refund_leaves_the_money_to_be_refunded_otherwise() -> None:
    intent = intent_of("captured", refunding_minor=200)
    asked = refund_of(intent, 200)
    after, failed = model.settle_refund(intent, asked, said("declined", reason="no"), later(1))
    assert changed(intent, after) == {"refunding_minor": 0}
    assert (failed.status, failed.failure) == ("failed", "no")
    assert model.settle_refund(after, failed, said("refunded", 200), later(2)) == (after, failed)


def test_a_refund_without_an_answer_is_unknown_and_keeps_its_money_aside() -> None:
    intent = intent_of("captured", refunding_minor=200)
    after, unknown = model.settle_refund(intent, refund_of(intent, 200), said("unknown"), later(1))
    assert after is intent
    assert unknown.status == "unknown"
    again, settled = model.settle_refund(after, unknown, said("refunded", 200), later(2))
    assert (again.refunded_minor, settled.status) == (200, "settled")


# ------------------------------------------------------------------------------ laws of all words

STATUS = st.sampled_from(["captured", "authorised", "declined", "refunded", "voided", "unknown"])
WORD = st.builds(said, STATUS, st.integers(-1, 502), st.sampled_from([None, "why"]))


@given(word=WORD, is_manual=st.booleans())
def test_the_short_way_of_a_requested_intent_is_the_long_one(
    *, word: Answer, is_manual: bool
) -> None:
    intent = intent_of("requested", is_capture_manual=is_manual)
    status, reason = model.settle_first(word, 500, is_capture_manual=is_manual)
    step = model.settle(intent, word, later(1))
    assert (status, reason, status) == (step.intent.status, step.intent.reason, step.told)


@given(
    status=st.sampled_from(
        ["awaiting", "requested", "authorised", "unknown", "withdrawn", "declined"]
    ),
    is_manual=st.booleans(),
    words=st.lists(WORD, max_size=6),
)
def test_no_words_in_any_order_capture_twice_or_keep_an_undone_order_s_money(
    *, status: str, is_manual: bool, words: list[Answer]
) -> None:
    intent = intent_of(status, is_capture_manual=is_manual)
    captures = 0
    for word in words:
        step = model.settle(intent, word, later(1))
        captures += step.intent.captured_minor != intent.captured_minor
        intent = step.intent
        check_intent(intent)
        if intent.status in {"declined", "withdrawn"}:
            assert intent.left_minor == 0
    assert captures <= 1


# --------------------------------------------------------------------------------- names and times


@given(st.uuids(), st.uuids())
def test_a_key_says_whose_it_is(tenant: UUID, thing: UUID) -> None:
    key = model.key_of(tenant, thing)
    assert len(key) == 64
    assert model.parse_key(key) == (tenant, thing)


@pytest.mark.parametrize(
    "key",
    ["", "a" * 63, "a" * 65, "g" * 64, "A" * 64, " " * 64, "\uff11" * 64, "-" + "a" * 63],
)
def test_another_text_is_no_key(key: str) -> None:
    assert model.parse_key(key) is None


def test_looks_grow_rarer_and_end() -> None:
    pauses = [model.look_pause(looks) for looks in range(1, model.LOOKS_MAX)]
    seconds = [pause.total_seconds() for pause in pauses if pause is not None]
    assert seconds[:4] == [2, 4, 8, 16]
    assert seconds[-1] == 600
    assert len(seconds) == model.LOOKS_MAX - 1
    assert 3600 < sum(seconds) < 3 * 3600
    assert model.look_pause(model.LOOKS_MAX) is None
