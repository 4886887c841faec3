"""What returns do with commands, a batch at a time."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from serai.contexts.orders.contract import Orders, ReturnLine, ReturnLines
from serai.contexts.returns import model
from serai.contexts.returns.contract import ReturnAccepted, ReturnRef, ReturnStatus
from serai.contexts.returns.model import Return
from serai.contexts.returns.ports import ReturnRows
from serai.kernel.changes import describe
from serai.kernel.db import Tx
from serai.kernel.events import Cause
from serai.kernel.failure import Refused


class AcceptReturn(msgspec.Struct, frozen=True):
    """Takes units of an order back, all lines or none."""

    tenant_id: UUID
    return_id: UUID
    order_id: UUID
    lines: tuple[ReturnLine, ...]
    reason: str
    is_restocked: bool
    cause: Cause


async def accept_returns(
    commands: Sequence[AcceptReturn],
    *,
    tx: Tx,
    now: datetime,
    returns: ReturnRows,
    orders: Orders,
) -> list[Return | Refused]:
    """Asks the orders, in the order of the commands, and writes down what they took back."""
    faults = [model.find_fault([line.line_no for line in c.lines]) for c in commands]
    sound = [c for c, fault in zip(commands, faults, strict=True) if fault is None]
    asked = [ReturnLines(c.tenant_id, c.order_id, c.lines, c.cause) for c in sound]
    answers = iter(await orders.return_lines(asked, tx=tx, now=now) if asked else ())
    outcomes: list[Return | Refused] = []
    for command, fault in zip(commands, faults, strict=True):
        if fault is not None:
            outcomes.append(fault)
            continue
        taken = next(answers)
        if isinstance(taken, Refused):
            outcomes.append(taken)
            continue
        accepted = model.accept(
            taken,
            tenant_id=command.tenant_id,
            return_id=command.return_id,
            reason=command.reason,
            is_restocked=command.is_restocked,
            now=now,
        )
        outcomes.append(accepted)
        event = ReturnAccepted(
            accepted.order_id,
            accepted.id,
            accepted.currency,
            accepted.refund_minor,
            accepted.is_restocked,
            accepted.lines,
        )
        tx.announce(command.tenant_id, event, command.cause)
        told = {**msgspec.structs.asdict(event), "reason": accepted.reason}
        subject = ("return", accepted.id)
        change = describe("returns.return_accepted", subject, command.cause, after=told)
        tx.record(command.tenant_id, change)
    fresh = [outcome for outcome in outcomes if isinstance(outcome, Return)]
    if fresh:
        await returns.insert(fresh, tx=tx)
    return outcomes


async def settle_returns(
    refs: Sequence[ReturnRef], *, tx: Tx, now: datetime, returns: ReturnRows
) -> None:
    """Notes that the money is back; ids that are not returns are left alone."""
    await _move(refs, "refunded", tx=tx, now=now, returns=returns)


async def fail_returns(
    refs: Sequence[ReturnRef], *, tx: Tx, now: datetime, returns: ReturnRows
) -> None:
    """Notes that the refund was refused; ids that are not returns are left alone."""
    await _move(refs, "refund_failed", tx=tx, now=now, returns=returns)


async def _move(
    refs: Sequence[ReturnRef], to: ReturnStatus, *, tx: Tx, now: datetime, returns: ReturnRows
) -> None:
    keys = sorted({(ref.tenant_id, ref.return_id) for ref in refs})
    if keys:
        await returns.move(keys, to=to, comes_from=model.COMES_FROM[to], now=now, tx=tx)
