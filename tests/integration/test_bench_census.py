from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from serai.cli.bench import census, measure
from serai.cli.bench.census import StockFaults
from serai.kernel import ids, queries
from serai.kernel.embedded import EmbeddedPostgres
from serai.kernel.pool import WalledConnection

TENANT = ids.new_id()


@pytest.fixture
async def observer(postgres: EmbeddedPostgres, database_name: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(postgres.admin_url(database_name))
    yield connection
    await connection.close()


async def add_order(
    observer: Any, status: str, placed_s: float, settled_s: float | None = None
) -> UUID:
    order_id = ids.new_id()
    await observer.execute(
        "INSERT INTO orders.orders (tenant_id, id, status, reason, currency, total_minor, goods,"
        " placed_at, settled_at) VALUES ($1, $2, $3, $4, 'USD', 100, '[]', to_timestamp($5),"
        " to_timestamp($6))",
        TENANT, order_id, status, "expired" if status == "cancelled" else None, placed_s, settled_s,
    )  # fmt: skip
    await observer.execute(
        "INSERT INTO orders.lines (tenant_id, order_id, line_no, sku, quantity, unit_price,"
        " amount_minor) VALUES ($1, $2, 1, 'A', 2, 1, 100)",
        TENANT,
        order_id,
    )
    return order_id


async def add_shipment(observer: Any, order_id: UUID, created_s: float) -> None:
    await observer.execute(
        "INSERT INTO shipping.shipments (tenant_id, id, order_id, number, status, lines,"
        """ created_at) VALUES ($1, $2, $3, 1, 'pending', '[{"sku": "A"}]', to_timestamp($4))""",
        TENANT, ids.new_id(), order_id, created_s,
    )  # fmt: skip


async def add_notice(observer: Any, order_id: UUID, kind: str, created_s: float) -> None:
    await observer.execute(
        "INSERT INTO notifications.messages (tenant_id, id, order_id, kind, facts, status,"
        " created_at, due_at) VALUES ($1, $2, $3, $4, '{}', 'queued', to_timestamp($5), now())",
        TENANT, ids.new_id(), order_id, kind, created_s,
    )  # fmt: skip


async def test_an_order_is_open_until_its_shipment_and_its_notice_are_there(observer: Any) -> None:
    assert await census.count_open(observer) == 0
    await add_order(observer, "placed", 1.0)
    await add_order(observer, "cancelled", 1.0, 2.0)
    order_id = await add_order(observer, "confirmed", 1.0, 2.0)
    assert await census.count_open(observer) == 2
    await add_shipment(observer, order_id, 3.0)
    await add_notice(observer, order_id, "order_cancelled", 3.0)
    assert await census.count_open(observer) == 2
    await add_notice(observer, order_id, "order_confirmed", 3.0)
    assert await census.count_open(observer) == 1


async def test_the_orders_of_a_window_are_read_with_the_end_of_their_last_saga(
    observer: Any,
) -> None:
    await add_order(observer, "confirmed", 9.0, 9.5)
    order_id = await add_order(observer, "confirmed", 10.25, 10.5)
    await add_order(observer, "cancelled", 11.0, 11.125)
    await add_shipment(observer, order_id, 11.5)
    await add_notice(observer, order_id, "order_confirmed", 12.0)
    settled = await census.read_settlement(observer, 10.0)
    assert (settled.found, settled.confirmed, settled.cancelled, settled.open) == (2, 1, 1, 0)
    assert (settled.reasons, settled.seconds) == ({"expired": 1}, 2.0)
    assert settled.confirm_ms.p50 == 250.0


async def test_stock_is_added_up_over_locations_and_compared_with_confirmed_orders(
    observer: Any,
) -> None:
    for location, sold in (("main", 1), ("shop", 2)):
        await observer.execute(
            "INSERT INTO inventory.stock_items (tenant_id, sku, location, received, available,"
            " sold) VALUES ($1, 'A', $2, 10, 10 - $3::int, $3)",
            TENANT, location, sold,
        )  # fmt: skip
    await add_order(observer, "confirmed", 1.0, 2.0)
    await add_order(observer, "placed", 1.0)
    assert await census.read_stock_faults(observer) == StockFaults(oversold=0, stray=1)
    await add_order(observer, "confirmed", 1.0, 2.0)
    assert await census.read_stock_faults(observer) == StockFaults(oversold=1, stray=0)


async def test_statements_of_a_role_are_counted_by_name(
    observer: Any, postgres: EmbeddedPostgres, database_name: str
) -> None:
    app = await asyncpg.connect(postgres.app_url(database_name), connection_class=WalledConnection)
    try:
        await observer.execute("CREATE EXTENSION pg_stat_statements")
        await measure.reset_statements(observer)
        horizon = queries.load("serai.kernel").read_horizon
        for _ in range(3):
            await app.fetchval(horizon.text(""))
        await app.fetchval("SELECT 1 AS nameless")
        await observer.fetchval("SELECT 2 AS of_another_role")
        costs = {cost.name: cost for cost in await measure.list_statements(observer)}
    finally:
        await app.close()
    assert (costs["read_horizon"].calls, costs["read_horizon"].rows) == (3, 3)
    assert costs["SELECT $1 AS"].calls == 1
    assert set(costs) == {"read_horizon", "SELECT $1 AS"}
