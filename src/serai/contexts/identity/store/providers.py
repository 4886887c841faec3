"""Providers, links and sign-ins under way in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from serai.contexts.identity.contract import AccountKind
from serai.contexts.identity.contract.providers import PROVIDERS_MAX
from serai.contexts.identity.model.providers import Provider, Try
from serai.kernel import queries
from serai.kernel.db import Record, Tx

SQL = queries.load("serai.contexts.identity")


class PostgresProviders:
    """The ports Providers and OldRows."""

    async def insert(self, tenant_id: UUID, provider: Provider, *, tx: Tx) -> bool:
        found = await tx.fetchval(
            SQL.insert_provider, tenant_id, provider.id, provider.kind, provider.name,
            provider.issuer, provider.client_id, provider.sealed_secret,
            list(provider.email_domains), provider.is_enabled, provider.created_at,
        )  # fmt: skip
        return found is not None

    async def list_all(self, tenant_id: UUID, *, tx: Tx) -> list[Provider]:
        rows = await tx.fetch(SQL.list_providers, tenant_id, PROVIDERS_MAX)
        return [msgspec.convert(dict(row), Provider) for row in rows]

    async def find(self, tenant_id: UUID, provider_id: UUID, *, tx: Tx) -> Provider | None:
        return _provider(await tx.fetchrow(SQL.find_provider, tenant_id, provider_id))

    async def lock(self, tenant_id: UUID, provider_id: UUID, *, tx: Tx) -> Provider | None:
        return _provider(await tx.fetchrow(SQL.lock_provider, tenant_id, provider_id))

    async def update(self, tenant_id: UUID, provider: Provider, *, tx: Tx) -> None:
        await tx.execute(
            SQL.update_provider, tenant_id, provider.id, provider.name, provider.client_id,
            provider.sealed_secret, list(provider.email_domains), provider.is_enabled,
            provider.version,
        )  # fmt: skip

    async def delete(self, tenant_id: UUID, provider_id: UUID, *, tx: Tx) -> None:
        await tx.execute(SQL.delete_provider, tenant_id, provider_id)

    async def find_link(
        self, tenant_id: UUID, kind: AccountKind, issuer: str, subject: str, *, tx: Tx
    ) -> UUID | None:
        found: UUID | None = await tx.fetchval(SQL.find_link, tenant_id, kind, issuer, subject)
        return found

    async def add_link(
        self, tenant_id: UUID, kind: AccountKind, issuer: str, subject: str, account_id: UUID, *,
        tx: Tx,
    ) -> bool:  # fmt: skip
        found = await tx.fetchval(
            SQL.insert_link, tenant_id, kind, issuer, subject, account_id, tx.now
        )
        return found is not None

    async def delete_links(self, tenant_id: UUID, account_id: UUID, *, tx: Tx) -> int:
        return await tx.execute(SQL.delete_links, tenant_id, account_id)

    async def add_try(
        self, tenant_id: UUID, state: bytes, tried: Try, *, kept: int, tx: Tx
    ) -> None:
        await tx.execute(
            SQL.insert_try, tenant_id, state, tried.provider_id, tried.binding, tried.sealed,
            tried.redirect_uri, tried.expires_at,
        )  # fmt: skip
        await tx.execute(SQL.delete_oldest_tries, tenant_id, kept)

    async def take_try(self, tenant_id: UUID, state: bytes, *, now: datetime, tx: Tx) -> Try | None:
        row = await tx.fetchrow(SQL.take_try, tenant_id, state)
        if row is None or row["expires_at"] <= now:
            return None
        return msgspec.convert(dict(row), Try)

    async def prune(
        self, tenants: Sequence[UUID], *, before: datetime, now: datetime, limit: int, tx: Tx
    ) -> int:
        del before  # Nobody asks what became of a sign-in that was left.
        return await tx.execute(SQL.prune_tries, tenants, now, limit)


def _provider(row: Record | None) -> Provider | None:
    return None if row is None else msgspec.convert(dict(row), Provider)
