"""Twins of the statements of inventory."""

import collections
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from tests.simulation.rows import Key, Row
from tests.simulation.statements.changing import (
    by_key,
    change_each,
    change_seen,
    in_order,
    keys_of,
    lock_each,
    see,
)
from tests.simulation.statements.records import columns
from tests.simulation.storage import Session
from tests.simulation.twins import twin

HERE = "serai.contexts.inventory"
LOCATIONS, ITEMS = "inventory.locations", "inventory.stock_items"
RESERVATIONS, MOVEMENTS = "inventory.reservations", "inventory.movements"
Ids = Sequence[UUID]
Texts = Sequence[str]
Numbers = Sequence[int]

_PLACES = ("received", "available", "reserved", "sold", "written_off")
_level = columns("tenant_id, sku, location, received, available, reserved, sold, written_off")
_sold = columns("tenant_id, order_id, sku, location, quantity")
_order = columns("tenant_id, order_id")


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
                "reserved_at": now, "returned": 0,
            },
        )  # fmt: skip
    return len(order_ids)


@twin(HERE, "sell_reservations")
async def sell_reservations(
    session: Session, tenant_ids: Ids, order_ids: Ids, now: datetime
) -> int:
    def sell(row: Row, _given: None) -> dict[str, Any] | None:
        return {"state": "sold", "expires_at": None} if row["state"] == "reserved" else None

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
    for row in map(_less_returned, held):
        sums[_item_key(row)] += row["quantity"]
        if row["state"] == "sold":
            sold[_item_key(row)] += row["quantity"]
            if row["quantity"] > 0:
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
        key = _reservation_key(row)
        await session.update(RESERVATIONS, key, state="released", expires_at=None)
    return [
        _order({"tenant_id": tenant_id, "order_id": order_id})
        for tenant_id, order_id in dict.fromkeys((r["tenant_id"], r["order_id"]) for r in held)
    ]


def _less_returned(row: Row) -> Row:
    return {**row, "quantity": row["quantity"] - row["returned"]}


@twin(HERE, "lock_limited")
async def lock_limited(session: Session, tenant_ids: Ids, order_ids: Ids) -> list[Row]:
    def is_limited(row: Row) -> bool:
        return row["state"] == "reserved" and row["expires_at"] is not None

    orders = sorted(set(keys_of(tenant_ids, order_ids)))
    seen = map(_reservation_key, _of_orders(session, orders, ["reserved"]))
    return [_order(row) for row in await lock_each(session, RESERVATIONS, seen, is_limited)]


@twin(HERE, "return_units")
async def return_units(
    session: Session,
    tenant_ids: Ids,
    order_ids: Ids,
    skus: Texts,
    locations: Texts,
    quantities: Numbers,
) -> int:
    def give_back(row: Row, units: int) -> dict[str, Any]:
        return {"returned": row["returned"] + units}

    sums: collections.Counter[Key] = collections.Counter()
    for key, units in zip(keys_of(tenant_ids, order_ids, skus, locations), quantities, strict=True):
        sums[key] += units
    return len(await change_each(session, RESERVATIONS, in_order(sums), give_back))


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
    return [
        _sold(_less_returned(row))
        for row in _of_orders(session, orders, ["sold"])
        if row["returned"] < row["quantity"]
    ]
