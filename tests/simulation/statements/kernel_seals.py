"""Twins of the statements of the keys that seal what is personal."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from tests.simulation.rows import Row
from tests.simulation.statements.kernel_log import KERNEL
from tests.simulation.statements.records import columns
from tests.simulation.storage import Session
from tests.simulation.twins import twin

DATA_KEYS, ROOT_KEYS = "kernel.data_keys", "kernel.root_keys"
_data_key = columns("number, serial, root, wrapped")
_root_key = columns("number, wrapped, created_at")


@twin(KERNEL, "find_data_keys")
async def find_data_keys(
    session: Session, tenant_ids: Sequence[UUID], subjects: Sequence[UUID]
) -> list[Row]:
    wanted = enumerate(zip(tenant_ids, subjects, strict=True), 1)
    found = ((number, session.get(DATA_KEYS, key)) for number, key in wanted)
    return [_data_key({**row, "number": number}) for number, row in found if row is not None]


@twin(KERNEL, "insert_data_keys")
async def insert_data_keys(
    session: Session,
    tenant_ids: Sequence[UUID],
    subjects: Sequence[UUID],
    serials: Sequence[bytes],
    root: int,
    wrapped: Sequence[bytes],
    now: datetime,
) -> int:
    made = 0
    for tenant_id, subject, serial, key in sorted(
        zip(tenant_ids, subjects, serials, wrapped, strict=True)
    ):
        made += await session.insert(
            DATA_KEYS,
            {
                "tenant_id": tenant_id, "subject": subject, "serial": serial, "root": root,
                "wrapped": key, "made_at": now,
            },
        )  # fmt: skip
    return made


@twin(KERNEL, "list_root_keys")
async def list_root_keys(session: Session, platform: UUID) -> list[Row]:
    rows = session.find(ROOT_KEYS, ("tenant_id",), (platform,), order=lambda row: row["number"])
    return [_root_key(row) for row in rows]


@twin(KERNEL, "insert_root_key")
async def insert_root_key(
    session: Session, platform: UUID, number: int, wrapped: str, now: datetime
) -> int:
    row = {"tenant_id": platform, "number": number, "wrapped": wrapped, "created_at": now}
    return int(await session.insert(ROOT_KEYS, row))
