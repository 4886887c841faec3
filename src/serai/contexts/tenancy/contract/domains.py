"""Domains of tenants: how a tenant shows that one is its own, and what becomes of it."""

from datetime import datetime, timedelta
from typing import Literal, Protocol
from uuid import UUID

import msgspec

from serai.kernel.events import Cause, event
from serai.kernel.failure import Refused, Unprocessable

DOMAINS_MAX = 20
"""Domains that a tenant may have, claimed and proven ones together."""
DOMAIN_CHARS_MAX = 253
CLAIM_TTL = timedelta(days=7)
"""How long a claim waits for its proof."""
DOMAIN_CHECK_EVERY = timedelta(hours=6)
"""How long a proven domain is trusted before its record is looked for again."""
DOMAIN_MISSES_MAX = 4
"""Checks in a row that find no record, with the last of which a domain is suspended."""
CHALLENGE_LABEL = "_serai-challenge"
"""What stands before a domain where its proof is looked for."""


class DomainUnfit(Unprocessable):
    """A domain is like shop.example.com: small letters, digits and dashes, at least one dot."""


class DomainTaken(Refused):
    """A tenant has proven that the domain is its own."""


class DomainUnproven(Unprocessable):
    """The record that proves the domain is not (yet) in the DNS."""


class TooManyDomains(Refused):
    """The tenant has as many domains as it may have; remove one first."""


@event(topic="tenancy", key="tenant_id")
class DomainSuspended(msgspec.Struct, frozen=True):
    """A domain is proven no more: its record was gone at so many checks in a row."""

    tenant_id: UUID
    domain: str
    misses: int


class DomainView(msgspec.Struct, frozen=True):
    """A domain of a tenant. While it is claimed, the TXT record proves it until `expires_at`.

    When it is proven the record must stay: `misses` are the checks in a row that have not found
    it. A domain that is suspended opens nothing until its record is back and it is proven anew.
    """

    domain: str
    state: Literal["claimed", "proven", "suspended"]
    record_name: str
    record_value: str
    created_at: datetime
    expires_at: datetime | None
    proven_at: datetime | None
    checked_at: datetime | None
    misses: int
    suspended_at: datetime | None


class DomainsView(msgspec.Struct, frozen=True):
    """The domains of a tenant."""

    items: list[DomainView]


class DomainNames(Protocol):
    """The domains of tenants; each call is a transaction of its own, or two around the DNS."""

    async def list_domains(self, tenant_id: UUID) -> list[DomainView]:
        """A tenant's domains by name: proven ones, claims and suspended ones."""
        ...

    async def claim_domain(self, tenant_id: UUID, domain: str, cause: Cause) -> DomainView:
        """Claims a domain, and says what proves it; the claim that is there stays."""
        ...

    async def verify_domain(self, tenant_id: UUID, domain: str, cause: Cause) -> DomainView:
        """Asks the DNS for the record of a claim, or of a domain that was suspended."""
        ...

    async def remove_domain(self, tenant_id: UUID, domain: str, cause: Cause) -> bool:
        """Gives a domain up; whether it was there."""
        ...
