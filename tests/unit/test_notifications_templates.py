"""The words of messages: what they may hold, and that values stay values."""

from datetime import datetime
from html import unescape
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serai.contexts.notifications.contract import ACCOUNT_KINDS, BODY_CHARS_MAX, KINDS, Kind
from serai.contexts.notifications.gateways.defaults import load_defaults
from serai.contexts.notifications.model import templates
from serai.contexts.notifications.model.messages import Contact, Facts
from serai.contexts.notifications.model.templates import (
    PLACEHOLDERS,
    RENDERED_CHARS_MAX,
    StoredWords,
    Words,
)
from serai.kernel.failure import Refused
from tests.unit.fulfilment_fakes import NOW

TOKEN = "t" * 64
TENANT, ORDER = UUID(int=1), UUID("0190a000-0000-7000-8000-000000000001")
CONTACT = Contact(TENANT, ORDER, "ada@example.org", "GBP", 123456)
FACTS = Facts(
    amount_minor=500,
    currency="GBP",
    units=4,
    lines=(("MUG", 3), ("<TEA>", 1)),
    more_lines=7,
    reason="out_of_stock",
    carrier="A & Co",
    tracking_number=None,
)


def values(kind: Kind, facts: Facts = FACTS) -> dict[str, str]:
    return templates.values_of(kind, order_id=ORDER, facts=facts, contact=CONTACT, token=TOKEN)


def test_each_kind_has_its_values() -> None:
    about = {"order_id": str(ORDER), "order_total": "1234.56 GBP"}
    lines = "3 x MUG\n1 x <TEA>\nand 7 more"
    assert {kind: values(kind) for kind in KINDS} == {
        "order_confirmed": {**about, "lines": lines, "units": "4"},
        "order_cancelled": {**about, "reason": "not everything in it is left in stock"},
        "shipment_dispatched": {
            **about, "carrier": "A & Co", "tracking_number": "not known", "lines": lines,
            "units": "4",
        },
        "refund_settled": {**about, "amount": "5.00 GBP"},
        "registration_requested": {"token": TOKEN},
        "password_reset": {"token": TOKEN},
        "staff_invited": {"name": "there", "token": TOKEN},
    }  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_the_words_that_come_with_serai_use_every_placeholder_they_need(kind: Kind) -> None:
    words = load_defaults()[kind]
    assert templates.find_fault(kind, words) is None
    rendered = templates.render(words, values(kind))
    assert "$" not in rendered.subject + rendered.text + rendered.html
    assert (TOKEN if kind in ACCOUNT_KINDS else str(ORDER)) in rendered.text
    assert (TOKEN if kind in ACCOUNT_KINDS else str(ORDER)) in rendered.html
    assert "\n" not in rendered.subject


def test_a_rendered_confirmation_reads_like_this() -> None:
    rendered = templates.render(load_defaults()["order_confirmed"], values("order_confirmed"))
    assert rendered.subject == "Your order is confirmed"
    assert rendered.text == (
        "Thank you for your order.\n\n3 x MUG\n1 x <TEA>\nand 7 more\n\nTotal: 1234.56 GBP\n\n"
        "We tell you as soon as it is on its way.\n"
        f"Your order number is {ORDER}\n"
    )
    assert "3 x MUG<br>\n1 x &lt;TEA&gt;<br>\nand 7 more" in rendered.html


def test_nothing_in_a_template_is_executed() -> None:
    hostile = Words("$order_id", "{order_id.__class__} %(order_id)s {{ 7 * 7 }} $$5", "<b>$reason")
    rendered = templates.render(hostile, {"order_id": "$reason", "reason": "${order_id}<script>"})
    assert rendered == Words(
        "$reason",
        "{order_id.__class__} %(order_id)s {{ 7 * 7 }} $5",
        "<b>${order_id}&lt;script&gt;",
    )


@given(value=st.text())
def test_a_value_stays_a_value(value: str) -> None:
    rendered = templates.render(Words("<$x>", "<$x>", "<$x>"), {"x": value})
    assert rendered.text == f"<{value}>"
    assert unescape(rendered.html[1:-1].replace("<br>\n", "\n")) == unescape(
        rendered.html[1:-1].replace("<br>", "")
    )
    assert not set(rendered.html[1:-1].replace("<br>\n", "")) & set("<>\"'")
    assert len(rendered.subject.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "facts"),
    [
        (Words("Hello $name", "x", ""), {"part": "subject", "unknown": ["name"]}),
        (
            Words("Hello", "$amount and ${email}", ""),
            {"part": "text", "unknown": ["amount", "email"]},
        ),
        (Words("Hello", "x", "<p>$"), {"part": "html"}),
        (Words("It costs $5", "x", ""), {"part": "subject"}),
    ],
)
def test_words_that_name_what_is_not_there_are_refused(
    words: Words, facts: dict[str, object]
) -> None:
    fault = templates.find_fault("order_confirmed", words)
    assert fault is not None
    assert (fault.code, fault.status) == ("template_unusable", 422)
    assert {key: fault.facts[key] for key in facts} == facts


def test_words_that_could_become_endless_are_refused() -> None:
    repeated = "$lines" * (BODY_CHARS_MAX // len("$lines"))
    fault = templates.find_fault("order_confirmed", Words("Hello", repeated, ""))
    assert fault is not None
    assert fault.facts == {"part": "text"}


@given(
    sku=st.text(max_size=64),
    quantity=st.integers(1, 1_000_000),
    count=st.integers(0, 30),
    carrier=st.text(max_size=64),
    number=st.none() | st.text(max_size=128),
    total=st.integers(0, 10**15),
)
def test_no_values_are_longer_than_those_a_template_is_measured_by(
    *, sku: str, quantity: int, count: int, carrier: str, number: str | None, total: int
) -> None:
    facts = Facts(
        amount_minor=total, currency="JPY", units=quantity * count,
        lines=tuple((sku, quantity) for _ in range(count)), more_lines=9980, carrier=carrier,
        tracking_number=number, reason="payment_declined",
    )  # fmt: skip
    contact = Contact(TENANT, ORDER, "", "KWD", total)
    for kind in KINDS:
        words = Words(*[" ".join(f"${name}" for name in PLACEHOLDERS[kind])] * 3)
        given_values = templates.values_of(kind, order_id=ORDER, facts=facts, contact=contact)
        rendered = templates.render(words, given_values)
        longest = templates.render(words, templates.longest_values(kind))
        assert len(rendered.html) <= len(longest.html)
        assert len(rendered.text) <= len(longest.text)


def stored(version: int) -> StoredWords:
    at: datetime | None = NOW if version else None
    return StoredWords(TENANT, "order_confirmed", Words("Old", "old", ""), version, at)


NEW = Words("New", "new $units", "")


@pytest.mark.parametrize(
    ("version", "expected", "is_any", "result"),
    [
        (0, None, False, 1),
        (0, 0, True, 1),
        (0, 1, True, "stale_version"),
        (3, None, False, "version_required"),
        (3, None, True, 4),
        (3, 3, True, 4),
        (3, 2, True, "stale_version"),
    ],
)
def test_nobodys_words_are_overwritten_unseen(
    version: int, expected: int | None, *, is_any: bool, result: int | str
) -> None:
    replaced = templates.replace(stored(version), NEW, expected=expected, is_any=is_any, now=NOW)
    if isinstance(replaced, Refused):
        assert replaced.code == result
    else:
        assert replaced == StoredWords(TENANT, "order_confirmed", NEW, int(result), NOW)


def test_unusable_words_are_refused_before_versions_are_compared() -> None:
    refused = templates.replace(
        stored(3), Words("$nothing", "x", ""), expected=None, is_any=False, now=NOW
    )
    assert isinstance(refused, Refused)
    assert refused.code == "template_unusable"


def test_who_has_no_words_of_her_own_gets_those_that_come_with_serai() -> None:
    other, defaults = UUID(int=2), load_defaults()
    wanted: list[tuple[UUID, Kind]] = [(TENANT, "order_confirmed"), (other, "order_confirmed")]
    found = templates.fill_defaults([stored(3)], wanted, defaults)
    default = StoredWords(other, "order_confirmed", defaults["order_confirmed"], 0, None)
    assert found == {wanted[0]: stored(3), wanted[1]: default}
    assert RENDERED_CHARS_MAX > BODY_CHARS_MAX
