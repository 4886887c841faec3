"""What begins, changes and ends payments: the commands of the flows and of the API."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from serai.contexts.payments import model
from serai.contexts.payments.contract import (
    CaptureRequested,
    ExpectPayment,
    PaymentCaptured,
    PaymentRef,
    PaymentRequested,
    RefundTooLarge,
    RequestPayment,
    RequestRefund,
)
from serai.contexts.payments.handlers.books import Books
from serai.contexts.payments.handlers.changes import Changes, NewId, unique
from serai.contexts.payments.model import Intent, Refund
from serai.kernel.changes import describe
from serai.kernel.conditions import Terms
from serai.kernel.db import Tx
from serai.kernel.events import Cause
from serai.kernel.failure import NotFound, Refused, find_stale

NO_PAYMENT = "there is no payment with this id"
NO_PAYMENT_OF_ORDER = (
    "no payment is known for this order; it is, once the order's stock is reserved"
)


class PayOrder(msgspec.Struct, frozen=True):
    """Gives the card to an order that was placed without one."""

    tenant_id: UUID
    order_id: UUID
    card: str
    cause: Cause


class CapturePayment(msgspec.Struct, frozen=True):
    """Takes money that is held, all of it or the amount given; once."""

    tenant_id: UUID
    order_id: UUID
    amount_minor: int | None
    cause: Cause
    version: int | None = None


class RefundPayment(msgspec.Struct, frozen=True):
    """Gives part or all of a capture back."""

    tenant_id: UUID
    order_id: UUID
    refund_id: UUID
    amount_minor: int
    reason: str | None
    cause: Cause
    version: int | None = None
    terms: Terms | None = None


async def request_payments(
    commands: Sequence[RequestPayment | ExpectPayment],
    *,
    tx: Tx,
    now: datetime,
    books: Books,
) -> None:
    """Records one intent an order; announces those that are to be asked for, and the free ones."""
    if not commands:
        return
    intents = [model.expect(command, now) for command in commands]
    fresh = await books.insert_intents(intents, tx=tx)
    for command, intent in zip(commands, intents, strict=True):
        if intent.order_id not in fresh:
            continue
        if intent.status == "requested":
            tx.announce(command.tenant_id, _requested(intent), command.cause)
        elif intent.status == "captured":
            paid = PaymentCaptured(intent.order_id, intent.intent_id, 0)
            tx.announce(command.tenant_id, paid, command.cause)


def _requested(intent: Intent) -> PaymentRequested:
    return PaymentRequested(
        intent.order_id,
        intent.intent_id,
        intent.amount_minor,
        intent.currency,
        intent.card or "",
        intent.is_capture_manual,
    )


async def pay_orders(
    commands: Sequence[PayOrder], *, tx: Tx, now: datetime, books: Books, new_id: NewId
) -> list[Intent | Refused]:
    """Asks for the money of orders that waited for a card."""
    keys = [(c.tenant_id, c.order_id) for c in commands]
    intents = await books.lock_intents(unique(keys), tx=tx)
    changes = Changes(intents, tx=tx, now=now, new_id=new_id)
    outcomes: list[Intent | Refused] = []
    for command, key in zip(commands, keys, strict=True):
        intent = intents.get(key)
        decided = (
            NotFound(NO_PAYMENT_OF_ORDER)
            if intent is None
            else model.pay(intent, command.card, now)
        )
        if isinstance(decided, Intent):
            changes.keep(decided)
            tx.announce(command.tenant_id, _requested(decided), command.cause)
            _record("payments.payment_requested", intent, decided, command.cause, tx=tx)
        outcomes.append(decided)
    await changes.save(books)
    return outcomes


def _record(
    action: str,
    before: Intent | None,
    after: Intent,
    cause: Cause,
    *,
    tx: Tx,
    more: Mapping[str, object] | None = None,
) -> None:
    became = {**msgspec.structs.asdict(after), **(more or {})}
    change = describe(
        action, ("payment", after.intent_id), cause,
        before=None if before is None else msgspec.structs.asdict(before), after=became,
    )  # fmt: skip
    tx.record(after.tenant_id, change)


async def capture_payments(
    commands: Sequence[CapturePayment], *, tx: Tx, now: datetime, books: Books, new_id: NewId
) -> list[Intent | Refused]:
    """Has held money captured."""
    keys = [(c.tenant_id, c.order_id) for c in commands]
    intents = await books.lock_intents(unique(keys), tx=tx)
    changes = Changes(intents, tx=tx, now=now, new_id=new_id)
    outcomes: list[Intent | Refused] = []
    for command, key in zip(commands, keys, strict=True):
        intent = intents.get(key)
        decided = (
            NotFound(NO_PAYMENT)
            if intent is None
            else find_stale(command.version, intent.version)
            or model.capture(intent, command.amount_minor)
        )
        if isinstance(decided, Intent):
            changes.keep(decided)
            amount = decided.capture_asked_minor or 0
            asked = CaptureRequested(decided.order_id, decided.intent_id, amount)
            tx.announce(command.tenant_id, asked, command.cause)
            _record("payments.capture_requested", intent, decided, command.cause, tx=tx)
        outcomes.append(decided)
    await changes.save(books)
    return outcomes


async def refund_payments(
    commands: Sequence[RefundPayment], *, tx: Tx, now: datetime, books: Books, new_id: NewId
) -> list[Refund | Refused]:
    """Gives captured money back on a person's word."""
    keys = [(c.tenant_id, c.order_id) for c in commands]
    intents = await books.lock_intents(unique(keys), tx=tx)
    changes = Changes(intents, tx=tx, now=now, new_id=new_id)
    outcomes: list[Refund | Refused] = []
    for command, key in zip(commands, keys, strict=True):
        intent = intents.get(key)
        if intent is None:
            outcomes.append(NotFound(NO_PAYMENT))
            continue
        stale = find_stale(command.version, intent.version)
        if stale is not None:
            outcomes.append(stale)
            continue
        refusal = _refuse_terms(command, intent, now)
        if refusal is not None:
            outcomes.append(refusal)
            continue
        decided = model.refund(intent, command.amount_minor)
        if decided is None:
            left = intent.left_minor
            outcomes.append(RefundTooLarge(f"at most {left} can be refunded", left_minor=left))
            continue
        changes.keep(decided)
        refund = changes.add_refund(
            decided, command.refund_id, command.amount_minor, command.reason, command.cause
        )
        outcomes.append(refund)
        told = {
            "refund_id": refund.refund_id, "amount_minor": refund.amount_minor,
            "reason": refund.reason,
        }  # fmt: skip
        _record("payments.refund_requested", intent, decided, command.cause, tx=tx, more=told)
    await changes.save(books)
    return outcomes


def _refuse_terms(command: RefundPayment, intent: Intent, now: datetime) -> Refused | None:
    """Why who asks may not give so much back: all of a payment's refunds count, not each one."""
    if command.terms is None:
        return None
    given = intent.refunding_minor + intent.refunded_minor + command.amount_minor
    return command.terms.refuse(now, amount_minor=given, currency=intent.currency)


async def request_refunds(
    commands: Sequence[RequestRefund], *, tx: Tx, now: datetime, books: Books, new_id: NewId
) -> list[bool]:
    """Gives money of orders back; a refund that is known already is not made again."""
    if not commands:
        return []
    keys = [(c.tenant_id, c.order_id) for c in commands]
    intents = await books.lock_intents(unique(keys), tx=tx)
    ids = unique([(c.tenant_id, c.refund_id) for c in commands])
    known = await books.find_refunds(ids, tx=tx)
    changes = Changes(intents, tx=tx, now=now, new_id=new_id)
    outcomes = []
    for command, key in zip(commands, keys, strict=True):
        earlier = known.get((command.tenant_id, command.refund_id))
        if earlier is not None:
            is_same = (earlier.order_id, earlier.amount_minor) == (key[1], command.amount_minor)
            outcomes.append(is_same)
            continue
        intent = intents.get(key)
        decided = None if intent is None else model.refund(intent, command.amount_minor)
        if decided is not None:
            changes.keep(decided)
            added = changes.add_refund(
                decided, command.refund_id, command.amount_minor, None, command.cause
            )
            known[command.tenant_id, command.refund_id] = added
        outcomes.append(decided is not None)
    await changes.save(books)
    return outcomes


async def withdraw_payments(
    refs: Sequence[PaymentRef], *, tx: Tx, now: datetime, books: Books, new_id: NewId
) -> None:
    """Ends the payments of undone orders, whatever has become of them so far."""
    if not refs:
        return
    keys = [(r.tenant_id, r.order_id) for r in refs]
    intents = await books.lock_intents(unique(keys), tx=tx)
    changes = Changes(intents, tx=tx, now=now, new_id=new_id)
    for ref, key in zip(refs, keys, strict=True):
        if key in intents:
            changes.follow(model.withdraw(intents[key], now), ref.cause)
    await changes.save(books)
