"""The database and the two roles that Serai works with, made over one short-lived connection.

`serai_owner` owns the tables and migrates them; `serai_app` works in them, walled by row-level
security. Neither may become more than that, so their rights are put right at every start.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeAlias

import asyncpg

from serai.kernel.embedded.account import EmbeddedError

if TYPE_CHECKING:  # generic in the stubs only
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record]

DATABASE: Final = "serai"
OWNER_ROLE: Final = "serai_owner"
APP_ROLE: Final = "serai_app"
QUERY_TIMEOUT_S: Final = 15

_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")  # PostgreSQL cuts a name after 63 bytes
_RIGHTS: Final = "LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION"
_GONE: Final = (  # not there, not any more, or just going
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InterfaceError,
)
_SEE: Final = "Its log, log/postgres.log in the data folder, says more."


class Unreachable(EmbeddedError):
    """The server may be in the midst of ending: look again whether it is still there."""


def in_session(url: str, work: "Callable[[Connection], Awaitable[None]]") -> None:
    """Does `work` on a connection of its own, in a thread: the caller may sit in a running loop."""

    async def session() -> None:
        connection = await asyncpg.connect(
            url, timeout=QUERY_TIMEOUT_S, command_timeout=QUERY_TIMEOUT_S
        )
        try:
            await work(connection)
        finally:
            await connection.close(timeout=QUERY_TIMEOUT_S)

    try:
        with ThreadPoolExecutor(max_workers=1) as thread:
            thread.submit(asyncio.run, session()).result()
    except _GONE as failure:
        raise Unreachable(f"PostgreSQL runs, but does not answer: {failure!r}. {_SEE}") from failure
    except asyncpg.PostgresError as failure:
        raise EmbeddedError(f"PostgreSQL refused what it was asked: {failure}. {_SEE}") from failure


async def furnish(connection: "Connection") -> None:
    """Sees to it that both roles and the database exist, with their rights and no others."""
    for role in (OWNER_ROLE, APP_ROLE):
        await _ensure_role(connection, role)
    # Figures about statements and sessions are for the one who tunes them; rows are not in there.
    if not await connection.fetchval("SELECT pg_has_role($1, 'pg_monitor', 'USAGE')", OWNER_ROLE):
        await connection.execute(f"GRANT pg_monitor TO {OWNER_ROLE}")
    await ensure_database(connection, DATABASE)


async def _ensure_role(connection: "Connection", role: str) -> None:
    is_right = await connection.fetchval(
        """SELECT rolcanlogin AND NOT (rolsuper OR rolbypassrls OR rolcreatedb OR rolcreaterole
                                       OR rolreplication)
             FROM pg_roles WHERE rolname = $1""",
        role,
    )
    if is_right is None:
        await connection.execute(f"CREATE ROLE {role} {_RIGHTS}")
    elif not is_right:
        await connection.execute(f"ALTER ROLE {role} {_RIGHTS}")


async def ensure_database(
    connection: "Connection", name: str, *, template: str | None = None
) -> None:
    """Makes the database, a copy of `template` if given, and lets in only its owner and the app.

    A copy is made by file: for the small databases that tests clone, that is the quicker way.
    """
    for word in (name, template or name):
        if not _NAME.fullmatch(word):
            raise EmbeddedError(f"{word!r} is no name for a database: use a-z, 0-9 and _ (63).")
    is_open_to_all = await connection.fetchval(
        "SELECT datacl IS NULL FROM pg_database WHERE datname = $1", name
    )
    if is_open_to_all is None:
        copy = f" TEMPLATE {template} STRATEGY file_copy" if template else ""
        # Two processes may want the same one at the same moment: then the other has made it.
        with suppress(asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
            await connection.execute(f"CREATE DATABASE {name} OWNER {OWNER_ROLE}{copy}")
    if is_open_to_all is not False:
        await connection.execute(
            f"REVOKE ALL ON DATABASE {name} FROM PUBLIC;"
            f"GRANT CONNECT, TEMPORARY ON DATABASE {name} TO {APP_ROLE}"
        )


async def add_statement_statistics(connection: "Connection") -> None:
    """Makes `pg_stat_statements` readable in this database, where the server has brought it."""
    is_missing = await connection.fetchval(
        """SELECT installed_version IS NULL FROM pg_available_extensions
            WHERE name = 'pg_stat_statements'"""
    )
    if is_missing:
        await connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements SCHEMA public")


async def close_settings(connection: "Connection") -> None:
    """Takes `set_config` from the walled role in this database (ADR 0021).

    The wall between tenants is a setting. A statement into which someone has smuggled SQL of his
    own can call functions, and this is the one that changes settings; the statement SET stays.
    """
    is_open = await connection.fetchval(
        "SELECT has_function_privilege($1, "
        "'pg_catalog.set_config(text, text, boolean)', 'EXECUTE')",
        APP_ROLE,
    )
    if is_open:
        await connection.execute(
            "REVOKE EXECUTE ON FUNCTION pg_catalog.set_config(text, text, boolean) FROM PUBLIC;"
            "GRANT EXECUTE ON FUNCTION pg_catalog.set_config(text, text, boolean) "
            f"TO {OWNER_ROLE}"
        )
