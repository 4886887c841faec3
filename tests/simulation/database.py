"""The server and the wire to it: everything below `Database` but above the rows.

`Database.transaction`, `Tx` and all that is built on them run as they are. Here a connection takes
the text that asyncpg would have sent, and the adversary decides what becomes of it on its way.
"""

import asyncio
import collections
import contextlib
import math
import re
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol
from uuid import UUID

import asyncpg

from serai.kernel.clock import Clock
from serai.kernel.db import Database
from serai.kernel.failure import Unavailable
from serai.kernel.pool import IDLE_IN_TRANSACTION_TIMEOUT_MS
from serai.kernel.tenant import MAIN
from tests.simulation import twins
from tests.simulation.loop import Owner
from tests.simulation.rows import Row
from tests.simulation.storage import Session, Storage

_WALL = re.compile(r"SET LOCAL serai\.tenants = '\{([^}]*)\}'")

SERIAL_POLL_S = 0.0005

Hearer = Callable[[Any, int, str, object], None]


class Fate(Protocol):
    """What the adversary decides about a connection's traffic."""

    def latency_s(self) -> float:
        """How long a message is on its way; 0 takes no step of the loop at all."""
        ...

    def notice_delay_s(self) -> float | None:
        """The same for a notification; None where it never arrives."""
        ...

    def at(self, place: str, owner: Owner) -> str | None:
        """What happens now to the one who stands at a place: nothing, `cut`, or it has died."""
        ...


class Server:
    """PostgreSQL as a process: who is connected to it, and whether it runs."""

    def __init__(self, storage: Storage, fate: Fate, loop: asyncio.AbstractEventLoop) -> None:
        self.storage = storage
        self.loop = loop
        self.fate = fate
        self.is_down = False
        self.is_serial = False
        """Lets one transaction begin only when the one before has ended: for comparisons."""
        self.serving: SimConnection | None = None
        self.connections: dict[SimConnection, None] = {}
        storage.on_notify = self._notify

    def connect(self, owner: Owner, *, is_alone: bool = False) -> "SimConnection":
        """A new connection; refused while the server is down."""
        if self.is_down:
            raise ConnectionRefusedError("the server is down")
        connection = SimConnection(self, owner, is_alone=is_alone)
        self.connections[connection] = None
        return connection

    def crash(self) -> None:
        """Every transaction that has not committed is gone, and every connection with it."""
        self.is_down = True
        for connection in list(self.connections):
            connection.lose()

    def forget(self, owner: Owner) -> None:
        """A process has died: its sockets close, and the server undoes what was open in them."""
        for connection in list(self.connections):
            if connection.owner is owner:
                connection.lose()

    def _notify(self, channel: str, payload: str) -> None:
        for connection in list(self.connections):
            if channel not in connection.hearers:
                continue
            delay_s = self.fate.notice_delay_s()
            if delay_s is not None:
                asyncio.get_running_loop().call_later(
                    delay_s, connection.hear, channel, payload, context=connection.owner.context
                )


class SimConnection:
    """Stands where asyncpg's connection stands."""

    ends_at = math.inf
    """Sessions of the simulated server remember nothing, and need not be made anew."""

    def __init__(self, server: Server, owner: Owner, *, is_alone: bool) -> None:
        self.owner = owner
        self.is_alone = is_alone
        """Outside the pool a statement may be a transaction of its own."""
        self.hearers: dict[str, Hearer] = {}
        self.session: Session | None = None
        self._server = server
        self._is_lost = False
        self._has_failed = False
        self._on_end: list[Callable[[Any], None]] = []
        self.on_commit: list[Callable[[], None]] = []
        """What is to be noted if, and only if, the open transaction commits."""

    async def fetch(self, text: str, *args: Any) -> list[Row]:
        answer = await self._ask(text, args)
        return answer if isinstance(answer, list) else []

    async def fetchrow(self, text: str, *args: Any) -> Row | None:
        rows = await self.fetch(text, *args)
        return rows[0] if rows else None

    async def fetchval(self, text: str, *args: Any) -> Any:
        row = await self.fetchrow(text, *args)
        return None if row is None else next(iter(row.values()))

    async def execute(self, text: str, *args: Any) -> str:
        if text.startswith("BEGIN"):
            await self._begin(text)
        elif text == "COMMIT":
            await self._commit()
        elif text == "ROLLBACK":
            await self._travel("rollback")
            self._end(is_commit=False)
        else:
            answer = await self._ask(text, args)
            return f"DONE {answer if isinstance(answer, int) else len(answer)}"
        return text

    async def _ask(self, text: str, args: tuple[Any, ...]) -> twins.Answer:
        await self._travel("statement")
        if self.is_alone and self.session is None:
            return await self._ask_alone(text, args)
        session = self._open_session()
        if self._has_failed:
            raise asyncpg.InFailedSQLTransactionError("current transaction is aborted")
        try:
            answer = await twins.answer(session, text, args)
        except BaseException:
            self._has_failed = True
            raise
        self._open_session()
        return answer

    async def _ask_alone(self, text: str, args: tuple[Any, ...]) -> twins.Answer:
        session = self._server.storage.begin([], backend=self)
        try:
            return await twins.answer(session, text, args)
        finally:
            session.commit()

    async def _begin(self, text: str) -> None:
        await self._travel("begin")
        while self._server.is_serial and self._server.serving is not None:
            await _pass(self._server.loop, SERIAL_POLL_S)
            self._check()
        self._server.serving = self
        found = _WALL.search(text)
        assert found is not None, "every transaction of ours names its tenants"
        wall = [UUID(one) for one in found[1].split(",") if one]
        self._has_failed = False
        self.on_commit = []
        self.session = self._server.storage.begin(
            wall,
            is_transport="serai.transport" in text,
            is_read_only="READ ONLY" in text,
            backend=self,
        )

    async def _commit(self) -> None:
        has_written = self._open_session().has_written
        await self._travel("before_commit" if has_written else "statement")
        self._open_session()
        self._end(is_commit=not self._has_failed)
        await self._travel("after_commit" if has_written else "statement")

    def _end(self, *, is_commit: bool) -> None:
        session, self.session = self.session, None
        if self._server.serving is self:
            self._server.serving = None
        if session is not None and session.is_open:
            if is_commit:
                session.commit()
                for note in self.on_commit:
                    note()
            else:
                session.abort()

    async def _travel(self, place: str) -> None:
        """One way over the wire: it takes its time, and it may end here."""
        self._check()
        fate = self._server.fate
        delay_s = fate.latency_s()
        if delay_s:
            await _pass(self._server.loop, delay_s)
        if fate.at(place, self.owner) == "cut":
            self.lose()
        self._check()

    def _check(self) -> None:
        if self._is_lost:
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of it")

    def _open_session(self) -> Session:
        self._check()
        if self.session is None or not self.session.is_open:
            self.lose()
            raise asyncpg.IdleInTransactionSessionTimeoutError("the session was ended")
        return self.session

    # ---------------------------------------------------------------------------- notifications

    async def add_listener(self, channel: str, hearer: Hearer) -> None:
        await self._travel("statement")
        self.hearers[channel] = hearer

    def add_termination_listener(self, on_end: Callable[[Any], None]) -> None:
        self._on_end.append(on_end)

    def hear(self, channel: str, payload: str) -> None:
        """A notification has arrived."""
        if not self._is_lost:
            self.hearers[channel](self, 0, channel, payload)

    # ------------------------------------------------------------------------------------- end

    def lose(self) -> None:
        """Cuts the connection: the server undoes what was open, the client learns it when it asks.

        A commit that was carried out stays carried out, whether the client has heard of it or not.
        """
        if self._is_lost:
            return
        self._is_lost = True
        self._server.connections.pop(self, None)
        self._end(is_commit=False)
        self._server.storage.leave(self)
        loop = asyncio.get_running_loop()
        for on_end in self._on_end:
            loop.call_soon(on_end, self, context=self.owner.context)

    def terminate(self) -> None:
        self.lose()

    def is_closed(self) -> bool:
        return self._is_lost

    def end_idle(self) -> None:
        """What PostgreSQL does to a session that holds a transaction and says nothing for long."""
        session = self.session
        if session is not None and session.is_open and session.waits_for is None:
            self._end(is_commit=False)


class SimPool:
    """Stands where asyncpg's pool stands."""

    def __init__(self, server: Server, owner: Owner, *, size: int) -> None:
        self._server = server
        self._owner = owner
        self._idle: list[SimConnection] = []
        self._room = size
        self._waiting: collections.deque[asyncio.Future[None]] = collections.deque()

    async def acquire(self, *, timeout: float) -> SimConnection:  # noqa: ASYNC109 - asyncpg's name
        while self._room == 0:
            future = asyncio.get_running_loop().create_future()
            self._waiting.append(future)
            async with asyncio.timeout(timeout):
                await future
        self._room -= 1
        try:
            while self._idle:
                connection = self._idle.pop()
                if not connection.is_closed():
                    return connection
            return self._server.connect(self._owner)
        except BaseException:
            self._leave()
            raise

    async def release(self, connection: SimConnection) -> None:
        if not connection.is_closed():
            self._idle.append(connection)
        self._leave()

    def _leave(self) -> None:
        self._room += 1
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                return


class SimDatabase(Database):
    """The kernel's `Database`, of which only the pool is another."""

    def __init__(self, server: Server, owner: Owner, *, pool_max: int, clock: Clock) -> None:
        super().__init__("simulated", pool_max=pool_max, clock=clock)
        self._server = server
        self._owner = owner
        self.main.connections = SimPool(server, owner, size=pool_max)

    @contextlib.asynccontextmanager
    async def session(self, name: str = MAIN) -> AsyncIterator[Any]:
        assert name == MAIN, "the simulated server has one database"
        connection = None
        await _pass(self._server.loop, 0.001)
        try:
            connection = self._server.connect(self._owner, is_alone=True)
            yield connection
        except (OSError, asyncpg.PostgresConnectionError) as error:
            raise Unavailable(f"no database connection: {type(error).__name__}") from error
        finally:
            if connection is not None:
                connection.terminate()


async def _pass(loop: asyncio.AbstractEventLoop, delay_s: float) -> None:
    """Lets virtual time go by; cheaper than asyncio.sleep, and it can be cancelled as well."""
    future: asyncio.Future[None] = loop.create_future()
    timer = loop.call_later(delay_s, _arrive, future)
    try:
        await future
    finally:
        timer.cancel()


def _arrive(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


IDLE_LIMIT_S = IDLE_IN_TRANSACTION_TIMEOUT_MS / 1000
