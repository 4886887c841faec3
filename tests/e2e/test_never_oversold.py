"""Over HTTP from many connections, with processes that are killed: never oversold, never lost."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from serai.kernel.embedded import EmbeddedPostgres
from tests.e2e.processes import wait_until
from tests.e2e.shop import Shop, furnish, keyed, order_of, stock_of

ROUNDS = 200
ROUNDS_AT_ONCE = 8
BUYERS, UNITS = 9, 4
KILLS = 3
SETTLE_TIMEOUT_S = 60.0
RETRIES_MAX = 100


@pytest.fixture
def shop(postgres: EmbeddedPostgres, database_name: str, tmp_path: Path) -> Iterator[Shop]:
    opened = Shop(
        tmp_path,
        owner_url=postgres.owner_url(database_name),
        app_url=postgres.app_url(database_name),
    )
    opened.open("drops")
    opened.start("api", "worker")
    yield opened
    opened.stop()


async def buy(client: httpx.AsyncClient, sku: str, key: str | None = None) -> dict[str, Any]:
    """Places an order and waits for its end; repeats with the same key while nobody answers."""
    key = key or uuid4().hex
    for _ in range(RETRIES_MAX):
        try:
            answer = await client.post(
                "/v1/orders", json=order_of(sku), headers=keyed(key, Prefer="wait=20")
            )
        except httpx.TransportError:
            await asyncio.sleep(0.1)
            continue
        if answer.status_code == 503:
            await asyncio.sleep(0.1)
            continue
        assert answer.status_code == 201, answer.text
        order: dict[str, Any] = answer.json()
        return order
    raise AssertionError("the shop did not come back")


async def test_exactly_what_is_there_is_sold_in_every_round(shop: Shop) -> None:
    with shop.client() as client:
        furnish(client, {f"drop-{n}": UNITS for n in range(ROUNDS)})
        turns = asyncio.Semaphore(ROUNDS_AT_ONCE)
        async with shop.async_client() as buyers:

            async def sell_out(sku: str) -> Counter[str]:
                async with turns:
                    orders = await asyncio.gather(*(buy(buyers, sku) for _ in range(BUYERS)))
                return Counter(f"{o['status']} {o['reason']}" for o in orders)

            rounds = await asyncio.gather(*(sell_out(f"drop-{n}") for n in range(ROUNDS)))
        exact = {"confirmed None": UNITS, "cancelled out_of_stock": BUYERS - UNITS}
        assert [n for n, counts in enumerate(rounds) if counts != exact] == []
        expected = {
            "received": UNITS,
            "available": 0,
            "reserved": 0,
            "sold": UNITS,
            "written_off": 0,
        }
        assert stock_of(client, "drop-0") == expected
    assert shop.command("check", "--json").code == 0


async def test_equal_keys_at_the_same_instant_are_one_order(shop: Shop) -> None:
    with shop.client() as client:
        furnish(client, {"tent": 100})
    async with shop.async_client() as buyers:
        answers = await asyncio.gather(
            *(
                buyers.post("/v1/orders", json=order_of("tent"), headers=keyed("same"))
                for _ in range(40)
            )
        )
        assert {a.status_code for a in answers} == {201}
        assert len({a.content for a in answers}) == 1
        other = await buyers.post("/v1/orders", json=order_of("tent", 2), headers=keyed("same"))
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
        totals = (await buyers.get("/v1/order-totals")).json()
    assert sum(t["orders"] for t in totals) == 1


@pytest.mark.parametrize("role", ["worker", "api"])
async def test_a_killed_process_loses_and_doubles_nothing(shop: Shop, role: str) -> None:
    with shop.client() as client:
        furnish(client, {"tent": 150})
    keys = [uuid4().hex for _ in range(300)]
    turns = asyncio.Semaphore(32)
    async with shop.async_client() as buyers:

        async def take_turn(key: str) -> dict[str, Any]:
            async with turns:
                return await buy(buyers, "tent", key)

        async def kill_now_and_then() -> None:
            for _ in range(KILLS):
                await asyncio.sleep(0.4)
                await asyncio.to_thread(shop.kill, role)
                await asyncio.to_thread(shop.start, role)

        killing = asyncio.create_task(kill_now_and_then())
        orders = await asyncio.gather(*(take_turn(key) for key in keys))
        await killing
    assert len({order["id"] for order in orders}) == len(keys)
    with shop.client() as client:

        def is_settled() -> bool:
            return all(t["status"] != "placed" for t in client.get("/v1/order-totals").json())

        wait_until(is_settled, "every order has ended", timeout_s=SETTLE_TIMEOUT_S)
        totals = {t["status"]: t for t in client.get("/v1/order-totals").json()}
        assert (totals["confirmed"]["orders"], totals["cancelled"]["orders"]) == (150, 150)
        assert totals["confirmed"]["captured_minor"] == 150 * 1000
        assert totals["cancelled"]["captured_minor"] == 0
        expected = {"received": 150, "available": 0, "reserved": 0, "sold": 150, "written_off": 0}
        assert stock_of(client, "tent") == expected
    assert shop.command("check", "--json").code == 0
