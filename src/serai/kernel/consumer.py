"""Consumer groups: take events by the hundred and handle each batch in one transaction.

In that transaction the group's positions move (only under the worker's fences), the inbox drops
repetitions, the handlers write and announce. A batch that fails is halved until the poison message
stands alone; that one is parked with its context, and its followers of the same key behind it.
"""

import asyncio
import contextlib
import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import structlog

from serai.kernel import abroad, inbox, observe, queries
from serai.kernel.db import Database, Tx
from serai.kernel.departures import TenantMoving
from serai.kernel.events import Delivery, type_of
from serai.kernel.failure import LostLease, Unavailable
from serai.kernel.leases import Membership
from serai.kernel.letters import letter_pause, write_letters
from serai.kernel.log.postgres import Position, Wake, fetch_events, read_delivery
from serai.kernel.module import Consumer, Hear, Outside
from serai.kernel.stages import plan_stages
from serai.kernel.tenant import DIRECTORY, Home, Homes

_log = structlog.get_logger(__name__)
_SQL = queries.load("serai.kernel")

POLL_S = 1.0
"""How long a consumer waits at most when no notification comes."""
FETCH_GAP_S = 0.01
"""The least time between two fetches: under load a batch gathers, alone nothing is delayed."""
HORIZON_POLL_S = 0.01
HORIZON_POLL_MAX_S = 0.1
OUTAGE_PAUSE_S = 0.2
SAVE_S = 10.0
"""How often a group that hears nothing writes down how far it has looked."""
LETTER_POLL_S = 1.0
LETTERS_MAX = 50
LETTER_TRIES_MAX = 8
ERROR_CHARS_MAX = 2000


class GroupRunner:
    """Runs one consumer group in one home, for the partitions that the worker holds."""

    def __init__(
        self,
        consumer: Consumer,
        *,
        database: Database,
        home: Home,
        worker: UUID,
        membership: Membership,
        wake: Wake,
        homes: Homes | None = None,
    ) -> None:
        self._homes = homes
        self._consumer = consumer
        self._database = database
        self._home = home
        self._worker = worker
        self._membership = membership
        self._wake = wake
        self._types = [type_of(model).name for model in consumer.hears]
        self._topics = sorted({type_of(model).topic for model in consumer.hears})
        self._woken = wake.subscribe(home, self._types)
        membership.watch(self._woken)
        self._cursors: dict[tuple[str, int], Position] = {}
        self._fences: dict[int, int] = {}
        self._letters_at = self._fetch_at = self._save_at = 0.0
        self.handled = 0

    @property
    def topics(self) -> Sequence[str]:
        """What the group listens to."""
        return self._topics

    async def run(self, stop: asyncio.Event) -> None:
        """Serves until `stop` is set; finishes the batch at hand first."""
        ending = asyncio.ensure_future(stop.wait())
        ending.add_done_callback(lambda _: self._woken.set())
        try:
            await self._serve(stop)
            if self._cursors:
                # Whoever looks whether there is more to hear must not find what was passed over.
                with contextlib.suppress(Unavailable, LostLease):
                    await self._save()
        finally:
            ending.cancel()
            self._wake.unsubscribe(self._home, self._types, self._woken)

    async def _serve(self, stop: asyncio.Event) -> None:
        pause = HORIZON_POLL_S
        while not stop.is_set():
            try:
                count, is_pending = await self.step()
            except LostLease:
                self._cursors.clear()
                self._fences.clear()
                await asyncio.sleep(OUTAGE_PAUSE_S)
                continue
            except Unavailable as error:
                _log.warning(
                    "consumer_paused", action="consumer_paused",
                    group=self._consumer.group, reason=error.detail,
                )  # fmt: skip
                self._cursors.clear()
                self._fences.clear()
                await asyncio.sleep(OUTAGE_PAUSE_S)
                continue
            if count:
                pause = HORIZON_POLL_S
            elif is_pending:
                await asyncio.sleep(pause)
                pause = min(pause * 2, HORIZON_POLL_MAX_S)
            else:
                pause = HORIZON_POLL_S
                await self._rest(stop)

    async def step(self) -> tuple[int, bool]:
        """Fetches and handles one batch.

        Returns how many events it had, and whether more are known to be written but not readable.
        """
        await self._adopt()
        if not self._cursors:
            # Whoever serves the partitions was woken as well; once they are ours, we look anyway.
            self._woken.clear()
            return 0, False
        if _now() >= self._letters_at:
            await self._retry_letters()
        gap = self._fetch_at - _now()
        if gap > 0:
            await asyncio.sleep(gap)
        self._fetch_at = _now() + FETCH_GAP_S
        self._woken.clear()
        newest = self._wake.newest(self._home, self._types)
        limit = max(1, self._consumer.batch_max // len(self._cursors))
        deliveries, horizon = await fetch_events(
            self._database, self._home, self._cursors, self._types, limit=limit
        )
        if deliveries:
            await self.handle(deliveries)
        self._skip_to(horizon, deliveries, limit)
        if _now() >= self._save_at:
            await self._save()
        return len(deliveries), horizon <= newest

    def retry_letters_now(self) -> None:
        """Makes the next step look for parked messages, however short ago the last look was."""
        self._letters_at = 0.0

    async def handle(self, deliveries: Sequence[Delivery]) -> None:
        """Handles a batch; one that fails is halved until the poison message stands alone."""
        began = time.perf_counter()
        try:
            await self._carry(deliveries)
        except TenantMoving as moving:
            if moving.leaving or moving.home != self._home:
                raise
            await self._let_go(deliveries, moving)
        except (Unavailable, LostLease):
            raise
        except Exception as error:  # noqa: BLE001 - any bug of a handler must stay with its message
            if len(deliveries) > 1:
                middle = len(deliveries) // 2
                await self.handle(deliveries[:middle])
                await self.handle(deliveries[middle:])
                return
            await self._park(deliveries[0], error)
        self._advance(deliveries)
        self.handled += len(deliveries)
        observe.EVENTS_HANDLED.labels(self._consumer.group).inc(len(deliveries))
        observe.CONSUMER_SECONDS.labels(self._consumer.group).observe(time.perf_counter() - began)

    async def _let_go(self, deliveries: Sequence[Delivery], moving: TenantMoving) -> None:
        """Handles a batch without those who have left: their old events went along with them."""
        for delivery in deliveries:
            if delivery.position[0] >= moving.away.get(delivery.tenant_id, math.inf):
                try:
                    await abroad.send_on(delivery, self._database, self._homes)
                except Unavailable as error:
                    # One tenant's home that is away must not hold up the others here.
                    await self._park(delivery, error, home=DIRECTORY)
        if staying := [d for d in deliveries if d.tenant_id not in moving.away]:
            await self.handle(staying)
        async with self._database.transaction(self._home, ()) as tx:
            await self._move(deliveries, tx=tx)

    async def _carry(self, deliveries: Sequence[Delivery]) -> None:
        stages = plan_stages(deliveries, self._consumer)
        answers = [
            await hear.ask(items, self._home) if isinstance(hear, Outside) else ()
            for hear, items in stages
        ]
        tenants = {delivery.tenant_id for delivery in deliveries}
        async with self._database.transaction(self._home, tenants) as tx:
            await self._move(deliveries, tx=tx)
            admitted = await self._admit(deliveries, tx=tx)
            for (hear, items), given in zip(stages, answers, strict=True):
                await _call(hear, items, given, admitted, tx=tx)

    async def _admit(self, deliveries: Sequence[Delivery], *, tx: Tx) -> set[UUID]:
        """The ids to handle now: not handled before, not behind a parked message of their key."""
        group = self._consumer.group
        keys = list({delivery.key for delivery in deliveries})
        rows = await tx.fetch(_SQL.list_blocked_keys, group, keys)
        if not rows:
            return await inbox.admit(group, deliveries, tx=tx, now=tx.now)
        blocked = {row["key"] for row in rows}
        behind = [d for d in deliveries if d.key in blocked]
        free = [d for d in deliveries if d.key not in blocked]
        await write_letters(
            group, behind, tx.now, 0, "waits behind a parked message of its key", tx=tx
        )
        return await inbox.admit(group, free, tx=tx, now=tx.now) if free else set()

    async def _move(self, deliveries: Sequence[Delivery], *, tx: Tx) -> None:
        """Moves the positions past a batch; LostLease unless every partition is still ours."""
        newest: dict[tuple[str, int], Position] = {}
        for delivery in deliveries:
            newest[delivery.type.topic, delivery.partition] = delivery.position
        await self._move_to(newest, tx=tx)

    async def _save(self) -> None:
        """Writes the cursors down: a group that rarely hears must not hold up the log's pruning."""
        self._save_at = _now() + SAVE_S
        async with self._database.transaction(self._home, ()) as tx:
            await self._move_to(self._cursors, tx=tx)

    async def _move_to(self, newest: Mapping[tuple[str, int], Position], *, tx: Tx) -> None:
        partitions = sorted({partition for _, partition in newest})
        if any(partition not in self._fences for partition in partitions):
            raise LostLease(self._consumer.group)
        held = await tx.fetchval(
            _SQL.move_positions,
            self._consumer.group,
            self._worker,
            partitions,
            [self._fences[partition] for partition in partitions],
            [topic for topic, _ in newest],
            [partition for _, partition in newest],
            [str(position[0]) for position in newest.values()],
            [position[1] for position in newest.values()],
        )
        if held != len(partitions):
            raise LostLease(self._consumer.group)

    def _advance(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            place = (delivery.type.topic, delivery.partition)
            self._cursors[place] = max(self._cursors[place], delivery.position)

    def _skip_to(self, horizon: int, fetched: Sequence[Delivery], limit: int) -> None:
        """Leaves behind what a fetch that was not full saw to be not ours, place by place."""
        counts = Counter((delivery.type.topic, delivery.partition) for delivery in fetched)
        for place, position in self._cursors.items():
            if counts[place] < limit:
                self._cursors[place] = max(position, (horizon, 0))

    async def _adopt(self) -> None:
        """Takes over what the membership holds: drops what was lost, reads where new ones stand."""
        held = self._membership.held[self._consumer.group]
        if held == self._fences:
            return
        fences = dict(held)
        fresh = [p for p, fence in fences.items() if self._fences.get(p) != fence]
        cursors = {place: c for place, c in self._cursors.items() if place[1] in fences}
        if fresh:
            async with self._database.transaction(self._home, (), is_read_only=True) as tx:
                rows = await tx.fetch(_SQL.list_positions, self._consumer.group, fresh)
            for row in rows:
                if row["topic"] in self._topics:
                    cursors[row["topic"], row["partition"]] = (row["xid"], row["seq"])
        self._fences = fences
        self._cursors = cursors

    async def _park(
        self, delivery: Delivery, error: Exception, *, home: Home | None = None
    ) -> None:
        _log.error(
            "message_parked", action="message_parked", group=self._consumer.group,
            event_id=str(delivery.event_id), type=delivery.type.name, exc_info=error,
        )  # fmt: skip
        observe.EVENTS_PARKED.labels(self._consumer.group).inc()
        async with self._database.transaction(home or self._home, (delivery.tenant_id,)) as tx:
            await self._move([delivery], tx=tx)
            next_at = tx.now + letter_pause(0)
            group = self._consumer.group
            await write_letters(group, [delivery], next_at, 1, _describe(error), tx=tx)

    async def _retry_letters(self) -> None:
        """Tries parked messages whose rest is over, each alone and in the order of its key."""
        self._letters_at = _now() + LETTER_POLL_S
        async with self._database.transaction(
            self._home, (), is_transport=True, is_read_only=True
        ) as tx:
            rows = await tx.fetch(
                _SQL.list_due_letters, self._consumer.group, tx.now, LETTERS_MAX, list(self._fences)
            )
        for row in rows:
            await self._retry(read_delivery(row), row["attempts"])
            self._letters_at = 0.0

    async def _retry(self, delivery: Delivery, tries: int) -> None:
        group = self._consumer.group
        hear = self._consumer.hears[delivery.type.model]
        try:
            given = await hear.ask([delivery], self._home) if isinstance(hear, Outside) else ()
            async with self._database.transaction(self._home, (delivery.tenant_id,)) as tx:
                if await tx.fetchval(_SQL.lock_letter, group, delivery.event_id) is None:
                    return
                admitted = await inbox.admit(group, [delivery], tx=tx, now=tx.now)
                await _call(hear, [delivery], given, admitted, tx=tx)
                await tx.execute(_SQL.delete_letter, group, delivery.event_id)
        except TenantMoving as moving:
            if moving.home == self._home:
                await self._retry_abroad(delivery, tries, moving)
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 - it stays parked, with what happened this time
            state = "dead" if tries + 1 >= LETTER_TRIES_MAX else "retrying"
            async with self._database.transaction(self._home, (delivery.tenant_id,)) as tx:
                await tx.execute(
                    _SQL.delay_letter, group, delivery.event_id, state,
                    tx.now + letter_pause(tries), _describe(error),
                )  # fmt: skip
            told = {"group": group, "state": state, "event_id": str(delivery.event_id)}
            _log.warning("letter_failed", action="letter_failed", **told)

    async def _retry_abroad(self, delivery: Delivery, tries: int, moving: TenantMoving) -> None:
        """Sends on what was parked for a tenant who lives elsewhere; what it took along stays."""
        if delivery.position[0] < moving.away.get(delivery.tenant_id, math.inf):
            return
        args: tuple[Any, ...] = (self._consumer.group, delivery.event_id)
        try:
            await abroad.send_on(delivery, self._database, self._homes)
        except Unavailable as error:
            next_at = self._database.clock.now() + letter_pause(tries)
            statement, args = _SQL.delay_letter, (*args, "retrying", next_at, _describe(error))
        else:
            statement = _SQL.delete_letter
        async with self._database.transaction(DIRECTORY, (delivery.tenant_id,)) as tx:
            await tx.execute(statement, *args)

    async def _rest(self, stop: asyncio.Event) -> None:
        """Waits for a notification, a change of leases, the end, or the safety net."""
        # What came while the last batch was fetched may have been cleared with an older call.
        if stop.is_set() or self._membership.held[self._consumer.group] != self._fences:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(POLL_S):
                await self._woken.wait()


def _now() -> float:
    """The loop's own time, by which its sleeps are measured too; a simulated loop has its own."""
    return asyncio.get_running_loop().time()


async def _call(
    hear: Hear | Outside,
    items: Sequence[Delivery],
    answers: Sequence[Any],
    admitted: set[UUID],
    *,
    tx: Tx,
) -> None:
    if isinstance(hear, Outside):
        kept = [(d, a) for d, a in zip(items, answers, strict=True) if d.event_id in admitted]
        if kept:
            await hear.record([d for d, _ in kept], [a for _, a in kept], tx=tx, now=tx.now)
        return
    fresh = [delivery for delivery in items if delivery.event_id in admitted]
    if fresh:
        await hear(fresh, tx=tx, now=tx.now)


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".replace("\0", "")[:ERROR_CHARS_MAX]
