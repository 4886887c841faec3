"""Lets a mover keep up with a tenant that is written for, by holding up its writers if need be.

Each note of a change is followed in a round. While rounds leave about as much as they found, each
batch of commands that writes for the tenant is held up for a moment, twice as long each time:
nothing is refused, and consumers go on. Else nobody would catch up with a shop at its peak.
"""

import asyncio
from typing import Final

from serai.kernel.moving.ends import Ends
from serai.kernel.moving.events import Events
from serai.kernel.moving.mover import Mover

ROUNDS_MAX: Final = 60
ROUND_S: Final = 0.25
"""A round that took less leaves little enough for the time in which writes are refused."""
SHRINKS: Final = 0.7
"""What a round may leave of what the one before it left, for writers not to be held up longer."""
REST_MAX: Final = 4_000
"""Events that may be left to be carried in that time: a group has not passed them yet."""
WAIT_S: Final = 0.5
"""How long groups are given to pass more."""
HELD_MIN_S: Final = 0.05
HELD_MAX_S: Final = 2.0


class Pace:
    """How long writers are held up so that one mover keeps up."""

    def __init__(self, mover: Mover) -> None:
        self._mover = mover
        self.held_s = 0.0

    async def keep_up(self) -> None:
        """Follows what has changed until a round is short, `ROUNDS_MAX` times at most."""
        before: int | None = None
        for _ in range(ROUNDS_MAX):
            seconds, left = await self._mover.follow()
            if seconds < ROUND_S:
                break
            if before is not None and left > before * SHRINKS:
                await self.slow_down()
            before = left
        await self.hold()

    async def draw_near(self, ends: Ends, events: Events) -> None:
        """Follows, and carries what every group has passed, until little is left for the end."""
        before: int | None = None
        for _ in range(ROUNDS_MAX):
            await events.carry_history(ends)
            await self.keep_up()
            left = await events.count_rest(ends, REST_MAX)
            if left <= REST_MAX:
                break
            if before is not None and left > before * SHRINKS:
                await self.slow_down()
            before = left
            await asyncio.sleep(WAIT_S)

    async def slow_down(self) -> None:
        """Holds writers up for twice as long."""
        self.held_s = min(max(2 * self.held_s, HELD_MIN_S), HELD_MAX_S)
        await self.hold()

    async def hold(self) -> None:
        """Says it again before it ends by itself."""
        if self.held_s:
            await self._mover.hold_up(self.held_s)
