"""What others may know of shipments: events, views and refusals."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

import msgspec

from serai.kernel.db import Tx
from serai.kernel.events import Cause, event
from serai.kernel.failure import Refused, Unprocessable

ShipmentStatus = Literal["pending", "dispatched", "delivered", "cancelled"]
CARRIER_CHARS_MAX = 64
TRACKING_CHARS_MAX = 128
TRACKING_DETAIL_CHARS_MAX = 500
TRACKING_EVENTS_MAX = 200
"""Tracking events that one shipment may have."""
SHIPMENTS_MAX = 1_000
"""Shipments that one order may be split into."""


class NothingToShip(Unprocessable):
    """The lines named are not, or no longer, waiting in this shipment."""


class ShipmentNotReady(Refused):
    """The order was confirmed a moment ago and its shipment is still being made: ask again."""


class TooManyShipments(Unprocessable):
    """The order is in as many shipments as an order may be."""


class TooManyTrackingEvents(Unprocessable):
    """The shipment has as many tracking events as a shipment may have."""


class ShippedLine(msgspec.Struct, frozen=True):
    """Units of an order's line in a shipment."""

    line_no: int
    sku: str
    quantity: int


class ShipmentRef(msgspec.Struct, frozen=True):
    """The shipments of an order of a tenant, and why they are spoken of."""

    tenant_id: UUID
    order_id: UUID
    cause: Cause


@event(topic="shipping", key="order_id")
class ShipmentCreated(msgspec.Struct, frozen=True):
    """Goods of a confirmed order wait to be packed."""

    order_id: UUID
    shipment_id: UUID


@event(topic="shipping", key="order_id")
class ShipmentDispatched(msgspec.Struct, frozen=True):
    """A parcel has left."""

    order_id: UUID
    shipment_id: UUID
    carrier: str
    tracking_number: str | None
    lines: tuple[ShippedLine, ...]


@event(topic="shipping", key="order_id")
class ShipmentDelivered(msgspec.Struct, frozen=True):
    """A parcel has arrived."""

    order_id: UUID
    shipment_id: UUID


class TrackingEventView(msgspec.Struct, frozen=True):
    """Something that happened to a parcel on its way."""

    status: str
    detail: str
    occurred_at: datetime


class ShipmentView(msgspec.Struct, frozen=True):
    """A shipment as the API shows it."""

    id: UUID
    order_id: UUID
    status: ShipmentStatus
    carrier: str | None
    tracking_number: str | None
    lines: list[ShippedLine]
    created_at: datetime
    dispatched_at: datetime | None
    delivered_at: datetime | None
    version: int
    tracking: list[TrackingEventView] | None = None


class Shipping(Protocol):
    """What shipping offers to flows; every call is part of the caller's transaction."""

    async def cancel_shipments(
        self, refs: Sequence[ShipmentRef], *, tx: Tx, now: datetime
    ) -> set[UUID]:
        """Cancels the pending shipments of orders of which nothing was dispatched.

        Returns the ids of the orders for which this holds now; the others have goods on the road.
        """
        ...


class ShipmentTestimony(msgspec.Struct, frozen=True):
    """How many units of an order wait and have left; `moved_at` is when a parcel last did."""

    order_id: UUID
    waiting: int
    sent: int
    moved_at: datetime


class ShipmentWitness(Protocol):
    """Tells what shipping says of orders, for those who compare it with what others say."""

    async def tell_shipments(
        self, tenant_id: UUID, *, after: UUID, until: UUID, tx: Tx
    ) -> list[ShipmentTestimony]:
        """Of all orders with ids above one and up to another."""
        ...
