"""Returns through the whole house: the goods go back to where they came from, and no further."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest

from serai.contexts.inventory.handlers import MoveStock
from serai.contexts.inventory.model import Move
from serai.contexts.inventory.store import PostgresStock
from serai.contexts.orders.contract import ReturnLine, ReturnNotPossible
from serai.contexts.orders.handlers import RequestCancellation
from serai.contexts.returns.handlers import AcceptReturn
from serai.contexts.shipping.handlers import DispatchOrder
from serai.contexts.shipping.model import Booking
from serai.kernel import ids
from serai.kernel.db import Database
from serai.kernel.events import Cause
from serai.kernel.tenant import POOLED
from tests.integration.house import House


@pytest.fixture
async def house(database: Database, tmp_path: Path) -> AsyncIterator[House]:
    opened = await House(database, tmp_path).open()
    await opened.offer("tent")
    async with database.transaction(POOLED, (opened.tenant,)) as tx:
        for place in ("a", "b"):
            await PostgresStock().insert_location(opened.tenant, place, place, 0, tx=tx, now=tx.now)
    yield opened
    assert await opened.findings() == []
    await opened.composition.close()


async def receive(house: House, **units: int) -> None:
    moves = tuple(Move("receipt", "tent", place, n, "receipt") for place, n in units.items())
    await house.submit("inventory.move_stock", MoveStock(house.tenant, moves, Cause(ids.new_id())))


async def dispatch(house: House, order_id: UUID) -> None:
    booking = Booking("caravan", None)
    await house.submit(
        "shipping.dispatch_orders",
        DispatchOrder(house.tenant, order_id, None, booking, ids.new_id(), Cause(ids.new_id())),
    )
    await house.rest()


async def take_back(house: House, order_id: UUID, units: int) -> None:
    await house.submit(
        "returns.accept_returns",
        AcceptReturn(
            house.tenant, ids.new_id(), order_id, (ReturnLine(1, units),), "torn",
            is_restocked=True, cause=Cause(ids.new_id()),
        ),
    )  # fmt: skip


async def places(house: House) -> dict[str, tuple[int, int]]:
    rows = await house.rows("SELECT location, available, sold FROM inventory.stock_items")
    return {row["location"]: (row["available"], row["sold"]) for row in rows}


async def test_units_go_back_to_the_places_they_were_sold_from_in_turn(house: House) -> None:
    await receive(house, a=3, b=2)
    order_id = await house.place(("tent", 5))
    await house.rest()
    await dispatch(house, order_id)
    for units, left in ((3, {"a": (3, 0), "b": (0, 2)}), (2, {"a": (3, 0), "b": (2, 0)})):
        await take_back(house, order_id, units)
        await house.rest()
        assert await places(house) == left
    statuses = await house.rows("SELECT status FROM returns.returns")
    assert [row["status"] for row in statuses] == ["refunded", "refunded"]


async def test_two_returns_in_one_batch_share_what_each_place_gave(house: House) -> None:
    await receive(house, a=3, b=2)
    order_id = await house.place(("tent", 5))
    await house.rest()
    await dispatch(house, order_id)
    await take_back(house, order_id, 2)
    await take_back(house, order_id, 3)
    await house.rest()
    assert await places(house) == {"a": (3, 0), "b": (2, 0)}


async def test_goods_that_have_not_left_are_not_taken_back(house: House) -> None:
    await receive(house, a=1)
    order_id = await house.place(("tent", 1))
    await house.rest()
    with pytest.raises(ReturnNotPossible, match="0 units were shipped"):
        await take_back(house, order_id, 1)
    assert await places(house) == {"a": (0, 1)}
    assert await house.rows("SELECT id FROM returns.returns") == []


async def test_what_is_being_cancelled_is_not_taken_back(house: House) -> None:
    await receive(house, a=1)
    order_id = await house.place(("tent", 1))
    await house.rest()
    await house.submit(
        "orders.request_cancellations",
        RequestCancellation(house.tenant, order_id, Cause(ids.new_id())),
    )
    with pytest.raises(ReturnNotPossible, match="being cancelled"):
        await take_back(house, order_id, 1)
    await house.rest()
    assert await places(house) == {"a": (1, 0)}
