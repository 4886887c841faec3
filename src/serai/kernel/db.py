"""Connections and transactions: the only place that begins or commits.

A transaction is opened for a home and a set of tenants. Row-level security walls that set off from
every other row (ADR 0013), so a batch may hold the commands of many tenants and still not see a row
of one that is not in it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import structlog

from serai.kernel import changes, events, ids, outbox
from serai.kernel.clock import Clock, SystemClock
from serai.kernel.failure import Unavailable
from serai.kernel.queries import Statement
from serai.kernel.tenant import Home

_log = structlog.get_logger(__name__)

CONNECT_TIMEOUT_S = 10.0
ACQUIRE_TIMEOUT_S = 5.0
AWAY_S = 0.1
"""How long nobody knocks again where a server was found away: each knock costs it a process."""
STATEMENT_TIMEOUT_MS = 10_000
LOCK_TIMEOUT_MS = 5_000
REPORT_TIMEOUT_MS = 60_000
IDLE_IN_TRANSACTION_TIMEOUT_MS = 3_000
"""A process that was paused inside a transaction loses it, and its locks, after this long."""
STATEMENTS_CACHED_MAX = 512
CONFLICT_RETRIES_MAX = 5
APP_ROLE = "serai_app"

Record = asyncpg.Record


class Conflicted(Unavailable):
    """A deadlock or serialisation failure: the same work, done again, is expected to succeed."""


_CONFLICTS = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
_OUTAGES = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.DiskFullError,
    asyncpg.OutOfMemoryError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.QueryCanceledError,
    asyncpg.LockNotAvailableError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InvalidCachedStatementError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)
_AWAY = (OSError, asyncpg.CannotConnectNowError, asyncpg.PostgresConnectionError)


class Tx:
    """One open transaction: runs named statements and collects what is to be announced."""

    __slots__ = ("_announcements", "_changes", "connection", "home", "now", "prefix")

    def __init__(self, connection: Any, home: Home, now: datetime) -> None:
        self.connection = connection
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


async def _prepare_connection(connection: Any) -> None:
    # JSON travels as the bytes it is: encoded once by msgspec, never parsed on the way.
    for name in ("json", "jsonb"):
        prefix = b"\x01" if name == "jsonb" else b""
        cut = len(prefix)
        await connection.set_type_codec(
            name,
            schema="pg_catalog",
            format="binary",
            encoder=lambda value, prefix=prefix: prefix + value,
            decoder=lambda value, cut=cut: bytes(value)[cut:],
        )


async def _keep_as_is(_connection: Any) -> None:
    """Sessions hold no state of ours outside a transaction, so a reset would be a wasted trip."""


class Database:
    """A pool of connections to one database, as the walled role."""

    def __init__(self, url: str, *, pool_max: int, clock: Clock | None = None) -> None:
        self._url = url
        self._pool_max = pool_max
        self._pool: Any = None
        self._away_until = 0.0
        self.clock: Clock = clock or SystemClock()
        self.transactions = 0

    @property
    def url(self) -> str:
        """The address that the pool connects to; holds a secret."""
        return self._url

    async def open(self) -> None:
        """Connects; refuses to run as a role that row-level security does not bind."""
        self._pool = await asyncpg.create_pool(
            self._url,
            min_size=0,  # else the pool itself knocks at a server that is away, with tracebacks
            max_size=self._pool_max,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=REPORT_TIMEOUT_MS / 1000 + 5,
            statement_cache_size=STATEMENTS_CACHED_MAX,
            max_cached_statement_lifetime=0,
            max_inactive_connection_lifetime=0,
            init=_prepare_connection,
            reset=_keep_as_is,
            server_settings=session_settings(),
        )
        async with self._pool.acquire() as connection:
            row = await connection.fetchrow(
                "SELECT rolsuper OR rolbypassrls AS is_unbound FROM pg_roles "
                "WHERE rolname = current_user"
            )
        if row is None or row["is_unbound"]:
            await self.close()
            raise Unavailable(
                "this database role bypasses row-level security; run `serai migrate up` with the "
                f"owner's URL, and give the application the URL of the role {APP_ROLE}"
            )

    async def close(self) -> None:
        """Closes every connection; waits for those in use, with a bound."""
        if self._pool is not None:
            pool, self._pool = self._pool, None
            try:
                await asyncio.wait_for(pool.close(), timeout=5)
            except TimeoutError:
                pool.terminate()

    @contextlib.asynccontextmanager
    async def transaction(
        self,
        home: Home,
        tenants: Collection[UUID],
        *,
        is_transport: bool = False,
        is_read_only: bool = False,
        is_report: bool = False,
    ) -> AsyncIterator[Tx]:
        """One transaction that sees the rows of `tenants` only; commits when the block ends well.

        With `is_transport` the kernel's own tables are seen for every tenant: the log and the
        timers carry the messages of all. With `is_report` it is read-only, sees one snapshot, and
        the planner may scan and hash: for sums over everything a tenant has. Failures of the world
        come out as Unavailable.
        """
        connection = await self._acquire()
        is_clean = False
        try:
            await connection.execute(
                _begin(
                    tenants,
                    is_transport=is_transport,
                    is_read_only=is_read_only or is_report,
                    is_report=is_report,
                )
            )
            tx = Tx(connection, home, self.clock.now())
            yield tx
            await tx.flush()
            await connection.execute("COMMIT")
            is_clean = True
            self.transactions += 1
        except _CONFLICTS as error:
            raise Conflicted(str(error)) from error
        except _OUTAGES as error:
            raise Unavailable(f"the database did not answer: {type(error).__name__}") from error
        finally:
            await self._give_back(connection, is_clean=is_clean)

    async def _acquire(self) -> Any:
        if self._pool is None:
            raise Unavailable("the database is closed")
        if asyncio.get_running_loop().time() < self._away_until:
            raise Unavailable("no database connection: the server was away a moment ago")
        try:
            return await self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S)
        except _OUTAGES as error:
            # That every connection is in use is a TimeoutError, and no reason to stay away.
            if isinstance(error, _AWAY) and not isinstance(error, TimeoutError):
                self._away_until = asyncio.get_running_loop().time() + AWAY_S
            raise Unavailable(f"no database connection: {type(error).__name__}") from error

    async def _give_back(self, connection: Any, *, is_clean: bool) -> None:
        pool = self._pool
        if not is_clean:
            try:
                await asyncio.wait_for(asyncio.shield(connection.execute("ROLLBACK")), timeout=2)
            except (*_OUTAGES, asyncpg.PostgresError, asyncio.CancelledError):
                # What cannot be rolled back is cut: the server undoes it when the socket closes.
                # A connection that was lost has left the pool already, and says so.
                with contextlib.suppress(asyncpg.InterfaceError):
                    connection.terminate()
        if pool is not None:
            with contextlib.suppress(*_OUTAGES, asyncpg.PostgresError):
                await pool.release(connection)

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[Any]:
        """A connection of its own outside the pool, for what lasts: LISTEN, a lock of the session.

        It is closed at the end of the block. Failures of the world come out as Unavailable.
        """
        connection = None
        try:
            connection = await asyncpg.connect(
                self._url, timeout=CONNECT_TIMEOUT_S, server_settings=session_settings()
            )
            yield connection
        except _OUTAGES as error:
            raise Unavailable(f"no database connection: {type(error).__name__}") from error
        finally:
            if connection is not None:
                connection.terminate()


def session_settings() -> dict[str, str]:
    """What every session of ours sets at its start."""
    return {
        "application_name": "serai",
        "statement_timeout": str(STATEMENT_TIMEOUT_MS),
        "lock_timeout": str(LOCK_TIMEOUT_MS),
        "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION_TIMEOUT_MS),
        "jit": "off",
        # Every statement of ours goes from a few keys through an index, so one generic plan serves
        # for good; one made while a table was empty must not scan it for the rest of the session.
        "plan_cache_mode": "force_generic_plan",
        "random_page_cost": "1.1",
        "enable_seqscan": "off",
        "enable_hashjoin": "off",
        "enable_mergejoin": "off",
        "timezone": "UTC",
    }


def _begin(
    tenants: Collection[UUID], *, is_transport: bool, is_read_only: bool, is_report: bool
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
    return "; ".join(parts)


_REPORT = (
    # A nested loop over a sum, chosen for want of statistics, grows as the square of the orders.
    "SET LOCAL plan_cache_mode = auto; SET LOCAL enable_nestloop = off; "
    "SET LOCAL enable_seqscan = on; SET LOCAL enable_hashjoin = on; "
    "SET LOCAL enable_mergejoin = on; "
    f"SET LOCAL statement_timeout = {REPORT_TIMEOUT_MS}"
)
