"""What others may know of billing: plans, quotas, refusals, events, views and what it offers."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, ClassVar, Final, Literal, Protocol
from uuid import UUID

import msgspec

from serai.kernel.db import Tx
from serai.kernel.events import event
from serai.kernel.failure import NotFound, Refused, Throttled, Unprocessable
from serai.kernel.tenant import Home

PLAN_CHARS_MAX: Final = 40
ZONE_CHARS_MAX: Final = 64
CARD_CHARS_MAX: Final = 32
InvoiceStatus = Literal["open", "paid", "unpaid"]


class UnknownPlan(Unprocessable):
    """There is no plan of this name."""


class UnknownZone(Unprocessable):
    """There is no time zone of this name."""


class CurrencyFixed(Refused):
    """A subscription stays in its currency until its month is over."""


class NoPlan(NotFound):
    """The tenant has no plan: nothing is limited and nothing billed."""


class QuotaExceeded(Refused):
    """The plan allows no more of this: another plan does, and perhaps the next month."""

    status: ClassVar[int] = 402


class RateExceeded(Throttled):
    """More requests in this second than the plan allows: wait, or take a larger plan."""

    def __init__(self, detail: str, *, retry_after_s: int, **facts: Any) -> None:
        super().__init__(detail, retry_after_s=retry_after_s)
        self.facts.update(facts)


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a tenant pays a month and may use; a quota that is null is none.

    Requests and orders are held to it; SKUs, staff and devices are said, not held to yet.

    A subscription keeps the terms that it began with, whatever becomes of the plan of that name.
    """

    name: str
    currency: str
    monthly_minor: int
    per_order_minor: int = 0
    requests_per_second: int | None = None
    orders_per_month: int | None = None
    skus: int | None = None
    staff: int | None = None
    devices: int | None = None


class InvoiceLine(msgspec.Struct, frozen=True):
    """Days of a plan in a month, or what was metered in them. `until` is the day after the last."""

    kind: Literal["plan", "orders"]
    plan: str
    since: date
    until: date
    quantity: int
    amount_minor: int


@event(topic="billing", key="tenant_id")
class InvoiceClosed(msgspec.Struct, frozen=True):
    """A month is over and what it cost is written down; nothing of it changes any more."""

    tenant_id: UUID
    invoice_id: UUID
    period: date
    currency: str
    total_minor: int


class InvoiceView(msgspec.Struct, frozen=True):
    """An invoice as the API shows it."""

    id: UUID
    period: date
    currency: str
    total_minor: int
    status: InvoiceStatus
    lines: list[InvoiceLine]
    reason: str | None
    closed_at: datetime
    paid_at: datetime | None


class UsageView(msgspec.Struct, frozen=True):
    """What was placed this month, as it is metered, and as it counts against the quota."""

    orders_metered: int
    orders_taken: int
    orders_max: int | None
    resets_at: datetime


class SubscriptionView(msgspec.Struct, frozen=True):
    """A tenant's plan, since when, and what is used of it."""

    plan: Plan
    since: date
    time_zone: str
    has_card: bool
    usage: UsageView


class Granted(msgspec.Struct, frozen=True):
    """How many of what was wanted a quota allows, and why no more."""

    count: int
    refusal: QuotaExceeded | None = None


class Quotas(Protocol):
    """What billing offers to contexts whose things are counted; part of the caller's transaction.

    A tenant without a plan costs nothing here: that it has none is known from memory.
    """

    async def take_orders(
        self, wanted: Mapping[UUID, int], *, tx: Tx, now: datetime
    ) -> Mapping[UUID, Granted]:
        """Takes orders of this month's quota, exactly; a tenant that is not limited is absent."""
        ...


class Billing(Protocol):
    """What billing offers to the command line; each call is a transaction of its own."""

    @property
    def plans(self) -> Sequence[Plan]:
        """The plans that there are; none where billing is off."""
        ...

    async def assign_plan(
        self, tenant_id: UUID, home: Home, *, plan: str | None, zone: str | None
    ) -> SubscriptionView | None:
        """Puts a tenant on a plan from today on, in its time zone; None ends its subscription."""
        ...

    async def find_subscription(self, tenant_id: UUID, home: Home) -> SubscriptionView | None:
        """A tenant's plan and what is used of it."""
        ...
