"""Collects what a batch changes, so that it is written in one statement a table."""

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from serai.contexts.payments import model
from serai.contexts.payments.contract import (
    PaymentAuthorised,
    PaymentCaptured,
    PaymentDeclined,
    PaymentUnknown,
    PaymentWithdrawn,
    RefundFailed,
    RefundRequested,
    RefundSettled,
)
from serai.contexts.payments.handlers.books import Books, Key
from serai.contexts.payments.model import Intent, Refund, Said, Step
from serai.kernel.db import Tx
from serai.kernel.events import Cause

NewId = Callable[[], UUID]
"""Where ids come from: the edge hands it in."""


class Changes:
    """Decisions on locked intents: told as they are made, written by `save`."""

    def __init__(self, intents: dict[Key, Intent], *, tx: Tx, now: datetime, new_id: NewId) -> None:
        """`intents` are the locked ones; it is kept up to date."""
        self.intents = intents
        self._tx = tx
        self._now = now
        self._new_id = new_id
        self._changed: dict[Key, Intent] = {}
        self._added: dict[Key, Refund] = {}
        self._saved: dict[Key, Refund] = {}

    def keep(self, intent: Intent) -> None:
        """Has an intent written that was decided on."""
        key = (intent.tenant_id, intent.order_id)
        self.intents[key] = self._changed[key] = intent

    def follow(self, step: Step, cause: Cause) -> None:
        """Does what a step says: writes, tells and gives back."""
        intent = step.intent
        if intent is self.intents[intent.tenant_id, intent.order_id]:
            return
        self.keep(intent)
        self._tell(step, cause)
        if step.refund_minor:
            self.add_refund(intent, self._new_id(), step.refund_minor, None, cause)

    def add_refund(
        self, intent: Intent, refund_id: UUID, amount_minor: int, reason: str | None, cause: Cause
    ) -> Refund:
        """Writes a refund down for which the intent has set the money aside."""
        added = Refund(
            intent.tenant_id,
            refund_id,
            intent.order_id,
            "requested",
            amount_minor,
            intent.currency,
            reason,
            intent.status == "captured",
            cause.correlation_id,
            self._now,
        )
        self._added[added.tenant_id, refund_id] = added
        event = RefundRequested(
            intent.order_id, intent.intent_id, refund_id, amount_minor, intent.currency
        )
        self._tx.announce(intent.tenant_id, event, cause)
        return added

    def settle_refund(self, asked: Refund, said: Said, cause: Cause) -> Refund:
        """Follows the provider's word on a refund."""
        before = self.intents[asked.tenant_id, asked.order_id]
        intent, after = model.settle_refund(before, asked, said, self._now)
        if after == asked:
            return asked
        self._saved[after.tenant_id, after.refund_id] = after
        if intent is not before:
            self.keep(intent)
        if after.status == "settled" and after.is_told:
            settled = RefundSettled(
                after.order_id, after.refund_id, after.amount_minor, after.currency
            )
            self._tx.announce(after.tenant_id, settled, cause)
        elif after.status == "failed":
            failed = RefundFailed(after.order_id, after.refund_id, after.failure or "")
            self._tx.announce(after.tenant_id, failed, cause)
        return after

    async def save(self, books: Books) -> None:
        """Writes everything, intents first: their constraints are what holds refunds down."""
        if self._changed:
            await books.save_intents(list(self._changed.values()), tx=self._tx)
        if self._added:
            await books.insert_refunds(list(self._added.values()), tx=self._tx)
        if self._saved:
            await books.save_refunds(list(self._saved.values()), tx=self._tx)

    def _tell(self, step: Step, cause: Cause) -> None:
        intent = step.intent
        order_id, intent_id = intent.order_id, intent.intent_id
        tell = self._tx.announce
        match step.told:
            case "captured":
                amount = intent.captured_minor
                tell(intent.tenant_id, PaymentCaptured(order_id, intent_id, amount), cause)
            case "authorised":
                amount = intent.amount_minor
                tell(intent.tenant_id, PaymentAuthorised(order_id, intent_id, amount), cause)
            case "declined":
                reason = intent.reason or ""
                tell(intent.tenant_id, PaymentDeclined(order_id, intent_id, reason), cause)
            case "unknown":
                tell(intent.tenant_id, PaymentUnknown(order_id, intent_id), cause)
            case "withdrawn":
                tell(intent.tenant_id, PaymentWithdrawn(order_id, intent_id), cause)
            case None:
                pass


def unique(keys: Sequence[Key]) -> list[Key]:
    """The keys, each once: a batch may speak of one thing twice."""
    return list(dict.fromkeys(keys))
