"""Twins of who serves what: groups, members, presences, leases and the moves under their fences."""

import collections
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from tests.simulation.rows import Key, Row
from tests.simulation.statements.changing import lock_each
from tests.simulation.statements.kernel_log import KERNEL, LEASES, MEMBERS, NEVER, POSITIONS
from tests.simulation.statements.records import columns
from tests.simulation.storage import Session
from tests.simulation.twins import twin

_lease = columns("group_name, partition, fence")


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


@twin(KERNEL, "hold_presence")
async def hold_presence(session: Session, worker: UUID) -> list[Row]:
    holder = session.storage.presences.setdefault(worker, session.backend)
    named = columns("pg_try_advisory_lock")
    return [named({"pg_try_advisory_lock": holder is session.backend})]


@twin(KERNEL, "drop_absent")
async def drop_absent(session: Session, groups: Sequence[str], worker: UUID) -> int:
    present, wanted = session.storage.presences, set(groups)

    def is_absent(one: UUID | None) -> bool:
        return one is not None and one != worker and one not in present

    members = [
        (row["group_name"], row["worker"])
        for row in session.scan(MEMBERS)
        if row["group_name"] in wanted and is_absent(row["worker"])
    ]
    absent = {one for _, one in members}
    held = [row for group in wanted for row in session.find(LEASES, ("group_name",), (group,))]
    absent |= {row["owner"] for row in held if is_absent(row["owner"])}
    # The main statement runs first, the CTE that nobody reads after it.
    free = await lock_each(
        session,
        LEASES,
        sorted(_lease_key(row) for row in held if row["owner"] in absent),
        lambda row: row["owner"] in absent,
        skip_locked=True,
    )
    for row in free:
        await session.update(LEASES, _lease_key(row), owner=None, lease_until=NEVER)
    gone = await lock_each(session, MEMBERS, members, skip_locked=True)
    for row in gone:
        await session.delete(MEMBERS, (row["group_name"], row["worker"]))
    return len(free)


@twin(KERNEL, "count_unserved")
async def count_unserved(session: Session, groups: Sequence[str]) -> list[Row]:
    now = session.clock_timestamp()
    unserved = [
        row
        for group in set(groups)
        for row in session.find(LEASES, ("group_name",), (group,))
        if row["owner"] is None or row["lease_until"] < now
    ]
    return [columns("count")({"count": len(unserved)})]


def _lease_key(row: Row) -> Key:
    return row["group_name"], row["partition"]


@twin(KERNEL, "renew_leases")
async def renew_leases(session: Session, worker: UUID, secs: float) -> int:
    mine = []
    for row in session.find(LEASES, ("owner",), (worker,), order=_lease_key):
        key = (row["group_name"], row["partition"])
        locked = await session.lock(LEASES, key, skip_locked=True)
        if locked is not None and locked["owner"] == worker:
            mine.append((key, locked))
    until = session.clock_timestamp() + timedelta(seconds=secs)
    for key, locked in mine:
        session.write(LEASES, key, {**locked, "lease_until": until})
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
        changes = {"owner": worker, "fence": row["fence"] + 1, "lease_until": until}
        session.write(LEASES, _lease_key(row), row | changes)
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
