"""Returns in PostgreSQL."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from serai.contexts.returns.contract import ReturnedUnits, ReturnStatus
from serai.contexts.returns.model import Return
from serai.contexts.returns.ports import Key
from serai.kernel import queries
from serai.kernel.db import Record, Tx

SQL = queries.load(__package__)
CHECKED_MAX = 2_000
"""Returns that one statement of a check looks at."""

_encode = msgspec.json.Encoder().encode
_lines = msgspec.json.Decoder(tuple[ReturnedUnits, ...])


class PostgresReturns:
    """The ports ReturnRows and ReturnLists over the table of this context."""

    async def insert(self, returns: Sequence[Return], *, tx: Tx) -> None:
        await tx.execute(
            SQL.insert_returns,
            [r.tenant_id for r in returns],
            [r.id for r in returns],
            [r.order_id for r in returns],
            [r.status for r in returns],
            [r.reason for r in returns],
            [r.currency for r in returns],
            [r.refund_minor for r in returns],
            [r.is_restocked for r in returns],
            [_encode(r.lines) for r in returns],
            [r.created_at for r in returns],
        )

    async def move(
        self,
        returns: Sequence[Key],
        *,
        to: ReturnStatus,
        comes_from: Sequence[ReturnStatus],
        now: datetime,
        tx: Tx,
    ) -> None:
        await tx.execute(
            SQL.move_returns,
            [t for t, _ in returns],
            [r for _, r in returns],
            to,
            comes_from,
            now,
        )

    async def lock(self, returns: Sequence[Key], *, tx: Tx) -> dict[Key, Return]:
        rows = await tx.fetch(SQL.lock_returns, [t for t, _ in returns], [r for _, r in returns])
        return {(row["tenant_id"], row["id"]): _read_return(row) for row in rows}

    async def grant(self, returns: Sequence[Return], *, tx: Tx) -> None:
        await tx.execute(
            SQL.grant_returns,
            [r.tenant_id for r in returns],
            [r.id for r in returns],
            [r.refund_minor for r in returns],
            [r.is_restocked for r in returns],
            [_encode(r.lines) for r in returns],
            [r.accepted_at for r in returns],
        )

    async def find_asked(self, orders: Sequence[Key], *, tx: Tx) -> set[Key]:
        rows = await tx.fetch(
            SQL.find_asked, [t for t, _ in orders], [o for _, o in orders], "requested"
        )
        return {(row["tenant_id"], row["order_id"]) for row in rows}

    async def find(self, tenant_id: UUID, return_id: UUID, *, tx: Tx) -> Return | None:
        row = await tx.fetchrow(SQL.find_return, tenant_id, return_id)
        return None if row is None else _read_return(row)

    async def list_page(
        self,
        tenant_id: UUID,
        *,
        order_id: UUID | None,
        before: UUID,
        limit: int,
        tx: Tx,
        is_requested: bool = False,
    ) -> list[Return]:
        if is_requested:
            rows = await tx.fetch(SQL.list_requests, tenant_id, before, limit)
        elif order_id is None:
            rows = await tx.fetch(SQL.list_returns, tenant_id, before, limit)
        else:
            rows = await tx.fetch(SQL.list_returns_of_order, tenant_id, before, limit, order_id)
        return [_read_return(row) for row in rows]

    async def check_sums(
        self, tenant_id: UUID, limit: int, *, tx: Tx
    ) -> list[tuple[UUID, int, int]]:
        """Returns whose lines do not sum to their refund, with both; at most `limit` of them."""
        found: list[tuple[UUID, int, int]] = []
        async for row in self._read_all(tenant_id, tx=tx):
            if row["refund_minor"] != row["lines_minor"] and len(found) < limit:
                found.append((row["id"], row["refund_minor"], row["lines_minor"]))
        return found

    async def check_settled(
        self, tenant_id: UUID, late: datetime, limit: int, *, tx: Tx
    ) -> list[tuple[UUID, datetime]]:
        """Returns of before `late` that still wait for their refund; at most `limit` of them."""
        found: list[tuple[UUID, datetime]] = []
        async for row in self._read_all(tenant_id, tx=tx):
            is_waiting = row["status"] == "accepted" and row["created_at"] < late
            if is_waiting and len(found) < limit:
                found.append((row["id"], row["created_at"]))
        return found

    async def _read_all(self, tenant_id: UUID, *, tx: Tx) -> AsyncIterator[Record]:
        after = UUID(int=0)
        while True:
            rows = await tx.fetch(SQL.check_returns, tenant_id, after, CHECKED_MAX)
            for row in rows:
                yield row
            if len(rows) < CHECKED_MAX:
                return
            after = rows[-1]["id"]


def _read_return(row: Record) -> Return:
    return Return(
        row["tenant_id"],
        row["id"],
        row["order_id"],
        row["status"],
        row["reason"],
        row["currency"],
        row["refund_minor"],
        row["is_restocked"],
        _lines.decode(row["lines"]),
        row["created_at"],
        row["settled_at"],
    )


class ReturnsOfOrders:
    """The kernel's Protocol OfOrders."""

    holds = "returns"

    async def tell_of(
        self, tenant_id: UUID, orders: Sequence[UUID], *, tx: Tx
    ) -> list[dict[str, Any]]:
        rows = await tx.fetch(SQL.tell_of_orders, tenant_id, orders)
        return [{"what": "return", **row} for row in rows]

    async def erase_of(self, tenant_id: UUID, orders: Sequence[UUID], *, tx: Tx) -> int:
        return await tx.execute(SQL.clear_reasons_of_orders, tenant_id, orders)
