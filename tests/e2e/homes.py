"""Many tenants in the three tiers on one machine: what making, migrating and serving them costs.

`python -m tests.e2e.homes --pooled 100 --schema 20 --database 2` measures it, in a minute or two.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import asyncpg
import psutil

from serai.contexts.tenancy.contract import SCOPES, Tier
from serai.kernel.embedded import EmbeddedPostgres, reachable_data_dir
from serai.roles.composition import compose
from serai.roles.connection import Databases, databases_at, open_database
from serai.roles.migrate import bring_up, bring_up_home, bring_up_homes, tell_homes
from serai.settings import Settings
from tests.e2e.processes import ask, environment, free_ports, wait_until

SETTLED_S: Final = 15.0
"""How long a worker is given to find every home, before it is looked at."""
LOOKED_S: Final = 10.0
MB: Final = 1024 * 1024


async def make(databases: Databases, counts: dict[Tier, int], own: Settings) -> dict[str, Any]:
    """Makes the tenants; seconds for one of each tier, and for looking at all homes again."""
    figures: dict[str, Any] = {}
    await bring_up(databases.owner.url_of("main"))
    database = await open_database(databases.app.url_of("main"), pool_max=4, settings=own)
    tenancy = compose(own, database).tenancy
    for tier, count in counts.items():
        began = time.perf_counter()
        for number in range(count):
            name = f"{tier}-{number}"
            home = tenancy.home_for(name, tier)
            if tier != "pooled":
                await bring_up_home(databases, home)
            await tenancy.create_tenant(name, scopes=SCOPES, home=home)
        figures[f"make_one_{tier}_s"] = round((time.perf_counter() - began) / max(count, 1), 3)
    await database.close()
    for name, look in (("up_nothing_to_do_s", bring_up_homes), ("status_s", tell_homes)):
        began = time.perf_counter()
        await look(databases)
        figures[name] = round(time.perf_counter() - began, 2)
    return figures


async def count_sessions(url: str) -> int:
    """Sessions of ours on the server, whatever their database."""
    connection = await asyncpg.connect(url)
    try:
        text = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'serai'"
        count: int = await connection.fetchval(text)
    finally:
        await connection.close()
    return count


def serve(postgres: EmbeddedPostgres, folder: Path) -> dict[str, Any]:
    """Runs a worker over all homes with nothing to do; its memory, sessions and processor time."""
    (port,) = free_ports(1)
    settings = {"database_app_url": postgres.app_url(), "worker_port": str(port),
                "data_dir": str(folder / "worker")}  # fmt: skip
    with (folder / "worker.log").open("wb") as log:
        worker = psutil.Popen(
            [sys.executable, "-m", "serai", "worker", "--with-scheduler"],
            env=environment(**settings), cwd=folder, stdin=subprocess.DEVNULL, stdout=log,
            stderr=log,
        )  # fmt: skip
    try:
        url = f"http://127.0.0.1:{port}/readyz"
        began = time.perf_counter()
        wait_until(lambda: ask(url).status == 200, "the worker is ready")
        ready_s = time.perf_counter() - began
        time.sleep(SETTLED_S)
        server = psutil.Process(postgres.pid)
        before = worker.cpu_times()
        backends = _cpu_s(server)
        time.sleep(LOOKED_S)
        after = worker.cpu_times()
        used = after.user + after.system - before.user - before.system
        return {
            "ready_s": round(ready_s, 1),
            "worker_mb": round(worker.memory_info().rss / MB),
            "worker_idle_cpu_percent": round(100 * used / LOOKED_S, 1),
            "server_idle_cpu_percent": round(100 * (_cpu_s(server) - backends) / LOOKED_S, 1),
            "sessions": asyncio.run(count_sessions(postgres.admin_url())),
            "warnings_in_log": (folder / "worker.log").read_text().count('"level": "warning"'),
        }
    finally:
        worker.terminate()
        worker.wait(30)


def _cpu_s(server: psutil.Process) -> float:
    total = 0.0
    for process in [server, *server.children()]:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


def main() -> None:
    """Measures and prints one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__)
    for tier, count in (("pooled", 100), ("schema", 20), ("database", 2)):
        parser.add_argument(f"--{tier}", type=int, default=count)
    counts: dict[Tier, int] = vars(parser.parse_args())  # type: ignore[assignment]
    with tempfile.TemporaryDirectory(prefix="serai-homes-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        postgres = EmbeddedPostgres(reachable_data_dir(folder / "pg"))
        postgres.start()
        try:
            databases = databases_at(
                postgres.owner_url(), postgres.app_url(), "", postgres.create_database
            )
            figures = asyncio.run(make(databases, counts, Settings(data_dir=name)))
            figures |= serve(postgres, folder)
        finally:
            postgres.stop("immediate")
    print(json.dumps(counts | figures, indent=2))  # noqa: T201 - a command


if __name__ == "__main__":
    main()
