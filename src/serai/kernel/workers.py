"""A worker process: every consumer group and every flow's timers, in every home."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from uuid import UUID

import structlog

from serai.kernel import ids, queries
from serai.kernel.attention import Attention, Ears
from serai.kernel.consumer import GroupRunner
from serai.kernel.db import Database
from serai.kernel.departures import TenantMoving
from serai.kernel.events import type_of
from serai.kernel.failure import Unavailable
from serai.kernel.flow import Instance
from serai.kernel.hosting import host_others
from serai.kernel.leases import Membership, Presence
from serai.kernel.module import Consumer, Timer
from serai.kernel.tenant import POOLED, Home, Homes

_log = structlog.get_logger(__name__)
_SQL = queries.load("serai.kernel")

TIMER_POLL_S = 0.5
DUE_MAX = 200
BROKEN_TIMER_PAUSE = timedelta(seconds=60)
OUTAGE_PAUSE_S = 0.5
PRESENCE_WAIT_S = 2.0
"""How long a worker waits to be seen to live before it claims what others might then take back."""


class _Post:
    """A worker's presence in one database, shared by the homes there."""

    def __init__(self, database: Database, name: str, worker: UUID) -> None:
        self.presence = Presence(database, worker, name)
        self.homes = 0
        self._task = asyncio.create_task(self.presence.run())

    async def close(self) -> None:
        await _cancel([self._task])


async def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _end(attention: Attention, until: asyncio.Event, stop: asyncio.Event) -> None:
    """Ends the serving of a home when it is quiet, or when told to stop."""
    try:
        await attention.await_quiet(stop)
    finally:
        until.set()


class Workers:
    """Runs consumers and timers until told to stop; then finishes what is at hand and leaves."""

    def __init__(
        self,
        *,
        database: Database,
        homes: Homes,
        consumers: Sequence[Consumer],
        timers: Sequence[Timer] = (),
        worker_id: UUID | None = None,
        ears: Ears | None = None,
    ) -> None:
        self._database = database
        self._homes = homes
        self._consumers = consumers
        self._timers = {timer.flow: timer for timer in timers}
        self._worker = worker_id or ids.new_id()
        self._ears = ears or Ears(database)
        self._groups = {
            consumer.group: sorted({type_of(model).topic for model in consumer.hears})
            for consumer in consumers
        }
        self._posts: dict[str, _Post] = {}
        self._pooled: Membership | None = None
        self.is_ready = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Serves every home until `stop` is set; those that are made meanwhile too."""
        pooled = asyncio.create_task(self._serve(POOLED, stop))
        others = asyncio.create_task(host_others(self._homes, self._host, stop=stop))
        try:
            await asyncio.wait([pooled, others], return_when=asyncio.FIRST_COMPLETED)
            # Whoever ended without being told so has a bug, which ends the process with all homes.
            stop.set()
            await asyncio.gather(pooled, others)
        finally:
            self.is_ready.clear()
            for task in (pooled, others):
                task.cancel()
            await asyncio.gather(pooled, others, return_exceptions=True)

    async def obstacle(self) -> str | None:
        """Why this worker, or a partition of its groups, does not serve now; None if all do.

        The pooled home stands for all: that one tenant's own database is away is in the log, and no
        reason to take a process from the others.
        """
        if not self.is_ready.is_set() or self._pooled is None:
            return "the consumers are starting"
        return await self._pooled.obstacle()

    async def _host(self, home: Home, stop: asyncio.Event) -> None:
        """Serves a home while something happens in it; between, it costs a look now and then."""
        async with self._post_in(home.database), self._ears.lend(home.database) as ear:
            attention = Attention(self._database, home, self._groups, ear)
            ear.listen()
            try:
                while not stop.is_set():
                    await attention.await_work(stop)
                    if not stop.is_set():
                        await self._serve(home, stop, attention)
            finally:
                attention.close()

    async def _serve(
        self, home: Home, stop: asyncio.Event, attention: Attention | None = None
    ) -> None:
        """Serves one home until `stop` is set; raises where one of its parts has ended of a bug.

        With attention it also ends when nothing was heard of the home for a while.
        """
        membership = Membership(self._database, home, self._worker, self._groups, has_presence=True)
        beating: list[asyncio.Task[None]] = []
        async with self._post_in(home.database) as post, self._ears.lend(home.database) as ear:
            try:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(post.presence.is_held.wait(), PRESENCE_WAIT_S)
                await self._join(membership, stop)
                runners = [
                    GroupRunner(
                        consumer, database=self._database, home=home, worker=self._worker,
                        membership=membership, wake=ear.wake, homes=self._homes,
                    )
                    for consumer in self._consumers
                ]  # fmt: skip
                until = stop if attention is None else asyncio.Event()
                serving = [asyncio.create_task(runner.run(until)) for runner in runners]
                serving.append(asyncio.create_task(self._ring(home, until)))
                beating.append(asyncio.create_task(membership.run()))
                ear.listen()
                if home == POOLED:
                    self._pooled = membership
                    self.is_ready.set()
                if attention is not None:
                    serving.append(asyncio.create_task(_end(attention, until, stop)))
                await self._watch(serving, beating, until)
            finally:
                await _cancel(beating)
                with contextlib.suppress(Unavailable):
                    await membership.leave()

    @contextlib.asynccontextmanager
    async def _post_in(self, name: str) -> AsyncIterator[_Post]:
        """The presence in a database; the last home there ends it."""
        post = self._posts.get(name) or _Post(self._database, name, self._worker)
        self._posts[name] = post
        post.homes += 1
        try:
            yield post
        finally:
            post.homes -= 1
            if not post.homes:
                del self._posts[name]
                await post.close()

    async def _watch(
        self,
        serving: list[asyncio.Task[None]],
        background: list[asyncio.Task[None]],
        stop: asyncio.Event,
    ) -> None:
        """Waits for the end; a task that died of a bug ends the serving of its home."""
        stopped = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait(
                [stopped, *serving, *background], return_when=asyncio.FIRST_COMPLETED
            )
            if stopped not in done:
                for task in done:
                    task.result()
            await asyncio.gather(*serving)
        finally:
            stopped.cancel()
            for task in serving:
                task.cancel()

    async def _join(self, membership: Membership, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await membership.ensure()
                await membership.beat()
            except Unavailable:
                await asyncio.sleep(OUTAGE_PAUSE_S)
            else:
                return

    async def _ring(self, home: Home, stop: asyncio.Event) -> None:
        """Rings the timers of flows whose deadline has passed, forever."""
        while not stop.is_set():
            count = 0
            try:
                due = await self.find_due(home)
                count = len(due)
                for flow in {instance.flow for instance in due}:
                    mine = [instance for instance in due if instance.flow == flow]
                    await self.ring(home, flow, mine)
            except Unavailable as error:
                _log.warning("timers_paused", action="timers_paused", reason=error.detail)
            if count < DUE_MAX:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), TIMER_POLL_S)

    async def find_due(self, home: Home) -> list[Instance]:
        """Flow instances whose deadline has passed and which this process knows how to ring."""
        async with self._database.transaction(home, (), is_transport=True, is_read_only=True) as tx:
            rows = await tx.fetch(_SQL.list_due_flows, tx.now, DUE_MAX)
        return [
            Instance(row["tenant_id"], row["flow"], row["key"], row["state"])
            for row in rows
            if row["flow"] in self._timers
        ]

    async def ring(self, home: Home, flow: str, due: Sequence[Instance]) -> None:
        """Lets a flow act on its due instances; one that breaks is found by halving and put off."""
        tenants = {instance.tenant_id for instance in due}
        try:
            async with self._database.transaction(home, tenants) as tx:
                await self._timers[flow].ring(due, tx=tx, now=tx.now)
        except TenantMoving as moving:
            staying = [i for i in due if not moving.concerns(i.tenant_id)]
            if len(staying) < len(due) and staying:
                await self.ring(home, flow, staying)
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 - a bug must stay with its instance
            if len(due) > 1:
                middle = len(due) // 2
                await self.ring(home, flow, due[:middle])
                await self.ring(home, flow, due[middle:])
                return
            _log.error(
                "timer_failed",
                action="timer_failed",
                flow=flow,
                key=str(due[0].key),
                exc_info=error,
            )
            async with self._database.transaction(home, tenants) as tx:
                await tx.execute(
                    _SQL.delay_flow, flow, due[0].tenant_id, due[0].key, tx.now + BROKEN_TIMER_PAUSE
                )
