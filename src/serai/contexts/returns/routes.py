"""Returns over HTTP."""

from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody

from serai.contexts.orders.contract import LINES_MAX, QUANTITY_MAX, OrderOwners, ReturnLine
from serai.contexts.returns.contract import REASON_CHARS_MAX, ReturnView
from serai.contexts.returns.handlers import NO_RETURN, AcceptReturn, DecideReturn
from serai.contexts.returns.model import Return
from serai.contexts.returns.ports import ReturnLists
from serai.kernel import ids
from serai.kernel.batch import Batch
from serai.kernel.db import Database
from serai.kernel.failure import Invalid, NotFound
from serai.kernel.text import Text
from serai.kernel.web import (
    Page,
    carry_out,
    cause_of,
    decode_cursor,
    encode_cursor,
    json_body,
    owner_of,
    page_size,
    principal_of,
    requires,
    send_view,
)

READ: Final = "returns:read"
WRITE: Final = "returns:write"
OWN: Final = "orders:own"
NEWEST = UUID(int=(1 << 128) - 1)

LineNo = Annotated[int, msgspec.Meta(ge=1, le=LINES_MAX)]
Quantity = Annotated[int, msgspec.Meta(ge=1, le=QUANTITY_MAX)]


class ReturnLineBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Units of a line that come back."""

    line_no: LineNo
    quantity: Quantity


Lines = Annotated[tuple[ReturnLineBody, ...], msgspec.Meta(min_length=1, max_length=LINES_MAX)]


class ReturnBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Units of an order that come back; with `restock` they can be sold again."""

    order_id: UUID
    lines: Lines
    reason: Annotated[Text, msgspec.Meta(max_length=REASON_CHARS_MAX)] = ""
    restock: bool = True


class DecisionBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a return that was asked for is accepted; with `restock` its units can be sold again."""

    restock: bool = True


def view_of(accepted: Return) -> ReturnView:
    """A return as the API shows it."""
    return ReturnView(
        id=accepted.id,
        order_id=accepted.order_id,
        status=accepted.status,
        reason=accepted.reason,
        currency=accepted.currency,
        refund_minor=accepted.refund_minor,
        is_restocked=accepted.is_restocked,
        lines=list(accepted.lines),
        created_at=accepted.created_at,
        settled_at=accepted.settled_at,
    )


def writing_routes(
    accept: Batch[AcceptReturn, Return],
    ask: Batch[AcceptReturn, Return],
    decide: Batch[DecideReturn, Return],
) -> list[Any]:
    """Returns: accepted at once by the staff; asked for by customers, and then decided."""
    accepted = {201: ResponseSpec(data_container=ReturnView)}
    decided = {200: ResponseSpec(data_container=ReturnView)}

    @post("/v1/returns", guards=[requires(WRITE, own=OWN)], dto=json_body(ReturnBody),
          return_dto=None, responses=accepted, tags=["returns"],
          summary="Take units of an order back")  # fmt: skip
    async def accept_return(
        request: Request[Any, Any, Any], data: JSONBody[ReturnBody]
    ) -> Response[bytes]:
        """All lines or none; what they had cost is refunded, and the units go back on the shelf.

        Who may touch her own orders only asks for it: the return is `requested`, and moves goods
        and money when the staff accepts it. One request of an order waits at a time.
        """
        who, owner = principal_of(request), owner_of(request, WRITE)
        command = AcceptReturn(
            who.tenant_id,
            ids.new_id(),
            data.order_id,
            tuple(ReturnLine(line.line_no, line.quantity) for line in data.lines),
            data.reason,
            data.restock,
            cause_of(request),
            owner,
        )
        return await carry_out(request, accept if owner is None else ask, command)

    @post("/v1/returns/{return_id:uuid}/accept", guards=[requires(WRITE)], status_code=200,
          dto=json_body(DecisionBody), return_dto=None, responses=decided, tags=["returns"],
          summary="Accept a return that was asked for")  # fmt: skip
    async def accept_request(
        request: Request[Any, Any, Any], return_id: FromPath[UUID], data: JSONBody[DecisionBody]
    ) -> Response[bytes]:
        """The goods are here: the order is asked anew, and what they had cost is refunded."""
        who = principal_of(request)
        command = DecideReturn(who.tenant_id, return_id, True, data.restock, cause_of(request))  # noqa: FBT003
        return await carry_out(request, decide, command)

    @post("/v1/returns/{return_id:uuid}/decline", guards=[requires(WRITE)], status_code=200,
          responses=decided, tags=["returns"],
          summary="Decline a return that was asked for")  # fmt: skip
    async def decline_request(
        request: Request[Any, Any, Any], return_id: FromPath[UUID]
    ) -> Response[bytes]:
        """Nothing moves; the customer may ask again."""
        who = principal_of(request)
        command = DecideReturn(who.tenant_id, return_id, False, False, cause_of(request))  # noqa: FBT003
        return await carry_out(request, decide, command)

    return [accept_return, accept_request, decline_request]


def reading_routes(database: Database, returns: ReturnLists, owners: OrderOwners) -> list[Any]:
    """Returns, listed and shown."""
    guards = [requires(READ, own=OWN)]
    shown = {200: ResponseSpec(data_container=ReturnView)}
    listed = {200: ResponseSpec(data_container=Page[ReturnView])}

    @get("/v1/returns", guards=guards, tags=["returns"],
         responses=listed, summary="List returns")  # fmt: skip
    async def list_returns(
        request: Request[Any, Any, Any],
        order_id: FromQuery[UUID | None] = None,
        status: FromQuery[Literal["requested"] | None] = None,
        cursor: FromQuery[str | None] = None,
        limit: FromQuery[int | None] = None,
    ) -> Response[bytes]:
        """Newest first, of all orders, of one, or those that wait for somebody to decide.

        Who may see her own only says of which order.
        """
        who, size, owner = principal_of(request), page_size(limit), owner_of(request, READ)
        if order_id is not None and status is not None:
            raise Invalid("filter by one of order_id and status")
        if owner is not None and order_id is None:
            raise Invalid("say of which order: `order_id`")
        (before,) = decode_cursor(cursor, tuple[UUID]) or (NEWEST,)
        async with database.transaction(who.home, (who.tenant_id,), is_read_only=True) as tx:
            named = [order_id] if order_id is not None else []
            if owner and not await owners.list_owned(who.tenant_id, owner, named, tx=tx):
                return send_view(Page[ReturnView]([], None))
            found = await returns.list_page(
                who.tenant_id, order_id=order_id, before=before, limit=size + 1, tx=tx,
                is_requested=status is not None,
            )  # fmt: skip
        more = encode_cursor([found[size - 1].id]) if len(found) > size else None
        return send_view(Page([view_of(one) for one in found[:size]], more))

    @get("/v1/returns/{return_id:uuid}", guards=guards, tags=["returns"],
         responses=shown, summary="Get a return")  # fmt: skip
    async def get_return(
        request: Request[Any, Any, Any], return_id: FromPath[UUID]
    ) -> Response[bytes]:
        """With its lines and how far its refund has come."""
        who, owner = principal_of(request), owner_of(request, READ)
        async with database.transaction(who.home, (who.tenant_id,), is_read_only=True) as tx:
            found = await returns.find(who.tenant_id, return_id, tx=tx)
            if found is not None and owner is not None:
                owned = await owners.list_owned(who.tenant_id, owner, [found.order_id], tx=tx)
                found = found if owned else None
        if found is None:
            raise NotFound(NO_RETURN)
        return send_view(view_of(found))

    return [list_returns, get_return]
