"""What billing does: counts what was placed, changes plans, closes months and collects money."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Final
from uuid import UUID

import msgspec

from serai.contexts.billing import model
from serai.contexts.billing.contract import (
    InvoiceClosed,
    NoPlan,
    Plan,
    SubscriptionView,
    UsageView,
)
from serai.contexts.billing.model import Account, Invoice, Segment
from serai.contexts.billing.ports import Books, Meters
from serai.contexts.payments.contract import Bill, Till
from serai.kernel import ids
from serai.kernel.changes import describe
from serai.kernel.clock import Clock
from serai.kernel.db import Database, Tx
from serai.kernel.events import Cause, Delivery
from serai.kernel.tenant import Home

DUE_MAX: Final = 100
"""Accounts or invoices that one run of a job looks at."""


async def hear_order_placed(
    deliveries: Sequence[Delivery], *, tx: Tx, now: datetime, meters: Meters
) -> None:
    """Counts orders by the moment when they were placed; the inbox lets each in once."""
    del now
    counts: Counter[tuple[UUID, datetime]] = Counter(
        (d.tenant_id, model.slot_of(d.occurred_at)) for d in deliveries
    )
    await meters.count(counts, tx=tx)


async def assign_plan(
    tenant_id: UUID, plan: Plan | None, zone: str | None, cause: Cause, *, tx: Tx,
    books: Books, meters: Meters,
) -> None:  # fmt: skip
    """Puts a tenant on a plan from today on; without one, today is the first day without."""
    await books.open_account(tenant_id, zone or "UTC", tx=tx)
    account = await books.lock_account(tenant_id, tx=tx)
    assert account is not None, "it was just opened"
    if zone is not None and account.period is None:
        # While a month is open its zone stays: else a day is billed twice or never.
        account = msgspec.structs.replace(account, zone=zone)
    day = model.today(tx.now, account.zone)
    period = account.period or model.month_of(day)
    had = await books.list_segments(tenant_id, period, tx=tx)
    if plan is not None and (refusal := model.refuse_currency(had, plan, model.month_of(day))):
        raise refusal
    current = next((one for one in had if one.until is None), None)
    await _end_segment(tenant_id, current, day, tx=tx, books=books)
    if plan is not None:
        number = await books.last_segment(tenant_id, tx=tx) + 1
        await books.save_segment(tenant_id, Segment(number, plan, day, None), tx=tx)
        since = model.start_of(model.month_of(day), account.zone)
        placed = await meters.sum_orders(tenant_id, since, tx.now + model.SLOT, tx=tx)
        await meters.seed(tenant_id, model.month_of(day), placed, tx=tx)
    if account.period is None and plan is not None:
        closing = model.close_at(period, account.zone)
        account = msgspec.structs.replace(account, period=period, close_at=closing)
    await books.update_account(account, tx=tx)
    was = None if current is None else {"plan": current.plan.name}
    after = None if plan is None else {"plan": plan.name}
    subject = ("subscription", tenant_id)
    change = describe("billing.plan_assigned", subject, cause, before=was, after=after)
    tx.record(tenant_id, change)


async def _end_segment(
    tenant_id: UUID, current: Segment | None, day: object, *, tx: Tx, books: Books
) -> None:
    if current is None:
        return
    if current.since == day:
        await books.delete_segment(tenant_id, current.number, tx=tx)
        return
    ended = msgspec.structs.replace(current, until=day)
    await books.save_segment(tenant_id, ended, tx=tx)


async def find_subscription(
    tenant_id: UUID, *, tx: Tx, books: Books, meters: Meters
) -> SubscriptionView:
    """A tenant's plan and what is used of it; refuses a tenant without one."""
    account = await books.find_account(tenant_id, tx=tx)
    if account is None:
        raise NoPlan("this tenant has no plan: nothing is limited, and nothing billed")
    day = model.today(tx.now, account.zone)
    segments = await books.list_segments(tenant_id, day, tx=tx)
    current = next((one for one in segments if one.until is None), None)
    if current is None:
        raise NoPlan("this tenant has no plan: nothing is limited, and nothing billed")
    month = model.month_of(day)
    resets_at = model.start_of(model.next_month(month), account.zone)
    metered = await meters.sum_orders(
        tenant_id, model.start_of(month, account.zone), resets_at, tx=tx
    )
    taken = await meters.find_taken(tenant_id, month, tx=tx)
    usage = UsageView(metered, taken, current.plan.orders_per_month, resets_at)
    return SubscriptionView(
        current.plan, current.since, account.zone, account.card is not None, usage
    )


async def put_card(tenant_id: UUID, card: str, cause: Cause, *, tx: Tx, books: Books) -> None:
    """Keeps the card that a tenant pays by, and has what is not paid asked for at once."""
    account = await books.lock_account(tenant_id, tx=tx)
    if account is None:
        raise NoPlan("this tenant has no plan, so there is nothing to pay")
    await books.update_account(msgspec.structs.replace(account, card=card), tx=tx)
    await books.revive_invoices(tenant_id, tx.now, tx=tx)
    subject = ("subscription", tenant_id)
    tx.record(tenant_id, describe("billing.card_changed", subject, cause, after={"card": card}))


async def close_months(
    database: Database, home: Home, clock: Clock, *, books: Books, meters: Meters
) -> int:
    """Closes every month that is over, each once: of two who come for it, one finds it closed."""
    now = clock.now()
    async with database.transaction(home, (), is_transport=True, is_read_only=True) as tx:
        due = await books.list_due_accounts(now, DUE_MAX, tx=tx)
    for tenant_id in due:
        async with database.transaction(home, (tenant_id,)) as tx:
            await close_month(tenant_id, now, tx=tx, books=books, meters=meters)
    return len(due)


async def close_month(
    tenant_id: UUID, now: datetime, *, tx: Tx, books: Books, meters: Meters
) -> None:
    """Writes the invoice of the month that an account has open, and opens the next."""
    account = await books.lock_account(tenant_id, tx=tx)
    if account is None or account.period is None or account.close_at is None:
        return
    if account.close_at > now:
        return
    period, following = account.period, model.next_month(account.period)
    segments = await books.list_segments(tenant_id, period, tx=tx)
    lines = []
    for plan, days in model.charge_days(segments, period):
        since, until = (model.start_of(day, account.zone) for day in (days.since, days.until))
        orders = await meters.sum_orders(tenant_id, since, until, tx=tx)
        lines += [line for line in (days, model.charge_orders(plan, days, orders)) if line]
    if lines:
        total = sum(line.amount_minor for line in lines)
        currency = next(one.plan.currency for one in segments if one.since < following)
        try_at = now if total and account.card is not None else None
        invoice = Invoice(
            tenant_id, ids.new_id(), period, currency, total, tuple(lines),
            "open" if total else "paid", 1, try_at, None, now, None if total else now,
        )  # fmt: skip
        if await books.insert_invoice(invoice, tx=tx):
            _announce(invoice, tx=tx)
    is_on = any(one.until is None or one.until > following for one in segments)
    period_next = following if is_on else None
    closing = model.close_at(following, account.zone) if is_on else None
    account = msgspec.structs.replace(account, period=period_next, close_at=closing)
    await books.update_account(account, tx=tx)


def _announce(invoice: Invoice, *, tx: Tx) -> None:
    cause = Cause(ids.new_id())
    told = InvoiceClosed(
        invoice.tenant_id, invoice.id, invoice.period, invoice.currency, invoice.total_minor
    )
    tx.announce(invoice.tenant_id, told, cause)
    change = describe("billing.invoice_closed", ("invoice", invoice.id), cause, after=told)
    tx.record(invoice.tenant_id, change)


async def collect(database: Database, home: Home, clock: Clock, *, books: Books, till: Till) -> int:
    """Asks for the money of invoices that are due. What is asked is written down before (D8)."""
    async with database.transaction(home, (), is_transport=True, is_read_only=True) as tx:
        due = await books.list_due_invoices(clock.now(), DUE_MAX, tx=tx)
    for tenant_id, invoice_id in due:
        inside = partial(database.transaction, home, (tenant_id,))
        async with inside() as tx:
            claimed = await _claim(tenant_id, invoice_id, clock.now(), tx=tx, books=books)
        if claimed is None:
            continue
        account, invoice = claimed
        assert account.card is not None, "only what can be paid is claimed"
        bill = Bill(
            model.charge_key(invoice), invoice.total_minor, invoice.currency, account.card,
            str(invoice.id),
        )  # fmt: skip
        [answer] = await till.charge_bills([bill])
        async with inside() as tx:
            locked = await books.lock_invoice(tenant_id, invoice_id, tx=tx)
            if locked is None or locked.status == "paid" or locked.attempt != invoice.attempt:
                continue
            after = model.collected(locked, answer, clock.now())
            await books.update_invoice(after, tx=tx)
            change = describe(
                "billing.invoice_collected", ("invoice", invoice.id), Cause(ids.new_id()),
                before={"status": locked.status}, after={"status": after.status},
            )  # fmt: skip
            if after.status != locked.status:
                tx.record(tenant_id, change)
    return len(due)


async def _claim(
    tenant_id: UUID, invoice_id: UUID, now: datetime, *, tx: Tx, books: Books
) -> tuple[Account, Invoice] | None:
    account = await books.lock_account(tenant_id, tx=tx)
    invoice = await books.lock_invoice(tenant_id, invoice_id, tx=tx)
    if account is None or invoice is None or invoice.try_at is None or invoice.try_at > now:
        return None
    # Until then nobody else asks; after a crash it is asked again, by the same key.
    try_at = None if account.card is None else now + model.RETRY_UNKNOWN
    invoice = msgspec.structs.replace(invoice, try_at=try_at)
    await books.update_invoice(invoice, tx=tx)
    return None if account.card is None else (account, invoice)
