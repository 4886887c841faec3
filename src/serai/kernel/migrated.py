"""Which homes have the migrations that this code needs: the others wait, and lose nothing.

While hundreds of homes are migrated, old and new code serve both kinds. New code finds a home that
is still behind: it answers 503 for its tenants and leaves its events in its log, until it is there.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import asyncpg
import structlog

from serai.kernel import queries
from serai.kernel.failure import Unavailable
from serai.kernel.tenant import DIRECTORY, POOLED, Home

_log = structlog.get_logger(__name__)
_SQL = queries.load("serai.kernel")

BEHIND_S: Final = 1.0
"""How long a home that was found behind is not looked at again."""
RETRY_AFTER_S: Final = 5
_UNMADE = (
    asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError, asyncpg.InsufficientPrivilegeError,
)  # fmt: skip


class HomeBehind(Unavailable):
    """A home lacks a migration that this code needs; it is served as soon as it has it."""


class Migrated:
    """Remembers the homes that have all of `needed`: migrations only go forward."""

    def __init__(self, needed: Callable[[], frozenset[tuple[str, str]]]) -> None:
        self._find_needed = needed
        self._needed: frozenset[tuple[str, str]] | None = None
        self._behind_until: dict[Home, float] = {}
        self.homes: set[Home] = {POOLED, DIRECTORY}
        """Those that need not be looked at; the pooled one is seen to by readiness."""

    async def look(self, home: Home, connection: Any) -> None:
        """Looks into a home's ledger; HomeBehind where something is missing in it."""
        now = asyncio.get_running_loop().time()
        known_until = self._behind_until.get(home)
        if known_until is not None and now < known_until:
            raise _behind(home)
        if self._needed is None:
            self._needed = await asyncio.to_thread(self._find_needed)
        try:
            rows = await connection.fetch(_SQL.list_migrations.text(home.prefix))
        except _UNMADE:
            rows = []
        missing = self._needed - {(row["context"], row["name"]) for row in rows}
        if not missing:
            self._behind_until.pop(home, None)
            self.homes.add(home)
            return
        if known_until is None:
            context, name = min(missing)
            _log.warning(
                "home_behind", action="home_behind", home=home.name, missing=len(missing),
                first=f"{context}/{name}", remedy="run `serai migrate up`",
            )  # fmt: skip
        self._behind_until[home] = now + BEHIND_S
        raise _behind(home)


def _behind(home: Home) -> HomeBehind:
    return HomeBehind(
        f"the home {home.name} is being brought up to date; try again shortly",
        retry_after_s=RETRY_AFTER_S,
    )
