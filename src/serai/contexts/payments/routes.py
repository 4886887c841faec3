"""Payments over HTTP, and the address at which the provider brings its news."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody

from serai.contexts.orders.contract import OrderOwners
from serai.contexts.payments import model
from serai.contexts.payments.contract import (
    CALLBACKS_PATH,
    CARD_CHARS_MAX,
    REASON_CHARS_MAX,
    BadSignature,
    GivenUp,
    PaymentStatus,
    PaymentView,
    RefundView,
)
from serai.contexts.payments.handlers.answers import HearCallback
from serai.contexts.payments.handlers.books import GivenUpLooks, Views
from serai.contexts.payments.handlers.requests import (
    NO_PAYMENT,
    NO_PAYMENT_OF_ORDER,
    CapturePayment,
    PayOrder,
    RefundPayment,
)
from serai.contexts.payments.model import Intent, Refund
from serai.contexts.payments.ports import Answer
from serai.kernel import ids
from serai.kernel.batch import Batch
from serai.kernel.db import Database
from serai.kernel.failure import Invalid, NotFound
from serai.kernel.money import AMOUNT_MINOR_MAX
from serai.kernel.tenant import Homes
from serai.kernel.text import END, Line
from serai.kernel.web import (
    OPEN,
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

SCANNED_MAX = 20_000
"""Payments that one page of a status looks at: statuses are in no index, for the sake of speed."""

Amount = Annotated[int, msgspec.Meta(ge=1, le=AMOUNT_MINOR_MAX)]
Card = Annotated[
    str, msgspec.Meta(min_length=1, max_length=CARD_CHARS_MAX, pattern=rf"^[ -~]+{END}")
]
Words = Annotated[Line, msgspec.Meta(max_length=REASON_CHARS_MAX)]

READ: Final = "payments:read"
WRITE: Final = "payments:write"
OWN: Final = "orders:own"
REFUNDING: Final = requires(WRITE, judges=("amount_minor", "currency"))
IsHers = Callable[[Request[Any, Any, Any], str, UUID], Awaitable[bool]]
"""Whether an order is of who asks; of course, where she holds the scope for everybody's."""
ReadCallback = Callable[[Request[Any, Any, Any], bytes], Answer | None]
"""The news in a callback; None where its signature is not the provider's."""


class PayOrderBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The card that an order is paid with."""

    card: Card


class CaptureBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much of the held money to take; null: all of it. The rest is let go."""

    amount_minor: Amount | None = None


class RefundBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much of the captured money to give back."""

    amount_minor: Amount
    reason: Words | None = None


def view_of(intent: Intent) -> PaymentView:
    """An intent as the API shows it, without its refunds."""
    return PaymentView(
        intent.intent_id,
        intent.order_id,
        intent.status,
        intent.amount_minor,
        intent.currency,
        intent.captured_minor,
        intent.refunding_minor,
        intent.refunded_minor,
        intent.is_capture_manual,
        intent.provider_ref,
        intent.reason,
        intent.created_at,
        intent.settled_at,
        intent.version,
    )


def view_of_refund(refund: Refund) -> RefundView:
    """A refund as the API shows it."""
    return RefundView(
        refund.refund_id,
        refund.order_id,
        refund.order_id,
        refund.status,
        refund.amount_minor,
        refund.currency,
        refund.reason,
        refund.failure,
        refund.created_at,
        refund.settled_at,
    )


def writing_routes(
    pay: Batch[PayOrder, Intent],
    capture: Batch[CapturePayment, Intent],
    refund: Batch[RefundPayment, Refund],
    *,
    is_hers: IsHers,
) -> list[Any]:
    """What moves money. Each is accepted here and settled by the provider a moment later."""
    accepted = {202: ResponseSpec(data_container=PaymentView)}

    @post(
        "/v1/orders/{order_id:uuid}/payment",
        guards=[requires(WRITE, own=OWN)],
        dto=json_body(PayOrderBody),
        return_dto=None,
        status_code=202,
        responses=accepted,
        summary="Pay an order that was placed without a card", tags=["payments"],
    )  # fmt: skip
    async def pay_order(
        request: Request[Any, Any, Any], order_id: FromPath[UUID], data: JSONBody[PayOrderBody]
    ) -> Response[bytes]:
        """Asks for the order's money. Follow the `Location` to see what becomes of it."""
        who = principal_of(request)
        if not await is_hers(request, WRITE, order_id):
            raise NotFound(NO_PAYMENT_OF_ORDER)
        command = PayOrder(who.tenant_id, order_id, data.card, cause_of(request))
        return await carry_out(request, pay, command)

    @post(
        "/v1/payments/{intent_id:uuid}/captures",
        guards=[requires(WRITE)],
        dto=json_body(CaptureBody),
        return_dto=None,
        status_code=202,
        responses=accepted,
        summary="Capture an authorised payment", opt=VERSION_OPTIONAL, tags=["payments"],
    )  # fmt: skip
    async def capture_payment(
        request: Request[Any, Any, Any], intent_id: FromPath[UUID], data: JSONBody[CaptureBody]
    ) -> Response[bytes]:
        """Takes the held money, or part of it and lets the rest go. Once."""
        who = principal_of(request)
        command = CapturePayment(
            who.tenant_id, intent_id, data.amount_minor, cause_of(request),
            expected_version(request),
        )  # fmt: skip
        return await carry_out(request, capture, command)

    @post(
        "/v1/payments/{intent_id:uuid}/refunds",
        guards=[REFUNDING],
        dto=json_body(RefundBody),
        return_dto=None,
        status_code=201,
        responses={201: ResponseSpec(data_container=RefundView)},
        summary="Refund a captured payment", opt=VERSION_OPTIONAL, tags=["payments"],
    )  # fmt: skip
    async def refund_payment(
        request: Request[Any, Any, Any], intent_id: FromPath[UUID], data: JSONBody[RefundBody]
    ) -> Response[bytes]:
        """Gives back part or all of what was captured; a limit counts all that is given back."""
        who = principal_of(request)
        command = RefundPayment(
            who.tenant_id, intent_id, ids.new_id(), data.amount_minor, data.reason,
            cause_of(request), expected_version(request), REFUNDING.terms_of(who),
        )  # fmt: skip
        return await carry_out(request, refund, command)

    return [pay_order, capture_payment, refund_payment]


def ask_owners(database: Database, owners: OrderOwners) -> IsHers:
    """Asks the orders, for who may see her own things only; nobody else costs a look."""

    async def is_hers(request: Request[Any, Any, Any], scope: str, order_id: UUID) -> bool:
        owner = owner_of(request, scope)
        if owner is None:
            return True
        who = principal_of(request)
        async with database.transaction(who.home, (who.tenant_id,), is_read_only=True) as tx:
            return bool(await owners.list_owned(who.tenant_id, owner, [order_id], tx=tx))

    return is_hers


def reading_routes(database: Database, views: Views, *, is_hers: IsHers) -> list[Any]:
    """What shows payments."""

    async def access_payment(request: Request[Any, Any, Any], intent_id: UUID) -> PaymentView:
        who = principal_of(request)
        async with database.transaction(who.home, (who.tenant_id,), is_read_only=True) as tx:
            view = await views.find_payment(who.tenant_id, intent_id, tx=tx)
        if view is None or not await is_hers(request, READ, view.order_id):
            raise NotFound(NO_PAYMENT)
        return view

    @get(
        "/v1/payments/{intent_id:uuid}",
        guards=[requires(READ, own=OWN)],
        responses={200: ResponseSpec(data_container=PaymentView)},
        summary="Read a payment", tags=["payments"],
    )  # fmt: skip
    async def read_payment(
        request: Request[Any, Any, Any], intent_id: FromPath[UUID]
    ) -> Response[bytes]:
        """A payment with its refunds, the newest thousand at most."""
        view = await access_payment(request, intent_id)
        return send_view(view, version=view.version)

    @get(
        "/v1/payments",
        guards=[requires(READ, own=OWN)],
        responses={200: ResponseSpec(data_container=Page[PaymentView])},
        summary="List payments", tags=["payments"],
    )  # fmt: skip
    async def list_payments(
        request: Request[Any, Any, Any],
        order_id: FromQuery[UUID | None] = None,
        status: FromQuery[PaymentStatus | None] = None,
        cursor: FromQuery[str | None] = None,
        limit: FromQuery[int | None] = None,
    ) -> Response[bytes]:
        """Payments, newest first; of one order, or of one status.

        A page of one status may hold fewer than `limit` payments, even none, and still have a next.
        Who may see her own only says of which order.
        """
        who = principal_of(request)
        if owner_of(request, READ) is not None and order_id is None:
            raise Invalid("say of which order: `order_id`")
        size = page_size(limit)
        position = decode_cursor(cursor, tuple[UUID])
        before = None if position is None else position[0]
        end = None
        if order_id is not None and not await is_hers(request, READ, order_id):
            return send_view(Page[PaymentView]([], None))
        async with database.transaction(who.home, (who.tenant_id,), is_read_only=True) as tx:
            if order_id is not None:
                one = await views.find_payment(who.tenant_id, order_id, tx=tx)
                is_wanted = one is not None and status in {None, one.status} and before is None
                return send_view(Page([one] if is_wanted else [], None))
            if status is None:
                found = await views.list_payments(
                    who.tenant_id, before=before, limit=size + 1, tx=tx
                )
            else:
                found, end = await views.list_payments_by_status(
                    who.tenant_id, status, before=before, limit=size + 1, scanned_max=SCANNED_MAX,
                    tx=tx,
                )  # fmt: skip
        last = found[size - 1].id if len(found) > size else end
        return send_view(Page(found[:size], None if last is None else encode_cursor([last])))

    return [read_payment, list_payments]


def given_up_routes(database: Database, looks: GivenUpLooks) -> list[Any]:
    """What shows the matters that a person has to look at."""

    @get(
        "/v1/payments/given-up",
        guards=[requires(READ)],
        responses={200: ResponseSpec(data_container=Page[GivenUp])},
        summary="List what the provider is not asked about any more",
        tags=["payments"],
    )
    async def list_given_up(
        request: Request[Any, Any, Any],
        cursor: FromQuery[str | None] = None,
        limit: FromQuery[int | None] = None,
    ) -> Response[bytes]:
        """Open payments and refunds that no look-up settled; `serai payment retry` asks again."""
        who, size = principal_of(request), page_size(limit)
        position = decode_cursor(cursor, tuple[UUID])
        after = position[0] if position else None
        async with database.transaction(who.home, (who.tenant_id,), is_read_only=True) as tx:
            found = await looks.list_given_up(who.tenant_id, after=after, limit=size + 1, tx=tx)
        more = encode_cursor([found[size - 1].thing_id]) if len(found) > size else None
        return send_view(Page(found[:size], more))

    return [list_given_up]


def callback_routes(
    hear: Batch[HearCallback, None], homes: Homes, read_callback: ReadCallback
) -> list[Any]:
    """Where the provider calls back. It has no API key; its signature lets it in."""

    @post(
        CALLBACKS_PATH,
        status_code=204,
        include_in_schema=False,
        opt={OPEN: "the provider calls; its signature is checked"},
    )
    async def take_callback(request: Request[Any, Any, Any]) -> None:
        """Settles a payment by the provider's news; any answer but 2xx has it sent again."""
        answer = read_callback(request, await request.body())
        if answer is None:
            raise BadSignature("this is not signed by the provider, or was signed too long ago")
        key = model.parse_key(answer.key)
        if key is None:
            raise NotFound("no payment of ours has this key")
        home = await homes.home_of(key[0])
        command = HearCallback(*key, answer, cause_of(request))
        await hear.submit(command, home=home)

    return [take_callback]
