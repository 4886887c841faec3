"""Accounts and roles in PostgreSQL."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from serai.contexts.identity.contract import (
    ACCOUNT_EMAIL,
    ACCOUNT_NAME,
    ROLES_MAX,
    AccountKind,
    Conditions,
    RoleView,
)
from serai.contexts.identity.model import roles
from serai.contexts.identity.model.accounts import Account, email_key, person_of
from serai.contexts.identity.model.roles import Powers
from serai.contexts.identity.ports import SealedAddress
from serai.kernel import conditions, queries
from serai.kernel.db import Record, Tx
from serai.kernel.sealed import Person, Plain, Sealed

SQL = queries.load("serai.contexts.identity")
COUNTED_MAX = 10


class PostgresAccounts:
    """The port Accounts."""

    async def insert(self, account: Account, *, tx: Tx) -> SealedAddress | None:
        subject, rests = await seal_address(
            person_of(account.tenant_id, account.kind, account.email), account.name,
            places=(ACCOUNT_EMAIL, ACCOUNT_NAME), tx=tx,
        )  # fmt: skip
        found = await tx.fetchval(
            SQL.insert_account, account.tenant_id, account.id, account.kind, rests.email,
            subject.hex, rests.name, account.password_hash, list(account.roles),
            account.created_at, email_key(account.email),
        )  # fmt: skip
        return None if found is None else rests

    async def find_named(
        self, tenant_id: UUID, kind: AccountKind, key: str, *, tx: Tx
    ) -> Account | None:
        (subject,) = await tx.find_subjects([person_of(tenant_id, kind, key)])
        row = await tx.fetchrow(SQL.find_named_account, tenant_id, kind, [subject.hex, key])
        return await _find(row, tx=tx)

    async def find(self, tenant_id: UUID, account_id: UUID, *, tx: Tx) -> Account | None:
        return await _find(await tx.fetchrow(SQL.find_account, tenant_id, account_id), tx=tx)

    async def lock(self, tenant_id: UUID, account_id: UUID, *, tx: Tx) -> Account | None:
        return await _find(await tx.fetchrow(SQL.lock_account, tenant_id, account_id), tx=tx)

    async def update(self, account: Account, *, tx: Tx) -> None:
        await tx.execute(
            SQL.update_account, account.tenant_id, account.id, account.password_hash,
            list(account.roles), account.version, account.suspended_at,
        )  # fmt: skip

    async def list_page(
        self, tenant_id: UUID, kind: AccountKind, *, before: UUID, limit: int, tx: Tx
    ) -> list[Account]:
        rows = await tx.fetch(SQL.list_accounts, tenant_id, kind, before, limit)
        return await _open(rows, tx=tx)

    async def count_seats(self, tenant_id: UUID, *, tx: Tx) -> int:
        found: int = await tx.fetchval(SQL.count_seats, tenant_id)
        return found

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
        self, tenant_id: UUID, name: str, scopes: Sequence[str], conditions: Conditions, *,
        now: datetime, tx: Tx,
    ) -> RoleView:  # fmt: skip
        data = msgspec.json.encode(conditions)
        row = await tx.fetchrow(SQL.save_role, tenant_id, name, list(scopes), now, data)
        assert row is not None, "an upsert returns its row"
        return _role(row)

    async def delete(self, tenant_id: UUID, name: str, *, tx: Tx) -> bool:
        return await tx.execute(SQL.delete_role, tenant_id, name) > 0

    async def lock_all(self, tenant_id: UUID, *, tx: Tx) -> None:
        await tx.execute(SQL.lock_roles, tenant_id)


async def open_powers(tenant_id: UUID, row: Record, *, tx: Tx) -> Powers:
    """What the roles of a row may do now; they give nothing to who lacks a factor one asks for."""
    names: Sequence[str] = () if row["lacks_factor"] else row["roles"]
    own: dict[str, RoleView] = {}
    if not set(names) <= set(roles.READY_MADE):
        listed = await tx.fetch(SQL.list_roles, tenant_id, ROLES_MAX)
        own = {role["name"]: _role(role) for role in listed if role["name"] in names}
    powers = roles.powers_of(names, own)
    if powers.limits:
        # The file of a time zone is read here, once, and in a thread: no request waits for it.
        await asyncio.to_thread(conditions.learn, powers.limits.values())
    return powers


async def seal_address(
    person: Person, name: str, *, places: tuple[str, str], tx: Tx
) -> tuple[UUID, SealedAddress]:
    """Who a person is, and her address and name as they may rest in these places."""
    (subject,) = await tx.find_subjects([person])
    email, named = await tx.seal([
        Plain(person.tenant_id, subject, places[0], person.email),
        Plain(person.tenant_id, subject, places[1], name),
    ])  # fmt: skip
    return subject, SealedAddress(email, named)


async def _find(row: Record | None, *, tx: Tx) -> Account | None:
    return None if row is None else (await _open([row], tx=tx))[0]


async def _open(rows: Sequence[Record], *, tx: Tx) -> list[Account]:
    """Accounts with their addresses and names; of one who is being erased they are empty."""
    emails = [Sealed(row["tenant_id"], ACCOUNT_EMAIL, row["email"]) for row in rows]
    names = [Sealed(row["tenant_id"], ACCOUNT_NAME, row["name"]) for row in rows]
    texts = await tx.unseal([*emails, *names])
    return [
        Account(
            tenant_id=row["tenant_id"], id=row["id"], kind=row["kind"], email=email or "",
            name=name or "", password_hash=row["password_hash"], roles=tuple(row["roles"]),
            version=row["version"], created_at=row["created_at"], suspended_at=row["suspended_at"],
        )
        for row, email, name in zip(rows, texts[: len(rows)], texts[len(rows) :], strict=True)
    ]  # fmt: skip


def _role(row: Record) -> RoleView:
    return RoleView(
        row["name"], list(row["scopes"]), is_ready_made=False, version=row["version"],
        conditions=msgspec.json.decode(row["conditions"]),
    )  # fmt: skip
