"""Whether something happens in a home: one that is quiet is left alone until it is heard of again.

A worker that polled hundreds of quiet homes would do nothing else. So a home other than the pooled
one, which most tenants share, goes to rest when nothing was heard for a while; then one session in
its database listens for all homes there, and a look now and then is the safety net. Whoever is told
of an event looks first: what must be done is read from the home's tables, never from the message.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Final

import structlog

from serai.kernel import queries
from serai.kernel.db import Database, looking_after_quiet
from serai.kernel.events import PARTITIONS
from serai.kernel.failure import Unavailable
from serai.kernel.log.postgres import Wake
from serai.kernel.migrated import HomeBehind
from serai.kernel.tenant import Home
from serai.settings import QUIET_POOL_MAX

_log = structlog.get_logger(__name__)
_SQL = queries.load("serai.kernel")

RESTS_AFTER_S: Final = 15.0
"""How long nothing is heard of a home until it goes to rest."""
LOOK_S: Final = 15.0
"""How long a home at rest is not looked at, where no notification comes: the safety net."""
LOOK_GAP_S: Final = 0.05
"""The least time between two looks, however often it is woken while others serve it."""
AWAY_PAUSE_S: Final = 1.0
"""How long a home at rest that could not be looked at is left alone."""
QUIET_AT_ONCE: Final = QUIET_POOL_MAX
"""Homes at rest that one process looks after at a time: connections are for those at work."""


class Ear:
    """Hears for all homes of a database; `room` is what there is for those at rest."""

    def __init__(self, database: Database, name: str, room: asyncio.Semaphore) -> None:
        self.wake = Wake(database, name)
        self.room = room
        self.holders = 0
        self._task: asyncio.Task[None] | None = None

    def listen(self) -> None:
        """Begins to hear, once; after the first who waits for something has subscribed."""
        if self._task is None:
            self._task = asyncio.create_task(self.wake.run())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


class Ears:
    """The ears of a process: one session in each database, for all homes and all who hear there."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ears: dict[str, Ear] = {}
        self._room = asyncio.Semaphore(QUIET_AT_ONCE)

    @contextlib.asynccontextmanager
    async def lend(self, name: str) -> AsyncIterator[Ear]:
        """The ear in a database; the last one who gives it back closes it."""
        ear = self._ears.get(name) or Ear(self._database, name, self._room)
        self._ears[name] = ear
        ear.holders += 1
        try:
            yield ear
        finally:
            ear.holders -= 1
            if not ear.holders:
                del self._ears[name]
                await ear.close()


class Attention:
    """Tells when a home must be served, and when it may rest again."""

    def __init__(
        self, database: Database, home: Home, groups: Mapping[str, Sequence[str]], ear: Ear
    ) -> None:
        self._database = database
        self._home = home
        pairs = [(group, topic) for group, topics in groups.items() for topic in topics]
        self._groups = [group for group, _ in pairs]
        self._topics = [topic for _, topic in pairs]
        self._wake = ear.wake
        self._room = ear.room
        self._stirred = ear.wake.watch(home)

    def close(self) -> None:
        """Gives up what was subscribed to."""
        self._wake.unwatch(self._home, self._stirred)

    async def await_work(self, stop: asyncio.Event) -> None:
        """Returns when something is to be done in the home, or when told to stop.

        The flag is lowered before each look, so that what comes while we look is looked for again.
        """
        is_away = False
        with self._ended_by(stop):
            while not stop.is_set():
                self._stirred.clear()
                try:
                    pause = await self._look()
                except Unavailable as error:
                    if not is_away and not isinstance(error, HomeBehind):
                        _log.warning(
                            "home_away", action="home_away", home=self._home.name,
                            reason=error.detail,
                        )  # fmt: skip
                    is_away = True
                    await _pause(stop, AWAY_PAUSE_S)
                    continue
                is_away = False
                if pause <= 0:
                    return
                await _pause(self._stirred, pause)
                await _pause(stop, LOOK_GAP_S)

    async def await_quiet(self, stop: asyncio.Event) -> None:
        """Returns when nothing was heard of the home for RESTS_AFTER_S, or when told to stop."""
        with self._ended_by(stop):
            while not stop.is_set():
                self._stirred.clear()
                if not await _pause(self._stirred, RESTS_AFTER_S):
                    return

    async def _look(self) -> float:
        """How long there is nothing to do in the home, if nobody is heard of meanwhile."""
        async with self._room:
            with looking_after_quiet():
                async with self._database.transaction(
                    self._home, (), is_transport=True, is_read_only=True
                ) as tx:
                    row = await tx.fetchrow(_SQL.look_for_work, self._groups, self._topics)
        assert row is not None
        is_whole = row["places"] == len(self._groups) * PARTITIONS
        if row["is_unheard"] or row["is_awaited"] or not is_whole:
            return 0.0
        if row["due_at"] is None:
            return LOOK_S
        due_in_s: float = (row["due_at"] - tx.now).total_seconds()
        return min(LOOK_S, due_in_s)

    @contextlib.contextmanager
    def _ended_by(self, stop: asyncio.Event) -> Iterator[None]:
        ending = asyncio.ensure_future(stop.wait())
        ending.add_done_callback(lambda end: None if end.cancelled() else self._stirred.set())
        try:
            yield
        finally:
            ending.cancel()


async def _pause(until: asyncio.Event, seconds: float) -> bool:
    """Waits for an event, at most so long; whether it came."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await until.wait()
    return until.is_set()
