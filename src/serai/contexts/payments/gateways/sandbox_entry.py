"""One charge as the sandbox's book holds it: what stands in a request's way, and how it is told.

Pure decisions over one entry; the book keeps the entries and applies what was decided.
"""

import re

import msgspec

from serai.contexts.payments.gateways.sandbox_cards import script_of
from serai.contexts.payments.gateways.sandbox_wire import (
    BookLine,
    Callback,
    Forgery,
    News,
    State,
    Verdict,
)
from serai.contexts.payments.ports import Capture, Charge, Refund

AMOUNT_MINOR_MAX = 10**12

# Keys travel as a segment of a URL's path, unquoted; the other texts only in JSON.
KEY_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}", re.ASCII)
TEXT_PATTERN = re.compile(r"[\x20-\x7e]{1,128}", re.ASCII)
CURRENCY_PATTERN = re.compile(r"[A-Z]{3}", re.ASCII)

_SEQUENCES: dict[News, int] = {"authorised": 1, "captured": 2, "declined": 2}


class Entry(msgspec.Struct, gc=False):
    """A charge and what became of it. `capture` is what was asked, `status` what is so now."""

    charge: Charge
    capture: bool
    provider_ref: str
    decided_at: float
    status: State = "pending"
    reason: str | None = None
    captured_minor: int = 0
    refunded_minor: int = 0


def is_key(text: str) -> bool:
    """Whether the text can name a charge or a refund."""
    return KEY_PATTERN.fullmatch(text) is not None


def fault_in(charge: Charge) -> str | None:
    """Why the provider would not even write this charge down, if so."""
    reason = None
    if not is_key(charge.key):
        reason = "invalid_key"
    elif not 0 < charge.amount_minor <= AMOUNT_MINOR_MAX:
        reason = "invalid_amount"
    elif CURRENCY_PATTERN.fullmatch(charge.currency) is None:
        reason = "invalid_currency"
    elif TEXT_PATTERN.fullmatch(charge.card) is None:
        reason = "invalid_card"
    elif TEXT_PATTERN.fullmatch(charge.reference) is None:
        reason = "invalid_reference"
    return reason


def capture_obstacle(entry: Entry | None, capture: Capture) -> str | None:
    """Why this much cannot be captured; asking again for what was captured is no obstacle."""
    amount_minor = capture.amount_minor
    reason = None
    if not is_key(capture.key):
        reason = "invalid_key"
    elif entry is None:
        reason = "unknown_charge"
    elif entry.status == "captured":
        reason = None if amount_minor == entry.captured_minor else "already_captured"
    elif entry.status == "pending":
        reason = "still_pending"
    elif entry.status != "authorised":
        reason = "not_authorised"
    elif amount_minor < 1:
        reason = "invalid_amount"
    elif amount_minor > entry.charge.amount_minor:
        reason = "capture_over_authorised"
    return reason


def refund_obstacle(entry: Entry | None, refund: Refund) -> str | None:
    """Why the charge cannot give this back; never more may leave than is left of the capture."""
    reason = None
    if not is_key(refund.key):
        reason = "invalid_key"
    elif refund.amount_minor < 1:
        reason = "invalid_amount"
    elif entry is None:
        reason = "unknown_charge"
    elif entry.status != "captured":
        reason = "not_captured"
    elif entry.charge.currency != refund.currency:
        reason = "currency_mismatch"
    elif refund.amount_minor > entry.captured_minor - entry.refunded_minor:
        reason = "refund_over_captured"
    return reason


def verdict_of(entry: Entry) -> Verdict:
    """The entry as the answer to whoever made it or asks after it."""
    amount_minor = 0
    if entry.status == "captured":
        amount_minor = entry.captured_minor
    elif entry.status == "authorised":
        amount_minor = entry.charge.amount_minor
    return Verdict(entry.charge.key, entry.status, entry.provider_ref, entry.reason, amount_minor)


def line_of(entry: Entry) -> BookLine:
    """The entry as a person reads it in the book."""
    charge = entry.charge
    is_approved = entry.status in {"authorised", "captured"}
    return BookLine(
        key=charge.key,
        reference=charge.reference,
        currency=charge.currency,
        status=entry.status,
        reason=entry.reason,
        authorised_minor=charge.amount_minor if is_approved else 0,
        captured_minor=entry.captured_minor,
        refunded_minor=entry.refunded_minor,
    )


def callbacks_of(entry: Entry) -> list[Callback]:
    """The news of a decided entry, in the order in which its card's script sends it.

    It tells how the charge was decided, whatever the merchant has done with it since.
    """
    outcome: News = "declined"
    if entry.reason is None:
        outcome = "captured" if entry.capture else "authorised"
    told: list[Callback] = []
    for step in script_of(entry.charge.card).tells:
        if step == "outcome":
            told.append(_callback(entry, outcome))
        elif step == "forgery":
            told.append(_callback(entry, "declined", Forgery))
        elif outcome == "captured":
            told.append(_callback(entry, "authorised"))
    return told


def _callback(entry: Entry, status: News, kind: type[Callback] = Callback) -> Callback:
    charge = entry.charge
    return kind(
        id=f"cb_{charge.key}_{status}",
        key=charge.key,
        reference=charge.reference,
        status=status,
        sequence=_SEQUENCES[status],
        provider_ref=entry.provider_ref,
        reason=entry.reason,
        amount_minor=0 if status == "declined" else charge.amount_minor,
        decided_at=entry.decided_at,
    )
