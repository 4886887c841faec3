"""Knows which origins are let in, out of memory nearly always: no answer waits for a look-up long.

What a look-up says holds for `VALID_S`, in every process. Tenants are as many as there are; origins
that nobody names are forgotten first, so that a flood of made-up ones costs nothing but look-ups.
"""

import asyncio
import time
from collections.abc import Callable, Hashable
from typing import Final, TypeVar
from uuid import UUID

from serai.contexts.tenancy.ports import TenantOrigins
from serai.kernel.db import Database
from serai.kernel.tenant import POOLED

VALID_S: Final = 5.0
KEPT_MAX: Final = 10_000
LOOK_UPS_MAX: Final = 2

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class KnownOrigins:
    """The kernel's `Origins` over the tables of this context."""

    def __init__(
        self,
        database: Database,
        origins: TenantOrigins,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._origins = origins
        self._now = now
        self._of_tenants: dict[UUID, tuple[float, frozenset[str]]] = {}
        self._of_anyone: dict[str, tuple[float, bool]] = {}
        self._slots = asyncio.Semaphore(LOOK_UPS_MAX)

    async def allows(self, origin: str, tenant_id: UUID | None) -> bool:
        if tenant_id is None:
            return await self._is_known(origin)
        kept = self._of_tenants.get(tenant_id)
        if kept is None or kept[0] < self._now():
            async with (
                self._slots,
                self._database.transaction(POOLED, (tenant_id,), is_read_only=True) as tx,
            ):
                found = frozenset(await self._origins.list_of(tx, tenant_id))
            kept = self._keep(self._of_tenants, tenant_id, found)
        return origin in kept[1]

    def forget(self, tenant_id: UUID) -> None:
        """Drops what this process remembers of a tenant that changed its origins."""
        self._of_tenants.pop(tenant_id, None)
        self._of_anyone.clear()

    async def _is_known(self, origin: str) -> bool:
        kept = self._of_anyone.get(origin)
        if kept is None or kept[0] < self._now():
            async with (
                self._slots,
                self._database.transaction(POOLED, (), is_transport=True, is_read_only=True) as tx,
            ):
                found = await self._origins.is_known(tx, origin)
            kept = self._keep(self._of_anyone, origin, found)
        return kept[1]

    def _keep(self, memory: dict[K, tuple[float, V]], key: K, found: V) -> tuple[float, V]:
        memory.pop(key, None)
        while len(memory) >= KEPT_MAX:
            del memory[next(iter(memory))]
        memory[key] = (self._now() + VALID_S, found)
        return memory[key]
