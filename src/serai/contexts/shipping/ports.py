"""What shipping needs of the world: its own rows, a carrier, and what became of an order."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

import msgspec

from serai.contexts.orders.contract import OrderRef, Status
from serai.contexts.shipping.contract import ShipmentStatus
from serai.contexts.shipping.model import Booking, Shipment, TrackingEvent
from serai.kernel.db import Tx

Key = tuple[UUID, UUID]
"""A tenant and the id of something of hers."""


class Shipments(Protocol):
    """Shipments and their tracking; every call is part of the given transaction.

    Who changes a shipment has locked its order by one of the `lock_…`: its shipments are locked in
    the order of (tenant, order, number), so that the first one stands for the order.
    """

    async def insert(self, shipments: Sequence[Shipment], *, tx: Tx) -> set[UUID]:
        """Adds shipments; those that are there already do not come back and are not changed."""
        ...

    async def lock_by_order(self, orders: Sequence[Key], *, tx: Tx) -> list[Shipment]:
        """Locks orders and reads all their shipments, by order and number."""
        ...

    async def lock_by_id(self, shipments: Sequence[Key], *, tx: Tx) -> list[Shipment]:
        """Locks the orders of shipments and reads all shipments of those, by order and number."""
        ...

    async def update(self, shipments: Sequence[Shipment], *, tx: Tx) -> None:
        """Writes down locked shipments as they are now."""
        ...

    async def insert_tracking(self, events: Sequence[TrackingEvent], *, tx: Tx) -> None:
        """Adds what happened to parcels."""
        ...


class ShipmentLists(Protocol):
    """Shipments as they are read; every call is part of the given transaction."""

    async def find(self, tenant_id: UUID, shipment_id: UUID, *, tx: Tx) -> Shipment | None:
        """One shipment."""
        ...

    async def list_tracking(
        self, tenant_id: UUID, shipment_id: UUID, *, tx: Tx
    ) -> list[TrackingEvent]:
        """What happened to a parcel, oldest first; all of it, as it is bounded."""
        ...

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
        """Shipments with an id below `before`, newest first."""
        ...


class OrderStatuses(Protocol):
    """What orders say of an order."""

    async def find_statuses(self, refs: Sequence[OrderRef], *, tx: Tx) -> list[Status | None]:
        """The status of each order, in order; None for one that the tenant does not have."""
        ...

    async def find_versions(self, refs: Sequence[OrderRef], *, tx: Tx) -> list[int | None]:
        """The version of each order, in order; None for one that the tenant does not have."""
        ...


class Parcel(msgspec.Struct, frozen=True):
    """A parcel to be booked; `key` is the idempotency key, so a repeated request has it too."""

    key: str
    carrier: str | None
    tracking_number: str | None


class Carrier(Protocol):
    """Who takes parcels. Asked before the transaction: a booking must cost nothing until used."""

    async def book(self, parcel: Parcel) -> Booking:
        """Announces a parcel; harmless to repeat. Raises Unavailable where the carrier is out."""
        ...
