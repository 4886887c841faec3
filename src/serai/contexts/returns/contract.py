"""What others may know of returns: events, views and what returns offer."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

import msgspec

from serai.kernel.db import Tx
from serai.kernel.events import event
from serai.kernel.failure import Refused

ReturnStatus = Literal["requested", "declined", "accepted", "refunded", "refund_failed"]
REASON_CHARS_MAX = 200


class ReturnAsked(Refused):
    """A return of this order is asked for already, and nobody has looked at it yet."""


class ReturnedUnits(msgspec.Struct, frozen=True):
    """Units of a line that came back and what is refunded for them."""

    line_no: int
    sku: str
    quantity: int
    refund_minor: int


@event(topic="returns", key="order_id")
class ReturnAccepted(msgspec.Struct, frozen=True):
    """Goods came back and were taken; money and stock are to follow."""

    order_id: UUID
    return_id: UUID
    currency: str
    refund_minor: int
    is_restocked: bool
    lines: tuple[ReturnedUnits, ...]


class ReturnView(msgspec.Struct, frozen=True):
    """A return as the API shows it."""

    id: UUID
    order_id: UUID
    status: ReturnStatus
    reason: str
    currency: str
    refund_minor: int
    is_restocked: bool
    lines: list[ReturnedUnits]
    created_at: datetime
    settled_at: datetime | None


class ReturnRef(msgspec.Struct, frozen=True):
    """A return of a tenant."""

    tenant_id: UUID
    return_id: UUID


class Returns(Protocol):
    """What returns offer to flows; every call is part of the caller's transaction."""

    async def settle_returns(self, refs: Sequence[ReturnRef], *, tx: Tx, now: datetime) -> None:
        """Notes that the refund of these returns has arrived."""
        ...

    async def fail_returns(self, refs: Sequence[ReturnRef], *, tx: Tx, now: datetime) -> None:
        """Notes that the provider refused the refund of these returns."""
        ...
