"""A worker process: every consumer group and every flow's timers, in every home."""

import asyncio
import contextlib
from collections.abc import Collection, Sequence
from datetime import timedelta
from uuid import UUID

import structlog

from serai.kernel import ids, queries
from serai.kernel.consumer import GroupRunner
from serai.kernel.db import Database
from serai.kernel.events import type_of
from serai.kernel.failure import Unavailable
from serai.kernel.flow import Instance
from serai.kernel.leases import Membership, Presence
from serai.kernel.log.postgres import Wake
from serai.kernel.module import Consumer, Timer
from serai.kernel.tenant import Home, Homes

_log = structlog.get_logger(__name__)
_SQL = queries.load("serai.kernel")

TIMER_POLL_S = 0.5
DUE_MAX = 200
BROKEN_TIMER_PAUSE = timedelta(seconds=60)
OUTAGE_PAUSE_S = 0.5
PRESENCE_WAIT_S = 2.0
"""How long a worker waits to be seen to live before it claims what others might then take back."""


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
    ) -> None:
        self._database = database
        self._homes = homes
        self._consumers = consumers
        self._timers = {timer.flow: timer for timer in timers}
        self._worker = worker_id or ids.new_id()
        self.runners: list[GroupRunner] = []
        self._memberships: list[Membership] = []
        self.is_ready = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Serves every home until `stop` is set."""
        wake = Wake(self._database)
        presence = Presence(self._database, self._worker)
        background: list[asyncio.Task[None]] = [asyncio.create_task(presence.run())]
        serving: list[asyncio.Task[None]] = []
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(presence.is_held.wait(), PRESENCE_WAIT_S)
            for home in await self._find_homes(stop):
                membership = self._membership(home)
                self._memberships.append(membership)
                await self._join(membership, stop)
                for consumer in self._consumers:
                    runner = GroupRunner(
                        consumer, database=self._database, home=home, worker=self._worker,
                        membership=membership, wake=wake,
                    )  # fmt: skip
                    self.runners.append(runner)
                    serving.append(asyncio.create_task(runner.run(stop)))
                serving.append(asyncio.create_task(self._ring(home, stop)))
                background.append(asyncio.create_task(membership.run()))
            background.append(asyncio.create_task(wake.run()))
            self.is_ready.set()
            await self._watch(serving, background, stop)
        finally:
            self.is_ready.clear()
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
            for membership in self._memberships:
                with contextlib.suppress(Unavailable):
                    await membership.leave()

    async def obstacle(self) -> str | None:
        """Why this worker, or a partition of its groups, does not serve now; None if all do."""
        if not self.is_ready.is_set():
            return "the consumers are starting"
        for membership in self._memberships:
            if obstacle := await membership.obstacle():
                return obstacle
        return None

    async def _watch(
        self,
        serving: list[asyncio.Task[None]],
        background: list[asyncio.Task[None]],
        stop: asyncio.Event,
    ) -> None:
        """Waits for the end; a task that died of a bug ends the process, to be restarted."""
        stopped = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait(
                [stopped, *serving, *background], return_when=asyncio.FIRST_COMPLETED
            )
            if stopped not in done:
                stop.set()
                for task in done:
                    task.result()
            await asyncio.gather(*serving)
        finally:
            stopped.cancel()
            for task in serving:
                task.cancel()

    def _membership(self, home: Home) -> Membership:
        groups = {
            consumer.group: sorted({type_of(model).topic for model in consumer.hears})
            for consumer in self._consumers
        }
        return Membership(self._database, home, self._worker, groups, has_presence=True)

    async def _find_homes(self, stop: asyncio.Event) -> Collection[Home]:
        while not stop.is_set():
            try:
                return await self._homes.all_homes()
            except Unavailable:
                await asyncio.sleep(OUTAGE_PAUSE_S)
        return ()

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
