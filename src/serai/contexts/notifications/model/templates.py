"""The words of messages: templates with placeholders, and nothing in them that could be executed.

A template is text in which `$name` or `${name}` stands for a value and `$$` for a dollar sign, as
in Python's string.Template. There are no expressions, loops or attributes: tenants write these.
Values are escaped in HTML and never hold a line break where they end up in a header.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from string import Template
from uuid import UUID

import msgspec

from serai.contexts.catalog.contract import SKU_CHARS_MAX
from serai.contexts.identity.contract import NAME_CHARS_MAX
from serai.contexts.notifications.contract import ACCOUNT_KINDS, Kind, TemplateUnusable
from serai.contexts.notifications.model.messages import LINES_SHOWN_MAX, Contact, Facts
from serai.contexts.orders.contract import QUANTITY_MAX
from serai.contexts.shipping.contract import CARRIER_CHARS_MAX, TRACKING_CHARS_MAX
from serai.kernel.failure import StaleVersion, VersionRequired
from serai.kernel.money import AMOUNT_MINOR_MAX, price_of

RENDERED_CHARS_MAX = 200_000
"""Characters that any part of a mail may have, whatever its values are."""
TOKEN_CHARS = 64
DEFAULT_VERSION = 0
"""The version of the words that come with Serai; a tenant's own begin at one."""

PLACEHOLDERS: Mapping[Kind, tuple[str, ...]] = {
    "order_confirmed": ("lines", "order_id", "order_total", "units"),
    "order_cancelled": ("order_id", "order_total", "reason"),
    "shipment_dispatched": (
        "carrier", "lines", "order_id", "order_total", "tracking_number", "units",
    ),
    "refund_settled": ("amount", "order_id", "order_total"),
    "registration_requested": ("token",),
    "password_reset": ("token",),
    "staff_invited": ("name", "token"),
}  # fmt: skip
_REASONS = {
    "out_of_stock": "not everything in it is left in stock",
    "payment_declined": "the payment was declined",
    "expired": "it was not paid in time",
    "requested": "this was asked for",
}
_UNKNOWN = "not known"
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]+")


class Words(msgspec.Struct, frozen=True):
    """Subject, text and HTML of a kind of message; without HTML it is an empty string."""

    subject: str
    text: str
    html: str


class StoredWords(msgspec.Struct, frozen=True):
    """The words that a tenant uses for a kind."""

    tenant_id: UUID
    kind: Kind
    words: Words
    version: int
    updated_at: datetime | None


def values_of(
    kind: Kind, *, order_id: UUID, facts: Facts, contact: Contact, token: str = ""
) -> dict[str, str]:
    """What the placeholders of a kind stand for in one message.

    The token of a mail about an account is written when the mail is, and kept nowhere.
    """
    if kind in ACCOUNT_KINDS:
        return {
            name: {"name": _one_line(facts.name) or "there", "token": token}[name]
            for name in PLACEHOLDERS[kind]
        }
    known = {
        "order_id": str(order_id),
        "order_total": _money(contact.total_minor, contact.currency),
        "units": str(facts.units),
        "lines": _list_lines(facts),
        "reason": _REASONS.get(facts.reason, _one_line(facts.reason)),
        "carrier": _one_line(facts.carrier),
        "tracking_number": _one_line(facts.tracking_number or _UNKNOWN),
        "amount": _money(facts.amount_minor, facts.currency) if facts.currency else "",
    }
    return {name: known[name] for name in PLACEHOLDERS[kind]}


def _money(amount_minor: int, currency: str) -> str:
    return f"{price_of(amount_minor, currency)} {currency}"


def _one_line(text: str) -> str:
    return _CONTROL.sub(" ", text)


def _list_lines(facts: Facts) -> str:
    shown = [f"{quantity} x {_one_line(sku)}" for sku, quantity in facts.lines[:LINES_SHOWN_MAX]]
    if facts.more_lines:
        shown.append(f"and {facts.more_lines} more")
    return "\n".join(shown)


def render(words: Words, values: Mapping[str, str]) -> Words:
    """The words with values in place of the placeholders; unknown ones are left as they stand."""
    in_html = {name: escape(value).replace("\n", "<br>\n") for name, value in values.items()}
    return Words(
        _one_line(Template(words.subject).safe_substitute(values)),
        Template(words.text).safe_substitute(values),
        Template(words.html).safe_substitute(in_html),
    )


def find_fault(kind: Kind, words: Words) -> TemplateUnusable | None:
    """Why words cannot be used for a kind: an unknown placeholder, a stray `$`, too long a mail."""
    known = PLACEHOLDERS[kind]
    for part in ("subject", "text", "html"):
        template = Template(getattr(words, part))
        if not template.is_valid():
            return TemplateUnusable(
                f"`{part}` has a `$` that begins no placeholder; write `$$` for a dollar sign",
                part=part,
            )
        unknown = sorted(set(template.get_identifiers()) - set(known))
        if unknown:
            return TemplateUnusable(
                f"`{part}` names what a message of this kind does not have",
                part=part, unknown=unknown, placeholders=list(known),
            )  # fmt: skip
    longest = render(words, longest_values(kind))
    for part in ("subject", "text", "html"):
        if len(getattr(longest, part)) > RENDERED_CHARS_MAX:
            return TemplateUnusable(
                f"`{part}` could become longer than {RENDERED_CHARS_MAX} characters", part=part
            )
    return None


def longest_values(kind: Kind) -> dict[str, str]:
    """Values that no others are longer than, in text and in HTML."""
    widest = '"'  # becomes the longest entity
    lines = tuple((widest * SKU_CHARS_MAX, QUANTITY_MAX) for _ in range(LINES_SHOWN_MAX))
    facts = Facts(
        amount_minor=AMOUNT_MINOR_MAX,
        currency="JPY",
        units=AMOUNT_MINOR_MAX,
        lines=lines,
        more_lines=QUANTITY_MAX,
        reason=max(_REASONS, key=lambda reason: len(_REASONS[reason])),
        carrier=widest * CARRIER_CHARS_MAX,
        tracking_number=widest * TRACKING_CHARS_MAX,
        name=widest * NAME_CHARS_MAX,
    )
    order_id = UUID(int=0)
    contact = Contact(order_id, order_id, "", "EUR", AMOUNT_MINOR_MAX)
    token = "-" * TOKEN_CHARS
    return values_of(kind, order_id=order_id, facts=facts, contact=contact, token=token)


def replace(
    current: StoredWords,
    words: Words,
    *,
    expected: int | None,
    is_any: bool,
    now: datetime,
) -> StoredWords | TemplateUnusable | StaleVersion | VersionRequired:
    """The words after a tenant has written her own; nobody's are overwritten unseen.

    `expected` is the version that the writer has seen; `is_any` says that she does not mind.
    """
    fault = find_fault(current.kind, words)
    if fault is not None:
        return fault
    if expected is None and not is_any and current.version != DEFAULT_VERSION:
        return VersionRequired("send `If-Match` with the ETag of the template that you have seen")
    if expected is not None and expected != current.version:
        return StaleVersion(f"the template is at version {current.version} by now")
    return msgspec.structs.replace(
        current, words=words, version=current.version + 1, updated_at=now
    )


def fill_defaults(
    own: Sequence[StoredWords],
    wanted: Sequence[tuple[UUID, Kind]],
    defaults: Mapping[Kind, Words],
) -> dict[tuple[UUID, Kind], StoredWords]:
    """The words of each tenant and kind: her own, else those that come with Serai."""
    known = {(stored.tenant_id, stored.kind): stored for stored in own}
    return {
        (tenant_id, kind): known.get((tenant_id, kind))
        or StoredWords(tenant_id, kind, defaults[kind], DEFAULT_VERSION, None)
        for tenant_id, kind in wanted
    }
