"""What others may know of tenants: scopes, commands, events, views, refusals and an offer."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

import msgspec

from serai.contexts.tenancy.contract.domains import DomainNames
from serai.contexts.tenancy.contract.moves import Moves
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
    "audit:read", "identity:read", "identity:write", "billing:read", "billing:write",
    "privacy:read", "privacy:write",
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


class TenantUnproven(Refused):
    """The tenant's owner has not shown yet that her address is hers: nothing opens before that."""

    status = 403


class TenantErasing(Refused):
    """The tenant's erasure has begun; there is no way back."""


class UnknownScope(Unprocessable):
    """There is no such scope."""


class ScopeNotHeld(Refused):
    """A key cannot give another key, or take from it, what it may not do itself."""

    status = 403


class TooManyKeys(Refused):
    """The tenant has as many valid API keys as it may have; revoke one first."""


SIGNER_CHARS_MAX = 400
"""How long the PEM text of a signer's public key may be."""


class SignerUnfit(Unprocessable):
    """A signer is an Ed25519 public key in PEM, as `openssl pkey -pubout` writes it."""


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
    signer: bytes | None = None
    """The raw Ed25519 public key whose signature each request with it must bear."""


class CreateTenant(msgspec.Struct, frozen=True):
    """Makes a tenant with its first API key."""

    tenant_id: UUID
    name: str
    home: Home
    key: NewKey
    cause: Cause


class OpenTenant(msgspec.Struct, frozen=True):
    """Makes a pooled tenant without a key, which opens nothing until its owner is proven."""

    tenant_id: UUID
    name: str
    cause: Cause


class CreateKey(msgspec.Struct, frozen=True):
    """Makes another API key."""

    tenant_id: UUID
    key: NewKey
    cause: Cause


class ReplaceSigner(msgspec.Struct, frozen=True):
    """Lets an API key in by requests of this signer only; `held` is what whoever asks may do."""

    tenant_id: UUID
    key_id: UUID
    signer: bytes
    held: frozenset[str]
    cause: Cause


class TakeNonce(msgspec.Struct, frozen=True):
    """Uses up the nonce of a signature; it is kept until the signature is over."""

    tenant_id: UUID
    key_id: UUID
    nonce: str
    until: datetime


class RevokeKey(msgspec.Struct, frozen=True):
    """Ends an API key for good; harmless twice."""

    tenant_id: UUID
    key_id: UUID
    held: frozenset[str] | None
    """The scopes of whoever ends it; None for the operator, who may end any."""
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
    signer: str | None = None
    """The Ed25519 public key, in PEM, whose signature each request with it must bear."""


class IssuedKeyView(msgspec.Struct, frozen=True):
    """An API key at the one time when its text is shown."""

    id: UUID
    label: str
    scopes: list[str]
    created_at: datetime
    key: str
    signer: str | None = None


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


class Newcomers(Protocol):
    """What tenancy offers to sign-up; a call with `tx` is part of the caller's transaction.

    The directory lies in the main database, and so do the rows of tenants that sign up.
    """

    def check_name(self, name: str) -> None:
        """Refuses a name that no tenant can have."""
        ...

    async def open_tenants(
        self, commands: Sequence[OpenTenant], *, tx: Tx, now: datetime
    ) -> list[TenantView | Refused]:
        """Makes tenants that are unproven; refuses a name that is taken."""
        ...

    async def prove_tenants(self, tenant_ids: Sequence[UUID], cause: Cause, *, tx: Tx) -> None:
        """Lets unproven tenants in, in every process with the commit."""
        ...

    async def expire_tenants(self, tenant_ids: Sequence[UUID], *, tx: Tx) -> None:
        """Gives tenants up that are unproven still: nothing proves them any more."""
        ...

    async def list_expired(self, *, limit: int) -> list[UUID]:
        """Tenants that were given up, in a transaction of its own."""
        ...

    async def delete_expired(self, tenant_id: UUID) -> None:
        """Takes one of them out of the directory, in a transaction of its own: its name is free."""
        ...


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

    async def find_by_host(self, host: str) -> UUID | None:
        """Whose proven domain a request's `Host` names; None where it is nobody's."""
        ...

    @property
    def domains(self) -> DomainNames:
        """The domains of tenants."""
        ...

    @property
    def newcomers(self) -> Newcomers:
        """What sign-up asks of tenancy."""
        ...

    async def access_home(self, tenant_id: UUID) -> Home:
        """The home of a tenant that is served now; refuses an unknown and a suspended one."""
        ...

    async def access_unproven_home(self, tenant_id: UUID) -> Home:
        """The same, but an unproven tenant is let in: for what proves it."""
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
    def moves(self) -> Moves:
        """The moves of tenants from home to home."""
        ...

    async def create_key(
        self, tenant_id: UUID, *, label: str, scopes: Sequence[str], signer: str | None = None
    ) -> IssuedKeyView:
        """Makes another API key, for whoever lost the last one; `signer` is in PEM."""
        ...

    async def list_keys(self, tenant_id: UUID, *, limit: int) -> list[KeyView]:
        """A tenant's API keys, newest first."""
        ...

    async def replace_signer(self, tenant_id: UUID, key_id: UUID, signer: str) -> KeyView:
        """From now on a key takes requests only that this signer, in PEM, has signed."""
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
