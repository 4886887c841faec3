"""For commands that work on the database itself: the composed house, without an API before it."""

import contextlib
from collections.abc import AsyncIterator

import asyncpg

from serai.cli.console import Failure
from serai.cli.installation import reach_databases
from serai.contexts.tenancy.contract import TenantView
from serai.kernel.failure import Unavailable
from serai.kernel.tenant import MAIN
from serai.roles.composition import Composition, compose
from serai.roles.connection import Databases, open_database
from serai.settings import Settings

POOL_MAX = 4
TENANTS_PAGE = 500

_NOT_MIGRATED = (
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.UndefinedFunctionError,
    asyncpg.InvalidSchemaNameError,
    asyncpg.InsufficientPrivilegeError,
)


@contextlib.asynccontextmanager
async def go_inside(settings: Settings) -> AsyncIterator[Composition]:
    """The house on the installation's database, running or not."""
    async with reach_databases(settings) as databases, enter(settings, databases) as house:
        yield house


@contextlib.asynccontextmanager
async def enter(settings: Settings, databases: Databases) -> AsyncIterator[Composition]:
    """The house on databases that were reached."""
    url = databases.app.url_of(MAIN)
    database = await open_database(url, pool_max=POOL_MAX, settings=settings)
    try:
        yield compose(settings, database)
    except _NOT_MIGRATED as error:
        raise Unavailable(
            f"the database is not as this version needs it ({error}): run `serai migrate up`"
        ) from error
    finally:
        await database.close()


async def find_tenants(house: Composition, name: str | None) -> list[TenantView]:
    """The tenant of that name, or all; says what to do where there is none of it."""
    if name is not None:
        tenant = await house.tenancy.find_tenant(name)
        if tenant is None:
            raise Failure(f"there is no tenant named {name}; `serai tenant list` names them")
        return [tenant]
    found: list[TenantView] = []
    while True:
        after = found[-1].name if found else ""
        page = await house.tenancy.list_tenants(after=after, limit=TENANTS_PAGE)
        found += page
        if len(page) < TENANTS_PAGE:
            return found
