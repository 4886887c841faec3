"""Flows (sagas): durable instances with a state, a deadline and an end.

An instance moves by compare-and-set, so of two events that race for it one moves it and the other
learns that it came too late. What a step does is written in the same transaction as the move.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from serai.kernel import queries
from serai.kernel.db import Tx

_SQL = queries.load("serai.kernel")


class Instance(msgspec.Struct, frozen=True):
    """A flow instance as it was found."""

    tenant_id: UUID
    flow: str
    key: UUID
    state: str


class Start(msgspec.Struct, frozen=True):
    """A flow instance to begin; without a deadline it waits for ever, so give one."""

    tenant_id: UUID
    key: UUID
    state: str
    deadline_at: datetime | None


class Flow:
    """One kind of flow, by name, with the states that end it."""

    def __init__(self, name: str, *, ends: Sequence[str]) -> None:
        self.name = name
        self._ends = frozenset(ends)

    async def start(self, starts: Sequence[Start], *, tx: Tx, now: datetime) -> set[UUID]:
        """Begins instances; returns the keys of those that did not exist."""
        if not starts:
            return set()
        rows = await tx.fetch(
            _SQL.start_flows,
            self.name,
            [s.tenant_id for s in starts],
            [s.key for s in starts],
            [s.state for s in starts],
            [s.deadline_at for s in starts],
            [None] * len(starts),
            now,
            [s.state in self._ends for s in starts],
        )
        return {row["key"] for row in rows}

    async def move(
        self,
        refs: Sequence[tuple[UUID, UUID]],
        *,
        states: Sequence[str],
        to: str,
        deadline_at: datetime | None = None,
        tx: Tx,
        now: datetime,
    ) -> set[UUID]:
        """Moves the instances (tenant, key) that stand in one of `states`; returns their keys."""
        if not refs:
            return set()
        rows = await tx.fetch(
            _SQL.move_flows,
            self.name,
            [tenant for tenant, _ in refs],
            [key for _, key in refs],
            list(states),
            to,
            deadline_at,
            now,
            to in self._ends,
        )
        return {row["key"] for row in rows}

    async def find(self, refs: Sequence[tuple[UUID, UUID]], *, tx: Tx) -> dict[UUID, str]:
        """The states of the instances that exist, by key."""
        if not refs:
            return {}
        rows = await tx.fetch(
            _SQL.find_flows, self.name, [tenant for tenant, _ in refs], [key for _, key in refs]
        )
        return {row["key"]: row["state"] for row in rows}
