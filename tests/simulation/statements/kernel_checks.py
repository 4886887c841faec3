"""Twins of the statements that check the kernel's tables and tell what is left in them."""

import collections
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from tests.simulation.rows import Row
from tests.simulation.statements.kernel_flows import FLOWS
from tests.simulation.statements.kernel_log import INBOX, KERNEL, LETTERS, OUTBOX, POSITIONS
from tests.simulation.statements.records import columns
from tests.simulation.storage import Session
from tests.simulation.twins import twin

Texts = Sequence[str]


def _events(session: Session, tenant_id: UUID) -> list[Row]:
    return session.scan(OUTBOX, where=lambda row: row["tenant_id"] == tenant_id)


def _running(session: Session, tenant_id: UUID) -> list[Row]:
    return session.find(
        FLOWS, ("ended_at",), (None,), where=lambda row: row["tenant_id"] == tenant_id
    )


@twin(KERNEL, "check_handled")
async def check_handled(
    session: Session, tenant_id: UUID, groups: Texts, topics: Texts, types: Texts, limit: int
) -> list[Row]:
    named = columns("group_name, type, event_id, key")
    missing = []
    for group, topic, kind in zip(groups, topics, types, strict=True):
        for event in _events(session, tenant_id):
            if (event["topic"], event["type"]) != (topic, kind):
                continue
            position = session.get(POSITIONS, (group, topic, event["partition"]))
            place = (group, event["event_id"])
            if (
                position is not None
                and (event["xid"], event["seq"]) <= (position["xid"], position["seq"])
                and session.get(INBOX, place) is None
                and session.get(LETTERS, place) is None
            ):
                missing.append(named({**event, "group_name": group}))
    missing.sort(key=lambda row: row["event_id"])
    return missing[:limit]


@twin(KERNEL, "list_handled_events")
async def list_handled_events(
    session: Session,
    tenant_id: UUID,
    topic: str,
    partition: int,
    kind: str,
    group: str,
    limit: int,
) -> list[Row]:
    named = columns("event_id, data")
    found = [
        event
        for event in _events(session, tenant_id)
        if (event["topic"], event["partition"], event["type"]) == (topic, partition, kind)
        and session.get(INBOX, (group, event["event_id"])) is not None
    ]
    found.sort(key=lambda row: (row["xid"], row["seq"]), reverse=True)
    return [named(row) for row in found[:limit]]


@twin(KERNEL, "check_letters")
async def check_letters(
    session: Session, tenant_id: UUID, parked_before: datetime, limit: int
) -> list[Row]:
    named = columns("group_name, type, event_id, key, state, attempts, error")
    found = session.scan(
        LETTERS,
        where=lambda row: (
            row["tenant_id"] == tenant_id
            and (row["state"] == "dead" or row["parked_at"] < parked_before)
        ),
        order=lambda row: row["event_id"],
        limit=limit,
    )
    return [named(row) for row in found]


@twin(KERNEL, "check_flows")
async def check_flows(
    session: Session, tenant_id: UUID, due_before: datetime, limit: int
) -> list[Row]:
    named = columns("flow, key, state, deadline_at")
    late = [
        row
        for row in _running(session, tenant_id)
        if row["deadline_at"] is None or row["deadline_at"] < due_before
    ]
    late.sort(key=lambda row: (row["flow"], row["key"]))
    return [named(row) for row in late[:limit]]


@twin(KERNEL, "list_running_flows")
async def list_running_flows(session: Session, tenant_id: UUID, limit: int) -> list[Row]:
    named = columns("flow, key, state, deadline_at, started_at")
    running = _running(session, tenant_id)
    running.sort(key=lambda row: (row["started_at"], row["flow"], row["key"]))
    return [named(row) for row in running[:limit]]


@twin(KERNEL, "list_unhandled_events")
async def list_unhandled_events(
    session: Session, tenant_id: UUID, groups: Texts, types: Texts, limit: int
) -> list[Row]:
    named = columns("group_name, type, key, event_id, occurred_at")
    unhandled = [
        named({**event, "group_name": group})
        for event in _events(session, tenant_id)
        for group, kind in zip(groups, types, strict=True)
        if kind == event["type"] and session.get(INBOX, (group, event["event_id"])) is None
    ]
    unhandled.sort(key=lambda row: (row["event_id"], row["group_name"]))
    return unhandled[:limit]


@twin(KERNEL, "list_repeated_events")
async def list_repeated_events(
    session: Session, tenant_id: UUID, types: Texts, limit: int
) -> list[Row]:
    named = columns("type, key, times")
    counts = collections.Counter(
        (event["type"], event["key"])
        for event in _events(session, tenant_id)
        if event["type"] in types
    )
    repeated = [(kind, key) for (kind, key), count in counts.items() if count > 1]
    return [
        named({"type": kind, "key": key, "times": counts[kind, key]})
        for kind, key in sorted(repeated)[:limit]
    ]
