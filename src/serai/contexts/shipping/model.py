"""Decisions about shipments: what may leave, what stays behind, and when a parcel has arrived."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

import msgspec

from serai.contexts.shipping.contract import (
    SHIPMENTS_MAX,
    TRACKING_EVENTS_MAX,
    NothingToShip,
    ShipmentStatus,
    ShippedLine,
    TooManyShipments,
    TooManyTrackingEvents,
)
from serai.kernel.failure import IllegalState, Invalid, Refused

FIRST = 1
"""The number of the shipment that an order gets when it is confirmed."""
DELIVERED = "delivered"
"""The tracking status that ends a shipment."""
OCCURRED_AT_MIN = datetime(2000, 1, 1, tzinfo=UTC)
CLOCKS_APART_MAX = timedelta(days=1)
"""How far a carrier's clock may be ahead of ours."""

# Any fixed numbers of at most 62 bits, different from each other: see `first_id` and `stub_id`.
_FIRST_MARK = 0x1D7A_93C5_0B6E_F241
_STUB_MARK = 0x2C54_E80F_97A1_3D6B


class Shipment(msgspec.Struct, frozen=True):
    """Goods of an order that travel together."""

    tenant_id: UUID
    id: UUID
    order_id: UUID
    number: int
    """Counts the shipments of an order; who holds the first one's row holds the order."""
    status: ShipmentStatus
    lines: tuple[ShippedLine, ...]
    created_at: datetime
    carrier: str | None = None
    tracking_number: str | None = None
    dispatched_at: datetime | None = None
    delivered_at: datetime | None = None
    version: int = 1
    tracking_count: int = 0


class Units(msgspec.Struct, frozen=True):
    """Units of an order's line that are to leave."""

    line_no: int
    quantity: int


class Booking(msgspec.Struct, frozen=True):
    """What a carrier calls itself and the parcel."""

    carrier: str
    tracking_number: str | None


class TrackingEvent(msgspec.Struct, frozen=True):
    """Something that happened to a parcel on its way."""

    tenant_id: UUID
    shipment_id: UUID
    id: UUID
    status: str
    detail: str
    occurred_at: datetime


class Split(msgspec.Struct, frozen=True):
    """A dispatch: the parcel that left, and what still waits."""

    left: Shipment
    remainder: Shipment | None


def first_id(event_id: UUID) -> UUID:
    """The id of the shipment that an event makes: always the same, and ordered by time like it."""
    return UUID(int=event_id.int ^ _FIRST_MARK)


def stub_id(order_id: UUID) -> UUID:
    """The id of the stub that keeps an order from ever being shipped."""
    return UUID(int=order_id.int ^ _STUB_MARK)


def stub(tenant_id: UUID, order_id: UUID, now: datetime) -> Shipment:
    """A cancelled first shipment without lines, of an order that is undone before we hear of it."""
    return Shipment(tenant_id, stub_id(order_id), order_id, FIRST, "cancelled", (), now)


def dispatch(
    shipment: Shipment,
    units: Sequence[Units] | None,
    booking: Booking,
    *,
    siblings: int,
    remainder_id: UUID,
    now: datetime,
) -> Split | Refused:
    """Sends the named units of a pending shipment, or all; the rest waits in a new shipment.

    `siblings` is how many shipments the order has by now.
    """
    if shipment.status != "pending":
        return IllegalState(
            f"this shipment is {shipment.status}; only a pending one can be dispatched",
            status=shipment.status,
        )
    divided = _divide(shipment.lines, units)
    if isinstance(divided, Refused):
        return divided
    leaving, staying = divided
    if staying and siblings >= SHIPMENTS_MAX:
        return TooManyShipments(f"an order has at most {SHIPMENTS_MAX} shipments: send the rest")
    left = msgspec.structs.replace(
        shipment,
        status="dispatched",
        lines=leaving,
        carrier=booking.carrier,
        tracking_number=booking.tracking_number,
        dispatched_at=now,
        version=shipment.version + 1,
    )
    if not staying:
        return Split(left, None)
    number = siblings + 1
    return Split(
        left,
        Shipment(
            shipment.tenant_id, remainder_id, shipment.order_id, number, "pending", staying, now
        ),
    )


def _divide(
    lines: tuple[ShippedLine, ...], units: Sequence[Units] | None
) -> tuple[tuple[ShippedLine, ...], tuple[ShippedLine, ...]] | Refused:
    """Lines that leave and lines that stay; refuses units that do not wait here."""
    if units is None:
        return lines, ()
    wanted = {unit.line_no: unit.quantity for unit in units}
    if len(wanted) != len(units):
        return Invalid("a line stands twice in `lines`; name each line once")
    if not wanted or min(wanted.values()) < 1:
        return Invalid("name at least one line, and at least one unit of each")
    waiting = {line.line_no: line.quantity for line in lines}
    short = sorted(no for no, quantity in wanted.items() if quantity > waiting.get(no, 0))
    if short:
        return NothingToShip("fewer units than that wait in this shipment", line_nos=short[:100])
    leaving = tuple(
        ShippedLine(line.line_no, line.sku, wanted[line.line_no])
        for line in lines
        if line.line_no in wanted
    )
    staying = tuple(
        ShippedLine(line.line_no, line.sku, left)
        for line in lines
        if (left := line.quantity - wanted.get(line.line_no, 0)) > 0
    )
    return leaving, staying


def track(shipment: Shipment, event: TrackingEvent, *, now: datetime) -> Shipment | Refused:
    """The shipment after something happened to it on its way; `delivered` ends it."""
    if shipment.status != "dispatched":
        return IllegalState(
            f"this shipment is {shipment.status}; only a dispatched one can be tracked",
            status=shipment.status,
        )
    if not OCCURRED_AT_MIN <= event.occurred_at <= now + CLOCKS_APART_MAX:
        return Invalid("`occurred_at` must be after the year 2000 and not in the future")
    if shipment.tracking_count >= TRACKING_EVENTS_MAX:
        return TooManyTrackingEvents(f"a shipment may have {TRACKING_EVENTS_MAX} tracking events")
    is_delivered = event.status == DELIVERED
    status: Literal["delivered", "dispatched"] = "delivered" if is_delivered else "dispatched"
    return msgspec.structs.replace(
        shipment,
        status=status,
        delivered_at=event.occurred_at if is_delivered else None,
        version=shipment.version + 1,
        tracking_count=shipment.tracking_count + 1,
    )


def cancel(shipments: Sequence[Shipment]) -> list[Shipment] | None:
    """What changes of one order's shipments when it is undone; None with goods on the road."""
    if any(shipment.dispatched_at is not None for shipment in shipments):
        return None
    return [
        msgspec.structs.replace(shipment, status="cancelled", version=shipment.version + 1)
        for shipment in shipments
        if shipment.status == "pending"
    ]
