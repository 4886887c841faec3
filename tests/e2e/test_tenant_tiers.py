"""Tenants in each of the three tiers: made, migrated, suspended, exported and erased."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from serai.kernel import ids
from serai.kernel.embedded import EmbeddedPostgres
from tests.e2e.processes import Done, serai

Run = Callable[..., Done]
TIERS = ("pooled", "schema", "database")


@pytest.fixture
def name() -> str:
    """A name of its own: the databases of a test's tenants are the whole server's."""
    return f"shop-{ids.new_id().hex[-8:]}"


@pytest.fixture
def run(postgres: EmbeddedPostgres, database_name: str, tmp_path: Path) -> Run:
    url = postgres.admin_url(database_name)

    def run_command(*words: str, **more: str) -> Done:
        return serai(*words, cwd=tmp_path, database_url=url, data_dir=str(tmp_path / "d"), **more)

    return run_command


def fetch(url: str, text: str, *args: Any) -> list[asyncpg.Record]:
    async def ask() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(url)
        try:
            return list(await connection.fetch(text, *args))
        finally:
            await connection.close()

    return asyncio.run(ask())


def make(run: Run, name: str, tier: str) -> dict[str, Any]:
    done = run("tenant", "create", name, "--tier", tier, "--json")
    assert done.code == 0, done.err
    made: dict[str, Any] = done.document
    return made


@pytest.mark.parametrize("tier", TIERS)
def test_a_tenant_is_made_exported_and_erased(
    run: Run, name: str, tier: str, tmp_path: Path
) -> None:
    made = make(run, name, tier)
    tenant_id = made["tenant"]["id"]
    (listed,) = run("tenant", "list", "--json").document["tenants"]
    assert (listed["name"], listed["tier"], listed["state"]) == (name, tier, "active")
    assert run("tenant", "create", name, "--tier", tier, "--json").code == 1
    assert run("check").code == 0

    done = run("tenant", "export", name, "all.jsonl", "--json")
    assert done.code == 0, done.err
    head, *lines = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert (head["format"], head["tenant_id"]) == ("serai.tenant/2", tenant_id)
    assert {row["row"]["tenant_id"] for row in lines} == {tenant_id}
    assert len(lines) == done.document["rows"]
    assert {"tenancy.tenants", "tenancy.api_keys", "kernel.outbox"} <= {x["table"] for x in lines}
    assert head["sealed"] is False
    assert "in clear" in done.err
    assert "kernel.data_keys" not in {x["table"] for x in lines}
    assert (tmp_path / "all.jsonl").stat().st_mode & 0o077 == 0

    assert run("tenant", "erase", name, "--confirm", "another", "--json").code == 2
    erased = run("tenant", "erase", name, "--confirm", name, "--json")
    assert erased.code == 0, erased.err
    document = json.loads((tmp_path / f"erased-{name}.json").read_text())
    assert document == erased.document
    assert document["tables"]["tenancy.api_keys"] == 1
    assert document["kept"] == ["audit.anchors", "audit.entries"]
    assert document["digest"].startswith("sha256:")
    assert run("tenant", "list", "--json").document["tenants"] == []
    assert run("tenant", "export", name, "more.jsonl").code == 1


def test_an_interrupted_export_goes_on_after_its_last_whole_line(
    run: Run, name: str, tmp_path: Path
) -> None:
    make(run, name, "schema")
    for _ in range(3):
        assert run("tenant", "key", name).code == 0
    assert run("tenant", "export", name, "whole.jsonl").code == 0
    whole = (tmp_path / "whole.jsonl").read_bytes()
    lines = whole.splitlines(keepends=True)
    for cut in (2, 3, len(lines)):
        part = b"".join(lines[:cut]) + (lines[cut][:9] if cut < len(lines) else b"")
        (tmp_path / "again.jsonl.part").write_bytes(part)
        assert run("tenant", "export", name, "again.jsonl").code == 0
        assert (tmp_path / "again.jsonl").read_bytes() == whole
        (tmp_path / "again.jsonl").unlink()
    # One that is begun anew is in the trail once more.
    (tmp_path / "again.jsonl.part").write_bytes(lines[0][:9])
    assert run("tenant", "export", name, "again.jsonl").code == 0
    anew = (tmp_path / "again.jsonl").read_bytes().splitlines(keepends=True)
    assert set(lines) < set(anew)
    (told,) = set(anew) - set(lines)
    assert b"tenancy.tenant_exported" in told


def test_a_home_that_is_half_made_is_finished(
    run: Run, name: str, postgres: EmbeddedPostgres, database_name: str
) -> None:
    make(run, name, "schema")
    admin = postgres.admin_url(database_name)
    # What a kill in the middle leaves: a home with some of its migrations, and no tenant yet.
    (row,) = fetch(admin, "SELECT home_prefix AS prefix FROM tenancy.tenants")
    fetch(admin, "DELETE FROM tenancy.tenants RETURNING 1")
    fetch(admin, f"DROP SCHEMA {row['prefix']}orders CASCADE")
    fetch(admin, f"DELETE FROM {row['prefix']}kernel.migrations WHERE context = 'orders'")
    make(run, name, "schema")
    assert fetch(admin, f"SELECT count(*) FROM {row['prefix']}orders.orders")[0][0] == 0
    assert fetch(admin, "SELECT datname FROM pg_database WHERE datname = 'main'") == []
    assert run("migrate", "status").code == 0


def test_one_home_that_fails_is_named_and_stops_no_other(
    run: Run, name: str, postgres: EmbeddedPostgres, database_name: str
) -> None:
    for number in range(3):
        make(run, f"{name}-{number}", "schema")
    admin = postgres.admin_url(database_name)
    prefixes = [
        row["home_prefix"]
        for row in fetch(admin, "SELECT home_prefix FROM tenancy.tenants ORDER BY name")
    ]
    for prefix in prefixes:
        fetch(admin, f"DELETE FROM {prefix}kernel.migrations WHERE name = '0005_pre_refunds.sql'")
    fetch(
        admin,
        f"UPDATE {prefixes[1]}kernel.migrations SET checksum = 'x' WHERE context = 'catalog'",
    )
    before = run("migrate", "status", "--json")
    assert before.code == 1
    assert [len(home["pending"]) for home in before.document["homes"]] == [1, 1, 1]
    done = run("migrate", "up")
    assert done.code == 1
    assert f"1 of 3 homes failed: schema:{name}-1" in done.err
    assert "was changed after it was applied" in done.out
    after = run("migrate", "status", "--json")
    assert [len(home["pending"]) for home in after.document["homes"]] == [0, 1, 0]


def test_a_database_of_a_name_is_found_by_the_settings(
    run: Run, name: str, postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    own = f"elsewhere_{ids.new_id().hex}"
    postgres.create_database(own)
    place = tmp_path / "databases.json"
    place.write_text(json.dumps({"eu": postgres.admin_url(own)}))
    words = ("tenant", "create", name, "--tier", "database", "--database", "eu", "--json")
    assert run(*words).code == 2
    assert run(*words, databases=str(place)).code == 0
    assert run("check", databases=str(place)).code == 0
    assert run("check").code == 3, "its database is nowhere beside the main one"
    shown = run("migrate", "status", "--json").document["homes"]
    (said,) = [home["failed"] for home in shown]
    assert said.startswith("InvalidCatalogNameError: its database cannot be reached.")
