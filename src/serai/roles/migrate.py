"""The migrate role: brings a database up to date, or tells how it stands."""

import asyncio
from typing import Literal

import asyncpg

from serai.kernel import migrate
from serai.kernel.failure import Unavailable
from serai.kernel.migrate import Migration, Status
from serai.kernel.tenant import POOLED
from serai.roles.schemas import find_migrations

Phase = Literal["pre", "post", "all"]

_UNREACHABLE = (
    OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.CannotConnectNowError,
    asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError, TimeoutError,
)  # fmt: skip


async def bring_up(owner_url: str, *, phase: Phase = "all") -> list[Migration]:
    """Applies what is missing, as the owner of the schemas; what was applied."""
    try:
        migrations = await asyncio.to_thread(find_migrations)
        return await migrate.apply(owner_url, POOLED, migrations, phase=phase)
    except _UNREACHABLE as error:
        raise _unreachable(error) from error


async def tell_status(url: str) -> list[Status]:
    """Each migration with its state."""
    try:
        migrations = await asyncio.to_thread(find_migrations)
        return await migrate.status(url, POOLED, migrations)
    except _UNREACHABLE as error:
        raise _unreachable(error) from error


def _unreachable(error: Exception) -> Unavailable:
    return Unavailable(
        f"the database cannot be reached: {str(error) or type(error).__name__}. Look at "
        "SERAI_DATABASE_URL, and whether the server runs"
    )
