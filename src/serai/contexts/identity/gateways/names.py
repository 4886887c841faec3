"""Which tenant a name stands for, remembered for a while: unauthenticated calls say it by name."""

import time
from collections.abc import Awaitable, Callable
from typing import Final
from uuid import UUID

from serai.contexts.tenancy.contract import NAME_CHARS_MAX, TenantView
from serai.kernel.failure import NotFound

REMEMBERED_S: Final = 30.0
UNKNOWN_S: Final = 1.0
"""How long a name that nobody has is remembered: it may be given at any time."""
NAMES_MAX: Final = 10_000


class RememberedNames:
    """Finds tenants by name; those that are none are remembered too, and apart."""

    def __init__(
        self, find: Callable[[str], Awaitable[TenantView | None]], *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._find = find
        self._now = now
        self._known: dict[str, tuple[UUID, float]] = {}
        self._unknown: dict[str, float] = {}

    async def find_id(self, name: str) -> UUID:
        """The id of the tenant of that name; refuses a name that none has."""
        known = self._known.get(name)
        if known is not None and self._now() < known[1]:
            return known[0]
        is_slug = name.isascii() and name.replace("-", "").isalnum() and len(name) <= NAME_CHARS_MAX
        if not is_slug or self._unknown.get(name, 0.0) > self._now():
            raise NotFound("there is no tenant of this name")
        began = self._now()
        tenant = await self._find(name)
        if tenant is None:
            if len(self._unknown) >= NAMES_MAX:
                self._unknown.clear()
            self._unknown[name] = began + UNKNOWN_S
            raise NotFound("there is no tenant of this name")
        if len(self._known) >= NAMES_MAX:
            self._known.clear()
        self._known[name] = (tenant.id, began + REMEMBERED_S)
        return tenant.id
