"""What tenancy offers to the command line: makes tenants and keys, each in one transaction."""

import asyncio
import secrets
from collections.abc import Sequence
from typing import TypeVar
from uuid import UUID

import msgspec

from serai.contexts.tenancy import handlers, model
from serai.contexts.tenancy.contract import (
    SCOPES,
    CreateKey,
    CreateTenant,
    IssuedKeyView,
    IssuedTenant,
    KeyView,
    Newcomers,
    NewKey,
    ReplaceSigner,
    RevokeKey,
    Standing,
    TenantErasing,
    TenantView,
    Tier,
)
from serai.contexts.tenancy.contract.domains import DomainNames
from serai.contexts.tenancy.contract.moves import Moves, MoveUnderWay
from serai.contexts.tenancy.gateways.key_news import KeyNews
from serai.contexts.tenancy.gateways.known_domains import KnownDomains
from serai.contexts.tenancy.gateways.standings import Standings
from serai.contexts.tenancy.ports import Tenants
from serai.kernel import departures, ids
from serai.kernel.actor import operator
from serai.kernel.changes import describe
from serai.kernel.db import Database
from serai.kernel.edge import Origins
from serai.kernel.events import Cause
from serai.kernel.failure import Refused
from serai.kernel.tenant import DIRECTORY, POOLED, Home
from serai.kernel.web import Authenticator

FIRST_LABEL = "first key"

T = TypeVar("T")


class Register:
    """`Tenancy`, as the operator of an installation uses it: no API key, but the database."""

    def __init__(
        self,
        database: Database,
        tenants: Tenants,
        *,
        authenticator: Authenticator,
        news: KeyNews,
        origins: Origins,
        standings: Standings,
        moves: Moves,
        newcomers: Newcomers,
        known: KnownDomains,
        domains: DomainNames,
    ) -> None:
        self._known = known
        self.moves = moves
        self._domains = domains
        self._standings = standings
        self._newcomers = newcomers
        self._database = database
        self._tenants = tenants
        self._authenticator = authenticator
        self._news = news
        self._origins = origins

    @property
    def origins(self) -> Origins:
        return self._origins

    async def find_by_host(self, host: str) -> UUID | None:
        return await self._known.find_by_host(host)

    @property
    def domains(self) -> DomainNames:
        return self._domains

    @property
    def newcomers(self) -> Newcomers:
        return self._newcomers

    @property
    def authenticator(self) -> Authenticator:
        return self._authenticator

    @property
    def watching(self) -> asyncio.Event:
        """Set while `watch_keys` is told of what others end."""
        return self._news.is_listening

    async def watch_keys(self) -> None:
        await self._news.run()

    def home_for(self, name: str, tier: Tier, *, database: str = "") -> Home:
        model.check_name(name)
        return model.home_for(name, tier, database=database)

    async def access_home(self, tenant_id: UUID) -> Home:
        return await self._standings.access_home(tenant_id)

    async def access_unproven_home(self, tenant_id: UUID) -> Home:
        return await self._standings.access_home(tenant_id, is_unproven_let_in=True)

    async def change_state(self, tenant_id: UUID, state: str) -> Standing:
        async with self._database.transaction(DIRECTORY, (tenant_id,)) as tx:
            found = await self._tenants.set_state(tx, tenant_id, state)
            if found is None:
                raise TenantErasing("its erasure has begun; `serai tenant erase` goes on with it")
            # The tenant is locked now, and so is it when a move begins.
            # What becomes of it while it is erased, its certificate says.
            subject = ("tenant", tenant_id)
            change = describe("tenancy.state_changed", subject, _cause(), after={"state": state})
            tx.record(tenant_id, change)
            if state == "erasing" and await self.moves.find(tx, tenant_id) is not None:
                raise MoveUnderWay("it is moving: let the move end, or undo it, then erase it")
        return found

    async def delete_tenant(self, tenant_id: UUID) -> None:
        async with self._database.transaction(DIRECTORY, (tenant_id,)) as tx:
            await self._tenants.delete_tenant(tx, tenant_id)

    async def list_standings(self, *, after: str, limit: int) -> list[Standing]:
        async with self._database.transaction(
            POOLED, (), is_transport=True, is_read_only=True
        ) as tx:
            return await self._tenants.list_standings(tx, after=after, limit=limit)

    async def find_standing(self, name: str) -> Standing | None:
        async with self._database.transaction(
            POOLED, (), is_transport=True, is_read_only=True
        ) as tx:
            return await self._tenants.find_named_standing(tx, name)

    async def create_tenant(
        self, name: str, *, scopes: Sequence[str], home: Home = POOLED
    ) -> IssuedTenant:
        model.check_name(name)
        tenant_id = ids.new_id()
        key, text = _draft(tenant_id, FIRST_LABEL, scopes)
        command = CreateTenant(tenant_id, name, home, key, _cause())
        async with self._database.transaction(DIRECTORY, (tenant_id,)) as tx:
            [made] = await handlers.create_tenants(
                [command], tx=tx, now=tx.now, tenants=self._tenants
            )
            tenant = _or_raise(made)
            if home != POOLED:
                await departures.mark_away(tenant_id, tx=tx)
        issued = IssuedKeyView(key.key_id, key.label, list(key.scopes), tenant.created_at, text)
        return IssuedTenant(tenant, issued)

    async def create_key(
        self, tenant_id: UUID, *, label: str, scopes: Sequence[str], signer: str | None = None
    ) -> IssuedKeyView:
        key, text = _draft(tenant_id, label, scopes)
        if signer is not None:
            key = msgspec.structs.replace(key, signer=model.read_signer(signer))
        async with self._database.transaction(DIRECTORY, (tenant_id,)) as tx:
            [made] = await handlers.create_keys(
                [CreateKey(tenant_id, key, _cause())], tx=tx, now=tx.now, tenants=self._tenants
            )
            view = _or_raise(made)
        return IssuedKeyView(view.id, view.label, view.scopes, view.created_at, text, view.signer)

    async def list_keys(self, tenant_id: UUID, *, limit: int) -> list[KeyView]:
        async with self._database.transaction(DIRECTORY, (tenant_id,), is_read_only=True) as tx:
            return await self._tenants.list_keys(tx, tenant_id, before=None, limit=limit)

    async def replace_signer(self, tenant_id: UUID, key_id: UUID, signer: str) -> KeyView:
        raw = model.read_signer(signer)
        # The operator could make a key with any scope: none of this one's is new to her.
        command = ReplaceSigner(tenant_id, key_id, raw, frozenset(SCOPES), _cause())
        async with self._database.transaction(DIRECTORY, (tenant_id,)) as tx:
            return await handlers.replace_signer(command, tx=tx, tenants=self._tenants)

    async def revoke_key(self, tenant_id: UUID, key_id: UUID) -> None:
        async with self._database.transaction(DIRECTORY, (tenant_id,)) as tx:
            [ended] = await handlers.revoke_keys(
                [RevokeKey(tenant_id, key_id, None, _cause())],
                tx=tx,
                now=tx.now,
                tenants=self._tenants,
            )
            _or_raise(ended)

    async def find_tenant(self, name: str) -> TenantView | None:
        async with self._database.transaction(
            POOLED, (), is_transport=True, is_read_only=True
        ) as tx:
            return await self._tenants.find_named(tx, name)

    async def list_tenants(self, *, after: str, limit: int) -> list[TenantView]:
        async with self._database.transaction(
            POOLED, (), is_transport=True, is_read_only=True
        ) as tx:
            return await self._tenants.list_tenants(tx, after=after, limit=limit)


def _draft(tenant_id: UUID, label: str, scopes: Sequence[str]) -> tuple[NewKey, str]:
    key_id = ids.new_id()
    text = model.write_key(tenant_id, key_id, secrets.token_urlsafe(model.SECRET_BYTES))
    chosen = model.choose_scopes(scopes, held=SCOPES)
    return NewKey(key_id, label, model.digest_of(text), chosen), text


def _cause() -> Cause:
    return Cause(ids.new_id(), actor=operator())


def _or_raise(result: T | Refused) -> T:
    if isinstance(result, Refused):
        raise result
    return result
