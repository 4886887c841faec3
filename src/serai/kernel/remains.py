"""What a tenant's events and flows have still before them, and what was announced twice.

For whoever proves that all of it came to its end: each question reads everything that the tenant
has, so it belongs into a report (`Database.transaction(..., is_report=True)`), not into a request.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from serai.kernel import queries
from serai.kernel.db import Tx
from serai.kernel.events import type_of
from serai.kernel.module import Consumer

_SQL = queries.load("serai.kernel")

REMAINS_MAX = 500


class RunningFlow(msgspec.Struct, frozen=True):
    """A flow instance that has not ended."""

    flow: str
    key: UUID
    state: str
    deadline_at: datetime | None
    started_at: datetime


class UnhandledEvent(msgspec.Struct, frozen=True):
    """An event that a group hears and has not handled."""

    group: str
    type: str
    key: UUID
    event_id: UUID
    occurred_at: datetime


class RepeatedEvent(msgspec.Struct, frozen=True):
    """An event that was announced more than once about the same thing."""

    type: str
    key: UUID
    times: int


async def list_running_flows(tenant_id: UUID, *, tx: Tx) -> list[RunningFlow]:
    """The oldest flow instances of a tenant that still run."""
    rows = await tx.fetch(_SQL.list_running_flows, tenant_id, REMAINS_MAX)
    return [RunningFlow(**dict(row)) for row in rows]


async def list_unhandled_events(
    tenant_id: UUID, consumers: Sequence[Consumer], *, tx: Tx
) -> list[UnhandledEvent]:
    """The oldest events of a tenant that one of these groups has still to handle, parked or not."""
    pairs = [(c.group, type_of(model).name) for c in consumers for model in c.hears]
    rows = await tx.fetch(
        _SQL.list_unhandled_events,
        tenant_id,
        [group for group, _ in pairs],
        [name for _, name in pairs],
        REMAINS_MAX,
    )
    return [
        UnhandledEvent(
            row["group_name"], row["type"], row["key"], row["event_id"], row["occurred_at"]
        )
        for row in rows
    ]


async def list_repeated_events(
    tenant_id: UUID, types: Collection[type[msgspec.Struct]], *, tx: Tx
) -> list[RepeatedEvent]:
    """Of events that may be announced once about a thing: those that were announced again."""
    names = sorted(type_of(model).name for model in types)
    rows = await tx.fetch(_SQL.list_repeated_events, tenant_id, names, REMAINS_MAX)
    return [RepeatedEvent(**dict(row)) for row in rows]
