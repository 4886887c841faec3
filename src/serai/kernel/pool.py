"""The connections of this process to one database, as the walled role; it begins nothing."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import asyncpg

from serai.kernel import queries
from serai.kernel.failure import Unavailable

CONNECT_TIMEOUT_S: Final = 10.0
ACQUIRE_TIMEOUT_S: Final = 5.0
AWAY_S: Final = 0.1
"""How long nobody knocks again where a server was found away: each knock costs it a process."""
REFUSED_S: Final = 1.0
"""The same for the database of a home that does not let us in: a person has to mend that."""
STATEMENT_TIMEOUT_MS: Final = 10_000
LOCK_TIMEOUT_MS: Final = 5_000
REPORT_TIMEOUT_MS: Final = 60_000
IDLE_IN_TRANSACTION_TIMEOUT_MS: Final = 3_000
"""A process that was paused inside a transaction loses it, and its locks, after this long."""
STATEMENTS_CACHED_MAX: Final = 512
SESSION_LIFE_S: Final = 120.0
"""How long a session of a pool lives at most before it is made anew, between two transactions: else
it would remember every schema and statement that it has ever met."""
CLOSE_TIMEOUT_S: Final = 1.0
APP_ROLE: Final = "serai_app"

# Its own, so that a session that is opened somewhere moves no one else's dice.
_chance: Final = random.Random()  # noqa: S311 - guards nothing

OUTAGES: Final = (
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
_REFUSALS = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError, LookupError)
_SQL = queries.load("serai.kernel")


async def prepare_connection(connection: Any) -> None:
    """Makes JSON travel on a session as ours expect it."""
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


class WalledConnection(asyncpg.Connection):
    """A connection of a role that may not call `set_config` (ADR 0021).

    The driver calls it around its look at a new type, to switch off the JIT compiler; our sessions
    have that off from their start, so it is told that the server has none.
    """

    __slots__ = ("ends_at",)

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        # Those that were opened at once are not to end at once.
        life_s = SESSION_LIFE_S * _chance.uniform(0.75, 1)
        self.ends_at = asyncio.get_running_loop().time() + life_s
        capabilities: Any = self.__getattribute__("_server_caps")
        self._server_caps: Any = capabilities._replace(jit=False)


class Pool:
    """A bounded pool; one that is `lazy` opens when it is first asked, and finds its URL then."""

    def __init__(
        self, find_url: Callable[[], str], *, size_max: int, idle_s: float = 0.0, is_lazy: bool
    ) -> None:
        self._find_url = find_url
        self._size_max = size_max
        self._idle_s = idle_s
        self._is_lazy = is_lazy
        self._opening = asyncio.Lock()
        self._away_until = 0.0
        self._reason = "the server was away a moment ago"
        self.connections: Any = None
        """asyncpg's pool while this one is open."""
        self.used_at = 0.0

    async def open(self) -> None:
        """Connects; refuses to run as a role that row-level security does not bind."""
        self.connections = await asyncpg.create_pool(
            await asyncio.to_thread(self._find_url),
            min_size=0,  # else the pool itself knocks at a server that is away, with tracebacks
            max_size=self._size_max,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=REPORT_TIMEOUT_MS / 1000 + 5,
            statement_cache_size=STATEMENTS_CACHED_MAX,
            max_cached_statement_lifetime=0,
            max_inactive_connection_lifetime=self._idle_s,
            connection_class=WalledConnection,
            init=prepare_connection,
            reset=_keep_as_is,
            server_settings=session_settings(),
        )
        async with self.connections.acquire() as connection:
            is_unbound = await connection.fetchval(_SQL.tell_unbound.text(""))
        if is_unbound is not False:
            await self._drop()
            raise Unavailable(
                "this database role bypasses row-level security; run `serai migrate up` with the "
                f"owner's URL, and give the application the URL of the role {APP_ROLE}"
            )

    async def close(self) -> None:
        """Closes every connection for good; waits for those in use, with a bound."""
        self._is_lazy = False
        await self._drop()

    async def _drop(self) -> None:
        if self.connections is not None:
            pool, self.connections = self.connections, None
            try:
                await asyncio.wait_for(pool.close(), timeout=5)
            except TimeoutError:
                pool.terminate()

    @property
    def is_idle(self) -> bool:
        """Whether no connection of it is in use or being made."""
        pool = self.connections
        return not self._opening.locked() and (
            pool is None or pool.get_size() == pool.get_idle_size()
        )

    async def acquire(self) -> Any:
        """A connection; Unavailable where there is none in time."""
        pool = self.connections
        now = asyncio.get_running_loop().time()
        if now < self._away_until:
            raise Unavailable(f"no database connection: {self._reason}")
        if pool is None:
            pool = await self._open_late()
        self.used_at = now
        try:
            return await pool.acquire(timeout=ACQUIRE_TIMEOUT_S)
        except OUTAGES as error:
            # That every connection is in use is a TimeoutError, and no reason to stay away.
            if isinstance(error, _AWAY) and not isinstance(error, TimeoutError):
                self._away_until = asyncio.get_running_loop().time() + AWAY_S
            raise Unavailable(f"no database connection: {type(error).__name__}") from error

    async def give_back(self, connection: Any, *, is_clean: bool) -> None:
        """Takes a connection back; one that may be inside a transaction is rolled back or cut."""
        pool = self.connections
        if not is_clean:
            try:
                await asyncio.wait_for(asyncio.shield(connection.execute("ROLLBACK")), timeout=2)
            except (*OUTAGES, asyncpg.PostgresError, asyncio.CancelledError):
                # What cannot be rolled back is cut: the server undoes it when the socket closes.
                # A connection that was lost has left the pool already, and says so.
                with contextlib.suppress(asyncpg.InterfaceError):
                    connection.terminate()
        elif asyncio.get_running_loop().time() >= connection.ends_at:
            with contextlib.suppress(*OUTAGES, asyncpg.PostgresError):
                await connection.close(timeout=CLOSE_TIMEOUT_S)
        if pool is not None:
            with contextlib.suppress(*OUTAGES, asyncpg.PostgresError):
                await pool.release(connection)

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[Any]:
        """A connection of its own outside the pool, closed at the end of the block."""
        connection = None
        try:
            url = await asyncio.to_thread(self._find_url)
            connection = await asyncpg.connect(
                url,
                timeout=CONNECT_TIMEOUT_S,
                connection_class=WalledConnection,
                server_settings=session_settings(),
            )
            yield connection
        except OUTAGES as error:
            raise Unavailable(f"no database connection: {type(error).__name__}") from error
        except (asyncpg.InvalidCatalogNameError, LookupError) as error:
            raise Unavailable(f"there is no such database: {type(error).__name__}") from error
        finally:
            if connection is not None:
                connection.terminate()

    async def _open_late(self) -> Any:
        """Opens a lazy pool, once for all who wait; Unavailable where it does not let us in."""
        if not self._is_lazy:
            raise Unavailable("the database is closed")
        async with self._opening:
            if self.connections is None:
                try:
                    await self.open()
                except (*_REFUSALS, Unavailable) as error:
                    await self._drop()
                    self._away_until = asyncio.get_running_loop().time() + REFUSED_S
                    # An address holds a secret, and so may what the driver says of it.
                    self._reason = f"a home's database does not let us in ({type(error).__name__})"
                    raise Unavailable(f"no database connection: {self._reason}") from error
            return self.connections


async def count_sessions(connection: Any) -> int:
    """The sessions of the walled role on a server, for one who may see them all."""
    count: int = await connection.fetchval(_SQL.count_sessions.text(""), APP_ROLE)
    return count


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
