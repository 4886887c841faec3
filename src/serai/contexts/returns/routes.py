"""Returns over HTTP."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody

from serai.contexts.orders.contract import LINES_MAX, QUANTITY_MAX, ReturnLine
from serai.contexts.returns.contract import REASON_CHARS_MAX, ReturnView
from serai.contexts.returns.handlers import AcceptReturn
from serai.contexts.returns.model import Return
from serai.contexts.returns.ports import ReturnLists
from serai.kernel import ids
from serai.kernel.batch import Batch
from serai.kernel.db import Database
from serai.kernel.failure import NotFound
from serai.kernel.text import Text
from serai.kernel.web import (
    Page,
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


def routes(
    accept: Batch[AcceptReturn, Return], database: Database, returns: ReturnLists
) -> list[Any]:
    """Returns: accepted, listed, shown."""
    accepted = {201: ResponseSpec(data_container=ReturnView)}
    shown = {200: ResponseSpec(data_container=ReturnView)}
    listed = {200: ResponseSpec(data_container=Page[ReturnView])}

    @post("/v1/returns", guards=[requires("returns:write")], dto=json_body(ReturnBody),
          return_dto=None, responses=accepted, tags=["returns"],
          summary="Take units of an order back")  # fmt: skip
    async def accept_return(
        request: Request[Any, Any, Any], data: JSONBody[ReturnBody]
    ) -> Response[bytes]:
        """All lines or none; what they had cost is refunded, and the units go back on the shelf."""
        who = principal_of(request)
        command = AcceptReturn(
            who.tenant_id,
            ids.new_id(),
            data.order_id,
            tuple(ReturnLine(line.line_no, line.quantity) for line in data.lines),
            data.reason,
            data.restock,
            cause_of(request),
        )
        return await carry_out(request, accept, command)

    @get("/v1/returns", guards=[requires("returns:read")], tags=["returns"],
         responses=listed, summary="List returns")  # fmt: skip
    async def list_returns(
        request: Request[Any, Any, Any],
        order_id: FromQuery[UUID | None] = None,
        cursor: FromQuery[str | None] = None,
        limit: FromQuery[int | None] = None,
    ) -> Response[bytes]:
        """Newest first, of all orders or of one."""
        who, size = principal_of(request), page_size(limit)
        (before,) = decode_cursor(cursor, tuple[UUID]) or (NEWEST,)
        async with database.transaction(who.home, (who.tenant_id,), is_read_only=True) as tx:
            found = await returns.list_page(
                who.tenant_id, order_id=order_id, before=before, limit=size + 1, tx=tx
            )
        more = encode_cursor([found[size - 1].id]) if len(found) > size else None
        return send_view(Page([view_of(one) for one in found[:size]], more))

    @get("/v1/returns/{return_id:uuid}", guards=[requires("returns:read")], tags=["returns"],
         responses=shown, summary="Get a return")  # fmt: skip
    async def get_return(
        request: Request[Any, Any, Any], return_id: FromPath[UUID]
    ) -> Response[bytes]:
        """With its lines and how far its refund has come."""
        who = principal_of(request)
        async with database.transaction(who.home, (who.tenant_id,), is_read_only=True) as tx:
            found = await returns.find(who.tenant_id, return_id, tx=tx)
        if found is None:
            raise NotFound("no return has this id")
        return send_view(view_of(found))

    return [accept_return, list_returns, get_return]
