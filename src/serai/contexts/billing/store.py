"""Keeps billing in PostgreSQL, in each tenant's home."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from uuid import UUID

import msgspec

from serai.contexts.billing.contract import InvoiceLine, Plan
from serai.contexts.billing.model import Account, Invoice, Segment, Terms
from serai.kernel import queries
from serai.kernel.db import Record, Tx

SQL = queries.load(__package__)
ORDERS = "orders"

_plan = msgspec.json.Decoder(Plan).decode
_lines = msgspec.json.Decoder(tuple[InvoiceLine, ...]).decode
_encode = msgspec.json.Encoder().encode


class PostgresMeters:
    """The port Meters."""

    async def list_terms(self, tenant_ids: Sequence[UUID], *, tx: Tx) -> dict[UUID, Terms]:
        rows = await tx.fetch(SQL.list_terms, list(tenant_ids))
        return {row["tenant_id"]: Terms(_plan(row["plan"]), row["zone"]) for row in rows}

    async def take(
        self, wanted: Mapping[UUID, tuple[date, int, int]], *, tx: Tx
    ) -> dict[UUID, int]:
        rows = await tx.fetch(
            SQL.take_allowances,
            list(wanted),
            ORDERS,
            [period for period, _, _ in wanted.values()],
            [most for _, most, _ in wanted.values()],
            [count for _, _, count in wanted.values()],
        )
        return {row["tenant_id"]: row["granted"] for row in rows}

    async def seed(self, tenant_id: UUID, period: date, count: int, *, tx: Tx) -> None:
        await tx.execute(SQL.seed_allowance, tenant_id, ORDERS, period, count)

    async def find_taken(self, tenant_id: UUID, period: date, *, tx: Tx) -> int:
        return await tx.fetchval(SQL.find_taken, tenant_id, ORDERS, period) or 0

    async def count(self, counts: Mapping[tuple[UUID, datetime], int], *, tx: Tx) -> None:
        await tx.execute(
            SQL.count_usage,
            [tenant_id for tenant_id, _ in counts],
            ORDERS,
            [slot for _, slot in counts],
            list(counts.values()),
        )

    async def sum_orders(self, tenant_id: UUID, since: datetime, until: datetime, *, tx: Tx) -> int:
        counted: int = await tx.fetchval(SQL.sum_usage, tenant_id, ORDERS, since, until)
        return counted


class PostgresBooks:
    """The port Books."""

    async def open_account(self, tenant_id: UUID, zone: str, *, tx: Tx) -> None:
        await tx.execute(SQL.open_account, tenant_id, zone)

    async def lock_account(self, tenant_id: UUID, *, tx: Tx) -> Account | None:
        return _account(await tx.fetchrow(SQL.lock_account, tenant_id))

    async def find_account(self, tenant_id: UUID, *, tx: Tx) -> Account | None:
        return _account(await tx.fetchrow(SQL.find_account, tenant_id))

    async def update_account(self, account: Account, *, tx: Tx) -> None:
        await tx.execute(
            SQL.update_account, account.tenant_id, account.zone, account.card, account.period,
            account.close_at,
        )  # fmt: skip

    async def list_segments(self, tenant_id: UUID, day: date, *, tx: Tx) -> list[Segment]:
        return [
            Segment(row["number"], _plan(row["plan"]), row["since"], row["until"])
            for row in await tx.fetch(SQL.list_segments, tenant_id, day)
        ]

    async def last_segment(self, tenant_id: UUID, *, tx: Tx) -> int:
        number: int = await tx.fetchval(SQL.last_segment, tenant_id)
        return number

    async def save_segment(self, tenant_id: UUID, segment: Segment, *, tx: Tx) -> None:
        await tx.execute(
            SQL.save_segment, tenant_id, segment.number, _encode(segment.plan),
            segment.since, segment.until,
        )  # fmt: skip

    async def delete_segment(self, tenant_id: UUID, number: int, *, tx: Tx) -> None:
        await tx.execute(SQL.delete_segment, tenant_id, number)

    async def list_due_accounts(self, now: datetime, limit: int, *, tx: Tx) -> list[UUID]:
        return [row["tenant_id"] for row in await tx.fetch(SQL.list_due_accounts, now, limit)]

    async def insert_invoice(self, invoice: Invoice, *, tx: Tx) -> bool:
        made = await tx.fetchval(
            SQL.insert_invoice, invoice.tenant_id, invoice.id, invoice.period, invoice.currency,
            invoice.total_minor, _encode(invoice.lines), invoice.status, invoice.try_at,
            invoice.closed_at, invoice.paid_at,
        )  # fmt: skip
        return made is not None

    async def list_due_invoices(
        self, now: datetime, limit: int, *, tx: Tx
    ) -> list[tuple[UUID, UUID]]:
        rows = await tx.fetch(SQL.list_due_invoices, now, limit)
        return [(row["tenant_id"], row["id"]) for row in rows]

    async def lock_invoice(self, tenant_id: UUID, invoice_id: UUID, *, tx: Tx) -> Invoice | None:
        row = await tx.fetchrow(SQL.lock_invoice, tenant_id, invoice_id)
        return None if row is None else _invoice(row)

    async def update_invoice(self, invoice: Invoice, *, tx: Tx) -> None:
        await tx.execute(
            SQL.update_invoice, invoice.tenant_id, invoice.id, invoice.status, invoice.attempt,
            invoice.try_at, invoice.reason, invoice.paid_at,
        )  # fmt: skip

    async def revive_invoices(self, tenant_id: UUID, now: datetime, *, tx: Tx) -> None:
        await tx.execute(SQL.revive_invoices, tenant_id, now)

    async def find_invoice(self, tenant_id: UUID, invoice_id: UUID, *, tx: Tx) -> Invoice | None:
        row = await tx.fetchrow(SQL.find_invoice, tenant_id, invoice_id)
        return None if row is None else _invoice(row)

    async def list_invoices(
        self, tenant_id: UUID, *, before: UUID, limit: int, tx: Tx
    ) -> list[Invoice]:
        return [
            _invoice(row) for row in await tx.fetch(SQL.list_invoices, tenant_id, before, limit)
        ]

    async def check_invoices(
        self, tenant_id: UUID, limit: int, *, tx: Tx
    ) -> list[tuple[UUID, int]]:
        rows = await tx.fetch(SQL.check_invoices, tenant_id, limit)
        return [(row["id"], row["total_minor"]) for row in rows]


def _account(row: Record | None) -> Account | None:
    if row is None:
        return None
    return Account(row["tenant_id"], row["zone"], row["card"], row["period"], row["close_at"])


def _invoice(row: Record) -> Invoice:
    return Invoice(
        row["tenant_id"], row["id"], row["period"], row["currency"], row["total_minor"],
        _lines(row["lines"]), row["status"], row["attempt"], row["try_at"], row["reason"],
        row["closed_at"], row["paid_at"],
    )  # fmt: skip
