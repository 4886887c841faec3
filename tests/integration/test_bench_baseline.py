import asyncio
import hashlib
import itertools
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import asyncpg
import httpx
import pytest

from serai.cli.bench import baseline
from serai.cli.bench.baseline import Setting
from serai.kernel.embedded import EmbeddedPostgres

UNITS = 5
KEY = "baseline-key"
_numbers = itertools.count()


@pytest.fixture
async def url(postgres: EmbeddedPostgres) -> str:
    name = f"bench_{next(_numbers)}"
    postgres.create_database(name)
    return postgres.owner_url(name)


@pytest.fixture
async def pool(url: str) -> AsyncIterator[Any]:
    setting = Setting(
        database_url=url, host="127.0.0.1", port=1, api_key=KEY, skus=("A", "B"), units=UNITS,
        currency="USD", unit_price=Decimal("9.99"),
    )  # fmt: skip
    async with asyncpg.create_pool(url, min_size=1, max_size=8) as pool:
        async with pool.acquire() as connection:
            await baseline.furnish(connection, setting)
        yield pool


@pytest.fixture
async def client(pool: Any) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(baseline.build_app(pool))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://baseline") as client:
        yield client


async def order(client: httpx.AsyncClient, key: str, *skus: str, token: str = KEY) -> Any:
    return await client.post(
        "/v1/orders",
        headers={"Authorization": f"Bearer {token}", "Idempotency-Key": key},
        json={
            "currency": "USD",
            "email": "buyer@example.com",
            "lines": [{"sku": sku, "quantity": 1} for sku in skus],
            "payment": {"card": "4000009901000003"},
        },
    )


async def count(pool: Any, table: str) -> int:
    counted: int = await pool.fetchval(f"SELECT count(*) FROM bench.{table}")
    return counted


async def test_an_order_is_priced_reserved_and_announced_in_one_transaction(
    client: httpx.AsyncClient, pool: Any
) -> None:
    answer = await order(client, "one", "B", "A")
    assert answer.status_code == 201
    view = answer.json()
    assert (view["status"], view["total_minor"], view["currency"]) == ("placed", 1998, "USD")
    assert answer.headers["location"] == f"/v1/orders/{view['id']}"
    rows = await pool.fetch("SELECT sku, available, reserved FROM bench.stock_items ORDER BY sku")
    assert [tuple(row) for row in rows] == [("A", 4, 1), ("B", 4, 1)]
    assert [await count(pool, table) for table in ("orders", "lines", "outbox")] == [1, 2, 1]


async def test_the_same_key_gives_the_same_answer_and_one_effect(
    client: httpx.AsyncClient, pool: Any
) -> None:
    answers = await asyncio.gather(*(order(client, "same", "A") for _ in range(4)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert await count(pool, "orders") == 1
    other = await order(client, "same", "B")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_it_sells_what_is_there_and_not_one_more(
    client: httpx.AsyncClient, pool: Any, url: str
) -> None:
    answers = await asyncio.gather(*(order(client, f"k{n}", "A") for n in range(3 * UNITS)))
    codes = sorted(answer.status_code for answer in answers)
    assert codes == [201] * UNITS + [409] * (2 * UNITS)
    assert await count(pool, "orders") == UNITS
    assert await count(pool, "idempotency_keys") == UNITS
    assert await baseline.count_oversold(url) == 0


async def test_a_unit_that_was_never_there_is_counted(pool: Any, url: str) -> None:
    await pool.execute(
        "INSERT INTO bench.lines SELECT tenant_id, gen_random_uuid(), 1, sku, received + 2, 1, 1"
        " FROM bench.stock_items WHERE sku = 'A'"
    )
    assert await baseline.count_oversold(url) == UNITS + 2


@pytest.mark.parametrize(
    ("skus", "token", "refusal"),
    [
        (("A", "NONE"), KEY, (422, "unknown_sku")),
        (("A",), "wrong", (401, "unauthenticated")),
        ((), KEY, (400, "invalid")),
    ],
)
async def test_a_refused_order_leaves_nothing(
    client: httpx.AsyncClient,
    pool: Any,
    skus: tuple[str, ...],
    token: str,
    refusal: tuple[int, str],
) -> None:
    answer = await order(client, "refused", *skus, token=token)
    assert (answer.status_code, answer.json()["code"]) == refusal
    tables = ("orders", "lines", "outbox", "idempotency_keys")
    assert [await count(pool, table) for table in tables] == [0, 0, 0, 0]
    assert await pool.fetchval("SELECT sum(available) FROM bench.stock_items") == 2 * UNITS


async def test_the_key_is_kept_as_a_digest_only(pool: Any) -> None:
    digests = await pool.fetch("SELECT digest FROM bench.api_keys")
    assert [row["digest"] for row in digests] == [hashlib.sha256(KEY.encode()).digest()]
