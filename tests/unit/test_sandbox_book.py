"""The sandbox's book: every card's script, idempotency, and the bounds on what may move."""

from typing import Any

import msgspec
import pytest

from serai.contexts.payments.gateways import sandbox_cards as cards
from serai.contexts.payments.gateways.sandbox_book import SandboxBook
from serai.contexts.payments.gateways.sandbox_wire import BookLine, Totals, Verdict
from serai.contexts.payments.ports import Capture, Charge, Refund

NOW = 1_000.0
SOON = NOW + 1.0
LATE = NOW + 10.0


def make_book(**options: Any) -> SandboxBook:
    return SandboxBook(callback_delay_s=1.0, late_delay_s=10.0, **options)


def make_charge(key: str = "intent-1", *, card: str = cards.APPROVED, amount: int = 500) -> Charge:
    return Charge(key, amount, "EUR", card, "order-1")


def charge(book: SandboxBook, charge: Charge, *, capture: bool = True, now: float = NOW) -> Verdict:
    (verdict,) = book.charge([charge], capture=capture, now=now)
    return verdict


def look_up(book: SandboxBook, key: str = "intent-1", *, now: float = NOW) -> Verdict:
    (verdict,) = book.look_up([key], now=now)
    return verdict


def refused(key: str, reason: str) -> Verdict:
    return Verdict(key, "refused", reason=reason)


def captured(key: str = "intent-1", amount: int = 500) -> Verdict:
    return Verdict(key, "captured", "ch_000000001", None, amount)


def declined(reason: str) -> Verdict:
    return Verdict("intent-1", "declined", "ch_000000001", reason, 0)


PENDING = Verdict("intent-1", "pending", "ch_000000001")
WITHHELD = Verdict("intent-1", "withheld")


@pytest.mark.parametrize(
    ("card", "answer", "at_once", "soon", "late"),
    [
        (cards.APPROVED, captured(), captured(), captured(), captured()),
        (cards.NO_FUNDS, *[declined("insufficient_funds")] * 4),
        (cards.NOT_HONOURED, *[declined("do_not_honour")] * 4),
        (cards.SILENT_APPROVED, WITHHELD, captured(), captured(), captured()),
        (cards.SILENT_DECLINED, WITHHELD, *[declined("processing_error")] * 3),
        (cards.ANSWERED_TWICE, captured(), captured(), captured(), captured()),
        (cards.LATE_APPROVED, PENDING, PENDING, PENDING, captured()),
        (cards.LATE_DECLINED, PENDING, PENDING, PENDING, declined("do_not_honour")),
        (cards.TOLD_TWICE, PENDING, PENDING, captured(), captured()),
        (cards.TOLD_OUT_OF_ORDER, PENDING, PENDING, captured(), captured()),
        (cards.FORGED_FIRST, PENDING, PENDING, captured(), captured()),
    ],
)
def test_a_card_is_answered_and_decided_as_its_script_says(
    card: str, answer: Verdict, at_once: Verdict, soon: Verdict, late: Verdict
) -> None:
    book = make_book()
    assert charge(book, make_charge(card=card)) == answer
    assert look_up(book) == at_once
    assert look_up(book, now=SOON) == soon
    assert look_up(book, now=LATE) == late
    assert book.captured_total("EUR") == late.amount_minor
    assert book.imbalance("EUR") == 0


@pytest.mark.parametrize(
    ("card", "capture", "due_at", "news"),
    [
        (cards.APPROVED, True, None, []),
        (cards.NO_FUNDS, True, None, []),
        (cards.SILENT_APPROVED, True, None, []),
        (cards.ANSWERED_TWICE, True, SOON, [("captured", 2)]),
        (cards.LATE_APPROVED, True, LATE, [("captured", 2)]),
        (cards.LATE_DECLINED, True, LATE, [("declined", 2)]),
        (cards.TOLD_TWICE, True, SOON, [("captured", 2), ("captured", 2)]),
        (cards.TOLD_OUT_OF_ORDER, True, SOON, [("captured", 2), ("authorised", 1)]),
        (cards.TOLD_OUT_OF_ORDER, False, SOON, [("authorised", 1)]),
        (cards.LATE_APPROVED, False, LATE, [("authorised", 1)]),
        (cards.FORGED_FIRST, True, SOON, [("declined", 2), ("captured", 2)]),
    ],
)
def test_a_card_is_called_back_as_its_script_says(
    card: str, *, capture: bool, due_at: float | None, news: list[tuple[str, int]]
) -> None:
    book = make_book()
    charge(book, make_charge(card=card), capture=capture)
    assert book.next_due_at() == due_at
    assert book.take_due((due_at or LATE) - 0.001) == []
    told = [callback for _, callbacks in book.take_due(LATE) for callback in callbacks]
    assert [(callback.status, callback.sequence) for callback in told] == news
    assert [callback.id for callback in told] == [f"cb_intent-1_{status}" for status, _ in news]
    assert {(c.key, c.reference) for c in told} <= {("intent-1", "order-1")}
    assert book.take_due(LATE) == []


@pytest.mark.parametrize(("card", "failures"), [(cards.DOWN_BRIEFLY, 2), (cards.DOWN_LONG, 6)])
def test_a_card_that_is_down_is_approved_after_its_failures_and_they_leave_no_trace(
    card: str, failures: int
) -> None:
    book = make_book()
    for _ in range(failures):
        assert charge(book, make_charge(card=card)) == Verdict("intent-1", "unavailable")
        assert look_up(book) == Verdict("intent-1", "absent")
    assert charge(book, make_charge(card=card)) == captured()
    assert charge(book, make_charge(card=card)) == captured()


@pytest.mark.parametrize(
    ("card", "verdict"),
    [
        ("4111111111111111", captured()),
        ("4111 1111 1111 1111", captured()),
        ("4000 0099 0200 0002", declined("insufficient_funds")),
        ("4111111111111112", declined("invalid_card")),
        ("42", declined("invalid_card")),
        ("0" * 20, declined("invalid_card")),
        ("no card at all", declined("invalid_card")),
    ],
)
def test_any_other_well_formed_card_is_approved_and_the_rest_declined(
    card: str, verdict: Verdict
) -> None:
    assert charge(make_book(), make_charge(card=card)) == verdict


def test_the_table_in_the_docstring_lists_every_card_by_its_name() -> None:
    rows = [line.split("|") for line in (cards.__doc__ or "").splitlines() if "| 4000" in line]
    named = {row[1].strip(): getattr(cards, row[2].strip()) for row in rows}
    assert list(named) == list(named.values()) == list(cards.SCRIPTS)
    assert all(cards.is_well_formed(card) for card in cards.SCRIPTS)


@pytest.mark.parametrize("card", [cards.APPROVED, cards.NO_FUNDS, cards.LATE_APPROVED])
def test_the_same_key_and_body_give_the_same_answer_and_move_no_more_money(card: str) -> None:
    book = make_book()
    first = charge(book, make_charge(card=card))
    assert [charge(book, make_charge(card=card)) for _ in range(3)] == [first] * 3
    assert len(book.charges_of("order-1")) == 1
    assert book.captured_total("EUR") == first.amount_minor


def test_a_withheld_answer_is_given_when_the_charge_is_repeated() -> None:
    book = make_book()
    assert charge(book, make_charge(card=cards.SILENT_APPROVED)) == WITHHELD
    assert charge(book, make_charge(card=cards.SILENT_APPROVED)) == captured()
    assert book.captured_total("EUR") == 500


@pytest.mark.parametrize(
    ("change", "capture"),
    [
        ({"amount_minor": 501}, True),
        ({"currency": "USD"}, True),
        ({"card": cards.NO_FUNDS}, True),
        ({"reference": "order-2"}, True),
        ({}, False),
    ],
)
def test_the_same_key_with_another_body_is_refused_and_changes_nothing(
    change: dict[str, Any], *, capture: bool
) -> None:
    book = make_book()
    charge(book, make_charge())
    before = book.page(after=0, limit=10, now=NOW)
    other = msgspec.structs.replace(make_charge(), **change)
    reused = refused("intent-1", "idempotency_key_reused")
    assert charge(book, other, capture=capture) == reused
    assert book.page(after=0, limit=10, now=NOW) == before


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"key": ""}, "invalid_key"),
        ({"key": ".."}, "invalid_key"),
        ({"key": "a/b"}, "invalid_key"),
        ({"key": "a\n"}, "invalid_key"),
        ({"key": "k" * 129}, "invalid_key"),
        ({"amount_minor": 0}, "invalid_amount"),
        ({"amount_minor": -1}, "invalid_amount"),
        ({"amount_minor": 10**12 + 1}, "invalid_amount"),
        ({"currency": "eur"}, "invalid_currency"),
        ({"currency": "EURO"}, "invalid_currency"),
        ({"card": ""}, "invalid_card"),
        ({"card": "\ud800"}, "invalid_card"),
        ({"reference": "r" * 129}, "invalid_reference"),
    ],
)
def test_a_malformed_charge_is_refused_and_not_written_down(
    change: dict[str, Any], reason: str
) -> None:
    book = make_book()
    malformed = msgspec.structs.replace(make_charge(), **change)
    assert charge(book, malformed) == refused(malformed.key, reason)
    assert book.page(after=0, limit=10, now=NOW).charges == []


def test_one_bad_item_of_a_batch_does_not_touch_the_others() -> None:
    book = make_book()
    batch = [
        make_charge("intent-1"),
        make_charge("intent-2", amount=0),
        make_charge("intent-3", card=cards.NO_FUNDS),
        make_charge("intent-1"),
        make_charge("intent-4", card=cards.DOWN_LONG),
        make_charge("intent-5"),
    ]
    verdicts = book.charge(batch, capture=True, now=NOW)
    assert [(verdict.key, verdict.outcome) for verdict in verdicts] == [
        ("intent-1", "captured"),
        ("intent-2", "refused"),
        ("intent-3", "declined"),
        ("intent-1", "captured"),
        ("intent-4", "unavailable"),
        ("intent-5", "captured"),
    ]
    assert book.captured_total("EUR") == 1_000


def test_part_of_an_authorised_charge_is_captured_once_and_repeats_are_harmless() -> None:
    book = make_book()
    held = Verdict("intent-1", "authorised", "ch_000000001", None, 500)
    assert charge(book, make_charge(), capture=False) == held
    assert book.captured_total("EUR") == 0
    asked = [Capture("intent-1", 501), Capture("intent-1", 0), Capture("intent-1", 300)]
    assert book.capture(asked, now=NOW) == [
        refused("intent-1", "capture_over_authorised"),
        refused("intent-1", "invalid_amount"),
        captured(amount=300),
    ]
    assert book.capture([Capture("intent-1", 300)], now=NOW) == [captured(amount=300)]
    already = refused("intent-1", "already_captured")
    assert book.capture([Capture("intent-1", 200)], now=NOW) == [already]
    assert book.captured_total("EUR") == 300


@pytest.mark.parametrize(
    ("card", "reason"),
    [(cards.NO_FUNDS, "not_authorised"), (cards.LATE_APPROVED, "still_pending")],
)
def test_what_is_not_authorised_cannot_be_captured(card: str, reason: str) -> None:
    book = make_book()
    charge(book, make_charge(card=card), capture=False)
    assert book.capture([Capture("intent-1", 500)], now=NOW) == [refused("intent-1", reason)]
    assert book.capture([Capture("intent-2", 5)], now=NOW) == [
        refused("intent-2", "unknown_charge")
    ]
    assert book.capture([Capture("a/b", 5)], now=NOW) == [refused("a/b", "invalid_key")]
    assert book.captured_total("EUR") == 0


@pytest.mark.parametrize("card", [cards.APPROVED, cards.LATE_APPROVED, cards.NO_FUNDS])
def test_a_voided_key_holds_no_money_ever_after(card: str) -> None:
    book = make_book()
    charge(book, make_charge(card=card), capture=False)
    voided = Verdict("intent-1", "voided", "ch_000000001")
    assert book.void(["intent-1"], now=NOW) == [voided]
    assert book.void(["intent-1"], now=NOW) == [voided]
    assert book.take_due(LATE) == []
    assert book.capture([Capture("intent-1", 500)], now=LATE) == [
        refused("intent-1", "not_authorised")
    ]
    assert book.captured_total("EUR") == 0


def test_a_captured_charge_cannot_be_voided() -> None:
    book = make_book()
    charge(book, make_charge())
    assert book.void(["intent-1"], now=NOW) == [refused("intent-1", "already_captured")]
    assert look_up(book) == captured()


def test_voiding_a_key_never_seen_shuts_out_the_charge_that_is_still_on_its_way() -> None:
    book = make_book()
    voided = Verdict("intent-1", "voided")
    assert book.void(["intent-1", "a/b"], now=NOW) == [voided, refused("a/b", "invalid_key")]
    assert charge(book, make_charge()) == voided
    assert look_up(book) == voided
    assert book.charges_of("order-1") == []


def test_refunds_add_up_to_what_was_captured_and_no_further() -> None:
    book = make_book()
    charge(book, make_charge())
    part = Refund("refund-1", "intent-1", 200, "EUR")
    given = Verdict("refund-1", "refunded", "re_refund-1", None, 200)
    assert book.refund([part, part], now=NOW) == [given, given]
    rest = Refund("refund-2", "intent-1", 301, "EUR")
    assert book.refund([rest], now=NOW) == [refused("refund-2", "refund_over_captured")]
    exact = msgspec.structs.replace(rest, amount_minor=300)
    assert book.refund([exact], now=NOW)[0].outcome == "refunded"
    assert look_up(book, "refund-1") == given
    assert look_up(book) == captured()
    assert (book.captured_total("EUR"), book.refunded_total("EUR")) == (500, 500)
    assert book.imbalance("EUR") == 0
    assert book.charges_of("order-1") == [
        BookLine("intent-1", "order-1", "EUR", "captured", None, 500, 500, 500)
    ]


@pytest.mark.parametrize(
    ("refund", "reason"),
    [
        (Refund("refund-1", "intent-1", 0, "EUR"), "invalid_amount"),
        (Refund("refund-1", "intent-1", -5, "EUR"), "invalid_amount"),
        (Refund("refund-1", "intent-1", 501, "EUR"), "refund_over_captured"),
        (Refund("refund-1", "intent-1", 5, "USD"), "currency_mismatch"),
        (Refund("refund-1", "intent-9", 5, "EUR"), "unknown_charge"),
        (Refund("refund-1", "intent-2", 5, "EUR"), "not_captured"),
        (Refund("intent-1", "intent-1", 5, "EUR"), "idempotency_key_reused"),
        (Refund("intent-3", "intent-1", 5, "EUR"), "idempotency_key_reused"),
        (Refund("", "intent-1", 5, "EUR"), "invalid_key"),
    ],
)
def test_a_refund_without_right_is_refused_and_moves_nothing(refund: Refund, reason: str) -> None:
    book = make_book()
    charge(book, make_charge())
    charge(book, make_charge("intent-2"), capture=False)
    book.void(["intent-3"], now=NOW)
    assert book.refund([refund], now=NOW) == [refused(refund.key, reason)]
    assert book.refunded_total("EUR") == 0


def test_the_key_of_a_refund_is_taken_for_everything_else() -> None:
    book = make_book()
    charge(book, make_charge())
    refund = Refund("refund-1", "intent-1", 200, "EUR")
    book.refund([refund], now=NOW)
    other = msgspec.structs.replace(refund, amount_minor=100)
    reused = refused("refund-1", "idempotency_key_reused")
    assert book.refund([other], now=NOW) == [reused]
    assert charge(book, make_charge("refund-1")) == reused
    assert book.void(["refund-1"], now=NOW) == [refused("refund-1", "not_a_charge")]
    assert book.refunded_total("EUR") == 200


def test_a_full_book_takes_no_new_keys_and_still_answers_old_ones() -> None:
    book = make_book(keys_max=2)
    charge(book, make_charge())
    book.void(["intent-2"], now=NOW)
    assert charge(book, make_charge("intent-3")) == Verdict("intent-3", "unavailable")
    assert book.void(["intent-3"], now=NOW) == [Verdict("intent-3", "unavailable")]
    refund = Refund("refund-1", "intent-1", 5, "EUR")
    assert book.refund([refund], now=NOW) == [Verdict("refund-1", "unavailable")]
    assert charge(book, make_charge()) == captured()


def test_the_book_is_read_page_by_page_with_the_totals_of_the_whole() -> None:
    book = make_book()
    charges = [make_charge(f"intent-{number}") for number in range(5)]
    charges.append(Charge("intent-5", 70, "JPY", cards.LATE_APPROVED, "order-2"))
    book.charge(charges, capture=True, now=NOW)
    first = book.page(after=0, limit=4, now=LATE)
    second = book.page(after=4, limit=4, now=LATE)
    assert [line.key for line in first.charges + second.charges] == [c.key for c in charges]
    assert (first.next_after, second.next_after) == (4, None)
    assert first.totals == {"EUR": Totals(2_500, 0), "JPY": Totals(70, 0)}
