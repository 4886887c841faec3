"""Twins of the statements that show stock and check it, and those of locations."""

import collections
from datetime import datetime
from uuid import UUID

from tests.simulation.rows import Key, Row
from tests.simulation.statements.inventory import (
    HERE,
    ITEMS,
    LOCATIONS,
    MOVEMENTS,
    RESERVATIONS,
    Ids,
)
from tests.simulation.statements.records import columns
from tests.simulation.storage import Session
from tests.simulation.twins import twin

_stock = columns("sku, location, received, available, reserved, sold, written_off")
_order = columns("tenant_id, order_id")
_promise = columns("sku, location, quantity, state, expires_at")
_location = columns("tenant_id, code, name, priority")
_movement = columns("id, sku, location, kind, quantity, reason, reference, moved_at")
_total = columns("sku, kind, reason, quantity")


def _item_key(row: Row) -> Key:
    return row["tenant_id"], row["sku"], row["location"]


def _promise_key(row: Row) -> Key:
    return row["sku"], row["location"]


@twin(HERE, "list_expired")
async def list_expired(session: Session, tenant_ids: Ids, now: datetime, limit: int) -> list[Row]:
    orders = dict.fromkeys(
        (tenant_id, row["order_id"])
        for tenant_id in dict.fromkeys(tenant_ids)
        for row in session.find(
            RESERVATIONS,
            ("tenant_id", "state"),
            (tenant_id, "reserved"),
            where=lambda row: row["expires_at"] is not None and row["expires_at"] <= now,
        )
    )
    found = [_order({"tenant_id": tenant, "order_id": order}) for tenant, order in orders]
    return found[:limit]


@twin(HERE, "find_reservation")
async def find_reservation(session: Session, tenant_id: UUID, order_id: UUID) -> list[Row]:
    found = session.find(
        RESERVATIONS, ("tenant_id", "order_id"), (tenant_id, order_id), order=_promise_key
    )
    return [_promise(row) for row in found]


@twin(HERE, "list_locations")
async def list_locations(session: Session, tenant_ids: Ids) -> list[Row]:
    found = session.scan(
        LOCATIONS,
        where=lambda row: row["tenant_id"] in tenant_ids,
        order=lambda row: (row["tenant_id"], row["priority"], row["code"]),
    )
    return [_location(row) for row in found]


@twin(HERE, "insert_location")
async def insert_location(
    session: Session, tenant_id: UUID, code: str, name: str, priority: int, now: datetime
) -> int:
    row = {
        "tenant_id": tenant_id, "code": code, "name": name, "priority": priority, "created_at": now
    }  # fmt: skip
    if not await session.insert(LOCATIONS, row):
        await session.update(LOCATIONS, (tenant_id, code), name=name, priority=priority)
    return 1


@twin(HERE, "list_stock")
async def list_stock(
    session: Session,
    tenant_id: UUID,
    after_sku: str,
    after_location: str,
    sku: str | None,
    location: str | None,
    limit: int,
) -> list[Row]:
    found = session.scan(
        ITEMS,
        where=lambda row: (
            row["tenant_id"] == tenant_id
            and (row["sku"], row["location"]) > (after_sku, after_location)
            and (sku is None or row["sku"] == sku)
            and (location is None or row["location"] == location)
        ),
        order=_item_key,
        limit=limit,
    )
    return [_stock(row) for row in found]


@twin(HERE, "list_movements")
async def list_movements(
    session: Session, tenant_id: UUID, sku: str, before: int | None, limit: int
) -> list[Row]:
    found = session.find(
        MOVEMENTS,
        ("tenant_id", "sku"),
        (tenant_id, sku),
        where=lambda row: before is None or row["id"] < before,
        order=lambda row: -row["id"],
        limit=limit,
    )
    return [_movement(row) for row in found]


@twin(HERE, "total_movements")
async def total_movements(
    session: Session, tenant_id: UUID, after_sku: str, limit: int
) -> list[Row]:
    items = session.scan(
        ITEMS, where=lambda row: row["tenant_id"] == tenant_id and row["sku"] > after_sku
    )
    totals = []
    for sku in sorted({row["sku"] for row in items})[:limit]:
        sums: collections.Counter[tuple[str, str]] = collections.Counter()
        for row in session.find(MOVEMENTS, ("tenant_id", "sku"), (tenant_id, sku)):
            sums[row["kind"], row["reason"]] += row["quantity"]
        rows: list[Row] = [
            {"sku": sku, "kind": kind, "reason": reason, "quantity": sums[kind, reason]}
            for kind, reason in sorted(sums)
        ]
        totals += rows or [{"sku": sku, "kind": None, "reason": None, "quantity": None}]
    return [_total(row) for row in totals]


_MOVED = {
    "sale": ("moved_sold", 1),
    "return": ("moved_sold", -1),
    "receipt": ("moved_received", 1),
    "transfer_in": ("moved_received", 1),
    "transfer_out": ("moved_received", -1),
    "write_off": ("moved_written_off", 1),
}


@twin(HERE, "check_levels")
async def check_levels(session: Session, tenant_id: UUID, limit: int) -> list[Row]:
    sums: dict[Key, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for row in session.find(RESERVATIONS, ("tenant_id", "state"), (tenant_id, "reserved")):
        sums[_item_key(row)]["promised"] += row["quantity"]
    for row in session.scan(MOVEMENTS, where=lambda row: row["tenant_id"] == tenant_id):
        name, sign = _MOVED[row["kind"]]
        sums[_item_key(row)][name] += sign * row["quantity"]
    named = columns(
        "sku, location, received, available, reserved, sold, written_off, promised, moved_sold, "
        "moved_received, moved_written_off"
    )
    found = []
    for row in session.scan(ITEMS, where=lambda row: row["tenant_id"] == tenant_id):
        moved = sums[_item_key(row)]
        if (
            row["reserved"] != moved["promised"]
            or row["sold"] != moved["moved_sold"]
            or row["received"] != moved["moved_received"]
            or row["written_off"] != moved["moved_written_off"]
        ):
            names = ("promised", "moved_sold", "moved_received", "moved_written_off")
            found.append(named(row | {name: moved[name] for name in names}))
    return found[:limit]


@twin(HERE, "tell_stock")
async def tell_stock(session: Session, tenant_id: UUID, after: UUID, until: UUID) -> list[Row]:
    named = columns("order_id, reserved, sold")
    sums: dict[UUID, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for row in session.scan(
        RESERVATIONS,
        where=lambda row: row["tenant_id"] == tenant_id and after < row["order_id"] <= until,
    ):
        sums[row["order_id"]][row["state"]] += row["quantity"]
    return [
        named({"order_id": order_id, "reserved": units["reserved"], "sold": units["sold"]})
        for order_id, units in sums.items()
    ]
