"""Twins of the kernel's messages at rest: the inbox and dead letters."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from tests.simulation.rows import Row
from tests.simulation.statements.kernel_log import INBOX, KERNEL, LEASES, LETTERS
from tests.simulation.statements.records import columns
from tests.simulation.storage import Session
from tests.simulation.twins import twin

_event_id = columns("event_id")
_key = columns("key")
_due_letter = columns(
    "tenant_id, event_id, topic, partition, xid, seq, type, key, occurred_at, correlation_id, "
    "traceparent, data, attempts"
)
_revived = columns("tenant_id, group_name, event_id, type, key, correlation_id")
_letter = columns(
    "tenant_id, group_name, event_id, topic, type, key, state, attempts, next_at, error, "
    "parked_at, occurred_at, correlation_id, data"
)


# ------------------------------------------------------------------------------------------ inbox


@twin(KERNEL, "insert_inbox")
async def insert_inbox(
    session: Session,
    group: str,
    tenant_ids: Sequence[UUID],
    event_ids: Sequence[UUID],
    now: datetime,
) -> list[Row]:
    fresh = []
    for event_id, tenant_id in sorted(zip(event_ids, tenant_ids, strict=True)):
        row = {
            "tenant_id": tenant_id, "group_name": group, "event_id": event_id, "handled_at": now
        }  # fmt: skip
        if await session.insert(INBOX, row):
            fresh.append(_event_id(row))
    return fresh


@twin(KERNEL, "prune_inbox")
async def prune_inbox(session: Session, before: datetime, limit: int) -> int:
    gone = [
        (row["group_name"], row["event_id"])
        for group in {row["group_name"] for row in session.scan(LEASES)}
        for row in session.find(
            INBOX, ("group_name",), (group,), order=lambda row: row["event_id"], limit=limit
        )
        if row["handled_at"] < before
    ]
    return sum([await session.delete(INBOX, key) for key in gone])


# ----------------------------------------------------------------------------------- dead letters


@twin(KERNEL, "list_blocked_keys")
async def list_blocked_keys(session: Session, group: str, keys: Sequence[UUID]) -> list[Row]:
    wanted = set(keys)
    parked = session.find(LETTERS, ("group_name",), (group,))
    return [_key({"key": key}) for key in {row["key"] for row in parked} & wanted]


@twin(KERNEL, "park_letters")
async def park_letters(
    session: Session,
    group: str,
    tenant_ids: Sequence[UUID],
    event_ids: Sequence[UUID],
    topics: Sequence[str],
    partitions: Sequence[int],
    xids: Sequence[str],
    seqs: Sequence[int],
    types: Sequence[str],
    keys: Sequence[UUID],
    occurred: Sequence[datetime],
    correlation_ids: Sequence[UUID],
    traceparents: Sequence[str | None],
    attempts: int,
    next_at: datetime,
    error: str,
    now: datetime,
    data: Sequence[bytes],
) -> int:
    letters = zip(
        tenant_ids, event_ids, topics, partitions, xids, seqs, types, keys, occurred,
        correlation_ids, traceparents, data, strict=True,
    )  # fmt: skip
    parked = 0
    for (
        tenant_id,
        event_id,
        topic,
        place,
        xid,
        seq,
        kind,
        key,
        at,
        correlation,
        trace,
        body,
    ) in letters:
        parked += await session.insert(
            LETTERS,
            {
                "tenant_id": tenant_id, "group_name": group, "event_id": event_id, "topic": topic,
                "partition": place, "xid": int(xid), "seq": seq, "type": kind, "key": key,
                "occurred_at": at, "correlation_id": correlation, "traceparent": trace,
                "data": body, "state": "retrying", "attempts": attempts, "next_at": next_at,
                "error": error, "parked_at": now,
            },
        )  # fmt: skip
    return parked


@twin(KERNEL, "list_due_letters")
async def list_due_letters(
    session: Session, group: str, now: datetime, limit: int, partitions: Sequence[int]
) -> list[Row]:
    letters = session.find(LETTERS, ("group_name",), (group,))
    first: dict[UUID, tuple[int, int]] = {}
    for row in letters:
        place = (row["xid"], row["seq"])
        first[row["key"]] = min(first.get(row["key"], place), place)
    due = [
        row
        for row in letters
        if row["state"] == "retrying"
        and row["next_at"] <= now
        and row["partition"] in partitions
        and first[row["key"]] == (row["xid"], row["seq"])
    ]
    due.sort(key=lambda row: row["next_at"])
    return [_due_letter(row) for row in due[:limit]]


@twin(KERNEL, "lock_letter")
async def lock_letter(session: Session, group: str, event_id: UUID) -> list[Row]:
    row = session.get(LETTERS, (group, event_id))
    if row is None or row["state"] != "retrying":
        return []
    locked = await session.lock(LETTERS, (group, event_id), skip_locked=True)
    return [] if locked is None or locked["state"] != "retrying" else [_event_id(locked)]


@twin(KERNEL, "delete_letter")
async def delete_letter(session: Session, group: str, event_id: UUID) -> int:
    return int(await session.delete(LETTERS, (group, event_id)))


@twin(KERNEL, "delay_letter")
async def delay_letter(
    session: Session, group: str, event_id: UUID, state: str, next_at: datetime, error: str
) -> int:
    row = await session.lock(LETTERS, (group, event_id))
    if row is None:
        return 0
    attempts = row["attempts"] + 1
    return int(
        await session.update(
            LETTERS,
            (group, event_id),
            attempts=attempts,
            state=state,
            next_at=next_at,
            error=error,
        )
    )


def _letters(session: Session, group: str | None, event_id: UUID | None) -> list[Row]:
    return session.scan(
        LETTERS,
        where=lambda row: (
            (group is None or row["group_name"] == group)
            and (event_id is None or row["event_id"] == event_id)
        ),
    )


@twin(KERNEL, "list_letters")
async def list_letters(
    session: Session, group: str | None, event_id: UUID | None, before: UUID | None, limit: int
) -> list[Row]:
    found = [
        row for row in _letters(session, group, event_id) if not before or row["event_id"] < before
    ]
    found.sort(key=lambda row: row["event_id"], reverse=True)
    return [_letter(row) for row in found[:limit]]


@twin(KERNEL, "revive_letters")
async def revive_letters(
    session: Session,
    group: str | None,
    event_id: UUID | None,
    now: datetime,
    spared: Sequence[UUID],
) -> list[Row]:
    revived = []
    for row in _letters(session, group, event_id):
        if row["tenant_id"] in spared:
            continue
        key = (row["group_name"], row["event_id"])
        if await session.update(LETTERS, key, state="retrying", attempts=0, next_at=now):
            revived.append(_revived(row))
    return revived


@twin(KERNEL, "drop_letters")
async def drop_letters(
    session: Session, group: str | None, event_id: UUID, now: datetime
) -> list[Row]:
    found = _letters(session, group, event_id)
    marked = []
    for row in found:
        if not await session.delete(LETTERS, (row["group_name"], row["event_id"])):
            continue
        mark = {
            "tenant_id": row["tenant_id"], "group_name": row["group_name"],
            "event_id": row["event_id"], "handled_at": now,
        }  # fmt: skip
        if await session.insert(INBOX, mark):
            marked.append(_event_id(mark))
    return marked
