"""What is refused is left as it was, and the message says what to do."""

import os
from pathlib import Path

import pytest

from serai.kernel.embedded import EmbeddedError, find_binaries
from tests.integration.embedded.ground import Make


def test_a_folder_of_another_major_version_is_refused_and_left_alone(
    make_new: Make, ground: Path
) -> None:
    (ground / "pg").mkdir()
    (ground / "pg" / "PG_VERSION").write_text("14\n")
    ours = find_binaries().major
    with pytest.raises(EmbeddedError, match=rf"PostgreSQL 14, and .* is PostgreSQL {ours}\."):
        make_new().start()
    assert [path.name for path in (ground / "pg").iterdir()] == ["PG_VERSION"]
    assert (ground / "pg" / "PG_VERSION").read_text() == "14\n"


def test_a_folder_with_something_else_in_it_is_refused_and_left_alone(
    make_new: Make, ground: Path
) -> None:
    (ground / "pg").mkdir(mode=0o755)
    (ground / "pg" / "holiday.jpg").write_text("beach")
    with pytest.raises(EmbeddedError, match=r"is not empty .*\(it holds holiday\.jpg\)"):
        make_new().start()
    assert [path.name for path in (ground / "pg").iterdir()] == ["holiday.jpg"]
    assert (ground / "pg").stat().st_uid == os.geteuid()
    assert (ground / "pg").stat().st_mode & 0o777 == 0o755


def test_a_file_in_place_of_the_folder_is_refused(make_new: Make, ground: Path) -> None:
    (ground / "pg").write_text("")
    with pytest.raises(EmbeddedError, match="cannot be made"):
        make_new().start()


def test_a_setting_that_postgresql_does_not_know_is_told_in_its_words(make: Make) -> None:
    with pytest.raises(EmbeddedError, match='unrecognized configuration parameter "speed"'):
        make(settings={"speed": "ludicrous"}).start()
    assert not make().is_running()


def test_a_server_that_forgets_is_refused_where_orders_must_last(make: Make) -> None:
    forgetful = make(durable=False)
    forgetful.start()
    with pytest.raises(EmbeddedError, match="fsync off"):
        make(durable=True).start()
    assert forgetful.is_running()


def test_a_running_server_without_the_port_is_refused(make: Make) -> None:
    first = make()
    first.start()
    with pytest.raises(EmbeddedError, match="does not listen on port 6543"):
        make(port=6543).start()
    assert first.is_running()


def test_a_url_of_a_server_that_does_not_run_is_refused(make_new: Make) -> None:
    with pytest.raises(EmbeddedError, match="start it first"):
        make_new().app_url()


def test_a_folder_without_programs_is_refused(ground: Path) -> None:
    with pytest.raises(EmbeddedError, match="does not hold working postgres"):
        find_binaries(ground)
