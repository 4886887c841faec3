"""Carries a tenant's part of the log, and its parked messages, over to another home.

A place in the log means nothing elsewhere. What every group has passed goes to the beginning of the
new home's log, where its readers have been; what one still has to hear goes to the end, in the same
order, and those who have heard it know it by its mark in the inbox, which came along.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

from serai.kernel import queries
from serai.kernel.events import PARTITIONS, all_types
from serai.kernel.log import facts
from serai.kernel.moving.ends import Ends
from serai.kernel.moving.weights import Doubt, Weight, refuse_difference

CHUNK: Final = 200
"""Events of one partition that are read at once."""
END: Final = (str(2**64 - 1), 2**63 - 1)
"""After every position that there is."""
_SQL = queries.load("serai.kernel")

Spot = tuple[str, int]
"""A topic and a partition."""
Position = tuple[str, int]
"""A transaction id, as text since it may have 64 bits, and a sequence number."""


class Heard(NamedTuple):
    """Which group hears which type of which topic; three columns."""

    groups: Sequence[str]
    topics: Sequence[str]
    types: Sequence[str]


class Events:
    """The log of one tenant on its way."""

    def __init__(self, tenant_id: UUID, heard: Heard) -> None:
        self._tenant = tenant_id
        self._heard = heard
        self._at: dict[Spot, Position] = {}
        self._history = Weight(0, 0)
        self._all = Weight(0, 0)

    async def restart(self, ends: Ends) -> None:
        """Takes back what was put at the beginning of the new home's log."""
        await ends.target.execute(_SQL.forget_carried, self._tenant)
        await self.go_on(ends)

    async def go_on(self, ends: Ends) -> None:
        """Begins where the mover before this one was; what it did not note is taken back."""
        topics = {entry.topic for entry in all_types()}
        self._at = {(topic, n): ("0", 0) for topic in sorted(topics) for n in range(PARTITIONS)}
        self._history = Weight(0, 0)
        carried = await ends.target.fetch(_SQL.list_carried, self._tenant)
        if not carried:
            await ends.target.execute(_SQL.drop_put_events, self._tenant)
        for row in carried:
            self._at[row["topic"], row["partition"]] = (row["xid"], row["seq"])

    async def carry_history(self, ends: Ends) -> int:
        """Carries what every group has passed since the last time; how many events."""
        horizon = await ends.source.fetchval(_SQL.read_horizon)
        rows = await ends.source.fetch(_SQL.list_cutoffs)
        passed = {(row["topic"], row["partition"]): (row["xid"], row["seq"]) for row in rows}
        ends_at = {spot: passed.get(spot, (str(horizon), 0)) for spot in self._at}
        before = self._history.rows
        async for chunk in self._read(ends, self._at, ends_at):
            come = {(row["topic"], row["partition"]): (row["xid"], row["seq"]) for row in chunk}
            async with ends.target.connection.transaction():
                weight = await self._put(ends, chunk, ())
                refuse_difference("kernel.outbox", _weigh(chunk), weight)
                await ends.target.execute(_SQL.note_carried, self._tenant, *_columns(come))
            self._history = _add(self._history, weight)
            self._at.update(come)
        return self._history.rows - before

    async def count_rest(self, ends: Ends, most: int) -> int:
        """How many events are left for the end, up to `most` of each place."""
        left: int = await ends.source.fetchval(
            _SQL.count_events, self._tenant, *_columns(self._at), most
        )
        return left

    async def list_unread(self, ends: Ends, *, is_decided: bool) -> list[UUID]:
        """What a group still has to hear; who has left left it unheard, whoever reads on there."""
        if is_decided:
            return list(await ends.source.fetchval(_SQL.read_unread, self._tenant))
        rows = await ends.source.fetch(_SQL.list_unread, self._tenant, *self._heard, facts.GROUP)
        return [row["event_id"] for row in rows]

    async def carry_rest(self, ends: Ends, unread: Sequence[UUID]) -> None:
        """Carries all that is left, while nobody writes, within the new home's transaction."""
        self._all = self._history
        types: set[str] = set()
        async for chunk in self._read(ends, self._at, dict.fromkeys(self._at, END)):
            weight = await self._put(ends, chunk, unread)
            refuse_difference("kernel.outbox", _weigh(chunk), weight)
            self._all = _add(self._all, weight)
            types.update(row["type"] for row in chunk)
        letters = [row["line"] for row in await ends.source.fetch(_SQL.read_letters, self._tenant)]
        written = await ends.target.execute(_SQL.put_letters, letters)
        if written != len(letters):
            raise Doubt(f"of {len(letters)} parked messages {written} were written")
        if types:
            await ends.target.fetch(_SQL.wake_readers, sorted(types), ends.target.prefix)

    async def compare(self, ends: Ends, *, is_whole: bool) -> None:
        """Compares what was read with what was written; with `is_whole` with all there is."""
        if is_whole:
            refuse_difference(
                "kernel.outbox", await self._weigh(ends.source, is_all=True), self._all
            )
            refuse_difference(
                "kernel.outbox", self._all, await self._weigh(ends.target, is_all=False)
            )

    async def _weigh(self, side: Any, *, is_all: bool) -> Weight:
        return _weight_of(await side.fetchrow(_SQL.weigh_events, self._tenant, is_all))

    async def _read(
        self, ends: Ends, start: Mapping[Spot, Position], until: Mapping[Spot, Position]
    ) -> Any:
        at = dict(start)
        while at:
            ends_at = [until[spot] for spot in at]
            rows = await ends.source.fetch(
                _SQL.read_events,
                self._tenant,
                *_columns(at),
                [xid for xid, _ in ends_at],
                [seq for _, seq in ends_at],
                CHUNK,
            )
            found: dict[Spot, int] = {}
            for row in rows:
                spot = (row["topic"], row["partition"])
                found[spot] = found.get(spot, 0) + 1
                at[spot] = (row["xid"], row["seq"])
            at = {spot: at[spot] for spot, count in found.items() if count == CHUNK}
            if rows:
                yield rows

    async def _put(self, ends: Ends, rows: Sequence[Any], unread: Iterable[UUID]) -> Weight:
        lines = [row["line"] for row in rows]
        row = await ends.target.fetchrow(_SQL.put_events, lines, list(unread))
        return _weight_of(row)


def _weight_of(row: Any) -> Weight:
    return Weight(row["count"], int(row["sum"]))


def _weigh(rows: Sequence[Any]) -> Weight:
    return Weight(len(rows), sum(int(row["hash"]) for row in rows))


def _add(one: Weight, other: Weight) -> Weight:
    return Weight(one.rows + other.rows, one.total + other.total)


def _columns(come: Mapping[Spot, Position]) -> tuple[list[Any], ...]:
    """Topics, partitions, transaction ids and numbers."""
    return tuple([list(column) for column in zip(*(s + p for s, p in come.items()), strict=True)])
