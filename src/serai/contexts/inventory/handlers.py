"""What inventory does with commands, a batch at a time."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from serai.contexts.inventory import model
from serai.contexts.inventory.contract import (
    DEFAULT_LOCATION,
    ReservationNotFound,
    Reserved,
    ReserveStock,
    Restock,
    StockRef,
    StockRefused,
    StockReleased,
    StockReserved,
)
from serai.contexts.inventory.model import Allocation, Move
from serai.contexts.inventory.ports import Stock
from serai.kernel.changes import describe
from serai.kernel.db import Tx
from serai.kernel.events import Cause
from serai.kernel.failure import Refused

_MOVED = {
    "receipt": "inventory.stock_received",
    "write_off": "inventory.stock_written_off",
    "transfer": "inventory.stock_transferred",
}


class MoveStock(msgspec.Struct, frozen=True):
    """Receives, writes off or transfers units: all moves or none."""

    tenant_id: UUID
    moves: tuple[Move, ...]
    cause: Cause


class ReleaseReservation(msgspec.Struct, frozen=True):
    """Ends a reservation before its time."""

    tenant_id: UUID
    order_id: UUID
    cause: Cause


async def reserve_stock(
    commands: Sequence[ReserveStock], *, tx: Tx, now: datetime, stock: Stock
) -> list[Reserved | Refused]:
    """Promises units to orders in the order given: all lines of an order, or none."""
    wanted = {(c.tenant_id, want.sku) for c in commands for want in c.wants}
    levels = await stock.lock_levels(sorted(wanted), tx=tx)
    decided = model.reserve(levels, commands)
    allocations: list[Allocation] = []
    outcomes: list[Reserved | Refused] = []
    for command, outcome in zip(commands, decided, strict=True):
        if isinstance(outcome, Refused):
            skus = tuple(outcome.facts["skus"])
            tx.announce(command.tenant_id, StockRefused(command.order_id, skus), command.cause)
            outcomes.append(outcome)
        else:
            allocations.extend(outcome)
            if command.cause.is_asked:
                held = {want.sku: want.quantity for want in command.wants}
                change = describe(
                    "inventory.units_reserved", ("reservation", command.order_id), command.cause,
                    after={"units": held, "expires_at": command.expires_at},
                )  # fmt: skip
                tx.record(command.tenant_id, change)
            tx.announce(command.tenant_id, StockReserved(command.order_id), command.cause)
            outcomes.append(Reserved(command.order_id, command.wants, command.expires_at))
    if allocations:
        await stock.change_levels(model.promised_deltas(allocations), tx=tx)
        await stock.insert_reservations(allocations, tx=tx, now=now)
    return outcomes


async def commit_stock(refs: Sequence[StockRef], *, tx: Tx, now: datetime, stock: Stock) -> None:
    """Turns what is promised to orders into sold units."""
    if refs:
        await stock.sell_reservations([(r.tenant_id, r.order_id) for r in refs], tx=tx, now=now)


async def release_stock(refs: Sequence[StockRef], *, tx: Tx, now: datetime, stock: Stock) -> None:
    """Makes what undone orders held available again."""
    if not refs:
        return
    held = await stock.release_reservations(
        [(r.tenant_id, r.order_id) for r in refs], tx=tx, now=now
    )
    for ref in refs:
        if ref.order_id in held:
            tx.announce(ref.tenant_id, StockReleased(ref.order_id), ref.cause)


async def restock(commands: Sequence[Restock], *, tx: Tx, now: datetime, stock: Stock) -> None:
    """Puts returned units back where they were sold from."""
    if not commands:
        return
    orders = sorted({(c.tenant_id, c.order_id) for c in commands})
    wanted = sorted({(c.tenant_id, want.sku) for c in commands for want in c.units})
    await stock.lock_levels(wanted, tx=tx)
    sold = await stock.list_sold(orders, tx=tx)
    movements = model.restock(sold, commands)
    await stock.return_units(movements, tx=tx)
    await stock.change_levels(model.deltas_of(movements), tx=tx)
    await stock.insert_movements(movements, tx=tx, now=now)


async def move_stock(
    commands: Sequence[MoveStock], *, tx: Tx, now: datetime, stock: Stock
) -> list[int | Refused]:
    """Carries out receipts, write-offs and transfers; how many moves each command made."""
    misplaced = await _find_misplaced(commands, stock, tx=tx)
    moves = [
        (command.tenant_id, move)
        for number, command in enumerate(commands)
        if number not in misplaced
        for move in command.moves
    ]
    arrivals = {(t, m.sku, place) for t, m in moves if (place := model.arrival_of(m)) is not None}
    await stock.create_levels(sorted(arrivals), tx=tx)
    by_sku = await stock.lock_levels(sorted({(t, m.sku) for t, m in moves}), tx=tx)
    levels = {
        (tenant, sku, level.location): level
        for (tenant, sku), places in by_sku.items()
        for level in places
    }
    outcomes: list[int | Refused] = []
    movements: list[model.Movement] = []
    for number, command in enumerate(commands):
        decided = misplaced.get(number) or model.move(levels, command.tenant_id, command.moves)
        if isinstance(decided, Refused):
            outcomes.append(decided)
        else:
            movements.extend(decided)
            outcomes.append(len(command.moves))
            _record_moves(command, tx=tx)
    if movements:
        await stock.change_levels(model.deltas_of(movements), tx=tx)
        await stock.insert_movements(movements, tx=tx, now=now)
    return outcomes


def _record_moves(command: MoveStock, *, tx: Tx) -> None:
    for move in command.moves:
        told = {
            "quantity": move.quantity,
            "location": move.location,
            "to_location": move.to_location,
            "reason": move.reason,
            "reference": move.reference,
        }
        action, subject = _MOVED[move.kind], ("stock_item", move.sku)
        tx.record(command.tenant_id, describe(action, subject, command.cause, after=told))


async def _find_misplaced(
    commands: Sequence[MoveStock], stock: Stock, *, tx: Tx
) -> dict[int, Refused]:
    """Which commands send units to where they cannot go, by their place in the batch."""
    tenants = {
        command.tenant_id
        for command in commands
        if any(model.arrival_of(step) not in {None, DEFAULT_LOCATION} for step in command.moves)
    }
    known = await stock.find_locations(sorted(tenants), tx=tx) if tenants else {}
    refusals = {
        number: model.find_misplaced(command.moves, known.get(command.tenant_id, ()))
        for number, command in enumerate(commands)
    }
    return {number: refusal for number, refusal in refusals.items() if refusal is not None}


async def release_reservations(
    commands: Sequence[ReleaseReservation], *, tx: Tx, now: datetime, stock: Stock
) -> list[Refused | None]:
    """Ends reservations before their time; refuses those that hold nothing.

    What an order holds has no time limit and is none of them: only its order's end frees it.
    """
    held = await stock.lock_limited([(c.tenant_id, c.order_id) for c in commands], tx=tx)
    if held:
        await stock.release_reservations(sorted(held), tx=tx, now=now)
    for c in commands:
        if (c.tenant_id, c.order_id) in held:
            subject = ("reservation", c.order_id)
            tx.record(c.tenant_id, describe("inventory.reservation_released", subject, c.cause))
    return [
        None
        if (c.tenant_id, c.order_id) in held
        else ReservationNotFound("no open reservation has this id")
        for c in commands
    ]
