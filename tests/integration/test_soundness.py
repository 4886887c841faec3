"""`serai check` finds what is planted in a database that was sound a moment ago."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from serai.kernel.db import Database
from serai.kernel.tenant import POOLED
from tests.integration.house import House

LATER = timedelta(minutes=2)


@pytest.fixture
async def house(database: Database, tmp_path: Path) -> AsyncIterator[House]:
    opened = await House(database, tmp_path).open()
    await opened.offer("tent")
    await opened.receive(tent=5)
    await opened.place(("tent", 2))
    await opened.place(("tent", 9))
    await opened.rest()
    opened.clock.advance(LATER)
    yield opened
    await opened.composition.close()


async def plant(house: House, *statements: str) -> None:
    async with house.database.transaction(POOLED, (house.tenant,)) as tx:
        for statement in statements:
            await tx.connection.execute(statement)


async def test_a_sound_database_is_clean(house: House) -> None:
    statuses = await house.rows("SELECT status FROM orders.orders ORDER BY id")
    assert [row["status"] for row in statuses] == ["confirmed", "cancelled"]
    assert await house.findings() == []


@pytest.mark.parametrize(
    ("fault", "check", "word"),
    [
        ("DELETE FROM shipping.shipments", "flows.orders_agree", "0 units are in shipments"),
        ("DELETE FROM payments.intents", "flows.orders_agree", "has no payment"),
        (
            "UPDATE payments.intents SET status = 'declined', captured_minor = 0",
            "flows.orders_agree",
            "its payment is declined",
        ),
        (
            "UPDATE orders.orders SET captured_minor = 5 WHERE status = 'confirmed'",
            "flows.orders_agree",
            "captured are 2000, the order says 5",
        ),
        (
            "UPDATE inventory.reservations SET state = 'released'",
            "flows.orders_agree",
            "0 are sold",
        ),
        (
            "UPDATE orders.orders SET status = 'cancelled', reason = 'requested', "
            "captured_minor = 0 WHERE status = 'confirmed'",
            "flows.orders_agree",
            "holds 2 units",
        ),
        ("DELETE FROM notifications.messages", "flows.orders_agree", "nobody was told"),
        (
            "UPDATE shipping.shipments SET "
            """lines = '[{"line_no":1,"sku":"tent","quantity":999}]'""",
            "flows.orders_agree",
            "999 units are in shipments",
        ),
        (
            "DELETE FROM orders.orders WHERE status = 'confirmed'",
            "flows.orders_agree",
            "does not exist",
        ),
        (
            "UPDATE kernel.flows SET state = 'paying', ended_at = NULL, deadline_at = NULL",
            "kernel.flows_end",
            "state=paying",
        ),
        (
            "DELETE FROM kernel.inbox WHERE group_name = 'shipping'",
            "kernel.events_handled",
            "shipping",
        ),
        (
            "INSERT INTO kernel.dead_letters (tenant_id, group_name, event_id, topic, partition, "
            "xid, seq, type, key, occurred_at, correlation_id, data, state, next_at, parked_at) "
            "SELECT tenant_id, 'shipping', event_id, topic, partition, xid, seq, type, key, "
            "occurred_at, correlation_id, data, 'dead', occurred_at, occurred_at "
            "FROM kernel.outbox WHERE type = 'orders.order_confirmed.v1'",
            "kernel.letters_parked",
            "state=dead",
        ),
    ],
)
async def test_a_planted_fault_is_found(house: House, fault: str, check: str, word: str) -> None:
    await plant(house, fault)
    found = await house.findings()
    assert [f for f in found if f.check == check and word in f.detail], found
