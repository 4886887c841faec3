"""Twins of the kernel's flows and idempotency keys."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from tests.simulation.rows import Key, Row
from tests.simulation.statements.kernel_log import KERNEL, LETTERS
from tests.simulation.statements.records import columns
from tests.simulation.storage import Session
from tests.simulation.twins import twin

FLOWS, KEYS = "kernel.flows", "kernel.idempotency_keys"

_key = columns("key")
_flow = columns("tenant_id, key, state")
_due_flow = columns("tenant_id, flow, key, state")
_claim = columns("tenant_id, key")
_answer = columns("tenant_id, key, fingerprint, answer")


@twin(KERNEL, "start_flows")
async def start_flows(
    session: Session,
    flow: str,
    tenant_ids: Sequence[UUID],
    keys: Sequence[UUID],
    states: Sequence[str],
    deadlines: Sequence[datetime | None],
    data: Sequence[bytes | None],
    now: datetime,
    are_ended: Sequence[bool],
) -> list[Row]:
    started = []
    given = zip(tenant_ids, keys, states, deadlines, data, are_ended, strict=True)
    for tenant_id, key, state, deadline_at, body, is_ended in sorted(given, key=_first_two):
        row = {
            "tenant_id": tenant_id, "flow": flow, "key": key, "state": state,
            "deadline_at": deadline_at, "data": body, "started_at": now, "updated_at": now,
            "ended_at": now if is_ended else None,
        }  # fmt: skip
        if await session.insert(FLOWS, row):
            started.append(_key(row))
    return started


def _first_two(values: Sequence[Any]) -> Key:
    return tuple(values[:2])


@twin(KERNEL, "move_flows")
async def move_flows(
    session: Session,
    flow: str,
    tenant_ids: Sequence[UUID],
    keys: Sequence[UUID],
    states: Sequence[str],
    state: str,
    deadline_at: datetime | None,
    now: datetime,
    is_ended: bool,  # noqa: FBT001 - the statement's arguments are positional
) -> list[Row]:
    wanted = sorted(set(zip(tenant_ids, keys, strict=True)))
    standing = [
        (tenant_id, flow, key)
        for tenant_id, key in wanted
        if _stands(session.get(FLOWS, (tenant_id, flow, key)), states)
    ]
    moved = []
    for place in standing:
        row = await session.lock(FLOWS, place)
        if row is None or not _stands(row, states):
            continue
        await session.update(
            FLOWS, place, state=state, deadline_at=deadline_at, updated_at=now,
            ended_at=now if is_ended else None,
        )  # fmt: skip
        moved.append(_key(row))
    return moved


def _stands(row: Row | None, states: Sequence[str]) -> bool:
    return row is not None and row["state"] in states


@twin(KERNEL, "find_flows")
async def find_flows(
    session: Session, flow: str, tenant_ids: Sequence[UUID], keys: Sequence[UUID]
) -> list[Row]:
    rows = [
        session.get(FLOWS, (tenant_id, flow, key))
        for tenant_id, key in zip(tenant_ids, keys, strict=True)
    ]
    return [_flow(row) for row in rows if row is not None]


@twin(KERNEL, "list_due_flows")
async def list_due_flows(session: Session, now: datetime, limit: int) -> list[Row]:
    due = session.find(
        FLOWS,
        ("ended_at",),
        (None,),
        where=lambda row: row["deadline_at"] is not None and row["deadline_at"] <= now,
        order=lambda row: row["deadline_at"],
        limit=limit,
    )
    return [_due_flow(row) for row in due]


@twin(KERNEL, "delay_flow")
async def delay_flow(
    session: Session, flow: str, tenant_id: UUID, key: UUID, deadline_at: datetime | None
) -> int:
    return await _change_if(
        session,
        FLOWS,
        (tenant_id, flow, key),
        lambda row: row["ended_at"] is None,
        deadline_at=deadline_at,
    )


async def _change_if(
    session: Session, table: str, key: Key, holds: Callable[[Row], bool], **changes: Any
) -> int:
    """UPDATE … WHERE: looks, locks, looks again, writes."""
    row = session.get(table, key)
    if row is None or not holds(row):
        return 0
    row = await session.lock(table, key)
    if row is None or not holds(row):
        return 0
    return int(await session.update(table, key, **changes))


# ------------------------------------------------------------------------------- idempotency keys


@twin(KERNEL, "claim_keys")
async def claim_keys(
    session: Session,
    tenant_ids: Sequence[UUID],
    keys: Sequence[str],
    fingerprints: Sequence[bytes],
    now: datetime,
) -> list[Row]:
    claimed = []
    given = zip(tenant_ids, keys, fingerprints, strict=True)
    for tenant_id, key, fingerprint in sorted(given, key=_first_two):
        row = {
            "tenant_id": tenant_id, "key": key, "fingerprint": fingerprint, "answer": None,
            "created_at": now,
        }  # fmt: skip
        if await session.insert(KEYS, row):
            claimed.append(_claim(row))
    return claimed


@twin(KERNEL, "find_answers")
async def find_answers(
    session: Session, tenant_ids: Sequence[UUID], keys: Sequence[str]
) -> list[Row]:
    rows = [session.get(KEYS, place) for place in zip(tenant_ids, keys, strict=True)]
    return [_answer(row) for row in rows if row is not None]


@twin(KERNEL, "store_answers")
async def store_answers(
    session: Session, tenant_ids: Sequence[UUID], keys: Sequence[str], answers: Sequence[bytes]
) -> int:
    stored: set[Key] = set()
    for *place, answer in zip(tenant_ids, keys, answers, strict=True):
        key = tuple(place)
        if key not in stored and await session.update(KEYS, key, answer=answer):
            stored.add(key)
    return len(stored)


@twin(KERNEL, "release_keys")
async def release_keys(session: Session, tenant_ids: Sequence[UUID], keys: Sequence[str]) -> int:
    places = zip(tenant_ids, keys, strict=True)
    return sum([await session.delete(KEYS, place) for place in places])


@twin(KERNEL, "prune_keys")
async def prune_keys(session: Session, before: datetime, limit: int) -> int:
    old = session.scan(
        KEYS,
        where=lambda row: row["created_at"] < before,
        order=lambda row: row["created_at"],
        limit=limit,
    )
    return sum([await session.delete(KEYS, (row["tenant_id"], row["key"])) for row in old])


@twin(KERNEL, "count_running_flows")
async def count_running_flows(session: Session) -> list[Row]:
    states = [row["state"] for row in session.scan(LETTERS)]
    now = session.clock_timestamp()
    ages = [(now - other.now).total_seconds() for other in session.storage.running.values()]
    return [
        columns("flows, dead, retrying, oldest_transaction_s")(
            {
                "flows": len(session.find(FLOWS, ("ended_at",), (None,))),
                "dead": states.count("dead"),
                "retrying": states.count("retrying"),
                "oldest_transaction_s": max(ages, default=0.0),
            }
        )
    ]
