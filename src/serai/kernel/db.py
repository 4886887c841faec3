"""Connections and transactions: the only place that begins or commits.

A transaction is opened for a home and a set of tenants. Row-level security walls that set off from
every other row (ADR 0013), so a batch may hold the commands of many tenants and still not see a row
of one that is not in it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextvars import ContextVar
from datetime import datetime
from functools import partial
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec

from serai.kernel import changes, departures, events, ids, outbox
from serai.kernel.clock import Clock, SystemClock
from serai.kernel.failure import Unavailable
from serai.kernel.migrated import Migrated
from serai.kernel.pool import OUTAGES, REPORT_TIMEOUT_MS, Pool
from serai.kernel.queries import Statement
from serai.kernel.sealed import MARK, Person, Plain, Sealed, Sealing
from serai.kernel.tenant import MAIN, Home
from serai.settings import MAIN_SESSIONS, QUIET_POOL_MAX

CONFLICT_RETRIES_MAX = 5
HOME_POOL_MAX: Final = 4
"""Connections to the database of a home that is not the main one."""
HOME_SESSIONS: Final = 2
"""Sessions of a worker's own in such a database: for LISTEN, and to show that it lives."""
HOME_IDLE_S: Final = 60.0
"""How long such a connection may rest before it is closed."""
CONNECTIONS_MAX: Final = 40

_looks_after_quiet: ContextVar[bool] = ContextVar("looks_after_quiet", default=False)

Record = asyncpg.Record


class Conflicted(Unavailable):
    """A deadlock or serialisation failure: the same work, done again, is expected to succeed."""


_CONFLICTS = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)


class Tx:
    """One open transaction: runs named statements and collects what is to be announced."""

    __slots__ = (
        "_announcements", "_changes", "_seals", "connection", "home", "keys", "now", "prefix",
    )  # fmt: skip

    def __init__(
        self, connection: Any, home: Home, now: datetime, seals: Sealing | None = None
    ) -> None:
        self.connection = connection
        self._seals = seals
        self.keys: dict[Any, Any] = {}
        """What the seals have read or made in this transaction, for as long as it lasts."""
        self.home = home
        self.prefix = home.prefix
        self.now = now
        self._announcements: list[events.Announcement] = []
        self._changes: list[tuple[UUID, changes.Change]] = []

    async def fetch(self, statement: Statement, *args: Any) -> list[Record]:
        """All rows of a statement."""
        rows: list[Record] = await self.connection.fetch(statement.text(self.prefix), *args)
        return rows

    async def fetchrow(self, statement: Statement, *args: Any) -> Record | None:
        """The first row, or None."""
        row: Record | None = await self.connection.fetchrow(statement.text(self.prefix), *args)
        return row

    async def fetchval(self, statement: Statement, *args: Any) -> Any:
        """The first column of the first row, or None."""
        return await self.connection.fetchval(statement.text(self.prefix), *args)

    async def execute(self, statement: Statement, *args: Any) -> int:
        """Runs a statement for its effect; returns how many rows it touched."""
        # Without an argument the driver would send text, in which a second statement could hide.
        assert args, f"{statement.name} takes no argument: fetch it"
        tag: str = await self.connection.execute(statement.text(self.prefix), *args)
        last = tag.rsplit(" ", 1)[-1]
        return int(last) if last.isdigit() else 0

    def announce(self, tenant_id: UUID, event: msgspec.Struct, cause: events.Cause) -> None:
        """Puts an event into this transaction's outbox; all are written just before commit."""
        entry = events.type_of(type(event))
        key = getattr(event, entry.key)
        self._announcements.append(
            events.Announcement(ids.new_id(), tenant_id, entry, key, event, cause)
        )

    def record(self, tenant_id: UUID, change: changes.Change) -> None:
        """Puts a change (see `changes.describe`) into the audit trail, with this transaction."""
        self._changes.append((tenant_id, change))

    async def seal(self, plains: Sequence[Plain]) -> list[str]:
        """What is personal, as it may rest: each under the key of its subject, by the batch."""
        return await self._sealing.seal(plains, tx=self) if plains else []

    async def unseal(self, values: Sequence[Sealed]) -> list[str | None]:
        """What was sealed; None where its subject was erased. What was never sealed is as it is."""
        if not any(value.text.startswith(MARK) for value in values):
            return [value.text for value in values]
        return await self._sealing.unseal(values, tx=self)

    async def find_subjects(self, people: Sequence[Person]) -> list[UUID]:
        """Whom addresses stand for, as ids of which nobody but the tenant's key makes addresses."""
        return await self._sealing.find_subjects(people, tx=self) if people else []

    @property
    def _sealing(self) -> Sealing:
        assert self._seals is not None, "whoever composes gives the database its seals"
        return self._seals

    @property
    def recorded(self) -> Sequence[tuple[UUID, changes.Change]]:
        """What this transaction will have in the audit trail if it commits."""
        return self._changes

    @property
    def announced(self) -> Sequence[events.Announcement]:
        """What this transaction will announce if it commits."""
        return self._announcements

    async def flush(self) -> None:
        """Writes the collected announcements; called by the database before it commits."""
        if self._changes:
            self._announcements.extend(changes.gather(self._changes))
            self._changes = []
        if self._announcements:
            statement, args = outbox.append_events(self._announcements, self.now, self.prefix)
            await self.connection.execute(statement.text(self.prefix), *args)
            self._announcements = []


class Database:
    """The databases of this process, as the walled role: the main one, and those of single homes.

    A home's database is found by its name, and its pool opened when it is first needed. Together
    the pools and the sessions that last hold at most `connections_max`: the pool that rests the
    longest makes room.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_max: int,
        clock: Clock | None = None,
        address_of: Callable[[str], str] | None = None,
        connections_max: int = CONNECTIONS_MAX,
    ) -> None:
        self._url = url
        self._address_of = address_of
        self._quiet = Pool(lambda: url, size_max=QUIET_POOL_MAX, idle_s=HOME_IDLE_S, is_lazy=True)
        self._room = connections_max - pool_max - QUIET_POOL_MAX - MAIN_SESSIONS
        self._sessions = 0
        self.main = Pool(lambda: url, size_max=pool_max, is_lazy=False)
        self._pools: dict[str, Pool] = {MAIN: self.main}
        self._closing: set[asyncio.Task[None]] = set()
        self.clock: Clock = clock or SystemClock()
        self.seals: Sealing | None = None
        """What seals personal data in its transactions; set by who composes the house."""
        self.migrated: Migrated | None = None
        """Which homes beside the pooled one have what the code needs; set by who composes."""
        self.transactions = 0
        self.on_moved: list[Callable[[UUID], None]] = []
        """Told of a tenant that was looked for in a home which it has left."""

    @property
    def url(self) -> str:
        """The address of the main database; holds a secret."""
        return self._url

    async def open(self) -> None:
        """Connects to the main database; refuses a role that row-level security does not bind."""
        await self.main.open()

    async def close(self) -> None:
        """Closes every connection to every database; waits for those in use, with a bound."""
        pools, self._pools = list(self._pools.values()), {MAIN: self.main}
        await asyncio.gather(self._quiet.close(), *(pool.close() for pool in pools), *self._closing)

    @contextlib.asynccontextmanager
    async def transaction(
        self,
        home: Home,
        tenants: Collection[UUID],
        *,
        is_transport: bool = False,
        is_read_only: bool = False,
        is_report: bool = False,
        is_from_outside: bool = False,
    ) -> AsyncIterator[Tx]:
        """One transaction that sees the rows of `tenants` only; commits when the block ends well.

        With `is_transport` the kernel's own tables are seen for every tenant: the log and the
        timers carry the messages of all. What is `is_from_outside` may have to wait as long as a
        tenant moves, so that its mover keeps up. With `is_report` it is read-only, sees one
        snapshot, and the planner may scan and hash: for sums over everything a tenant has.
        Failures of the world come out as Unavailable.
        """
        if self.seals is not None:
            await self.seals.freshen(self.clock.now())
        pool = self._pool_of(home)
        connection = await pool.acquire()
        is_clean = False
        try:
            if self.migrated is not None and home not in self.migrated.homes:
                await self.migrated.look(home, connection)
            await connection.execute(
                _begin(
                    tenants,
                    home,
                    is_transport=is_transport,
                    is_read_only=is_read_only or is_report,
                    is_report=is_report,
                    is_from_outside=is_from_outside,
                )
            )
            tx = Tx(connection, home, self.clock.now(), self.seals)
            yield tx
            await tx.flush()
            await connection.execute("COMMIT")
            is_clean = True
            self.transactions += 1
        except _CONFLICTS as error:
            raise Conflicted(str(error)) from error
        except OUTAGES as error:
            raise Unavailable(f"the database did not answer: {type(error).__name__}") from error
        except asyncpg.PostgresError as error:
            moving = departures.read_refusal(error, home)
            if moving is None:
                raise
            for tenant_id in moving.away:
                for forget in self.on_moved:
                    forget(tenant_id)
            raise moving from None
        finally:
            await pool.give_back(connection, is_clean=is_clean)

    @contextlib.asynccontextmanager
    async def session(self, name: str = MAIN) -> AsyncIterator[Any]:
        """A connection of its own outside the pool, for what lasts: LISTEN, a lock of the session.

        It is closed at the end of the block. Failures of the world come out as Unavailable.
        """
        if name == MAIN:
            async with self.main.session() as connection:
                yield connection
            return
        self._make_room(sessions=1)
        self._sessions += 1
        try:
            pool = Pool(partial(self._find_url, name), size_max=1, is_lazy=True)
            async with pool.session() as connection:
                yield connection
        finally:
            self._sessions -= 1

    def _pool_of(self, home: Home) -> Pool:
        if home.database == MAIN and home.prefix and _looks_after_quiet.get():
            return self._quiet
        return self._pools.get(home.database) or self._add_pool(home.database)

    def count_missing(self, databases: int) -> int:
        """How many more connections a worker of homes in so many other databases needs."""
        needed = databases * HOME_SESSIONS + HOME_POOL_MAX if databases else 0
        return max(0, needed - self._room)

    def _make_room(self, *, sessions: int = 0, pools: int = 0) -> None:
        """Lets pools that rest make room; Unavailable where that is not enough.

        Sessions last, so that they leave room for one pool at least.
        """
        sessions += self._sessions
        if not self._fits(sessions, pools):
            raise _no_room()
        while not self._fits(sessions, len(self._pools) - 1 + pools):
            idle = [key for key, pool in self._pools.items() if key != MAIN and pool.is_idle]
            if not idle:
                raise _no_room()
            longest = min(idle, key=lambda key: self._pools[key].used_at)
            closing = asyncio.get_running_loop().create_task(self._pools.pop(longest).close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    def _fits(self, sessions: int, pools: int) -> bool:
        return sessions + HOME_POOL_MAX * max(1, pools) <= self._room

    def _add_pool(self, name: str) -> Pool:
        """The pool of a home's database; others that rest make room for it."""
        self._make_room(pools=1)
        pool = self._pools[name] = Pool(
            partial(self._find_url, name), size_max=HOME_POOL_MAX, idle_s=HOME_IDLE_S, is_lazy=True
        )
        return pool

    def _find_url(self, name: str) -> str:
        if self._address_of is None:
            raise LookupError(f"nobody has told where the database {name} is")
        return self._address_of(name)


@contextlib.contextmanager
def looking_after_quiet() -> Iterator[None]:
    """For whoever looks after a home at rest: transactions there have a pool of their own."""
    token = _looks_after_quiet.set(True)
    try:
        yield
    finally:
        _looks_after_quiet.reset(token)


def _no_room() -> Unavailable:
    return Unavailable(
        "this process may hold no more connections to homes' databases now; "
        "SERAI_CONNECTIONS_MAX allows more"
    )


def _begin(
    tenants: Collection[UUID],
    home: Home,
    *,
    is_transport: bool,
    is_read_only: bool,
    is_report: bool,
    is_from_outside: bool,
) -> str:
    # One round trip. The only values are UUID objects, whose text is hexadecimal by construction.
    wall = ",".join(str(UUID(int=tenant.int)) for tenant in tenants)
    begin = "BEGIN READ ONLY" if is_read_only else "BEGIN"
    if is_report:
        # One snapshot: what is compared was true at the same moment.
        begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
    parts = [begin, f"SET LOCAL serai.tenants = '{{{wall}}}'"]
    if is_transport:
        parts.append("SET LOCAL serai.transport = 'on'")
    if is_report:
        parts.append(_REPORT)
    if wall and is_from_outside:
        parts.append(departures.ask_pace(wall, home))
    if wall and not is_read_only:
        parts.append(departures.ask_admission(wall, home))
    return "; ".join(parts)


_REPORT = (
    # A nested loop over a sum, chosen for want of statistics, grows as the square of the orders.
    "SET LOCAL plan_cache_mode = auto; SET LOCAL enable_nestloop = off; "
    "SET LOCAL enable_seqscan = on; SET LOCAL enable_hashjoin = on; "
    "SET LOCAL enable_mergejoin = on; "
    f"SET LOCAL statement_timeout = {REPORT_TIMEOUT_MS}"
)
