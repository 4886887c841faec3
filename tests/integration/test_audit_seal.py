"""What the platform does by itself is in the trail too: every announced event, once, in order."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from serai.contexts.payments.gateways import sandbox_cards as cards
from serai.kernel.db import Database
from serai.kernel.log import facts
from serai.kernel.tenant import POOLED
from tests.integration.audited_shop import AuditedShop, open_shop


@pytest.fixture
async def shop(database: Database, tmp_path: Path) -> AsyncIterator[AuditedShop]:
    async for opened in open_shop(database, tmp_path):
        await opened.rest()
        assert await facts.seal(database, POOLED) == 0, "it only notes where it begins"
        yield opened


async def sealed(shop: AuditedShop) -> list[tuple[Any, ...]]:
    entries = await shop.entries(action=facts.ACTION, actor_kind="system", limit=200)
    return [event for e in reversed(entries) for event in facts.unpack(e["after"]["lines"])]


async def announced(shop: AuditedShop) -> list[tuple[Any, ...]]:
    rows = await shop.house.rows(
        "SELECT event_id, type, key, correlation_id FROM kernel.outbox WHERE topic <> 'audit' "
        "ORDER BY xid, seq"
    )
    return [tuple(row.values()) for row in rows]


async def test_every_announced_event_is_sealed_once_and_leads_back_to_its_request(
    shop: AuditedShop,
) -> None:
    order = await shop.do(
        "POST", "/v1/orders",
        {"currency": "USD", "lines": [{"sku": "tent", "quantity": 1}],
         "payment": {"card": cards.APPROVED}}, x_request_id="why42",
    )  # fmt: skip
    while await facts.seal(shop.house.database, POOLED):
        pass
    await shop.do("POST", "/v1/categories", {"path": "Ropes"})
    await shop.do("POST", f"/v1/orders/{order['id']}/dispatch", {})
    while await facts.seal(shop.house.database, POOLED):
        pass
    await shop.rest()
    found, told = await sealed(shop), await announced(shop)
    assert sorted(found) == sorted(told)
    (placed,) = await shop.entries(request_id="why42")
    life = {name for _, name, key, _ in found if str(key) == order["id"]}
    assert {"orders.order_placed.v1", "orders.order_confirmed.v1",
            "payments.payment_captured.v1"} <= life  # fmt: skip
    caused = {name for *_, name, key, why in found if str(why) == placed["correlation_id"]}
    assert "orders.order_confirmed.v1" in caused
    assert await shop.house.findings() == []


async def test_of_two_that_seal_at_once_each_event_is_sealed_once(shop: AuditedShop) -> None:
    await shop.house.offer("rope", "peg", "mat")
    for _ in range(5):
        await asyncio.gather(*(facts.seal(shop.house.database, POOLED) for _ in range(4)))
    await shop.rest()
    found = await sealed(shop)
    assert sorted(found) == sorted(await announced(shop))


async def test_what_was_not_sealed_is_not_pruned(shop: AuditedShop) -> None:
    rows = await shop.house.rows(
        "SELECT count(*) AS places FROM kernel.positions WHERE group_name = $1", facts.GROUP
    )
    assert rows == [{"places": len(facts.topics()) * 8}]
