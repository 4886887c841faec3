"""Erasures, consents and retention rules in PostgreSQL."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from serai.contexts.privacy.contract import ConsentView
from serai.contexts.privacy.model import Erasure
from serai.kernel import queries
from serai.kernel.db import Record, Tx

SQL = queries.load(__package__)
_encode = msgspec.json.Encoder().encode
_places = msgspec.json.Decoder(dict[str, UUID]).decode
_counts = msgspec.json.Decoder(dict[str, int]).decode


class PostgresRecords:
    """The port Records."""

    async def insert_erasure(self, erasure: Erasure, *, tx: Tx) -> None:
        await tx.execute(
            SQL.insert_erasure, erasure.tenant_id, erasure.id, erasure.subject,
            erasure.account_id, erasure.asked_at, erasure.asked_by, erasure.keys_erased,
            _encode(erasure.places), _encode(erasure.erased), erasure.finished_at,
        )  # fmt: skip

    async def lock_erasure(self, tenant_id: UUID, erasure_id: UUID, *, tx: Tx) -> Erasure | None:
        return _erasure(tenant_id, await tx.fetchrow(SQL.lock_erasure, tenant_id, erasure_id))

    async def update_erasure(self, erasure: Erasure, *, tx: Tx) -> None:
        await tx.execute(
            SQL.update_erasure, erasure.tenant_id, erasure.id, erasure.keys_erased,
            _encode(erasure.places), _encode(erasure.erased), erasure.finished_at,
        )  # fmt: skip

    async def find_erasure(self, tenant_id: UUID, erasure_id: UUID, *, tx: Tx) -> Erasure | None:
        return _erasure(tenant_id, await tx.fetchrow(SQL.find_erasure, tenant_id, erasure_id))

    async def list_running(
        self, tenants: Sequence[UUID], *, limit: int, tx: Tx
    ) -> list[tuple[UUID, UUID]]:
        rows = await tx.fetch(SQL.list_running_erasures, tenants, limit)
        return [(row["tenant_id"], row["id"]) for row in rows]

    async def insert_consent(
        self, tenant_id: UUID, subject: UUID, consent: ConsentView, *, tx: Tx
    ) -> None:
        await tx.execute(
            SQL.insert_consent, tenant_id, subject, consent.id, consent.purpose,
            consent.text_version, consent.is_given, consent.how, consent.at,
        )  # fmt: skip

    async def list_consents(
        self, tenant_id: UUID, subject: UUID, *, limit: int, tx: Tx
    ) -> list[ConsentView]:
        rows = await tx.fetch(SQL.list_consents, tenant_id, subject, limit)
        return [ConsentView(**dict(row)) for row in rows]

    async def empty_consents(self, tenant_id: UUID, subject: UUID, *, tx: Tx) -> int:
        return await tx.execute(SQL.empty_consents, tenant_id, subject)

    async def list_rules(
        self, tenants: Sequence[UUID], *, tx: Tx
    ) -> dict[tuple[UUID, str], tuple[int | None, UUID]]:
        rows = await tx.fetch(SQL.list_retention_rules, tenants)
        return {(row["tenant_id"], row["name"]): (row["days"], row["place"]) for row in rows}

    async def save_rule(self, tenant_id: UUID, name: str, days: int | None, *, tx: Tx) -> None:
        await tx.execute(SQL.save_retention_rule, tenant_id, name, days)

    async def move_rule(self, tenant_id: UUID, name: str, place: UUID, *, tx: Tx) -> None:
        await tx.execute(SQL.move_retention_rule, tenant_id, name, place)


def _erasure(tenant_id: UUID, row: Record | None) -> Erasure | None:
    if row is None:
        return None
    return Erasure(
        tenant_id, row["id"], row["subject"], row["account_id"], row["asked_at"], row["asked_by"],
        row["keys_erased"], _places(row["places"]), _counts(row["erased"]), row["finished_at"],
    )  # fmt: skip
