"""Homes at rest: what nobody comes to costs next to nothing, and nothing that comes is missed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from serai.kernel import attention, scheduler
from serai.kernel.attention import Attention, Ear, Ears
from serai.kernel.clock import SystemClock
from serai.kernel.db import Database
from serai.kernel.embedded import EmbeddedPostgres
from serai.kernel.log.postgres import Wake
from serai.kernel.module import Job
from serai.kernel.scheduler import rest_pace, run_jobs
from serai.kernel.tenant import Home
from serai.kernel.workers import Workers
from tests.integration.test_homes import Installation, Resident, status

PATIENCE_S = 20.0
LONG_S = 600.0


@pytest.fixture
async def place(
    postgres: EmbeddedPostgres, database_name: str, template: str, tmp_path: Path
) -> AsyncIterator[Installation]:
    installation = Installation(postgres, database_name, template, tmp_path)
    await installation.database.open()
    yield installation
    await installation.house.close()
    await installation.database.close()


@contextlib.asynccontextmanager
async def working(place: Installation) -> AsyncIterator[Workers]:
    workers = Workers(
        database=place.database, homes=place.house.homes, consumers=place.house.consumers,
        timers=place.house.timers,
    )  # fmt: skip
    stop = asyncio.Event()
    running = asyncio.create_task(workers.run(stop))
    try:
        yield workers
    finally:
        stop.set()
        await asyncio.wait_for(running, PATIENCE_S)


async def until_confirmed(place: Installation, who: Resident, orders: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while await status(place, who) != ["confirmed"] * orders:
            await asyncio.sleep(0.02)


async def until_at_rest(place: Installation, home: Home) -> None:
    """Waits until every event is heard and no worker holds anything in the home."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            async with place.database.transaction(home, ()) as tx:
                text = f"SELECT count(*) FROM {home.prefix}kernel.leases WHERE owner IS NOT NULL"
                held = await tx.connection.fetchval(text)
                known = await tx.connection.fetchval(
                    f"SELECT count(*) FROM {home.prefix}kernel.leases"
                )
            if known and not held:
                return
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("tier", ["schema", "database"])
async def test_a_home_rests_and_is_served_again_as_soon_as_it_is_heard_of(
    place: Installation, tier: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "RESTS_AFTER_S", 0.5)
    monkeypatch.setattr(attention, "LOOK_S", LONG_S)
    who = await place.settle(tier)  # type: ignore[arg-type]
    async with working(place):
        for orders in (1, 2, 3):
            await until_confirmed(place, who, orders)
            await until_at_rest(place, who.home)
            await place.order(who)
        await until_confirmed(place, who, 4)


async def test_an_event_whose_notification_is_lost_is_found_by_the_next_look(
    place: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "RESTS_AFTER_S", 0.5)
    monkeypatch.setattr(attention, "LOOK_S", 0.5)
    who = await place.settle("schema")
    async with working(place):
        await until_confirmed(place, who, 1)
        await until_at_rest(place, who.home)
        monkeypatch.setattr(Wake, "_on_notify", lambda *_: None)
        await place.order(who)
        await until_confirmed(place, who, 2)


async def test_no_event_is_missed_that_comes_while_its_home_goes_to_rest(
    place: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "RESTS_AFTER_S", 0.1)
    monkeypatch.setattr(attention, "LOOK_S", LONG_S)
    who = await place.settle("schema")
    async with working(place):
        await until_confirmed(place, who, 1)
        for number in range(4):
            await place.order(who)
            await asyncio.sleep(0.09 + number * 0.03)
        await until_confirmed(place, who, 5)


async def test_a_home_is_looked_after_when_something_falls_due_in_it(
    place: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "LOOK_S", LONG_S)
    who = await place.settle("schema")
    async with working(place):
        await until_confirmed(place, who, 1)
    admin = await asyncpg.connect(place.admin_url(who.home))
    text = f"UPDATE {who.home.prefix}kernel.flows SET ended_at = NULL, deadline_at = $1"
    stop = asyncio.Event()
    groups = {
        consumer.group: ["orders"]
        for consumer in place.house.consumers
        if consumer.group == "checkout"
    }
    watching = Attention(
        place.database, who.home, groups, Ear(place.database, "main", asyncio.Semaphore(1))
    )
    try:
        await admin.execute(text, SystemClock().now() + timedelta(seconds=LONG_S))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(watching.await_work(stop), 0.5)
        await admin.execute(text, SystemClock().now() + timedelta(seconds=0.5))
        await asyncio.wait_for(watching.await_work(stop), 5)
    finally:
        watching.close()
        await admin.close()


async def test_one_session_hears_for_all_homes_of_a_database(place: Installation) -> None:
    homes = [(await place.settle("schema")).home for _ in range(2)]
    ears = Ears(place.database)
    async with contextlib.AsyncExitStack() as stack:
        lent = [await stack.enter_async_context(ears.lend(home.database)) for home in homes]
        stirred = [ear.wake.watch(home) for ear, home in zip(lent, homes, strict=True)]
        for ear in lent:
            ear.listen()
        async with asyncio.timeout(PATIENCE_S):
            for event in stirred:
                await event.wait()
                event.clear()
        assert await listening(place) == 1
        async with place.database.transaction(homes[0], ()) as tx:
            await tx.connection.execute(
                f"SELECT pg_notify('serai_log', '{homes[0].prefix}|anything|1')"
            )
        await asyncio.wait_for(stirred[0].wait(), PATIENCE_S)
        assert not stirred[1].is_set()
    async with asyncio.timeout(PATIENCE_S):
        while await listening(place):
            await asyncio.sleep(0.02)


async def listening(place: Installation) -> int:
    async with place.database.transaction(Home("pooled"), (), is_read_only=True) as tx:
        count: int = await tx.connection.fetchval(
            "SELECT count(*)::int FROM pg_stat_activity WHERE datname = current_database() "
            "AND query ILIKE 'LISTEN %'"
        )
    return count


def test_a_job_comes_seldom_to_a_home_at_rest_and_never_more_often_than_its_pace() -> None:
    assert rest_pace(timedelta(seconds=1)) == timedelta(minutes=1)
    assert rest_pace(timedelta(seconds=30)) == timedelta(minutes=10)
    assert rest_pace(timedelta(hours=1)) == timedelta(hours=1)


async def test_jobs_come_at_once_to_a_home_that_is_heard_of(
    place: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "RESTS_AFTER_S", 0.0)
    who = await place.settle("schema")
    done: asyncio.Queue[Home] = asyncio.Queue()

    async def note(_database: Database, home: Home, _clock: SystemClock) -> int:
        if home == who.home:
            await done.put(home)
        return 0

    stop = asyncio.Event()
    job = Job("testing.note", timedelta(seconds=1), note)  # type: ignore[arg-type]
    running = asyncio.create_task(
        run_jobs(
            [job], database=place.database, homes=place.house.homes, clock=SystemClock(), stop=stop
        )
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            await done.get()
            await done.get()  # once it listens, everyone is woken, for what may have been missed
            await asyncio.sleep(1.0)
            while not done.empty():
                done.get_nowait()
            await place.order(who)
            await done.get()
    finally:
        stop.set()
        await asyncio.wait_for(running, PATIENCE_S)
