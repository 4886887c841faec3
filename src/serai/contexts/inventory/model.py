"""Decides what stock can be promised, moved and put back. Pure; units are whole numbers."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from serai.contexts.inventory.contract import (
    DEFAULT_LOCATION,
    UNITS_MAX,
    OutOfStock,
    ReserveStock,
    Restock,
    SameLocation,
    UnknownLocation,
)
from serai.kernel.failure import Refused

MovementKind = Literal["receipt", "write_off", "sale", "return", "transfer_in", "transfer_out"]
SkuKey = tuple[UUID, str]
"""A tenant's SKU."""
ItemKey = tuple[UUID, str, str]
"""A stock item: a tenant's SKU at a location."""


class NotEnoughStock(Refused):
    """Fewer units are available than are to be written off or transferred."""


class TooMuchStock(Refused):
    """The stock item would hold more units than any may."""


class Level(msgspec.Struct):
    """What a location holds of a SKU; changed in place while a batch is decided."""

    location: str
    available: int
    received: int = 0


class Allocation(msgspec.Struct, frozen=True):
    """Units of a SKU at a location, promised to an order."""

    tenant_id: UUID
    order_id: UUID
    sku: str
    location: str
    quantity: int
    expires_at: datetime | None


class Delta(msgspec.Struct):
    """What is added to a stock item."""

    received: int = 0
    available: int = 0
    reserved: int = 0
    sold: int = 0
    written_off: int = 0


class Movement(msgspec.Struct, frozen=True):
    """A line of the ledger."""

    tenant_id: UUID
    sku: str
    location: str
    kind: MovementKind
    quantity: int
    reason: str
    reference: UUID | None


class Move(msgspec.Struct, frozen=True):
    """A receipt, a write-off or a transfer of units of a SKU."""

    kind: Literal["receipt", "write_off", "transfer"]
    sku: str
    location: str
    quantity: int
    reason: str
    reference: UUID | None = None
    to_location: str | None = None


def reserve(
    levels: Mapping[SkuKey, Sequence[Level]], requests: Sequence[ReserveStock]
) -> list[list[Allocation] | OutOfStock]:
    """Decides greedily in arrival order: all lines of an order, or none and the SKUs that lack.

    Takes from locations in the order given; a SKU that is wanted twice is wanted with the sum.
    `levels` is changed to what is left.
    """
    outcomes: list[list[Allocation] | OutOfStock] = []
    for request in requests:
        wanted: dict[str, int] = {}
        for want in request.wants:
            wanted[want.sku] = wanted.get(want.sku, 0) + want.quantity
        short = [
            sku
            for sku, quantity in wanted.items()
            if sum(level.available for level in levels.get((request.tenant_id, sku), ())) < quantity
        ]
        if short:
            outcomes.append(OutOfStock("not every line can be filled", skus=sorted(short)))
            continue
        allocations: list[Allocation] = []
        for sku, quantity in wanted.items():
            left = quantity
            for level in levels[request.tenant_id, sku]:
                units = min(left, level.available)
                if units:
                    level.available -= units
                    left -= units
                    allocations.append(
                        Allocation(
                            request.tenant_id, request.order_id, sku, level.location,
                            units, request.expires_at,
                        )
                    )  # fmt: skip
                if not left:
                    break
        outcomes.append(allocations)
    return outcomes


def find_misplaced(moves: Sequence[Move], known: Collection[str]) -> Refused | None:
    """Why units cannot come to where the moves send them; the default location is always there."""
    for step in moves:
        if step.to_location == step.location:
            return SameLocation(
                "a transfer goes from one location to another", location=step.location
            )
        place = arrival_of(step)
        if place is not None and place != DEFAULT_LOCATION and place not in known:
            return UnknownLocation(
                f"there is no location {place}; POST /v1/locations makes one", location=place
            )
    return None


def arrival_of(step: Move) -> str | None:
    """The location that a move brings units to, if any."""
    return step.location if step.kind == "receipt" else step.to_location


def move(
    levels: Mapping[ItemKey, Level], tenant_id: UUID, moves: Sequence[Move]
) -> list[Movement] | Refused:
    """Decides the moves of one tenant, all or none. `levels` is changed only when all pass."""
    left: dict[ItemKey, list[int]] = {}

    def of(location: str, sku: str) -> list[int]:
        key = (tenant_id, sku, location)
        if key not in left:
            level = levels.get(key)
            left[key] = [0, 0] if level is None else [level.available, level.received]
        return left[key]

    movements: list[Movement] = []
    for step in moves:
        source = of(step.location, step.sku)
        if step.kind == "receipt":
            parts: list[tuple[str, MovementKind, list[int]]] = [(step.location, "receipt", source)]
            source[0] += step.quantity
            source[1] += step.quantity
        else:
            if source[0] < step.quantity:
                return NotEnoughStock(
                    f"{source[0]} units are available, {step.quantity} are asked for",
                    sku=step.sku, location=step.location, available=source[0],
                )  # fmt: skip
            source[0] -= step.quantity
            parts = [(step.location, "write_off", source)]
            if step.to_location is not None:
                target = of(step.to_location, step.sku)
                source[1] -= step.quantity
                target[0] += step.quantity
                target[1] += step.quantity
                parts = [
                    (step.location, "transfer_out", source),
                    (step.to_location, "transfer_in", target),
                ]
        for location, kind, level in parts:
            if level[1] > UNITS_MAX:
                return TooMuchStock(
                    f"a stock item may receive at most {UNITS_MAX} units", sku=step.sku
                )
            movements.append(
                Movement(
                    tenant_id, step.sku, location, kind, step.quantity, step.reason, step.reference
                )
            )
    for key, (available, received) in left.items():
        levels[key].available = available
        levels[key].received = received
    return movements


_EFFECTS: dict[str, tuple[int, int, int, int, int]] = {
    "receipt": (1, 1, 0, 0, 0),
    "write_off": (0, -1, 0, 0, 1),
    "sale": (0, 0, -1, 1, 0),
    "return": (0, 1, 0, -1, 0),
    "transfer_in": (1, 1, 0, 0, 0),
    "transfer_out": (-1, -1, 0, 0, 0),
}
"""What one unit of each kind adds to received, available, reserved, sold and written off."""


def deltas_of(movements: Sequence[Movement]) -> dict[ItemKey, Delta]:
    """What movements add to each stock item."""
    deltas: dict[ItemKey, Delta] = {}
    for movement in movements:
        key = (movement.tenant_id, movement.sku, movement.location)
        delta = deltas.setdefault(key, Delta())
        received, available, reserved, sold, written_off = _EFFECTS[movement.kind]
        delta.received += received * movement.quantity
        delta.available += available * movement.quantity
        delta.reserved += reserved * movement.quantity
        delta.sold += sold * movement.quantity
        delta.written_off += written_off * movement.quantity
    return deltas


def promised_deltas(allocations: Sequence[Allocation]) -> dict[ItemKey, Delta]:
    """What promises add to each stock item: available goes down, reserved goes up."""
    deltas: dict[ItemKey, Delta] = {}
    for a in allocations:
        delta = deltas.setdefault((a.tenant_id, a.sku, a.location), Delta())
        delta.available -= a.quantity
        delta.reserved += a.quantity
    return deltas


def restock(
    sold: Mapping[tuple[UUID, UUID, str], Sequence[tuple[str, int]]], commands: Sequence[Restock]
) -> list[Movement]:
    """Sends returned units back to the locations they were sold from, in order.

    `sold` tells, by tenant, order and SKU, the locations and how many of the units that each gave
    have not come back yet. The order itself refuses to return more than it had, so what exceeds
    that here is a mistake of ours.
    """
    out = {key: dict(places) for key, places in sold.items()}
    movements: list[Movement] = []
    for command in commands:
        for want in command.units:
            places = out.get((command.tenant_id, command.order_id, want.sku), {})
            left = want.quantity
            for location, quantity in places.items():
                units = min(left, quantity)
                if units:
                    left -= units
                    places[location] -= units
                    movements.append(
                        Movement(
                            command.tenant_id, want.sku, location, "return", units, "returned",
                            command.order_id,
                        )
                    )  # fmt: skip
                if not left:
                    break
            if left:
                raise AssertionError(f"{left} units of {want.sku} return that were never sold")
    return movements
