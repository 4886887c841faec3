"""Twins of the statements of returns."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from tests.simulation.rows import Row
from tests.simulation.statements.changing import keys_of, lock_each
from tests.simulation.statements.records import columns
from tests.simulation.storage import Session
from tests.simulation.twins import twin

HERE = "serai.contexts.returns"
RETURNS = "returns.returns"
Ids = Sequence[UUID]

_return = columns(
    "tenant_id, id, order_id, status, reason, currency, refund_minor, is_restocked, lines, "
    "created_at, settled_at"
)


@twin(HERE, "insert_returns")
async def insert_returns(
    session: Session,
    tenant_ids: Ids,
    ids: Ids,
    order_ids: Ids,
    statuses: Sequence[str],
    reasons: Sequence[str],
    currencies: Sequence[str],
    refunds: Sequence[int],
    are_restocked: Sequence[bool],
    lines: Sequence[bytes],
    created: Sequence[datetime],
) -> int:
    names = (
        "tenant_id", "id", "order_id", "status", "reason", "currency", "refund_minor",
        "is_restocked", "lines", "created_at",
    )  # fmt: skip
    given = zip(
        tenant_ids, ids, order_ids, statuses, reasons, currencies, refunds, are_restocked, lines,
        created, strict=True,
    )  # fmt: skip
    for values in sorted(given, key=lambda values: values[:2]):
        row = dict(zip(names, values, strict=True))
        await session.insert_new(RETURNS, row | {"settled_at": None, "accepted_at": None})
    return len(ids)


@twin(HERE, "move_returns")
async def move_returns(
    session: Session,
    tenant_ids: Ids,
    ids: Ids,
    status: str,
    standing: Sequence[str],
    now: datetime,
) -> int:
    keys = sorted(set(keys_of(tenant_ids, ids)))
    wanted = await lock_each(session, RETURNS, keys, lambda row: row["status"] in standing)
    settled_at = now if status == "refunded" else None
    for row in wanted:
        key = (row["tenant_id"], row["id"])
        await session.update(RETURNS, key, status=status, settled_at=settled_at)
    return len(wanted)


@twin(HERE, "find_return")
async def find_return(session: Session, tenant_id: UUID, return_id: UUID) -> list[Row]:
    row = session.get(RETURNS, (tenant_id, return_id))
    return [] if row is None else [_return(row)]


@twin(HERE, "list_returns")
async def list_returns(session: Session, tenant_id: UUID, below: UUID, limit: int) -> list[Row]:
    found = session.find(RETURNS, ("tenant_id",), (tenant_id,), where=lambda row: row["id"] < below)
    found.sort(key=lambda row: row["id"], reverse=True)
    return [_return(row) for row in found[:limit]]


@twin(HERE, "list_returns_of_order")
async def list_returns_of_order(
    session: Session, tenant_id: UUID, below: UUID, limit: int, order_id: UUID
) -> list[Row]:
    found = session.find(
        RETURNS,
        ("tenant_id", "order_id"),
        (tenant_id, order_id),
        where=lambda row: row["id"] < below,
    )
    found.sort(key=lambda row: row["id"], reverse=True)
    return [_return(row) for row in found[:limit]]


@twin(HERE, "check_returns")
async def check_returns(session: Session, tenant_id: UUID, after: UUID, limit: int) -> list[Row]:
    named = columns("id, refund_minor, status, created_at, lines_minor")
    page = session.find(
        RETURNS,
        ("tenant_id",),
        (tenant_id,),
        where=lambda row: row["id"] > after,
        order=lambda row: row["id"],
        limit=limit,
    )
    return [named(row | {"lines_minor": _sum_of(row["lines"])}) for row in page]


def _sum_of(lines: bytes) -> int:
    return sum(line["refund_minor"] for line in msgspec.json.decode(lines))
