"""Signing keys in PostgreSQL, under the platform's own tenant."""

from collections.abc import Sequence
from datetime import datetime

from serai.contexts.identity.model.keys import PLATFORM, SigningKey
from serai.kernel import queries
from serai.kernel.db import Tx

SQL = queries.load("serai.contexts.identity")


class PostgresKeys:
    """The port Keys."""

    async def list_all(self, *, tx: Tx) -> list[SigningKey]:
        return [
            SigningKey(
                row["number"], row["id"], row["public_key"], row["sealed_key"], row["created_at"],
                row["signs_from"], row["revoked_at"],
            )
            for row in await tx.fetch(SQL.list_signing_keys, PLATFORM)
        ]  # fmt: skip

    async def add(self, key: SigningKey, *, tx: Tx) -> bool:
        number = await tx.fetchval(
            SQL.insert_signing_key, PLATFORM, key.number, key.id, key.public_key, key.sealed_key,
            key.created_at, key.signs_from,
        )  # fmt: skip
        return number is not None

    async def revoke(self, *, now: datetime, tx: Tx) -> int:
        return await tx.execute(SQL.revoke_signing_keys, PLATFORM, now)

    async def delete_old(self, numbers: Sequence[int], *, tx: Tx) -> int:
        return await tx.execute(SQL.delete_signing_keys, PLATFORM, list(numbers))
