"""Orders in PostgreSQL."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from serai.contexts.orders.contract import (
    EMAIL_DAYS,
    ORDER_EMAIL,
    CancelOrder,
    ConfirmOrder,
    LineView,
    OrderedLine,
    OrderTestimony,
    OrderView,
    RefundRecord,
    Status,
)
from serai.contexts.orders.model import Back, Draft, KeptLine, Order
from serai.contexts.orders.ports import Key
from serai.kernel import ids, queries
from serai.kernel.db import Record, Tx
from serai.kernel.money import write_price
from serai.kernel.person import CHUNK, Somebody, Step, Told
from serai.kernel.sealed import BUYER, Person, Plain, Sealed, prefix_of

SQL = queries.load(__package__)
_encode = msgspec.json.Encoder().encode
_decode_goods = msgspec.json.Decoder(tuple[OrderedLine, ...]).decode


class PostgresOrders:
    """The port OrderBook over the tables of this context, and the reads of its routes."""

    async def insert_orders(self, drafts: Sequence[Draft], *, tx: Tx, now: datetime) -> None:
        commands = [draft.command for draft in drafts]
        given = [(c.tenant_id, c.email) for c in commands if c.email is not None]
        emails = iter(await _seal(given, tx=tx))
        await tx.execute(
            SQL.insert_orders,
            [c.tenant_id for c in commands],
            [c.order_id for c in commands],
            [c.currency for c in commands],
            [draft.total_minor for draft in drafts],
            [c.reference for c in commands],
            [c.customer for c in commands],
            [None if c.email is None else next(emails) for c in commands],
            [_encode(draft.goods) for draft in drafts],
            now,
        )
        rows = [(draft.command, line) for draft in drafts for line in draft.lines]
        await tx.execute(
            SQL.insert_lines,
            [c.tenant_id for c, _ in rows],
            [c.order_id for c, _ in rows],
            [line.line_no for _, line in rows],
            [line.sku for _, line in rows],
            [line.quantity for _, line in rows],
            [line.unit_price for _, line in rows],
            [line.amount_minor for _, line in rows],
        )

    async def confirm_orders(
        self, commands: Sequence[ConfirmOrder], *, tx: Tx, now: datetime
    ) -> dict[UUID, tuple[str, int, str | None, tuple[OrderedLine, ...]]]:
        rows = await tx.fetch(
            SQL.confirm_orders,
            [c.tenant_id for c in commands],
            [c.order_id for c in commands],
            [c.captured_minor for c in commands],
            now,
        )
        return {
            row["id"]: (
                row["currency"],
                row["total_minor"],
                row["email"],
                _decode_goods(row["goods"]),
            )
            for row in rows
        }

    async def cancel_orders(
        self, commands: Sequence[CancelOrder], *, tx: Tx, now: datetime
    ) -> dict[UUID, tuple[str, int, str | None]]:
        rows = await tx.fetch(
            SQL.cancel_orders,
            [c.tenant_id for c in commands],
            [c.order_id for c in commands],
            [c.reason for c in commands],
            now,
        )
        return {row["id"]: (row["currency"], row["total_minor"], row["email"]) for row in rows}

    async def keep_orders(self, keys: Sequence[Key], *, tx: Tx) -> None:
        await tx.execute(SQL.keep_orders, [t for t, _ in keys], [o for _, o in keys])

    async def mark_unpaid(self, keys: Sequence[Key], *, tx: Tx) -> dict[UUID, tuple[str, int]]:
        rows = await tx.fetch(SQL.mark_unpaid, [t for t, _ in keys], [o for _, o in keys])
        return {row["id"]: (row["currency"], row["total_minor"]) for row in rows}

    async def lock_orders(self, keys: Sequence[Key], *, tx: Tx) -> dict[Key, Order]:
        rows = await tx.fetch(SQL.lock_orders, [t for t, _ in keys], [o for _, o in keys])
        tenants = [row["tenant_id"] for row in rows]
        opened = await _open(tenants, rows, tx=tx)
        return {(row["tenant_id"], row["id"]): Order(**row) for row in opened}

    async def list_lines(self, keys: Sequence[Key], *, tx: Tx) -> dict[Key, list[KeptLine]]:
        rows = await tx.fetch(SQL.list_lines, [t for t, _ in keys], [o for _, o in keys])
        lines: dict[Key, list[KeptLine]] = {}
        for row in rows:
            lines.setdefault((row["tenant_id"], row["order_id"]), []).append(
                KeptLine(
                    row["line_no"], row["sku"], row["quantity"], row["unit_price"],
                    row["amount_minor"], row["shipped"], row["returned"], row["refund_minor"],
                )
            )  # fmt: skip
        return lines

    async def request_cancellations(self, keys: Sequence[Key], *, tx: Tx) -> None:
        await tx.execute(SQL.request_cancellations, [t for t, _ in keys], [o for _, o in keys])

    async def return_lines(self, back: Mapping[tuple[UUID, UUID, int], Back], *, tx: Tx) -> None:
        await tx.execute(
            SQL.return_lines,
            [t for t, _, _ in back],
            [o for _, o, _ in back],
            [n for _, _, n in back],
            [b.quantity for b in back.values()],
            [b.refund_minor for b in back.values()],
        )

    async def ship_lines(self, units: Sequence[tuple[UUID, UUID, int, int]], *, tx: Tx) -> None:
        await tx.execute(SQL.ship_lines, *(list(column) for column in zip(*units, strict=True)))

    async def record_captures(self, records: Sequence[RefundRecord], *, tx: Tx) -> None:
        await tx.execute(SQL.record_captures, *_money(records))

    async def record_refunds(self, records: Sequence[RefundRecord], *, tx: Tx) -> None:
        await tx.execute(SQL.record_refunds, *_money(records))

    async def find_statuses(self, keys: Sequence[Key], *, tx: Tx) -> dict[Key, Status]:
        """The status of those orders that exist."""
        rows = await tx.fetch(SQL.find_statuses, [t for t, _ in keys], [o for _, o in keys])
        return {(row["tenant_id"], row["id"]): row["status"] for row in rows}

    async def find_versions(self, keys: Sequence[Key], *, tx: Tx) -> dict[Key, int]:
        """The version of those orders that exist."""
        rows = await tx.fetch(SQL.find_statuses, [t for t, _ in keys], [o for _, o in keys])
        return {(row["tenant_id"], row["id"]): row["version"] for row in rows}

    async def list_trusting(
        self, tenant_id: UUID, order_ids: Sequence[UUID], *, tx: Tx
    ) -> list[UUID]:
        """Which of a tenant's orders are confirmed and not marked as unpaid."""
        rows = await tx.fetch(SQL.list_trusting, tenant_id, list(order_ids))
        return [row["id"] for row in rows]

    async def list_owned(
        self, tenant_id: UUID, owner: UUID, order_ids: Sequence[UUID], *, tx: Tx
    ) -> set[UUID]:
        """Which of the given orders are a customer's."""
        rows = await tx.fetch(SQL.list_owned, tenant_id, str(owner), list(order_ids))
        return {row["id"] for row in rows}

    async def tell_orders(
        self, tenant_id: UUID, *, after: UUID, limit: int, tx: Tx
    ) -> list[OrderTestimony]:
        """What the orders above an id say of themselves."""
        rows = await tx.fetch(SQL.tell_orders, tenant_id, after, limit)
        return [OrderTestimony(**dict(row)) for row in rows]

    async def find_order(self, tenant_id: UUID, order_id: UUID, *, tx: Tx) -> OrderView | None:
        """One order with its lines, or None."""
        row = await tx.fetchrow(SQL.find_order, tenant_id, order_id)
        if row is None:
            return None
        lines = await self.list_lines([(tenant_id, order_id)], tx=tx)
        views = [
            LineView(
                line.line_no, line.sku, line.quantity,
                write_price(line.unit_price, row["currency"]), line.amount_minor, line.shipped,
                line.returned,
            )
            for line in lines.get((tenant_id, order_id), ())
        ]  # fmt: skip
        (opened,) = await _open([tenant_id], [row], tx=tx)
        return OrderView(**opened, lines=views)

    async def list_settled(self, keys: Sequence[Key], *, tx: Tx) -> dict[UUID, OrderView]:
        """Those of the given orders that have reached an end, by id."""
        rows = await tx.fetch(SQL.list_settled, [t for t, _ in keys], [o for _, o in keys])
        of = {order_id: tenant_id for tenant_id, order_id in keys}
        opened = await _open([of[row["id"]] for row in rows], rows, tx=tx)
        return {row["id"]: OrderView(**row) for row in opened}

    async def list_orders(
        self,
        tenant_id: UUID,
        *,
        before: UUID | None,
        status: str | None,
        reference: str | None,
        customer: str | None,
        is_unpaid: bool,
        limit: int,
        tx: Tx,
        owner: UUID | None = None,
    ) -> list[OrderView]:
        """A page of orders, newest first, by one of the filters; with an owner, of hers."""
        if owner is not None:
            rows = await tx.fetch(
                SQL.list_own_orders, tenant_id, before, str(owner), status, reference, is_unpaid,
                limit,
            )  # fmt: skip
        elif is_unpaid:
            rows = await tx.fetch(SQL.list_unpaid_orders, tenant_id, before, limit)
        elif reference is not None:
            rows = await tx.fetch(SQL.list_orders_by_reference, tenant_id, before, reference, limit)
        elif customer is not None:
            rows = await tx.fetch(SQL.list_orders_by_customer, tenant_id, before, customer, limit)
        else:
            rows = await tx.fetch(SQL.list_orders, tenant_id, before, status, limit)
        opened = await _open([tenant_id] * len(rows), rows, tx=tx)
        return [OrderView(**row) for row in opened]

    async def sum_orders(self, tenant_id: UUID, *, tx: Tx) -> Sequence[Record]:
        """Sums by status."""
        return await tx.fetch(SQL.sum_orders, tenant_id)

    async def check_orders(
        self, tenant_id: UUID, late: datetime, limit: int, *, tx: Tx
    ) -> Sequence[Record]:
        """Orders whose lines, money or time do not add up."""
        return await tx.fetch(SQL.check_orders, tenant_id, late, limit)


class PostgresPeople:
    """The kernel's Protocol Personal: whose orders are.

    No index finds a guest's orders, which would cost every order: they are looked through.
    """

    holds = "orders"
    rules: Mapping[str, int] = {"orders.email": EMAIL_DAYS}

    async def tell(self, who: Somebody, *, after: UUID, tx: Tx) -> Told:
        end = await tx.fetchval(SQL.find_end_of_orders, who.tenant_id, after, CHUNK)
        if end is None:
            return Told([], None)
        rows = await tx.fetch(SQL.list_orders_of_person, who.tenant_id, after, end, *_hers(who))
        opened = await _open([who.tenant_id] * len(rows), rows, tx=tx)
        facts = [{"what": "order", **row, "goods": _decode_goods(row["goods"])} for row in opened]
        return Told(facts, end)

    async def erase(self, who: Somebody, *, after: UUID, tx: Tx) -> Step:
        end = await tx.fetchval(SQL.find_end_of_orders, who.tenant_id, after, CHUNK)
        if end is None:
            return Step(0, None)
        found = (who.tenant_id, after, end, *_hers(who))
        rows = await tx.fetch(SQL.clear_orders_of_person, *found)
        return Step(len(rows), end, [row["id"] for row in rows])

    async def seal_clear(self, tenants: Sequence[UUID], *, limit: int, tx: Tx) -> int:
        rows = await tx.fetch(SQL.lock_clear_orders, tenants, limit)
        if rows:
            emails = await _seal([(row["tenant_id"], row["email"]) for row in rows], tx=tx)
            ids_of = [row["id"] for row in rows]
            await tx.execute(SQL.seal_orders, [row["tenant_id"] for row in rows], ids_of, emails)
        return len(rows)

    async def expire(
        self, tenant_id: UUID, rule: str, *, before: datetime, after: UUID, tx: Tx
    ) -> Step:
        assert rule in self.rules, "a rule of ours is asked for"
        below = ids.first_at(before)
        end = await tx.fetchval(SQL.find_end_of_old_orders, tenant_id, after, below, CHUNK)
        if end is None:
            return Step(0, None)
        return Step(await tx.execute(SQL.clear_old_orders, tenant_id, after, end), end)


def _hers(who: Somebody) -> tuple[str | None, str]:
    customer = None if who.account_id is None else str(who.account_id)
    return customer, prefix_of(who.subject)


async def _seal(addresses: Sequence[tuple[UUID, str]], *, tx: Tx) -> list[str]:
    """The addresses of orders as they may rest; a buyer without an account has a key as well."""
    subjects = await tx.find_subjects([Person(tenant, BUYER, email) for tenant, email in addresses])
    return await tx.seal([
        Plain(tenant_id, subject, ORDER_EMAIL, email)
        for (tenant_id, email), subject in zip(addresses, subjects, strict=True)
    ])  # fmt: skip


async def _open(tenants: Sequence[UUID], rows: Sequence[Record], *, tx: Tx) -> list[dict[str, Any]]:
    """Rows with their addresses opened; the order of one who was erased has none."""
    kept = [(t, row["email"]) for t, row in zip(tenants, rows, strict=True) if row["email"]]
    texts = iter(await tx.unseal([Sealed(t, ORDER_EMAIL, email) for t, email in kept]))
    return [{**row, "email": next(texts) if row["email"] else None} for row in rows]


def _money(records: Sequence[RefundRecord]) -> tuple[Any, ...]:
    return (
        [r.tenant_id for r in records],
        [r.order_id for r in records],
        [r.amount_minor for r in records],
    )
