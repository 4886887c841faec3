"""Whether the wall between tenants could be moved by smuggled SQL (ADR 0021), and what mends it."""

from collections.abc import Iterable
from typing import Final

from serai.kernel import queries
from serai.kernel.db import Database
from serai.kernel.migrate import look_as_owner
from serai.kernel.pool import APP_ROLE
from serai.kernel.tenant import POOLED

MENDED_BY: Final = (
    "REVOKE EXECUTE ON FUNCTION pg_catalog.set_config(text, text, boolean) FROM PUBLIC"
)
"""What a superuser runs, once in each database; nobody else can."""
_SQL = queries.load("serai.kernel")


async def is_movable_at(url: str) -> bool:
    """Whether it is in the database at an address of the owner's."""
    async with look_as_owner(url) as tx:
        return bool(await tx.fetchval(_SQL.may_move_wall, APP_ROLE))


async def find_movable(database: Database, names: Iterable[str]) -> list[str]:
    """In which of the databases of these names it is."""
    found = []
    for name in sorted(set(names)):
        async with database.session(name) as connection:
            if await connection.fetchval(_SQL.may_move_wall.text(POOLED.prefix), APP_ROLE):
                found.append(name)
    return found


def warn(name: str) -> str:
    """What an operator is told."""
    return (
        f"database {name}: SQL that is smuggled into a statement could see other tenants there, "
        f"because {APP_ROLE} may call set_config. Have a superuser run there: {MENDED_BY}"
    )
