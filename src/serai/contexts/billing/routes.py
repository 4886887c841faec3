"""Billing over HTTP: what a tenant's owner sees of her plan, its use and its invoices."""

from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from litestar import Request, Response, get, put
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody

from serai.contexts.billing import handlers
from serai.contexts.billing.contract import (
    CARD_CHARS_MAX,
    InvoiceView,
    Plan,
    SubscriptionView,
)
from serai.contexts.billing.model import Invoice
from serai.contexts.billing.ports import Books, Meters
from serai.kernel.db import Database
from serai.kernel.failure import NotFound
from serai.kernel.problems import MEDIA_TYPE, Problem
from serai.kernel.text import END
from serai.kernel.web import (
    Page,
    cause_of,
    decode_cursor,
    encode_cursor,
    json_body,
    page_size,
    principal_of,
    requires,
    send_view,
)

READ: Final = "billing:read"
WRITE: Final = "billing:write"
TAGS: Final = ["billing"]
NO_PLAN: Final = ResponseSpec(
    Problem, description="Not Found. The tenant has no plan.", media_type=MEDIA_TYPE
)
NEWEST = UUID(int=(1 << 128) - 1)


class CardBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A card token of the payment provider, by which invoices are paid."""

    card: Annotated[
        str,
        msgspec.Meta(min_length=1, max_length=CARD_CHARS_MAX, pattern=rf"^[A-Za-z0-9_-]+{END}"),
    ]


class PlansView(msgspec.Struct, frozen=True):
    """The plans that the operator offers."""

    items: list[Plan]


def view_of(invoice: Invoice) -> InvoiceView:
    """An invoice as the API shows it."""
    return InvoiceView(
        invoice.id, invoice.period, invoice.currency, invoice.total_minor, invoice.status,
        list(invoice.lines), invoice.reason, invoice.closed_at, invoice.paid_at,
    )  # fmt: skip


def plan_routes(
    database: Database, books: Books, meters: Meters, plans: tuple[Plan, ...]
) -> list[Any]:
    """The plans that there are, the tenant's own, and how it pays."""

    @get("/v1/billing/plans", guards=[requires(READ)], tags=TAGS, summary="List the plans",
         responses={200: ResponseSpec(data_container=PlansView)})  # fmt: skip
    async def list_plans() -> Response[bytes]:
        """What the operator offers; a change is the operator's to make."""
        return send_view(PlansView(list(plans)))

    @get("/v1/billing/subscription", guards=[requires(READ)], tags=TAGS,
         responses={200: ResponseSpec(data_container=SubscriptionView),
                    404: NO_PLAN}, summary="Show the plan and its use")  # fmt: skip
    async def show_subscription(request: Request[Any, Any, Any]) -> Response[bytes]:
        """The plan, since when, and what is used of it. 404 `no_plan`: nothing is limited."""
        who = principal_of(request)
        async with database.transaction(who.home, (who.tenant_id,), is_read_only=True) as tx:
            view = await handlers.find_subscription(
                who.tenant_id, tx=tx, books=books, meters=meters
            )
        return send_view(view)

    @put("/v1/billing/card", guards=[requires(WRITE)], dto=json_body(CardBody), return_dto=None,
         status_code=204, tags=TAGS, summary="Say how invoices are paid")  # fmt: skip
    async def put_card(request: Request[Any, Any, Any], data: JSONBody[CardBody]) -> None:
        """Invoices that are not paid are asked for at once."""
        who = principal_of(request)
        async with database.transaction(who.home, (who.tenant_id,)) as tx:
            await handlers.put_card(who.tenant_id, data.card, cause_of(request), tx=tx, books=books)

    return [list_plans, show_subscription, put_card]


def invoice_routes(database: Database, books: Books) -> list[Any]:
    """Invoices, listed and shown."""

    @get("/v1/billing/invoices", guards=[requires(READ)], tags=TAGS, summary="List invoices",
         responses={200: ResponseSpec(data_container=Page[InvoiceView])})  # fmt: skip
    async def list_invoices(
        request: Request[Any, Any, Any],
        cursor: FromQuery[str | None] = None,
        limit: FromQuery[int | None] = None,
    ) -> Response[bytes]:
        """Newest first; one for each month that is over."""
        who, size = principal_of(request), page_size(limit)
        (before,) = decode_cursor(cursor, tuple[UUID]) or (NEWEST,)
        async with database.transaction(who.home, (who.tenant_id,), is_read_only=True) as tx:
            found = await books.list_invoices(who.tenant_id, before=before, limit=size + 1, tx=tx)
        more = encode_cursor([found[size - 1].id]) if len(found) > size else None
        return send_view(Page([view_of(one) for one in found[:size]], more))

    @get("/v1/billing/invoices/{invoice_id:uuid}", guards=[requires(READ)], tags=TAGS,
         responses={200: ResponseSpec(data_container=InvoiceView)},
         summary="Get an invoice")  # fmt: skip
    async def get_invoice(
        request: Request[Any, Any, Any], invoice_id: FromPath[UUID]
    ) -> Response[bytes]:
        """With its lines: days of plans, and what was metered in them."""
        who = principal_of(request)
        async with database.transaction(who.home, (who.tenant_id,), is_read_only=True) as tx:
            found = await books.find_invoice(who.tenant_id, invoice_id, tx=tx)
        if found is None:
            raise NotFound("no invoice has this id")
        return send_view(view_of(found))

    return [list_invoices, get_invoice]
