"""Passkeys and their challenges in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from serai.contexts.identity.contract import ROLES_MAX
from serai.contexts.identity.contract.passkeys import PASSKEYS_MAX
from serai.contexts.identity.model import roles
from serai.contexts.identity.model.passkeys import Challenge, Passkey
from serai.kernel import queries
from serai.kernel.db import Record, Tx

SQL = queries.load("serai.contexts.identity")
DEMANDING_MAX = ROLES_MAX + len(roles.READY_MADE)


class PostgresPasskeys:
    """The ports Passkeys and OldRows."""

    async def insert(self, tenant_id: UUID, passkey: Passkey, *, tx: Tx) -> bool:
        found = await tx.fetchval(
            SQL.insert_passkey, tenant_id, passkey.id, passkey.account_id, passkey.credential_id,
            passkey.public_key, passkey.rp_id, passkey.sign_count, passkey.is_backed_up,
            passkey.name, passkey.created_at,
        )  # fmt: skip
        return found is not None

    async def list_of(self, tenant_id: UUID, account_id: UUID, *, tx: Tx) -> list[Passkey]:
        rows = await tx.fetch(SQL.list_passkeys, tenant_id, account_id, PASSKEYS_MAX)
        return [_passkey(row) for row in rows]

    async def find(self, tenant_id: UUID, credential_id: bytes, *, tx: Tx) -> Passkey | None:
        row = await tx.fetchrow(SQL.find_passkey, tenant_id, credential_id)
        return None if row is None else _passkey(row)

    async def lock(
        self, tenant_id: UUID, passkey_id: UUID, account_id: UUID, *, tx: Tx
    ) -> Passkey | None:
        row = await tx.fetchrow(SQL.lock_passkey, tenant_id, passkey_id, account_id)
        return None if row is None else _passkey(row)

    async def update(self, tenant_id: UUID, passkey: Passkey, *, tx: Tx) -> None:
        await tx.execute(
            SQL.update_passkey, tenant_id, passkey.id, passkey.sign_count, passkey.is_backed_up,
            passkey.name, passkey.used_at,
        )  # fmt: skip

    async def delete(self, tenant_id: UUID, passkey_id: UUID, *, tx: Tx) -> None:
        await tx.execute(SQL.delete_passkey, tenant_id, passkey_id)

    async def delete_all(self, tenant_id: UUID, account_id: UUID, *, tx: Tx) -> int:
        return await tx.execute(SQL.delete_passkeys, tenant_id, account_id)

    async def add_challenge(
        self, tenant_id: UUID, challenge_id: UUID, account_id: UUID, challenge: Challenge, *,
        kept: int, tx: Tx,
    ) -> None:  # fmt: skip
        await tx.execute(
            SQL.insert_challenge, tenant_id, challenge_id, account_id, challenge.challenge,
            challenge.origin, challenge.rp_id, challenge.expires_at,
        )  # fmt: skip
        await tx.execute(SQL.delete_oldest_challenges, tenant_id, account_id, kept)

    async def take_challenge(
        self, tenant_id: UUID, challenge_id: UUID, account_id: UUID, *, now: datetime, tx: Tx
    ) -> Challenge | None:
        row = await tx.fetchrow(SQL.take_challenge, tenant_id, challenge_id, account_id)
        if row is None or row["expires_at"] <= now:
            return None
        return msgspec.convert(dict(row), Challenge)

    async def list_demanding(self, tenant_id: UUID, *, tx: Tx) -> list[str]:
        rows = await tx.fetch(SQL.list_factor_roles, tenant_id, DEMANDING_MAX)
        return [row["role"] for row in rows]

    async def save_demanding(self, tenant_id: UUID, names: Sequence[str], *, tx: Tx) -> None:
        await tx.execute(SQL.delete_factor_roles, tenant_id, list(names))
        await tx.execute(SQL.insert_factor_roles, tenant_id, list(names))

    async def prune(
        self, tenants: Sequence[UUID], *, before: datetime, now: datetime, limit: int, tx: Tx
    ) -> int:
        del before  # Nobody asks what became of a challenge.
        return await tx.execute(SQL.prune_challenges, tenants, now, limit)


def _passkey(row: Record) -> Passkey:
    return Passkey(
        row["id"], row["account_id"], row["credential_id"], row["public_key"], row["rp_id"],
        row["sign_count"], row["is_backed_up"], row["name"], row["created_at"], row["used_at"],
    )  # fmt: skip
