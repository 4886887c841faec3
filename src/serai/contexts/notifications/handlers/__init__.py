"""What notifications do with events and commands, and how queued messages go out."""

from serai.contexts.notifications.handlers.queueing import (
    ReplaceTemplate,
    ResendMessage,
    hear_order_cancelled,
    hear_order_confirmed,
    hear_refund_settled,
    hear_registration_requested,
    hear_reset_requested,
    hear_shipment_dispatched,
    hear_staff_invited,
    replace_templates,
    resend_messages,
)
from serai.contexts.notifications.handlers.sending import (
    AWAY_AFTER,
    HURRY_AFTER,
    LEASE,
    MARK_EVERY,
    PRUNE_CHUNK,
    SEND_CHUNK,
    prune_old,
    send_due,
)
from serai.contexts.notifications.handlers.trusting import check_words

__all__ = [
    "AWAY_AFTER",
    "HURRY_AFTER",
    "LEASE",
    "MARK_EVERY",
    "PRUNE_CHUNK",
    "SEND_CHUNK",
    "ReplaceTemplate",
    "ResendMessage",
    "check_words",
    "hear_order_cancelled",
    "hear_order_confirmed",
    "hear_refund_settled",
    "hear_registration_requested",
    "hear_reset_requested",
    "hear_shipment_dispatched",
    "hear_staff_invited",
    "prune_old",
    "replace_templates",
    "resend_messages",
    "send_due",
]
