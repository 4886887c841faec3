"""Every session of a process is within SERAI_CONNECTIONS_MAX, as the server counts them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import asyncpg
import pytest

from serai.kernel import ids, pool
from serai.kernel.attention import Ears
from serai.kernel.db import HOME_POOL_MAX, HOME_SESSIONS, Database, looking_after_quiet
from serai.kernel.embedded import EmbeddedPostgres
from serai.kernel.failure import Unavailable
from serai.kernel.leases import Presence
from serai.kernel.tenant import MAIN, POOLED, Home
from serai.roles.connection import Addresses
from serai.settings import MAIN_SESSIONS, QUIET_POOL_MAX, SettingsError, load

POOL_MAX = 4
NAMES = 2
QUIET = Home("quiet", MAIN, "quiet_")
LEAST = POOL_MAX + QUIET_POOL_MAX + MAIN_SESSIONS + NAMES * HOME_SESSIONS + HOME_POOL_MAX


class Place:
    """A process's databases with the least that it needs, and the server's own count."""

    def __init__(self, database: Database, homes: list[Home], server: asyncpg.Connection) -> None:
        self.database = database
        self.homes = homes
        self.server = server

    async def count(self) -> int:
        names = [self.database.url.rsplit("/", 1)[-1].partition("?")[0]]
        count: int = await self.server.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = ANY ($1) "
            "AND application_name = 'serai'",
            names + [home.database for home in self.homes],
        )
        return count


@pytest.fixture
async def place(
    postgres: EmbeddedPostgres, database_name: str, template: str
) -> AsyncIterator[Place]:
    names = [f"full_{ids.new_id().hex}" for _ in range(NAMES)]
    for name in names:
        await asyncio.to_thread(postgres.create_database, name, template=template)
    url = postgres.app_url(database_name)
    address_of = Addresses(url, "", is_owner=False).url_of
    database = Database(url, pool_max=POOL_MAX, address_of=address_of, connections_max=LEAST)
    server = await asyncpg.connect(postgres.admin_url(database_name))
    await database.open()
    yield Place(database, [Home(name, name) for name in names], server)
    await database.close()
    await server.close()


async def test_what_a_process_takes_is_bounded_with_the_sessions_that_last(place: Place) -> None:
    worker, ears = ids.new_id(), Ears(place.database)
    async with contextlib.AsyncExitStack() as stack:
        tasks = []
        for name in (MAIN, *(home.database for home in place.homes)):
            presence = Presence(place.database, worker, name)
            tasks.append(asyncio.create_task(presence.run()))
            ear = await stack.enter_async_context(ears.lend(name))
            ear.listen()
            async with asyncio.timeout(10):
                await presence.is_held.wait()
        for _ in range(MAIN_SESSIONS - HOME_SESSIONS):
            await stack.enter_async_context(place.database.session())
        async with contextlib.AsyncExitStack() as work:
            with looking_after_quiet():
                for _ in range(QUIET_POOL_MAX):
                    await work.enter_async_context(place.database.transaction(QUIET, ()))
            for home, count in ((POOLED, POOL_MAX), (place.homes[0], HOME_POOL_MAX)):
                for _ in range(count):
                    tx = await work.enter_async_context(place.database.transaction(home, ()))
                    await tx.connection.fetchval("SELECT 1")
            async with asyncio.timeout(10):
                while await place.count() != LEAST:
                    await asyncio.sleep(0.05)
            with pytest.raises(Unavailable, match="SERAI_CONNECTIONS_MAX"):
                async with place.database.transaction(place.homes[1], ()):
                    pass
            with pytest.raises(Unavailable, match="SERAI_CONNECTIONS_MAX"):
                async with place.database.session(place.homes[0].database):
                    pass
            assert await place.count() == LEAST
        async with place.database.transaction(place.homes[1], ()) as tx:
            assert await tx.connection.fetchval("SELECT 1") == 1
        assert await place.count() <= LEAST
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_session_that_ends_leaves_its_place_to_another(place: Place) -> None:
    name = place.homes[0].database
    for _ in range(3):
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(NAMES * HOME_SESSIONS):
                await stack.enter_async_context(place.database.session(name))
            with pytest.raises(Unavailable, match="SERAI_CONNECTIONS_MAX"):
                await stack.enter_async_context(place.database.session(name))


async def pid_of(database: Database, home: Home) -> int:
    async with database.transaction(home, ()) as tx:
        pid: int = await tx.connection.fetchval("SELECT pg_backend_pid()")
    return pid


async def test_homes_at_rest_are_met_by_few_sessions_and_no_other_meets_them(place: Place) -> None:
    async def look() -> int:
        with looking_after_quiet():
            return await pid_of(place.database, QUIET)

    quiet = set(await asyncio.gather(*(look() for _ in range(20))))
    loud = await asyncio.gather(*(pid_of(place.database, QUIET) for _ in range(20)))
    assert len(quiet) <= QUIET_POOL_MAX
    assert quiet.isdisjoint(loud)
    with looking_after_quiet():
        assert await pid_of(place.database, POOLED) not in quiet


async def test_a_session_ends_between_two_transactions_when_its_life_is_over(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len({await pid_of(place.database, POOLED) for _ in range(3)}) == 1
    await place.database.close()
    monkeypatch.setattr(pool, "SESSION_LIFE_S", 0.0)
    database = Database(place.database.url, pool_max=POOL_MAX)
    await database.open()
    assert len({await pid_of(database, POOLED) for _ in range(3)}) == 3
    await database.close()


def test_a_bound_that_is_too_small_is_told_at_the_start() -> None:
    with pytest.raises(
        SettingsError, match="SERAI_POOL_MAX \\(10\\), 2 for homes at rest and 4 sessions that last"
    ):
        load({"SERAI_CONNECTIONS_MAX": "15"})
    assert load({"SERAI_CONNECTIONS_MAX": "16"}).connections_max == 16
    database = Database("", pool_max=POOL_MAX, connections_max=LEAST)
    assert [database.count_missing(n) for n in (0, 1, NAMES, NAMES + 2)] == [0, 0, 0, 4]
