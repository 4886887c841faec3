"""The installation's root keys in this process: the newest wraps data keys, all unwrap them.

They rest in the main database, wrapped by what is not in it. They are read before a transaction
begins, every few seconds at most, and each is unwrapped once a process.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from serai.kernel import queries, sealed
from serai.kernel.db import Database, Record
from serai.kernel.failure import Unavailable
from serai.kernel.seals.wrapping import KEY_BYTES, Wrapping
from serai.kernel.tenant import POOLED

PLATFORM: Final = UUID(int=0)
READ_EVERY: Final = timedelta(seconds=20)
"""How old what is known of the root keys may be; a rotation waits longer than this."""
TRY_EVERY: Final = timedelta(seconds=1)
"""How often they are read where that does not work."""
_SQL = queries.load("serai.kernel")


class Root(msgspec.Struct, frozen=True):
    """A root key, unwrapped."""

    number: int
    key: AESGCM
    created_at: datetime


class Roots:
    """Reads and makes root keys, never inside a transaction of someone else."""

    def __init__(self, database: Database, wrapping: Wrapping) -> None:
        self._database = database
        self.wrapping = wrapping
        self._known: dict[int, Root] = {}
        self._read_at: datetime | None = None
        self._tried_at: datetime | None = None
        self._reader: asyncio.Task[Any] | None = None
        self._lock = asyncio.Lock()

    async def freshen(self, now: datetime) -> None:
        """Reads the keys before a transaction begins, where what is known has got old.

        What goes wrong is told to whoever then needs a key: most transactions seal nothing.
        """
        if not self._is_older(READ_EVERY / 2, now) or asyncio.current_task() is self._reader:
            return
        # Not migrated yet, away, or a command that has no key and needs none.
        with contextlib.suppress(Unavailable, asyncpg.PostgresError):
            async with self._alone():
                if not self._is_older(READ_EVERY / 2, now) or self._has_tried(now):
                    return
                self._tried_at = now
                await self._read(now)
                if not self._known:
                    await self._add(now)

    def newest(self, now: datetime) -> Root:
        """The key that wraps. Unavailable where a newer one may have been made long ago."""
        if not self._known or self._is_older(READ_EVERY, now):
            self._read_at = None
            raise Unavailable("the keys of personal data could not be read")
        return self._known[max(self._known)]

    def find(self, number: int) -> Root:
        """The key of a number. Unavailable where it is not known (yet): then it is read anew."""
        try:
            return self._known[number]
        except KeyError:
            self._read_at = self._tried_at = None
            raise Unavailable(f"the root key {number} is not known") from None

    async def refresh(self, now: datetime) -> list[Root]:
        """Reads what others have made or ended; every root by its number."""
        async with self._alone():
            await self._read(now)
            return [self._known[number] for number in sorted(self._known)]

    async def add(self, now: datetime) -> None:
        """Adds the next root key; where another process was faster, that one's stays."""
        async with self._alone():
            await self._add(now)

    async def keep_only(self, number: int, now: datetime) -> int:
        """Ends the root keys below a number; how many."""
        async with self._alone():
            async with self._database.transaction(POOLED, (PLATFORM,)) as tx:
                gone = await tx.execute(_SQL.delete_root_keys, PLATFORM, number)
            await self._read(now)
        return gone

    @contextlib.asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """Our own transactions need no root key; whoever else begins one waits for this."""
        async with self._lock:
            self._reader = asyncio.current_task()
            try:
                yield
            finally:
                self._reader = None

    async def _read(self, now: datetime) -> None:
        async with self._database.transaction(POOLED, (PLATFORM,), is_read_only=True) as tx:
            rows = await tx.fetch(_SQL.list_root_keys, PLATFORM)
        self._known = {row["number"]: await self._unwrap(row) for row in rows}
        self._read_at = now

    async def _add(self, now: datetime) -> None:
        number = max(self._known, default=0) + 1
        wrapped = await self.wrapping.wrap(sealed.draw(KEY_BYTES), _bound(number))
        async with self._database.transaction(POOLED, (PLATFORM,)) as tx:
            await tx.execute(_SQL.insert_root_key, PLATFORM, number, wrapped, tx.now)
        await self._read(now)

    async def _unwrap(self, row: Record) -> Root:
        number: int = row["number"]
        known = self._known.get(number)
        if known is not None:
            return known
        raw = await self.wrapping.unwrap(row["wrapped"], _bound(number))
        return Root(number, AESGCM(raw), row["created_at"])

    def _has_tried(self, now: datetime) -> bool:
        return self._tried_at is not None and timedelta(0) <= now - self._tried_at < TRY_EVERY

    def _is_older(self, age: timedelta, now: datetime) -> bool:
        return self._read_at is None or not timedelta(0) <= now - self._read_at < age


def _bound(number: int) -> bytes:
    return b"serai: root key" + number.to_bytes(8, "big")
