"""Shipping over HTTP."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody

from serai.contexts.orders.contract import LINES_MAX, QUANTITY_MAX, OrderOwners
from serai.contexts.shipping.contract import (
    CARRIER_CHARS_MAX,
    TRACKING_CHARS_MAX,
    TRACKING_DETAIL_CHARS_MAX,
    ShipmentStatus,
    ShipmentView,
    TrackingEventView,
)
from serai.contexts.shipping.handlers import DispatchOrder, DispatchShipment, TrackShipment
from serai.contexts.shipping.model import Shipment, TrackingEvent, Units
from serai.contexts.shipping.ports import Carrier, Parcel, ShipmentLists
from serai.kernel import ids
from serai.kernel.batch import Batch
from serai.kernel.db import Database
from serai.kernel.failure import Invalid, NotFound
from serai.kernel.text import END, Line
from serai.kernel.web import (
    VERSION_OPTIONAL,
    Page,
    carry_out,
    cause_of,
    decode_cursor,
    encode_cursor,
    expected_version,
    json_body,
    owner_of,
    page_size,
    principal_of,
    requires,
    send_view,
)

READ: Final = "shipping:read"
OWN: Final = "orders:own"
NEWEST = UUID(int=(1 << 128) - 1)

LineNo = Annotated[int, msgspec.Meta(ge=1, le=LINES_MAX)]
Quantity = Annotated[int, msgspec.Meta(ge=1, le=QUANTITY_MAX)]
CarrierName = Annotated[Line, msgspec.Meta(min_length=1, max_length=CARRIER_CHARS_MAX)]
TrackingNumber = Annotated[Line, msgspec.Meta(min_length=1, max_length=TRACKING_CHARS_MAX)]
TrackingStatus = Annotated[str, msgspec.Meta(max_length=32, pattern=rf"^[a-z][a-z0-9_]*{END}")]
Detail = Annotated[Line, msgspec.Meta(max_length=TRACKING_DETAIL_CHARS_MAX)]


class UnitsBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Units of a line that leave."""

    line_no: LineNo
    quantity: Quantity


Lines = Annotated[tuple[UnitsBody, ...], msgspec.Meta(min_length=1, max_length=LINES_MAX)]


class DispatchBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What leaves, and with whom; without `lines` it is everything that waits."""

    lines: Lines | None = None
    carrier: CarrierName | None = None
    tracking_number: TrackingNumber | None = None


class TrackingBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something that happened to a parcel; the status `delivered` ends its way."""

    status: TrackingStatus
    occurred_at: Annotated[datetime, msgspec.Meta(tz=True)]
    detail: Detail = ""


def view_of(shipment: Shipment, tracking: Sequence[TrackingEvent] | None = None) -> ShipmentView:
    """A shipment as the API shows it."""
    return ShipmentView(
        id=shipment.id,
        order_id=shipment.order_id,
        status=shipment.status,
        carrier=shipment.carrier,
        tracking_number=shipment.tracking_number,
        lines=list(shipment.lines),
        created_at=shipment.created_at,
        dispatched_at=shipment.dispatched_at,
        delivered_at=shipment.delivered_at,
        version=shipment.version,
        tracking=None if tracking is None else [tracking_view_of(event) for event in tracking],
    )


def tracking_view_of(event: TrackingEvent) -> TrackingEventView:
    """A tracking event as the API shows it."""
    return TrackingEventView(event.status, event.detail, event.occurred_at)


def writing_routes(
    dispatch: Batch[DispatchShipment, Shipment],
    dispatch_order: Batch[DispatchOrder, Shipment],
    track: Batch[TrackShipment, TrackingEvent],
    carrier: Carrier,
) -> list[Any]:
    """Dispatches and tracking."""
    guards = [requires("shipping:write")]
    dispatched = {200: ResponseSpec(data_container=ShipmentView)}
    tracked = {201: ResponseSpec(data_container=TrackingEventView)}

    @post("/v1/shipments/{shipment_id:uuid}/dispatch", guards=guards, dto=json_body(DispatchBody),
          return_dto=None, status_code=200, responses=dispatched, tags=["shipping"],
          opt=VERSION_OPTIONAL, summary="Dispatch a shipment")  # fmt: skip
    async def dispatch_shipment(
        request: Request[Any, Any, Any], shipment_id: FromPath[UUID], data: JSONBody[DispatchBody]
    ) -> Response[bytes]:
        """The named units leave, or all; what is left waits in a new pending shipment."""
        who, booking = principal_of(request), await carrier.book(_parcel(request, data))
        command = DispatchShipment(
            who.tenant_id, shipment_id, _units(data), booking, ids.new_id(), cause_of(request),
            expected_version(request),
        )  # fmt: skip
        return await carry_out(request, dispatch, command)

    @post("/v1/orders/{order_id:uuid}/dispatch", guards=guards, dto=json_body(DispatchBody),
          return_dto=None, status_code=200, responses=dispatched, tags=["shipping"],
          opt=VERSION_OPTIONAL, summary="Dispatch what waits for an order")  # fmt: skip
    async def dispatch_of_order(
        request: Request[Any, Any, Any], order_id: FromPath[UUID], data: JSONBody[DispatchBody]
    ) -> Response[bytes]:
        """The named units of the order's pending shipment leave, or all of it.

        `If-Match` is the order's ETag.
        """
        who, booking = principal_of(request), await carrier.book(_parcel(request, data))
        command = DispatchOrder(
            who.tenant_id, order_id, _units(data), booking, ids.new_id(), cause_of(request),
            expected_version(request),
        )  # fmt: skip
        return await carry_out(request, dispatch_order, command)

    @post("/v1/shipments/{shipment_id:uuid}/tracking-events", guards=guards,
          dto=json_body(TrackingBody), return_dto=None, responses=tracked, tags=["shipping"],
          opt=VERSION_OPTIONAL, summary="Note what happened to a parcel")  # fmt: skip
    async def track_shipment(
        request: Request[Any, Any, Any], shipment_id: FromPath[UUID], data: JSONBody[TrackingBody]
    ) -> Response[bytes]:
        """Only a dispatched shipment is tracked; `delivered` ends it."""
        who = principal_of(request)
        command = TrackShipment(
            who.tenant_id, shipment_id, ids.new_id(), data.status, data.detail,
            _in_utc(data.occurred_at), cause_of(request), expected_version(request),
        )  # fmt: skip
        return await carry_out(request, track, command)

    return [dispatch_shipment, dispatch_of_order, track_shipment]


def _parcel(request: Request[Any, Any, Any], data: DispatchBody) -> Parcel:
    key = request.headers.get("idempotency-key", "")
    return Parcel(key, data.carrier, data.tracking_number)


def _units(data: DispatchBody) -> tuple[Units, ...] | None:
    if data.lines is None:
        return None
    return tuple(Units(line.line_no, line.quantity) for line in data.lines)


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise Invalid("`occurred_at` is outside of what a calendar holds") from error


def reading_routes(database: Database, shipments: ShipmentLists, owners: OrderOwners) -> list[Any]:
    """Shipments with their tracking."""
    guards = [requires(READ, own=OWN)]

    @get("/v1/shipments", guards=guards, tags=["shipping"], summary="List shipments",
         responses={200: ResponseSpec(data_container=Page[ShipmentView])})  # fmt: skip
    async def list_shipments(
        request: Request[Any, Any, Any],
        order_id: FromQuery[UUID | None] = None,
        status: FromQuery[ShipmentStatus | None] = None,
        cursor: FromQuery[str | None] = None,
        limit: FromQuery[int | None] = None,
    ) -> Response[bytes]:
        """Newest first, of one order or in one status; who may see her own only names the order."""
        who, size, owner = principal_of(request), page_size(limit), owner_of(request, READ)
        if owner is not None and order_id is None:
            raise Invalid("say of which order: `order_id`")
        (before,) = decode_cursor(cursor, tuple[UUID]) or (NEWEST,)
        async with database.transaction(who.home, (who.tenant_id,), is_read_only=True) as tx:
            named = [order_id] if order_id is not None else []
            if owner and not await owners.list_owned(who.tenant_id, owner, named, tx=tx):
                return send_view(Page[ShipmentView]([], None))
            found = await shipments.list_page(
                who.tenant_id, order_id=order_id, status=status, before=before, limit=size + 1,
                tx=tx,
            )  # fmt: skip
        more = encode_cursor([found[size - 1].id]) if len(found) > size else None
        return send_view(Page([view_of(shipment) for shipment in found[:size]], more))

    shown = {200: ResponseSpec(data_container=ShipmentView)}

    @get("/v1/shipments/{shipment_id:uuid}", guards=guards, tags=["shipping"], responses=shown,
         summary="Get a shipment")  # fmt: skip
    async def get_shipment(
        request: Request[Any, Any, Any], shipment_id: FromPath[UUID]
    ) -> Response[bytes]:
        """With everything that happened to it on its way."""
        who, owner = principal_of(request), owner_of(request, READ)
        async with database.transaction(who.home, (who.tenant_id,), is_read_only=True) as tx:
            shipment = await shipments.find(who.tenant_id, shipment_id, tx=tx)
            if shipment is not None and owner is not None:
                owned = await owners.list_owned(who.tenant_id, owner, [shipment.order_id], tx=tx)
                shipment = shipment if owned else None
            if shipment is None:
                raise NotFound("no shipment has this id")
            tracking = await shipments.list_tracking(who.tenant_id, shipment_id, tx=tx)
        return send_view(view_of(shipment, tracking), version=shipment.version)

    return [list_shipments, get_shipment]
