"""Every order of requests, answers, crashes, callbacks and withdrawals: the money adds up."""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any, TypeVar
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from serai.contexts.payments import model
from serai.contexts.payments.contract import PaymentCaptured, PaymentDeclined, RefundSettled
from serai.contexts.payments.gateways import sandbox_cards as cards
from serai.contexts.payments.gateways.sandbox_wire import Callback
from serai.kernel.events import Delivery
from tests.unit.payments_world import LATE_DELAY_S, World

T = TypeVar("T")
PICK = st.integers(min_value=0, max_value=999)
CARDS = st.sampled_from(list(cards.SCRIPTS))
ROUNDS_TO_REST_MAX = 40


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

    def order(self, pick: int) -> UUID | None:
        return self.orders[pick % len(self.orders)] if self.orders else None

    # What people and flows do.

    @rule(amount=st.integers(0, 6), card=CARDS, is_manual=st.booleans())
    def request(self, *, amount: int, card: str, is_manual: bool) -> None:
        request = self.world.request(amount, card, is_manual=is_manual)
        self.orders.append(self.run(request))

    @rule(amount=st.integers(1, 6), is_manual=st.booleans())
    def expect(self, *, amount: int, is_manual: bool) -> None:
        self.orders.append(self.run(self.world.expect(amount, is_manual=is_manual)))

    @rule(pick=PICK, card=CARDS)
    def pay(self, pick: int, card: str) -> None:
        if order := self.order(pick):
            self.run(self.world.pay(order, card))

    @rule(pick=PICK)
    def withdraw(self, pick: int) -> None:
        if order := self.order(pick):
            self.run(self.world.withdraw(order))

    @rule(pick=PICK, amount=st.sampled_from([None, 1, 2, 9]))
    def capture(self, pick: int, amount: int | None) -> None:
        if order := self.order(pick):
            self.run(self.world.capture(order, amount))

    @rule(pick=PICK, amount=st.integers(1, 6))
    def refund(self, pick: int, amount: int) -> None:
        if order := self.order(pick):
            self.run(self.world.refund(order, amount))

    # What workers do: a question that is never recorded is a worker that was killed.

    @rule(pick=PICK)
    def ask(self, pick: int) -> None:
        if waiting := self.world.waiting():
            kind = waiting[pick % len(waiting)].type
            run = [delivery for delivery in waiting if delivery.type is kind]
            self.asked.append((run, self.run(self.world.ask(run))))

    @rule(pick=PICK)
    def record(self, pick: int) -> None:
        if self.asked:
            deliveries, said = self.asked.pop(pick % len(self.asked))
            self.run(self.world.record(deliveries, said))

    @rule()
    def consume(self) -> None:
        self.run(self.world.consume())

    @rule()
    def look(self) -> None:
        self.run(self.world.look())

    # What the world does.

    @rule(seconds=st.sampled_from([0.5, 1.0, 3.0, 10.0]))
    def wait(self, seconds: float) -> None:
        self.world.wait(seconds)
        self.news += self.world.news()

    @rule(pick=PICK)
    def hear(self, pick: int) -> None:
        if self.news:
            self.run(self.world.hear(self.news[pick % len(self.news)]))

    @rule(lost=st.integers(0, 3))
    def lose_answers(self, lost: int) -> None:
        self.world.provider.lost = lost

    @rule(is_deaf=st.booleans())
    def go_deaf(self, *, is_deaf: bool) -> None:
        self.world.provider.is_deaf = is_deaf

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
    max_examples=60, stateful_step_count=40, deadline=None, derandomize=True
)
TestPayments = Payments.TestCase
