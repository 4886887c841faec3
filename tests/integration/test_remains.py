"""What has not come to its end shows, and nothing else does, on a real PostgreSQL."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from serai.contexts.orders.contract import OrderPlaced
from serai.kernel import remains
from serai.kernel.db import Database
from serai.kernel.tenant import POOLED
from tests.integration.house import House


@pytest.fixture
async def house(database: Database, tmp_path: Path) -> AsyncIterator[House]:
    opened = await House(database, tmp_path).open()
    yield opened
    await opened.composition.close()


async def test_an_order_that_has_ended_leaves_nothing(house: House) -> None:
    await house.offer("tent")
    await house.receive(tent=5)
    await house.place(("tent", 1))
    await house.rest()
    async with house.database.transaction(POOLED, (house.tenant,), is_report=True) as tx:
        assert await remains.list_running_flows(house.tenant, tx=tx) == []
        consumers = house.composition.consumers
        assert await remains.list_unhandled_events(house.tenant, consumers, tx=tx) == []
        assert await remains.list_repeated_events(house.tenant, [OrderPlaced], tx=tx) == []


async def test_an_event_that_a_group_has_not_heard_is_listed_for_that_group(house: House) -> None:
    await house.offer("tent")
    await house.receive(tent=5)
    order_id = await house.place(("tent", 1))
    async with house.database.transaction(POOLED, (house.tenant,), is_report=True) as tx:
        consumers = house.composition.consumers
        (event,) = [
            event
            for event in await remains.list_unhandled_events(house.tenant, consumers, tx=tx)
            if event.key == order_id
        ]
    assert (event.group, event.type) == ("checkout", "orders.order_placed.v1")


async def test_a_saga_that_waits_for_its_money_is_running(house: House) -> None:
    await house.offer("tent")
    await house.receive(tent=5)
    order_id = await house.place(("tent", 1), card=None)
    await house.rest()
    async with house.database.transaction(POOLED, (house.tenant,), is_report=True) as tx:
        (flow,) = await remains.list_running_flows(house.tenant, tx=tx)
    assert (flow.flow, flow.key, flow.state) == ("checkout", order_id, "paying")


async def test_an_event_that_was_announced_again_is_told_of(house: House) -> None:
    await house.offer("tent")
    order_id = await house.place(("tent", 1))
    async with house.database.transaction(POOLED, (house.tenant,)) as tx:
        await tx.connection.execute(
            "INSERT INTO kernel.outbox (topic, partition, tenant_id, event_id, type, key, "
            "occurred_at, correlation_id, data) "
            "SELECT topic, partition, tenant_id, gen_random_uuid(), type, key, occurred_at, "
            "correlation_id, data FROM kernel.outbox WHERE key = $1",
            order_id,
        )
    async with house.database.transaction(POOLED, (house.tenant,), is_report=True) as tx:
        (event,) = await remains.list_repeated_events(house.tenant, [OrderPlaced], tx=tx)
    assert (event.key, event.times) == (order_id, 2)
