"""Stand-ins in memory for the rows of shipping, returns and notifications, and for their askers.

The ones of shipping pass the same suite as the tables do: tests/integration/test_shipping_store.py.
"""

# ruff: noqa: ARG002 - a fake is given what its port is given

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from serai.contexts.orders.contract import OrderRef, ReturnedLine, ReturnLines, Status, Taken
from serai.contexts.returns.contract import ReturnStatus
from serai.contexts.returns.model import Return
from serai.contexts.shipping.model import Shipment, TrackingEvent
from serai.kernel import events, ids
from serai.kernel.db import Tx
from serai.kernel.events import Cause, Delivery
from serai.kernel.failure import Refused
from serai.kernel.tenant import POOLED

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
Key = tuple[UUID, UUID]


def make_tx() -> Tx:
    """A transaction that only collects what is announced."""
    return Tx(None, POOLED, NOW)


def announced(tx: Tx) -> list[msgspec.Struct]:
    """What a transaction would announce."""
    return [announcement.event for announcement in tx.announced]


def delivery_of(tenant_id: UUID, event: msgspec.Struct, event_id: UUID | None = None) -> Delivery:
    """An event as a consumer gets it: its payload still encoded."""
    entry = events.type_of(type(event))
    key = getattr(event, entry.key)
    made = events.Announcement(
        event_id or ids.new_id(), tenant_id, entry, key, event, Cause(ids.new_id())
    )
    return Delivery(
        made.event_id, tenant_id, entry, key, 0, (1, 1), NOW, ids.new_id(), None, made.data()
    )


class MemoryShipments:
    """The port Shipments."""

    def __init__(self) -> None:
        self.rows: dict[Key, Shipment] = {}
        self.tracking: list[TrackingEvent] = []
        self.writes = 0

    async def insert(self, shipments: Sequence[Shipment], *, tx: Tx) -> set[UUID]:
        self.writes += 1
        added: set[UUID] = set()
        for shipment in shipments:
            numbers = {(s.tenant_id, s.order_id, s.number) for s in self.rows.values()}
            key = (shipment.tenant_id, shipment.id)
            place = (shipment.tenant_id, shipment.order_id, shipment.number)
            if key not in self.rows and place not in numbers:
                self.rows[key] = shipment
                added.add(shipment.id)
        return added

    async def lock_by_order(self, orders: Sequence[Key], *, tx: Tx) -> list[Shipment]:
        found = [s for s in self.rows.values() if (s.tenant_id, s.order_id) in set(orders)]
        return sorted(found, key=lambda s: (s.tenant_id, s.order_id, s.number))

    async def lock_by_id(self, shipments: Sequence[Key], *, tx: Tx) -> list[Shipment]:
        known = [self.rows[key] for key in shipments if key in self.rows]
        return await self.lock_by_order([(s.tenant_id, s.order_id) for s in known], tx=tx)

    async def update(self, shipments: Sequence[Shipment], *, tx: Tx) -> None:
        self.writes += 1
        for shipment in shipments:
            self.rows[shipment.tenant_id, shipment.id] = shipment

    async def insert_tracking(self, events: Sequence[TrackingEvent], *, tx: Tx) -> None:
        self.writes += 1
        self.tracking.extend(events)


class MemoryReturns:
    """The port ReturnRows."""

    def __init__(self) -> None:
        self.rows: dict[Key, Return] = {}

    async def insert(self, returns: Sequence[Return], *, tx: Tx) -> None:
        for one in returns:
            self.rows[one.tenant_id, one.id] = one

    async def move(
        self,
        returns: Sequence[Key],
        *,
        to: ReturnStatus,
        comes_from: Sequence[ReturnStatus],
        now: datetime,
        tx: Tx,
    ) -> None:
        for key in returns:
            row = self.rows.get(key)
            if row is not None and row.status in comes_from:
                settled_at = now if to == "refunded" else None
                self.rows[key] = msgspec.structs.replace(row, status=to, settled_at=settled_at)

    async def lock(self, returns: Sequence[Key], *, tx: Tx) -> dict[Key, Return]:
        return {key: self.rows[key] for key in returns if key in self.rows}

    async def grant(self, returns: Sequence[Return], *, tx: Tx) -> None:
        self.rows |= {(one.tenant_id, one.id): one for one in returns}

    async def find_asked(self, orders: Sequence[Key], *, tx: Tx) -> set[Key]:
        waiting = {(r.tenant_id, r.order_id) for r in self.rows.values() if r.status == "requested"}
        return waiting & set(orders)


class OrderDesk:
    """What shipping and returns ask of orders: statuses, and returned lines at a penny."""

    def __init__(self, statuses: Mapping[UUID, Status] | None = None) -> None:
        self.statuses = dict(statuses or {})
        self.versions: dict[UUID, int] = {}
        self.refusals: dict[UUID, Refused] = {}
        self.asked: list[Any] = []
        self.owners: dict[UUID, UUID] = {}

    async def find_statuses(self, refs: Sequence[OrderRef], *, tx: Tx) -> list[Status | None]:
        self.asked.extend(refs)
        return [self.statuses.get(ref.order_id) for ref in refs]

    async def find_versions(self, refs: Sequence[OrderRef], *, tx: Tx) -> list[int | None]:
        return [self.versions.get(ref.order_id) for ref in refs]

    async def return_lines(
        self, commands: Sequence[ReturnLines], *, tx: Tx, now: datetime
    ) -> list[Taken | Refused]:
        self.asked.extend(commands)
        return [self.refusals.get(c.order_id) or taken_of(c) for c in commands]

    async def weigh_returns(
        self, commands: Sequence[ReturnLines], *, tx: Tx
    ) -> list[Taken | Refused]:
        return [self.refusals.get(c.order_id) or taken_of(c) for c in commands]

    async def list_owned(
        self, tenant_id: UUID, owner: UUID, order_ids: Sequence[UUID], *, tx: Tx
    ) -> set[UUID]:
        return {order for order in order_ids if self.owners.get(order) == owner}


def taken_of(command: ReturnLines) -> Taken:
    """What an order answers that takes everything back, a penny for each unit."""
    lines = tuple(
        ReturnedLine(line.line_no, f"SKU-{line.line_no}", line.quantity, line.quantity)
        for line in command.lines
    )
    total = sum(line.refund_minor for line in lines)
    return Taken(command.order_id, "GBP", None, total, lines)
