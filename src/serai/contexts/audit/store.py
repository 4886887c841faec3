"""The audit trail in PostgreSQL, in tables that the application may add to and read."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from serai.contexts.audit.model import START, Entry, Head, Linked
from serai.contexts.audit.ports import Found, Wanted
from serai.kernel import queries
from serai.kernel.db import Record, Tx
from serai.kernel.queries import Statement

SQL = queries.load(__package__)
LOOKED_AT_MAX = 1_000
"""Entries that one statement of a search looks at."""
LOOKS_MAX = 10
"""Statements of one search; where they found too little, its page ends early and says where."""
SKEW = timedelta(minutes=5)
"""How far the clocks of two processes may be apart, so that entries are nearly in order of time."""


class PostgresEntries:
    """The ports Entries and Trail over the tables of this context."""

    async def find_heads(self, tenants: Collection[UUID], *, tx: Tx) -> Mapping[UUID, Head]:
        rows = await tx.fetch(SQL.find_heads, list(tenants))
        return {row["tenant_id"]: Head(row["seq"], row["hash"]) for row in rows}

    async def append(self, linked: Sequence[Linked], *, tx: Tx) -> None:
        entries = [one.entry for one in linked]
        await tx.execute(
            SQL.insert_entries,
            [e.tenant_id for e in entries],
            [e.seq for e in entries],
            [e.recorded_at for e in entries],
            [e.event_id for e in entries],
            [e.action for e in entries],
            [e.actor_kind for e in entries],
            [e.actor_id for e in entries],
            [e.address for e in entries],
            [e.subject_kind for e in entries],
            [e.subject_id for e in entries],
            [e.correlation_id for e in entries],
            [e.causation_id for e in entries],
            [e.request_id for e in entries],
            [bytes(e.detail) for e in entries],
            [one.previous for one in linked],
            [one.hash for one in linked],
        )

    async def find(self, tenant_id: UUID, seq: int, *, tx: Tx) -> Linked | None:
        row = await tx.fetchrow(SQL.find_entry, tenant_id, seq)
        return None if row is None else _linked(row)

    async def read_piece(self, tenant_id: UUID, after: int, limit: int, *, tx: Tx) -> list[Linked]:
        return [_linked(row) for row in await tx.fetch(SQL.read_piece, tenant_id, after, limit)]

    async def find_anchor(self, tenant_id: UUID, *, tx: Tx) -> Head:
        row = await tx.fetchrow(SQL.find_anchor, tenant_id)
        return START if row is None else Head(row["seq"], row["hash"])

    async def forget(self, tenant_id: UUID, limit: int, *, tx: Tx) -> int:
        gone: int = await tx.fetchval(SQL.forget_entries, tenant_id, limit)
        return gone

    async def search(
        self, tenant_id: UUID, wanted: Wanted, *, before: int, limit: int, tx: Tx
    ) -> Found:
        heads = await self.find_heads([tenant_id], tx=tx)
        if tenant_id not in heads:
            return Found([], None)
        first = (await self.find_anchor(tenant_id, tx=tx)).seq + 1
        end = min(before, heads[tenant_id].seq + 1)
        low, high = first, end
        if wanted.since is not None:
            low = await self._seek(tenant_id, wanted.since - SKEW, first, end, tx=tx)
        if wanted.until is not None:
            high = await self._seek(tenant_id, wanted.until + SKEW, low, end, tx=tx)
        statement, more = _statement_for(wanted)
        found: list[Linked] = []
        for _ in range(LOOKS_MAX):
            rows = await tx.fetch(statement, tenant_id, high, low, LOOKED_AT_MAX, *more)
            for row in rows:
                if _is_wanted(row, wanted):
                    found.append(_linked(row))
                    if len(found) == limit:
                        return Found(found, row["seq"])
            if len(rows) < LOOKED_AT_MAX:
                return Found(found, None)
            high = rows[-1]["seq"]
        return Found(found, high)

    async def _seek(self, tenant_id: UUID, moment: datetime, low: int, high: int, *, tx: Tx) -> int:
        """The first entry recorded at a moment or later; halves the numbers, which have no gaps."""
        while low < high:
            middle = (low + high) // 2
            recorded_at = await tx.fetchval(SQL.read_time, tenant_id, middle)
            if recorded_at is not None and recorded_at < moment:
                low = middle + 1
            else:
                high = middle
        return low


def _statement_for(wanted: Wanted) -> tuple[Statement, tuple[Any, ...]]:
    """The statement that looks at the fewest entries, and the value it goes by."""
    if wanted.correlation_id is not None:
        return SQL.list_of_request, (wanted.correlation_id,)
    if wanted.subject_id is not None:
        return SQL.list_of_subject, (wanted.subject_id,)
    if wanted.actor_id is not None:
        return SQL.list_of_actor, (wanted.actor_id,)
    if wanted.action is not None:
        return SQL.list_of_action, (wanted.action,)
    return SQL.list_entries, ()


def _is_wanted(row: Record, wanted: Wanted) -> bool:
    asked = (
        ("actor_kind", wanted.actor_kind),
        ("actor_id", wanted.actor_id),
        ("action", wanted.action),
        ("subject_kind", wanted.subject_kind),
        ("subject_id", wanted.subject_id),
        ("correlation_id", wanted.correlation_id),
    )
    if any(value is not None and row[name] != value for name, value in asked):
        return False
    at: datetime = row["recorded_at"]
    if wanted.since is not None and at < wanted.since:
        return False
    return wanted.until is None or at < wanted.until


def _linked(row: Record) -> Linked:
    return Linked(
        Entry(
            row["tenant_id"],
            row["seq"],
            row["recorded_at"],
            row["event_id"],
            row["action"],
            row["actor_kind"],
            row["actor_id"],
            row["address"],
            row["subject_kind"],
            row["subject_id"],
            row["correlation_id"],
            row["causation_id"],
            row["request_id"],
            msgspec.Raw(row["detail"]),
        ),
        row["previous"],
        row["hash"],
    )
