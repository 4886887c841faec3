"""The commands of identity as an operator uses them, on a real database."""

from collections.abc import Callable
from pathlib import Path

import pytest

from serai.kernel.embedded import EmbeddedPostgres
from tests.e2e.processes import Done, serai

Run = Callable[..., Done]


@pytest.fixture
def on_database(postgres: EmbeddedPostgres, database_name: str, tmp_path: Path) -> Run:
    url = postgres.admin_url(database_name)

    def run(*words: str) -> Done:
        return serai(*words, cwd=tmp_path, database_url=url, data_dir=str(tmp_path / "data"))

    return run


def test_the_first_owner_is_made_by_the_operator_and_let_in_again(on_database: Run) -> None:
    assert on_database("tenant", "create", "acme").code == 0
    made = on_database("tenant", "staff", "acme", "me@example.org", "--person", "Me", "--json")
    assert made.code == 0, made.err
    account = made.document["account"]
    assert (account["kind"], account["roles"], account["has_password"]) == (
        "staff",
        ["owner"],
        False,
    )
    assert len(made.document["token"]) == 64
    found = on_database("identity", "mail-token", "acme", "Me@example.org", "--json")
    assert found.document == {"token": made.document["token"]}
    missing = on_database("identity", "mail-token", "acme", "nobody@example.org")
    assert (missing.code, "no token" in missing.err) == (1, True)
    again = on_database("tenant", "staff", "acme", "me@example.org", "--role", "auditor", "--json")
    assert again.document["account"]["id"] == account["id"]
    assert again.document["account"]["roles"] == ["auditor"]
    shown = on_database("tenant", "staff", "acme", "you@example.org")
    assert "/v1/password-resets/confirmations" in shown.out
    for words, code, said in (
        (("nobody", "me@example.org"), 1, "there is no tenant named nobody"),
        (("acme", "no address"), 1, "is no address"),
        (("acme", "me@example.org", "--role", "king"), 1, "no roles for staff"),
    ):
        refused = on_database("tenant", "staff", *words)
        assert refused.code == code
        assert said in refused.err


def test_keys_are_rotated_and_sealed_by_the_key_in_the_data_folder(
    on_database: Run, tmp_path: Path
) -> None:
    ids = [
        on_database("identity", "rotate-keys", *words, "--json").document["key_id"]
        for words in ((), (), ("--compromised",))
    ]
    assert len(set(ids)) == 3
    key = tmp_path / "data" / "identity.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert len(key.read_text().strip()) == 44
    made = sorted(path.name for path in key.parent.iterdir())
    assert made == ["identity.key", "privacy.key"]
