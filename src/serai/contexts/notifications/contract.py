"""What others may know of notifications: kinds, views and refusals."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, Protocol, get_args
from uuid import UUID

import msgspec

from serai.kernel.db import Tx
from serai.kernel.failure import Unprocessable

Kind = Literal[
    "order_confirmed", "order_cancelled", "shipment_dispatched", "refund_settled",
    "registration_requested", "password_reset", "staff_invited",
]  # fmt: skip
KINDS: tuple[Kind, ...] = get_args(Kind)
ACCOUNT_KINDS: frozenset[Kind] = frozenset(
    {"registration_requested", "password_reset", "staff_invited"}
)
"""Kinds that are about no order but about an account; their mails hold a token."""
MessageStatus = Literal["queued", "sending", "sent", "failed", "skipped"]
"""`failed`: given up, see its error; `skipped`: no address is known for the order."""
CONTACT_DAYS = 365
"""How long the address of an order is kept to write to where a tenant says nothing else."""
SUBJECT_CHARS_MAX = 200
BODY_CHARS_MAX = 20_000


class TemplateUnusable(Unprocessable):
    """The template names what its kind does not have, or would become too long a mail."""


class TokenMisplaced(Unprocessable):
    """A mail about an account opens it: its token stands alone or in a link to a page of yours."""


class NotificationView(msgspec.Struct, frozen=True):
    """A message to a customer as the API shows it."""

    id: UUID
    order_id: UUID | None
    """None where it is about no order but about an account."""
    kind: Kind
    status: MessageStatus
    email: str | None
    attempts: int
    error: str
    created_at: datetime
    due_at: datetime
    sent_at: datetime | None


class NotificationTemplateView(msgspec.Struct, frozen=True):
    """The words of a kind of message; `$name` stands for one of the placeholders."""

    kind: Kind
    subject: str
    text: str
    html: str
    is_default: bool
    version: int
    placeholders: list[str]
    updated_at: datetime | None


class NotificationWitness(Protocol):
    """Tells what notifications say of orders, for those who compare it with what others say."""

    async def tell_unconfirmed(
        self, tenant_id: UUID, orders: Sequence[UUID], *, tx: Tx
    ) -> list[UUID]:
        """Those of the given orders for which no confirmation was ever queued."""
        ...
