"""Started, stopped, killed, started again: nothing that was committed is lost."""

import os
import signal

import asyncpg
import pytest

from serai.kernel.embedded import EmbeddedError, server
from tests.integration.embedded.ground import (
    QUERY_TIMEOUT_S,
    Make,
    ask,
    begin_busy_backend,
    is_alive,
    kill_postmaster,
    socket_dir_of,
)


async def test_rows_are_there_after_stop_and_start(make_new: Make) -> None:
    first = make_new()
    first.start()
    await ask(first.owner_url(), "CREATE TABLE kept AS SELECT 41 + 1 AS answer", "SELECT 1")
    first.stop()
    assert not first.is_running()
    assert first.pid is None

    second = make_new()
    second.start()
    assert second.is_owned
    assert await ask(second.owner_url(), "SELECT answer FROM kept") == 42
    second.stop()
    assert not second.is_running()


async def test_a_server_stopped_leaves_no_socket_folder(make: Make) -> None:
    postgres = make()
    postgres.start()
    sockets = socket_dir_of(postgres)
    assert sockets.is_dir()
    postgres.stop()
    assert not sockets.exists()


async def test_committed_rows_survive_the_kill_of_the_server(make: Make) -> None:
    postgres = make(durable=True)
    postgres.start()
    connection = await asyncpg.connect(postgres.owner_url(), timeout=QUERY_TIMEOUT_S)
    await connection.execute("CREATE TABLE orders (id int PRIMARY KEY)")
    await connection.execute("INSERT INTO orders SELECT generate_series(1, 1000)")
    await connection.execute("BEGIN; INSERT INTO orders VALUES (1001)")

    killed = kill_postmaster(postgres)
    postgres.start()

    assert postgres.pid not in {None, killed}
    count = "SELECT count(*)::text || ' up to ' || max(id) FROM orders"
    assert await ask(postgres.owner_url(), count) == "1000 up to 1000"
    connection.terminate()
    postgres.stop()


async def test_start_waits_for_the_backends_of_a_killed_server(make: Make) -> None:
    postgres = make()
    postgres.start()
    busy = await begin_busy_backend(postgres, seconds=1.5)
    kill_postmaster(postgres)
    assert is_alive(busy)
    postgres.start()
    assert not is_alive(busy)
    assert await ask(postgres.app_url(), "SELECT 1") == 1


async def test_start_names_the_backends_that_do_not_end(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "ORPHANS_TIMEOUT_S", 0.3)
    postgres = make()
    postgres.start()
    busy = await begin_busy_backend(postgres, seconds=8)
    kill_postmaster(postgres)
    with pytest.raises(EmbeddedError, match=rf"at work \({busy}\)\. End them with kill"):
        postgres.start()
    assert not postgres.is_running()

    os.kill(busy, signal.SIGTERM)
    postgres.start()
    assert await ask(postgres.app_url(), "SELECT 1") == 1
