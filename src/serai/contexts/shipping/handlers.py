"""What shipping does with commands and events, a batch at a time."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from serai.contexts.orders.contract import OrderConfirmed, OrderRef, Status
from serai.contexts.shipping import model
from serai.contexts.shipping.contract import (
    ShipmentCreated,
    ShipmentDelivered,
    ShipmentDispatched,
    ShipmentNotReady,
    ShipmentRef,
    ShippedLine,
)
from serai.contexts.shipping.model import Booking, Shipment, TrackingEvent, Units
from serai.contexts.shipping.ports import Key, OrderStatuses, Shipments
from serai.kernel.changes import describe
from serai.kernel.db import Tx
from serai.kernel.events import Cause, Delivery
from serai.kernel.failure import IllegalState, NotFound, Refused, find_stale


class DispatchShipment(msgspec.Struct, frozen=True):
    """Sends units of a shipment, or all of it; the rest waits in a new one under `remainder_id`."""

    tenant_id: UUID
    shipment_id: UUID
    units: tuple[Units, ...] | None
    booking: Booking
    remainder_id: UUID
    cause: Cause
    version: int | None = None


class DispatchOrder(msgspec.Struct, frozen=True):
    """Sends units of the shipment that waits for an order, or all of it."""

    tenant_id: UUID
    order_id: UUID
    units: tuple[Units, ...] | None
    booking: Booking
    remainder_id: UUID
    cause: Cause
    version: int | None = None


class TrackShipment(msgspec.Struct, frozen=True):
    """Notes what happened to a parcel."""

    tenant_id: UUID
    shipment_id: UUID
    event_id: UUID
    status: str
    detail: str
    occurred_at: datetime
    cause: Cause
    version: int | None = None


class _Book:
    """The locked shipments of a batch: a later command sees what an earlier one made of them."""

    def __init__(self, shipments: Sequence[Shipment]) -> None:
        self._by_id: dict[Key, Shipment] = {}
        self._by_order: dict[Key, list[UUID]] = {}
        self._new: list[Shipment] = []
        self._changed: set[Key] = set()
        for shipment in shipments:
            self._place(shipment)

    def _place(self, shipment: Shipment) -> None:
        key, order = (shipment.tenant_id, shipment.id), (shipment.tenant_id, shipment.order_id)
        if key not in self._by_id:
            self._by_order.setdefault(order, []).append(shipment.id)
        self._by_id[key] = shipment

    def find(self, tenant_id: UUID, shipment_id: UUID) -> Shipment | None:
        return self._by_id.get((tenant_id, shipment_id))

    def of_order(self, tenant_id: UUID, order_id: UUID) -> list[Shipment]:
        found = self._by_order.get((tenant_id, order_id), [])
        return [self._by_id[tenant_id, shipment_id] for shipment_id in found]

    def change(self, shipment: Shipment) -> None:
        self._changed.add((shipment.tenant_id, shipment.id))
        self._place(shipment)

    def add(self, shipment: Shipment) -> None:
        self._new.append(shipment)
        self._place(shipment)

    async def save(self, shipments: Shipments, *, tx: Tx) -> None:
        # What is new is written as it began: a later command of the batch may have moved it on.
        if self._new:
            await shipments.insert(self._new, tx=tx)
        if self._changed:
            await shipments.update([self._by_id[key] for key in sorted(self._changed)], tx=tx)


async def hear_order_confirmed(
    deliveries: Sequence[Delivery], *, tx: Tx, now: datetime, shipments: Shipments
) -> None:
    """Makes one pending shipment of each confirmed order; harmless twice."""
    fresh: list[Shipment] = []
    for delivery in deliveries:
        event: OrderConfirmed = delivery.decode()
        lines = tuple(ShippedLine(line.line_no, line.sku, line.quantity) for line in event.lines)
        fresh.append(
            Shipment(
                delivery.tenant_id,
                model.first_id(delivery.event_id),
                event.order_id,
                model.FIRST,
                "pending",
                lines,
                now,
            )
        )
    made = await shipments.insert(fresh, tx=tx)
    for delivery, shipment in zip(deliveries, fresh, strict=True):
        if shipment.id in made:
            event_made = ShipmentCreated(shipment.order_id, shipment.id)
            tx.announce(delivery.tenant_id, event_made, delivery.cause)


async def dispatch_shipments(
    commands: Sequence[DispatchShipment], *, tx: Tx, now: datetime, shipments: Shipments
) -> list[Shipment | Refused]:
    """Sends what is named of shipments; the parcel that left, for each."""
    keys = sorted({(c.tenant_id, c.shipment_id) for c in commands})
    book = _Book(await shipments.lock_by_id(keys, tx=tx))
    outcomes: list[Shipment | Refused] = []
    for command in commands:
        shipment = book.find(command.tenant_id, command.shipment_id)
        if shipment is None:
            outcomes.append(NotFound("no shipment has this id"))
        else:
            stale = find_stale(command.version, shipment.version)
            outcomes.append(stale or _dispatch(book, shipment, command, tx=tx, now=now))
    await book.save(shipments, tx=tx)
    return outcomes


async def dispatch_orders(
    commands: Sequence[DispatchOrder],
    *,
    tx: Tx,
    now: datetime,
    shipments: Shipments,
    orders: OrderStatuses,
) -> list[Shipment | Refused]:
    """Sends what is named of the shipments that wait for orders; the parcel that left, for each."""
    keys = sorted({(c.tenant_id, c.order_id) for c in commands})
    book = _Book(await shipments.lock_by_order(keys, tx=tx))
    unheard = [c for c in commands if not book.of_order(c.tenant_id, c.order_id)]
    statuses: dict[Key, Status | None] = {}
    if unheard:
        refs = [OrderRef(c.tenant_id, c.order_id, c.cause) for c in unheard]
        found = await orders.find_statuses(refs, tx=tx)
        statuses = {(r.tenant_id, r.order_id): s for r, s in zip(refs, found, strict=True)}
    stale = await _find_stale_orders(commands, orders, tx=tx)
    outcomes: list[Shipment | Refused] = []
    for number, command in enumerate(commands):
        siblings = book.of_order(command.tenant_id, command.order_id)
        waiting = next((s for s in siblings if s.status == "pending"), None)
        if not siblings:
            outcomes.append(_refuse_unheard(statuses[command.tenant_id, command.order_id]))
        elif number in stale:
            outcomes.append(stale[number])
        elif waiting is None:
            states = sorted({s.status for s in siblings})
            outcomes.append(
                IllegalState("nothing of this order waits to be dispatched", shipments=states)
            )
        else:
            outcomes.append(_dispatch(book, waiting, command, tx=tx, now=now))
    await book.save(shipments, tx=tx)
    return outcomes


async def _find_stale_orders(
    commands: Sequence[DispatchOrder], orders: OrderStatuses, *, tx: Tx
) -> dict[int, Refused]:
    """Which commands name a version that their order is not at, by their place in the batch.

    The order's row is not locked for it: orders' rows are orders' own to lock. What a change that
    comes in between could do to the goods is decided on the shipments, which are locked.
    """
    asking = [(n, c) for n, c in enumerate(commands) if c.version is not None]
    if not asking:
        return {}
    refs = [OrderRef(c.tenant_id, c.order_id, c.cause) for _, c in asking]
    found = await orders.find_versions(refs, tx=tx)
    refusals = {
        number: find_stale(command.version, current)
        for (number, command), current in zip(asking, found, strict=True)
        if current is not None
    }
    return {number: refusal for number, refusal in refusals.items() if refusal is not None}


def _refuse_unheard(status: Status | None) -> Refused:
    if status is None:
        return NotFound("no order has this id")
    if status == "confirmed":
        return ShipmentNotReady("the order was confirmed a moment ago; ask again in a second")
    return IllegalState(f"this order is {status}; only a confirmed one is shipped", status=status)


def _dispatch(
    book: _Book,
    shipment: Shipment,
    command: DispatchShipment | DispatchOrder,
    *,
    tx: Tx,
    now: datetime,
) -> Shipment | Refused:
    split = model.dispatch(
        shipment,
        command.units,
        command.booking,
        siblings=len(book.of_order(shipment.tenant_id, shipment.order_id)),
        remainder_id=command.remainder_id,
        now=now,
    )
    if isinstance(split, Refused):
        return split
    book.change(split.left)
    if split.remainder is not None:
        book.add(split.remainder)
    left = split.left
    event = ShipmentDispatched(
        left.order_id, left.id, command.booking.carrier, left.tracking_number, left.lines
    )
    tx.announce(left.tenant_id, event, command.cause)
    _record("shipping.shipment_dispatched", shipment, left, command.cause, tx=tx)
    return left


def _record(
    action: str,
    before: Shipment,
    after: Shipment,
    cause: Cause,
    *,
    tx: Tx,
    more: Mapping[str, object] | None = None,
) -> None:
    became = {**msgspec.structs.asdict(after), **(more or {})}
    subject = ("shipment", after.id)
    change = describe(action, subject, cause, before=before, after=became)
    tx.record(after.tenant_id, change)


async def track_shipments(
    commands: Sequence[TrackShipment], *, tx: Tx, now: datetime, shipments: Shipments
) -> list[TrackingEvent | Refused]:
    """Notes what happened to parcels, in the order told; `delivered` ends a shipment."""
    keys = sorted({(c.tenant_id, c.shipment_id) for c in commands})
    book = _Book(await shipments.lock_by_id(keys, tx=tx))
    outcomes: list[TrackingEvent | Refused] = []
    for command in commands:
        shipment = book.find(command.tenant_id, command.shipment_id)
        if shipment is None:
            outcomes.append(NotFound("no shipment has this id"))
            continue
        stale = find_stale(command.version, shipment.version)
        if stale is not None:
            outcomes.append(stale)
            continue
        event = TrackingEvent(
            command.tenant_id,
            command.shipment_id,
            command.event_id,
            command.status,
            command.detail,
            command.occurred_at,
        )
        tracked = model.track(shipment, event, now=now)
        if isinstance(tracked, Refused):
            outcomes.append(tracked)
            continue
        book.change(tracked)
        told = {"tracked": {"status": event.status, "detail": event.detail}}
        action = "shipping.shipment_tracked"
        _record(action, shipment, tracked, command.cause, tx=tx, more=told)
        if tracked.status == "delivered":
            arrived = ShipmentDelivered(tracked.order_id, tracked.id)
            tx.announce(command.tenant_id, arrived, command.cause)
        outcomes.append(event)
    await book.save(shipments, tx=tx)
    noted = [outcome for outcome in outcomes if isinstance(outcome, TrackingEvent)]
    if noted:
        await shipments.insert_tracking(noted, tx=tx)
    return outcomes


async def cancel_shipments(
    refs: Sequence[ShipmentRef], *, tx: Tx, now: datetime, shipments: Shipments
) -> set[UUID]:
    """Cancels what waits for orders of which nothing has left; the orders that this holds for.

    An order that we have not heard of yet gets a cancelled stub in the place of its first shipment,
    so that a confirmation which is still on its way makes none.
    """
    keys = sorted({(ref.tenant_id, ref.order_id) for ref in refs})
    if not keys:
        return set()
    await shipments.insert([model.stub(tenant, order, now) for tenant, order in keys], tx=tx)
    book = _Book(await shipments.lock_by_order(keys, tx=tx))
    undone: set[UUID] = set()
    for tenant_id, order_id in keys:
        cancelled = model.cancel(book.of_order(tenant_id, order_id))
        if cancelled is None:
            continue
        undone.add(order_id)
        for shipment in cancelled:
            book.change(shipment)
    await book.save(shipments, tx=tx)
    return undone
