"""`serai migrate up` over many homes, killed in the middle of it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from serai.kernel.embedded import EmbeddedPostgres
from tests.e2e.processes import environment
from tests.e2e.test_tenant_tiers import Run, fetch, make, name, run

__all__ = ["name", "run"]
HOMES = 6
PATIENCE_S = 60.0
OTHERS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
    "AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
)


def ledgers(admin: str) -> list[str]:
    """The ledgers that there are in the main database, but for that of the pooled home."""
    rows = fetch(
        admin,
        "SELECT format('%I.migrations', nspname) AS ledger FROM pg_namespace "
        "WHERE nspname LIKE 'h\\_%kernel'",
    )
    return [row["ledger"] for row in rows]


def count_applied(admin: str) -> list[int]:
    """How many migrations each home has that has a ledger."""
    counts = []
    for ledger in ledgers(admin):
        exists = fetch(admin, "SELECT to_regclass($1) IS NOT NULL", ledger)[0][0]
        counts.append(fetch(admin, f"SELECT count(*) FROM {ledger}")[0][0] if exists else 0)
    return counts


def test_migrating_goes_on_where_it_was_killed(
    run: Run, name: str, postgres: EmbeddedPostgres, database_name: str, tmp_path: Path
) -> None:
    for number in range(HOMES):
        make(run, f"{name}-{number}", "schema")
    admin = postgres.admin_url(database_name)
    whole = count_applied(admin)
    assert len(whole) == HOMES
    # As if all homes were new: the directory knows them, and there is nothing in them.
    for row in fetch(admin, "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'h\\_%'"):
        fetch(admin, f'DROP SCHEMA "{row["nspname"]}" CASCADE')

    killed = subprocess.Popen(
        [sys.executable, "-m", "serai", "migrate", "up"],
        cwd=tmp_path,
        env=environment(database_url=admin, data_dir=str(tmp_path / "d")),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + PATIENCE_S
    while not any(0 < count < whole[0] for count in count_applied(admin)):
        assert time.monotonic() < deadline, "no home was met half migrated"
        assert killed.poll() is None
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    # What it had sent may still be carried out: its sessions end a moment after it.
    while fetch(admin, OTHERS)[0][0]:
        assert time.monotonic() < deadline + PATIENCE_S
        time.sleep(0.05)

    half = run("migrate", "status", "--json")
    assert half.code == 1
    pending = [len(home["pending"]) for home in half.document["homes"]]
    assert len(pending) == HOMES
    assert any(0 < count < whole[0] for count in pending), "one home is half migrated"
    assert sum(pending) > 0

    done = run("migrate", "up", "--json")
    assert done.code == 0, done.err
    applied = [len(home["applied"]) for home in done.document["homes"]]
    assert applied == pending, "what was applied before the kill is not applied again"
    assert count_applied(admin) == whole
    assert run("migrate", "status").code == 0
    assert run("check").code == 0
