"""Jobs: what is done every so often, in every home; also keeps the kernel's own tables small."""

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import timedelta

import structlog

from serai.kernel import observe, queries
from serai.kernel.clock import Clock
from serai.kernel.db import Database
from serai.kernel.failure import Unavailable
from serai.kernel.module import Job
from serai.kernel.tenant import Home, Homes

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


async def run_jobs(
    jobs: Sequence[Job], *, database: Database, homes: Homes, clock: Clock, stop: asyncio.Event
) -> None:
    """Runs every job at its pace until `stop` is set."""
    every = [*jobs, *KERNEL_JOBS]
    tasks = [
        asyncio.create_task(_repeat(job, home, database, clock, stop))
        for home in await homes.all_homes()
        for job in every
    ]
    await asyncio.gather(*tasks)


async def _repeat(
    job: Job, home: Home, database: Database, clock: Clock, stop: asyncio.Event
) -> None:
    while not stop.is_set():
        try:
            done = await job.run(database, home, clock)
        except Unavailable as error:
            _log.warning("job_paused", action="job_paused", job=job.name, reason=error.detail)
            done = 0
        except Exception as error:  # noqa: BLE001 - one job's bug must not stop the others
            _log.error("job_failed", action="job_failed", job=job.name, exc_info=error)
            done = 0
        if done < job.chunk:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), job.every.total_seconds())


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


async def measure(database: Database, home: Home, _clock: Clock) -> int:
    """Publishes lag, flows in flight, dead letters and the oldest transaction as metrics."""
    async with database.transaction(home, (), is_transport=True, is_read_only=True) as tx:
        lags = await tx.fetch(_SQL.count_lag, LAG_COUNTED_MAX)
        row = await tx.fetchrow(_SQL.count_running_flows)
    for lag in lags:
        observe.LAG.labels(lag["group_name"]).set(lag["waiting"])
    if row is not None:
        observe.FLOWS_RUNNING.set(row["flows"])
        observe.LETTERS.labels("dead").set(row["dead"])
        observe.LETTERS.labels("retrying").set(row["retrying"])
        observe.OLDEST_TRANSACTION.set(row["oldest_transaction_s"])
    return 0


KERNEL_JOBS = (
    Job("kernel.prune", PRUNE_EVERY, prune, chunk=PRUNE_CHUNK),
    Job("kernel.measure", MEASURE_EVERY, measure),
)
