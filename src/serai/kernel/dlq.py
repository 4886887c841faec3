"""Dead letters as a person handles them: messages that a group could not handle, parked with why.

Later messages of the same key wait behind a parked one (ADR 0014). Replaying is harmless: what was
handled already is known to the inbox.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from serai.kernel import departures, queries
from serai.kernel.actor import operator
from serai.kernel.changes import Change, describe
from serai.kernel.db import Database, Record
from serai.kernel.events import Cause
from serai.kernel.tenant import Home

LETTERS_PAGE_MAX = 200
_SQL = queries.load("serai.kernel")


class Letter(msgspec.Struct, frozen=True):
    """A parked message with its whole context."""

    event_id: UUID
    tenant_id: UUID
    group: str
    topic: str
    type: str
    key: UUID
    state: str
    attempts: int
    error: str
    parked_at: datetime
    next_at: datetime
    occurred_at: datetime
    correlation_id: UUID
    data: Any


async def list_letters(
    database: Database,
    home: Home,
    *,
    group: str | None = None,
    event_id: UUID | None = None,
    before: UUID | None = None,
    limit: int = LETTERS_PAGE_MAX,
) -> list[Letter]:
    """Parked messages of a home, newest first; `before` is the last id of the page before."""
    async with database.transaction(home, (), is_transport=True, is_read_only=True) as tx:
        rows = await tx.fetch(
            _SQL.list_letters, group, event_id, before, min(limit, LETTERS_PAGE_MAX)
        )
    return [_letter(row) for row in rows]


async def revive_letters(
    database: Database, home: Home, *, group: str | None = None, event_id: UUID | None = None
) -> int:
    """Makes parked messages due again at once, all of them or those named; how many there were.

    What a tenant left behind that lives elsewhere now, or is about to, stays as it is.
    """
    async with database.transaction(home, (), is_transport=True) as tx:
        departed = list(await departures.list_departed(tx=tx))
        revived = await tx.fetch(_SQL.revive_letters, group, event_id, tx.now, departed)
        await departures.refuse_departed([row["tenant_id"] for row in revived], tx=tx)
        for row in revived:
            tx.record(row["tenant_id"], _describe("kernel.letter_replayed", row))
    return len(revived)


async def drop_letters(
    database: Database, home: Home, *, event_id: UUID, group: str | None = None
) -> int:
    """Gives a message up for good, in one group or in all; its followers go on.

    It is marked as handled, so that no repetition brings it back. Returns how many there were.
    """
    async with database.transaction(home, (), is_transport=True) as tx:
        parked = await tx.fetch(_SQL.list_letters, group, event_id, None, LETTERS_PAGE_MAX)
        await departures.refuse_departed([row["tenant_id"] for row in parked], tx=tx)
        await tx.execute(_SQL.drop_letters, group, event_id, tx.now)
        for row in parked:
            # What a person gives up is no longer done: who did so stands in the trail.
            tx.record(row["tenant_id"], _describe("kernel.letter_dropped", row))
    return len(parked)


def _describe(action: str, row: Record) -> Change:
    """What was done to a parked message; it was there before, and nothing is said of after."""
    cause = Cause(row["correlation_id"], row["event_id"], actor=operator())
    was = {"group": row["group_name"], "type": row["type"], "about": row["key"]}
    return describe(action, ("letter", row["event_id"]), cause, before=was)


def _letter(row: Record) -> Letter:
    return Letter(
        event_id=row["event_id"],
        tenant_id=row["tenant_id"],
        group=row["group_name"],
        topic=row["topic"],
        type=row["type"],
        key=row["key"],
        state=row["state"],
        attempts=row["attempts"],
        error=row["error"],
        parked_at=row["parked_at"],
        next_at=row["next_at"],
        occurred_at=row["occurred_at"],
        correlation_id=row["correlation_id"],
        data=msgspec.json.decode(row["data"]),
    )
