"""Rotation: a new root key wraps every data key, and the old one is ended with what wrapped it.

Rows are not touched. What an older copy of the database holds was wrapped by keys that are nowhere
any more. Killed at any point it is begun again, and goes on with what is left.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

import msgspec

from serai.kernel import queries
from serai.kernel.clock import Clock
from serai.kernel.db import Database
from serai.kernel.everywhere import list_everybody, record_everywhere
from serai.kernel.failure import Unavailable
from serai.kernel.seals.roots import READ_EVERY, Root, Roots
from serai.kernel.seals.subjects import unwrap, wrap
from serai.kernel.tenant import POOLED, Home, Homes

CHUNK: Final = 500
"""Data keys that one transaction wraps anew."""
SETTLE: Final = READ_EVERY + timedelta(seconds=20)
"""How long the old root key may still wrap: until every process has read of the new one, and what
it began before has ended."""
_SQL = queries.load("serai.kernel")

Wait = Callable[[float], Awaitable[None]]


class Rotated(msgspec.Struct, frozen=True):
    """What a rotation did; with `is_retired` no key that wrapped before is left."""

    root: int
    rewrapped: int
    ended: int
    is_retired: bool


async def rotate(
    roots: Roots, *, database: Database, homes: Homes, clock: Clock, wait: Wait = asyncio.sleep
) -> Rotated:
    """A whole rotation, or the rest of one that was killed."""
    if not await roots.refresh(clock.now()):
        await roots.add(clock.now())
    if len(await roots.refresh(clock.now())) == 1:
        await roots.wrapping.renew()
        await roots.add(clock.now())
    newest = (await roots.refresh(clock.now()))[-1]
    left = newest.created_at + SETTLE - clock.now()
    await wait(max(0.0, left.total_seconds()))
    async with database.session() as connection:
        if not await connection.fetchval(_SQL.hold_rotation.text(POOLED.prefix)):
            raise Unavailable("a tenant is moving to another home; run it again after that")
        rewrapped = 0
        for home in await homes.all_homes():
            rewrapped += await _rewrap(home, newest, roots=roots, database=database)
        # Before the old key is ended: killed in between, it is said twice rather than never.
        tenants = await list_everybody(homes)
        async with database.transaction(POOLED, (), is_transport=True) as tx:
            subject = ("root_key", str(newest.number))
            done = {"rewrapped": rewrapped}
            await record_everywhere(
                "privacy.root_key_rotated", subject, done, tenants=tenants, tx=tx
            )
        ended = await roots.keep_only(newest.number, clock.now())
    return Rotated(newest.number, rewrapped, ended, await roots.wrapping.retire())


async def _rewrap(home: Home, newest: Root, *, roots: Roots, database: Database) -> int:
    """Wraps the data keys of a home anew, a chunk a transaction, until none is old; how many."""
    count = 0
    while True:
        async with database.transaction(home, (), is_transport=True) as tx:
            rows = await tx.fetch(_SQL.lock_old_data_keys, newest.number, CHUNK)
            if not rows:
                return count
            fresh = []
            for row in rows:
                whose = (row["tenant_id"], row["subject"])
                raw = unwrap(roots.find(row["root"]), whose, row["serial"], row["wrapped"])
                fresh.append(wrap(newest, whose, row["serial"], raw))
            await tx.execute(
                _SQL.rewrap_data_keys,
                [row["tenant_id"] for row in rows],
                [row["subject"] for row in rows],
                newest.number,
                fresh,
            )
        count += len(rows)
