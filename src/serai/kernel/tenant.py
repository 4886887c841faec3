"""Who a row belongs to, and where it lives."""

from collections.abc import Collection
from typing import Final, Protocol
from uuid import UUID

import msgspec

TenantId = UUID
MAIN: Final = "main"
"""The database that every process is given: it holds the pooled home and the directory."""


class Home(msgspec.Struct, frozen=True):
    """Where a tenant's rows live: a database and a prefix before each schema's name.

    The pooled home has the empty prefix and is shared by many tenants behind row-level security.
    """

    name: str
    database: str = MAIN
    prefix: str = ""


POOLED = Home(name="pooled")
DIRECTORY = Home(name="directory")
"""The same place for what is kept there of every tenant, wherever it lives: its name, its keys."""


class Homes(Protocol):
    """The directory of homes; it is also the shard map."""

    async def home_of(self, tenant_id: TenantId) -> Home:
        """The home of one tenant; refuses an unknown one. A suspended one has work in flight."""
        ...

    async def all_homes(self) -> Collection[Home]:
        """Every home that a worker must serve."""
        ...

    async def tenants_of(self, home: Home) -> Collection[TenantId]:
        """The tenants that live in a home, in a steady order; nobody who is leaving it just now."""
        ...
