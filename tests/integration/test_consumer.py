"""Consumer groups on a real PostgreSQL: once, in order, never blocked, safe from zombies."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest

from serai.kernel import consumer, ids
from serai.kernel.consumer import GroupRunner
from serai.kernel.db import Database, Tx
from serai.kernel.events import Cause, Delivery, event
from serai.kernel.failure import LostLease
from serai.kernel.leases import Membership
from serai.kernel.letters import letter_pause
from serai.kernel.log.postgres import Wake, fetch_events
from serai.kernel.module import BATCH_EVENTS_MAX, Consumer
from serai.kernel.tenant import POOLED


@event(topic="testing", key="thing_id")
class ThingHappened(msgspec.Struct, frozen=True):
    """A fact that only these tests announce."""

    thing_id: UUID
    number: int


class Recorder:
    """A handler that keeps what it was given, and breaks on the numbers it is told to."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.poison: set[int] = set()
        self.batches: list[int] = []

    async def hear(self, deliveries: Sequence[Delivery], *, tx: Tx, now: datetime) -> None:
        del tx, now
        numbers = [delivery.decode().number for delivery in deliveries]
        bad = self.poison.intersection(numbers)
        if bad:
            raise ValueError(f"poison {sorted(bad)}")
        self.batches.append(len(numbers))
        self.seen.extend(numbers)


class Worker:
    """One worker's runner of the group `recorders`."""

    def __init__(self, database: Database, recorder: Recorder) -> None:
        group = Consumer("recorders", {ThingHappened: recorder.hear})
        self.id = ids.new_id()
        self.membership = Membership(database, POOLED, self.id, {"recorders": ["testing"]})
        self.runner = GroupRunner(
            group, database=database, home=POOLED, worker=self.id,
            membership=self.membership, wake=Wake(database),
        )  # fmt: skip

    async def drain(self) -> None:
        """Takes batches until there is nothing left."""
        while (await self.runner.step())[0]:
            pass


async def announce(
    database: Database, tenant: UUID, numbers: Sequence[int], key: UUID | None = None
) -> None:
    async with database.transaction(POOLED, (tenant,)) as tx:
        for number in numbers:
            tx.announce(tenant, ThingHappened(key or ids.new_id(), number), Cause(ids.new_id()))


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
async def worker(database: Database, recorder: Recorder) -> AsyncIterator[Worker]:
    worker = Worker(database, recorder)
    await worker.membership.ensure()
    await worker.membership.beat()
    yield worker
    await worker.membership.leave()


async def expire_leases(database: Database) -> None:
    """What the passing of time does to a worker that no longer beats."""
    async with database.transaction(POOLED, ()) as tx:
        await tx.connection.execute("UPDATE kernel.leases SET lease_until = '-infinity'")
        await tx.connection.execute("UPDATE kernel.members SET seen_at = '-infinity'")


async def test_every_event_is_heard_once_and_in_the_order_of_its_key(
    database: Database, tenant: UUID, worker: Worker, recorder: Recorder
) -> None:
    key = ids.new_id()
    for start in range(0, 60, 20):
        await announce(database, tenant, range(start, start + 20), key)
    await announce(database, tenant, range(100, 140))
    await worker.drain()
    await worker.drain()
    assert sorted(recorder.seen) == [*range(60), *range(100, 140)]
    assert [n for n in recorder.seen if n < 60] == list(range(60))


async def test_what_is_more_than_one_fetch_takes_is_heard_by_the_next(
    database: Database, tenant: UUID, worker: Worker, recorder: Recorder
) -> None:
    count = 2 * BATCH_EVENTS_MAX
    await announce(database, tenant, range(count), ids.new_id())
    await worker.drain()
    assert recorder.seen == list(range(count))


async def test_a_delivery_that_comes_again_has_no_second_effect(
    database: Database, tenant: UUID, worker: Worker, recorder: Recorder
) -> None:
    await announce(database, tenant, range(5))
    await worker.drain()
    async with database.transaction(POOLED, ()) as tx:
        await tx.connection.execute("UPDATE kernel.positions SET xid = '0', seq = 0")
    again = Worker(database, recorder)
    await expire_leases(database)
    await again.membership.beat()
    await again.drain()
    assert sorted(recorder.seen) == [0, 1, 2, 3, 4]


async def test_nothing_is_skipped_while_an_older_transaction_is_open(
    database: Database, tenant: UUID, worker: Worker, recorder: Recorder
) -> None:
    async with database.transaction(POOLED, (tenant,)) as slow:
        slow.announce(tenant, ThingHappened(ids.new_id(), 1), Cause(ids.new_id()))
        await slow.flush()
        await announce(database, tenant, [2])
        await worker.drain()
        assert recorder.seen == [], "2 lies above a transaction that still runs"
    await worker.drain()
    assert sorted(recorder.seen) == [1, 2]


async def test_a_busy_place_does_not_keep_a_quiet_one_where_it_is(
    database: Database, tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[dict[tuple[str, int], tuple[int, int]]] = []

    async def noting(*args: Any, **options: Any) -> tuple[list[Delivery], int]:
        given.append(dict(args[2]))
        return await fetch_events(*args, **options)

    monkeypatch.setattr(consumer, "fetch_events", noting)
    worker = Worker(database, Recorder())
    await worker.membership.ensure()
    await worker.membership.beat()
    for number in range(4):
        await announce(database, tenant, [number])
        assert (await worker.runner.step())[0] == 1
    await worker.membership.leave()
    lowest = [min(xid for xid, _ in cursors.values()) for cursors in given]
    assert lowest == sorted(set(lowest)), "a place where nothing was found is read again from there"


async def test_a_poison_message_is_parked_and_blocks_nobody_but_its_own_key(
    database: Database, tenant: UUID, worker: Worker, recorder: Recorder
) -> None:
    recorder.poison = {7}
    key = ids.new_id()
    await announce(database, tenant, range(5))
    await announce(database, tenant, [7], key)
    await announce(database, tenant, range(10, 15))
    await worker.drain()
    await announce(database, tenant, [8, 9], key)
    await worker.drain()
    assert sorted(recorder.seen) == [*range(5), *range(10, 15)]
    async with database.transaction(POOLED, (tenant,)) as tx:
        rows = await tx.connection.fetch(
            "SELECT state, attempts, error FROM kernel.dead_letters ORDER BY seq"
        )
    assert [row["attempts"] for row in rows] == [1, 0, 0]
    assert "poison [7]" in rows[0]["error"]
    assert "behind" in rows[1]["error"]


async def test_a_parked_message_is_tried_again_and_its_followers_come_in_order(
    database: Database, tenant: UUID, worker: Worker, recorder: Recorder
) -> None:
    recorder.poison = {7}
    key = ids.new_id()
    await announce(database, tenant, [7], key)
    await worker.drain()
    await announce(database, tenant, [8, 9], key)
    await worker.drain()
    recorder.poison = set()
    for _ in range(3):
        async with database.transaction(POOLED, (tenant,)) as tx:
            await tx.connection.execute("UPDATE kernel.dead_letters SET next_at = '-infinity'")
        worker.runner.retry_letters_now()
        await worker.drain()
    assert recorder.seen == [7, 8, 9]
    async with database.transaction(POOLED, (tenant,)) as tx:
        assert await tx.connection.fetchval("SELECT count(*) FROM kernel.dead_letters") == 0


async def test_a_message_that_never_heals_ends_as_a_dead_letter(
    database: Database, tenant: UUID, worker: Worker, recorder: Recorder
) -> None:
    recorder.poison = {7}
    await announce(database, tenant, [7])
    await worker.drain()
    for _ in range(10):
        async with database.transaction(POOLED, (tenant,)) as tx:
            await tx.connection.execute("UPDATE kernel.dead_letters SET next_at = '-infinity'")
        worker.runner.retry_letters_now()
        await worker.drain()
    async with database.transaction(POOLED, (tenant,)) as tx:
        row = await tx.connection.fetchrow("SELECT state, attempts FROM kernel.dead_letters")
    assert (row["state"], row["attempts"]) == ("dead", 8)


async def test_a_worker_that_wakes_up_after_its_lease_commits_nothing(
    database: Database, tenant: UUID, worker: Worker, recorder: Recorder
) -> None:
    await announce(database, tenant, [1])
    await worker.drain()
    await expire_leases(database)
    heir = Worker(database, recorder)
    await heir.membership.beat()
    await announce(database, tenant, [2])
    with pytest.raises(LostLease):
        await worker.drain()
    assert recorder.seen == [1], "the zombie's handler was called, or its work was kept"
    await heir.drain()
    assert recorder.seen == [1, 2]


async def test_two_workers_share_the_partitions_and_hear_everything_once(
    database: Database, tenant: UUID, worker: Worker, recorder: Recorder
) -> None:
    second = Worker(database, recorder)
    for _ in range(3):
        await second.membership.beat()
        await worker.membership.beat()
    held = [set(w.membership.held["recorders"]) for w in (worker, second)]
    assert held[0] | held[1] == set(range(8))
    assert held[0] & held[1] == set()
    assert [len(h) for h in held] == [4, 4]
    await announce(database, tenant, range(100))
    await asyncio.gather(worker.drain(), second.drain())
    assert sorted(recorder.seen) == list(range(100))


def test_a_parked_message_rests_longer_after_each_try() -> None:
    assert [letter_pause(n).total_seconds() for n in (0, 1, 2, 20)] == [0.5, 1.0, 2.0, 300.0]
