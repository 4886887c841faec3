"""What the tests of the embedded server share: where one may run, and what to ask it."""

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import asyncpg
import psutil
import pytest

from serai.kernel.embedded import EmbeddedPostgres
from serai.kernel.pool import WalledConnection

QUERY_TIMEOUT_S = 10

Make = Callable[..., EmbeddedPostgres]

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root hands over to another user")


@contextmanager
def folder() -> Iterator[Path]:
    """A folder that the server's user can get to; pytest's own are closed to all but root."""
    place = Path(tempfile.mkdtemp(prefix="serai-test-", dir="/tmp"))
    place.chmod(0o755)
    try:
        yield place
    finally:
        shutil.rmtree(place)


@contextmanager
def made_in(place: Path) -> Iterator[Make]:
    """Makes servers in `place/pg`, and stops at the end what still runs there."""

    def build(**options: Any) -> EmbeddedPostgres:
        return EmbeddedPostgres(place / "pg", **{"durable": False, **options})

    yield build
    last = build()
    if last.is_running():
        last.start(adopt=True)
        last.stop("immediate")


async def ask(url: str, *statements: str) -> Any:
    """Runs the statements one by one; the first value of the last is the answer."""
    connection = await asyncpg.connect(
        url, timeout=QUERY_TIMEOUT_S, connection_class=WalledConnection
    )
    try:
        for statement in statements[:-1]:
            await connection.execute(statement)
        return await connection.fetchval(statements[-1])
    finally:
        await connection.close()


def pid_of(postgres: EmbeddedPostgres) -> int:
    assert postgres.pid is not None
    return postgres.pid


def is_alive(pid: int) -> bool:
    """A killed process keeps its number until its parent asks for it, but it is dead."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def kill_postmaster(postgres: EmbeddedPostgres) -> int:
    pid = pid_of(postgres)
    os.kill(pid, signal.SIGKILL)
    return pid


def socket_dir_of(postgres: EmbeddedPostgres) -> Path:
    return Path(unquote(postgres.admin_url().split("host=")[1].split("&")[0]))


def server_user(postgres: EmbeddedPostgres) -> int:
    return postgres.data_dir.stat().st_uid


async def begin_busy_backend(postgres: EmbeddedPostgres, *, seconds: float) -> int:
    """The pid of a backend that counts, and does not look up when its server dies."""
    connection = await asyncpg.connect(postgres.admin_url(), timeout=QUERY_TIMEOUT_S)
    pid: int = await connection.fetchval("SELECT pg_backend_pid()")
    loop = f"DO $$ BEGIN WHILE clock_timestamp() < now() + '{seconds} s' LOOP END LOOP; END $$"
    work = asyncio.ensure_future(connection.execute(loop))
    watch = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'DO $$%'"
    while await ask(postgres.admin_url(), watch) != 1:
        assert not work.done()
    connection.terminate()
    with pytest.raises(asyncpg.ConnectionDoesNotExistError):
        await work
    return pid
