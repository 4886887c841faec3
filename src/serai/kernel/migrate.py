"""Migrations: forward only, each safe to run twice, under an advisory lock and with timeouts.

`0001_pre_….sql` runs before the new code is started, `0002_post_….sql` after the old code is gone.
A file marked `-- concurrently` runs outside a transaction, statement by statement.
"""

import asyncio
import contextlib
import hashlib
import re
import time
import zlib
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from importlib.resources import files

import asyncpg
import msgspec

from serai.kernel.db import Tx
from serai.kernel.pool import APP_ROLE
from serai.kernel.queries import render
from serai.kernel.tenant import POOLED, Home

LOCK_TIMEOUT_MS = 4_000
STATEMENT_TIMEOUT_MS = 5_000
ADVISORY_LOCK = 0x5E8A1
ADVISORY_WAIT_MS = 60_000
ADVISORY_POLL_S = 0.1
_NAME = re.compile(r"^\d{4}_(pre|post)_[a-z0-9_]+\.sql$")
_TIMEOUT = re.compile(r"^-- statement_timeout: (\d+)s because .+$", re.MULTILINE)


class MigrationFailed(Exception):
    """A migration could not be applied; the message names the file, what failed and what to do."""


class Migration(msgspec.Struct, frozen=True):
    """One file of one context."""

    context: str
    name: str
    text: str

    @property
    def is_post(self) -> bool:
        return "_post_" in self.name

    @property
    def is_concurrent(self) -> bool:
        """Whether its statements run one by one, outside a transaction."""
        return self.text.startswith("-- concurrently\n")

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


class Status(msgspec.Struct, frozen=True):
    """Whether a migration has been applied to a home, and whether it still is what was applied."""

    context: str
    name: str
    state: str
    applied_at: str | None


def find_migrations(packages: Sequence[str]) -> list[Migration]:
    """The migrations of the kernel and the given contexts' packages, in the order they run."""
    found: list[Migration] = []
    for package in packages:
        folder = files(package).joinpath("migrations")
        if not folder.is_dir():
            continue
        context = package.rsplit(".", 1)[-1]
        for file in sorted(folder.iterdir(), key=lambda f: f.name):
            if not file.name.endswith(".sql"):
                continue
            if not _NAME.match(file.name):
                raise MigrationFailed(f"{package}/migrations/{file.name}: not a migration's name")
            found.append(Migration(context, file.name, file.read_text("utf-8")))
    return found


def split_statements(text: str) -> list[str]:
    """The statements of a file whose statements run one by one; each ends with its line."""
    return [piece for piece in (part.strip() for part in text.split(";\n")) if piece]


async def apply(
    url: str, home: Home, migrations: Sequence[Migration], *, phase: str = "all"
) -> list[Migration]:
    """Applies what is missing, as the owner of the schemas; returns what was applied."""
    connection = await asyncpg.connect(url, timeout=10)
    try:
        await _take_turn(connection, home)
        await _ensure_ledger(connection, home)
        applied = dict(await _applied(connection, home))
        done: list[Migration] = []
        for migration in migrations:
            if phase != "all" and migration.is_post != (phase == "post"):
                continue
            row = applied.get((migration.context, migration.name))
            if row is None:
                await _apply_one(connection, home, migration)
                done.append(migration)
            elif row["checksum"] != migration.checksum:
                raise MigrationFailed(
                    f"{migration.context}/{migration.name} was changed after it was applied; "
                    "put its text back and write the change as a new migration"
                )
        return done
    finally:
        await connection.close()


async def status(url: str, home: Home, migrations: Sequence[Migration]) -> list[Status]:
    """Each migration with its state: applied, missing or changed."""
    connection = await asyncpg.connect(url, timeout=10)
    try:
        ledger = render("{kernel}.migrations", home.prefix)
        exists = await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", ledger)
        applied = dict(await _applied(connection, home)) if exists else {}
    finally:
        await connection.close()
    result = []
    for migration in migrations:
        row = applied.get((migration.context, migration.name))
        if row is None:
            state = "missing"
        else:
            state = "applied" if row["checksum"] == migration.checksum else "changed"
        at = None if row is None else row["applied_at"].isoformat()
        result.append(Status(migration.context, migration.name, state, at))
    return result


@contextlib.asynccontextmanager
async def look_as_owner(url: str) -> AsyncIterator[Tx]:
    """A read-only transaction in the pooled home as the owner, whom the walls bind as well."""
    connection = await asyncpg.connect(url, timeout=10)
    try:
        async with connection.transaction(readonly=True):
            await connection.execute("SET LOCAL serai.transport = 'on'")
            yield Tx(connection, POOLED, datetime.now(UTC))
    finally:
        await connection.close()


async def create_database(url: str, name: str) -> None:
    """Sees to it that a database exists on the server of `url`, closed to all but our two roles."""
    connection = await asyncpg.connect(url, timeout=10)
    quoted = '"' + name.replace('"', '""') + '"'
    try:
        if await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
            return
        with contextlib.suppress(asyncpg.DuplicateDatabaseError):
            await connection.execute(f"CREATE DATABASE {quoted}")
        await connection.execute(
            f"REVOKE ALL ON DATABASE {quoted} FROM PUBLIC;"
            f"GRANT CONNECT, TEMPORARY ON DATABASE {quoted} TO {APP_ROLE}"
        )
    except asyncpg.InsufficientPrivilegeError as error:
        raise MigrationFailed(
            f"this role may not create the database {name}: have an administrator run CREATE "
            f"DATABASE {quoted} and hand it to it, then try again"
        ) from error
    finally:
        await connection.close()


async def _take_turn(connection: asyncpg.Connection, home: Home) -> None:
    """Waits until nobody else migrates this home; other homes go on beside it.

    It asks again and again: who waits inside a statement holds a snapshot, for which an index that
    is made concurrently would wait in turn.
    """
    deadline = time.monotonic() + ADVISORY_WAIT_MS / 1000
    mark = zlib.crc32(home.prefix.encode()) - 2**31 if home.prefix else 0
    while not await connection.fetchval("SELECT pg_try_advisory_lock($1, $2)", ADVISORY_LOCK, mark):
        if time.monotonic() > deadline:
            raise MigrationFailed(f"somebody else has been migrating the home {home.name} for long")
        await asyncio.sleep(ADVISORY_POLL_S)


async def _ensure_ledger(connection: asyncpg.Connection, home: Home) -> None:
    exists = await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", APP_ROLE)
    if not exists:
        try:
            # Who made it is let in, so that one URL is enough: sessions of ours take the role on.
            await connection.execute(
                f"CREATE ROLE {APP_ROLE} NOLOGIN NOSUPERUSER NOBYPASSRLS;"
                f"GRANT {APP_ROLE} TO CURRENT_USER"
            )
        except asyncpg.InsufficientPrivilegeError as error:
            raise MigrationFailed(
                f"the role {APP_ROLE} is missing and this one may not create it: have an "
                f"administrator run CREATE ROLE {APP_ROLE} LOGIN, then `serai migrate up` again"
            ) from error
    # Only a superuser may take it away: on a server of others their administrator does (ADR 0021).
    if await connection.fetchval(
        "SELECT rolsuper AND has_function_privilege($1, "
        "'pg_catalog.set_config(text, text, boolean)', 'EXECUTE') "
        "FROM pg_roles WHERE rolname = current_user",
        APP_ROLE,
    ):
        await connection.execute(
            "REVOKE EXECUTE ON FUNCTION pg_catalog.set_config(text, text, boolean) FROM PUBLIC"
        )
    await connection.execute(
        render(
            "CREATE SCHEMA IF NOT EXISTS {kernel};"
            "CREATE TABLE IF NOT EXISTS {kernel}.migrations (context text NOT NULL,"
            " name text NOT NULL, checksum text NOT NULL,"
            " applied_at timestamptz NOT NULL DEFAULT now(),"
            " PRIMARY KEY (context, name));"
            # Every process asks whether its migrations are there before it says that it is ready.
            f"GRANT USAGE ON SCHEMA {{kernel}} TO {APP_ROLE};"
            f"GRANT SELECT ON {{kernel}}.migrations TO {APP_ROLE}",
            home.prefix,
        )
    )


async def _applied(
    connection: asyncpg.Connection, home: Home
) -> list[tuple[tuple[str, str], asyncpg.Record]]:
    rows = await connection.fetch(render("SELECT * FROM {kernel}.migrations", home.prefix))
    return [((row["context"], row["name"]), row) for row in rows]


async def _apply_one(connection: asyncpg.Connection, home: Home, migration: Migration) -> None:
    text = render(migration.text, home.prefix)
    longer = _TIMEOUT.search(migration.text)
    statement_ms = int(longer.group(1)) * 1000 if longer else STATEMENT_TIMEOUT_MS
    await connection.execute(
        f"SET lock_timeout = {LOCK_TIMEOUT_MS}; SET statement_timeout = {statement_ms}"
    )
    note = render(
        "INSERT INTO {kernel}.migrations (context, name, checksum) VALUES ($1, $2, $3)", home.prefix
    )
    try:
        if migration.is_concurrent:
            for statement in split_statements(text):
                await connection.execute(statement)
            await connection.execute(note, migration.context, migration.name, migration.checksum)
        else:
            async with connection.transaction():
                await connection.execute(text)
                await connection.execute(
                    note, migration.context, migration.name, migration.checksum
                )
    except (asyncpg.LockNotAvailableError, asyncpg.QueryCanceledError) as error:
        raise MigrationFailed(
            f"{migration.context}/{migration.name} waited too long for a lock or ran too long; "
            "nothing was changed: run `serai migrate up` again when the database is quieter"
        ) from error
    except asyncpg.PostgresError as error:
        raise MigrationFailed(f"{migration.context}/{migration.name}: {error}") from error
