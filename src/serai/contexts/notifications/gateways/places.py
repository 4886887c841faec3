"""Which web pages are a tenant's own: of origins that she names, or domains that she has proven."""

from collections.abc import Awaitable, Callable, Collection
from urllib.parse import urlsplit
from uuid import UUID

from serai.kernel.edge import Origins

FindByHost = Callable[[str], Awaitable[UUID | None]]
"""Whose domain a host is; None where it is nobody's."""


class KnownPlaces:
    """The port Places over what tenancy offers."""

    def __init__(self, named: Origins, find_by_host: FindByHost) -> None:
        self._named = named
        self._find_by_host = find_by_host

    async def are_hers(self, tenant_id: UUID, origins: Collection[str]) -> bool:
        for origin in origins:
            if await self._named.allows(origin, tenant_id):
                continue
            parts = urlsplit(origin)
            # A domain is proven for a name, not for whatever listens on its other ports.
            if parts.scheme != "https" or parts.netloc != parts.hostname:
                return False
            if await self._find_by_host(parts.netloc) != tenant_id:
                return False
        return True
