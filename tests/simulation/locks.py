"""Row locks: who holds them, who waits for them in which order, and circles of those who wait."""

import asyncio
import collections

import asyncpg

from serai.kernel.pool import LOCK_TIMEOUT_MS
from tests.simulation.rows import Key

Place = tuple[str, Key]
"""A row's address: its table, or a unique key's name, and the values of its key."""


class Lock:
    """A lock that somebody holds, and the others in the order of their coming."""

    __slots__ = ("holder", "waiters")

    def __init__(self, holder: "Holder") -> None:
        self.holder = holder
        self.waiters: collections.deque[tuple[Holder, asyncio.Future[None]]] = collections.deque()


class Holder:
    """One who holds and waits for locks: an open transaction."""

    def __init__(
        self, number: int, locks: dict[Place, Lock], counts: "collections.Counter[str]"
    ) -> None:
        self.number = number
        self.is_open = True
        self.held: dict[Place, None] = {}
        self.waits_for: Place | None = None
        self.waits_in: asyncio.Future[None] | None = None
        self._locks = locks
        self._counts = counts

    def has_changed(self, table: str, key: Key) -> bool:
        """Whether this one has written a row."""
        raise NotImplementedError

    async def take(self, place: Place) -> None:
        """Holds the lock of a row from now on; waits for the one who holds it."""
        self.stand()
        lock = self._locks.get(place)
        if lock is None:
            self._locks[place] = Lock(self)
            self.held[place] = None
            return
        if lock.holder is self:
            return
        self._counts["lock_waits"] += 1
        self.waits_for = place
        if self._closes_a_circle(lock):
            self.waits_for = None
            self._counts["deadlocks"] += 1
            raise asyncpg.DeadlockDetectedError("deadlock detected")
        loop = asyncio.get_running_loop()
        self.waits_in = future = loop.create_future()
        lock.waiters.append((self, future))
        alarm = loop.call_later(LOCK_TIMEOUT_MS / 1000, _time_out, future)
        try:
            await future
        finally:
            alarm.cancel()
            self.waits_for = self.waits_in = None
        self.stand()

    def stand(self) -> None:
        """Fails where this one has been ended meanwhile."""
        if not self.is_open:
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of it")

    def _closes_a_circle(self, lock: Lock) -> bool:
        """Whether those in front, directly or through others, wait for what this session holds."""
        pending = [lock.holder, *(session for session, _ in lock.waiters)]
        seen: set[int] = set()
        while pending:
            session = pending.pop()
            if session is self:
                return True
            if session.number in seen or session.waits_for is None:
                continue
            seen.add(session.number)
            ahead = self._locks[session.waits_for]
            pending.append(ahead.holder)
            for other, _ in ahead.waiters:
                if other is session:
                    break
                pending.append(other)
        return False

    def release(self, place: Place) -> None:
        """Gives a lock to the one that waits longest for it."""
        self.held.pop(place, None)
        lock = self._locks[place]
        while lock.waiters:
            session, future = lock.waiters.popleft()
            if not future.done():
                lock.holder = session
                session.held[place] = None
                future.set_result(None)
                return
        del self._locks[place]


def _time_out(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_exception(
            asyncpg.LockNotAvailableError("canceling statement due to lock timeout")
        )
