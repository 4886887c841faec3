"""The installation's root keys in this process: the newest wraps data keys, all unwrap them.

They rest in the main database, wrapped by what is not in it, and are unwrapped once a process and
rotation: no call of another keeps a transaction waiting after that.
"""

import asyncio
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from serai.kernel import queries, sealed
from serai.kernel.db import Database
from serai.kernel.failure import Unavailable
from serai.kernel.seals.wrapping import KEY_BYTES, Wrapping
from serai.kernel.tenant import POOLED

PLATFORM: Final = UUID(int=0)
READ_EVERY: Final = timedelta(seconds=20)
"""How old what is known of the root keys may be; a rotation waits longer than this."""
_SQL = queries.load("serai.kernel")


class Root(msgspec.Struct, frozen=True):
    """A root key, unwrapped."""

    number: int
    key: AESGCM
    created_at: datetime


class Roots:
    """Reads and makes root keys."""

    def __init__(self, database: Database, wrapping: Wrapping) -> None:
        self._database = database
        self.wrapping = wrapping
        self._known: dict[int, Root] = {}
        self._read_at: datetime | None = None
        self._lock = asyncio.Lock()

    async def newest(self, now: datetime) -> Root:
        """The key that wraps; the first one is made here."""
        if self._is_old(now):
            await self.refresh(now)
        if not self._known:
            await self.add(now)
        return self._known[max(self._known)]

    async def find(self, number: int, now: datetime) -> Root:
        """The key of a number. Unavailable where nobody has it any more."""
        if number not in self._known:
            await self.refresh(now)
        try:
            return self._known[number]
        except KeyError:
            raise Unavailable(f"the root key {number} is not there") from None

    async def refresh(self, now: datetime) -> list[Root]:
        """Reads what others have made or ended; every root by its number."""
        async with self._lock:
            async with self._database.transaction(POOLED, (PLATFORM,), is_read_only=True) as tx:
                rows = await tx.fetch(_SQL.list_root_keys, PLATFORM)
            self._known = {
                row["number"]: self._known.get(row["number"])
                or Root(
                    row["number"],
                    AESGCM(await self.wrapping.unwrap(row["wrapped"], _bound(row["number"]))),
                    row["created_at"],
                )
                for row in rows
            }
            self._read_at = now
            return [self._known[number] for number in sorted(self._known)]

    async def add(self, now: datetime) -> None:
        """Adds the next root key; where another process was faster, that one's stays."""
        number = max(self._known, default=0) + 1
        wrapped = await self.wrapping.wrap(sealed.draw(KEY_BYTES), _bound(number))
        async with self._database.transaction(POOLED, (PLATFORM,)) as tx:
            await tx.execute(_SQL.insert_root_key, PLATFORM, number, wrapped, tx.now)
        await self.refresh(now)

    async def keep_only(self, number: int, now: datetime) -> int:
        """Ends the root keys below a number; how many."""
        async with self._database.transaction(POOLED, (PLATFORM,)) as tx:
            gone = await tx.execute(_SQL.delete_root_keys, PLATFORM, number)
        await self.refresh(now)
        return gone

    def _is_old(self, now: datetime) -> bool:
        return self._read_at is None or not timedelta(0) <= now - self._read_at < READ_EVERY


def _bound(number: int) -> bytes:
    return b"serai: root key" + number.to_bytes(8, "big")
