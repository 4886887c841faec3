"""Second factors in PostgreSQL."""

from datetime import datetime
from uuid import UUID

from serai.contexts.identity.model.factors import Factor
from serai.kernel import queries
from serai.kernel.db import Tx

SQL = queries.load("serai.contexts.identity")


class PostgresFactors:
    """The port Factors."""

    async def save(
        self, tenant_id: UUID, account_id: UUID, sealed: str, *, now: datetime, tx: Tx
    ) -> bool:
        found = await tx.fetchval(SQL.save_factor, tenant_id, account_id, sealed, now)
        return found is not None

    async def lock(self, tenant_id: UUID, account_id: UUID, *, tx: Tx) -> Factor | None:
        row = await tx.fetchrow(SQL.lock_factor, tenant_id, account_id)
        if row is None:
            return None
        return Factor(
            row["account_id"], row["sealed_secret"], row["last_step"], tuple(row["spares"]),
            row["confirmed_at"],
        )  # fmt: skip

    async def is_there(self, tenant_id: UUID, account_id: UUID, *, tx: Tx) -> bool:
        return await tx.fetchval(SQL.find_factor, tenant_id, account_id) is not None

    async def update(self, tenant_id: UUID, factor: Factor, *, tx: Tx) -> None:
        await tx.execute(
            SQL.update_factor, tenant_id, factor.account_id, factor.last_step,
            list(factor.spares), factor.confirmed_at,
        )  # fmt: skip

    async def delete(self, tenant_id: UUID, account_id: UUID, *, tx: Tx) -> bool:
        return await tx.execute(SQL.delete_factor, tenant_id, account_id) > 0
