"""The kernel's own invariants: every event is handled or parked, and nothing waits unseen."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from serai.kernel import queries
from serai.kernel.db import Record, Tx
from serai.kernel.events import type_of
from serai.kernel.module import Check, Consumer, Finding, Module
from serai.kernel.outbox import partition_of

FINDINGS_MAX: Final = 100
RETRIED_WITHIN: Final = timedelta(minutes=10)
"""How long a parked message may be tried again before it is a finding."""
RUNG_WITHIN: Final = timedelta(seconds=60)
"""How late a flow's timer may ring."""
_SQL = queries.load("serai.kernel")


def build(consumers: Sequence[Consumer]) -> Module:
    """The checks over the groups of these consumers."""
    heard = [
        (consumer.group, type_of(model).topic, type_of(model).name)
        for consumer in consumers
        for model in consumer.hears
    ]

    async def handled(tx: Tx, tenant_id: UUID) -> list[Finding]:
        groups, topics, types = (list(column) for column in zip(*heard, strict=True))
        rows = await tx.fetch(_SQL.check_handled, tenant_id, groups, topics, types, FINDINGS_MAX)
        return _findings("kernel.events_handled", rows)

    async def parked(tx: Tx, tenant_id: UUID) -> list[Finding]:
        rows = await tx.fetch(_SQL.check_letters, tenant_id, tx.now - RETRIED_WITHIN, FINDINGS_MAX)
        return _findings("kernel.letters_parked", rows)

    async def rung(tx: Tx, tenant_id: UUID) -> list[Finding]:
        rows = await tx.fetch(_SQL.check_flows, tenant_id, tx.now - RUNG_WITHIN, FINDINGS_MAX)
        return _findings("kernel.flows_end", rows)

    return Module(
        name="kernel",
        checks=[
            Check(
                "kernel.events_handled",
                "Every event that a group has passed was handled by it or is parked.",
                handled,
            ),
            Check("kernel.letters_parked", "No parked message waits for a person.", parked),
            Check(
                "kernel.flows_end", "Every running flow has a deadline that is still to come.", rung
            ),
        ],
    )


async def list_handled(
    tx: Tx, tenant_id: UUID, group: str, model: Any, *, key: UUID, limit: int
) -> list[tuple[UUID, Any]]:
    """The newest events of a key that a group has handled, each with its id, newest first."""
    entry = type_of(model)
    rows = await tx.fetch(
        _SQL.list_handled_events,
        tenant_id,
        entry.topic,
        partition_of(key),
        entry.name,
        group,
        limit,
    )
    return [(row["event_id"], entry.decoder.decode(row["data"])) for row in rows]


def _findings(check: str, rows: Sequence[Record]) -> list[Finding]:
    return [Finding(check, ", ".join(f"{k}={v}" for k, v in dict(row).items())) for row in rows]
