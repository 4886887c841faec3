"""Decisions about intents and refunds, whatever the order in which the provider's words arrive.

An intent's way, with the end states in capitals:

    awaiting -> requested -> CAPTURED
                          -> authorised -> CAPTURED (by hand)
                          -> DECLINED
                          -> unknown -> any of the three above
    all but captured and declined -> WITHDRAWN

What is captured is captured once. Money that arrives for an intent whose order was already told of
its end, withdrawn or declined, is written down and given back at once.
"""

from datetime import datetime, timedelta
from typing import Literal, Protocol
from uuid import UUID

import msgspec

from serai.contexts.payments.contract import (
    ExpectPayment,
    PaymentNotCapturable,
    PaymentStatus,
    RefundStatus,
    RequestPayment,
)
from serai.kernel.failure import IllegalState, Refused

KEY_CHARS = 64
LOOK_FIRST_S = 1.0
LOOK_FACTOR = 2.0
LOOK_PAUSE_MAX_S = 600.0
LOOKS_MAX = 20
"""Times that the provider is asked about one open matter, over about two hours."""

Verdict = Literal["captured", "authorised", "declined", "voided", "unknown"]
Told = Literal["captured", "authorised", "declined", "unknown", "withdrawn"]


class Said(Protocol):
    """The provider's word on one key, whoever carried it: an answer, a look-up or a callback."""

    @property
    def status(self) -> str: ...

    @property
    def provider_ref(self) -> str | None: ...

    @property
    def reason(self) -> str | None: ...

    @property
    def amount_minor(self) -> int: ...


class Intent(msgspec.Struct, frozen=True):
    """What an order is to cost its buyer, and what became of it; a row of the table."""

    tenant_id: UUID
    order_id: UUID
    status: PaymentStatus
    amount_minor: int
    currency: str
    card: str | None
    is_capture_manual: bool
    correlation_id: UUID
    created_at: datetime
    asked_at: datetime | None
    settled_at: datetime | None = None
    capture_asked_minor: int | None = None
    captured_minor: int = 0
    refunding_minor: int = 0
    refunded_minor: int = 0
    is_closed: bool = False
    provider_ref: str | None = None
    reason: str | None = None
    version: int = 1

    @property
    def intent_id(self) -> UUID:
        """An order has one intent, ever, which therefore bears the order's id."""
        return self.order_id

    @property
    def left_minor(self) -> int:
        """What of the capture is neither given back nor on its way back."""
        return self.captured_minor - self.refunding_minor - self.refunded_minor


class Refund(msgspec.Struct, frozen=True):
    """Money of an intent that goes back; `is_told`: others know of the capture, so of this too."""

    tenant_id: UUID
    refund_id: UUID
    order_id: UUID
    status: RefundStatus
    amount_minor: int
    currency: str
    reason: str | None
    is_told: bool
    correlation_id: UUID
    created_at: datetime
    settled_at: datetime | None = None
    failure: str | None = None


class Step(msgspec.Struct, frozen=True):
    """An intent after a decision, what others are to be told, and what is to be given back."""

    intent: Intent
    told: Told | None = None
    refund_minor: int = 0


def _with(intent: Intent, **changes: object) -> Intent:
    return msgspec.structs.replace(intent, version=intent.version + 1, **changes)


# ---------------------------------------------------------------------------------- what we begin


def expect(command: RequestPayment | ExpectPayment, now: datetime) -> Intent:
    """The intent of an order: asked for where there is a card, and done where there is no price."""
    card = command.card if isinstance(command, RequestPayment) else None
    status: PaymentStatus = "awaiting" if card is None else "requested"
    settled_at = None
    if command.amount_minor == 0:
        # No provider takes nothing from a card, and an order that costs nothing is paid.
        status, card, settled_at = "captured", None, now
    return Intent(
        command.tenant_id,
        command.order_id,
        status,
        command.amount_minor,
        command.currency,
        card,
        command.is_capture_manual,
        command.cause.correlation_id,
        now,
        now if status == "requested" else None,
        settled_at,
    )


def pay(intent: Intent, card: str, now: datetime) -> Intent | Refused:
    """Gives an intent the card that it waits for."""
    if intent.status != "awaiting":
        return IllegalState(
            f"this order's payment is {intent.status} and takes no card", status=intent.status
        )
    return _with(intent, status="requested", card=card, asked_at=now)


def capture(intent: Intent, amount_minor: int | None) -> Intent | Refused:
    """Asks for held money, once; without an amount for all of it."""
    wanted = intent.amount_minor if amount_minor is None else amount_minor
    if intent.status != "authorised":
        return PaymentNotCapturable(
            f"the payment is {intent.status}; only an authorised one can be captured",
            status=intent.status,
        )
    if intent.capture_asked_minor is not None:
        return PaymentNotCapturable("a capture of this payment is under way")
    if not 1 <= wanted <= intent.amount_minor:
        return PaymentNotCapturable(
            f"between 1 and {intent.amount_minor} can be captured", held_minor=intent.amount_minor
        )
    return _with(intent, capture_asked_minor=wanted)


def refund(intent: Intent, amount_minor: int) -> Intent | None:
    """Sets part of the capture aside to be given back; None where less than that is left."""
    if not 1 <= amount_minor <= intent.left_minor:
        return None
    return _with(intent, refunding_minor=intent.refunding_minor + amount_minor)


def withdraw(intent: Intent, now: datetime) -> Step:
    """Ends an intent whose order is undone: no later charge, and a refund of what was taken."""
    if intent.status == "captured":
        back = intent.left_minor
        given = refund(intent, back)
        return Step(intent) if given is None else Step(given, refund_minor=back)
    if intent.status in {"declined", "withdrawn"}:
        return Step(intent)
    if intent.status == "awaiting":
        # The provider never heard of it, so there is nothing to be voided.
        return Step(_with(intent, status="withdrawn", is_closed=True, settled_at=now))
    ended = _with(intent, status="withdrawn", card=None, capture_asked_minor=None, settled_at=now)
    return Step(ended, told="withdrawn")


# ------------------------------------------------------------------------- what the provider says


def read(said: Said, amount_minor: int, *, is_capture_manual: bool) -> Verdict:
    """What the provider's word means for a charge of this amount.

    A sum that we did not ask for and a hold where we asked for a capture settle nothing: they are
    unknown, until the provider says something else or a person looks.
    """
    status = said.status
    if status == "captured":
        is_expected = said.amount_minor == amount_minor or (
            is_capture_manual and 0 < said.amount_minor < amount_minor
        )
        return "captured" if is_expected else "unknown"
    if status == "authorised":
        return "authorised" if is_capture_manual else "unknown"
    if status == "declined":
        return "declined"
    return "voided" if status == "voided" else "unknown"


def settle(intent: Intent, said: Said, now: datetime, *, refusal: str | None = None) -> Step:
    """What an intent becomes by the provider's word on its charge.

    `refusal` is the provider's reason where it has just refused to capture what it holds.
    """
    match read(said, intent.amount_minor, is_capture_manual=intent.is_capture_manual):
        case "captured":
            return _settle_captured(intent, said, now)
        case "authorised":
            return _settle_authorised(intent, said, refusal)
        case "declined":
            return _settle_declined(intent, said.reason, now)
        case "voided":
            if intent.status == "withdrawn":
                return Step(intent if intent.is_closed else _with(intent, is_closed=True))
            return _settle_declined(intent, said.reason or "voided", now)
        case "unknown":
            if intent.status == "requested":
                reason = said.reason or f"unexpected_{said.status}"
                return Step(_with(intent, status="unknown", reason=reason), told="unknown")
            return Step(intent)


def _settle_captured(intent: Intent, said: Said, now: datetime) -> Step:
    if intent.status in {"awaiting", "captured"} or intent.captured_minor:
        return Step(intent)
    taken = said.amount_minor
    if intent.status in {"declined", "withdrawn"}:
        ended = _with(
            intent,
            captured_minor=taken,
            refunding_minor=taken,
            is_closed=True,
            provider_ref=said.provider_ref,
        )
        return Step(ended, refund_minor=taken)
    paid = _with(
        intent,
        status="captured",
        captured_minor=taken,
        capture_asked_minor=None,
        card=None,
        provider_ref=said.provider_ref,
        reason=None,
        settled_at=now,
    )
    return Step(paid, told="captured")


def _settle_authorised(intent: Intent, said: Said, refusal: str | None) -> Step:
    if intent.status in {"requested", "unknown"}:
        held = _with(
            intent, status="authorised", card=None, provider_ref=said.provider_ref, reason=None
        )
        return Step(held, told="authorised")
    if intent.status == "authorised" and refusal is not None:
        # The hold is as it was, so the capture may be asked for again.
        return Step(_with(intent, capture_asked_minor=None, reason=refusal))
    return Step(intent)


def _settle_declined(intent: Intent, reason: str | None, now: datetime) -> Step:
    if intent.status not in {"requested", "unknown", "authorised"}:
        return Step(intent)
    ended = _with(
        intent,
        status="declined",
        card=None,
        capture_asked_minor=None,
        reason=reason or "declined",
        settled_at=now,
    )
    return Step(ended, told="declined")


def is_open(intent: Intent) -> bool:
    """Whether the provider has still to tell what became of something that was asked of it."""
    if intent.status == "withdrawn":
        return not intent.is_closed
    return intent.status == "unknown" or intent.capture_asked_minor is not None


def settle_refund(
    intent: Intent, asked: Refund, said: Said, now: datetime
) -> tuple[Intent, Refund]:
    """What a refund and its intent become by the provider's word on the refund."""
    if asked.status in {"settled", "failed"}:
        return intent, asked
    amount = asked.amount_minor
    if said.status == "refunded":
        back = _with(
            intent,
            refunding_minor=intent.refunding_minor - amount,
            refunded_minor=intent.refunded_minor + amount,
        )
        return back, msgspec.structs.replace(asked, status="settled", settled_at=now)
    if said.status == "declined":
        kept = _with(intent, refunding_minor=intent.refunding_minor - amount)
        failure = said.reason or "declined"
        return kept, msgspec.structs.replace(
            asked, status="failed", failure=failure, settled_at=now
        )
    return intent, msgspec.structs.replace(asked, status="unknown")


def look_pause(looks: int) -> timedelta | None:
    """How long to wait after the n-th look at an open matter; None where a person has to look."""
    if looks >= LOOKS_MAX:
        return None
    return timedelta(seconds=min(LOOK_FIRST_S * LOOK_FACTOR**looks, LOOK_PAUSE_MAX_S))


def settle_first(
    said: Said, amount_minor: int, *, is_capture_manual: bool
) -> tuple[PaymentStatus, str | None]:
    """`settle` for an intent that is still requested, by its terms alone: status and reason.

    Nearly every intent goes this way, by the hundred, and is never read for it.
    """
    verdict = read(said, amount_minor, is_capture_manual=is_capture_manual)
    if verdict == "captured" or verdict == "authorised":  # noqa: PLR1714 - mypy narrows this one
        return verdict, None
    if verdict == "unknown":
        return verdict, said.reason or f"unexpected_{said.status}"
    return "declined", said.reason or verdict


# ------------------------------------------------------------------------------ names of the money


def key_of(tenant_id: UUID, thing_id: UUID) -> str:
    """The name of a charge or a refund at the provider, and its idempotency key there.

    The tenant is in it, so that a callback, which carries no API key, says whose it is.
    """
    return tenant_id.hex + thing_id.hex


def parse_key(key: str) -> tuple[UUID, UUID] | None:
    """Tenant and intent or refund of a key; None for one that `key_of` never made."""
    if len(key) != KEY_CHARS or not _is_hex(key):
        return None
    return UUID(key[:32]), UUID(key[32:])


def _is_hex(text: str) -> bool:
    return all(character in "0123456789abcdef" for character in text)
