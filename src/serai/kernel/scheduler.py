"""Jobs: what is done every so often, in every home; also keeps the kernel's own tables small."""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import structlog

from serai.kernel import observe, queries
from serai.kernel.attention import RESTS_AFTER_S, Ear, Ears
from serai.kernel.clock import Clock
from serai.kernel.db import Database, looking_after_quiet
from serai.kernel.failure import Unavailable
from serai.kernel.hosting import host_others
from serai.kernel.migrated import HomeBehind
from serai.kernel.module import Job
from serai.kernel.tenant import POOLED, Home, Homes

_log = structlog.get_logger(__name__)
_SQL = queries.load("serai.kernel")

KEYS_KEPT = timedelta(days=7)
EVENTS_KEPT = timedelta(days=30)
INBOX_KEPT = timedelta(days=45)
"""Longer than the events: what may still be delivered again must still be known."""
PRUNE_CHUNK = 2000
LAG_COUNTED_MAX = 10_000
MEASURE_EVERY = timedelta(seconds=5)
PRUNE_EVERY = timedelta(minutes=1)
RESTING_FACTOR: Final = 60
"""How many times more seldom a job is done in a home at rest ..."""
RESTING_EVERY_MAX: Final = timedelta(minutes=10)
"""... which is at least this often, unless it is more seldom anyway."""


async def run_jobs(
    jobs: Sequence[Job],
    *,
    database: Database,
    homes: Homes,
    clock: Clock,
    stop: asyncio.Event,
    ears: Ears | None = None,
) -> None:
    """Runs every job at its pace in every home until `stop` is set; in new homes too.

    In a home at rest (the pooled one never is) jobs come seldom, until something is heard of it.
    """
    heard = ears or Ears(database)
    figures = Figures()
    every = [*jobs, *KERNEL_JOBS, Job("kernel.measure", MEASURE_EVERY, figures.measure)]

    async def serve(home: Home, until: asyncio.Event) -> None:
        try:
            await asyncio.gather(*(_repeat(job, home, database, clock, until) for job in every))
        finally:
            figures.forget(home)

    async def serve_other(home: Home, until: asyncio.Event) -> None:
        async with heard.lend(home.database) as ear:
            stirred = {job.name: ear.wake.watch(home) for job in every}
            ear.listen()
            try:
                await asyncio.gather(
                    *(
                        _repeat_or_rest(
                            job,
                            home,
                            database,
                            clock,
                            stop=until,
                            stirred=stirred[job.name],
                            ear=ear,
                        )
                        for job in every
                    )
                )
            finally:
                figures.forget(home)
                for event in stirred.values():
                    ear.wake.unwatch(home, event)

    await asyncio.gather(serve(POOLED, stop), host_others(homes, serve_other, stop=stop))


async def _repeat(
    job: Job, home: Home, database: Database, clock: Clock, stop: asyncio.Event
) -> None:
    """Does one job at its pace."""
    while not stop.is_set():
        if await _do(job, home, database, clock) < job.chunk:
            await _wait(stop, job.every)


async def _repeat_or_rest(
    job: Job,
    home: Home,
    database: Database,
    clock: Clock,
    *,
    stop: asyncio.Event,
    stirred: asyncio.Event,
    ear: Ear,
) -> None:
    """The same, and seldom while nothing is heard of the home and nothing was to be done in it."""
    heard_at = -RESTS_AFTER_S
    while not stop.is_set():
        now = asyncio.get_running_loop().time()
        if stirred.is_set():
            stirred.clear()
            heard_at = now
        is_awake = now - heard_at < RESTS_AFTER_S
        if is_awake:
            done = await _do(job, home, database, clock)
        else:
            async with ear.room:
                with looking_after_quiet():
                    done = await _do(job, home, database, clock)
        if done:
            # Also before it goes on at once: who has much to do leaves the room to others at rest.
            heard_at = asyncio.get_running_loop().time()
        if done >= job.chunk:
            continue
        if is_awake or done:
            await _wait(stop, job.every)
        else:
            await _wait_for_news(stop, stirred, rest_pace(job.every))


async def _do(job: Job, home: Home, database: Database, clock: Clock) -> int:
    """Does a job once; how many things it did, none where that failed."""
    try:
        return await job.run(database, home, clock)
    except HomeBehind:
        return 0
    except Unavailable as error:
        _log.warning("job_paused", action="job_paused", job=job.name, reason=error.detail)
        return 0
    except Exception as error:  # noqa: BLE001 - one job's bug must not stop the others
        _log.error("job_failed", action="job_failed", job=job.name, exc_info=error)
        return 0


def rest_pace(every: timedelta) -> timedelta:
    """How often a job is done in a home at rest that is else done `every` so often."""
    return max(every, min(every * RESTING_FACTOR, RESTING_EVERY_MAX))


async def _wait(until: asyncio.Event, pause: timedelta) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(until.wait(), pause.total_seconds())


async def _wait_for_news(stop: asyncio.Event, stirred: asyncio.Event, pause: timedelta) -> None:
    ending = asyncio.ensure_future(stop.wait())
    ending.add_done_callback(lambda end: None if end.cancelled() else stirred.set())
    try:
        # Hundreds of homes that were met at once must not be served at once for good.
        await _wait(stirred, pause * random.uniform(0.75, 1))  # noqa: S311 - guards nothing
    finally:
        ending.cancel()


async def prune(database: Database, home: Home, clock: Clock) -> int:
    """Deletes keys, events and inbox marks whose retention is over, a chunk of each."""
    now = clock.now()
    async with database.transaction(home, (), is_transport=True) as tx:
        keys = await tx.execute(_SQL.prune_keys, now - KEYS_KEPT, PRUNE_CHUNK)
    async with database.transaction(home, (), is_transport=True) as tx:
        gone = await tx.execute(_SQL.prune_outbox, now - EVENTS_KEPT, PRUNE_CHUNK)
    async with database.transaction(home, (), is_transport=True) as tx:
        marks = await tx.execute(_SQL.prune_inbox, now - INBOX_KEPT, PRUNE_CHUNK)
    return max(keys, gone, marks)


class Figures:
    """What is measured in each home, published as sums over all: a gauge has one value."""

    def __init__(self) -> None:
        self._of: dict[Home, dict[tuple[str, ...], float]] = {}
        self._oldest_s: dict[Home, float] = {}

    async def measure(self, database: Database, home: Home, _clock: Clock) -> int:
        """Publishes lag, flows in flight, dead letters and the oldest transaction as metrics."""
        async with database.transaction(home, (), is_transport=True, is_read_only=True) as tx:
            lags = await tx.fetch(_SQL.count_lag, LAG_COUNTED_MAX)
            row = await tx.fetchrow(_SQL.count_running_flows)
        found: dict[tuple[str, ...], float] = {
            ("lag", lag["group_name"]): lag["waiting"] for lag in lags
        }
        if row is not None:
            for name in ("flows", "dead", "retrying"):
                found[name,] = row[name]
            self._oldest_s[home] = row["oldest_transaction_s"]
        self._of[home] = found
        self._publish()
        return 0

    def forget(self, home: Home) -> None:
        """Takes the figures of a home that is served no longer out of the sums."""
        self._of.pop(home, None)
        self._oldest_s.pop(home, None)

    def _publish(self) -> None:
        sums: Counter[tuple[str, ...]] = Counter()
        for found in self._of.values():
            sums.update(found)
        for key, value in sums.items():
            if key[0] == "lag":
                observe.LAG.labels(key[1]).set(value)
        observe.FLOWS_RUNNING.set(sums["flows",])
        observe.LETTERS.labels("dead").set(sums["dead",])
        observe.LETTERS.labels("retrying").set(sums["retrying",])
        observe.OLDEST_TRANSACTION.set(max(self._oldest_s.values(), default=0.0))


KERNEL_JOBS = (Job("kernel.prune", PRUNE_EVERY, prune, chunk=PRUNE_CHUNK),)
