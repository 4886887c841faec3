"""What others may know of payments: commands, events, views, refusals and what payments offer."""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Literal, Protocol
from uuid import UUID

import msgspec

from serai.kernel.db import Tx
from serai.kernel.events import Cause, event
from serai.kernel.failure import Refused, Unprocessable

CARD_CHARS_MAX = 32
REASON_CHARS_MAX = 200
CALLBACKS_PATH = "/v1/payment-callbacks/sandbox"
"""Where the sandbox brings its news; whoever starts it as a server tells it so."""

PaymentStatus = Literal[
    "awaiting", "requested", "authorised", "captured", "declined", "unknown", "withdrawn"
]
RefundStatus = Literal["requested", "settled", "unknown", "failed"]


class PaymentNotCapturable(Unprocessable):
    """The payment is not authorised, or less is left than is to be captured."""


class RefundTooLarge(Unprocessable):
    """More money is asked back than was captured and is not refunded or about to be."""


class BadSignature(Refused):
    """A callback was not signed by the provider, or so long ago that it may be a recording."""

    status: ClassVar[int] = 401


class ExpectPayment(msgspec.Struct, frozen=True):
    """Makes room for the payment of an order that was placed without a card."""

    tenant_id: UUID
    order_id: UUID
    amount_minor: int
    currency: str
    cause: Cause
    is_capture_manual: bool = False


class RequestPayment(msgspec.Struct, frozen=True):
    """Asks for an order's money; one intent an order, ever."""

    tenant_id: UUID
    order_id: UUID
    amount_minor: int
    currency: str
    card: str
    is_capture_manual: bool
    cause: Cause


class RequestRefund(msgspec.Struct, frozen=True):
    """Gives money of an order back; `refund_id` makes a repetition harmless."""

    tenant_id: UUID
    order_id: UUID
    refund_id: UUID
    amount_minor: int
    cause: Cause


class PaymentRef(msgspec.Struct, frozen=True):
    """The payment of an order of a tenant, and why it is spoken of."""

    tenant_id: UUID
    order_id: UUID
    cause: Cause


@event(topic="payments", key="order_id")
class PaymentRequested(msgspec.Struct, frozen=True):
    """An intent is on disk; the provider is to be asked."""

    order_id: UUID
    intent_id: UUID
    amount_minor: int
    currency: str
    card: str
    is_capture_manual: bool


@event(topic="payments", key="order_id")
class PaymentAuthorised(msgspec.Struct, frozen=True):
    """The money is held for us and can be captured."""

    order_id: UUID
    intent_id: UUID
    amount_minor: int


@event(topic="payments", key="order_id")
class PaymentCaptured(msgspec.Struct, frozen=True):
    """The money is ours."""

    order_id: UUID
    intent_id: UUID
    amount_minor: int


@event(topic="payments", key="order_id")
class PaymentDeclined(msgspec.Struct, frozen=True):
    """The provider will not give the money."""

    order_id: UUID
    intent_id: UUID
    reason: str


@event(topic="payments", key="order_id")
class PaymentUnknown(msgspec.Struct, frozen=True):
    """The provider did not answer in time; reconciliation will find out."""

    order_id: UUID
    intent_id: UUID


@event(topic="payments", key="order_id")
class CaptureRequested(msgspec.Struct, frozen=True):
    """Money that is authorised is to be captured, in full or in part."""

    order_id: UUID
    intent_id: UUID
    amount_minor: int


@event(topic="payments", key="order_id")
class PaymentWithdrawn(msgspec.Struct, frozen=True):
    """The order is undone: the provider is to void what it holds or give back what it took."""

    order_id: UUID
    intent_id: UUID


@event(topic="payments", key="order_id")
class RefundRequested(msgspec.Struct, frozen=True):
    """A refund is on disk; the provider is to be asked."""

    order_id: UUID
    intent_id: UUID
    refund_id: UUID
    amount_minor: int
    currency: str


@event(topic="payments", key="order_id")
class RefundSettled(msgspec.Struct, frozen=True):
    """The money is back with the customer."""

    order_id: UUID
    refund_id: UUID
    amount_minor: int
    currency: str


@event(topic="payments", key="order_id")
class RefundFailed(msgspec.Struct, frozen=True):
    """The provider refused the refund for good; a person has to look."""

    order_id: UUID
    refund_id: UUID
    reason: str


class RefundView(msgspec.Struct, frozen=True):
    """A refund as the API shows it; `failure` is the provider's word where it refused."""

    id: UUID
    payment_id: UUID
    order_id: UUID
    status: RefundStatus
    amount_minor: int
    currency: str
    reason: str | None
    failure: str | None
    created_at: datetime
    settled_at: datetime | None


class PaymentView(msgspec.Struct, frozen=True):
    """A payment intent as the API shows it; `refunding_minor` is on its way to the customer."""

    id: UUID
    order_id: UUID
    status: PaymentStatus
    amount_minor: int
    currency: str
    captured_minor: int
    refunding_minor: int
    refunded_minor: int
    is_capture_manual: bool
    provider_ref: str | None
    reason: str | None
    created_at: datetime
    settled_at: datetime | None
    version: int
    refunds: list[RefundView] | None = None


class GivenUp(msgspec.Struct, frozen=True):
    """An open payment or refund that the provider is not asked about any more: a person looks.

    `thing_id` is the refund's id, or the order's where it is the payment itself.
    """

    kind: Literal["intent", "refund"]
    order_id: UUID
    thing_id: UUID
    status: str
    amount_minor: int
    currency: str
    looks: int


class LookUps(Protocol):
    """What payments offer to whoever operates an installation; each call is its own transaction."""

    async def list_given_up(
        self, tenant_id: UUID, *, after: UUID | None, limit: int
    ) -> list[GivenUp]:
        """What was given up, by the id of the thing, from the first after `after` on."""
        ...

    async def retry_given_up(self, tenant_id: UUID, *, order_id: UUID | None) -> int:
        """Has the provider asked again, from the first look on; how many matters are open anew."""
        ...


class Bill(msgspec.Struct, frozen=True):
    """What a tenant owes the operator; taken at most once per `key`, however often asked."""

    key: str
    amount_minor: int
    currency: str
    card: str
    reference: str


class BillAnswer(msgspec.Struct, frozen=True):
    """What became of a bill. Of an unknown one nothing is promised: ask again by the same key."""

    status: Literal["captured", "declined", "unknown"]
    reason: str | None


class Till(Protocol):
    """What payments offer to who bills tenants; it keeps no rows of it."""

    async def charge_bills(self, bills: Sequence[Bill]) -> list[BillAnswer]:
        """Asks the provider for money, outside any transaction; an answer for each, in order."""
        ...


class Payments(Protocol):
    """What payments offer to flows; every call is part of the caller's transaction."""

    async def request_payments(
        self, commands: Sequence[RequestPayment], *, tx: Tx, now: datetime
    ) -> None:
        """Records one intent an order and announces it; harmless twice."""
        ...

    async def expect_payments(
        self, commands: Sequence[ExpectPayment], *, tx: Tx, now: datetime
    ) -> None:
        """Records one intent an order that waits for a card; harmless twice."""
        ...

    async def withdraw_payments(self, refs: Sequence[PaymentRef], *, tx: Tx, now: datetime) -> None:
        """Sees to it that undone orders cost nothing: no later charge, and a refund of any earlier.

        Of money that PaymentCaptured told of, RefundSettled tells too; of money that arrives after
        the withdrawal, neither does.
        """
        ...

    async def request_refunds(
        self, commands: Sequence[RequestRefund], *, tx: Tx, now: datetime
    ) -> list[bool]:
        """Records refunds and announces them; False where more is asked than is left."""
        ...

    async def list_ended(
        self, tenant_id: UUID, *, before: datetime, after: UUID, limit: int, tx: Tx
    ) -> list[UUID]:
        """Orders, by id from the first after `after` on, whose payment ended without money."""
        ...


class PaymentTestimony(msgspec.Struct, frozen=True):
    """Where an order's money is; `moved_at` is when any of it last came to rest."""

    order_id: UUID
    status: PaymentStatus
    captured_minor: int
    refunding_minor: int
    refunded_minor: int
    moved_at: datetime | None


class PaymentWitness(Protocol):
    """Tells what payments say of orders, for those who compare it with what others say."""

    async def tell_payments(
        self, tenant_id: UUID, *, after: UUID, until: UUID, tx: Tx
    ) -> list[PaymentTestimony]:
        """Of all orders with ids above one and up to another."""
        ...
