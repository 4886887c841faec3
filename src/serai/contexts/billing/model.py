"""Decisions about plans and bills: months in a zone, parts of a month, and what a quota allows."""

import functools
import math
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

import msgspec

from serai.contexts.billing.contract import (
    CurrencyFixed,
    Granted,
    InvoiceLine,
    InvoiceStatus,
    Plan,
    QuotaExceeded,
    RateExceeded,
    UnknownPlan,
)
from serai.contexts.payments.contract import BillAnswer
from serai.kernel.money import AMOUNT_MINOR_MAX, is_currency

SLOT: Final = timedelta(minutes=15)
"""Usage is counted in quarters of an hour: every zone's midnight is at the end of one."""
CLOSED_AFTER: Final = timedelta(hours=1)
"""How long after its month an invoice waits, for what was placed and is still on its way to us."""
ATTEMPTS_MAX: Final = 3
ZONES_MAX: Final = 1_000
"""Zones that a process keeps; the world has some 600 names for them."""
RETRY_DECLINED: Final = timedelta(days=3)
RETRY_UNKNOWN: Final = timedelta(minutes=10)
_FEBRUARY_AT_MOST: Final = timedelta(days=31)

READY_MADE: Final = (
    Plan(name="free", currency="USD", monthly_minor=0, requests_per_second=5, orders_per_month=50,
         skus=50, staff=2, devices=1),
    Plan(name="starter", currency="USD", monthly_minor=2_900, requests_per_second=20,
         orders_per_month=1_000, skus=1_000, staff=5, devices=10),
    Plan(name="growth", currency="USD", monthly_minor=9_900, requests_per_second=100,
         orders_per_month=10_000, skus=20_000, staff=25, devices=100),
    Plan(name="metered", currency="USD", monthly_minor=4_900, per_order_minor=2,
         requests_per_second=200),
)  # fmt: skip


class Segment(msgspec.Struct, frozen=True):
    """Days of a tenant on one plan: from the first, up to the day after the last."""

    number: int
    plan: Plan
    since: date
    until: date | None


class Account(msgspec.Struct, frozen=True):
    """A tenant's side of billing: its zone, how it pays, and the month to be closed next."""

    tenant_id: UUID
    zone: str
    card: str | None
    period: date | None
    close_at: datetime | None


class Invoice(msgspec.Struct, frozen=True):
    """What a month cost, and how far its money has come."""

    tenant_id: UUID
    id: UUID
    period: date
    currency: str
    total_minor: int
    lines: tuple[InvoiceLine, ...]
    status: InvoiceStatus
    attempt: int
    try_at: datetime | None
    reason: str | None
    closed_at: datetime
    paid_at: datetime | None = None


class Terms(msgspec.Struct, frozen=True):
    """A tenant's plan as it is now, and its zone."""

    plan: Plan
    zone: str


def find_plan(plans: Sequence[Plan], name: str) -> Plan:
    """The plan of a name; refuses one that is not there."""
    for plan in plans:
        if plan.name == name:
            return plan
    known = ", ".join(plan.name for plan in plans) or "none: SERAI_PLANS is not set"
    raise UnknownPlan(f"there is no plan {name}; there are: {known}")


def find_fault(plans: Sequence[Plan]) -> str | None:
    """What is wrong with a list of plans; None where nothing is."""
    names = [plan.name for plan in plans]
    if len(set(names)) != len(names):
        return "two plans have one name"
    for plan in plans:
        quotas = (plan.requests_per_second, plan.orders_per_month, plan.skus, plan.staff,
                  plan.devices)  # fmt: skip
        prices = (plan.monthly_minor, plan.per_order_minor)
        if not plan.name or not is_currency(plan.currency):
            return f"the plan {plan.name!r} needs a name and an ISO 4217 currency"
        if any(not 0 <= price <= AMOUNT_MINOR_MAX for price in prices):
            return f"a price of the plan {plan.name} is out of bounds"
        if (
            any(quota is not None and quota < 0 for quota in quotas)
            or plan.requests_per_second == 0
        ):
            return f"a quota of the plan {plan.name} is out of bounds"
    return None


@functools.lru_cache(maxsize=ZONES_MAX)
def zone_of(name: str) -> ZoneInfo:
    """The zone of a name, whose file is read once; ZoneInfoNotFoundError where there is none."""
    return ZoneInfo(name)


def today(now: datetime, zone: str) -> date:
    """The day that it is in a zone."""
    return now.astimezone(zone_of(zone)).date()


def month_of(day: date) -> date:
    """The first day of a day's month."""
    return day.replace(day=1)


def next_month(period: date) -> date:
    """The first day of the month after."""
    return month_of(period + _FEBRUARY_AT_MOST)


def start_of(day: date, zone: str) -> datetime:
    """The moment when a day begins in a zone."""
    return datetime.combine(day, time(), zone_of(zone)).astimezone(UTC)


def slot_of(moment: datetime) -> datetime:
    """The quarter of an hour in which a moment is."""
    return moment - (moment - datetime.min.replace(tzinfo=UTC)) % SLOT


def close_at(period: date, zone: str) -> datetime:
    """When a month's invoice is closed."""
    return start_of(next_month(period), zone) + CLOSED_AFTER


def share(amount_minor: int, *, first: int, last: int, days: int) -> int:
    """What the days from `first` up to `last` of `days` cost of an amount for all of them.

    It is the difference of two running sums, so the parts of a month add up to the whole, however
    it is cut, and no part is off by more than one minor unit.
    """
    return amount_minor * last // days - amount_minor * first // days


def charge_days(segments: Sequence[Segment], period: date) -> list[tuple[Plan, InvoiceLine]]:
    """What the plans of a month cost, each for its days; the day of a change is the new plan's."""
    end = next_month(period)
    days = (end - period).days
    charged: list[tuple[Plan, InvoiceLine]] = []
    for one in segments:
        since, until = max(one.since, period), min(one.until or end, end)
        if since >= until:
            continue
        first, last = (since - period).days, (until - period).days
        amount = share(one.plan.monthly_minor, first=first, last=last, days=days)
        line = InvoiceLine("plan", one.plan.name, since, until, last - first, amount)
        charged.append((one.plan, line))
    return charged


def charge_orders(plan: Plan, days: InvoiceLine, count: int) -> InvoiceLine | None:
    """What the orders of some days cost; None where the plan does not charge for them."""
    if not plan.per_order_minor:
        return None
    amount = count * plan.per_order_minor
    return InvoiceLine("orders", plan.name, days.since, days.until, count, amount)


def refuse_currency(had: Sequence[Segment], plan: Plan, period: date) -> CurrencyFixed | None:
    """Why a tenant cannot change to a plan of another currency within a month."""
    for one in had:
        if (one.until is None or one.until > period) and one.plan.currency != plan.currency:
            return CurrencyFixed(
                f"this month is billed in {one.plan.currency}; take a plan in {plan.currency} "
                "from the first of the next"
            )
    return None


def judge_orders(terms: Terms, *, wanted: int, granted: int, now: datetime) -> Granted:
    """What a month's quota allows of the orders that are wanted, and why no more."""
    if granted >= wanted:
        return Granted(wanted)
    most = terms.plan.orders_per_month
    period = month_of(today(now, terms.zone))
    resets_at = start_of(next_month(period), terms.zone)
    return Granted(granted, QuotaExceeded(
        f"the plan {terms.plan.name} allows {most} orders a month and they are placed; take a "
        f"larger plan, or wait until {resets_at.isoformat()}",
        meter="orders", used=most, limit=most, resets_at=resets_at, plan=terms.plan.name,
    ))  # fmt: skip


def refuse_rate(plan: Plan, wait_s: float) -> RateExceeded:
    """What is said to who asks too often."""
    limit = plan.requests_per_second
    return RateExceeded(
        f"the plan {plan.name} allows {limit} requests a second; ask more slowly, or take a larger "
        "plan",
        retry_after_s=max(1, math.ceil(wait_s)), meter="requests", limit=limit, plan=plan.name,
    )  # fmt: skip


def collected(invoice: Invoice, answer: BillAnswer, now: datetime) -> Invoice:
    """An invoice after the provider's answer; an unknown one is asked for again."""
    if answer.status == "captured":
        return msgspec.structs.replace(
            invoice, status="paid", try_at=None, reason=None, paid_at=now
        )
    if answer.status == "unknown":
        return msgspec.structs.replace(invoice, try_at=now + RETRY_UNKNOWN, reason=answer.reason)
    if invoice.attempt % ATTEMPTS_MAX == 0:
        return msgspec.structs.replace(invoice, status="unpaid", try_at=None, reason=answer.reason)
    return msgspec.structs.replace(
        invoice, attempt=invoice.attempt + 1, try_at=now + RETRY_DECLINED, reason=answer.reason
    )


def charge_key(invoice: Invoice) -> str:
    """The key under which the provider takes an attempt's money once, however often it is asked."""
    return str(uuid5(invoice.id, str(invoice.attempt)))
