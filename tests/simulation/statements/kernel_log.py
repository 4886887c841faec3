"""Twins of the kernel's log: announcements, positions, members and leases."""

import collections
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from tests.simulation.statements.records import columns
from tests.simulation.storage import Key, Row, Session
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
_lease = columns("group_name, partition, fence")


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


@twin(KERNEL, "ensure_group")
async def ensure_group(session: Session, group: str, topics: Sequence[str], partitions: int) -> int:
    # The main statement runs first, the CTE that nobody reads after it.
    added = 0
    for topic in topics:
        for partition in range(partitions):
            row = {"group_name": group, "topic": topic, "partition": partition, "xid": 0, "seq": 0}
            added += await session.insert(POSITIONS, row)
    for partition in range(partitions):
        await session.insert(
            LEASES,
            {
                "group_name": group, "partition": partition, "owner": None, "fence": 0,
                "lease_until": NEVER,
            },
        )  # fmt: skip
    return added


@twin(KERNEL, "beat_members")
async def beat_members(session: Session, groups: Sequence[str], worker: UUID) -> int:
    for group in sorted(groups):
        row = {"group_name": group, "worker": worker, "seen_at": session.clock_timestamp()}
        if not await session.insert(MEMBERS, row):
            await session.update(MEMBERS, (group, worker), seen_at=row["seen_at"])
    return len(groups)


@twin(KERNEL, "forget_members")
async def forget_members(session: Session, worker: UUID, secs: float) -> int:
    oldest = session.clock_timestamp() - timedelta(seconds=secs)

    def is_gone(row: Row) -> bool:
        return bool(row["worker"] == worker or row["seen_at"] < oldest)

    gone = 0
    for row in session.scan(MEMBERS, where=is_gone):
        key = (row["group_name"], row["worker"])
        locked = await session.lock(MEMBERS, key)
        if locked is not None and is_gone(locked):
            gone += await session.delete(MEMBERS, key)
    return gone


@twin(KERNEL, "count_members")
async def count_members(session: Session, groups: Sequence[str], secs: float) -> list[Row]:
    since, wanted = session.clock_timestamp() - timedelta(seconds=secs), set(groups)
    counts = collections.Counter(
        row["group_name"]
        for row in session.scan(MEMBERS)
        if row["group_name"] in wanted and row["seen_at"] > since
    )
    named = columns("group_name, members")
    return [named({"group_name": group, "members": count}) for group, count in counts.items()]


def _lease_key(row: Row) -> Key:
    return row["group_name"], row["partition"]


@twin(KERNEL, "renew_leases")
async def renew_leases(session: Session, worker: UUID, secs: float) -> int:
    mine: list[Key] = []
    for row in session.find(LEASES, ("owner",), (worker,), order=_lease_key):
        locked = await session.lock(LEASES, _lease_key(row), skip_locked=True)
        if locked is not None and locked["owner"] == worker:
            mine.append(_lease_key(row))
    until = session.clock_timestamp() + timedelta(seconds=secs)
    for key in mine:
        await session.update(LEASES, key, lease_until=until)
    return len(mine)


@twin(KERNEL, "claim_leases")
async def claim_leases(session: Session, group: str, worker: UUID, limit: int, secs: float) -> int:
    def is_free(row: Row) -> bool:
        owner = row["owner"]
        return owner is None or (owner != worker and row["lease_until"] < now)

    now = session.clock_timestamp()
    free: list[Row] = []
    for row in session.find(LEASES, ("group_name",), (group,), where=is_free, order=_lease_key):
        if len(free) == limit:
            break
        locked = await session.lock(LEASES, _lease_key(row), skip_locked=True)
        if locked is not None and is_free(locked):
            free.append(locked)
    until = session.clock_timestamp() + timedelta(seconds=secs)
    for row in free:
        await session.update(
            LEASES, _lease_key(row), owner=worker, fence=row["fence"] + 1, lease_until=until
        )
    return len(free)


@twin(KERNEL, "release_leases")
async def release_leases(
    session: Session, worker: UUID, group: str | None, partitions: Sequence[int] | None
) -> int:
    def is_given(row: Row) -> bool:
        # NULL for the partitions makes the condition NULL, which is not true.
        return bool(
            row["owner"] == worker
            and (
                group is None
                or (
                    row["group_name"] == group
                    and partitions is not None
                    and row["partition"] in partitions
                )
            )
        )

    given = 0
    for row in session.find(LEASES, ("owner",), (worker,), where=is_given, order=_lease_key):
        locked = await session.lock(LEASES, _lease_key(row))
        if locked is not None and is_given(locked):
            given += await session.update(LEASES, _lease_key(row), owner=None, lease_until=NEVER)
    return given


@twin(KERNEL, "list_leases")
async def list_leases(session: Session, worker: UUID) -> list[Row]:
    return [_lease(row) for row in session.find(LEASES, ("owner",), (worker,))]


@twin(KERNEL, "move_positions")
async def move_positions(
    session: Session,
    group: str,
    worker: UUID,
    partitions: Sequence[int],
    fences: Sequence[int],
    topics: Sequence[str],
    places: Sequence[int],
    xids: Sequence[str],
    seqs: Sequence[int],
) -> list[Row]:
    wanted = sorted(zip(partitions, fences, strict=True))
    held = []
    is_held = [
        (partition, fence)
        for partition, fence in wanted
        if _is_held(session.get(LEASES, (group, partition)), worker, fence)
    ]
    for partition, fence in is_held:
        if _is_held(await session.lock(LEASES, (group, partition)), worker, fence):
            held.append(partition)
    moves = zip(topics, places, xids, seqs, strict=True)
    for topic, partition, xid, seq in moves:
        key, position = (group, topic, partition), (int(xid), seq)
        if partition not in held or not _is_before(session.get(POSITIONS, key), position):
            continue
        if _is_before(await session.lock(POSITIONS, key), position):
            await session.update(POSITIONS, key, xid=position[0], seq=seq)
    return [columns("count")({"count": len(held)})]


def _is_held(row: Row | None, worker: UUID, fence: int) -> bool:
    return row is not None and row["owner"] == worker and row["fence"] == fence


def _is_before(row: Row | None, position: tuple[int, int]) -> bool:
    return row is not None and (row["xid"], row["seq"]) < position


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
