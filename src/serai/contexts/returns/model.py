"""Decisions about returns: how far a refund can have come."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from serai.contexts.orders.contract import Taken
from serai.contexts.returns.contract import ReturnedUnits, ReturnStatus
from serai.kernel.failure import IllegalState, Invalid

# What a customer asks for moves neither goods nor money until the staff has them in hand.
# A refund that the provider refused may still be paid by hand; one that arrived stays arrived.
COMES_FROM: Mapping[ReturnStatus, Sequence[ReturnStatus]] = {
    "declined": ("requested",),
    "refunded": ("accepted", "refund_failed"),
    "refund_failed": ("accepted",),
}
"""The statuses from which a status can be reached."""


class Return(msgspec.Struct, frozen=True):
    """Units of an order that came back, and what is refunded for them."""

    tenant_id: UUID
    id: UUID
    order_id: UUID
    status: ReturnStatus
    reason: str
    currency: str
    refund_minor: int
    is_restocked: bool
    lines: tuple[ReturnedUnits, ...]
    created_at: datetime
    settled_at: datetime | None = None
    accepted_at: datetime | None = None
    """When a return that was asked for was accepted."""


def find_fault(line_nos: Sequence[int]) -> Invalid | None:
    """What is wrong with a return's lines before the order is asked; None where nothing is."""
    if len(set(line_nos)) != len(line_nos):
        return Invalid("a line stands twice in `lines`; name each line once")
    return None


def ask(accepted: Return) -> Return:
    """The same return, asked for only."""
    return msgspec.structs.replace(accepted, status="requested")


def grant(asked: Return, taken: Taken, *, is_restocked: bool, now: datetime) -> Return:
    """A return that was asked for, taken back now at what the order says now."""
    taken_now = accept(
        taken, tenant_id=asked.tenant_id, return_id=asked.id, reason=asked.reason,
        is_restocked=is_restocked, now=asked.created_at,
    )  # fmt: skip
    return msgspec.structs.replace(taken_now, accepted_at=now)


def refuse_state(status: ReturnStatus) -> IllegalState:
    """Why a return that is no request any more is neither accepted nor declined."""
    if status == "requested":
        return IllegalState("the return is being accepted or declined already")
    return IllegalState(f"the return is {status}; only a requested one is accepted or declined")


def accept(
    taken: Taken,
    *,
    tenant_id: UUID,
    return_id: UUID,
    reason: str,
    is_restocked: bool,
    now: datetime,
) -> Return:
    """The return that an order's answer makes; money and stock are still to follow."""
    lines = tuple(
        ReturnedUnits(line.line_no, line.sku, line.quantity, line.refund_minor)
        for line in taken.lines
    )
    return Return(
        tenant_id,
        return_id,
        taken.order_id,
        "accepted",
        reason,
        taken.currency,
        taken.refund_minor,
        is_restocked,
        lines,
        now,
    )
