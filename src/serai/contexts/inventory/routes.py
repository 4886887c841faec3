"""Inventory over HTTP."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody

from serai.contexts.catalog.contract import Sku
from serai.contexts.inventory.contract import (
    DEFAULT_LOCATION,
    UNITS_MAX,
    ReservationNotFound,
    ReserveStock,
    Want,
)
from serai.contexts.inventory.handlers import MoveStock, ReleaseReservation
from serai.contexts.inventory.model import Move
from serai.contexts.inventory.ports import StockReads
from serai.kernel import ids
from serai.kernel.batch import Batch
from serai.kernel.changes import describe
from serai.kernel.clock import Clock
from serai.kernel.db import Database
from serai.kernel.text import END, Line
from serai.kernel.web import (
    KEYLESS,
    OptionalQueryLine,
    Page,
    QueryLine,
    carry_out,
    cause_of,
    decode_cursor,
    encode_cursor,
    json_body,
    page_size,
    principal_of,
    requires,
    send_view,
)

MOVES_MAX = 500
WANTS_MAX = 500
TTL_S_MAX = 24 * 3600

Place = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=rf"^[A-Za-z0-9_.-]+{END}")]
Units = Annotated[int, msgspec.Meta(ge=1, le=UNITS_MAX)]
Words = Annotated[Line, msgspec.Meta(max_length=200)]


class MoveBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Units of a SKU that come in or are written off."""

    sku: Sku
    quantity: Units
    location: Place = DEFAULT_LOCATION
    reason: Words = ""
    reference: UUID | None = None


class MovesBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Up to 500 moves: all are made, or none."""

    moves: Annotated[tuple[MoveBody, ...], msgspec.Meta(min_length=1, max_length=MOVES_MAX)]


class TransferBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Available units of a SKU that go from one location to another."""

    sku: Sku
    quantity: Units
    from_location: Place
    to_location: Place
    reason: Words = ""


class WantBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Units of a SKU that are to be held; one that stands twice is held with the sum."""

    sku: Sku
    quantity: Units


class ReserveBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Units to hold for a while, such as for a cart at the till."""

    wants: Annotated[tuple[WantBody, ...], msgspec.Meta(min_length=1, max_length=WANTS_MAX)]
    ttl_s: Annotated[int, msgspec.Meta(ge=1, le=TTL_S_MAX)] = 900


class MovedView(msgspec.Struct, frozen=True):
    """How many moves were made."""

    moved: int


class ReservationView(msgspec.Struct, frozen=True):
    """A reservation with its time limit."""

    id: UUID
    expires_at: datetime | None
    wants: list[Want]


def view_of(
    reservation_id: UUID, expires_at: datetime | None, wants: Iterable[Want]
) -> ReservationView:
    """A reservation as the API shows it: a SKU stands once, wherever its units are held."""
    units: dict[str, int] = {}
    for want in wants:
        units[want.sku] = units.get(want.sku, 0) + want.quantity
    held = [Want(sku, quantity) for sku, quantity in sorted(units.items())]
    return ReservationView(reservation_id, expires_at, held)


class ReleasedView(msgspec.Struct, frozen=True):
    """A reservation is no more."""

    released: Literal[True] = True


class StockItemView(msgspec.Struct, frozen=True):
    """A SKU at a location; received = available + reserved + sold + written_off."""

    sku: str
    location: str
    received: int
    available: int
    reserved: int
    sold: int
    written_off: int


class MovementView(msgspec.Struct, frozen=True):
    """A line of the ledger."""

    id: int
    sku: str
    location: str
    kind: str
    quantity: int
    reason: str
    reference: UUID | None
    moved_at: datetime


class TotalView(msgspec.Struct, frozen=True):
    """The sum of one kind of movement of a SKU."""

    sku: str
    kind: str
    reason: str
    quantity: int


class LocationBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A place where goods are; stock is taken from the lowest priority first."""

    code: Place
    name: Words
    priority: Annotated[int, msgspec.Meta(ge=-1000, le=1000)] = 0


def moving_routes(move: Batch[MoveStock, int]) -> list[Any]:
    """Receipts, write-offs and transfers."""

    async def make(request: Request[Any, Any, Any], *moves: Move) -> Response[bytes]:
        who = principal_of(request)
        return await carry_out(request, move, MoveStock(who.tenant_id, moves, cause_of(request)))

    spec = {201: ResponseSpec(data_container=MovedView)}

    @post("/v1/stock-receipts", guards=[requires("inventory:write")], dto=json_body(MovesBody),
          return_dto=None, responses=spec, tags=["inventory"], summary="Receive units")  # fmt: skip
    async def receive(
        request: Request[Any, Any, Any], data: JSONBody[MovesBody]
    ) -> Response[bytes]:
        """Units come in and are available at once: all moves or none.

        A location other than the default one is made first, by `POST /v1/locations`. A SKU may be
        one that the catalog does not have yet: goods can come before their description.
        """
        return await make(request, *(_move("receipt", m) for m in data.moves))

    @post("/v1/stock-write-offs", guards=[requires("inventory:write")], dto=json_body(MovesBody),
          return_dto=None, responses=spec, tags=["inventory"],
          summary="Write units off")  # fmt: skip
    async def write_off(
        request: Request[Any, Any, Any], data: JSONBody[MovesBody]
    ) -> Response[bytes]:
        """Available units are lost, broken or given away: all moves or none."""
        return await make(request, *(_move("write_off", m) for m in data.moves))

    @post("/v1/stock-transfers", guards=[requires("inventory:write")], dto=json_body(TransferBody),
          return_dto=None, responses=spec, tags=["inventory"],
          summary="Transfer units")  # fmt: skip
    async def transfer(
        request: Request[Any, Any, Any], data: JSONBody[TransferBody]
    ) -> Response[bytes]:
        """Available units go from one location to another."""
        step = Move(
            "transfer",
            data.sku,
            data.from_location,
            data.quantity,
            data.reason,
            None,
            data.to_location,
        )
        return await make(request, step)

    return [receive, write_off, transfer]


def reservation_routes(
    reserve: Batch[ReserveStock, Any],
    release: Batch[ReleaseReservation, None],
    database: Database,
    stock: StockReads,
    *,
    clock: Clock,
) -> list[Any]:
    """Reservations that are no order's: made, given up and shown."""

    @post("/v1/reservations", guards=[requires("inventory:write")], dto=json_body(ReserveBody),
          return_dto=None, tags=["inventory"], summary="Reserve units for a while",
          responses={201: ResponseSpec(data_container=ReservationView)})  # fmt: skip
    async def reserve_units(
        request: Request[Any, Any, Any], data: JSONBody[ReserveBody]
    ) -> Response[bytes]:
        """Holds units, all or none, until the time limit; then they are available again."""
        who = principal_of(request)
        command = ReserveStock(
            who.tenant_id, ids.new_id(), tuple(Want(w.sku, w.quantity) for w in data.wants),
            clock.now() + timedelta(seconds=data.ttl_s), cause_of(request),
        )  # fmt: skip
        return await carry_out(request, reserve, command)

    @delete("/v1/reservations/{reservation_id:uuid}", guards=[requires("inventory:write")],
            status_code=200, tags=["inventory"], summary="Release a reservation",
            responses={200: ResponseSpec(data_container=ReleasedView)})  # fmt: skip
    async def release_units(
        request: Request[Any, Any, Any], reservation_id: FromPath[UUID]
    ) -> Response[bytes]:
        """Makes the units available again before the time limit."""
        who = principal_of(request)
        command = ReleaseReservation(who.tenant_id, reservation_id, cause_of(request))
        return await carry_out(request, release, command, is_keyed=False)

    @get("/v1/reservations/{reservation_id:uuid}", guards=[requires("inventory:read")],
         tags=["inventory"], summary="Read a reservation",
         responses={200: ResponseSpec(data_container=ReservationView)})  # fmt: skip
    async def read_reservation(
        request: Request[Any, Any, Any], reservation_id: FromPath[UUID]
    ) -> Response[bytes]:
        """What is held under this id."""
        who = principal_of(request)
        async with database.transaction(who.home, (who.tenant_id,), is_read_only=True) as tx:
            rows = await stock.find_reservation(who.tenant_id, reservation_id, tx=tx)
        # What an order holds has no time limit, and is shown by its order.
        held = [row for row in rows if row["state"] == "reserved" and row["expires_at"] is not None]
        if not held:
            raise ReservationNotFound("no open reservation has this id")
        wants = [Want(row["sku"], row["quantity"]) for row in held]
        return send_view(view_of(reservation_id, held[0]["expires_at"], wants))

    return [reserve_units, release_units, read_reservation]


def reading_routes(database: Database, stock: StockReads) -> list[Any]:
    """Stock items and the ledger."""
    guards = [requires("inventory:read")]

    @get("/v1/stock-items", guards=guards, tags=["inventory"], summary="List stock items",
         responses={200: ResponseSpec(data_container=Page[StockItemView])})  # fmt: skip
    async def list_stock(
        request: Request[Any, Any, Any],
        *,
        sku: OptionalQueryLine = None,
        location: OptionalQueryLine = None,
        cursor: FromQuery[str | None] = None,
        limit: FromQuery[int | None] = None,
    ) -> Response[bytes]:
        """By SKU and location, with every unit accounted for."""
        who, size = principal_of(request), page_size(limit)
        after = decode_cursor(cursor, tuple[str, str]) or ("", "")
        async with database.transaction(who.home, (who.tenant_id,), is_read_only=True) as tx:
            rows = await stock.list_stock(who.tenant_id, *after, sku, location, size + 1, tx=tx)
        items = [StockItemView(**dict(row)) for row in rows[:size]]
        more = encode_cursor([items[-1].sku, items[-1].location]) if len(rows) > size else None
        return send_view(Page(items, more))

    @get("/v1/stock-movements", guards=guards, tags=["inventory"], summary="List a SKU's movements",
         responses={200: ResponseSpec(data_container=Page[MovementView])})  # fmt: skip
    async def list_movements(
        request: Request[Any, Any, Any],
        sku: QueryLine,
        cursor: FromQuery[str | None] = None,
        limit: FromQuery[int | None] = None,
    ) -> Response[bytes]:
        """The ledger of one SKU, newest first."""
        who, size = principal_of(request), page_size(limit)
        before = decode_cursor(cursor, tuple[int])
        async with database.transaction(who.home, (who.tenant_id,), is_read_only=True) as tx:
            rows = await stock.list_movements(
                who.tenant_id, sku, before[0] if before else None, size + 1, tx=tx
            )
        items = [MovementView(**dict(row)) for row in rows[:size]]
        more = encode_cursor([items[-1].id]) if len(rows) > size else None
        return send_view(Page(items, more))

    @get("/v1/stock-totals", guards=guards, tags=["inventory"], summary="Sum movements by SKU",
         responses={200: ResponseSpec(data_container=Page[TotalView])})  # fmt: skip
    async def total(
        request: Request[Any, Any, Any],
        cursor: FromQuery[str | None] = None,
        limit: FromQuery[int | None] = None,
    ) -> Response[bytes]:
        """The ledger summed by SKU, kind and reason; a page holds `limit` SKUs."""
        who, size = principal_of(request), page_size(limit)
        after = decode_cursor(cursor, tuple[str]) or ("",)
        async with database.transaction(who.home, (who.tenant_id,), is_report=True) as tx:
            rows = await stock.total_movements(who.tenant_id, after[0], size, tx=tx)
        items = [TotalView(**dict(row)) for row in rows if row["kind"] is not None]
        is_full = len({row["sku"] for row in rows}) >= size
        return send_view(Page(items, encode_cursor([rows[-1]["sku"]]) if is_full else None))

    return [list_stock, list_movements, total]


def location_routes(database: Database, stock: StockReads) -> list[Any]:
    """The places that hold stock."""

    @get("/v1/locations", guards=[requires("inventory:read")], tags=["inventory"],
         summary="List locations",
         responses={200: ResponseSpec(data_container=list[LocationBody])})  # fmt: skip
    async def list_locations(request: Request[Any, Any, Any]) -> Response[bytes]:
        """In the order in which stock is taken from them."""
        who = principal_of(request)
        async with database.transaction(who.home, (who.tenant_id,), is_read_only=True) as tx:
            rows = await stock.list_locations(who.tenant_id, tx=tx)
        return send_view([LocationBody(row["code"], row["name"], row["priority"]) for row in rows])

    @post("/v1/locations", guards=[requires("inventory:write")], dto=json_body(LocationBody),
          return_dto=None, status_code=200, opt=KEYLESS, tags=["inventory"],
          summary="Add or rename a location",
          responses={200: ResponseSpec(data_container=LocationBody)})  # fmt: skip
    async def put_location(
        request: Request[Any, Any, Any], data: JSONBody[LocationBody]
    ) -> Response[bytes]:
        """Safe to repeat: the code is the identity."""
        who = principal_of(request)
        async with database.transaction(who.home, (who.tenant_id,)) as tx:
            known = await stock.list_locations(who.tenant_id, tx=tx)
            before = next((dict(row) for row in known if row["code"] == data.code), None)
            await stock.insert_location(
                who.tenant_id, data.code, data.name, data.priority, tx=tx, now=tx.now
            )
            if before is None or (before["name"], before["priority"]) != (data.name, data.priority):
                change = describe(
                    f"inventory.location_{'added' if before is None else 'changed'}",
                    ("location", data.code), cause_of(request), before=before, after=data,
                )  # fmt: skip
                tx.record(who.tenant_id, change)
        return send_view(data)

    return [list_locations, put_location]


def _move(kind: Any, body: MoveBody) -> Move:
    return Move(kind, body.sku, body.location, body.quantity, body.reason, body.reference)
