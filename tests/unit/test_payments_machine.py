"""Every order of requests, answers, crashes, callbacks and withdrawals: the money adds up."""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any, TypeVar
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from serai.contexts.payments import model
from serai.contexts.payments.contract import PaymentCaptured, PaymentDeclined, RefundSettled
from serai.contexts.payments.gateways import sandbox_cards as cards
from serai.contexts.payments.gateways.sandbox_wire import Callback
from serai.kernel.events import Delivery
from tests.unit.payments_world import LATE_DELAY_S, World

T = TypeVar("T")
PICK = st.integers(min_value=0, max_value=999)
CARDS = st.sampled_from([cards.APPROVED] * 6 + list(cards.SCRIPTS))
ROUNDS_TO_REST_MAX = 40
# Few orders, so that what happens meets what happened.
ORDERS_MAX = 3


class Payments(RuleBasedStateMachine):
    """A shop, its impatient buyers, a provider behind a bad line, and workers that are killed."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.world = World()
        self.orders: list[UUID] = []
        self.asked: list[tuple[list[Delivery], Any]] = []
        self.news: list[Callback] = []
        self.captured: dict[UUID, int] = {}

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(coroutine)

    def order(self, pick: int) -> UUID:
        return self.orders[pick % len(self.orders)]

    @initialize(cards=st.lists(CARDS, min_size=1, max_size=2))
    def open_shop(self, cards: list[str]) -> None:
        for number, card in enumerate(cards):
            self.orders.append(self.run(self.world.request(5, card, is_manual=number % 2 == 1)))

    # What people and flows do.

    @precondition(lambda self: len(self.orders) < ORDERS_MAX)
    @rule(amount=st.integers(0, 6), card=CARDS, is_manual=st.booleans(), is_paid=st.booleans())
    def place(self, *, amount: int, card: str, is_manual: bool, is_paid: bool) -> None:
        if is_paid:
            order = self.run(self.world.request(amount, card, is_manual=is_manual))
        else:
            order = self.run(self.world.expect(amount, is_manual=is_manual))
            self.run(self.world.pay(order, card))
        self.orders.append(order)

    @rule(pick=PICK)
    def withdraw(self, pick: int) -> None:
        self.run(self.world.withdraw(self.order(pick)))

    @rule(pick=PICK, amount=st.sampled_from([None, 1, 2, 9]))
    def capture(self, pick: int, amount: int | None) -> None:
        self.run(self.world.capture(self.order(pick), amount))

    @rule(pick=PICK, amount=st.integers(1, 6))
    def refund(self, pick: int, amount: int) -> None:
        self.run(self.world.refund(self.order(pick), amount))

    # What workers do: a question that is never recorded is a worker that was killed.

    @precondition(lambda self: self.world.waiting())
    @rule(pick=PICK)
    def ask(self, pick: int) -> None:
        waiting = self.world.waiting()
        kind = waiting[pick % len(waiting)].type
        run = [delivery for delivery in waiting if delivery.type is kind]
        self.asked.append((run, self.run(self.world.ask(run))))

    @precondition(lambda self: self.asked)
    @rule(pick=PICK)
    def record(self, pick: int) -> None:
        deliveries, said = self.asked.pop(pick % len(self.asked))
        self.run(self.world.record(deliveries, said))

    @precondition(lambda self: self.world.waiting())
    @rule()
    def consume(self) -> None:
        self.run(self.world.consume())

    @precondition(lambda self: self.world.books.looks)
    @rule()
    def look(self) -> None:
        self.run(self.world.look())

    # What the world does.

    @rule(seconds=st.sampled_from([0.5, 1.0, 3.0, 10.0]))
    def wait(self, seconds: float) -> None:
        self.world.wait(seconds)
        self.news += self.world.news()

    @precondition(lambda self: self.news)
    @rule(pick=PICK)
    def hear(self, pick: int) -> None:
        self.run(self.world.hear(self.news[pick % len(self.news)]))

    @rule(lost=st.integers(0, 3), is_deaf=st.booleans())
    def disturb(self, *, lost: int, is_deaf: bool) -> None:
        self.world.provider.lost, self.world.provider.is_deaf = lost, is_deaf

    # What always holds.

    @invariant()
    def an_order_is_captured_once_and_told_once(self) -> None:
        for intent in self.world.books.intents.values():
            if intent.captured_minor:
                first = self.captured.setdefault(intent.order_id, intent.captured_minor)
                assert intent.captured_minor == first
        for event in (PaymentCaptured, PaymentDeclined):
            told = Counter(e.order_id for e in self.world.events(event))
            assert not told or max(told.values()) == 1

    @invariant()
    def no_undone_order_keeps_money(self) -> None:
        for intent in self.world.books.intents.values():
            if intent.status in {"declined", "withdrawn"}:
                assert intent.left_minor == 0

    @invariant()
    def a_payment_agrees_with_its_refunds(self) -> None:
        for intent in self.world.books.intents.values():
            sums: Counter[str] = Counter()
            for refund in self.world.refunds_of(intent.order_id):
                sums[refund.status] += refund.amount_minor
            assert intent.refunding_minor == sums["requested"] + sums["unknown"]
            assert intent.refunded_minor == sums["settled"]

    def teardown(self) -> None:
        """Lets everything come to rest; then our rows say what the provider's book says."""
        try:
            self.come_to_rest()
            for order in self.orders:
                self.agrees_with_the_provider(order)
        finally:
            self.runner.close()

    def come_to_rest(self) -> None:
        self.world.provider.lost, self.world.provider.is_deaf = 0, False
        for _ in range(ROUNDS_TO_REST_MAX):
            self.run(self.world.consume())
            self.world.wait(max(LATE_DELAY_S, model.LOOK_PAUSE_MAX_S))
            if not self.run(self.world.look()) and not self.world.waiting():
                break
        assert self.world.waiting() == []
        assert self.world.books.looks == {}

    def agrees_with_the_provider(self, order: UUID) -> None:
        intent, line = self.world.intent(order), self.world.line(order)
        assert not model.is_open(intent)
        assert intent.status != "requested"
        ours = (intent.captured_minor, intent.refunded_minor)
        assert ours == ((line.captured_minor, line.refunded_minor) if line else (0, 0))
        assert intent.refunding_minor == 0
        if intent.status in {"declined", "withdrawn"}:
            assert intent.captured_minor == intent.refunded_minor
            assert line is None or line.status in {"captured", "declined", "voided"}
        told = [e for e in self.world.events(RefundSettled) if e.order_id == order]
        expected = intent.refunded_minor if intent.status == "captured" else 0
        assert sum(event.amount_minor for event in told) == expected


Payments.TestCase.settings = settings(
    max_examples=120, stateful_step_count=40, deadline=None, derandomize=True
)
TestPayments = Payments.TestCase
