"""Orders as a machine: an order has one end, and its units go out and come back once."""

# ruff: noqa: ARG002 - a fake is given what its port is given

from collections import Counter
from collections.abc import Coroutine, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from serai.contexts.orders import handlers
from serai.contexts.orders.contract import (
    CancellationRequested,
    CancelOrder,
    ConfirmOrder,
    OrderCancelled,
    OrderConfirmed,
    OrderedLine,
    ReturnLine,
    ReturnLines,
    Taken,
)
from serai.contexts.orders.handlers import RequestCancellation
from serai.contexts.orders.model import Back, KeptLine, Order
from serai.contexts.shipping.contract import ShipmentDispatched, ShippedLine
from serai.kernel.db import Tx
from serai.kernel.events import Cause
from tests.unit.fulfilment_fakes import NOW, announced, delivery_of, make_tx

TENANT = UUID(int=1)
CAUSE = Cause(UUID(int=2))
PRICE = Decimal("10.00")
Key = tuple[UUID, UUID]
T = TypeVar("T")


def finish(work: Coroutine[Any, Any, T]) -> T:
    """The outcome of work that waits for nothing, without the cost of a loop."""
    try:
        work.send(None)
    except StopIteration as done:
        outcome: T = done.value
        return outcome
    raise AssertionError("work in memory waits for nothing")


class MemoryBook:
    """What of the port OrderBook the machine needs, with the conditions of its statements."""

    def __init__(self) -> None:
        self.orders: dict[Key, Order] = {}
        self.lines: dict[Key, list[KeptLine]] = {}

    def _change(self, key: Key, **fields: Any) -> None:
        old = self.orders[key]
        self.orders[key] = msgspec.structs.replace(old, version=old.version + 1, **fields)

    async def confirm_orders(
        self, commands: Sequence[ConfirmOrder], *, tx: Tx, now: datetime
    ) -> dict[UUID, tuple[str, int, str | None, tuple[OrderedLine, ...]]]:
        done: dict[UUID, tuple[str, int, str | None, tuple[OrderedLine, ...]]] = {}
        for command in commands:
            key = (command.tenant_id, command.order_id)
            if self.orders[key].status == "placed":
                self._change(key, status="confirmed", captured_minor=command.captured_minor)
                done[command.order_id] = ("USD", self.orders[key].total_minor, None, ())
        return done

    async def cancel_orders(
        self, commands: Sequence[CancelOrder], *, tx: Tx, now: datetime
    ) -> dict[UUID, tuple[str, int, str | None]]:
        done: dict[UUID, tuple[str, int, str | None]] = {}
        for command in commands:
            key = (command.tenant_id, command.order_id)
            if self.orders[key].status != "cancelled":
                self._change(key, status="cancelled", reason=command.reason)
                done[command.order_id] = ("USD", self.orders[key].total_minor, None)
        return done

    async def keep_orders(self, keys: Sequence[Key], *, tx: Tx) -> None:
        for key in keys:
            if self.orders[key].status == "confirmed":
                self._change(key, is_cancelling=False)

    async def lock_orders(self, keys: Sequence[Key], *, tx: Tx) -> dict[Key, Order]:
        return {key: self.orders[key] for key in keys if key in self.orders}

    async def list_lines(self, keys: Sequence[Key], *, tx: Tx) -> dict[Key, list[KeptLine]]:
        return {
            key: [msgspec.structs.replace(line) for line in self.lines[key]]
            for key in keys
            if key in self.lines
        }

    async def request_cancellations(self, keys: Sequence[Key], *, tx: Tx) -> None:
        for key in keys:
            self._change(key, is_cancelling=True)

    async def return_lines(self, back: Mapping[tuple[UUID, UUID, int], Back], *, tx: Tx) -> None:
        for (tenant, order, number), more in back.items():
            line = self.lines[tenant, order][number - 1]
            line.returned += more.quantity
            line.refund_minor += more.refund_minor

    async def ship_lines(self, units: Sequence[tuple[UUID, UUID, int, int]], *, tx: Tx) -> None:
        for tenant, order, number, quantity in units:
            self.lines[tenant, order][number - 1].shipped += quantity


class Orders(RuleBasedStateMachine):
    """One batch a step, of commands to any of the orders, the same one twice too."""

    def __init__(self) -> None:
        super().__init__()
        self.book = MemoryBook()
        self.port: Any = self.book
        self.told: Counter[tuple[str, UUID]] = Counter()
        self.ends: dict[UUID, str] = {}
        self.refunds: Counter[UUID] = Counter()

    def run(self, work: Coroutine[Any, Any, T], tx: Tx) -> T:
        done = finish(work)
        for event in announced(tx):
            self.told[type(event).__name__, event.order_id] += 1  # type: ignore[attr-defined]
        return done

    def pick(self, data: st.DataObject) -> list[UUID]:
        known = [order_id for _, order_id in self.book.orders]
        return data.draw(st.lists(st.sampled_from(known), min_size=1, max_size=4))

    @rule(quantities=st.lists(st.integers(1, 3), min_size=1, max_size=2))
    def place(self, quantities: list[int]) -> None:
        key = (TENANT, UUID(int=100 + len(self.book.orders)))
        total, is_cancelling = 1000 * sum(quantities), False
        self.book.orders[key] = Order(
            TENANT, key[1], "placed", None, is_cancelling, "USD", total, 0, 0, None, None, None,
            NOW, None, 1, is_unpaid=False,
        )  # fmt: skip
        self.book.lines[key] = [
            KeptLine(n, f"sku-{n}", quantity, PRICE, 1000 * quantity, 0, 0)
            for n, quantity in enumerate(quantities, 1)
        ]

    @precondition(lambda self: self.book.orders)
    @rule(data=st.data())
    def confirm(self, data: st.DataObject) -> None:
        tx, ids = make_tx(), dict.fromkeys(self.pick(data))
        commands = [
            ConfirmOrder(TENANT, i, self.book.orders[TENANT, i].total_minor, CAUSE) for i in ids
        ]
        self.run(handlers.confirm_orders(commands, tx=tx, now=NOW, book=self.port), tx)

    @precondition(lambda self: self.book.orders)
    @rule(data=st.data())
    def ask_to_cancel(self, data: st.DataObject) -> None:
        tx = make_tx()
        commands = [RequestCancellation(TENANT, i, CAUSE) for i in self.pick(data)]
        self.run(handlers.request_cancellations(commands, tx=tx, now=NOW, book=self.port), tx)
        asked = Counter(e.order_id for e in announced(tx) if isinstance(e, CancellationRequested))
        assert all(count == 1 for count in asked.values()), "a wish is told once"

    @precondition(lambda self: self.book.orders)
    @rule(data=st.data())
    def cancel_or_keep(self, data: st.DataObject) -> None:
        """What the cancellation flow does: an order of which goods have left is kept."""
        tx = make_tx()
        wished = [i for i in self.pick(data) if self.book.orders[TENANT, i].is_cancelling]
        left = {i for i in wished if any(line.shipped for line in self.book.lines[TENANT, i])}
        commands = [
            CancelOrder(TENANT, i, "requested", CAUSE)
            for i in dict.fromkeys(wished)
            if i not in left
        ]
        self.run(handlers.cancel_orders(commands, tx=tx, now=NOW, book=self.port), tx)
        finish(self.book.keep_orders([(TENANT, i) for i in sorted(left)], tx=tx))

    @precondition(lambda self: self.book.orders)
    @rule(data=st.data())
    def ship(self, data: st.DataObject) -> None:
        """Shipping sends what waits of a confirmed order, and tells of it."""
        for order_id in dict.fromkeys(self.pick(data)):
            order, lines = self.book.orders[TENANT, order_id], self.book.lines[TENANT, order_id]
            units = tuple(
                ShippedLine(line.line_no, line.sku, line.quantity - line.shipped)
                for line in lines
                if line.quantity > line.shipped
            )
            if order.status != "confirmed" or not units:
                continue
            tx = make_tx()
            event = ShipmentDispatched(order_id, UUID(int=5), "Post", None, units)
            heard = [delivery_of(TENANT, event)]
            self.run(
                handlers.hear_shipment_dispatched(heard, tx=tx, now=NOW, book=self.port),
                tx,
            )

    @precondition(lambda self: self.book.orders)
    @rule(data=st.data(), units=st.integers(1, 2))
    def take_back(self, data: st.DataObject, units: int) -> None:
        tx = make_tx()
        commands = [ReturnLines(TENANT, i, (ReturnLine(1, units),), CAUSE) for i in self.pick(data)]
        before = {key: order.is_cancelling for key, order in self.book.orders.items()}
        answers = self.run(
            handlers.return_lines(commands, tx=tx, now=NOW, book=self.port),
            tx,
        )
        for command, answer in zip(commands, answers, strict=True):
            if isinstance(answer, Taken):
                assert not before[TENANT, command.order_id], "nothing comes back while it is undone"
                self.refunds[command.order_id] += answer.refund_minor

    @invariant()
    def an_order_has_one_end(self) -> None:
        for (_, order_id), order in self.book.orders.items():
            if self.ends.get(order_id) == "cancelled":
                assert order.status == "cancelled"
            if order.status != "placed":
                self.ends[order_id] = order.status
            for event in (OrderConfirmed, OrderCancelled):
                assert self.told[event.__name__, order_id] <= 1

    @invariant()
    def no_unit_moves_twice(self) -> None:
        for (_, order_id), lines in self.book.lines.items():
            order = self.book.orders[TENANT, order_id]
            for line in lines:
                assert 0 <= line.shipped <= line.quantity
                assert 0 <= line.returned <= line.shipped
                if order.status == "cancelled":
                    assert line.shipped == line.returned == 0
            assert self.refunds[order_id] <= order.total_minor


TestOrders = Orders.TestCase
TestOrders.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
