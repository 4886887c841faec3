"""When messages are tried again, what they are about, and to whom mail may go."""

from datetime import timedelta
from itertools import accumulate
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from serai.contexts.notifications.contract import MessageStatus
from serai.contexts.notifications.model import mails, messages
from serai.contexts.notifications.model.mails import Mail, Sender
from serai.contexts.notifications.model.messages import (
    ATTEMPTS_MAX,
    RETRY_MAX,
    Facts,
    Message,
    Outcome,
    Settled,
)
from serai.contexts.notifications.model.templates import Words
from serai.contexts.orders.contract import OrderCancelled, OrderConfirmed, OrderedLine
from serai.contexts.payments.contract import RefundSettled
from serai.contexts.shipping.contract import ShipmentDispatched, ShippedLine
from serai.kernel.failure import IllegalState
from tests.unit.fulfilment_fakes import NOW

TENANT, ORDER = UUID(int=1), UUID(int=2)
MESSAGE = Message(TENANT, UUID(int=3), ORDER, "order_confirmed", Facts(), NOW, NOW)
SENDER = Sender("Lädchen", "shop@example.org")


def test_an_attempt_ends_or_is_put_off() -> None:
    assert messages.settle(Outcome("sent"), attempts=1, now=NOW) == Settled("sent", NOW, "", NOW)
    assert messages.settle(Outcome("skipped", "no"), attempts=1, now=NOW) == Settled(
        "skipped", NOW, "no", None
    )
    assert messages.settle(Outcome("refused", "550\0 no"), attempts=1, now=NOW) == Settled(
        "failed", NOW, "550 no", None
    )
    assert messages.settle(Outcome("deferred", "x" * 900), attempts=3, now=NOW) == Settled(
        "queued", NOW + timedelta(seconds=60), "x" * 500, None
    )


def test_attempts_come_ever_more_seldom_and_have_an_end() -> None:
    late = Outcome("deferred", "later")
    settled = [messages.settle(late, attempts=n, now=NOW) for n in range(1, ATTEMPTS_MAX + 1)]
    assert [s.status for s in settled] == ["queued"] * (ATTEMPTS_MAX - 1) + ["failed"]
    pauses = [s.due_at - NOW for s in settled[:-1]]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (timedelta(seconds=15), RETRY_MAX)
    assert list(accumulate(pauses))[-1] > timedelta(hours=8)


@pytest.mark.parametrize("status", ["sent", "failed", "skipped"])
def test_a_message_at_its_end_is_sent_anew_as_another_mail(status: MessageStatus) -> None:
    ended = replace(MESSAGE, status=status, attempts=7, error="550", sent_at=NOW)
    later = NOW + timedelta(days=1)
    assert messages.resend(ended, now=later) == replace(MESSAGE, due_at=later, round=2)


@pytest.mark.parametrize("status", ["queued", "sending"])
def test_a_message_on_its_way_is_not_sent_twice(status: MessageStatus) -> None:
    assert isinstance(messages.resend(replace(MESSAGE, status=status), now=NOW), IllegalState)


def test_a_message_is_about_its_event() -> None:
    many = tuple(OrderedLine(n, f"S{n}", 2) for n in range(1, 24))
    first = tuple((f"S{n}", 2) for n in range(1, 21))
    assert messages.facts_of_confirmed(OrderConfirmed(ORDER, "GBP", 900, None, many)) == Facts(
        amount_minor=900, currency="GBP", units=46, lines=first, more_lines=3
    )
    assert messages.facts_of_cancelled(OrderCancelled(ORDER, "expired", None, "GBP", 900)) == Facts(
        amount_minor=900, currency="GBP", reason="expired"
    )
    parcel = ShipmentDispatched(ORDER, UUID(int=9), "Post", "T1", (ShippedLine(2, "MUG", 3),))
    assert messages.facts_of_dispatched(parcel) == Facts(
        units=3, lines=(("MUG", 3),), carrier="Post", tracking_number="T1"
    )
    assert messages.facts_of_refund(RefundSettled(ORDER, UUID(int=9), 50, "GBP")) == Facts(
        amount_minor=50, currency="GBP"
    )


def test_a_message_has_an_id_of_its_own_that_keeps_the_order_of_events() -> None:
    event = UUID("0190a000-0000-7000-8000-000000000001")
    made = messages.message_id_of(event)
    assert made == messages.message_id_of(event) != event
    assert (made.int >> 64, made.version) == (event.int >> 64, 7)


@pytest.mark.parametrize(
    "address",
    [
        "ada@example.org", "ada+shop@mail.example.org", "jürgen@exämple.de", "a@localhost",
        "o'neil@example.org", "a" * 64 + "@example.org",
    ],
)  # fmt: skip
def test_mail_can_go_there(address: str) -> None:
    assert mails.is_address(address)


@pytest.mark.parametrize(
    "address",
    [
        "", "ada", "@example.org", "ada@", "a b@example.org", "ada@exam ple.org", "a@b@c.org",
        "ada@example.org\n", "ada@example.org\r\nBcc: eve@example.org", "ada\x00@example.org",
        "<ada@example.org>", "ada@example.org,eve@example.org", "ada@example.org;eve",
        "a" * 65 + "@example.org", "ada@" + "a" * 64 + ".org", "ada@.org", "ada@example..org",
        "ada@example.org.", '"ada"@example.org', "ada(x)@example.org", "ada@[127.0.0.1]",
        "ada@" + "ab." * 90 + "org", "ada\u2028@example.org",
    ],
)  # fmt: skip
def test_mail_cannot_go_there(address: str) -> None:
    assert not mails.is_address(address)


@given(text=st.text())
def test_no_address_ends_a_line(text: str) -> None:
    if mails.is_address(text):
        assert len(text.splitlines()) == 1
        assert not set(text) & set(' \t\r\n,;<>"')


def test_a_sender_is_an_address_perhaps_with_a_name() -> None:
    assert mails.parse_sender("shop@example.org") == Sender("", "shop@example.org")
    assert mails.parse_sender("Lädchen <shop@example.org>") == SENDER
    for text in ("", "shop", "Shop <>", "Shop\r\nBcc: e <shop@example.org>", "a@b@c"):
        assert mails.parse_sender(text) is None


def test_a_mail_has_the_same_id_whenever_it_is_tried_again() -> None:
    made = mails.compose(
        Words("S" * 300, "text", "<p>"),
        message=UUID(int=3), round_no=2, sender=Sender("", "shop@exämple.de"),
        recipient="ada@example.org", now=NOW,
    )  # fmt: skip
    assert made == Mail(
        "<00000000-0000-0000-0000-000000000003.2@xn--exmple-cua.de>",
        Sender("", "shop@exämple.de"), "ada@example.org", "S" * 200, "text", "<p>", NOW,
    )  # fmt: skip
    assert mails.find_fault(made) is None
