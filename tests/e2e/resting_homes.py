"""What a shop's memory grows by when homes of the tier `schema` are at rest in it.

python -m tests.e2e.resting_homes --homes 100
"""

import argparse
import asyncio
import json

from serai.cli.bench import crowd, measure
from serai.cli.bench.load import HOT_SKUS, Load
from serai.cli.bench.shop import HOST, Server, fresh_postgres, open_shop
from serai.cli.bench.trial import drive, observe, settle
from serai.kernel import ids
from serai.kernel.pool import SESSION_LIFE_S

WORK_S = 8.0
RATE = 150.0


async def main() -> None:
    """Prints one JSON object: without homes, and with them; both after orders of one tenant."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--homes", type=int, default=100)
    given = parser.parse_args()
    async with (
        fresh_postgres(None) as postgres,
        open_shop(postgres, "direct", HOT_SKUS) as shop,
        observe(postgres) as observer,
    ):
        await work(shop, observer)
        alone = await crowd.look_idle(shop.roots, observer)
        await crowd.Settlers(postgres).settle(crowd.Counts(schema=given.homes))
        await asyncio.sleep(crowd.REST_S)
        await work(shop, observer)
        await asyncio.sleep(SESSION_LIFE_S)
        many = await crowd.look_idle(shop.roots, observer)
        at_work = asyncio.create_task(work(shop, observer))
        await asyncio.sleep(WORK_S / 2)
        memory = await asyncio.to_thread(measure.memory_mb, shop.roots)
        await at_work
    print(json.dumps({  # noqa: T201 - what it is for
        "homes": given.homes, "alone_mb": alone.memory_mb, "mb": many.memory_mb,
        "mb_at_work": memory, "idle_cpu_percent": many.cpu_percent,
        "connections": many.connections,
    }))  # fmt: skip


async def work(shop: Server, observer: object) -> None:
    """Orders for one pooled tenant, so that every session of the pools is used."""
    await drive(Load(
        host=HOST, port=shop.port, api_key=shop.api_key, run=ids.new_id().hex, skus=HOT_SKUS,
        seconds=WORK_S, rate=RATE,
    ))  # fmt: skip
    await settle(observer)


if __name__ == "__main__":
    asyncio.run(main())
