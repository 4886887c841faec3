"""Retention drops the oldest entries of the audit trail by its one way, and leaves an anchor."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from serai.contexts.audit.store import SQL
from serai.kernel import ids
from serai.kernel.db import Database
from serai.kernel.embedded import EmbeddedPostgres
from serai.kernel.tenant import POOLED
from tests.integration.audited_shop import AuditedShop, make_products, open_shop, verdict_of


@pytest.fixture
async def shop(database: Database, tmp_path: Path) -> AsyncIterator[AuditedShop]:
    async for opened in open_shop(database, tmp_path):
        await opened.rest()
        yield opened


@pytest.fixture
async def owner(postgres: EmbeddedPostgres, database_name: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(postgres.admin_url(database_name))
    yield connection
    await connection.close()


async def forget(shop: AuditedShop, at_most: int = 1_000) -> int:
    async with shop.house.database.transaction(POOLED, (shop.house.tenant,)) as tx:
        gone: int = await tx.fetchval(SQL.forget_entries, shop.house.tenant, at_most)
        return gone


async def test_retention_drops_the_oldest_only_and_leaves_an_anchor(
    shop: AuditedShop, owner: Any
) -> None:
    await make_products(shop, 6)
    before = await verdict_of(shop)
    assert before.head is not None
    assert await forget(shop) == 0, "nothing is old enough"
    await owner.execute("ALTER TABLE audit.entries DISABLE TRIGGER USER")
    # An old entry behind a young one stays: only what lies before the first young one may go.
    await owner.execute(
        "UPDATE audit.entries SET recorded_at = now() - interval '1096 days' WHERE seq NOT IN (6)"
    )
    assert await forget(shop, 3) == 3
    assert await forget(shop) == 2
    assert await forget(shop) == 0
    left = await owner.fetch("SELECT seq FROM audit.entries ORDER BY seq")
    assert [row["seq"] for row in left] == list(range(6, before.head.seq + 1))
    anchors = await owner.fetch("SELECT seq, dropped FROM audit.anchors ORDER BY seq")
    assert [(row["seq"], row["dropped"]) for row in anchors] == [(3, 3), (5, 2)]
    verdict = await verdict_of(shop)
    assert (verdict.begins_at, verdict.forgotten) == (6, 5)
    assert verdict.broken is not None, "their times were tampered with for this test"
    assert verdict.broken.seq == 7
    assert [e["seq"] for e in await shop.entries(limit=200)] == [*range(before.head.seq, 5, -1)]


async def test_the_newest_entry_is_never_dropped_and_the_chain_goes_on(
    shop: AuditedShop, owner: Any
) -> None:
    head = (await verdict_of(shop)).head
    assert head is not None
    await owner.execute("UPDATE audit.entries SET recorded_at = now() - interval '4000 days'")
    assert await forget(shop) == head.seq - 1
    await make_products(shop, 1)
    newest = await shop.entries(limit=1)
    assert newest[0]["seq"] == head.seq + 1
    assert newest[0]["previous"] == head.hash


async def test_no_one_drops_entries_of_a_tenant_that_is_not_hers(shop: AuditedShop) -> None:
    async with shop.house.database.transaction(POOLED, (ids.new_id(),)) as tx:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="does not act for"):
            await tx.fetchval(SQL.forget_entries, shop.house.tenant, 10)
        await tx.connection.execute("ROLLBACK; BEGIN")
