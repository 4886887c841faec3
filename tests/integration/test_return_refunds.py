"""Returns in the whole house: what comes back, and what is paid for it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from serai.contexts.orders.contract import ReturnLine
from serai.contexts.returns.handlers import AcceptReturn
from serai.contexts.shipping.handlers import DispatchOrder
from serai.contexts.shipping.model import Booking
from serai.kernel import ids
from serai.kernel.db import Database
from serai.kernel.events import Cause
from tests.integration.house import House


@pytest.fixture
async def house(database: Database, tmp_path: Path) -> AsyncIterator[House]:
    opened = await House(database, tmp_path).open()
    await opened.offer("tent")
    await opened.receive(tent=10)
    yield opened
    findings = await opened.findings()
    await opened.composition.close()
    assert findings == []


async def test_a_return_is_refunded_at_what_was_paid(house: House) -> None:
    """The catalog asks 10.00 a piece; these were sold at 12.50."""
    order_id = await house.place(("tent", 3), price="12.50")
    await house.rest()
    booking = Booking("caravan", None)
    await house.submit(
        "shipping.dispatch_orders",
        DispatchOrder(house.tenant, order_id, None, booking, ids.new_id(), Cause(ids.new_id())),
    )
    await house.rest()
    command = AcceptReturn(
        house.tenant, ids.new_id(), order_id, (ReturnLine(1, 2),), "too small",
        is_restocked=True, cause=Cause(ids.new_id()),
    )  # fmt: skip
    await house.submit("returns.accept_returns", command)
    await house.rest()
    order = await house.order(order_id)
    assert (order["captured_minor"], order["refunded_minor"]) == (3750, 2500)
    (row,) = await house.rows("SELECT status, refund_minor FROM returns.returns")
    assert row == {"status": "refunded", "refund_minor": 2500}
    assert await house.stock("tent") == (9, 0, 1, 0)
