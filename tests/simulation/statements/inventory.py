"""Twins of the statements of inventory."""

import collections
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from tests.simulation.statements.changing import (
    by_key,
    change_each,
    change_seen,
    keys_of,
    lock_each,
    see,
)
from tests.simulation.statements.records import columns
from tests.simulation.storage import Key, Row, Session
from tests.simulation.twins import twin

HERE = "serai.contexts.inventory"
LOCATIONS, ITEMS = "inventory.locations", "inventory.stock_items"
RESERVATIONS, MOVEMENTS = "inventory.reservations", "inventory.movements"
Ids = Sequence[UUID]
Texts = Sequence[str]
Numbers = Sequence[int]

_PLACES = ("received", "available", "reserved", "sold", "written_off")
_level = columns("tenant_id, sku, location, received, available, reserved, sold, written_off")
_stock = columns("sku, location, received, available, reserved, sold, written_off")
_sold = columns("tenant_id, order_id, sku, location, quantity")
_order = columns("tenant_id, order_id")
_promise = columns("sku, location, quantity, state, expires_at")
_location = columns("tenant_id, code, name, priority")
_movement = columns("id, sku, location, kind, quantity, reason, reference, moved_at")
_total = columns("sku, kind, reason, quantity")


def _item_key(row: Row) -> Key:
    return row["tenant_id"], row["sku"], row["location"]


def _reservation_key(row: Row) -> Key:
    return row["tenant_id"], row["order_id"], row["sku"], row["location"]


def _of_orders(session: Session, orders: Sequence[Key], states: Sequence[str]) -> list[Row]:
    return [
        row
        for order in orders
        for row in session.find(
            RESERVATIONS,
            ("tenant_id", "order_id"),
            order,
            where=lambda row: row["state"] in states,
            order=_reservation_key,
        )
    ]


@twin(HERE, "lock_levels")
async def lock_levels(session: Session, tenant_ids: Ids, skus: Texts) -> list[Row]:
    items = [
        _item_key(row)
        for wanted in sorted(set(keys_of(tenant_ids, skus)))
        for row in session.find(ITEMS, ("tenant_id", "sku"), wanted, order=_item_key)
    ]
    return [_level(row) for row in await lock_each(session, ITEMS, items)]


@twin(HERE, "change_levels")
async def change_levels(
    session: Session, tenant_ids: Ids, skus: Texts, locations: Texts, *deltas: Numbers
) -> int:
    def change(row: Row, delta: Key) -> dict[str, Any]:
        return {
            place: row[place] + units for place, units in zip(_PLACES, delta, strict=True) if units
        }

    wanted = by_key(keys_of(tenant_ids, skus, locations), keys_of(*deltas))
    return len(await change_each(session, ITEMS, wanted, change))


@twin(HERE, "create_levels")
async def create_levels(session: Session, tenant_ids: Ids, skus: Texts, locations: Texts) -> int:
    created = 0
    for tenant_id, sku, location in sorted(set(keys_of(tenant_ids, skus, locations))):
        row = {"tenant_id": tenant_id, "sku": sku, "location": location}
        created += await session.insert(ITEMS, row | dict.fromkeys(_PLACES, 0))
    return created


@twin(HERE, "insert_reservations")
async def insert_reservations(
    session: Session,
    tenant_ids: Ids,
    order_ids: Ids,
    skus: Texts,
    locations: Texts,
    quantities: Numbers,
    expiries: Sequence[datetime | None],
    now: datetime,
) -> int:
    given = zip(tenant_ids, order_ids, skus, locations, quantities, expiries, strict=True)
    for tenant_id, order_id, sku, location, quantity, expires_at in given:
        await session.insert_new(
            RESERVATIONS,
            {
                "tenant_id": tenant_id, "order_id": order_id, "sku": sku, "location": location,
                "quantity": quantity, "state": "reserved", "expires_at": expires_at,
                "reserved_at": now,
            },
        )  # fmt: skip
    return len(order_ids)


@twin(HERE, "sell_reservations")
async def sell_reservations(
    session: Session, tenant_ids: Ids, order_ids: Ids, now: datetime
) -> int:
    def sell(row: Row, _given: None) -> dict[str, Any] | None:
        return {"state": "sold"} if row["state"] == "reserved" else None

    orders = sorted(set(keys_of(tenant_ids, order_ids)))
    promised = _of_orders(session, orders, ["reserved"])
    items = see(session, ITEMS, map(_item_key, promised))
    wanted = dict.fromkeys(map(_reservation_key, promised))
    taken = [row for row, _ in await change_each(session, RESERVATIONS, wanted, sell)]
    for row in taken:
        await _note(session, row, now, kind="sale", reason="", reference=row["order_id"])

    def move(row: Row, units: int) -> dict[str, Any]:
        return {"reserved": row["reserved"] - units, "sold": row["sold"] + units}

    sums: collections.Counter[Key] = collections.Counter()
    for row in taken:
        sums[_item_key(row)] += row["quantity"]
    await change_seen(session, ITEMS, items, {key: sums[key] for key in sorted(sums)}, move)
    return len(taken)


@twin(HERE, "release_reservations")
async def release_reservations(
    session: Session, tenant_ids: Ids, order_ids: Ids, now: datetime
) -> list[Row]:
    held_states = ("reserved", "sold")
    orders = sorted(keys_of(tenant_ids, order_ids))
    seen = _of_orders(session, orders, held_states)
    items = see(session, ITEMS, map(_item_key, seen))
    held = await lock_each(
        session, RESERVATIONS, map(_reservation_key, seen), lambda row: row["state"] in held_states
    )
    sums: collections.Counter[Key] = collections.Counter()
    sold: collections.Counter[Key] = collections.Counter()
    # PostgreSQL runs the CTEs that nobody reads at the end, the last one first.
    for row in held:
        sums[_item_key(row)] += row["quantity"]
        if row["state"] == "sold":
            sold[_item_key(row)] += row["quantity"]
            reference = row["order_id"]
            await _note(session, row, now, kind="return", reason="undone", reference=reference)

    def free(row: Row, given: tuple[int, int]) -> dict[str, Any]:
        quantity, was_sold = given
        return {
            "available": row["available"] + quantity, "sold": row["sold"] - was_sold,
            "reserved": row["reserved"] - (quantity - was_sold),
        }  # fmt: skip

    units = {key: (sums[key], sold[key]) for key in sorted(sums)}
    await change_seen(session, ITEMS, items, units, free)
    for row in held:
        await session.update(RESERVATIONS, _reservation_key(row), state="released")
    return [
        _order({"tenant_id": tenant_id, "order_id": order_id})
        for tenant_id, order_id in dict.fromkeys((r["tenant_id"], r["order_id"]) for r in held)
    ]


async def _note(
    session: Session, row: Row, now: datetime, *, kind: str, reason: str, reference: UUID | None
) -> None:
    await session.insert_new(
        MOVEMENTS,
        {
            "tenant_id": row["tenant_id"], "sku": row["sku"], "id": session.next_value(MOVEMENTS),
            "location": row["location"], "kind": kind, "quantity": row["quantity"],
            "reason": reason, "reference": reference, "moved_at": now,
        },
    )  # fmt: skip


@twin(HERE, "insert_movements")
async def insert_movements(
    session: Session,
    tenant_ids: Ids,
    skus: Texts,
    locations: Texts,
    kinds: Texts,
    quantities: Numbers,
    reasons: Texts,
    references: Sequence[UUID | None],
    now: datetime,
) -> int:
    given = zip(tenant_ids, skus, locations, kinds, quantities, reasons, references, strict=True)
    for tenant_id, sku, location, kind, quantity, reason, reference in given:
        row = {"tenant_id": tenant_id, "sku": sku, "location": location, "quantity": quantity}
        await _note(session, row, now, kind=kind, reason=reason, reference=reference)
    return len(skus)


@twin(HERE, "list_sold")
async def list_sold(session: Session, tenant_ids: Ids, order_ids: Ids) -> list[Row]:
    orders = sorted(set(keys_of(tenant_ids, order_ids)))
    return [_sold(row) for row in _of_orders(session, orders, ["sold"])]


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
        RESERVATIONS, ("tenant_id", "order_id"), (tenant_id, order_id), order=_reservation_key
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
