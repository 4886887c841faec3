"""What the demo keeps between its runs."""

import stat
from pathlib import Path
from uuid import UUID

from serai.cli.demo.shop import (
    HEADER_FILE,
    KEY_FILE,
    Credentials,
    keep_credentials,
    read_credentials,
)

OWN = Credentials(UUID(int=7), "serai_key_text")


def test_the_key_is_kept_for_its_owner_only_and_found_again(tmp_path: Path) -> None:
    keep_credentials(tmp_path, Credentials(UUID(int=6), "an older one"))
    keep_credentials(tmp_path, OWN)
    assert read_credentials(tmp_path) == OWN
    assert (tmp_path / HEADER_FILE).read_text() == "Authorization: Bearer serai_key_text\n"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {KEY_FILE: 0o600, HEADER_FILE: 0o600}


def test_nothing_kept_and_nothing_of_use_are_the_same(tmp_path: Path) -> None:
    assert read_credentials(tmp_path) is None
    (tmp_path / KEY_FILE).write_text('{"tenant_id": 1}')
    assert read_credentials(tmp_path) is None
