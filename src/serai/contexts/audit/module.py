"""Wiring of the audit trail."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from uuid import UUID

from serai.contexts.audit import handlers, model, routes
from serai.contexts.audit.contract import Broken, HeadView, Verified
from serai.contexts.audit.model import Head
from serai.contexts.audit.store import PostgresEntries
from serai.kernel.changes import ChangesRecorded
from serai.kernel.clock import Clock
from serai.kernel.db import Database, Tx
from serai.kernel.log import facts
from serai.kernel.module import Check, Consumer, Finding, Job, Module, Surroundings
from serai.kernel.soundness import list_handled
from serai.kernel.tenant import Home

GROUP = "audit"
EVENTS_MAX = 64
"""Events that one transaction takes in; each may hold the changes of a whole batch."""
CHUNK = 2_000
"""Entries that verifying reads at once."""
CHECKED_MAX = 5_000
"""The newest entries of a chain that `serai check` recomputes; `serai audit verify` does all."""
EVENTS_CHECKED_MAX = 500
"""The newest events whose changes `serai check` looks for in the chain."""
FORGOTTEN_MAX = 1_000
"""Entries of a tenant that one transaction drops."""
SEAL_EVERY = timedelta(seconds=5)
SEALED_MIN = 1_000
"""Events after which the next ones are sealed at once."""
FORGET_EVERY = timedelta(hours=1)


class Operated:
    """The contract's Protocol Audit."""

    def __init__(self, s: Surroundings, entries: PostgresEntries) -> None:
        self._s = s
        self._entries = entries

    async def find_head(self, tenant_id: UUID) -> HeadView | None:
        home = await self._s.homes.home_of(tenant_id)
        async with self._s.database.transaction(home, (tenant_id,), is_read_only=True) as tx:
            heads = await self._entries.find_heads([tenant_id], tx=tx)
        return heads[tenant_id].view if tenant_id in heads else None

    async def verify(
        self, tenant_id: UUID, *, held: HeadView | None = None
    ) -> AsyncIterator[tuple[int, int, Verified | None]]:
        home = await self._s.homes.home_of(tenant_id)
        async with self._s.database.transaction(home, (tenant_id,), is_read_only=True) as tx:
            at = anchor = await self._entries.find_anchor(tenant_id, tx=tx)
            heads = await self._entries.find_heads([tenant_id], tx=tx)
        end = heads.get(tenant_id, anchor)
        broken = _refuse_held(held, end, anchor)
        done = 0
        while broken is None and at.seq < end.seq:
            async with self._s.database.transaction(home, (tenant_id,), is_read_only=True) as tx:
                piece = await self._entries.read_piece(tenant_id, at.seq, CHUNK, tx=tx)
                later = await self._entries.find_anchor(tenant_id, tx=tx)
            if later.seq > at.seq:
                # Retention has dropped what was to be read: what is left follows the new anchor.
                at = anchor = later
                continue
            if not piece:
                missing = at.seq + 1
                broken = Broken(missing, f"entry {missing} is missing")
                break
            at, broken = model.verify(at, piece)
            broken = broken or _compare(held, piece)
            done += len(piece)
            yield done, end.seq - anchor.seq, None
        head = at.view if at.seq > anchor.seq else None
        yield done, done, Verified(done, anchor.seq + 1, head, broken, anchor.seq)


def _refuse_held(held: HeadView | None, end: Head, anchor: Head) -> Broken | None:
    """What is wrong where a head that someone held cannot be in the chain."""
    if held is None:
        return None
    if held.seq > end.seq:
        return Broken(end.seq + 1, f"the chain ends at {end.seq}, the head held was {held.seq}")
    if held.seq == anchor.seq and held.hash != anchor.hash.hex():
        return Broken(held.seq, "it is not the entry whose hash was held")
    if held.seq < anchor.seq:
        return Broken(held.seq, "retention has dropped the entry whose hash was held")
    return None


def _compare(held: HeadView | None, piece: list[model.Linked]) -> Broken | None:
    for linked in piece:
        if held is not None and linked.entry.seq == held.seq and linked.hash.hex() != held.hash:
            return Broken(held.seq, "it is not the entry whose hash was held")
    return None


def build(s: Surroundings) -> Module:
    """The audit trail over PostgreSQL."""
    entries = PostgresEntries()
    hear = partial(handlers.hear_changes_recorded, entries=entries)
    return Module(
        name="audit",
        routes=routes.routes(s.database, entries),
        consumers=[Consumer(GROUP, {ChangesRecorded: hear}, EVENTS_MAX)],
        jobs=[
            Job("audit.seal", SEAL_EVERY, _seal, chunk=SEALED_MIN),
            Job("audit.forget", FORGET_EVERY, partial(_forget, entries, s), chunk=FORGOTTEN_MAX),
        ],
        checks=[
            Check(
                "audit.chain",
                "The newest entries of the audit trail follow one another and say what was hashed.",
                partial(_check_chain, entries),
            ),
            Check(
                "audit.complete",
                "Every change that was recorded and handled is in the audit trail.",
                partial(_check_complete, entries),
            ),
        ],
        operated=Operated(s, entries),
    )


async def _seal(database: Database, home: Home, _clock: Clock) -> int:
    """Writes down what was announced; how many events there were."""
    return await facts.seal(database, home)


async def _forget(
    entries: PostgresEntries, s: Surroundings, database: Database, home: Home, _clock: Clock
) -> int:
    """Drops entries whose retention is over; how many at most of one tenant."""
    most = 0
    for tenant_id in sorted(await s.homes.tenants_of(home)):
        async with database.transaction(home, (tenant_id,)) as tx:
            most = max(most, await entries.forget(tenant_id, FORGOTTEN_MAX, tx=tx))
    return most


async def _check_chain(entries: PostgresEntries, tx: Tx, tenant_id: UUID) -> list[Finding]:
    anchor = await entries.find_anchor(tenant_id, tx=tx)
    heads = await entries.find_heads([tenant_id], tx=tx)
    if tenant_id not in heads:
        return []
    start, after = anchor, max(anchor.seq, heads[tenant_id].seq - CHECKED_MAX)
    if after > anchor.seq:
        found = await entries.find(tenant_id, after, tx=tx)
        if found is None:
            return [Finding("audit.chain", f"seq={after}, entry {after} is missing")]
        start = Head(after, found.hash)
    at, broken = start, None
    while broken is None and at.seq < heads[tenant_id].seq:
        piece = await entries.read_piece(tenant_id, at.seq, CHUNK, tx=tx)
        at, broken = model.verify(at, piece)
    return [] if broken is None else [Finding("audit.chain", f"seq={broken.seq}, {broken.what}")]


async def _check_complete(entries: PostgresEntries, tx: Tx, tenant_id: UUID) -> list[Finding]:
    heads = await entries.find_heads([tenant_id], tx=tx)
    after = max(0, heads[tenant_id].seq - CHECKED_MAX) if tenant_id in heads else 0
    written: Counter[UUID] = Counter()
    while piece := await entries.read_piece(tenant_id, after, CHUNK, tx=tx):
        written.update(linked.entry.event_id for linked in piece)
        after = piece[-1].entry.seq
    told = await list_handled(
        tx, tenant_id, GROUP, ChangesRecorded, key=tenant_id, limit=EVENTS_CHECKED_MAX
    )
    findings: list[Finding] = []
    room = CHECKED_MAX
    for event_id, event in told:
        room -= len(event.changes)
        if room >= 0 and written[event_id] != len(event.changes):
            findings.append(
                Finding(
                    "audit.complete",
                    f"event_id={event_id}, recorded={len(event.changes)}, "
                    f"in the trail={written[event_id]}",
                )
            )
    return findings
