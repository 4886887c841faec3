"""Shipments in PostgreSQL."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from serai.contexts.shipping.contract import (
    TRACKING_EVENTS_MAX,
    ShipmentStatus,
    ShipmentTestimony,
    ShippedLine,
)
from serai.contexts.shipping.model import Shipment, TrackingEvent
from serai.contexts.shipping.ports import Key
from serai.kernel import queries
from serai.kernel.db import Record, Tx
from serai.kernel.person import OfOrders

SQL = queries.load(__package__)

_encode = msgspec.json.Encoder().encode
_lines = msgspec.json.Decoder(tuple[ShippedLine, ...])


class PostgresShipments:
    """The ports Shipments and ShipmentLists over the tables of this context."""

    async def insert(self, shipments: Sequence[Shipment], *, tx: Tx) -> set[UUID]:
        rows = await tx.fetch(
            SQL.insert_shipments,
            [s.tenant_id for s in shipments],
            [s.id for s in shipments],
            [s.order_id for s in shipments],
            [s.number for s in shipments],
            [s.status for s in shipments],
            [_encode(s.lines) for s in shipments],
            [s.created_at for s in shipments],
        )
        return {row["id"] for row in rows}

    async def lock_by_order(self, orders: Sequence[Key], *, tx: Tx) -> list[Shipment]:
        await tx.fetch(SQL.lock_orders, [t for t, _ in orders], [o for _, o in orders])
        return await self._list_of_orders(orders, tx=tx)

    async def lock_by_id(self, shipments: Sequence[Key], *, tx: Tx) -> list[Shipment]:
        rows = await tx.fetch(
            SQL.lock_orders_of_shipments, [t for t, _ in shipments], [s for _, s in shipments]
        )
        orders = dict.fromkeys((row["tenant_id"], row["order_id"]) for row in rows)
        return await self._list_of_orders(list(orders), tx=tx)

    async def _list_of_orders(self, orders: Sequence[Key], *, tx: Tx) -> list[Shipment]:
        # Read after the lock is held, and not with it: who waited for another's lock must also see
        # the rows that the other has added.
        rows = await tx.fetch(
            SQL.find_shipments_of_orders, [t for t, _ in orders], [o for _, o in orders]
        )
        return [_read_shipment(row) for row in rows]

    async def update(self, shipments: Sequence[Shipment], *, tx: Tx) -> None:
        await tx.execute(
            SQL.update_shipments,
            [s.tenant_id for s in shipments],
            [s.id for s in shipments],
            [s.status for s in shipments],
            [_encode(s.lines) for s in shipments],
            [s.carrier for s in shipments],
            [s.tracking_number for s in shipments],
            [s.dispatched_at for s in shipments],
            [s.delivered_at for s in shipments],
            [s.version for s in shipments],
            [s.tracking_count for s in shipments],
        )

    async def insert_tracking(self, events: Sequence[TrackingEvent], *, tx: Tx) -> None:
        await tx.execute(
            SQL.insert_tracking_events,
            [e.tenant_id for e in events],
            [e.shipment_id for e in events],
            [e.id for e in events],
            [e.status for e in events],
            [e.detail for e in events],
            [e.occurred_at for e in events],
        )

    async def find(self, tenant_id: UUID, shipment_id: UUID, *, tx: Tx) -> Shipment | None:
        row = await tx.fetchrow(SQL.find_shipment, tenant_id, shipment_id)
        return None if row is None else _read_shipment(row)

    async def list_tracking(
        self, tenant_id: UUID, shipment_id: UUID, *, tx: Tx
    ) -> list[TrackingEvent]:
        rows = await tx.fetch(SQL.list_tracking_events, tenant_id, shipment_id, TRACKING_EVENTS_MAX)
        return [TrackingEvent(**dict(row)) for row in rows]

    async def list_page(
        self,
        tenant_id: UUID,
        *,
        order_id: UUID | None,
        status: ShipmentStatus | None,
        before: UUID,
        limit: int,
        tx: Tx,
    ) -> list[Shipment]:
        if order_id is not None:
            rows = await tx.fetch(
                SQL.list_shipments_of_order, tenant_id, before, limit, status, order_id
            )
        elif status is not None:
            rows = await tx.fetch(SQL.list_shipments_in_status, tenant_id, before, limit, status)
        else:
            rows = await tx.fetch(SQL.list_shipments, tenant_id, before, limit)
        return [_read_shipment(row) for row in rows]

    async def tell_shipments(
        self, tenant_id: UUID, *, after: UUID, until: UUID, tx: Tx
    ) -> list[ShipmentTestimony]:
        """How many units of the orders of a range of ids wait and have left."""
        rows = await tx.fetch(SQL.tell_shipments, tenant_id, after, until)
        return [ShipmentTestimony(**dict(row)) for row in rows]

    async def check_cancelled(self, tenant_id: UUID, limit: int, *, tx: Tx) -> list[Record]:
        """Orders of which one shipment is cancelled and another is not."""
        return await tx.fetch(SQL.check_cancelled, tenant_id, limit)

    async def check_waiting(self, tenant_id: UUID, limit: int, *, tx: Tx) -> list[Record]:
        """Orders for which more than one shipment waits."""
        return await tx.fetch(SQL.check_waiting, tenant_id, limit)

    async def check_delivered(self, tenant_id: UUID, limit: int, *, tx: Tx) -> list[Record]:
        """Delivered shipments of which no tracking event says so."""
        return await tx.fetch(SQL.check_delivered, tenant_id, limit)


def _read_shipment(row: Record) -> Shipment:
    return Shipment(
        row["tenant_id"],
        row["id"],
        row["order_id"],
        row["number"],
        row["status"],
        _lines.decode(row["lines"]),
        row["created_at"],
        row["carrier"],
        row["tracking_number"],
        row["dispatched_at"],
        row["delivered_at"],
        row["version"],
        row["tracking_count"],
    )


class ShipmentsOfOrders(OfOrders):
    """The kernel's Protocol OfOrders."""

    holds = "shipping"

    async def tell_of(
        self, tenant_id: UUID, orders: Sequence[UUID], *, tx: Tx
    ) -> list[dict[str, Any]]:
        rows = await tx.fetch(SQL.tell_of_orders, tenant_id, orders)
        return [{"what": "shipment", **row} for row in rows]
