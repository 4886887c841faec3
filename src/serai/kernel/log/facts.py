"""Seals the log: what was announced, and so what the platform did by itself, gets into the trail.

A change that a person or a key asks for is recorded where it is made. What flows, timers and jobs
do is announced, by the thousand a second, and needs no second word: every few seconds the events
since the last time are packed by the database into one entry for each tenant, event by event.
"""

import base64
import hashlib
import zlib
from collections.abc import Collection, Mapping
from typing import Final
from uuid import UUID

from serai.kernel import departures, ids, queries
from serai.kernel.actor import SYSTEM
from serai.kernel.changes import Change, ChangesRecorded
from serai.kernel.db import Database, Tx
from serai.kernel.departures import TenantMoving
from serai.kernel.events import PARTITIONS, all_types, type_of
from serai.kernel.log.postgres import Position
from serai.kernel.tenant import Home

GROUP: Final = "audit.seal"
EVENTS_MAX: Final = 128
"""Events of one partition that are packed in one transaction."""
BLOCK_EVENTS_MAX: Final = 2_000
"""Events in one entry."""
LINE_BYTES: Final = 52
"""Of each event its id, its key and its correlation id, 16 bytes each, and its type's mark."""
MARK_BYTES: Final = 4
ACTION: Final = "log.sealed"
_SQL = queries.load("serai.kernel")


class _Overtaken(Exception):
    """Another process has packed the same events."""


def mark_of(name: str) -> bytes:
    """What stands for an event type in a line: the first bytes of the SHA-256 of its name."""
    return hashlib.sha256(name.encode()).digest()[:MARK_BYTES]


def pack(lines: bytes) -> str:
    """Lines as they stand in an entry: deflated, in base 64."""
    return base64.b64encode(zlib.compress(lines, 1)).decode()


def unpack(text: str) -> list[tuple[UUID, str, UUID, UUID]]:
    """The events of an entry: id, type (or its mark in hexadecimal), key and correlation id."""
    names = {mark_of(entry.name): entry.name for entry in all_types()}
    lines = zlib.decompress(base64.b64decode(text))
    found = []
    for start in range(0, len(lines), LINE_BYTES):
        line = lines[start : start + LINE_BYTES]
        event_id, key, correlation_id = (UUID(bytes=line[n : n + 16]) for n in (0, 16, 32))
        mark = line[48:]
        found.append((event_id, names.get(mark, mark.hex()), key, correlation_id))
    return found


def topics() -> list[str]:
    """What is sealed: every topic but that of the trail itself."""
    own = type_of(ChangesRecorded).topic
    return sorted({entry.topic for entry in all_types()} - {own})


async def seal(database: Database, home: Home, *, away: Collection[UUID] = ()) -> int:
    """Packs the next events of a home; how many there were. Those `away` seal theirs elsewhere."""
    try:
        async with database.transaction(home, (), is_transport=True) as tx:
            rows = await tx.fetch(_SQL.list_positions, GROUP, list(range(PARTITIONS)))
            places: dict[tuple[str, int], Position] = {
                (row["topic"], row["partition"]): (row["xid"], row["seq"]) for row in rows
            }
            if any((t, n) not in places for t in topics() for n in range(PARTITIONS)):
                await tx.execute(_SQL.ensure_places, GROUP, topics(), PARTITIONS)
                return 0
            horizon: int = await tx.fetchval(_SQL.read_horizon)
            facts = await tx.fetch(
                _SQL.gather_facts,
                [topic for topic, _ in places],
                [partition for _, partition in places],
                [str(xid) for xid, _ in places.values()],
                [seq for _, seq in places.values()],
                EVENTS_MAX,
                str(horizon),
            )
            lines: dict[UUID, bytearray] = {}
            newest: dict[tuple[str, int], Position] = {}
            for row in facts:
                if row["tenant_id"] not in away:
                    lines.setdefault(row["tenant_id"], bytearray()).extend(row["lines"])
                place, position = (row["topic"], row["partition"]), (row["xid"], row["seq"])
                newest[place] = max(newest.get(place, position), position)
            if not newest:
                return 0
            await departures.refuse_departed(sorted(lines), tx=tx)
            moved = await tx.fetchval(
                _SQL.move_places,
                GROUP,
                [topic for topic, _ in newest],
                [partition for _, partition in newest],
                [str(places[place][0]) for place in newest],
                [places[place][1] for place in newest],
                [str(xid) for xid, _ in newest.values()],
                [seq for _, seq in newest.values()],
            )
            if moved != len(newest):
                raise _Overtaken
            _record(lines, tx=tx)
            return sum(row["events"] for row in facts)
    except TenantMoving as moving:
        if moving.leaving:
            raise
        return await seal(database, home, away={*away, *moving.away})
    except _Overtaken:
        return 0


def _record(lines: Mapping[UUID, bytearray], *, tx: Tx) -> None:
    for tenant_id, packed in lines.items():
        for change in _blocks(bytes(packed)):
            tx.record(tenant_id, change)


def _blocks(lines: bytes) -> list[Change]:
    step = BLOCK_EVENTS_MAX * LINE_BYTES
    pieces = [lines[start : start + step] for start in range(0, len(lines), step)]
    return [
        Change(
            ACTION,
            "log",
            "events",
            SYSTEM,
            ids.new_id(),
            after={"events": len(piece) // LINE_BYTES, "lines": pack(piece)},
        )
        for piece in pieces
    ]
