"""What tenancy needs of the world: a place for tenants and keys, and a way to look a key up."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from serai.contexts.tenancy.contract import (
    CreateKey,
    CreateTenant,
    KeyView,
    OpenTenant,
    RevokeKey,
    Standing,
    TenantView,
)
from serai.contexts.tenancy.model import Domain, KeyAddress, KeyRecord
from serai.kernel.db import Tx
from serai.kernel.tenant import Home

LookUp = Callable[[KeyAddress], Awaitable[KeyRecord | None]]
"""Reads a key as it is now, in a transaction of its own that sees the key's tenant only."""


class Tenants(Protocol):
    """Keeps tenants and their API keys."""

    async def insert_tenants(
        self, tx: Tx, commands: Sequence[CreateTenant], now: datetime
    ) -> set[UUID]:
        """Adds tenants; the ids of those whose name was free."""
        ...

    async def insert_unproven(
        self, tx: Tx, commands: Sequence[OpenTenant], now: datetime
    ) -> set[UUID]:
        """Adds unproven tenants in the pooled home; the ids of those whose name was free."""
        ...

    async def prove(self, tx: Tx, tenant_ids: Sequence[UUID]) -> set[UUID]:
        """Makes unproven tenants active, and tells every process; those that it made so."""
        ...

    async def expire(self, tx: Tx, tenant_ids: Sequence[UUID]) -> None:
        """Gives tenants up that are unproven still."""
        ...

    async def list_expired(self, tx: Tx, limit: int) -> list[UUID]:
        """Tenants that were given up; across tenants."""
        ...

    async def delete_expired(self, tx: Tx, tenant_id: UUID) -> None:
        """Takes a tenant that was given up out of the directory."""
        ...

    async def insert_keys(self, tx: Tx, commands: Sequence[CreateKey], now: datetime) -> None:
        """Adds API keys."""
        ...

    async def lock_tenants(self, tx: Tx, tenant_ids: Collection[UUID]) -> set[UUID]:
        """Locks tenants in the order of their ids; the ids of those that exist."""
        ...

    async def count_keys(self, tx: Tx, tenant_ids: Collection[UUID]) -> Mapping[UUID, int]:
        """How many valid keys each tenant has; absent where none."""
        ...

    async def revoke_keys(
        self, tx: Tx, commands: Sequence[RevokeKey], now: datetime
    ) -> Mapping[UUID, KeyView]:
        """Ends keys; those that exist, as they are now, by id. The first time of ending stays."""
        ...

    async def tell_revocations(self, tx: Tx, key_ids: Collection[UUID]) -> None:
        """Tells every process, with the commit, that keys have ended."""
        ...

    async def find_key(self, tx: Tx, address: KeyAddress) -> KeyRecord | None:
        """A key and where its tenant lives."""
        ...

    async def list_keys(
        self, tx: Tx, tenant_id: UUID, *, before: UUID | None, limit: int
    ) -> list[KeyView]:
        """A tenant's keys, newest first, from the first before `before` on."""
        ...

    async def find_tenant(self, tx: Tx, tenant_id: UUID) -> TenantView | None:
        """A tenant by its id."""
        ...

    async def find_named(self, tx: Tx, name: str) -> TenantView | None:
        """A tenant by its name; across tenants, so only the transport sees it."""
        ...

    async def list_tenants(self, tx: Tx, *, after: str, limit: int) -> list[TenantView]:
        """Tenants in the order of their names; across tenants."""
        ...

    async def find_standing(self, tx: Tx, tenant_id: UUID) -> tuple[Home, str] | None:
        """Where a tenant lives, and its state."""
        ...

    async def find_named_standing(self, tx: Tx, name: str) -> Standing | None:
        """A tenant by its name; across tenants."""
        ...

    async def list_standings(self, tx: Tx, *, after: str, limit: int) -> list[Standing]:
        """Tenants in the order of their names; across tenants."""
        ...

    async def set_state(self, tx: Tx, tenant_id: UUID, state: str) -> Standing | None:
        """Changes a tenant's state and tells every process; None where its erasure has begun."""
        ...

    async def delete_tenant(self, tx: Tx, tenant_id: UUID) -> bool:
        """Takes a tenant that was erased out of the directory; whether it was there."""
        ...

    async def find_home(self, tx: Tx, tenant_id: UUID) -> Home | None:
        """Where a tenant lives."""
        ...

    async def list_homes(self, tx: Tx) -> list[Home]:
        """Every home in which someone lives; across tenants."""
        ...

    async def list_residents(
        self, tx: Tx, home: str, *, after: UUID | None, limit: int
    ) -> list[UUID]:
        """The tenants of a home in the order of their ids; across tenants."""
        ...


class DomainRecords(Protocol):
    """What the DNS says; asked outside any transaction."""

    async def find_texts(self, name: str) -> list[str]:
        """The TXT records at a name; none where there is no such name. Unavailable: no answer."""
        ...


class Domains(Protocol):
    """Keeps whose domains are whose; every call is part of the given transaction."""

    async def list_of(self, tx: Tx, tenant_id: UUID, now: datetime) -> list[Domain]:
        """A tenant's domains by name, without claims that are over."""
        ...

    async def claim(self, tx: Tx, domain: Domain) -> None:
        """Writes a claim down, of a tenant that the transaction has locked."""
        ...

    async def prove(self, tx: Tx, tenant_id: UUID, name: str, now: datetime) -> None:
        """Makes a claim proven; DomainTaken where another tenant was first."""
        ...

    async def delete(self, tx: Tx, tenant_id: UUID, name: str) -> bool:
        """Removes a domain; whether it was there."""
        ...

    async def find_owner(self, tx: Tx, name: str) -> UUID | None:
        """Who has proven a domain; across tenants, so only the transport sees it."""
        ...


class TenantOrigins(Protocol):
    """Keeps which origins each tenant names; every call is part of the given transaction."""

    async def replace(self, tx: Tx, tenant_id: UUID, origins: Sequence[str]) -> None:
        """Makes these the origins of a tenant that the transaction has locked."""
        ...

    async def list_of(self, tx: Tx, tenant_id: UUID) -> list[str]:
        """A tenant's origins, sorted."""
        ...

    async def is_known(self, tx: Tx, origin: str) -> bool:
        """Whether any tenant names an origin; across tenants, so only the transport sees it."""
        ...
