"""Twins of the statements of shipping."""

import collections
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from tests.simulation.rows import Key, Row
from tests.simulation.statements.changing import by_key, change_each, keys_of, lock_each
from tests.simulation.statements.records import columns
from tests.simulation.storage import Session
from tests.simulation.twins import twin

HERE = "serai.contexts.shipping"
SHIPMENTS, EVENTS = "shipping.shipments", "shipping.tracking_events"
Ids = Sequence[UUID]

_SAVED = (
    "status", "lines", "carrier", "tracking_number", "dispatched_at", "delivered_at", "version",
    "tracking_count",
)  # fmt: skip
_id = columns("id")
_order_id = columns("order_id")
_order = columns("tenant_id, order_id")
_shipment = columns(
    "tenant_id, id, order_id, number, status, lines, created_at, carrier, tracking_number, "
    "dispatched_at, delivered_at, version, tracking_count"
)
_event = columns("tenant_id, shipment_id, id, status, detail, occurred_at")


def _key(row: Row) -> Key:
    return row["tenant_id"], row["id"]


def _of_orders(session: Session, orders: Sequence[Key]) -> list[Row]:
    """The shipments of orders, by order and number."""
    return [
        row
        for order in sorted(orders)
        for row in session.find(
            SHIPMENTS, ("tenant_id", "order_id"), order, order=lambda row: row["number"]
        )
    ]


@twin(HERE, "insert_shipments")
async def insert_shipments(
    session: Session,
    tenant_ids: Ids,
    ids: Ids,
    order_ids: Ids,
    numbers: Sequence[int],
    statuses: Sequence[str],
    lines: Sequence[bytes],
    created: Sequence[datetime],
) -> list[Row]:
    names = ("tenant_id", "id", "order_id", "number", "status", "lines", "created_at")
    given = [
        dict(zip(names, values, strict=True))
        for values in zip(
            tenant_ids, ids, order_ids, numbers, statuses, lines, created, strict=True
        )
    ]
    inserted = []
    for row in sorted(given, key=lambda row: (row["tenant_id"], row["order_id"], row["number"])):
        nothing_yet = {
            "carrier": None, "tracking_number": None, "dispatched_at": None, "delivered_at": None,
            "version": 1, "tracking_count": 0,
        }  # fmt: skip
        if await session.insert(SHIPMENTS, row | nothing_yet):
            inserted.append(_id(row))
    return inserted


@twin(HERE, "lock_orders")
async def lock_orders(session: Session, tenant_ids: Ids, order_ids: Ids) -> list[Row]:
    seen = _of_orders(session, keys_of(tenant_ids, order_ids))
    return [_order_id(row) for row in await lock_each(session, SHIPMENTS, map(_key, seen))]


@twin(HERE, "lock_orders_of_shipments")
async def lock_orders_of_shipments(session: Session, tenant_ids: Ids, ids: Ids) -> list[Row]:
    named = [session.get(SHIPMENTS, key) for key in keys_of(tenant_ids, ids)]
    orders = {(row["tenant_id"], row["order_id"]) for row in named if row is not None}
    seen = _of_orders(session, list(orders))
    return [_order(row) for row in await lock_each(session, SHIPMENTS, map(_key, seen))]


@twin(HERE, "find_shipments_of_orders")
async def find_shipments_of_orders(session: Session, tenant_ids: Ids, order_ids: Ids) -> list[Row]:
    return [_shipment(row) for row in _of_orders(session, keys_of(tenant_ids, order_ids))]


@twin(HERE, "update_shipments")
async def update_shipments(
    session: Session, tenant_ids: Ids, ids: Ids, *saved: Sequence[Any]
) -> int:
    def save(_row: Row, values: Key) -> dict[str, Any]:
        return dict(zip(_SAVED, values, strict=True))

    wanted = by_key(keys_of(tenant_ids, ids), keys_of(*saved))
    return len(await change_each(session, SHIPMENTS, wanted, save))


@twin(HERE, "insert_tracking_events")
async def insert_tracking_events(
    session: Session,
    tenant_ids: Ids,
    shipment_ids: Ids,
    ids: Ids,
    statuses: Sequence[str],
    details: Sequence[str],
    occurred: Sequence[datetime],
) -> int:
    names = ("tenant_id", "shipment_id", "id", "status", "detail", "occurred_at")
    given = zip(tenant_ids, shipment_ids, ids, statuses, details, occurred, strict=True)
    for values in sorted(given, key=lambda values: values[:3]):
        row = dict(zip(names, values, strict=True))
        await session.insert_new(EVENTS, row)
        if session.get(SHIPMENTS, values[:2]) is None:
            raise asyncpg.ForeignKeyViolationError(f"no shipment {values[:2]}")
    return len(ids)


@twin(HERE, "find_shipment")
async def find_shipment(session: Session, tenant_id: UUID, shipment_id: UUID) -> list[Row]:
    row = session.get(SHIPMENTS, (tenant_id, shipment_id))
    return [] if row is None else [_shipment(row)]


@twin(HERE, "list_tracking_events")
async def list_tracking_events(
    session: Session, tenant_id: UUID, shipment_id: UUID, limit: int
) -> list[Row]:
    found = session.find(
        EVENTS,
        ("tenant_id", "shipment_id"),
        (tenant_id, shipment_id),
        order=lambda row: (row["occurred_at"], row["id"]),
        limit=limit,
    )
    return [_event(row) for row in found]


def _page(
    session: Session, tenant_id: UUID, below: UUID, holds: Callable[[Row], bool], limit: int
) -> list[Row]:
    found = session.find(
        SHIPMENTS,
        ("tenant_id",),
        (tenant_id,),
        where=lambda row: row["id"] < below and holds(row),
    )
    found.sort(key=lambda row: row["id"], reverse=True)
    return [_shipment(row) for row in found[:limit]]


@twin(HERE, "list_shipments")
async def list_shipments(session: Session, tenant_id: UUID, below: UUID, limit: int) -> list[Row]:
    return _page(session, tenant_id, below, lambda _row: True, limit)


@twin(HERE, "list_shipments_in_status")
async def list_shipments_in_status(
    session: Session, tenant_id: UUID, below: UUID, limit: int, status: str
) -> list[Row]:
    return _page(session, tenant_id, below, lambda row: row["status"] == status, limit)


@twin(HERE, "list_shipments_of_order")
async def list_shipments_of_order(
    session: Session,
    tenant_id: UUID,
    below: UUID,
    limit: int,
    status: str | None,
    order_id: UUID,
) -> list[Row]:
    return _page(
        session,
        tenant_id,
        below,
        lambda row: row["order_id"] == order_id and (status is None or row["status"] == status),
        limit,
    )


def _all(session: Session, tenant_id: UUID, status: str) -> list[Row]:
    return session.find(
        SHIPMENTS, ("tenant_id",), (tenant_id,), where=lambda row: row["status"] == status
    )


@twin(HERE, "check_cancelled")
async def check_cancelled(session: Session, tenant_id: UUID, limit: int) -> list[Row]:
    named = columns("order_id, shipment_id, status")
    found = [
        named({**other, "shipment_id": other["id"]})
        for row in _all(session, tenant_id, "cancelled")
        for other in _of_orders(session, [(tenant_id, row["order_id"])])
        if other["status"] != "cancelled"
    ]
    return found[:limit]


@twin(HERE, "check_waiting")
async def check_waiting(session: Session, tenant_id: UUID, limit: int) -> list[Row]:
    named = columns("order_id, waiting")
    counts = collections.Counter(row["order_id"] for row in _all(session, tenant_id, "pending"))
    found = [
        named({"order_id": order, "waiting": count}) for order, count in counts.items() if count > 1
    ]
    return found[:limit]


@twin(HERE, "check_delivered")
async def check_delivered(session: Session, tenant_id: UUID, limit: int) -> list[Row]:
    named = columns("order_id, shipment_id")
    found = [
        named({**row, "shipment_id": row["id"]})
        for row in _all(session, tenant_id, "delivered")
        if not session.find(
            EVENTS,
            ("tenant_id", "shipment_id"),
            (tenant_id, row["id"]),
            where=lambda event: event["status"] == "delivered",
        )
    ]
    return found[:limit]


@twin(HERE, "tell_shipments")
async def tell_shipments(session: Session, tenant_id: UUID, after: UUID, until: UUID) -> list[Row]:
    named = columns("order_id, waiting, sent, moved_at")
    orders: dict[UUID, list[Row]] = {}
    for row in session.find(SHIPMENTS, ("tenant_id",), (tenant_id,)):
        if after < row["order_id"] <= until:
            orders.setdefault(row["order_id"], []).append(row)
    return [
        named(
            {
                "order_id": order_id,
                "waiting": _units(rows, {"pending"}),
                "sent": _units(rows, {"dispatched", "delivered"}),
                "moved_at": max(max(_moments(row)) for row in rows),
            }
        )
        for order_id, rows in orders.items()
    ]


def _units(rows: Sequence[Row], statuses: set[str]) -> int:
    return sum(
        line["quantity"]
        for row in rows
        if row["status"] in statuses
        for line in msgspec.json.decode(row["lines"])
    )


def _moments(row: Row) -> list[datetime]:
    """When a parcel moved; where there is a line, which one of a cancelled one has not."""
    moments = (row["created_at"], row["dispatched_at"])
    return [moment for moment in moments if moment is not None]
