"""Twins of the kernel's log: announcements and positions."""

import collections
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from tests.simulation.rows import Row
from tests.simulation.statements.records import columns
from tests.simulation.storage import Session
from tests.simulation.twins import twin

KERNEL = "serai.kernel"
OUTBOX, LEASES, POSITIONS = "kernel.outbox", "kernel.leases", "kernel.positions"
MEMBERS, INBOX, LETTERS = "kernel.members", "kernel.inbox", "kernel.dead_letters"
NEVER = datetime.min.replace(tzinfo=UTC)
"""What asyncpg makes of '-infinity'."""

_event = columns(
    "topic, partition, xid, seq, tenant_id, event_id, type, key, occurred_at, correlation_id, "
    "traceparent, data"
)
_position = columns("topic, partition, xid, seq")


@twin(KERNEL, "append_events")
async def append_events(
    session: Session,
    topics: Sequence[str],
    partitions: Sequence[int],
    tenant_ids: Sequence[UUID],
    event_ids: Sequence[UUID],
    types: Sequence[str],
    keys: Sequence[UUID],
    now: datetime,
    correlation_ids: Sequence[UUID],
    causation_ids: Sequence[UUID | None],
    traceparents: Sequence[str | None],
    data: Sequence[bytes],
    names: Sequence[str],
    prefix: str,
) -> int:
    events = zip(
        topics, partitions, tenant_ids, event_ids, types, keys,
        correlation_ids, causation_ids, traceparents, data, strict=True,
    )  # fmt: skip
    for topic, partition, tenant_id, event_id, kind, key, correlation, cause, trace, body in events:
        await session.insert_new(
            OUTBOX,
            {
                "topic": topic, "partition": partition, "xid": session.xid,
                "seq": session.next_value(OUTBOX), "tenant_id": tenant_id, "event_id": event_id,
                "type": kind, "key": key, "occurred_at": now, "correlation_id": correlation,
                "causation_id": cause, "traceparent": trace, "data": body,
            },
        )  # fmt: skip
    for name in names:
        session.notify("serai_log", f"{prefix}|{name}|{session.xid}")
    return len(names)


@twin(KERNEL, "fetch_events")
async def fetch_events(
    session: Session,
    topics: Sequence[str],
    partitions: Sequence[int],
    xids: Sequence[str],
    seqs: Sequence[int],
    limit: int,
    types: Sequence[str],
    horizon: str,
) -> list[Row]:
    below, wanted = int(horizon), set(types)
    written = session.storage.committed[OUTBOX].indexes["topic", "partition"]
    rows: list[Row] = []
    for topic, partition, xid, seq in zip(topics, partitions, xids, seqs, strict=True):
        # Most partitions are empty; the look into the index costs less than the question.
        if not session.has_written and not written.get((topic, partition)):
            continue
        after = (int(xid), seq)
        found = session.find(
            OUTBOX,
            ("topic", "partition"),
            (topic, partition),
            where=lambda row, after=after: (  # type: ignore[misc]
                row["xid"] < below and (row["xid"], row["seq"]) > after and row["type"] in wanted
            ),
            order=lambda row: (row["xid"], row["seq"]),
            limit=limit,
        )
        rows.extend(map(_event, found))
    return rows


@twin(KERNEL, "read_horizon")
async def read_horizon(session: Session) -> list[Row]:
    return [columns("pg_snapshot_xmin")({"pg_snapshot_xmin": session.xmin})]


@twin(KERNEL, "list_positions")
async def list_positions(session: Session, group: str, partitions: Sequence[int]) -> list[Row]:
    wanted = set(partitions)
    found = session.find(
        POSITIONS, ("group_name",), (group,), where=lambda row: row["partition"] in wanted
    )
    return [_position(row) for row in found]


@twin(KERNEL, "prune_outbox")
async def prune_outbox(session: Session, before: datetime, limit: int) -> int:
    passed: dict[tuple[str, int], int] = {}
    for row in session.scan(POSITIONS):
        place = (row["topic"], row["partition"])
        passed[place] = min(passed.get(place, row["xid"]), row["xid"])
    gone = [
        (row["topic"], row["partition"], row["xid"], row["seq"])
        for place, xid in passed.items()
        for row in session.find(
            OUTBOX,
            ("topic", "partition"),
            place,
            where=lambda row, xid=xid: row["xid"] < xid,  # type: ignore[misc]
            order=lambda row: (row["xid"], row["seq"]),
            limit=limit,
        )
        if row["occurred_at"] < before
    ]
    return sum([await session.delete(OUTBOX, key) for key in gone])


@twin(KERNEL, "ensure_places")
async def ensure_places(session: Session, group: str, topics: Sequence[str], count: int) -> int:
    made = 0
    for topic in topics:
        for partition in range(count):
            row = {"group_name": group, "topic": topic, "partition": partition}
            made += await session.insert(POSITIONS, row | {"xid": 0, "seq": 0})
    return made


@twin(KERNEL, "gather_facts")
async def gather_facts(
    session: Session,
    topics: Sequence[str],
    partitions: Sequence[int],
    xids: Sequence[str],
    seqs: Sequence[int],
    limit: int,
    horizon: str,
) -> list[Row]:
    named = columns("tenant_id, topic, partition, events, xid, seq, lines")
    below = int(horizon)
    packed: dict[tuple[UUID, str, int], list[Row]] = {}
    for topic, partition, xid, seq in zip(topics, partitions, xids, seqs, strict=True):
        after = (int(xid), seq)
        found = session.find(
            OUTBOX,
            ("topic", "partition"),
            (topic, partition),
            where=lambda row, after=after: (  # type: ignore[misc]
                row["xid"] < below and (row["xid"], row["seq"]) > after
            ),
            order=lambda row: (row["xid"], row["seq"]),
            limit=limit,
        )
        for row in found:
            packed.setdefault((row["tenant_id"], topic, partition), []).append(row)
    return [
        named(
            {
                "tenant_id": place[0], "topic": place[1], "partition": place[2],
                "events": len(rows), "xid": rows[-1]["xid"], "seq": rows[-1]["seq"],
                "lines": b"".join(map(_line, rows)),
            }
        )
        for place, rows in sorted(packed.items())
    ]  # fmt: skip


def _line(row: Row) -> bytes:
    mark = hashlib.sha256(row["type"].encode()).digest()[:4]
    return b"".join((row["event_id"].bytes, row["key"].bytes, row["correlation_id"].bytes, mark))


@twin(KERNEL, "move_places")
async def move_places(
    session: Session,
    group: str,
    topics: Sequence[str],
    partitions: Sequence[int],
    xids: Sequence[str],
    seqs: Sequence[int],
    new_xids: Sequence[str],
    new_seqs: Sequence[int],
) -> list[Row]:
    held = 0
    given = zip(topics, partitions, xids, seqs, new_xids, new_seqs, strict=True)
    for topic, partition, xid, seq, new_xid, new_seq in sorted(given):
        key, seen = (group, topic, partition), (int(xid), seq)

        def stands(row: Row | None, seen: tuple[int, int] = seen) -> bool:
            return row is not None and (row["xid"], row["seq"]) == seen

        if not stands(session.get(POSITIONS, key)):
            continue
        if stands(await session.lock(POSITIONS, key)):
            held += 1
            await session.update(POSITIONS, key, xid=int(new_xid), seq=new_seq)
    return [columns("count")({"count": held})]


@twin(KERNEL, "count_lag")
async def count_lag(session: Session, limit: int) -> list[Row]:
    waiting: collections.Counter[str] = collections.Counter()
    for position in session.scan(POSITIONS):
        after = (position["xid"], position["seq"])
        found = session.find(
            OUTBOX,
            ("topic", "partition"),
            (position["topic"], position["partition"]),
            where=lambda row, after=after: (row["xid"], row["seq"]) > after,  # type: ignore[misc]
            limit=limit,
        )
        waiting[position["group_name"]] += len(found)
    named = columns("group_name, waiting")
    return [named({"group_name": group, "waiting": waiting[group]}) for group in sorted(waiting)]
