"""Moves a tenant to another home, step by step; each step is written down in the directory.

A move that was killed is gone on with by running it again, or undone as long as the tenant has not
changed over. The directory, and the departure noted in the old home, say how far it is.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Final
from uuid import UUID

import msgspec

from serai.contexts.tenancy.contract.moves import MoveView
from serai.kernel import ids
from serai.kernel.actor import operator
from serai.kernel.changes import describe
from serai.kernel.clock import Clock
from serai.kernel.db import Tx
from serai.kernel.events import Cause, type_of
from serai.kernel.failure import Refused
from serai.kernel.moving.ends import Ends, Place, meet, session
from serai.kernel.moving.events import Events, Heard
from serai.kernel.moving.mover import Mover, TooSlow, list_tables
from serai.kernel.moving.pace import Pace
from serai.kernel.moving.weights import Doubt
from serai.kernel.tenant import MAIN, POOLED
from serai.roles.composition import Composition
from serai.roles.connection import Databases
from serai.roles.migrate import bring_up_home
from serai.roles.schemas import PACKAGES

TRIES_MAX: Final = 10
PAUSE_S: Final = 0.5
"""How long a move rests after a change-over that did not succeed, times how often it did not."""
SERVED_LOOK_S: Final = 0.1
SERVED_LOOKS_MAX: Final = 70
"""How often a move looks whether workers serve the new home. By then they have found it,
and where they let it rest they hear of it at once."""
SETTLE_S: Final = 3.0
"""Longer than any process remembers where a tenant was: until then its old rows may be read."""
ERROR_CHARS_MAX: Final = 500
DIRECTORY_SCHEMA: Final = "tenancy"
"""What is in it stays in the pooled home, wherever a tenant lives."""
TRAIL: Final = "audit.entries"
"""What may be in one home only: a chain cannot be put together from two."""

Said = Callable[[str, int], None]
"""Told of each step and table, and how many rows of it were carried."""


class MoveFailed(Refused):
    """The tenant was not moved; it is served where it was."""


class TrailForked(Refused):
    """The audit trail in the new home is not a beginning of the one to be carried there."""


class Move:
    """One tenant's move, from the directory's row to the emptied old home."""

    def __init__(
        self, house: Composition, databases: Databases, main: Tx, view: MoveView, said: Said
    ) -> None:
        self._house = house
        self._databases = databases
        self._main = main
        self._said = said
        self.view = view

    async def run(self, *, is_retained: bool = False) -> MoveView:
        """Goes on from wherever it is to the end, or with `is_retained` to the change-over."""
        async with self._meet() as (ends, mover, events):
            if self.view.step in {"preparing", "copying", "following"}:
                state = await mover.read_state(ends.source)
                if state == "away" and self.view.step != "following":
                    raise MoveFailed(f"{self.view.source.name} says that it has left there before")
                if state == "away":
                    await self._finish(ends, mover, events)
                else:
                    await self._carry(ends, mover, events)
                await self._note("cleaning")
            if is_retained:
                return self.view
            self._said("waiting", 0)
            await asyncio.sleep(SETTLE_S)
            await self._clean(mover)
        await self._note("done")
        return self.view

    async def undo(self) -> MoveView:
        """Takes back what was copied; refuses once the tenant has left its old home."""
        async with self._meet() as (ends, mover, events):
            state = await mover.read_state(ends.source)
            if self.view.step == "cleaning" or state == "away":
                raise MoveFailed(
                    "it has left already, and orders may have come since: go on with --resume, "
                    "then move it back"
                )
            await mover.stay()
            self._said("undoing", 0)
            await mover.unwatch()
            await events.restart(ends)
            await mover.wipe(ends.target)
        await self._note("undone")
        return self.view

    async def _carry(self, ends: Ends, mover: Mover, events: Events) -> None:
        if self.view.step == "preparing":
            await self._refuse_fork(ends, mover)
            await mover.prepare(self._groups())
        await mover.watch()
        await self._note("copying")
        await events.restart(ends)
        await mover.wipe(ends.target)
        await mover.copy(self._said)
        self.view = msgspec.structs.replace(self.view, rows=mover.rows)
        await self._note("following")
        await self._wait_until_served(mover)
        pace = Pace(mover)
        for number in range(1, TRIES_MAX + 1):
            try:
                await self._change_over(ends, mover, events, pace)
            except TooSlow as error:
                await self._note("following", error=str(error))
                await pace.slow_down()
            except Doubt as error:
                await self._note("following", error=str(error))
                if number > 1:
                    raise MoveFailed(
                        f"{error}. It was not moved, and is served where it was; "
                        "`--abort` takes back what was copied"
                    ) from error
                # What is deleted for its age, in one home and not the other, is such a difference.
                await events.restart(ends)
            else:
                return
            await asyncio.sleep(PAUSE_S * number)
        raise MoveFailed(
            f"after {TRIES_MAX} tries: {self.view.error}. Run it again with --resume when the "
            "database is quieter, or take it back with --abort"
        )

    async def _change_over(self, ends: Ends, mover: Mover, events: Events, pace: Pace) -> None:
        await pace.keep_up()
        await events.carry_history(ends)
        self._said("comparing", 0)
        await mover.compare()
        await pace.keep_up()
        await pace.draw_near(ends, events)
        self._said("changing over", 0)
        await mover.change_over(self._decide)
        await self._tell_directory(mover)

    async def _finish(self, ends: Ends, mover: Mover, events: Events) -> None:
        """It has left its old home, and nobody has written for it since."""
        has_arrived = await mover.read_state(ends.target) is None
        if has_arrived and self.view.target.database == MAIN:
            # The directory was told with the same commit; how long it took nobody wrote down.
            return
        if not has_arrived:
            self._said("finishing", 0)
            await events.go_on(ends)
            try:
                await mover.finish(self._decide, is_decided=True)
            except Doubt as error:
                # There is no way back, and all the time that it takes: everything is copied again.
                await self._note("following", error=str(error))
                await mover.wipe(ends.target)
                await mover.copy(self._said)
                await mover.finish(self._decide, is_decided=True)
        await self._tell_directory(mover)

    async def _decide(self, target: Tx) -> None:
        """What belongs to the change-over, within its transaction in the new home."""
        view = self.view
        cause = Cause(ids.new_id(), actor=operator())
        change = describe(
            "tenancy.tenant_moved", ("tenant", view.tenant_id), cause,
            before={"home": view.source.name}, after={"home": view.target.name},
        )  # fmt: skip
        target.record(view.tenant_id, change)
        await target.flush()
        if view.target.database == MAIN:
            directory = Tx(target.connection, POOLED, target.now)
            await self._house.tenancy.moves.switch(directory, view)

    async def _tell_directory(self, mover: Mover) -> None:
        if self.view.target.database != MAIN:
            async with self._main.connection.transaction():
                await self._house.tenancy.moves.switch(self._main, self.view)
        refused_ms = await mover.count_refused_ms()
        self.view = msgspec.structs.replace(self.view, refused_ms=refused_ms)

    def _groups(self) -> dict[str, list[str]]:
        """Every consumer group, and the topics that it hears."""
        return {
            consumer.group: sorted({type_of(model).topic for model in consumer.hears})
            for consumer in self._house.consumers
        }

    async def _wait_until_served(self, mover: Mover) -> None:
        """What is ordered after the change-over must not wait until workers find the new home."""
        self._said("waiting", 0)
        groups = list(self._groups())
        for _ in range(SERVED_LOOKS_MAX):
            if await mover.is_served(groups):
                return
            await asyncio.sleep(SERVED_LOOK_S)

    async def _refuse_fork(self, ends: Ends, mover: Mover) -> None:
        count = (await mover.weigh(ends.target, TRAIL)).rows
        if count:
            raise TrailForked(
                f"{self.view.target.name} has {count} entries of its audit trail already; "
                "nothing that was recorded is dropped or renumbered, so it cannot go there"
            )

    async def _clean(self, mover: Mover) -> None:
        self._said("cleaning", 0)
        await mover.unwatch()
        await mover.wipe_old()

    async def _note(self, step: str, *, error: str | None = None) -> None:
        told = None if error is None else error[:ERROR_CHARS_MAX]
        now = self._house.clock.now()
        self.view = await self._house.tenancy.moves.note(
            self._main, self.view, step, now, error=told
        )
        self._said(step, 0)

    @contextlib.asynccontextmanager
    async def _meet(self) -> AsyncIterator[tuple[Ends, Mover, Events]]:
        view = self.view
        await bring_up_home(self._databases, view.target)
        source, target = [
            Place(home, await asyncio.to_thread(self._databases.owner.url_of, home.database))
            for home in (view.source, view.target)
        ]
        heard = [
            (consumer.group, type_of(model).topic, type_of(model).name)
            for consumer in self._house.consumers
            for model in consumer.hears
        ]
        events = Events(view.tenant_id, Heard(*(list(c) for c in zip(*heard, strict=True))))
        async with meet(view.tenant_id, source, target, self._house.clock) as ends:
            schemas = [package.rsplit(".", 1)[-1] for package in PACKAGES]
            wanted = [ends.source.prefix + name for name in schemas if name != DIRECTORY_SCHEMA]
            tables = await list_tables(ends, wanted)
            yield ends, Mover(view.tenant_id, ends, events, tables), events


@contextlib.asynccontextmanager
async def directory_session(
    databases: Databases, tenant_id: UUID, clock: Clock
) -> AsyncIterator[Tx]:
    """A session of the owner in the directory; what it holds is let go of when the process ends."""
    url = await asyncio.to_thread(databases.owner.url_of, MAIN)
    async with session(tenant_id, Place(POOLED, url), clock) as main:
        yield main
