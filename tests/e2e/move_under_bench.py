"""Moves the benchmark's tenant to a schema of its own while the load client buys.

python -m tests.e2e.move_under_bench                           # as much as the shop takes
python -m tests.e2e.move_under_bench --rate 500 --seconds 240 --kills  # killed at five points
"""

import argparse
import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from serai.cli.bench.load import SKUS, Load
from serai.cli.bench.shop import HOST, TENANT, Server, fresh_postgres, open_shop
from serai.cli.bench.trial import observe, start_client
from serai.kernel import ids
from serai.kernel.embedded import EmbeddedPostgres
from tests.e2e.processes import ROOT
from tests.e2e.test_tenant_move import FAULTS

BEFORE_S = 5.0
"""How long orders come before the move begins."""
MOVE_MAX_S = 300.0
POINTS = ("prepared", "copying", "following", "compared", "left")
"""Where the mover is killed, one after the other; it goes on each time."""
ENDED_WITHIN_S = 120.0


async def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rate", type=float, default=None, help="orders a second; none: the peak")
    parser.add_argument("--seconds", type=float, default=120.0, help="how long orders come")
    parser.add_argument("--kills", action="store_true", help="kill the mover at five points")
    given = parser.parse_args()
    async with fresh_postgres(None) as postgres, open_shop(postgres, "direct", SKUS) as shop:
        load = Load(
            host=HOST, port=shop.port, api_key=shop.api_key, run=ids.new_id().hex,
            seconds=given.seconds, rate=given.rate,
        )  # fmt: skip
        client = await start_client(load)
        began = time.monotonic()
        await asyncio.sleep(BEFORE_S)
        environment = environment_of(shop, postgres)
        move = ("tenant", "move", TENANT, "--to", "schema", "--json")
        killed = {}
        for point in POINTS if given.kills else ():
            faulty = {"MOVE_KILL": point, "PYTHONPATH": f"{FAULTS}:{ROOT}"}
            killed[point] = (await serai({**environment, **faulty}, *move))[0]
        moved = await serai(environment, *move)
        left_s = began + given.seconds - time.monotonic()
        report = await client.report()
        orders = await count_orders(postgres)
        check = await serai(environment, "check", "--json")
        print(json.dumps({  # noqa: T201 - what it is for
            "rate": given.rate, "accepted": report.accepted, "late": report.late,
            "refused": report.codes, "killed": killed, "orders_came_on_for_s": round(left_s, 1),
            "orders_there": orders, "moved": moved[1], "code": moved[0], "said": moved[2][-500:],
            "check": check[0],
        }, indent=1, default=str))  # fmt: skip


def environment_of(shop: Server, postgres: EmbeddedPostgres) -> dict[str, str]:
    """The settings of the shop's processes, with the way in of the schemas' owner."""
    entries = Path(f"/proc/{shop.roots['api']}/environ").read_bytes().split(b"\0")
    pairs = (entry.decode().partition("=") for entry in entries if entry.startswith(b"SERAI_"))
    return {
        **os.environ,
        **{name: value for name, _, value in pairs},
        "SERAI_DATABASE_URL": postgres.owner_url(),
        "SERAI_DATABASE_APP_URL": postgres.app_url(),
    }


async def serai(environment: dict[str, str], *words: str) -> tuple[int, Any, str]:
    """A command of ours: its exit code, what it says in JSON, and beside it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "serai", *words, env=environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, said = await asyncio.wait_for(process.communicate(), MOVE_MAX_S)
    return process.returncode or 0, json.loads(out) if out else None, said.decode()


async def count_orders(postgres: EmbeddedPostgres) -> list[tuple[str, int, int]]:
    """By schema how many orders there are, and how many have ended, once all have."""
    async with observe(postgres) as observer, asyncio.timeout(ENDED_WITHIN_S):
        while True:
            rows = await observer.fetch(
                "SELECT schemaname FROM pg_tables WHERE tablename = 'orders'"
            )
            found = []
            for row in rows:
                name = row["schemaname"]
                counted = await observer.fetchrow(
                    f'SELECT count(*), count(settled_at) FROM "{name}".orders'
                )
                found.append((name, *counted))
            if all(there == ended for _, there, ended in found):
                return found
            await asyncio.sleep(0.5)


if __name__ == "__main__":
    asyncio.run(main())
