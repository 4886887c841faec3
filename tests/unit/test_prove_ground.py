from pathlib import Path

import pytest

from serai.cli.prove import ground
from serai.kernel.embedded import EmbeddedError


def test_a_shop_that_cannot_be_made_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = tmp_path / "parent"
    parent.mkdir()
    monkeypatch.setattr(ground, "default_parent", lambda: parent)
    monkeypatch.setenv("SERAI_POSTGRES_BIN", str(tmp_path))
    with pytest.raises(EmbeddedError):
        ground.make_ground()
    assert list(parent.iterdir()) == []
    monkeypatch.delenv("SERAI_POSTGRES_BIN")

    def refuse(preferred: Path) -> Path:
        raise EmbeddedError(f"no user may enter {preferred}")

    monkeypatch.setattr(ground, "reachable_data_dir", refuse)
    with pytest.raises(EmbeddedError):
        ground.make_ground()
    assert list(parent.iterdir()) == []


def test_of_the_environment_only_the_choice_of_postgresql_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ground, "default_parent", lambda: tmp_path)
    monkeypatch.setattr(ground, "reachable_data_dir", lambda preferred: preferred)
    monkeypatch.setenv("SERAI_PORT", "nonsense")
    monkeypatch.setenv("SERAI_DATABASE_URL", "postgresql://a/shop/of/yours")
    made = ground.make_ground()
    assert made.folder.parent == tmp_path
    assert made.postgres.data_dir == (made.folder / "database").resolve()
