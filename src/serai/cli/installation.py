"""Where an installation is: the file by which commands find a running one, and its database."""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from serai.kernel.embedded import EmbeddedPostgres, find_binaries, reachable_data_dir
from serai.kernel.failure import Unavailable
from serai.kernel.tenant import MAIN
from serai.roles.connection import Databases, app_url, databases_at
from serai.settings import Settings

RUNTIME_FILE: Final = "runtime.json"
LOCK_FILE: Final = "run.lock"
POSTGRES_FOLDER: Final = "postgres"
MODE: Final = 0o600


class Runtime(msgspec.Struct, frozen=True):
    """A running installation. The database's URLs may hold a password: the file is its owner's."""

    pid: int
    started_at: datetime
    api_url: str
    worker_url: str
    owner_url: str
    app_url: str
    api_pid: int | None = None
    worker_pid: int | None = None
    postgres_pid: int | None = None
    sandbox_url: str | None = None
    sandbox_pid: int | None = None


class Urls(msgspec.Struct, frozen=True):
    """A database as the owner of the schemas sees it, and as the walled role."""

    owner_url: str
    app_url: str


def read_runtime(data_path: Path) -> Runtime | None:
    """The installation that runs on this data folder now; what a dead one left is not told."""
    try:
        raw = (data_path / RUNTIME_FILE).read_bytes()
        runtime = msgspec.json.decode(raw, type=Runtime)
    except (FileNotFoundError, NotADirectoryError, msgspec.MsgspecError):
        return None
    return runtime if _is_locked(data_path / LOCK_FILE) else None


def write_runtime(data_path: Path, runtime: Runtime) -> None:
    """Says where we are; in one step, so that nobody reads half of it."""
    new = data_path / f"{RUNTIME_FILE}.new"
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, MODE), "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(runtime), indent=2))
    new.replace(data_path / RUNTIME_FILE)


def remove_runtime(data_path: Path) -> None:
    """We are gone."""
    (data_path / RUNTIME_FILE).unlink(missing_ok=True)


@contextlib.contextmanager
def sole_run(data_path: Path) -> Iterator[bool]:
    """Keeps a second `serai run` off this data folder; yields whether a dead one left its file."""
    try:
        data_path.mkdir(parents=True, exist_ok=True)
        handle = os.open(data_path / LOCK_FILE, os.O_CREAT | os.O_RDWR, MODE)
    except OSError as error:
        raise Unavailable(
            f"the data folder {data_path} cannot be used: {error.strerror}. Choose another one "
            "(--data-dir or SERAI_DATA_DIR)"
        ) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as busy:
            runtime = read_runtime(data_path)
            where = f" as process {runtime.pid} ({runtime.api_url})" if runtime else ""
            raise Unavailable(
                f"`serai run` runs on {data_path} already{where}: stop that, or choose another "
                "data folder (--data-dir) and other ports (--port, --worker-port)"
            ) from busy
        yield (data_path / RUNTIME_FILE).exists()
    finally:
        os.close(handle)


def embedded_postgres(settings: Settings) -> EmbeddedPostgres:
    """The embedded server of this data folder; not started."""
    binaries = find_binaries(Path(settings.postgres_bin)) if settings.postgres_bin else None
    folder = reachable_data_dir(settings.data_path / POSTGRES_FOLDER)
    return EmbeddedPostgres(folder, binaries=binaries)


@contextlib.asynccontextmanager
async def reach_database(settings: Settings, *, may_create: bool = False) -> AsyncIterator[Urls]:
    """The main database: as `reach_databases` finds it."""
    async with reach_databases(settings, may_create=may_create) as databases:
        yield Urls(databases.owner.url_of(MAIN), databases.app.url_of(MAIN))


@contextlib.asynccontextmanager
async def reach_databases(
    settings: Settings, *, may_create: bool = False
) -> AsyncIterator[Databases]:
    """The databases that are named, else the embedded ones, started for as long as needed."""
    if settings.database_url or settings.database_app_url:
        walled = app_url(settings)
        yield databases_at(settings.database_url or walled, walled, settings.databases)
        return
    postgres = await asyncio.to_thread(embedded_postgres, settings)
    if not may_create and not (postgres.data_dir / "PG_VERSION").exists():
        raise Unavailable(
            f"there is no installation in {settings.data_path}: start one with `serai run`, name "
            "its data folder (SERAI_DATA_DIR), or name a database (SERAI_DATABASE_URL)"
        )
    await asyncio.to_thread(postgres.start)
    try:
        yield databases_at(
            postgres.owner_url(), postgres.app_url(), settings.databases, postgres.create_database
        )
    finally:
        await asyncio.to_thread(postgres.stop)


def _is_locked(path: Path) -> bool:
    try:
        handle = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(handle)
