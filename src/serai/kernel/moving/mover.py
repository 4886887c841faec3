"""Copies everything a tenant has into another home while it is served, and lets it change over.

Rows are copied from one snapshot, and the keys of those that change meanwhile are noted by triggers
and followed. Then what would write for the tenant is refused, for `REFUSED_S` at most: in that time
the last changes are followed, everything is compared, and the departure is made final in the home
that is left, before what was written in the new one is committed. Whatever fails before that leaves
the tenant where it is; whatever fails after can only go on (ADR 0024).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from serai.kernel import queries
from serai.kernel.db import Tx
from serai.kernel.events import PARTITIONS
from serai.kernel.log import facts
from serai.kernel.moving.ends import Ends
from serai.kernel.moving.events import Events
from serai.kernel.moving.weights import Doubt, Weight, refuse_difference

REFUSED_S: Final = 0.9
"""How long writes may be refused until the change-over is decided; then they are let in again."""
LEAVE_TIMEOUT: Final = "300ms"
"""How long the mover waits for the transactions that are under way when it refuses new ones."""
CHUNK: Final = 1_000
NOTES_MAX: Final = 2_000
"""Notes of changes that are followed at once; each holds the keys that one statement changed."""
HELD_FOR_S: Final = 30.0
"""How long writers are held up after a mover's last word, if it is killed."""
WHOLE_S: Final = 0.25
"""What was compared as a whole faster than this is so again while writes are refused."""
NOT_COPIED: Final = frozenset({
    "kernel.outbox", "kernel.dead_letters", "kernel.departures", "kernel.captures", "kernel.paces",
    "kernel.carried", "kernel.erasures",
})  # fmt: skip
"""Tables that are carried over in a way of their own, or belong to the home and not the tenant."""
_SQL = queries.load("serai.kernel")
_notes = msgspec.json.Decoder(list[msgspec.Raw])


class TooSlow(Exception):
    """The change-over took longer than writes may be refused; nothing was changed over."""


class Changes(NamedTuple):
    """What was noted: keys of rows by table, those of rows that were taken away, and the notes."""

    keys: dict[str, set[str]]
    gone: dict[str, set[str]]
    ids: list[int]


class Round(NamedTuple):
    """What following once took, and how many notes are left for the next time."""

    seconds: float
    left: int


Told = Callable[[str, int], None]


class Mover:
    """Carries one tenant from one home to the other; holds nothing that a killed one would miss."""

    def __init__(self, tenant_id: UUID, ends: Ends, events: Events, tables: Sequence[str]) -> None:
        self._tenant = tenant_id
        self._ends = ends
        self._events = events
        self._tables = [table for table in tables if table not in NOT_COPIED]
        self._is_compared = False
        self._is_small = False
        self.rows = 0

    async def read_state(self, side: Tx) -> str | None:
        """Whether the tenant is `leaving` a home or `away` from it; None where it is written."""
        state: str | None = await side.fetchval(_SQL.read_departure, self._tenant)
        return state

    async def prepare(self, groups: Mapping[str, Sequence[str]]) -> None:
        """Makes the places of the groups' topics at both ends, and keeps the new one closed."""
        source, target = self._ends.source, self._ends.target
        await target.execute(_SQL.mark_away, self._tenant)
        for side in (source, target):
            for group, topics in groups.items():
                await side.execute(_SQL.ensure_group, group, topics, PARTITIONS)
        await target.execute(_SQL.ensure_places, facts.GROUP, facts.topics(), PARTITIONS)
        # What is history here must not be news there.
        await target.execute(_SQL.skip_history, True)  # noqa: FBT003 - its one argument

    async def is_served(self, groups: Sequence[str]) -> bool:
        """Whether workers serve the new home as well as they serve the old one."""
        if not await self._ends.target.fetchval(_SQL.count_unserved, groups):
            return True
        return bool(await self._ends.source.fetchval(_SQL.count_unserved, groups))

    async def stay(self) -> None:
        """Lets writes in again, unless the tenant has left for good."""
        await self._ends.source.execute(_SQL.end_leaving, self._tenant)

    async def count_refused_ms(self) -> int:
        """For how many milliseconds writes have been refused by the old home."""
        count: int = await self._ends.source.fetchval(_SQL.count_refused_ms, self._tenant)
        return count

    async def watch(self) -> None:
        """Begins to note what changes; waits for those who write in a table just then."""
        source = self._ends.source
        for table in self._tables:
            await source.fetch(_SQL.watch_table, source.prefix + table, table, self._tenant)

    async def unwatch(self) -> None:
        """Ends it, and forgets what was noted."""
        source = self._ends.source
        for table in self._tables:
            await source.fetch(_SQL.unwatch_table, source.prefix + table, self._tenant)
        await self._drop(source, "kernel.captures")
        await self._drop(source, "kernel.paces")

    async def wipe(self, side: Tx) -> None:
        """Deletes what a home has of the tenant, what refers to others first; in chunks."""
        await self._drop(side, "kernel.dead_letters")
        for table in reversed(self._tables):
            await self._drop(side, table)

    async def wipe_old(self) -> None:
        """Deletes what is left in the home that the tenant has left, its old events as well."""
        await self.wipe(self._ends.source)
        while await self._ends.source.execute(_SQL.drop_old_events, self._tenant, CHUNK):
            pass

    async def _drop(self, side: Tx, table: str) -> None:
        while await side.fetchval(_SQL.drop_lines, side.prefix + table, self._tenant, CHUNK):
            pass

    async def copy(self, told: Told) -> None:
        """Copies every row as it is at one moment; `told` how many of which table."""
        async with self._ends.moment():
            for table in self._tables:
                await _pass_on(self._read_all(table), partial(self._put_new, table, told))

    async def _put_new(self, table: str, told: Told, rows: Sequence[Any]) -> None:
        await self._put(table, [], [row["line"] for row in rows])
        self.rows += len(rows)
        told(table, len(rows))

    async def _read_all(self, table: str) -> AsyncIterator[Sequence[Any]]:
        snapshot = self._ends.snapshot
        after: str | None = None
        while True:
            rows = await snapshot.fetch(
                _SQL.read_lines, snapshot.prefix + table, self._tenant, after, CHUNK
            )
            if rows:
                after = rows[-1]["key"]
                yield rows
            if len(rows) < CHUNK:
                return

    async def follow(self) -> Round:
        """Copies what has changed since, the oldest of it where that is much.

        What was compared once is compared again row by row, so that little is left for the end.
        """
        began = time.monotonic()
        try:
            await self._follow(NOTES_MAX, CHUNK)
        except asyncpg.IntegrityConstraintViolationError:
            # A part may refer to what comes later, or still have what was given to another.
            await self._follow(None, None)
        left = await self._ends.source.fetchval(_SQL.count_captures, self._tenant)
        return Round(time.monotonic() - began, left)

    async def _follow(self, most: int | None, chunk: int | None) -> None:
        snapshot, target = self._ends.snapshot, self._ends.target
        async with self._ends.moment():
            changes = await self._read_changes(snapshot, most=most)
            async with target.connection.transaction():
                await self._apply(snapshot, changes, chunk)
                if self._is_compared:
                    for table, keys in changes.keys.items():
                        await self._compare(snapshot, table, _array(sorted(keys)))
        await self._forget(changes.ids)

    async def hold_up(self, held_s: float) -> None:
        """Holds up each batch of commands by so much, for `HELD_FOR_S`."""
        await self._ends.source.execute(_SQL.set_pace, self._tenant, held_s, HELD_FOR_S)

    async def compare(self) -> None:
        """Follows what has changed and compares every table as it is at that moment."""
        began = time.monotonic()
        async with self._ends.moment(), self._ends.target.connection.transaction():
            changes = await self._read_changes(self._ends.snapshot)
            await self._apply(self._ends.snapshot, changes, None)
            for table in self._tables:
                await self._compare(self._ends.snapshot, table)
        await self._forget(changes.ids)
        self._is_compared = True
        self._is_small = time.monotonic() - began < WHOLE_S

    async def change_over(self, decide: Callable[[Tx], Awaitable[None]]) -> None:
        """Refuses writes, carries the rest over and lets the tenant leave.

        `decide` writes what belongs to the change-over into the new home's transaction. TooSlow and
        Doubt leave the tenant where it is.
        """
        source = self._ends.source
        begun = await source.fetchval(_SQL.begin_leaving, self._tenant, REFUSED_S)
        assert begun is not None, "who has left for good does not leave again"
        try:
            await self._wait_for_writers()
            await self.finish(decide, is_decided=False)
        except BaseException as error:
            is_over = not await source.fetchval(_SQL.is_leaving, self._tenant)
            # Nothing happens where the departure was made final: then the new home has to be told.
            await self.stay()
            if isinstance(error, Doubt) and is_over:
                raise TooSlow("writes were let in again while everything was compared") from error
            raise

    async def finish(self, decide: Callable[[Tx], Awaitable[None]], *, is_decided: bool) -> None:
        """Carries the rest over while nobody writes; with `is_decided` the tenant has left."""
        source, target = self._ends.source, self._ends.target
        async with target.connection.transaction():
            seen: set[int] = set()
            changed: dict[str, set[str]] = {}
            while True:
                changes = await self._read_changes(source, but=seen)
                if not changes.ids:
                    break
                seen.update(changes.ids)
                await self._apply(source, changes, None)
                for table, keys in changes.keys.items():
                    changed.setdefault(table, set()).update(keys)
            unread = await self._events.list_unread(self._ends, is_decided=is_decided)
            await self._events.carry_rest(self._ends, unread)
            await self._raise_sequences()
            await self._compare_rest(changed, is_whole=self._is_small)
            await decide(target)
            await target.execute(_SQL.forget_carried, self._tenant)
            await target.execute(_SQL.settle_in, self._tenant)
            if not is_decided:
                left = await source.fetchval(_SQL.leave_for_good, self._tenant, unread)
                if left is None:
                    raise TooSlow("comparing took longer than writes may be refused")

    async def _wait_for_writers(self) -> None:
        connection = self._ends.source.connection
        try:
            async with connection.transaction():
                await connection.execute(f"SET LOCAL lock_timeout = '{LEAVE_TIMEOUT}'")
                await self._ends.source.fetch(_SQL.empty_room, self._tenant)
        except asyncpg.LockNotAvailableError as error:
            raise TooSlow("a transaction that was under way did not end in time") from error

    async def _read_changes(
        self, side: Tx, *, but: Iterable[int] = (), most: int | None = None
    ) -> Changes:
        changes = Changes({}, {}, [])
        for row in await side.fetch(_SQL.list_captures, self._tenant, list(but), most):
            changes.ids.append(row["id"])
            keys = {bytes(key).decode() for key in _notes.decode(row["keys"])}
            for noted in (changes.keys, changes.gone) if row["is_gone"] else (changes.keys,):
                noted.setdefault(row["table_name"], set()).update(keys)
        return changes

    async def _apply(self, side: Tx, changes: Changes, chunk: int | None) -> None:
        """Carries over what is under the keys now; `chunk` rows at once, or all of a table."""
        for table in reversed(self._tables):
            gone = changes.gone.get(table)
            if gone:
                there = await self._read_lines_of(side, table, sorted(gone))
                await self._put(table, sorted(gone - {row["key"] for row in there}), [])
        for table in self._tables:
            keys = sorted(changes.keys.get(table, ()))
            if keys:
                parts = self._read_parts(side, table, keys, chunk or len(keys))
                await _pass_on(parts, partial(self._put_changed, table))

    async def _put_changed(self, table: str, rows: Sequence[Any]) -> None:
        await self._put(table, [row["key"] for row in rows], [row["line"] for row in rows])

    async def _read_parts(
        self, side: Tx, table: str, keys: Sequence[str], chunk: int
    ) -> AsyncIterator[Sequence[Any]]:
        for first in range(0, len(keys), chunk):
            yield await self._read_lines_of(side, table, keys[first : first + chunk])

    async def _read_lines_of(self, side: Tx, table: str, keys: Sequence[str]) -> Sequence[Any]:
        name = side.prefix + table
        return await side.fetch(_SQL.read_lines_of, name, self._tenant, _array(keys))

    async def _put(self, table: str, keys: Sequence[str], lines: Sequence[str]) -> None:
        target = self._ends.target
        written = await target.fetchval(
            _SQL.put_lines, target.prefix + table, self._tenant, _array(keys), list(lines)
        )
        if written != len(lines):
            raise Doubt(f"of {len(lines)} rows of {table}, {written} were written")

    async def _forget(self, ids: Sequence[int]) -> None:
        if ids:
            await self._ends.source.execute(_SQL.forget_captures, self._tenant, list(ids))

    async def _raise_sequences(self) -> None:
        source, target = self._ends.source, self._ends.target
        names = [source.prefix + table for table in self._tables]
        for row in await source.fetch(_SQL.list_sequences, names):
            name = target.prefix + row["name"].removeprefix(source.prefix)
            await target.fetch(_SQL.raise_sequence, name, row["column_name"], row["last"])

    async def _compare_rest(self, changed: Mapping[str, set[str]], *, is_whole: bool) -> None:
        """What is small is compared as a whole again; else what has changed since it was."""
        for table in self._tables if is_whole else changed:
            keys = None if is_whole else _array(sorted(changed[table]))
            await self._compare(self._ends.source, table, keys)
        await self._events.compare(self._ends, is_whole=is_whole)

    async def _compare(self, side: Tx, table: str, keys: str | None = None) -> None:
        """Refuses to go on where the new home has something else than `side`, all or under keys."""
        weights = asyncio.gather(
            self.weigh(side, table, keys), self.weigh(self._ends.target, table, keys)
        )
        refuse_difference(table, *await weights)

    async def weigh(self, side: Tx, table: str, keys: str | None = None) -> Weight:
        """What a home has of the tenant in a table, all or under the given keys."""
        row = await side.fetchrow(_SQL.weigh_lines, side.prefix + table, self._tenant, keys)
        assert row is not None, "a sum has one row"
        return Weight(row["count"], int(row["sum"]))


async def list_tables(ends: Ends, schemas: Sequence[str]) -> list[str]:
    """Every table of the old home's schemas with rows of tenants, those that others refer to first.

    The database's own catalog says it: so a new table moves along, whoever adds it.
    """
    rows = await ends.source.fetch(_SQL.list_tenant_tables, schemas)
    return [row["name"].removeprefix(ends.source.prefix) for row in rows]


async def _pass_on(
    read: AsyncIterator[Sequence[Any]], put: Callable[[Sequence[Any]], Awaitable[None]]
) -> None:
    """Puts what was read while the next is being read."""
    reading = asyncio.ensure_future(anext(read, None))
    try:
        while (found := await reading) is not None:
            reading = asyncio.ensure_future(anext(read, None))
            await put(found)
    finally:
        await asyncio.wait([reading])


def _array(keys: Sequence[str]) -> str:
    return msgspec.json.encode([msgspec.Raw(key.encode()) for key in keys]).decode()
