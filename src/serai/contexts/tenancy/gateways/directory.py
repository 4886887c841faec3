"""Tells where tenants live: the directory of homes, remembered for a while."""

import time
from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager
from typing import Final

from serai.contexts.tenancy.ports import Tenants
from serai.kernel import departures
from serai.kernel.db import Database, Tx
from serai.kernel.failure import NotFound
from serai.kernel.tenant import POOLED, Home, TenantId

REMEMBERED_S: Final = 2.0
"""So long may a process read where a tenant was; who would write there is refused, and forgets."""
HOMES_MAX: Final = 100_000
PAGE: Final = 1_000


class Directory:
    """`Homes` over the table of tenants in the pooled home's database."""

    def __init__(
        self, database: Database, tenants: Tenants, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._tenants = tenants
        self._now = now
        self._homes: dict[TenantId, tuple[Home, float]] = {}

    def forget(self, tenant_id: TenantId) -> None:
        """Drops what is remembered of a tenant that has moved."""
        self._homes.pop(tenant_id, None)

    async def home_of(self, tenant_id: TenantId) -> Home:
        known = self._homes.get(tenant_id)
        if known is not None and self._now() < known[1]:
            return known[0]
        until = self._now() + REMEMBERED_S
        async with self._database.transaction(POOLED, (tenant_id,), is_read_only=True) as tx:
            home = await self._tenants.find_home(tx, tenant_id)
        if home is None:
            raise NotFound("there is no such tenant")
        if len(self._homes) >= HOMES_MAX:
            self._homes.clear()
        self._homes[tenant_id] = (home, until)
        return home

    async def all_homes(self) -> Collection[Home]:
        async with self._transport() as tx:
            homes = await self._tenants.list_homes(tx)
        # The pooled home is served before anybody lives there: its first order must not wait.
        return (POOLED, *(home for home in homes if home != POOLED))

    async def tenants_of(self, home: Home) -> Collection[TenantId]:
        found: list[TenantId] = []
        while True:
            after = found[-1] if found else None
            async with self._transport() as tx:
                page = await self._tenants.list_residents(tx, home.name, after=after, limit=PAGE)
            found += page
            if len(page) < PAGE:
                break
        async with self._database.transaction(home, (), is_transport=True, is_read_only=True) as tx:
            departed = await departures.list_departed(tx=tx)
        return [tenant_id for tenant_id in found if tenant_id not in departed]

    def _transport(self) -> AbstractAsyncContextManager[Tx]:
        return self._database.transaction(POOLED, (), is_transport=True, is_read_only=True)
