"""Checkout and cancellation as a machine: in any order of events, goods and money agree."""

# ruff: noqa: ARG002 - a fake is given what its port is given

from collections import Counter
from collections.abc import Coroutine, Sequence
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from serai.contexts.inventory.contract import OutOfStock, Reserved, ReserveStock, StockRef
from serai.contexts.orders.contract import (
    CancellationRequested,
    CancelOrder,
    ConfirmOrder,
    OrderedLine,
    OrderPlaced,
    OrderRef,
    RefundRecord,
)
from serai.contexts.payments.contract import (
    ExpectPayment,
    PaymentAuthorised,
    PaymentCaptured,
    PaymentDeclined,
    PaymentRef,
    RequestPayment,
)
from serai.contexts.shipping.contract import ShipmentRef
from serai.flows import cancellation, checkout
from serai.kernel.db import Tx
from serai.kernel.failure import Refused
from serai.kernel.flow import Flow, Instance, Start
from tests.unit.fulfilment_fakes import NOW, delivery_of, make_tx

TENANT = UUID(int=1)
ENDS = ("confirmed", "refused", "declined", "expired", "cancelled")
UNITS = 3
"""So few that buyers meet."""


class MemoryFlow(Flow):
    """Instances by key, with the compare-and-set of the real statements."""

    def __init__(self) -> None:
        super().__init__("checkout", ends=ENDS)
        self.states: dict[UUID, str] = {}

    async def start(self, starts: Sequence[Start], *, tx: Tx, now: datetime) -> set[UUID]:
        fresh = {s.key: s.state for s in starts if s.key not in self.states}
        self.states.update(fresh)
        return set(fresh)

    async def move(
        self,
        refs: Sequence[tuple[UUID, UUID]],
        *,
        states: Sequence[str],
        to: str,
        deadline_at: datetime | None = None,
        tx: Tx,
        now: datetime,
    ) -> set[UUID]:
        moved = {key for _, key in refs if self.states.get(key) in states}
        self.states.update(dict.fromkeys(moved, to))
        return moved

    async def find(self, refs: Sequence[tuple[UUID, UUID]], *, tx: Tx) -> dict[UUID, str]:
        return {key: self.states[key] for _, key in refs if key in self.states}


class Neighbours:
    """All contexts that the flows lead, each by what it promises."""

    def __init__(self) -> None:
        self.goods: dict[UUID, str] = {}
        self.units: dict[UUID, int] = {}
        self.orders: dict[UUID, str] = {}
        self.asked: set[UUID] = set()
        self.withdrawn: set[UUID] = set()
        self.captured: Counter[UUID] = Counter()
        self.sent: set[UUID] = set()

    @property
    def free(self) -> int:
        held = {key for key, state in self.goods.items() if state in {"reserved", "sold"}}
        return UNITS - sum(self.units[key] for key in held)

    async def reserve_stock(
        self, commands: Sequence[ReserveStock], *, tx: Tx, now: datetime
    ) -> list[Reserved | Refused]:
        outcomes: list[Reserved | Refused] = []
        for command in commands:
            units = sum(want.quantity for want in command.wants)
            if units > self.free:
                outcomes.append(OutOfStock("none left", skus=["a"]))
                continue
            assert command.order_id not in self.goods, "an order reserves once"
            self.goods[command.order_id], self.units[command.order_id] = "reserved", units
            outcomes.append(Reserved(command.order_id, command.wants, None))
        return outcomes

    async def commit_stock(self, refs: Sequence[StockRef], *, tx: Tx, now: datetime) -> None:
        for ref in refs:
            if self.goods.get(ref.order_id) == "reserved":
                self.goods[ref.order_id] = "sold"

    async def release_stock(self, refs: Sequence[StockRef], *, tx: Tx, now: datetime) -> None:
        for ref in refs:
            if ref.order_id in self.goods:
                self.goods[ref.order_id] = "released"

    async def request_payments(
        self, commands: Sequence[RequestPayment], *, tx: Tx, now: datetime
    ) -> None:
        self.asked.update(command.order_id for command in commands)

    async def expect_payments(
        self, commands: Sequence[ExpectPayment], *, tx: Tx, now: datetime
    ) -> None:
        self.asked.update(command.order_id for command in commands)

    async def withdraw_payments(self, refs: Sequence[PaymentRef], *, tx: Tx, now: datetime) -> None:
        self.withdrawn.update(ref.order_id for ref in refs)

    async def confirm_orders(
        self, commands: Sequence[ConfirmOrder], *, tx: Tx, now: datetime
    ) -> set[UUID]:
        for command in commands:
            assert self.orders[command.order_id] == "placed", "only a placed order is confirmed"
            self.orders[command.order_id] = "confirmed"
            self.captured[command.order_id] = command.captured_minor
        return {command.order_id for command in commands}

    async def cancel_orders(
        self, commands: Sequence[CancelOrder], *, tx: Tx, now: datetime
    ) -> set[UUID]:
        for command in commands:
            self.orders[command.order_id] = "cancelled"
        return {command.order_id for command in commands}

    async def keep_orders(self, refs: Sequence[OrderRef], *, tx: Tx, now: datetime) -> None:
        assert {ref.order_id for ref in refs} <= self.sent, "kept is what is on the road"

    async def mark_unpaid(self, refs: Sequence[OrderRef], *, tx: Tx, now: datetime) -> None:
        assert {ref.order_id for ref in refs} <= self.sent, "marked is what is on the road"

    async def record_captures(
        self, records: Sequence[RefundRecord], *, tx: Tx, now: datetime
    ) -> None:
        for record in records:
            known = self.captured[record.order_id]
            self.captured[record.order_id] = max(known, record.amount_minor)

    async def cancel_shipments(
        self, refs: Sequence[ShipmentRef], *, tx: Tx, now: datetime
    ) -> set[UUID]:
        return {ref.order_id for ref in refs} - self.sent


class Checkout(RuleBasedStateMachine):
    """Events of any order come in any order, twice, alone and in batches."""

    def __init__(self) -> None:
        super().__init__()
        self.world = Neighbours()
        self.flow = MemoryFlow()
        world: Any = self.world
        self.checkout = checkout.Checkout(world, world, world, world, timedelta(minutes=15))
        self.cancellation = cancellation.Cancellation(world, world, world, world)
        self.placed: list[OrderPlaced] = []
        self.ends: dict[UUID, str] = {}
        self.paid: set[UUID] = set()

    def run(self, step: Any, events: Sequence[Any]) -> None:
        self.finish(step([delivery_of(TENANT, event) for event in events], tx=make_tx(), now=NOW))

    def finish(self, work: Coroutine[Any, Any, None]) -> None:
        with (
            patch.object(checkout, "FLOW", self.flow),
            patch.object(cancellation, "FLOW", self.flow),
        ):
            try:
                work.send(None)
            except StopIteration:
                return
        raise AssertionError("work in memory waits for nothing")

    def pick(self, data: st.DataObject) -> list[OrderPlaced]:
        return data.draw(
            st.lists(st.sampled_from(self.placed), min_size=1, max_size=3, unique_by=id)
        )

    @rule(units=st.integers(1, 2), is_free=st.booleans(), has_card=st.booleans())
    def place(self, units: int, *, is_free: bool, has_card: bool) -> None:
        order = UUID(int=100 + len(self.placed))
        lines = (OrderedLine(1, "a", units),)
        total = 0 if is_free else 1000 * units
        card = "card" if has_card else None
        self.placed.append(OrderPlaced(order, "USD", total, card, False, lines))  # noqa: FBT003 - an event's fields stand in their order
        self.world.orders[order] = "placed"

    @precondition(lambda self: self.placed)
    @rule(data=st.data())
    def hear_placed(self, data: st.DataObject) -> None:
        self.run(self.checkout.on_order_placed, self.pick(data))

    def payable(self, data: st.DataObject) -> list[OrderPlaced]:
        return [p for p in self.pick(data) if p.order_id in self.world.asked]

    @precondition(lambda self: self.placed)
    @rule(data=st.data())
    def hear_captured(self, data: st.DataObject) -> None:
        paid = self.payable(data)
        self.paid.update(p.order_id for p in paid)
        events = [PaymentCaptured(p.order_id, p.order_id, p.total_minor) for p in paid]
        self.run(self.checkout.on_payment_captured, events)

    @precondition(lambda self: self.placed)
    @rule(data=st.data())
    def hear_authorised(self, data: st.DataObject) -> None:
        events = [
            PaymentAuthorised(p.order_id, p.order_id, p.total_minor) for p in self.payable(data)
        ]
        self.run(self.checkout.on_payment_authorised, events)

    @precondition(lambda self: self.placed)
    @rule(data=st.data())
    def hear_declined(self, data: st.DataObject) -> None:
        events = [
            PaymentDeclined(p.order_id, p.order_id, "no")
            for p in self.payable(data)
            if p.order_id not in self.paid
        ]
        self.run(self.checkout.on_payment_declined, events)

    @precondition(lambda self: self.placed)
    @rule(data=st.data())
    def ring(self, data: st.DataObject) -> None:
        due = [
            Instance(TENANT, "checkout", p.order_id, self.flow.states[p.order_id])
            for p in self.pick(data)
            if p.order_id in self.flow.states
        ]
        self.finish(self.checkout.ring(due, tx=make_tx(), now=NOW))

    @precondition(lambda self: self.placed)
    @rule(data=st.data())
    def send(self, data: st.DataObject) -> None:
        chosen = self.pick(data)
        self.world.sent |= {
            p.order_id for p in chosen if self.world.orders[p.order_id] == "confirmed"
        }

    @precondition(lambda self: self.placed)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        events = [
            CancellationRequested(p.order_id, self.world.orders[p.order_id] == "confirmed")
            for p in self.pick(data)
            if self.world.orders[p.order_id] != "cancelled"
        ]
        self.run(self.cancellation.on_cancellation_requested, events)

    @invariant()
    def goods_and_orders_agree(self) -> None:
        world = self.world
        assert world.free >= 0
        for order, status in world.orders.items():
            goods = world.goods.get(order)
            if status == "confirmed":
                assert goods == "sold"
                assert order not in world.withdrawn
            elif status == "cancelled":
                assert goods in {None, "released"}
                assert order not in world.sent
            else:
                assert goods in {None, "reserved"}

    @invariant()
    def no_end_is_taken_back_but_by_a_cancellation_or_a_lost_hold(self) -> None:
        for order, state in self.flow.states.items():
            earlier = self.ends.get(order)
            is_undone = earlier == "confirmed" and state in {"cancelled", "declined"}
            assert earlier in {None, state} or is_undone
            if state in ENDS:
                self.ends[order] = state

    @invariant()
    def money_is_kept_for_confirmed_orders_only(self) -> None:
        for order in self.paid:
            kept = order not in self.world.withdrawn
            assert kept is (self.world.orders[order] == "confirmed")


TestCheckout = Checkout.TestCase
TestCheckout.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
