"""What others may know of tenants: scopes, commands, events, views, refusals and an offer."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

import msgspec

from serai.kernel.db import Tx
from serai.kernel.edge import Origins
from serai.kernel.events import Cause, event
from serai.kernel.failure import Refused, Unprocessable
from serai.kernel.tenant import POOLED, Home
from serai.kernel.web import Authenticator

SCOPES = (
    "catalog:read", "catalog:write", "inventory:read", "inventory:write", "orders:read",
    "orders:write", "orders:price", "orders:cancel", "orders:own", "payments:read",
    "payments:write", "shipping:read", "shipping:write", "returns:read", "returns:write",
    "notifications:read", "notifications:write", "tenancy:read", "tenancy:write",
    "audit:read", "identity:read", "identity:write",
)  # fmt: skip
"""What a key or a role may allow. `orders:price` lets staff give a line its own price.

`orders:own` opens one's own orders only, with their payments, shipments and returns: a customer's.
"""

NAME_CHARS_MAX = 63
LABEL_CHARS_MAX = 64
KEYS_MAX = 100
"""API keys of one tenant that may be valid at the same time."""


ORIGINS_MAX = 20
"""Origins of web pages that a tenant may name."""
ORIGIN_CHARS_MAX = 200


class OriginUnfit(Unprocessable):
    """An origin is a scheme, a host and perhaps a port: no path, no wildcard, TLS but at home."""


class TenantExists(Refused):
    """A tenant of that name is already there."""


class TenantNameUnfit(Unprocessable):
    """A tenant's name is a slug: small letters, digits and dashes."""


class TenantSuspended(Refused):
    """The tenant is suspended: its keys open nothing. What it has under way goes on to its end."""

    status = 403


class TenantErasing(Refused):
    """The tenant's erasure has begun; there is no way back."""


class MoveUnderWay(Refused):
    """A move of this tenant has not ended; go on with it, or undo it."""


class UnknownScope(Unprocessable):
    """There is no such scope."""


class ScopeNotHeld(Refused):
    """A key cannot give another key what it may not do itself."""

    status = 403


class TooManyKeys(Refused):
    """The tenant has as many valid API keys as it may have; revoke one first."""


@event(topic="tenancy", key="tenant_id")
class TenantCreated(msgspec.Struct, frozen=True):
    """A tenant and its home are ready."""

    tenant_id: UUID
    name: str


class NewKey(msgspec.Struct, frozen=True):
    """An API key to be kept: the digest of its text, never the text."""

    key_id: UUID
    label: str
    digest: bytes
    scopes: tuple[str, ...]


class CreateTenant(msgspec.Struct, frozen=True):
    """Makes a tenant with its first API key."""

    tenant_id: UUID
    name: str
    home: Home
    key: NewKey
    cause: Cause


class CreateKey(msgspec.Struct, frozen=True):
    """Makes another API key."""

    tenant_id: UUID
    key: NewKey
    cause: Cause


class RevokeKey(msgspec.Struct, frozen=True):
    """Ends an API key for good; harmless twice."""

    tenant_id: UUID
    key_id: UUID
    cause: Cause


Tier = Literal["pooled", "schema", "database"]
"""How a tenant is kept apart: in shared tables, in schemas of its own, in a database of its own."""


class Standing(msgspec.Struct, frozen=True):
    """A tenant as its operator sees it: how it is kept, and whether it is served."""

    id: UUID
    name: str
    home: Home
    tier: Tier
    state: str
    created_at: datetime


class MoveView(msgspec.Struct, frozen=True):
    """A tenant's move to another home, and how far it has come."""

    tenant: str
    tenant_id: UUID
    move_id: UUID
    source: Home
    target: Home
    step: str
    rows: int
    refused_ms: int | None
    """How long writes were refused at the change-over."""
    error: str | None
    started_at: datetime
    updated_at: datetime
    ended_at: datetime | None


class TenantView(msgspec.Struct, frozen=True):
    """A tenant as others see it."""

    id: UUID
    name: str
    home: str
    created_at: datetime


class KeyView(msgspec.Struct, frozen=True):
    """An API key without its secret."""

    id: UUID
    label: str
    scopes: list[str]
    created_at: datetime
    revoked_at: datetime | None


class IssuedKeyView(msgspec.Struct, frozen=True):
    """An API key at the one time when its text is shown."""

    id: UUID
    label: str
    scopes: list[str]
    created_at: datetime
    key: str


class OriginsView(msgspec.Struct, frozen=True):
    """The web pages that may read the tenant's answers in a browser."""

    origins: list[str]


class WhoView(msgspec.Struct, frozen=True):
    """Who asks: the tenant, and what the API key in use may do."""

    tenant: TenantView
    key_id: UUID
    scopes: list[str]


class IssuedTenant(msgspec.Struct, frozen=True):
    """A tenant that was just made, with the text of its first API key."""

    tenant: TenantView
    key: IssuedKeyView


class Tenancy(Protocol):
    """What tenancy offers to roles and the command line; each call is a transaction of its own."""

    @property
    def origins(self) -> Origins:
        """Which web pages may read which tenant's answers."""
        ...

    @property
    def authenticator(self) -> Authenticator:
        """Tells whose an API key is."""
        ...

    async def watch_keys(self) -> None:
        """Forgets the keys that other processes end, as soon as they do; runs until cancelled."""
        ...

    def home_for(self, name: str, tier: Tier, *, database: str = "") -> Home:
        """The home that a tenant of this name would have; refuses a name that is no slug."""
        ...

    async def create_tenant(
        self, name: str, *, scopes: Sequence[str], home: Home = POOLED
    ) -> IssuedTenant:
        """Makes a tenant and its first API key; refuses a name that is taken. Its home is there."""
        ...

    async def access_home(self, tenant_id: UUID) -> Home:
        """The home of a tenant that is served now; refuses an unknown and a suspended one."""
        ...

    async def change_state(self, tenant_id: UUID, state: str) -> Standing:
        """Makes a tenant `active`, `suspended` or `erasing`, in every process at once."""
        ...

    async def delete_tenant(self, tenant_id: UUID) -> None:
        """Takes a tenant whose erasure is done out of the directory."""
        ...

    async def list_standings(self, *, after: str, limit: int) -> list[Standing]:
        """Tenants in the order of their names, from the first after `after` on."""
        ...

    async def find_standing(self, name: str) -> Standing | None:
        """The tenant of that name."""
        ...

    @property
    def moves(self) -> "Moves":
        """The moves of tenants from home to home."""
        ...

    async def create_key(
        self, tenant_id: UUID, *, label: str, scopes: Sequence[str]
    ) -> IssuedKeyView:
        """Makes another API key, for whoever lost the last one."""
        ...

    async def revoke_key(self, tenant_id: UUID, key_id: UUID) -> None:
        """Ends an API key for good."""
        ...

    async def find_tenant(self, name: str) -> TenantView | None:
        """The tenant of that name."""
        ...

    async def list_tenants(self, *, after: str, limit: int) -> list[TenantView]:
        """Tenants in the order of their names, from the first after `after` on."""
        ...


class Moves(Protocol):
    """Keeps the moves of tenants; each call is part of a session of the schemas' owner."""

    async def hold(self, tx: Tx, tenant_id: UUID) -> bool:
        """Keeps other processes off a tenant's moves for this session; whether none is at one."""
        ...

    async def begin(self, tx: Tx, tenant: Standing, target: Home, now: datetime) -> MoveView:
        """Writes down that a move begins; refuses where one has not ended."""
        ...

    async def note(
        self, tx: Tx, move: MoveView, step: str, now: datetime, *, error: str | None = None
    ) -> MoveView:
        """Writes down how far a move has come, with its rows and how long writes were refused."""
        ...

    async def switch(self, tx: Tx, move: MoveView) -> None:
        """Gives the tenant its new home and tells every process."""
        ...

    async def find(self, tx: Tx, tenant_id: UUID) -> MoveView | None:
        """A tenant's move that has not ended."""
        ...

    async def list_all(self, tx: Tx, limit: int) -> list[MoveView]:
        """Moves of all tenants, the newest first."""
        ...
