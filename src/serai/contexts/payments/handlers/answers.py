"""Writes down what the provider said, in one transaction a batch, and tells others of it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from serai.contexts.payments import model
from serai.contexts.payments.contract import (
    BillAnswer,
    PaymentAuthorised,
    PaymentCaptured,
    PaymentDeclined,
    PaymentUnknown,
)
from serai.contexts.payments.handlers.asking import Heard
from serai.contexts.payments.handlers.books import Books, FirstWord, Key
from serai.contexts.payments.handlers.changes import Changes, NewId, unique
from serai.contexts.payments.model import Intent, Refund
from serai.contexts.payments.ports import Answer
from serai.kernel.db import Tx
from serai.kernel.events import Cause, Delivery
from serai.kernel.failure import NotFound, Refused

TEXT_CHARS_MAX = 200
"""What is kept of a text of the provider's."""
FIRST_LOOK = timedelta(seconds=model.LOOK_FIRST_S)


class ChargeWord(msgspec.Struct, frozen=True):
    """The provider's word on an intent's charge; without a cause the intent's own is carried on."""

    key: Key
    heard: Heard
    cause: Cause | None


class RefundWord(msgspec.Struct, frozen=True):
    """The provider's word on a refund."""

    key: Key
    order_id: UUID
    answer: Answer
    cause: Cause | None


class HearCallback(msgspec.Struct, frozen=True):
    """News of a charge that the provider brought by itself."""

    tenant_id: UUID
    order_id: UUID
    answer: Answer
    cause: Cause


async def record_payments(
    deliveries: Sequence[Delivery],
    answers: Sequence[Answer | None],
    *,
    tx: Tx,
    now: datetime,
    books: Books,
    new_id: NewId,
) -> None:
    """Settles what was asked for by PaymentRequested: one statement for those that still wait."""
    heard = [(d, d.decode(), a) for d, a in zip(deliveries, answers, strict=True) if a is not None]
    words = [_first_word(delivery, event, answer) for delivery, event, answer in heard]
    settled = await books.settle_requested(words, tx=tx, now=now) if words else []
    unknown = []
    for place in settled:
        word = words[place]
        delivery, event, _ = heard[place]
        tx.announce(delivery.tenant_id, _news_of(word, event), delivery.cause)
        if word.status == "unknown":
            unknown.append((word.tenant_id, word.order_id))
    if unknown:
        await books.add_looks("intent", unknown, due_at=now + FIRST_LOOK, tx=tx)
    if len(settled) < len(words):
        # A callback was faster, or the order was undone while the provider worked.
        waiting = set(range(len(words))).difference(settled)
        late = [
            ChargeWord(
                (words[n].tenant_id, words[n].order_id), Heard(heard[n][2]), heard[n][0].cause
            )
            for n in sorted(waiting)
        ]
        await settle_charges(late, tx=tx, now=now, books=books, new_id=new_id)


def _first_word(delivery: Delivery, event: Any, answer: Answer) -> FirstWord:
    status, reason = model.settle_first(
        answer, event.amount_minor, is_capture_manual=event.is_capture_manual
    )
    captured = answer.amount_minor if status == "captured" else 0
    return FirstWord(
        delivery.tenant_id,
        event.order_id,
        status,
        captured,
        _text(answer.provider_ref),
        _text(reason),
    )


def _news_of(word: FirstWord, event: Any) -> msgspec.Struct:
    if word.status == "captured":
        return PaymentCaptured(event.order_id, event.intent_id, word.captured_minor)
    if word.status == "authorised":
        return PaymentAuthorised(event.order_id, event.intent_id, event.amount_minor)
    if word.status == "declined":
        return PaymentDeclined(event.order_id, event.intent_id, word.reason or "")
    return PaymentUnknown(event.order_id, event.intent_id)


async def record_charges(
    deliveries: Sequence[Delivery],
    answers: Sequence[Heard | None],
    *,
    tx: Tx,
    now: datetime,
    books: Books,
    new_id: NewId,
) -> None:
    """Settles what CaptureRequested or PaymentWithdrawn asked; what stays open is looked at."""
    words = [
        ChargeWord((delivery.tenant_id, delivery.decode().order_id), heard, delivery.cause)
        for delivery, heard in zip(deliveries, answers, strict=True)
        if heard is not None
    ]
    await settle_charges(words, tx=tx, now=now, books=books, new_id=new_id)


async def record_refunds(
    deliveries: Sequence[Delivery],
    answers: Sequence[Answer | None],
    *,
    tx: Tx,
    now: datetime,
    books: Books,
    new_id: NewId,
) -> None:
    """Settles what was asked by RefundRequested."""
    words = [
        RefundWord((d.tenant_id, d.decode().refund_id), d.decode().order_id, answer, d.cause)
        for d, answer in zip(deliveries, answers, strict=True)
        if answer is not None
    ]
    await settle_refunds(words, tx=tx, now=now, books=books, new_id=new_id)


async def hear_callbacks(
    commands: Sequence[HearCallback], *, tx: Tx, now: datetime, books: Books, new_id: NewId
) -> list[Refused | None]:
    """Settles by news that may come twice, late, in any order, or of nothing we know.

    News that settles nothing is not an answer that failed: the question is still on its way.
    """
    keys = [(c.tenant_id, c.order_id) for c in commands]
    intents = await books.lock_intents(unique(keys), tx=tx)
    were_open = [key for key, intent in intents.items() if model.is_open(intent)]
    changes = Changes(intents, tx=tx, now=now, new_id=new_id)
    outcomes: list[Refused | None] = []
    for command, key in zip(commands, keys, strict=True):
        intent = intents.get(key)
        if intent is None:
            outcomes.append(NotFound("no payment of ours has this key"))
            continue
        said = _clean(command.answer)
        verdict = model.read(said, intent.amount_minor, is_capture_manual=intent.is_capture_manual)
        if verdict != "unknown":
            changes.follow(model.settle(intent, said, now), _cause(command.cause, intent))
        outcomes.append(None)
    await changes.save(books)
    settled = [key for key in were_open if not model.is_open(intents[key])]
    if settled:
        await books.end_looks("intent", settled, tx=tx)
    return outcomes


async def settle_charges(
    words: Sequence[ChargeWord], *, tx: Tx, now: datetime, books: Books, new_id: NewId
) -> dict[Key, Intent]:
    """Follows words on charges; the intents as they are now. What is still open is looked at."""
    if not words:
        return {}
    intents = await books.lock_intents(unique([word.key for word in words]), tx=tx)
    changes = Changes(intents, tx=tx, now=now, new_id=new_id)
    for word in words:
        intent = intents.get(word.key)
        if intent is not None:
            said = _clean(word.heard.answer)
            refusal = _text(word.heard.refusal)
            step = model.settle(intent, said, now, refusal=refusal)
            changes.follow(step, word.cause or Cause(intent.correlation_id))
    await changes.save(books)
    still_open = [key for key, intent in intents.items() if model.is_open(intent)]
    if still_open:
        await books.add_looks("intent", still_open, due_at=now + FIRST_LOOK, tx=tx)
    return intents


async def settle_refunds(
    words: Sequence[RefundWord], *, tx: Tx, now: datetime, books: Books, new_id: NewId
) -> dict[Key, Refund]:
    """Follows words on refunds; the refunds as they are now. What is still open is looked at."""
    if not words:
        return {}
    owners = unique([(word.key[0], word.order_id) for word in words])
    intents = await books.lock_intents(owners, tx=tx)
    refunds = await books.find_refunds(unique([word.key for word in words]), tx=tx)
    changes = Changes(intents, tx=tx, now=now, new_id=new_id)
    for word in words:
        asked = refunds.get(word.key)
        if asked is not None:
            cause = word.cause or Cause(asked.correlation_id)
            refunds[word.key] = changes.settle_refund(asked, _clean(word.answer), cause)
    await changes.save(books)
    still_open = [key for key, refund in refunds.items() if refund.status == "unknown"]
    if still_open:
        await books.add_looks("refund", still_open, due_at=now + FIRST_LOOK, tx=tx)
    return refunds


def _cause(of_callback: Cause, intent: Intent) -> Cause:
    # The order's story goes on under its own correlation; the callback is what caused this page.
    return Cause(intent.correlation_id, None, of_callback.traceparent)


def _text(text: str | None) -> str | None:
    """A foreign text as it can be stored: PostgreSQL has no NUL, and we no room for novels."""
    return None if text is None else text.replace("\0", "")[:TEXT_CHARS_MAX]


def _clean(answer: Answer) -> Answer:
    return msgspec.structs.replace(
        answer, provider_ref=_text(answer.provider_ref), reason=_text(answer.reason)
    )


def read_bill(answer: Answer) -> BillAnswer:
    """The provider's word on a bill; what is neither taken nor refused is unknown."""
    if answer.status == "captured":
        return BillAnswer("captured", None)
    if answer.status == "declined":
        return BillAnswer("declined", answer.reason)
    return BillAnswer("unknown", answer.reason or answer.status)
