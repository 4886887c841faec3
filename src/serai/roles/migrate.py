"""The migrate role: brings every home up to date, or tells how each stands.

The main database's pooled home comes first: it holds the directory of the others, which then go
side by side. One that fails is named, and stops nobody.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final, Literal

import asyncpg
import msgspec

from serai.contexts.tenancy import module as tenancy_module
from serai.kernel import migrate
from serai.kernel.failure import Unavailable
from serai.kernel.migrate import Migration, MigrationFailed, Status
from serai.kernel.tenant import MAIN, POOLED, Home
from serai.roles.connection import Databases
from serai.roles.schemas import find_migrations
from serai.settings import SettingsError

Phase = Literal["pre", "post", "all"]

HOMES_AT_ONCE: Final = 4
"""Homes that are migrated side by side; each takes a connection as the owner."""

_UNREACHABLE = (
    OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.CannotConnectNowError,
    asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError, TimeoutError,
)  # fmt: skip
_FAILURES = (*_UNREACHABLE, asyncpg.PostgresError, MigrationFailed, SettingsError, ValueError)


class HomeOutcome(msgspec.Struct, frozen=True):
    """How one home stands: what was applied now, what is not yet, and why it failed if it did."""

    home: str
    applied: list[str]
    pending: list[str]
    changed: list[str] = []
    failed: str | None = None


Told = Callable[[HomeOutcome, int], None]
"""Told of each home when it is done, and how many there are in all."""


async def bring_up(owner_url: str, *, phase: Phase = "all") -> list[Migration]:
    """Applies what is missing in the pooled home, as the owner of the schemas; what was applied."""
    try:
        migrations = await asyncio.to_thread(find_migrations)
        return await migrate.apply(owner_url, POOLED, migrations, phase=phase)
    except _UNREACHABLE as error:
        raise _unreachable(error) from error


async def bring_up_homes(
    databases: Databases,
    *,
    phase: Phase = "all",
    told: Told | None = None,
    more: Sequence[Migration] = (),
) -> list[HomeOutcome]:
    """Applies what is missing in every home but the pooled one, which was brought up before.

    `more` follows what the house has: a measurement, or a test of what is yet to come.
    """
    migrations = [*await asyncio.to_thread(find_migrations), *more]

    async def bring(home: Home) -> HomeOutcome:
        url = await asyncio.to_thread(databases.owner.url_of, home.database)
        applied = await migrate.apply(url, home, migrations, phase=phase)
        after = await migrate.status(url, home, migrations)
        return _outcome(home, after, [f"{m.context}/{m.name}" for m in applied])

    return await _in_each_home(await list_homes(databases), bring, told)


async def bring_up_home(databases: Databases, home: Home) -> None:
    """Makes a home ready for its tenant: its database if need be, and everything in it."""
    if home.database not in {MAIN, *await asyncio.to_thread(databases.owner.named)}:
        if databases.create is not None:
            await asyncio.to_thread(databases.create, home.database)
        else:
            main = databases.owner.url_of(POOLED.database)
            await migrate.create_database(main, home.database)
    url = await asyncio.to_thread(databases.owner.url_of, home.database)
    try:
        await migrate.apply(url, home, await asyncio.to_thread(find_migrations))
    except _UNREACHABLE as error:
        raise _unreachable(error) from error


async def tell_status(url: str) -> list[Status]:
    """Each migration of the pooled home with its state."""
    try:
        migrations = await asyncio.to_thread(find_migrations)
        return await migrate.status(url, POOLED, migrations)
    except _UNREACHABLE as error:
        raise _unreachable(error) from error


async def tell_homes(databases: Databases, *, told: Told | None = None) -> list[HomeOutcome]:
    """How every home but the pooled one stands."""
    migrations = await asyncio.to_thread(find_migrations)

    async def look(home: Home) -> HomeOutcome:
        url = await asyncio.to_thread(databases.owner.url_of, home.database)
        states = await migrate.status(url, home, migrations)
        return _outcome(home, states, _named(states, "applied"))

    return await _in_each_home(await list_homes(databases), look, told)


async def list_homes(databases: Databases) -> list[Home]:
    """Every home but the pooled one, as the directory names them; none where it is missing."""
    try:
        async with migrate.look_as_owner(databases.owner.url_of(POOLED.database)) as tx:
            homes = await tenancy_module.list_homes(tx)
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
        return []
    except _UNREACHABLE as error:
        raise _unreachable(error) from error
    return [home for home in homes if home != POOLED]


async def _in_each_home(
    homes: Collection[Home], do: Callable[[Home], Awaitable[HomeOutcome]], told: Told | None
) -> list[HomeOutcome]:
    room = asyncio.Semaphore(HOMES_AT_ONCE)

    async def do_one(home: Home) -> HomeOutcome:
        async with room:
            try:
                outcome = await do(home)
            except _FAILURES as error:
                outcome = HomeOutcome(home.name, [], [], failed=_explain(error))
        if told is not None:
            told(outcome, len(homes))
        return outcome

    return list(await asyncio.gather(*(do_one(home) for home in homes)))


def _explain(error: Exception) -> str:
    """What went wrong in a home, and what to do about it."""
    if isinstance(error, MigrationFailed):
        return str(error)
    # What the driver says of an address may hold a part of it, so only the kind is told.
    kind = type(error).__name__
    if isinstance(error, _UNREACHABLE):
        return (
            f"{kind}: its database cannot be reached. Look whether its server runs, and at "
            "SERAI_DATABASES; then run `serai migrate up` again"
        )
    if isinstance(error, (SettingsError, ValueError)):
        return f"{kind}: look at SERAI_DATABASES; then run `serai migrate up` again"
    return f"{kind}: look at the log of its server; then run `serai migrate up` again"


def _outcome(home: Home, states: Sequence[Status], applied: list[str]) -> HomeOutcome:
    return HomeOutcome(home.name, applied, _named(states, "missing"), _named(states, "changed"))


def _named(states: Sequence[Status], state: str) -> list[str]:
    return [f"{s.context}/{s.name}" for s in states if s.state == state]


def _unreachable(error: Exception) -> Unavailable:
    return Unavailable(
        f"the database cannot be reached: {str(error) or type(error).__name__}. Look at "
        "SERAI_DATABASE_URL, and whether the server runs"
    )
