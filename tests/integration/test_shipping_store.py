"""The rows of shipping: the same promises on tables and in memory, and locks that hold."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol
from uuid import UUID

import asyncpg
import pytest
from msgspec.structs import replace

from serai.contexts.orders.contract import OrderConfirmed, OrderedLine
from serai.contexts.shipping import handlers, model
from serai.contexts.shipping import store as shipping_store
from serai.contexts.shipping.contract import ShipmentRef, ShippedLine
from serai.contexts.shipping.model import Shipment, TrackingEvent, Units
from serai.contexts.shipping.ports import Shipments
from serai.contexts.shipping.store import PostgresShipments
from serai.kernel.db import Database, Tx
from serai.kernel.embedded import EmbeddedPostgres
from serai.kernel.events import Cause
from serai.kernel.failure import Refused
from serai.kernel.tenant import POOLED
from tests.integration.fulfilment_shop import NOW, assert_plans
from tests.unit.fulfilment_fakes import MemoryShipments, OrderDesk, delivery_of, make_tx

A, B = UUID(int=1), UUID(int=2)
ORDER, OTHER = UUID(int=10), UUID(int=11)
LINES = (ShippedLine(1, "MUG", 5), ShippedLine(2, 'T"EA', 2))
FIRST = Shipment(A, UUID(int=20), ORDER, 1, "pending", LINES, NOW)
CAUSE = Cause(UUID(int=99))


class Setting(Protocol):
    """Rows, and transactions on them."""

    rows: Shipments

    def transaction(self) -> AbstractAsyncContextManager[Tx]: ...


class MemorySetting:
    def __init__(self) -> None:
        self.rows: Shipments = MemoryShipments()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        yield make_tx()


class PostgresSetting:
    def __init__(self, database: Database) -> None:
        self.rows: Shipments = PostgresShipments()
        self._database = database

    def transaction(self) -> AbstractAsyncContextManager[Tx]:
        return self._database.transaction(POOLED, (A, B))


@pytest.fixture(params=["memory", "postgres"])
def setting(request: pytest.FixtureRequest) -> Setting:
    if request.param == "memory":
        return MemorySetting()
    return PostgresSetting(request.getfixturevalue("database"))


async def all_of(setting: Setting, *orders: tuple[UUID, UUID]) -> list[Shipment]:
    async with setting.transaction() as tx:
        return await setting.rows.lock_by_order(orders, tx=tx)


async def test_what_is_written_is_read_again(setting: Setting) -> None:
    second = replace(FIRST, id=UUID(int=21), number=2)
    other = replace(FIRST, id=UUID(int=22), tenant_id=B)
    async with setting.transaction() as tx:
        ids = await setting.rows.insert([second, FIRST, other], tx=tx)
    assert ids == {FIRST.id, second.id, other.id}
    assert await all_of(setting, (A, ORDER)) == [FIRST, second]
    assert await all_of(setting, (B, ORDER), (A, ORDER)) == [FIRST, second, other]
    assert await all_of(setting, (A, OTHER)) == []


async def test_a_taken_id_or_number_is_left_as_it_is(setting: Setting) -> None:
    same_id = replace(FIRST, order_id=OTHER)
    same_number = replace(FIRST, id=UUID(int=21), lines=LINES[:1])
    fresh = replace(FIRST, id=UUID(int=22), order_id=OTHER)
    async with setting.transaction() as tx:
        assert await setting.rows.insert([FIRST], tx=tx) == {FIRST.id}
        found = await setting.rows.insert([same_number, same_id, fresh], tx=tx)
        assert found == {fresh.id}
    assert await all_of(setting, (A, ORDER), (A, OTHER)) == [FIRST, fresh]


async def test_changes_are_kept_and_touch_nothing_else(setting: Setting) -> None:
    other = replace(FIRST, id=UUID(int=21), order_id=OTHER)
    same_id_of_another = replace(FIRST, tenant_id=B)
    changed = replace(
        FIRST, status="delivered", lines=LINES[:1], carrier="Post", tracking_number="T'1",
        dispatched_at=NOW, delivered_at=NOW, version=3, tracking_count=1,
    )  # fmt: skip
    async with setting.transaction() as tx:
        await setting.rows.insert([FIRST, other, same_id_of_another], tx=tx)
        await setting.rows.update([changed], tx=tx)
    assert await all_of(setting, (A, ORDER), (A, OTHER)) == [changed, other]
    assert await all_of(setting, (B, ORDER)) == [same_id_of_another]


async def test_a_shipment_brings_its_whole_order(setting: Setting) -> None:
    second = replace(FIRST, id=UUID(int=21), number=2)
    strange = replace(FIRST, id=UUID(int=22), order_id=OTHER)
    async with setting.transaction() as tx:
        await setting.rows.insert([FIRST, second, strange], tx=tx)
    async with setting.transaction() as tx:
        lock = setting.rows.lock_by_id
        assert await lock([(A, second.id), (B, FIRST.id), (A, UUID(int=9))], tx=tx) == [
            FIRST, second,
        ]  # fmt: skip
        assert await lock([(A, FIRST.id), (A, second.id)], tx=tx) == [FIRST, second]
        assert await lock([(B, FIRST.id)], tx=tx) == []


# ------------------------------------------------------------------ tables only


async def test_pages_are_read_newest_first(database: Database) -> None:
    rows, newest = PostgresShipments(), UUID(int=(1 << 128) - 1)
    shipments = [
        replace(FIRST, id=UUID(int=n), order_id=UUID(int=1000 + n % 3), number=n)
        for n in range(1, 10)
    ]
    gone = [replace(s, status="cancelled", version=2) for s in shipments[::2]]
    async with database.transaction(POOLED, (A, B)) as tx:
        await rows.insert(shipments, tx=tx)
        await rows.update(gone, tx=tx)

        async def page(**wanted: Any) -> list[int]:
            given = {"order_id": None, "status": None, "before": newest, "limit": 50, **wanted}
            return [s.id.int for s in await rows.list_page(A, tx=tx, **given)]

        assert await page() == [9, 8, 7, 6, 5, 4, 3, 2, 1]
        assert await page(before=UUID(int=7), limit=3) == [6, 5, 4]
        assert await page(status="cancelled", before=UUID(int=9)) == [7, 5, 3, 1]
        assert await page(order_id=UUID(int=1001)) == [7, 4, 1]
        assert await page(order_id=UUID(int=1001), status="pending") == [4]
        assert await rows.find(A, UUID(int=2), tx=tx) == shipments[1]
        assert await rows.find(B, UUID(int=2), tx=tx) is None


async def test_tracking_is_read_in_the_order_of_what_happened(database: Database) -> None:
    rows = PostgresShipments()
    later = NOW.replace(hour=13)
    happened = [
        TrackingEvent(A, FIRST.id, UUID(int=n), status, "x", at)
        for n, (status, at) in enumerate([("b", later), ("a", NOW), ("c", later)])
    ]
    async with database.transaction(POOLED, (A,)) as tx:
        await rows.insert([FIRST], tx=tx)
        await rows.insert_tracking(happened, tx=tx)
        assert await rows.list_tracking(A, FIRST.id, tx=tx) == [
            happened[1], happened[0], happened[2],
        ]  # fmt: skip
        assert await rows.list_tracking(A, UUID(int=9), tx=tx) == []


IMPOSSIBLE = [
    replace(FIRST, status="dispatched", carrier="Post"),
    replace(FIRST, status="dispatched", dispatched_at=NOW),
    replace(FIRST, status="delivered", carrier="Post", dispatched_at=NOW),
    replace(FIRST, status="pending", delivered_at=NOW),
    replace(FIRST, lines=()),
]


async def test_the_table_refuses_what_must_never_be(database: Database) -> None:
    rows = PostgresShipments()
    async with database.transaction(POOLED, (A,)) as tx:
        await rows.insert([FIRST], tx=tx)
    for impossible in IMPOSSIBLE:
        with pytest.raises(asyncpg.CheckViolationError):
            async with database.transaction(POOLED, (A,)) as tx:
                await rows.update([impossible], tx=tx)
    async with database.transaction(POOLED, (A,)) as tx:
        assert await rows.find(A, FIRST.id, tx=tx) == FIRST


def confirmation(order_id: UUID) -> OrderConfirmed:
    return OrderConfirmed(order_id, "GBP", 900, None, (OrderedLine(1, "MUG", 5),))


async def confirm(database: Database, *orders: UUID) -> None:
    async with database.transaction(POOLED, (A,)) as tx:
        await handlers.hear_order_confirmed(
            [delivery_of(A, confirmation(order)) for order in orders],
            tx=tx,
            now=NOW,
            shipments=PostgresShipments(),
        )


async def cancel(database: Database, *orders: UUID) -> set[UUID]:
    async with database.transaction(POOLED, (A,)) as tx:
        refs = [ShipmentRef(A, order, CAUSE) for order in orders]
        return await handlers.cancel_shipments(refs, tx=tx, now=NOW, shipments=PostgresShipments())


async def dispatch(database: Database, order: UUID, *units: Units) -> str:
    async with database.transaction(POOLED, (A,)) as tx:
        command = handlers.DispatchOrder(
            A,
            order,
            units or None,
            model.Booking("Post", None),
            UUID(int=tx.now.microsecond),
            CAUSE,
        )
        (outcome,) = await handlers.dispatch_orders(
            [command], tx=tx, now=NOW, shipments=PostgresShipments(), orders=OrderDesk()
        )
        return outcome.code if isinstance(outcome, Refused) else outcome.status


async def statuses(database: Database, order: UUID) -> list[str]:
    async with database.transaction(POOLED, (A,)) as tx:
        return [s.status for s in await PostgresShipments().lock_by_order([(A, order)], tx=tx)]


async def test_a_confirmation_and_a_cancellation_at_once_ship_nothing(database: Database) -> None:
    for round_no in range(10):
        orders = [UUID(int=1000 * (1 + round_no) + n) for n in range(20)]
        confirming = asyncio.create_task(confirm(database, *orders))
        if round_no % 2:
            await asyncio.sleep(0)
        undone = await cancel(database, *reversed(orders))
        await confirming
        assert undone == set(orders)
        assert [await statuses(database, order) for order in orders] == [["cancelled"]] * 20


async def test_a_dispatch_and_a_cancellation_at_once_have_one_winner(database: Database) -> None:
    orders = [UUID(int=1000 + n) for n in range(12)]
    await confirm(database, *orders)
    outcomes = await asyncio.gather(
        *(step for order in orders for step in (dispatch(database, order), cancel(database, order)))
    )
    for order, sent, undone in zip(orders, outcomes[::2], outcomes[1::2], strict=True):
        winner = ("dispatched", set()) if sent == "dispatched" else ("illegal_state", {order})
        assert (sent, undone) == winner
        end = "dispatched" if sent == "dispatched" else "cancelled"
        assert await statuses(database, order) == [end]


async def test_parts_of_an_order_that_leave_at_once_are_each_sent_once(
    database: Database,
) -> None:
    await confirm(database, ORDER)
    outcomes = await asyncio.gather(*(dispatch(database, ORDER, Units(1, 2)) for _ in range(4)))
    assert sorted(outcomes) == ["dispatched", "dispatched", "nothing_to_ship", "nothing_to_ship"]
    async with database.transaction(POOLED, (A,)) as tx:
        kept = await PostgresShipments().lock_by_order([(A, ORDER)], tx=tx)
    assert [(s.number, s.status, s.lines[0].quantity) for s in kept] == [
        (1, "dispatched", 2), (2, "dispatched", 2), (3, "pending", 1),
    ]  # fmt: skip


async def test_every_statement_of_shipping_goes_by_an_index(
    postgres: EmbeddedPostgres, database_name: str
) -> None:
    by_order = "((tenant_id = w.tenant_id) AND (order_id = w.order_id)"
    await assert_plans(
        postgres.app_url(database_name),
        shipping_store.SQL,
        {
            "insert_shipments": ["Conflict Resolution: NOTHING"],
            "lock_orders": [by_order],
            "lock_orders_of_shipments": [
                "((tenant_id = w.tenant_id) AND (id = w.id))",
                "((tenant_id = o.tenant_id) AND (order_id = o.order_id)",
            ],
            "find_shipments_of_orders": [by_order],
            "update_shipments": ["((tenant_id = n.tenant_id) AND (id = n.id))"],
            "find_shipment": ["((tenant_id = $1) AND (id = $2))"],
            "list_tracking_events": ["((tenant_id = $1) AND (shipment_id = $2))"],
            "list_shipments": ["((tenant_id = $1) AND (id < $2))"],
            "list_shipments_in_status": ["((tenant_id = $1) AND (status = $4) AND (id < $2))"],
            "list_shipments_of_order": ["((tenant_id = $1) AND (order_id = $5))"],
            "check_cancelled": ["((tenant_id = $1) AND (status = 'cancelled'::text))"],
            "check_waiting": ["((tenant_id = $1) AND (status = 'pending'::text))"],
            "check_delivered": ["((tenant_id = $1) AND (status = 'delivered'::text))"],
        },
    )
