"""Keeps tenants and API keys in PostgreSQL. The directory lies in the pooled home's database."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from serai.contexts.tenancy.contract import (
    ORIGINS_MAX,
    CreateKey,
    CreateTenant,
    KeyView,
    OpenTenant,
    RevokeKey,
    Standing,
    TakeNonce,
    TenantView,
)
from serai.contexts.tenancy.contract.domains import DOMAINS_MAX, DomainTaken
from serai.contexts.tenancy.contract.moves import MoveUnderWay, MoveView
from serai.contexts.tenancy.model import Domain, KeyAddress, KeyRecord, tier_of, write_signer
from serai.kernel import queries
from serai.kernel.db import Record, Tx
from serai.kernel.tenant import POOLED, Home

SQL = queries.load(__package__)


class PostgresTenants:
    """`Tenants` over PostgreSQL."""

    async def insert_tenants(
        self, tx: Tx, commands: Sequence[CreateTenant], now: datetime
    ) -> set[UUID]:
        rows = await tx.fetch(
            SQL.insert_tenants,
            [c.tenant_id for c in commands],
            [c.name for c in commands],
            [c.home.name for c in commands],
            [c.home.database for c in commands],
            [c.home.prefix for c in commands],
            now,
        )
        return {row["tenant_id"] for row in rows}

    async def insert_unproven(
        self, tx: Tx, commands: Sequence[OpenTenant], now: datetime
    ) -> set[UUID]:
        rows = await tx.fetch(
            SQL.insert_unproven,
            [c.tenant_id for c in commands],
            [c.name for c in commands],
            POOLED.name,
            POOLED.database,
            POOLED.prefix,
            now,
        )
        return {row["tenant_id"] for row in rows}

    async def prove(self, tx: Tx, tenant_ids: Sequence[UUID]) -> set[UUID]:
        rows = await tx.fetch(SQL.prove_tenants, list(tenant_ids))
        for row in rows:
            await tx.execute(SQL.tell_standing, row["tenant_id"])
        return {row["tenant_id"] for row in rows}

    async def expire(self, tx: Tx, tenant_ids: Sequence[UUID]) -> None:
        await tx.execute(SQL.expire_tenants, list(tenant_ids))

    async def list_expired(self, tx: Tx, limit: int) -> list[UUID]:
        return [row["tenant_id"] for row in await tx.fetch(SQL.list_expired, limit)]

    async def delete_expired(self, tx: Tx, tenant_id: UUID) -> None:
        await tx.execute(SQL.delete_expired, tenant_id)

    async def insert_keys(self, tx: Tx, commands: Sequence[CreateKey], now: datetime) -> None:
        if not commands:
            return
        await tx.execute(
            SQL.insert_keys,
            [c.tenant_id for c in commands],
            [c.key.key_id for c in commands],
            [c.key.label for c in commands],
            [c.key.digest for c in commands],
            [" ".join(c.key.scopes) for c in commands],
            now,
            [c.key.signer for c in commands],
        )

    async def lock_tenants(self, tx: Tx, tenant_ids: Collection[UUID]) -> set[UUID]:
        rows = await tx.fetch(SQL.lock_tenants, list(tenant_ids))
        return {row["tenant_id"] for row in rows}

    async def count_keys(self, tx: Tx, tenant_ids: Collection[UUID]) -> Mapping[UUID, int]:
        rows = await tx.fetch(SQL.count_keys, list(tenant_ids))
        return {row["tenant_id"]: row["valid"] for row in rows}

    async def revoke_keys(
        self, tx: Tx, commands: Sequence[RevokeKey], now: datetime
    ) -> Mapping[UUID, KeyView]:
        rows = await tx.fetch(
            SQL.revoke_keys, [c.tenant_id for c in commands], [c.key_id for c in commands], now
        )
        return {row["key_id"]: _key(row) for row in rows}

    async def lock_key(self, tx: Tx, tenant_id: UUID, key_id: UUID) -> KeyView | None:
        row = await tx.fetchrow(SQL.lock_key, tenant_id, key_id)
        return None if row is None else _key(row)

    async def set_signer(self, tx: Tx, tenant_id: UUID, key_id: UUID, signer: bytes) -> None:
        await tx.execute(SQL.set_signer, tenant_id, key_id, signer)

    async def tell_changes(self, tx: Tx, key_ids: Collection[UUID]) -> None:
        if key_ids:
            await tx.execute(SQL.tell_changes, list(key_ids))

    async def find_key(self, tx: Tx, address: KeyAddress) -> KeyRecord | None:
        row = await tx.fetchrow(SQL.find_key, address.tenant_id, address.key_id)
        if row is None:
            return None
        return KeyRecord(
            tenant_id=row["tenant_id"],
            key_id=row["key_id"],
            home=_home(row),
            digest=row["digest"],
            scopes=frozenset(row["scopes"]),
            revoked_at=row["revoked_at"],
            state=row["state"],
            signer=row["signer"],
        )

    async def list_keys(
        self, tx: Tx, tenant_id: UUID, *, before: UUID | None, limit: int
    ) -> list[KeyView]:
        return [_key(row) for row in await tx.fetch(SQL.list_keys, tenant_id, before, limit)]

    async def find_tenant(self, tx: Tx, tenant_id: UUID) -> TenantView | None:
        row = await tx.fetchrow(SQL.find_tenant, tenant_id)
        return None if row is None else _tenant(row)

    async def find_named(self, tx: Tx, name: str) -> TenantView | None:
        row = await tx.fetchrow(SQL.find_named_tenant, name)
        return None if row is None else _tenant(row)

    async def list_tenants(self, tx: Tx, *, after: str, limit: int) -> list[TenantView]:
        return [_tenant(row) for row in await tx.fetch(SQL.list_tenants, after, limit)]

    async def find_standing(self, tx: Tx, tenant_id: UUID) -> tuple[Home, str] | None:
        row = await tx.fetchrow(SQL.find_standing, tenant_id)
        return None if row is None else (_home(row), row["state"])

    async def find_named_standing(self, tx: Tx, name: str) -> Standing | None:
        row = await tx.fetchrow(SQL.find_named_tenant, name)
        return None if row is None else _standing(row)

    async def list_standings(self, tx: Tx, *, after: str, limit: int) -> list[Standing]:
        return [_standing(row) for row in await tx.fetch(SQL.list_tenants, after, limit)]

    async def set_state(self, tx: Tx, tenant_id: UUID, state: str) -> Standing | None:
        row = await tx.fetchrow(SQL.set_state, tenant_id, state)
        await tx.execute(SQL.tell_standing, tenant_id)
        return None if row is None else _standing(row)

    async def delete_tenant(self, tx: Tx, tenant_id: UUID) -> bool:
        return await tx.fetchval(SQL.delete_tenant, tenant_id) is not None

    async def find_home(self, tx: Tx, tenant_id: UUID) -> Home | None:
        row = await tx.fetchrow(SQL.find_home, tenant_id)
        return None if row is None else _home(row)

    async def list_homes(self, tx: Tx) -> list[Home]:
        return [_home(row) for row in await tx.fetch(SQL.list_homes)]

    async def list_residents(
        self, tx: Tx, home: str, *, after: UUID | None, limit: int
    ) -> list[UUID]:
        rows = await tx.fetch(SQL.list_residents, home, after, limit)
        return [row["tenant_id"] for row in rows]


class PostgresMoves:
    """The contract's Protocol Moves over PostgreSQL."""

    async def hold(self, tx: Tx, tenant_id: UUID) -> bool:
        return bool(await tx.fetchval(SQL.hold_move, tenant_id))

    async def begin(self, tx: Tx, view: MoveView) -> MoveView:
        begun = await tx.fetchval(
            SQL.insert_move, view.tenant_id, view.move_id,
            view.source.name, view.source.database, view.source.prefix,
            view.target.name, view.target.database, view.target.prefix, view.started_at,
        )  # fmt: skip
        if begun is None:
            raise MoveUnderWay("a move of this tenant has not ended, or it is not served now")
        return view

    async def note(
        self, tx: Tx, move: MoveView, step: str, now: datetime, *, error: str | None = None
    ) -> MoveView:
        await tx.execute(
            SQL.note_move, move.tenant_id, move.move_id, step, move.rows, move.refused_ms, error,
            now,
        )  # fmt: skip
        return msgspec.structs.replace(move, step=step, error=error, updated_at=now)

    async def switch(self, tx: Tx, move: MoveView) -> None:
        home = move.target
        args = (move.tenant_id, home.name, home.database, home.prefix)
        count = await tx.execute(SQL.switch_home, *args)
        assert count == 1, "a tenant that moves is in the directory"
        await tx.execute(SQL.tell_standing, move.tenant_id)

    async def find(self, tx: Tx, tenant_id: UUID) -> MoveView | None:
        rows = await tx.fetch(SQL.list_moves, tenant_id, 1)
        return _move(rows[0]) if rows else None

    async def list_all(self, tx: Tx, limit: int) -> list[MoveView]:
        return [_move(row) for row in await tx.fetch(SQL.list_moves, None, limit)]


class PostgresOrigins:
    """`TenantOrigins` over PostgreSQL."""

    async def replace(self, tx: Tx, tenant_id: UUID, origins: Sequence[str]) -> None:
        await tx.execute(SQL.delete_origins, tenant_id, list(origins))
        await tx.execute(SQL.insert_origins, tenant_id, list(origins))

    async def list_of(self, tx: Tx, tenant_id: UUID) -> list[str]:
        rows = await tx.fetch(SQL.list_origins, tenant_id, ORIGINS_MAX)
        return [row["origin"] for row in rows]

    async def is_known(self, tx: Tx, origin: str) -> bool:
        row = await tx.fetchrow(SQL.find_origin, origin)
        return row is not None and bool(row["is_known"])


class PostgresNonces:
    """`Nonces` over PostgreSQL."""

    async def take(self, tx: Tx, commands: Sequence[TakeNonce]) -> set[tuple[UUID, str]]:
        rows = await tx.fetch(
            SQL.take_nonces,
            [c.tenant_id for c in commands],
            [c.key_id for c in commands],
            [c.nonce for c in commands],
            [c.until for c in commands],
        )
        return {(row["key_id"], row["nonce"]) for row in rows}

    async def drop_over(self, tx: Tx, now: datetime, limit: int) -> int:
        return await tx.execute(SQL.drop_nonces, now, limit)


class PostgresDomains:
    """`Domains` over PostgreSQL."""

    async def list_of(self, tx: Tx, tenant_id: UUID, now: datetime) -> list[Domain]:
        rows = await tx.fetch(SQL.list_domains, tenant_id, now, DOMAINS_MAX)
        return [_domain(tenant_id, row) for row in rows]

    async def claim(self, tx: Tx, domain: Domain) -> None:
        await tx.execute(SQL.delete_stale_claims, domain.tenant_id, domain.created_at)
        await tx.execute(
            SQL.insert_domain, domain.tenant_id, domain.name, domain.token, domain.created_at,
            domain.expires_at,
        )  # fmt: skip

    async def prove(
        self, tx: Tx, tenant_id: UUID, name: str, *, now: datetime, check_at: datetime
    ) -> None:
        try:
            await tx.execute(SQL.prove_domain, tenant_id, name, now, check_at)
        except asyncpg.UniqueViolationError as error:
            raise DomainTaken("another tenant has proven this domain meanwhile") from error

    async def list_due(self, tx: Tx, now: datetime, limit: int) -> list[tuple[UUID, str]]:
        rows = await tx.fetch(SQL.list_due_domains, now, limit)
        return [(row["tenant_id"], row["domain"]) for row in rows]

    async def take_due(
        self, tx: Tx, tenant_id: UUID, name: str, *, now: datetime, until: datetime
    ) -> Domain | None:
        row = await tx.fetchrow(SQL.take_due_domain, tenant_id, name, now, until)
        return None if row is None else _domain(tenant_id, row)

    async def lock(self, tx: Tx, tenant_id: UUID, name: str) -> Domain | None:
        row = await tx.fetchrow(SQL.lock_domain, tenant_id, name)
        return None if row is None else _domain(tenant_id, row)

    async def save_check(self, tx: Tx, domain: Domain, check_at: datetime) -> None:
        await tx.execute(
            SQL.save_domain_check, domain.tenant_id, domain.name, domain.proven_at,
            domain.checked_at, domain.misses, domain.suspended_at, check_at,
        )  # fmt: skip

    async def delete(self, tx: Tx, tenant_id: UUID, name: str) -> bool:
        return await tx.execute(SQL.delete_domain, tenant_id, name) > 0

    async def find_owner(self, tx: Tx, name: str) -> UUID | None:
        found: UUID | None = await tx.fetchval(SQL.find_domain_owner, name)
        return found


def _domain(tenant_id: UUID, row: Record) -> Domain:
    return Domain(
        tenant_id, row["domain"], row["token"], row["created_at"], row["expires_at"],
        row["proven_at"], row["checked_at"], row["misses"], row["suspended_at"],
    )  # fmt: skip


def _home(row: Record) -> Home:
    return Home(row["home"], row["home_database"], row["home_prefix"])


def _tenant(row: Record) -> TenantView:
    return TenantView(row["tenant_id"], row["name"], row["home"], row["created_at"])


def _standing(row: Record) -> Standing:
    home = _home(row)
    return Standing(
        row["tenant_id"], row["name"], home, tier_of(home), row["state"], row["created_at"]
    )


def _move(row: Record) -> MoveView:
    source = Home(row["source"], row["source_database"], row["source_prefix"])
    target = Home(row["target"], row["target_database"], row["target_prefix"])
    return MoveView(
        row["name"], row["tenant_id"], row["move_id"], source, target, row["step"], row["rows"],
        row["refused_ms"], row["error"], row["started_at"], row["updated_at"], row["ended_at"],
    )  # fmt: skip


def _key(row: Record) -> KeyView:
    signer = row["signer"]
    return KeyView(
        row["key_id"], row["label"], list(row["scopes"]), row["created_at"], row["revoked_at"],
        None if signer is None else write_signer(signer),
    )  # fmt: skip
