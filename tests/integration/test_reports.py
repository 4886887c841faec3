"""Sums over all that a tenant has: they count everything, and in time."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from serai.contexts.tenancy.contract import SCOPES
from serai.kernel.db import Database
from serai.kernel.tenant import POOLED
from serai.roles.api import build_app
from serai.settings import Settings
from tests.integration.house import House

ORDERS = 1500
REPORT_LIMIT_S = 5.0


@pytest.fixture
async def house(database: Database, tmp_path: Path) -> AsyncIterator[House]:
    opened = await House(database, tmp_path).open()
    await opened.offer("tent")
    yield opened
    await opened.composition.close()


async def test_orders_without_statistics_are_summed_in_time(house: House) -> None:
    await house.receive(tent=ORDERS)
    await asyncio.gather(*(house.place(("tent", 1)) for _ in range(ORDERS)))
    began = asyncio.get_running_loop().time()
    async with house.database.transaction(POOLED, (house.tenant,), is_report=True) as tx:
        plan = await tx.connection.fetchval("SHOW enable_nestloop")
    assert plan == "off"
    assert await house.findings() == []
    assert asyncio.get_running_loop().time() - began < REPORT_LIMIT_S


async def test_a_sku_that_never_moved_does_not_end_the_pages(house: House) -> None:
    key = await house.composition.tenancy.create_key(house.tenant, label="reader", scopes=SCOPES)
    async with house.database.transaction(POOLED, (house.tenant,)) as tx:
        await tx.connection.execute(
            "INSERT INTO inventory.stock_items (tenant_id, sku, location) "
            "SELECT $1, 'a' || n, 'main' FROM generate_series(1, 3) n",
            house.tenant,
        )
    await house.receive(zebra=7)
    app: Any = build_app(Settings(), house.composition)
    skus: list[str] = []
    cursor: str | None = None
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop.test") as client:
        for _ in range(5):
            parameters = {"limit": "2", **({"cursor": cursor} if cursor else {})}
            answer = await client.get(
                "/v1/stock-totals",
                params=parameters,
                headers={"Authorization": f"Bearer {key.key}"},
            )
            assert answer.status_code == 200, answer.text
            page = answer.json()
            skus.extend(item["sku"] for item in page["items"])
            cursor = page["next"]
            if cursor is None:
                break
    assert skus == ["zebra"]
