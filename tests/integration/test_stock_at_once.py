"""Stock under two transactions at once, under a second release, and under a SKU named twice."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest

from serai.contexts.inventory import handlers
from serai.contexts.inventory.contract import OutOfStock, Reserved, ReserveStock, StockRef, Want
from serai.contexts.inventory.handlers import MoveStock
from serai.contexts.inventory.model import Move
from serai.contexts.inventory.store import PostgresStock
from serai.kernel import ids
from serai.kernel.db import Database, Tx
from serai.kernel.events import Cause
from serai.kernel.failure import Refused
from serai.kernel.tenant import POOLED
from tests.integration.house import House

STOCK = PostgresStock()
WHY = Cause(ids.new_id())
HEAD_START_S = 0.2
"""How long the second transaction has to come as far as it can while the first is open."""


async def receive(database: Database, tenant: UUID, units: int) -> None:
    command = MoveStock(tenant, (Move("receipt", "tent", "main", units, ""),), WHY)
    async with database.transaction(POOLED, (tenant,)) as tx:
        await handlers.move_stock([command], tx=tx, now=tx.now, stock=STOCK)


async def reserve(tx: Tx, tenant: UUID, order_id: UUID) -> Reserved | Refused:
    command = ReserveStock(tenant, order_id, (Want("tent", 1),), None, WHY)
    (outcome,) = await handlers.reserve_stock([command], tx=tx, now=tx.now, stock=STOCK)
    return outcome


async def levels(database: Database, tenant: UUID) -> tuple[int, int]:
    """What is available and what is reserved; nothing may disagree with it."""
    async with database.transaction(POOLED, (tenant,)) as tx:
        row = await tx.connection.fetchrow("SELECT available, reserved FROM inventory.stock_items")
        assert await STOCK.check_levels(tenant, 10, tx=tx) == []
    return row["available"], row["reserved"]


async def test_two_transactions_at_once_never_promise_the_same_unit(
    database: Database, tenant: UUID
) -> None:
    await receive(database, tenant, 1)

    async def come_second() -> Reserved | Refused:
        async with database.transaction(POOLED, (tenant,)) as tx:
            return await reserve(tx, tenant, ids.new_id())

    async with database.transaction(POOLED, (tenant,)) as tx:
        first = await reserve(tx, tenant, ids.new_id())
        second = asyncio.create_task(come_second())
        await asyncio.wait({second}, timeout=HEAD_START_S)
    assert isinstance(first, Reserved)
    assert isinstance(await second, OutOfStock)
    assert await levels(database, tenant) == (0, 1)


async def test_what_was_released_is_not_released_again(database: Database, tenant: UUID) -> None:
    await receive(database, tenant, 2)
    mine, other = ids.new_id(), ids.new_id()
    async with database.transaction(POOLED, (tenant,)) as tx:
        for order_id in (mine, other):
            assert isinstance(await reserve(tx, tenant, order_id), Reserved)
    told = []
    for _ in range(2):
        async with database.transaction(POOLED, (tenant,)) as tx:
            await handlers.release_stock(
                [StockRef(tenant, mine, WHY)], tx=tx, now=tx.now, stock=STOCK
            )
            told.append(len(tx.announced))
    assert await levels(database, tenant) == (1, 1)
    assert told == [1, 0]


@pytest.fixture
async def house(database: Database, tmp_path: Path) -> AsyncIterator[House]:
    opened = await House(database, tmp_path).open()
    await opened.offer("tent")
    await opened.receive(tent=10)
    yield opened
    findings = await opened.findings()
    await opened.composition.close()
    assert findings == []


async def test_a_sku_on_two_lines_is_taken_for_both(house: House) -> None:
    order_id = await house.place(("tent", 2), ("tent", 3))
    await house.rest()
    assert (await house.order(order_id))["status"] == "confirmed"
    assert await house.stock("tent") == (5, 0, 5, 0)
