"""Knows whose domain a request came by, out of memory nearly always.

What a look-up says holds for `VALID_S`, in every process. Hosts are made up easily: those that are
nobody's are remembered too, and the one that was read the longest ago makes room.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final
from uuid import UUID

from serai.contexts.tenancy import model
from serai.contexts.tenancy.ports import Domains
from serai.kernel.db import Database
from serai.kernel.tenant import POOLED

VALID_S: Final = 5.0
KEPT_MAX: Final = 10_000
LOOK_UPS_MAX: Final = 2


class KnownDomains:
    """Proven domains, remembered for a moment."""

    def __init__(
        self, database: Database, domains: Domains, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._domains = domains
        self._now = now
        self._owners: dict[str, tuple[float, UUID | None]] = {}
        self._slots = asyncio.Semaphore(LOOK_UPS_MAX)

    async def find_by_host(self, host: str) -> UUID | None:
        """Whose proven domain a `Host` names."""
        domain = model.domain_of_host(host)
        if domain is None:
            return None
        kept = self._owners.get(domain)
        if kept is not None and self._now() < kept[0]:
            return kept[1]
        async with (
            self._slots,
            self._database.transaction(POOLED, (), is_transport=True, is_read_only=True) as tx,
        ):
            owner = await self._domains.find_owner(tx, domain)
        self._owners.pop(domain, None)
        while len(self._owners) >= KEPT_MAX:
            del self._owners[next(iter(self._owners))]
        self._owners[domain] = (self._now() + VALID_S, owner)
        return owner

    def forget(self, domain: str) -> None:
        """Drops what this process remembers of a domain that changed hands."""
        self._owners.pop(domain, None)
