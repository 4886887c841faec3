"""An erasure that is killed at any point is gone on with: nothing is left, and it is certified."""

import asyncio
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from serai.kernel import ids
from serai.kernel.embedded import EmbeddedPostgres
from tests.e2e.processes import COMMAND_TIMEOUT_S, ROOT, Done, environment, serai

FAULTS = ROOT / "tests" / "e2e" / "erase_faults"
KILLED = -9
HEARD = 5_000
"""Rows of one table, so that it goes in three chunks."""
KEPT = {"audit.anchors", "audit.entries", "kernel.erasures"}
Erase = Callable[[str], Done]


@pytest.fixture
def name() -> str:
    return f"leaver-{ids.new_id().hex[-8:]}"


@pytest.fixture
def url(postgres: EmbeddedPostgres, database_name: str) -> str:
    return postgres.admin_url(database_name)


@pytest.fixture
def erase(url: str, tmp_path: Path, name: str) -> Erase:
    """Erases the tenant, and is killed at a point or not."""

    def run(kill: str = "") -> Done:
        env = environment(database_url=url, data_dir=str(tmp_path / "d"))
        env |= {"PYTHONPATH": f"{FAULTS}:{ROOT}:{env['PYTHONPATH']}", "ERASE_KILL": kill}
        words = ("tenant", "erase", name, "--confirm", name, "--json")
        done = subprocess.run(
            [sys.executable, "-m", "serai", *words], cwd=tmp_path, env=env, capture_output=True,
            text=True, timeout=COMMAND_TIMEOUT_S, check=False,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)

    return run


def fetch(url: str, text: str, *args: Any) -> list[Any]:
    async def ask() -> list[Any]:
        connection = await asyncpg.connect(url)
        try:
            return list(await connection.fetch(text, *args))
        finally:
            await connection.close()

    return asyncio.run(ask())


def settle(url: str, folder: Path, name: str, tier: str) -> str:
    """Makes the tenant, with keys, staff and messages that were heard; its id."""
    words = ("tenant", "create", name, "--tier", tier, "--json")
    made = serai(*words, cwd=folder, database_url=url, data_dir=str(folder / "d"))
    assert made.code == 0, made.err
    tenant_id: str = made.document["tenant"]["id"]
    for more in (("key", name), ("staff", name, "me@example.org")):
        assert serai("tenant", *more, cwd=folder, database_url=url,
                     data_dir=str(folder / "d")).code == 0  # fmt: skip
    [row] = fetch(url, "SELECT home_prefix AS prefix FROM tenancy.tenants WHERE name = $1", name)
    fetch(
        url,
        f"""INSERT INTO {row["prefix"]}kernel.inbox (tenant_id, group_name, event_id, handled_at)
            SELECT $1, 'orders', gen_random_uuid(), now() FROM generate_series(1, {HEARD})""",
        tenant_id,
    )
    return tenant_id


def count_rows(url: str, tenant_id: str) -> dict[str, int]:
    """What is left of a tenant anywhere in the database, by table."""
    tables = fetch(
        url,
        """SELECT c.table_schema || '.' || c.table_name AS name FROM information_schema.columns c
           JOIN information_schema.tables t USING (table_schema, table_name)
           WHERE c.column_name = 'tenant_id' AND t.table_type = 'BASE TABLE' ORDER BY 1""",
    )
    assert len(tables) > 50
    counts = " UNION ALL ".join(
        f"SELECT '{row['name']}' AS name, count(*) AS n FROM {row['name']} WHERE tenant_id = $1"
        for row in tables
    )
    return {row["name"]: row["n"] for row in fetch(url, counts, tenant_id) if row["n"]}


@pytest.mark.parametrize("tier", ["pooled", "schema"])
def test_an_erasure_that_is_killed_again_and_again_comes_to_its_end(
    erase: Erase, url: str, tmp_path: Path, name: str, tier: str
) -> None:
    tenant_id = settle(url, tmp_path, name, tier)
    place = tmp_path / f"erased-{name}.json"
    points = ["begun", "kernel.flows#1", "kernel.inbox#2", "tenancy.api_keys#1", "certifying",
              "writing"]  # fmt: skip
    for point in points:
        done = erase(point)
        assert done.code == KILLED, (point, done)
        assert not place.exists()
        assert "tenancy.tenants" in count_rows(url, tenant_id), "so that it can be gone on with"
    assert erase("certified").code == KILLED
    early = json.loads(place.read_text())

    done = erase("")
    assert done.code == 0, done.err
    certificate = json.loads(place.read_text())
    assert certificate == done.document
    assert certificate["tables"] == early["tables"]
    assert certificate["tables"]["kernel.inbox"] == HEARD, "each row is counted once"
    assert certificate["tables"]["tenancy.api_keys"] == 2
    assert certificate["rows"] == sum(certificate["tables"].values())
    assert "@" in certificate["operator"]
    left = count_rows(url, tenant_id)
    assert {table for table in left if not any(table.endswith(one) for one in KEPT)} == set()
    bare = json.dumps({**certificate, "digest": ""}, separators=(",", ":"), ensure_ascii=False)
    assert certificate["digest"] == f"sha256:{hashlib.sha256(bare.encode()).hexdigest()}"


def test_one_that_is_killed_at_its_very_end_has_left_its_certificate(
    erase: Erase, url: str, tmp_path: Path, name: str
) -> None:
    tenant_id = settle(url, tmp_path, name, "pooled")
    assert erase("deleted").code == KILLED
    certificate = json.loads((tmp_path / f"erased-{name}.json").read_text())
    assert certificate["tenant_id"] == tenant_id
    assert set(count_rows(url, tenant_id)) <= KEPT
    assert erase("").code == 1, "there is nobody of that name any more"
