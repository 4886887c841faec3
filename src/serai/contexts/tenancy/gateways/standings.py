"""Tells whether a tenant is served now and where it lives, out of memory nearly always.

For tokens that are no API keys; what a look-up says holds for `VALID_S`, or until the process hears
that the tenant's standing has changed.
"""

import time
from collections.abc import Callable
from typing import Final
from uuid import UUID

from serai.contexts.tenancy import model
from serai.contexts.tenancy.ports import Tenants
from serai.kernel.db import Database
from serai.kernel.failure import NotFound
from serai.kernel.tenant import POOLED, Home

VALID_S: Final = 2.0
REMEMBERED_MAX: Final = 10_000


class Standings:
    """The homes of tenants that are served, remembered for a moment."""

    def __init__(
        self, database: Database, tenants: Tenants, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._tenants = tenants
        self._now = now
        self._homes: dict[UUID, tuple[Home, float]] = {}
        self._forgotten = 0

    async def access_home(self, tenant_id: UUID, *, is_unproven_let_in: bool = False) -> Home:
        """The home of a tenant that is served; refuses an unknown and a suspended one.

        An unproven one may be let in: for what proves it. Of those nothing is remembered.
        """
        known = self._homes.get(tenant_id)
        if known is not None and self._now() < known[1]:
            return known[0]
        until, forgotten = self._now() + VALID_S, self._forgotten
        async with self._database.transaction(POOLED, (tenant_id,), is_read_only=True) as tx:
            found = await self._tenants.find_standing(tx, tenant_id)
        if found is None:
            raise NotFound("there is no such tenant")
        home, state = found
        if is_unproven_let_in and state == model.UNPROVEN:
            return home
        if refusal := model.refuse_standing(state):
            raise refusal
        if forgotten == self._forgotten:
            if len(self._homes) >= REMEMBERED_MAX:
                self._homes.clear()
            self._homes[tenant_id] = (home, until)
        return home

    def forget(self, tenant_id: UUID) -> None:
        """Drops what is remembered of a tenant whose standing has changed."""
        self._forgotten += 1
        self._homes.pop(tenant_id, None)

    def forget_all(self) -> None:
        """Drops everything, for who may have missed that something was changed."""
        self._forgotten += 1
        self._homes.clear()
