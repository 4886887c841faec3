"""A dead worker's partitions change hands at once, a silent one's when its leases run out."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from serai.kernel import ids
from serai.kernel.db import Database
from serai.kernel.events import PARTITIONS
from serai.kernel.leases import Membership, Presence
from serai.kernel.tenant import POOLED

GROUP = "recorders"
PATIENCE_S = 5.0


class Member:
    """One worker: its session and its leases, which beat when the test says so."""

    def __init__(self, database: Database) -> None:
        self.id = ids.new_id()
        self.presence = Presence(database, self.id)
        self.leases = Membership(database, POOLED, self.id, {GROUP: ["testing"]}, has_presence=True)
        self._task: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        self._task = asyncio.create_task(self.presence.run())
        async with asyncio.timeout(PATIENCE_S):
            await self.presence.is_held.wait()
        await self.leases.ensure()

    async def die(self) -> None:
        """Its sockets close; it gives nothing back."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def held(self) -> dict[int, int]:
        return self.leases.held[GROUP]


@pytest.fixture
async def members(database: Database) -> AsyncIterator[tuple[Member, Member]]:
    both = Member(database), Member(database)
    for member in both:
        await member.begin()
    await both[0].leases.beat()
    # From here on no lease runs out: whatever changes hands does so for another reason.
    await run(database, "UPDATE kernel.leases SET lease_until = 'infinity' WHERE owner IS NOT NULL")
    yield both
    for member in both:
        await member.die()


async def run(database: Database, text: str) -> None:
    async with database.transaction(POOLED, ()) as tx:
        await tx.connection.execute(text)


async def test_a_dead_workers_partitions_are_taken_at_once_under_new_fences(
    members: tuple[Member, Member],
) -> None:
    dead, living = members
    before = dict(dead.held)
    assert len(before) == PARTITIONS
    await dead.die()
    async with asyncio.timeout(PATIENCE_S):
        while len(living.held) < PARTITIONS:  # the server needs a moment to see the socket closed
            await living.leases.beat()
    assert living.held == {partition: fence + 1 for partition, fence in before.items()}
    await dead.leases.beat()
    assert dead.held == {}, "a zombie finds that it has lost them"


async def test_a_worker_that_is_silent_but_there_keeps_its_leases_until_they_run_out(
    members: tuple[Member, Member], database: Database
) -> None:
    _, other = members
    await other.leases.beat()
    await other.leases.beat()
    assert other.held == {}
    await run(database, "UPDATE kernel.leases SET lease_until = '-infinity'")
    await other.leases.beat()
    assert len(other.held) == PARTITIONS // 2, "the silent one still counts as one of two"


async def test_a_worker_whose_session_is_cut_shows_itself_again(
    members: tuple[Member, Member], database: Database
) -> None:
    first, _ = members
    with contextlib.suppress(Exception):
        await run(
            database,
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        )
    async with asyncio.timeout(PATIENCE_S):
        while first.presence.is_held.is_set():
            await asyncio.sleep(0.01)
        await first.presence.is_held.wait()


async def test_a_worker_says_when_partitions_are_nobodys(
    members: tuple[Member, Member], database: Database
) -> None:
    first, second = members
    assert await first.leases.obstacle() is None
    assert await second.leases.obstacle() == "this worker could not renew its leases"
    await run(database, "UPDATE kernel.leases SET lease_until = '-infinity' WHERE partition < 3")
    assert await first.leases.obstacle() == "3 partitions are served by nobody yet"
