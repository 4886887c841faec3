"""A message on its way: queued, being sent, and sent, tried again, given up or skipped."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

import msgspec

from serai.contexts.notifications.contract import Kind, MessageStatus
from serai.contexts.orders.contract import OrderCancelled, OrderConfirmed, OrderedLine
from serai.contexts.payments.contract import RefundSettled
from serai.contexts.shipping.contract import ShipmentDispatched, ShippedLine
from serai.kernel.failure import IllegalState

LINES_SHOWN_MAX = 20
"""Lines of an order that a message lists; of the others it says how many they are."""
ATTEMPTS_MAX = 12
RETRY_BASE = timedelta(seconds=15)
RETRY_MAX = timedelta(hours=4)
"""Twelve attempts with these pauses reach over more than eight hours of a mail server's outage."""
CONTACT_WAIT = timedelta(minutes=10)
"""How long a message waits for the address of its order, whose event may still be on its way."""
ERROR_CHARS_MAX = 500
KEPT = timedelta(days=90)
"""How long a message is kept after its end. Longer than events and inbox marks are: the row is also
what keeps a second message of the same event out."""

_ADDRESS = re.compile(r"[^\s<>@]{1,64}@[^\s<>@]{1,255}")

# Any fixed number of at most 62 bits: see `message_id_of`.
_MARK = 0x0B83_5C1E_D942_A76F


class Facts(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a message is about; small, as it is written for every order and rendered much later."""

    amount_minor: int = 0
    currency: str = ""
    units: int = 0
    lines: tuple[tuple[str, int], ...] = ()
    """SKU and units of the first lines."""
    more_lines: int = 0
    reason: str = ""
    carrier: str = ""
    tracking_number: str | None = None
    name: str = ""


class Contact(msgspec.Struct, frozen=True):
    """Whom to write to about an order."""

    tenant_id: UUID
    order_id: UUID
    email: str
    currency: str
    total_minor: int


class Message(msgspec.Struct, frozen=True):
    """A message to a customer, without its address: that one is the order's contact."""

    tenant_id: UUID
    id: UUID
    order_id: UUID
    """What it is about; for a message about an account, the request that its token answers."""
    kind: Kind
    facts: Facts
    created_at: datetime
    due_at: datetime
    """When it may be claimed; while it is being sent, when it may be claimed by another."""
    status: MessageStatus = "queued"
    attempts: int = 0
    round: int = 1
    """Counts how often someone wanted it sent: a resent mail is another mail."""
    error: str = ""
    sent_at: datetime | None = None


class Outcome(msgspec.Struct, frozen=True):
    """What became of one mail. `deferred`: it may be tried again; perhaps it has even arrived."""

    status: Literal["sent", "refused", "deferred", "skipped"]
    reason: str = ""


class Watch(msgspec.Struct, frozen=True):
    """Since when somebody sends in a home without a long pause, and when that was last noted."""

    here_since: datetime
    seen_at: datetime


class Settled(msgspec.Struct, frozen=True):
    """What is written down about a message after an attempt."""

    status: MessageStatus
    due_at: datetime
    error: str
    sent_at: datetime | None


def message_id_of(event_id: UUID) -> UUID:
    """The id of the message that an event makes: always the same, and ordered by time like it."""
    return UUID(int=event_id.int ^ _MARK)


def first_id_at(at: datetime) -> UUID:
    """The least id that a message of this time can have: everything older is below it."""
    return UUID(int=(int(at.timestamp() * 1000) << 80))


def facts_of_confirmed(event: OrderConfirmed) -> Facts:
    """What a confirmation is about."""
    return Facts(
        amount_minor=event.total_minor,
        currency=event.currency,
        units=sum(line.quantity for line in event.lines),
        lines=_first_lines(event.lines),
        more_lines=max(0, len(event.lines) - LINES_SHOWN_MAX),
    )


def facts_of_cancelled(event: OrderCancelled) -> Facts:
    """What a cancellation is about."""
    return Facts(amount_minor=event.total_minor, currency=event.currency, reason=event.reason)


def facts_of_dispatched(event: ShipmentDispatched) -> Facts:
    """What the news of a parcel is about."""
    return Facts(
        units=sum(line.quantity for line in event.lines),
        lines=_first_lines(event.lines),
        more_lines=max(0, len(event.lines) - LINES_SHOWN_MAX),
        carrier=event.carrier,
        tracking_number=event.tracking_number,
    )


def facts_of_refund(event: RefundSettled) -> Facts:
    """What the news of a refund is about."""
    return Facts(amount_minor=event.amount_minor, currency=event.currency)


def _first_lines(lines: Sequence[OrderedLine | ShippedLine]) -> tuple[tuple[str, int], ...]:
    return tuple((line.sku, line.quantity) for line in lines[:LINES_SHOWN_MAX])


def settle(outcome: Outcome, *, attempts: int, now: datetime) -> Settled:
    """What becomes of a message after its attempt number `attempts`."""
    # A mail server likes to repeat whom it refuses: the address rests sealed, and not here.
    reason = _ADDRESS.sub("[address]", outcome.reason.replace("\0", ""))[:ERROR_CHARS_MAX]
    match outcome.status:
        case "sent":
            return Settled("sent", now, "", now)
        case "skipped":
            return Settled("skipped", now, reason, None)
        case "refused":
            return Settled("failed", now, reason, None)
    if attempts >= ATTEMPTS_MAX:
        return Settled("failed", now, reason, None)
    pause = min(RETRY_BASE * 2 ** max(0, attempts - 1), RETRY_MAX)
    return Settled("queued", now + pause, reason, None)


def resend(message: Message, *, now: datetime) -> Message | IllegalState:
    """The message as it is sent anew; one that is still on its way is not sent twice."""
    if message.status in ("queued", "sending"):
        return IllegalState(f"this message is {message.status} and will go out by itself")
    return msgspec.structs.replace(
        message,
        status="queued",
        due_at=now,
        attempts=0,
        round=message.round + 1,
        error="",
        sent_at=None,
    )
