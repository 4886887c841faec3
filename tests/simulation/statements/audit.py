"""Twins of the statements of the audit trail: those of its consumer, its job and its checks."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from tests.simulation.rows import Row
from tests.simulation.statements.records import columns
from tests.simulation.storage import Session
from tests.simulation.twins import twin

HERE = "serai.contexts.audit"
ENTRIES, ANCHORS = "audit.entries", "audit.anchors"
Ids = Sequence[UUID]
Texts = Sequence[str]

NAMES = (
    "tenant_id", "seq", "recorded_at", "event_id", "action", "actor_kind", "actor_id", "address",
    "subject_kind", "subject_id", "correlation_id", "causation_id", "request_id", "detail",
    "previous", "hash",
)  # fmt: skip
_entry = columns(", ".join(NAMES))


@twin(HERE, "find_heads")
async def find_heads(session: Session, tenants: Ids) -> list[Row]:
    named = columns("tenant_id, seq, hash")
    heads = []
    for tenant_id in tenants:
        found = session.find(ENTRIES, ("tenant_id",), (tenant_id,))
        if found:
            heads.append(named(max(found, key=lambda row: row["seq"])))
    return heads


@twin(HERE, "insert_entries")
async def insert_entries(
    session: Session,
    tenant_ids: Ids,
    seqs: Sequence[int],
    recorded: Sequence[datetime],
    event_ids: Ids,
    actions: Texts,
    actor_kinds: Texts,
    actor_ids: Ids,
    addresses: Sequence[str | None],
    subject_kinds: Texts,
    subject_ids: Texts,
    correlations: Ids,
    causations: Sequence[UUID | None],
    request_ids: Sequence[str | None],
    details: Sequence[bytes],
    previous: Sequence[bytes],
    hashes: Sequence[bytes],
) -> int:
    given = zip(
        tenant_ids, seqs, recorded, event_ids, actions, actor_kinds, actor_ids, addresses,
        subject_kinds, subject_ids, correlations, causations, request_ids, details, previous,
        hashes, strict=True,
    )  # fmt: skip
    rows = [dict(zip(NAMES, values, strict=True)) for values in given]
    for row in sorted(rows, key=lambda row: (row["tenant_id"], row["seq"])):
        await session.insert_new(ENTRIES, row)
    for row in rows:
        before = session.get(ENTRIES, (row["tenant_id"], row["seq"] - 1))
        expected = bytes(32) if row["seq"] == 1 else before and before["hash"]
        if row["previous"] != expected:
            raise asyncpg.IntegrityConstraintViolationError(
                "an entry of the audit trail does not follow the one before it"
            )
    return len(rows)


@twin(HERE, "find_entry")
async def find_entry(session: Session, tenant_id: UUID, seq: int) -> list[Row]:
    row = session.get(ENTRIES, (tenant_id, seq))
    return [] if row is None else [_entry(row)]


@twin(HERE, "read_piece")
async def read_piece(session: Session, tenant_id: UUID, after: int, limit: int) -> list[Row]:
    found = session.find(
        ENTRIES,
        ("tenant_id",),
        (tenant_id,),
        where=lambda row: row["seq"] > after,
        order=lambda row: row["seq"],
        limit=limit,
    )
    return [_entry(row) for row in found]


@twin(HERE, "find_anchor")
async def find_anchor(session: Session, tenant_id: UUID) -> list[Row]:
    named = columns("seq, hash")
    found = session.find(ANCHORS, ("tenant_id",), (tenant_id,))
    return [named(max(found, key=lambda row: row["seq"]))] if found else []


@twin(HERE, "forget_entries")
async def forget_entries(session: Session, tenant_id: UUID, limit: int) -> list[Row]:
    """A history is shorter than the retention, so that it has nothing to drop."""
    del limit
    if tenant_id not in session.tenants:
        raise asyncpg.InsufficientPrivilegeError("this transaction does not act for that tenant")
    return [Row({"forget": 0})]
