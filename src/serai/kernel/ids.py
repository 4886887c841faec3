"""Ids are UUIDv7 (RFC 9562): ordered by time, so that new rows fall at the end of every index."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from uuid import UUID

from asyncpg.pgproto import pgproto

_VERSION_7 = 0x7 << 76
_VARIANT = 0b10 << 62
_RANDOM_MASK = (1 << 62) - 1
_COUNTER_BITS = 12
_POOL_BYTES = 4096
_COUNTER_MASK = (1 << _COUNTER_BITS) - 1


class Source:
    """Keeps a process's ids strictly growing: 48 bits of milliseconds, 12 of counter, 62 random."""

    def __init__(
        self,
        time_ns: Callable[[], int] = time.time_ns,
        draw_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._time_ns = time_ns
        self._draw_bytes = draw_bytes
        self._last = 0
        self._pool = b""
        self._used = 0

    def forget(self) -> None:
        """Drops the random bytes at hand."""
        self._pool, self._used = b"", 0

    def next(self) -> UUID:
        stamp = (self._time_ns() // 1_000_000) << _COUNTER_BITS
        if stamp <= self._last:
            # The same millisecond, or a clock that went back: count on from the last id.
            stamp = self._last + 1
        self._last = stamp
        milliseconds, counter = stamp >> _COUNTER_BITS, stamp & _COUNTER_MASK
        if self._used == len(self._pool):
            # One system call for many ids.
            self._pool, self._used = self._draw_bytes(_POOL_BYTES), 0
        random = int.from_bytes(self._pool[self._used : self._used + 8], "big") & _RANDOM_MASK
        self._used += 8
        value = (milliseconds << 80) | _VERSION_7 | (counter << 64) | _VARIANT | random
        # The driver's own UUID is one to every reader, and is made and written ten times as fast.
        made: UUID = pgproto.UUID(value.to_bytes(16, "big"))
        return made


_source = Source()
os.register_at_fork(after_in_child=_source.forget)


def new_id() -> UUID:
    """A fresh UUIDv7. Called at the edge only; decisions are handed their ids."""
    return _source.next()


def first_at(at: datetime) -> UUID:
    """The least id that one of this time can have: everything older is below it."""
    return UUID(int=int(at.timestamp() * 1000) << 80)


@contextlib.contextmanager
def drawn_from(source: Source) -> Iterator[None]:
    """Ids come from another source meanwhile: a simulation repeats itself to the last bit."""
    global _source  # noqa: PLW0603 - a process has one source, and this is its only switch
    before, _source = _source, source
    try:
        yield
    finally:
        _source = before
