"""The inbox: makes a second delivery of a message harmless, whatever carried it."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from serai.kernel import queries
from serai.kernel.db import Tx
from serai.kernel.events import Delivery

_SQL = queries.load("serai.kernel")


async def admit(group: str, deliveries: Sequence[Delivery], *, tx: Tx, now: datetime) -> set[UUID]:
    """Marks deliveries as handled by a group; returns the ids of those that never were before."""
    rows = await tx.fetch(
        _SQL.insert_inbox,
        group,
        [d.tenant_id for d in deliveries],
        [d.event_id for d in deliveries],
        now,
    )
    return {row["event_id"] for row in rows}
