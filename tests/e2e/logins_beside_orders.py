"""Counts orders without and with a flood of logins beside them, in one run, on one installation.

python -m tests.e2e.logins_beside_orders --seconds 10 --logins 64
"""

import argparse
import asyncio
import collections
import json
import os

import httpx

from serai.cli.bench.load import SKUS, Load, Report
from serai.cli.bench.shop import HOST, TENANT, fresh_postgres, open_shop
from serai.cli.bench.trial import observe, start_client
from serai.kernel import ids
from serai.kernel.embedded import EmbeddedPostgres

LOGIN_TIMEOUT_S = 30.0
REST_WITHIN_S = 60.0
"""Within which the orders of one window have ended, so that they do not cost the next."""


async def main() -> None:
    """Prints one JSON object: windows without, with and without logins, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each window is")
    parser.add_argument("--logins", type=int, default=64, help="logins that are tried at a time")
    given = parser.parse_args()
    # All come from one address, as in the worst case from many.
    os.environ["SERAI_LOGINS_PER_ADDRESS"] = "0"
    async with fresh_postgres(None) as postgres, open_shop(postgres, "direct", SKUS) as shop:
        base = f"http://{HOST}:{shop.port}"

        async def window() -> Report:
            await come_to_rest(postgres)
            load = Load(
                host=HOST, port=shop.port, api_key=shop.api_key, run=ids.new_id().hex,
                seconds=given.seconds,
            )  # fmt: skip
            return await (await start_client(load)).report()

        before = await window()
        answers: collections.Counter[int] = collections.Counter()
        flood = [asyncio.create_task(log_in(base, answers)) for _ in range(given.logins)]
        beside = await window()
        for task in flood:
            task.cancel()
        await asyncio.gather(*flood, return_exceptions=True)
        after = await window()
    alone = (before.accepted + after.accepted) / 2
    print(json.dumps({  # noqa: T201 - what it is for
        "accepted": {"before": before.accepted, "beside": beside.accepted, "after": after.accepted},
        "ratio": round(beside.accepted / alone, 3),
        "p99_ms": {"before": before.answer_ms.p99, "beside": beside.answer_ms.p99},
        "refused": beside.codes, "logins": dict(answers),
    }, indent=1))  # fmt: skip


async def come_to_rest(postgres: EmbeddedPostgres) -> None:
    """Waits until no order is under way."""
    async with observe(postgres) as observer, asyncio.timeout(REST_WITHIN_S):
        while await observer.fetchval(
            "SELECT EXISTS (SELECT FROM orders.orders WHERE status = 'placed')"
        ):
            await asyncio.sleep(0.2)
        await asyncio.sleep(1)


async def log_in(base: str, answers: "collections.Counter[int]") -> None:
    """Tries one password after the other, each for somebody else, as fast as it is answered."""
    async with httpx.AsyncClient(
        base_url=base, headers={"Serai-Tenant": TENANT}, timeout=LOGIN_TIMEOUT_S
    ) as http:
        while True:
            body = {"email": f"{ids.new_id().hex}@x.example", "password": "seven brass lanterns"}
            answer = await http.post("/v1/sessions", json=body)
            answers[answer.status_code] += 1


if __name__ == "__main__":
    asyncio.run(main())
