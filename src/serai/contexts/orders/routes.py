"""Orders over HTTP."""

from decimal import Decimal
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody

from serai.contexts.catalog.contract import Sku
from serai.contexts.orders.contract import (
    LINES_MAX,
    QUANTITY_MAX,
    REFERENCE_CHARS_MAX,
    OrderView,
    Status,
)
from serai.contexts.orders.handlers import RequestCancellation
from serai.contexts.orders.model import PlaceLine, PlaceOrder, is_hers
from serai.contexts.orders.ports import OrderReads, Settlements
from serai.kernel import ids, money
from serai.kernel.batch import Batch
from serai.kernel.db import Database
from serai.kernel.express import EXPRESS
from serai.kernel.failure import Invalid, NotFound
from serai.kernel.idempotency import Answer
from serai.kernel.text import END, Email, Line
from serai.kernel.web import (
    METERED,
    VERSION_OPTIONAL,
    MissingScope,
    OptionalQueryLine,
    Page,
    answer_with,
    carry_out,
    cause_of,
    claim_of,
    decode_cursor,
    encode_cursor,
    expected_version,
    holds,
    json_body,
    owner_of,
    page_size,
    principal_of,
    requires,
    send,
    send_view,
)

WAIT_S_MAX = 30.0
READ: Final = "orders:read"
WRITE: Final = "orders:write"
CANCEL: Final = "orders:cancel"
OWN: Final = "orders:own"

Reference = Annotated[Line, msgspec.Meta(min_length=1, max_length=REFERENCE_CHARS_MAX)]


class LineBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Units of a SKU. `unit_price` (decimal text, major units) needs the scope orders:price."""

    sku: Sku
    quantity: Annotated[int, msgspec.Meta(ge=1, le=QUANTITY_MAX)]
    unit_price: Annotated[str, msgspec.Meta(max_length=24)] | None = None
    currency: str | None = None


class PaymentBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the order is paid: a card token of the payment provider, captured at once or by hand."""

    card: Annotated[
        str, msgspec.Meta(min_length=1, max_length=32, pattern=rf"^[A-Za-z0-9_-]+{END}")
    ]
    capture: Literal["automatic", "manual"] = "automatic"


class PlaceOrderBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An order. Without `payment` it waits for one until its payment deadline."""

    currency: Annotated[str, msgspec.Meta(pattern=rf"^[A-Z]{{3}}{END}")]
    lines: Annotated[tuple[LineBody, ...], msgspec.Meta(min_length=1, max_length=LINES_MAX)]
    payment: PaymentBody | None = None
    email: Email | None = None
    customer: Reference | None = None
    reference: Reference | None = None


class TotalsView(msgspec.Struct, frozen=True):
    """A tenant's orders of one status, summed."""

    status: str
    orders: int
    lines: int
    units: int
    total_minor: int
    captured_minor: int
    refunded_minor: int
    shipped: int
    returned: int
    customers: int
    guests: int


def parse_order(request: Request[Any, Any, Any], body: PlaceOrderBody) -> PlaceOrder:
    """The command of a body; refuses what its types alone cannot tell.

    Who may place her own orders only gets her id on them, pays the catalog's prices, and is charged
    by the shop's ways.
    """
    who = principal_of(request)
    owner = owner_of(request, WRITE)
    customer = body.customer if owner is None else _name_owner(body, owner)
    if not money.is_currency(body.currency):
        raise Invalid(f"{body.currency} is not an active ISO 4217 currency")
    lines: list[PlaceLine] = []
    may_price = owner is None and holds(request, "orders:price")
    for number, line in enumerate(body.lines, 1):
        if line.currency is not None and line.currency != body.currency:
            raise Invalid(
                f"line {number} is in {line.currency}, the order in {body.currency}: "
                "an order has one currency"
            )
        price: Decimal | None = None
        if line.unit_price is not None:
            if not may_price:
                raise MissingScope("giving a line its own price needs the scope orders:price")
            price = money.parse_price(line.unit_price)
            if price is None or price > money.AMOUNT_MINOR_MAX:
                raise Invalid(f"the unit_price of line {number} is not a plain decimal number >= 0")
        lines.append(PlaceLine(line.sku, line.quantity, price))
    return PlaceOrder(
        who.tenant_id,
        ids.new_id(),
        body.currency,
        tuple(lines),
        None if body.payment is None else body.payment.card,
        body.payment is not None and body.payment.capture == "manual",
        body.email,
        customer,
        body.reference,
        cause_of(request),
    )


def _name_owner(body: PlaceOrderBody, owner: UUID) -> str:
    """The customer of an order that she places in her own name; refuses what is not hers to say."""
    name = str(owner)
    if body.customer is not None and body.customer != name:
        raise MissingScope(f"an order for someone else needs the scope {WRITE}", scope=WRITE)
    if body.payment is not None and body.payment.capture == "manual":
        raise MissingScope(f"capturing by hand needs the scope {WRITE}", scope=WRITE)
    return name


def wanted_wait(request: Request[Any, Any, Any]) -> float:
    """The seconds that `Prefer: wait=N` (RFC 7240) asks for, within bounds; 0 without it."""
    for part in request.headers.get("prefer", "").split(","):
        name, _, value = part.strip().partition("=")
        if name.lower() == "wait" and value.isdecimal() and len(value) < 6:  # noqa: PLR2004
            return min(float(value), WAIT_S_MAX)
    return 0.0


def answer_order(view: OrderView) -> Answer:
    """201 with the order and where to follow it."""
    return answer_with(
        view, status=201, location=f"/v1/orders/{view.id}", version=view.version, buyer=view.email
    )


def writing_routes(
    place: Batch[PlaceOrder, OrderView],
    cancel: Batch[RequestCancellation, OrderView],
    settlements: Settlements,
) -> list[Any]:
    """Placing and cancelling."""

    @post("/v1/orders", guards=[requires(WRITE, own=OWN)], dto=json_body(PlaceOrderBody),
          return_dto=None, opt={**EXPRESS, METERED: True}, tags=["orders"],
          summary="Place an order",
          responses={201: ResponseSpec(data_container=OrderView)})  # fmt: skip
    async def place_order(
        request: Request[Any, Any, Any], data: JSONBody[PlaceOrderBody]
    ) -> Response[bytes]:
        """Accepted orders are on disk and carried to their end. `Prefer: wait=2` waits for it."""
        who = principal_of(request)
        claim = claim_of(request, await request.body())
        answer = await place.submit(parse_order(request, data), home=who.home, claim=claim)
        wait_s = wanted_wait(request)
        if wait_s:
            order_id = UUID(answer.location.rsplit("/", 1)[-1])
            view = await settlements.wait(who.home, who.tenant_id, order_id, wait_s)
            if view is not None:
                return send(answer_order(view))
        return send(answer)

    @post("/v1/orders/{order_id:uuid}/cancel", guards=[requires(CANCEL, own=OWN)], status_code=202,
          tags=["orders"], summary="Cancel an order", opt=VERSION_OPTIONAL,
          responses={202: ResponseSpec(data_container=OrderView)})  # fmt: skip
    async def cancel_order(
        request: Request[Any, Any, Any], order_id: FromPath[UUID]
    ) -> Response[bytes]:
        """Undoes an order of which nothing was shipped: stock is freed and money goes back."""
        who = principal_of(request)
        command = RequestCancellation(
            who.tenant_id, order_id, cause_of(request), expected_version(request),
            owner_of(request, CANCEL),
        )  # fmt: skip
        return await carry_out(request, cancel, command)

    return [place_order, cancel_order]


def reading_routes(database: Database, book: OrderReads) -> list[Any]:
    """Looking orders up."""
    guards = [requires(READ, own=OWN)]

    async def access_order(request: Request[Any, Any, Any], order_id: UUID) -> OrderView:
        who = principal_of(request)
        async with database.transaction(who.home, (who.tenant_id,), is_read_only=True) as tx:
            view = await book.find_order(who.tenant_id, order_id, tx=tx)
        if view is None or not is_hers(view, owner_of(request, READ)):
            raise NotFound("there is no such order")
        return view

    @get("/v1/orders/{order_id:uuid}", guards=guards, tags=["orders"], summary="Read an order",
         responses={200: ResponseSpec(data_container=OrderView)})  # fmt: skip
    async def read_order(
        request: Request[Any, Any, Any], order_id: FromPath[UUID]
    ) -> Response[bytes]:
        """With its lines, and what of them was shipped and returned."""
        view = await access_order(request, order_id)
        return send_view(view, version=view.version)

    @get("/v1/orders", guards=guards, tags=["orders"], summary="List orders",
         responses={200: ResponseSpec(data_container=Page[OrderView])})  # fmt: skip
    async def list_orders(
        request: Request[Any, Any, Any],
        *,
        status: FromQuery[Status | None] = None,
        reference: OptionalQueryLine = None,
        customer: OptionalQueryLine = None,
        unpaid: FromQuery[Literal["true"] | None] = None,
        cursor: FromQuery[str | None] = None,
        limit: FromQuery[int | None] = None,
    ) -> Response[bytes]:
        """Newest first, all or by one of status, reference, customer and unpaid=true.

        Unpaid are orders of which goods have left and whose money will not come.
        """
        if sum(given is not None for given in (status, reference, customer, unpaid)) > 1:
            raise Invalid("filter by one of status, reference, customer and unpaid")
        who, size, owner = principal_of(request), page_size(limit), owner_of(request, READ)
        position = decode_cursor(cursor, tuple[UUID])
        if owner is not None and customer not in {None, str(owner)}:
            return send_view(Page[OrderView]([], None))
        async with database.transaction(who.home, (who.tenant_id,), is_read_only=True) as tx:
            views = await book.list_orders(
                who.tenant_id, before=position[0] if position else None, status=status,
                reference=reference, customer=customer, is_unpaid=unpaid is not None,
                limit=size + 1, tx=tx, owner=owner,
            )  # fmt: skip
        more = encode_cursor([views[size - 1].id]) if len(views) > size else None
        return send_view(Page(views[:size], more))

    @get("/v1/order-totals", guards=[requires(READ)], tags=["orders"],
         summary="Sum orders by status",
         responses={200: ResponseSpec(data_container=list[TotalsView])})  # fmt: skip
    async def sum_orders(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Orders, lines, units and money by status, as the database has them."""
        who = principal_of(request)
        async with database.transaction(who.home, (who.tenant_id,), is_report=True) as tx:
            rows = await book.sum_orders(who.tenant_id, tx=tx)
        return send_view([TotalsView(**dict(row)) for row in rows])

    return [read_order, list_orders, sum_orders]
