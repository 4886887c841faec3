"""Two transactions that get in each other's way, on the simulated database and on a real one.

A statement that does not come back waits until a later step lets it. What is compared: who waited,
what each was answered, and what is left in the tables.
"""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import asyncpg

from serai.kernel import queries
from serai.kernel.tenant import POOLED
from tests.simulation import twins
from tests.simulation.recording import Said
from tests.simulation.storage import Storage

POLL_S = 0.002
POLLS_MAX = 2500
"""A statement has come back, or is known to wait, within five seconds."""
TURNS = 20
"""Turns of the loop after which a simulated statement has come back, or waits."""
COMMIT, ROLLBACK = "commit", "rollback"

Step = tuple[str, Said | str]
Seen = list[tuple[str, str, Any]]


@dataclasses.dataclass(frozen=True)
class Duel:
    """What was said before, and then who says what: `a` or `b` with a statement or an end."""

    name: str
    before: tuple[Said, ...]
    steps: tuple[Step, ...]


class Side(Protocol):
    """One transaction on one of the two databases."""

    async def say(self, text: str, args: tuple[Any, ...]) -> Any: ...

    async def end(self, how: str) -> None: ...

    async def is_held_up(self, task: "asyncio.Task[Any]") -> bool: ...


class SimulatedSide:
    """Adapter of `Side` over the simulated database."""

    def __init__(self, storage: Storage, tenant: UUID) -> None:
        self._session = storage.begin([tenant], is_transport=True)
        self._has_failed = False

    async def say(self, text: str, args: tuple[Any, ...]) -> Any:
        try:
            answer = await twins.answer(self._session, text, args)
        except asyncpg.PostgresError:
            self._has_failed = True
            raise
        return answer if isinstance(answer, int) else [list(row) for row in answer]

    async def end(self, how: str) -> None:
        if how == COMMIT and not self._has_failed:
            self._session.commit()
        else:
            self._session.abort()

    async def is_held_up(self, task: "asyncio.Task[Any]") -> bool:
        for _ in range(TURNS):
            await asyncio.sleep(0)
        return not task.done()


class RealSide:
    """Adapter of `Side` over PostgreSQL; an observer sees whether it waits."""

    def __init__(self, connection: Any, observer: Any) -> None:
        self._connection = connection
        self._observer = observer
        self._pid = connection.get_server_pid()

    @classmethod
    async def begin(
        cls, connection: Any, observer: Any, tenant: UUID, clock: datetime
    ) -> "RealSide":
        await connection.execute(
            f"BEGIN; SET LOCAL serai.tenants = '{{{tenant}}}'; SET LOCAL serai.transport = 'on'; "
            f"SET LOCAL told.clock = '{clock.isoformat()}'"
        )
        return cls(connection, observer)

    async def say(self, text: str, args: tuple[Any, ...]) -> Any:
        statement = await self._connection.prepare(text)
        rows = await statement.fetch(*args)
        count = int(statement.get_statusmsg().rpartition(" ")[2])
        return [list(row) for row in rows] if statement.get_attributes() else count

    async def end(self, how: str) -> None:
        await self._connection.execute(how)

    async def is_held_up(self, task: "asyncio.Task[Any]") -> bool:
        for _ in range(POLLS_MAX):
            if task.done():
                return False
            if await self._observer.fetchval("SELECT pg_blocking_pids($1) <> '{}'", self._pid):
                return True
            await asyncio.sleep(POLL_S)
        raise AssertionError("a statement neither comes back nor waits")


async def fight(duel: Duel, begin: Callable[[], Awaitable[Side]]) -> Seen:
    """Both take their steps; what was seen, in the order of the steps that let it be seen."""
    first = await begin()
    for said in duel.before:
        await first.say(*_text_of(said))
    await first.end(COMMIT)
    sides = {"a": await begin(), "b": await begin()}
    held_up: dict[str, asyncio.Task[Any]] = {}
    seen: Seen = []
    for who, step in duel.steps:
        if isinstance(step, str):
            await sides[who].end(step)
        else:
            task = asyncio.ensure_future(sides[who].say(*_text_of(step)))
            if await sides[who].is_held_up(task):
                held_up[who] = task
                seen.append((who, step[0], "waits"))
            else:
                seen.append((who, step[0], await _outcome(task)))
        for other, task in list(held_up.items()):
            if not await sides[other].is_held_up(task):
                seen.append((other, "at last", await _outcome(task)))
                del held_up[other]
    assert not held_up, f"{duel.name}: somebody waits for ever"
    return seen


async def _outcome(task: "asyncio.Task[Any]") -> Any:
    try:
        answer = await task
    except asyncpg.PostgresError as error:
        return type(error).__name__
    return answer if isinstance(answer, int) else sorted(map(repr, answer))


def _text_of(said: Said) -> tuple[str, tuple[Any, ...]]:
    name, *args = said
    package, _, short = name.rpartition(".")
    return queries.load(f"serai.{package}").statements[short].text(POOLED.prefix), tuple(args)
