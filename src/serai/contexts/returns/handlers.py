"""What returns do with commands, a batch at a time."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from serai.contexts.orders.contract import Orders, ReturnLine, ReturnLines
from serai.contexts.returns import model
from serai.contexts.returns.contract import ReturnAccepted, ReturnAsked, ReturnRef, ReturnStatus
from serai.contexts.returns.model import Return
from serai.contexts.returns.ports import ReturnRows
from serai.kernel.changes import describe
from serai.kernel.db import Tx
from serai.kernel.events import Cause
from serai.kernel.failure import NotFound, Refused

NO_RETURN = "no return has this id"


class AcceptReturn(msgspec.Struct, frozen=True):
    """Takes units of an order back, all lines or none."""

    tenant_id: UUID
    return_id: UUID
    order_id: UUID
    lines: tuple[ReturnLine, ...]
    reason: str
    is_restocked: bool
    cause: Cause
    owner: UUID | None = None
    """Whose order it must be; hers is asked for only, and the staff accepts it."""


class DecideReturn(msgspec.Struct, frozen=True):
    """Accepts a return that was asked for, or declines it."""

    tenant_id: UUID
    return_id: UUID
    is_accepted: bool
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
    asked = [ReturnLines(c.tenant_id, c.order_id, c.lines, c.cause, c.owner) for c in sound]
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
        _announce(accepted, command.cause, tx=tx)
    fresh = [outcome for outcome in outcomes if isinstance(outcome, Return)]
    if fresh:
        await returns.insert(fresh, tx=tx)
    return outcomes


async def ask_for_returns(
    commands: Sequence[AcceptReturn], *, tx: Tx, now: datetime, returns: ReturnRows, orders: Orders
) -> list[Return | Refused]:
    """Writes down what customers ask for, if it could be taken back now; one request an order.

    Weighing locks the orders, so that two requests of one order cannot miss each other.
    """
    asked = [ReturnLines(c.tenant_id, c.order_id, c.lines, c.cause, c.owner) for c in commands]
    weighed = await orders.weigh_returns(asked, tx=tx)
    open_ones = await returns.find_asked([(c.tenant_id, c.order_id) for c in commands], tx=tx)
    outcomes: list[Return | Refused] = []
    for command, taken in zip(commands, weighed, strict=True):
        fault = model.find_fault([line.line_no for line in command.lines])
        if fault is not None:
            outcomes.append(fault)
            continue
        if isinstance(taken, Refused):
            outcomes.append(taken)
            continue
        if (command.tenant_id, command.order_id) in open_ones:
            outcomes.append(ReturnAsked("a return of this order is asked for already"))
            continue
        open_ones.add((command.tenant_id, command.order_id))
        accepted = model.accept(
            taken, tenant_id=command.tenant_id, return_id=command.return_id, reason=command.reason,
            is_restocked=command.is_restocked, now=now,
        )  # fmt: skip
        outcomes.append(model.ask(accepted))
        _record("returns.return_requested", accepted, command.cause, tx=tx)
    fresh = [outcome for outcome in outcomes if isinstance(outcome, Return)]
    if fresh:
        await returns.insert(fresh, tx=tx)
    return outcomes


async def decide_returns(
    commands: Sequence[DecideReturn], *, tx: Tx, now: datetime, returns: ReturnRows, orders: Orders
) -> list[Return | Refused]:
    """Accepts requests, for which the orders are asked anew, or declines them.

    Of two decisions about one request in a batch the first counts.
    """
    kept = await returns.lock([(c.tenant_id, c.return_id) for c in commands], tx=tx)
    found = [kept.pop((c.tenant_id, c.return_id), None) for c in commands]
    absent = {(c.tenant_id, c.return_id) for c in commands} - {
        (one.tenant_id, one.id) for one in found if one is not None
    }
    asked = [
        ReturnLines(
            one.tenant_id, one.order_id,
            tuple(ReturnLine(line.line_no, line.quantity) for line in one.lines), command.cause,
        )
        for command, one in zip(commands, found, strict=True)
        if one is not None and one.status == "requested" and command.is_accepted
    ]  # fmt: skip
    answers = iter(await orders.return_lines(asked, tx=tx, now=now) if asked else ())
    outcomes: list[Return | Refused] = []
    for command, one in zip(commands, found, strict=True):
        if one is None:
            is_absent = (command.tenant_id, command.return_id) in absent
            outcomes.append(NotFound(NO_RETURN) if is_absent else model.refuse_state("requested"))
        elif one.status != "requested":
            outcomes.append(model.refuse_state(one.status))
        elif not command.is_accepted:
            outcomes.append(msgspec.structs.replace(one, status="declined"))
        else:
            taken = next(answers)
            is_restocked = command.is_restocked
            outcomes.append(
                taken if isinstance(taken, Refused)
                else model.grant(one, taken, is_restocked=is_restocked, now=now)
            )  # fmt: skip
    await _save_decisions(commands, outcomes, tx=tx, now=now, returns=returns)
    return outcomes


async def _save_decisions(
    commands: Sequence[DecideReturn],
    outcomes: Sequence[Return | Refused],
    *,
    tx: Tx,
    now: datetime,
    returns: ReturnRows,
) -> None:
    decided = [one for one in outcomes if isinstance(one, Return)]
    granted = [one for one in decided if one.status == "accepted"]
    if granted:
        await returns.grant(granted, tx=tx)
    for command, one in zip(commands, outcomes, strict=True):
        if isinstance(one, Return) and one.status == "accepted":
            _announce(one, command.cause, tx=tx)
        elif isinstance(one, Return):
            _record("returns.return_declined", one, command.cause, tx=tx)
    declined = [ReturnRef(one.tenant_id, one.id) for one in decided if one.status == "declined"]
    await _move(declined, "declined", tx=tx, now=now, returns=returns)


def _announce(accepted: Return, cause: Cause, *, tx: Tx) -> None:
    event = ReturnAccepted(
        accepted.order_id, accepted.id, accepted.currency, accepted.refund_minor,
        accepted.is_restocked, accepted.lines,
    )  # fmt: skip
    tx.announce(accepted.tenant_id, event, cause)
    _record("returns.return_accepted", accepted, cause, tx=tx)


def _record(action: str, one: Return, cause: Cause, *, tx: Tx) -> None:
    # Her own words about it are not for a chain that forgets nothing.
    after = {name: value for name, value in msgspec.structs.asdict(one).items() if name != "reason"}
    tx.record(one.tenant_id, describe(action, ("return", one.id), cause, after=after))


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
