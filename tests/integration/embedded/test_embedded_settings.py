"""Settings, the socket and TCP: who comes in, and what he finds."""

import os
import socket

import asyncpg
import pytest

from serai.kernel.embedded import EmbeddedError, EmbeddedPostgres
from tests.integration.embedded.ground import Make, ask, server_user, socket_dir_of


async def test_a_durable_server_is_durable(running: EmbeddedPostgres) -> None:
    wanted = {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "data_checksums": "on",
        "max_connections": "100",
        "shared_buffers": "256MB",
        "max_wal_size": "2GB",
        "checkpoint_timeout": "15min",
        "jit": "off",
        "TimeZone": "UTC",
        "server_encoding": "UTF8",
        "listen_addresses": "",
    }
    for name, value in wanted.items():
        assert (name, await ask(running.app_url(), f"SHOW {name}")) == (name, value)


async def test_capitals_with_accents_are_known(running: EmbeddedPostgres) -> None:
    assert await ask(running.app_url(), "SELECT lower('CAFÉ ÅNGSTRÖM')") == "café ångström"


async def test_a_setting_of_ones_own_stands_above_ours(make: Make) -> None:
    postgres = make(settings={"max_connections": "37", "search_path": 'it\'s, "b\\c"'})
    postgres.start()
    assert await ask(postgres.app_url(), "SHOW max_connections") == "37"
    assert await ask(postgres.app_url(), "SHOW search_path") == 'it\'s, "b\\c"'


async def test_alter_system_stands_above_ours(make: Make) -> None:
    postgres = make()
    postgres.start()
    await ask(postgres.admin_url(), "ALTER SYSTEM SET max_connections = 41", "SELECT 1")
    postgres.stop()
    postgres.start()
    assert await ask(postgres.app_url(), "SHOW max_connections") == "41"
    await ask(postgres.admin_url(), "ALTER SYSTEM RESET ALL", "SELECT 1")


def test_only_the_servers_user_can_enter_the_socket_folder(running: EmbeddedPostgres) -> None:
    place = socket_dir_of(running)
    assert place.stat().st_mode & 0o777 == 0o700
    assert place.stat().st_uid == server_user(running)
    assert len(str(place / ".s.PGSQL.5432")) < 104


def test_a_socket_folder_that_others_can_enter_is_refused(make: Make) -> None:
    postgres = make()
    postgres.start()
    place, uid = socket_dir_of(postgres), server_user(postgres)
    postgres.stop()
    place.mkdir()
    place.chmod(0o777)
    os.chown(place, uid, -1)
    with pytest.raises(EmbeddedError, match=rf"{place} exists and is not a folder that only"):
        postgres.start()
    place.rmdir()


async def test_over_tcp_nobody_comes_in_without_a_password(make: Make) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    postgres = make(port=port)
    postgres.start()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await ask(f"postgresql://postgres:guess@127.0.0.1:{port}/serai?sslmode=disable", "SELECT 1")
    await ask(postgres.admin_url(), "ALTER ROLE serai_app PASSWORD 'right'", "SELECT 1")
    url = f"postgresql://serai_app:right@127.0.0.1:{port}/serai?sslmode=disable"
    assert await ask(url, "SELECT current_user") == "serai_app"
