"""Accounts and roles in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from serai.contexts.identity.contract import ROLES_MAX, AccountKind, RoleView
from serai.contexts.identity.model.accounts import Account, email_key
from serai.kernel import queries
from serai.kernel.db import Record, Tx

SQL = queries.load("serai.contexts.identity")
COUNTED_MAX = 10


class PostgresAccounts:
    """The port Accounts."""

    async def insert(self, account: Account, *, tx: Tx) -> bool:
        found = await tx.fetchval(
            SQL.insert_account, account.tenant_id, account.id, account.kind, account.email,
            email_key(account.email), account.name, account.password_hash, list(account.roles),
            account.created_at,
        )  # fmt: skip
        return found is not None

    async def find_named(
        self, tenant_id: UUID, kind: AccountKind, key: str, *, tx: Tx
    ) -> Account | None:
        return _account(await tx.fetchrow(SQL.find_named_account, tenant_id, kind, key))

    async def find(self, tenant_id: UUID, account_id: UUID, *, tx: Tx) -> Account | None:
        return _account(await tx.fetchrow(SQL.find_account, tenant_id, account_id))

    async def lock(self, tenant_id: UUID, account_id: UUID, *, tx: Tx) -> Account | None:
        return _account(await tx.fetchrow(SQL.lock_account, tenant_id, account_id))

    async def update(self, account: Account, *, tx: Tx) -> None:
        await tx.execute(
            SQL.update_account, account.tenant_id, account.id, account.name,
            account.password_hash, list(account.roles), account.version, account.suspended_at,
        )  # fmt: skip

    async def list_page(
        self, tenant_id: UUID, kind: AccountKind, *, before: UUID, limit: int, tx: Tx
    ) -> list[Account]:
        rows = await tx.fetch(SQL.list_accounts, tenant_id, kind, before, limit)
        return [account for row in rows if (account := _account(row)) is not None]

    async def count_with_role(
        self, tenant_id: UUID, role: str, *, is_everyone: bool, but: UUID, tx: Tx
    ) -> int:
        found: int = await tx.fetchval(
            SQL.count_accounts_with_role, tenant_id, role, COUNTED_MAX, is_everyone, but
        )
        return found


class PostgresRoles:
    """The port Roles."""

    async def list_own(self, tenant_id: UUID, *, tx: Tx) -> list[RoleView]:
        return [_role(row) for row in await tx.fetch(SQL.list_roles, tenant_id, ROLES_MAX)]

    async def save(
        self, tenant_id: UUID, name: str, scopes: Sequence[str], *, now: datetime, tx: Tx
    ) -> RoleView:
        row = await tx.fetchrow(SQL.save_role, tenant_id, name, list(scopes), now)
        assert row is not None, "an upsert returns its row"
        return _role(row)

    async def delete(self, tenant_id: UUID, name: str, *, tx: Tx) -> bool:
        return await tx.execute(SQL.delete_role, tenant_id, name) > 0

    async def lock_all(self, tenant_id: UUID, *, tx: Tx) -> None:
        await tx.execute(SQL.lock_roles, tenant_id)


def _account(row: Record | None) -> Account | None:
    if row is None:
        return None
    return Account(
        tenant_id=row["tenant_id"], id=row["id"], kind=row["kind"], email=row["email"],
        name=row["name"], password_hash=row["password_hash"], roles=tuple(row["roles"]),
        version=row["version"], created_at=row["created_at"], suspended_at=row["suspended_at"],
    )  # fmt: skip


def _role(row: Record) -> RoleView:
    return RoleView(row["name"], list(row["scopes"]), is_ready_made=False, version=row["version"])
