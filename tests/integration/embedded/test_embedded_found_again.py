"""What an earlier start has left behind is used or cleared away, whatever it is."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

from serai.kernel.embedded import EmbeddedPostgres
from tests.integration.embedded.ground import Make, ask, pid_of, server_user


async def test_a_running_server_is_attached_to_and_not_stopped(make: Make) -> None:
    first, second = make(), make()
    first.start()
    second.start()
    assert not second.is_owned
    assert second.pid == first.pid
    assert second.app_url() == first.app_url()
    second.stop()
    assert first.is_running()
    assert await ask(second.app_url(), "SELECT 1") == 1


async def test_an_adopted_server_is_stopped(make: Make) -> None:
    first, second = make(), make()
    first.start()
    pid = first.pid
    second.start(adopt=True)
    assert second.is_owned
    assert second.pid == pid
    second.stop()
    assert not first.is_running()


def test_the_server_outlives_a_process_that_is_killed(make: Make) -> None:
    postgres = make()
    program = f"""
        import os, pathlib, signal
        from serai.kernel.embedded import EmbeddedPostgres
        EmbeddedPostgres(pathlib.Path({str(postgres.data_dir)!r}), durable=False).start()
        os.killpg(os.getpid(), signal.SIGKILL)
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        check=False,
        timeout=30,
        start_new_session=True,
    )
    assert ended.returncode == -signal.SIGKILL
    pid = pid_of(postgres)
    postgres.start(adopt=True)
    assert postgres.pid == pid


async def test_of_two_that_start_at_once_one_starts_it(make_new: Make) -> None:
    pair = [make_new(), make_new()]
    with ThreadPoolExecutor(max_workers=2) as threads:
        list(threads.map(EmbeddedPostgres.start, pair))
    assert sorted(postgres.is_owned for postgres in pair) == [False, True]
    assert pair[0].pid == pair[1].pid


def test_a_pid_file_with_the_number_of_another_program_does_not_stop_a_start(make: Make) -> None:
    postgres = make()
    postgres.start()
    content = (postgres.data_dir / "postmaster.pid").read_text()
    postgres.stop()
    # Of the server's own user: PostgreSQL would take it for a server and refuse.
    user = server_user(postgres) if os.geteuid() == 0 else None
    with subprocess.Popen(["/bin/sleep", "60"], user=user) as other:
        stale = content.replace(content.split("\n")[0], str(other.pid), 1)
        (postgres.data_dir / "postmaster.pid").write_text(stale)
        assert not postgres.is_running()
        postgres.start()
        assert postgres.pid not in {None, other.pid}
        assert other.poll() is None
        other.kill()
    assert asyncio.run(ask(postgres.app_url(), "SELECT 1")) == 1


async def test_a_pid_file_that_a_power_cut_emptied_does_not_stop_a_start(make: Make) -> None:
    postgres = make()
    postgres.start()
    postgres.stop()
    (postgres.data_dir / "postmaster.pid").write_text("")
    postgres.start()
    assert await ask(postgres.app_url(), "SELECT 1") == 1


async def test_a_killed_initdb_is_begun_again(make_new: Make) -> None:
    postgres = make_new()
    half = postgres.data_dir / "initdb.partial"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    postgres.start()
    assert await ask(postgres.app_url(), "SELECT 1") == 1
    assert not half.exists()


async def test_a_new_database_that_was_half_moved_into_place_is_moved_on(make: Make) -> None:
    postgres = make()
    postgres.start()
    await ask(postgres.owner_url(), "CREATE TABLE moved AS SELECT 7 AS n", "SELECT 1")
    postgres.stop()
    whole = postgres.data_dir / "initdb.whole"
    whole.mkdir()
    for name in ("PG_VERSION", "global", "pg_wal", "postgresql.conf"):
        (postgres.data_dir / name).rename(whole / name)
    postgres.start()
    assert await ask(postgres.owner_url(), "SELECT n FROM moved") == 7
    assert not whole.exists()


async def test_the_log_is_put_aside_when_it_has_grown(make: Make) -> None:
    postgres = make()
    postgres.start()
    postgres.stop()
    log = postgres.data_dir / "log" / "postgres.log"
    os.truncate(log, 32 * 1024 * 1024 + 1)
    postgres.start()
    assert log.with_name("postgres.log.1").stat().st_size == 32 * 1024 * 1024 + 1
    assert log.stat().st_size < 100_000
