"""Wiring of shipping."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from serai.contexts.orders.contract import OrderConfirmed, OrderOwners
from serai.contexts.shipping import handlers, routes
from serai.contexts.shipping.contract import ShipmentRef, ShipmentTestimony
from serai.contexts.shipping.gateways import ManualCarrier
from serai.contexts.shipping.model import Shipment, TrackingEvent
from serai.contexts.shipping.ports import OrderStatuses
from serai.contexts.shipping.store import PostgresShipments, ShipmentsOfOrders
from serai.kernel.batch import Batch
from serai.kernel.db import Tx
from serai.kernel.idempotency import Answer
from serai.kernel.module import Check, Consumer, Finding, Module, Surroundings
from serai.kernel.web import answer_with

FINDINGS_MAX = 100


class Offers:
    """The contract's Protocol Shipping."""

    def __init__(self, shipments: PostgresShipments) -> None:
        self._shipments = shipments

    async def cancel_shipments(
        self, refs: Sequence[ShipmentRef], *, tx: Tx, now: datetime
    ) -> set[UUID]:
        return await handlers.cancel_shipments(refs, tx=tx, now=now, shipments=self._shipments)

    async def tell_shipments(
        self, tenant_id: UUID, *, after: UUID, until: UUID, tx: Tx
    ) -> list[ShipmentTestimony]:
        return await self._shipments.tell_shipments(tenant_id, after=after, until=until, tx=tx)


def build(s: Surroundings, *, orders: OrderStatuses, owners: OrderOwners) -> Module:
    """Shipping over PostgreSQL, with parcels that people bring to the post."""
    shipments = PostgresShipments()
    make = partial(Batch, database=s.database, queue_max=s.settings.queue_max)
    dispatch: Batch[Any, Any] = make(
        "shipping.dispatch_shipments",
        partial(handlers.dispatch_shipments, shipments=shipments),
        _dispatched,
        weigh=_weigh,
    )
    dispatch_order: Batch[Any, Any] = make(
        "shipping.dispatch_orders",
        partial(handlers.dispatch_orders, shipments=shipments, orders=orders),
        _dispatched,
        weigh=_weigh,
    )
    track: Batch[Any, Any] = make(
        "shipping.track_shipments", partial(handlers.track_shipments, shipments=shipments), _tracked
    )
    confirmed = partial(handlers.hear_order_confirmed, shipments=shipments)
    return Module(
        name="shipping",
        routes=[
            *routes.writing_routes(dispatch, dispatch_order, track, ManualCarrier()),
            *routes.reading_routes(s.database, shipments, owners),
        ],
        batches=[dispatch, dispatch_order, track],
        consumers=[Consumer("shipping", {OrderConfirmed: confirmed})],
        checks=_checks(shipments),
        of_orders=ShipmentsOfOrders(),
        offers=Offers(shipments),
    )


def _weigh(command: handlers.DispatchShipment | handlers.DispatchOrder) -> int:
    return len(command.units or ()) or 1


def _dispatched(shipment: Shipment) -> Answer:
    return answer_with(routes.view_of(shipment), version=shipment.version)


def _tracked(event: TrackingEvent) -> Answer:
    location = f"/v1/shipments/{event.shipment_id}"
    return answer_with(routes.tracking_view_of(event), status=201, location=location)


def _checks(shipments: PostgresShipments) -> list[Check]:
    return [
        _check(
            "shipping.cancelled",
            "Of an order whose shipment was cancelled nothing waits and nothing has left.",
            shipments.check_cancelled,
        ),
        _check(
            "shipping.waiting",
            "At most one shipment of an order waits to be dispatched.",
            shipments.check_waiting,
        ),
        _check(
            "shipping.delivered",
            "Every delivered shipment has a tracking event that says so.",
            shipments.check_delivered,
        ),
    ]


def _check(name: str, sentence: str, find: Callable[..., Any]) -> Check:
    async def run(tx: Tx, tenant_id: UUID) -> list[Finding]:
        rows = await find(tenant_id, FINDINGS_MAX, tx=tx)
        return [Finding(name, ", ".join(f"{k}={v}" for k, v in dict(r).items())) for r in rows]

    return Check(name, sentence, run)
