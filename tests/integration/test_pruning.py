"""Retention: what may still be delivered again must still be known."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from serai.kernel.clock import ManualClock
from serai.kernel.db import Database
from serai.kernel.scheduler import EVENTS_KEPT, prune
from serai.kernel.tenant import POOLED
from tests.integration.test_consumer import Recorder, Worker, announce, expire_leases

BEFORE_ITS_END = timedelta(hours=1)


async def hear_from_the_start(database: Database, recorder: Recorder) -> None:
    """What a restored backup of the positions, or an operator, does to a group."""
    async with database.transaction(POOLED, ()) as tx:
        await tx.connection.execute("UPDATE kernel.positions SET xid = '0', seq = 0")
    await expire_leases(database)
    worker = Worker(database, recorder)
    await worker.membership.ensure()
    await worker.membership.beat()
    await worker.drain()


async def test_what_can_still_be_read_is_still_known(database: Database, tenant: UUID) -> None:
    clock = database.clock = ManualClock(datetime(2026, 11, 21, 12, 0, tzinfo=UTC))
    recorder = Recorder()
    await announce(database, tenant, range(5))
    await hear_from_the_start(database, recorder)
    clock.advance(EVENTS_KEPT - BEFORE_ITS_END)
    await prune(database, POOLED, clock)
    await hear_from_the_start(database, recorder)
    assert sorted(recorder.seen) == [0, 1, 2, 3, 4]
    clock.advance(2 * BEFORE_ITS_END)
    await announce(database, tenant, [9])
    await hear_from_the_start(database, recorder)
    await prune(database, POOLED, clock)
    await hear_from_the_start(database, recorder)
    assert sorted(recorder.seen) == [0, 1, 2, 3, 4, 9]
    async with database.transaction(POOLED, (tenant,)) as tx:
        assert await tx.connection.fetchval("SELECT count(*) FROM kernel.outbox") == 1
