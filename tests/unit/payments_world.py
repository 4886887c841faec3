"""Payments with everything around them: rows in memory, the sandbox, a log and a clock by hand."""

from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec

from serai.contexts.payments import model
from serai.contexts.payments.contract import (
    CaptureRequested,
    ExpectPayment,
    PaymentRef,
    PaymentRequested,
    PaymentWithdrawn,
    RefundRequested,
    RequestPayment,
    RequestRefund,
)
from serai.contexts.payments.gateways import sandbox_cards as cards
from serai.contexts.payments.gateways.sandbox import DirectSandbox
from serai.contexts.payments.gateways.sandbox_book import SandboxBook
from serai.contexts.payments.gateways.sandbox_wire import BookLine, Callback
from serai.contexts.payments.handlers import answers, requests
from serai.contexts.payments.handlers.answers import HearCallback
from serai.contexts.payments.handlers.asking import Asking
from serai.contexts.payments.handlers.looking import Looking
from serai.contexts.payments.handlers.requests import CapturePayment, PayOrder, RefundPayment
from serai.contexts.payments.model import Intent, Refund
from serai.contexts.payments.ports import Answer
from serai.kernel import ids
from serai.kernel.clock import ManualClock
from serai.kernel.events import Cause, Delivery
from serai.kernel.failure import Refused
from serai.kernel.tenant import POOLED
from tests.unit.payments_memory import (
    START,
    FlakyProvider,
    MemoryBooks,
    MemoryDatabase,
    OneHome,
    delivery_of,
)

HOLD = timedelta(seconds=5)
CALLBACK_DELAY_S = 1.0
LATE_DELAY_S = 3.0
WHY = Cause(ids.new_id())
HEARD = (PaymentRequested, CaptureRequested, PaymentWithdrawn, RefundRequested)


class World:
    """One tenant's payments. Nothing happens by itself: each step is one call."""

    def __init__(self) -> None:
        self.tenant = ids.new_id()
        self.clock = ManualClock(START)
        self.books = MemoryBooks()
        self.database = MemoryDatabase(self.clock)
        self.sandbox = SandboxBook(callback_delay_s=CALLBACK_DELAY_S, late_delay_s=LATE_DELAY_S)
        self.provider = FlakyProvider(DirectSandbox(self.sandbox, now=self.now_s))
        homes = OneHome(self.tenant)
        self.asking = Asking(self.provider, self.books, self.database)
        self.looking = Looking(self.asking, self.books, homes, hold=HOLD, new_id=ids.new_id)
        self.handled: set[UUID] = set()
        self.unhandled: list[Delivery] = []
        self.read = 0

    def now_s(self) -> float:
        return self.clock.now().timestamp()

    def wait(self, seconds: float) -> None:
        self.clock.advance(timedelta(seconds=seconds))

    # What others ask for.

    async def request(
        self, amount: int = 500, card: str = cards.APPROVED, *, is_manual: bool = False
    ) -> UUID:
        order_id = ids.new_id()
        command = RequestPayment(self.tenant, order_id, amount, "EUR", card, is_manual, WHY)
        await self._do(requests.request_payments, [command], new_id=None)
        return order_id

    async def expect(self, amount: int = 500, *, is_manual: bool = False) -> UUID:
        order_id = ids.new_id()
        command = ExpectPayment(self.tenant, order_id, amount, "EUR", WHY, is_manual)
        await self._do(requests.request_payments, [command], new_id=None)
        return order_id

    async def pay(self, order_id: UUID, card: str = cards.APPROVED) -> Intent | Refused:
        command = PayOrder(self.tenant, order_id, card, WHY)
        return (await self._do(requests.pay_orders, [command]))[0]  # type: ignore[no-any-return]

    async def withdraw(self, order_id: UUID) -> None:
        await self._do(requests.withdraw_payments, [PaymentRef(self.tenant, order_id, WHY)])

    async def capture(self, order_id: UUID, amount: int | None = None) -> Intent | Refused:
        command = CapturePayment(self.tenant, order_id, amount, WHY)
        return (await self._do(requests.capture_payments, [command]))[0]  # type: ignore[no-any-return]

    async def refund(self, order_id: UUID, amount: int) -> Refund | Refused:
        command = RefundPayment(self.tenant, order_id, ids.new_id(), amount, None, WHY)
        return (await self._do(requests.refund_payments, [command]))[0]  # type: ignore[no-any-return]

    async def request_refunds(self, *wanted: tuple[UUID, UUID, int]) -> list[bool]:
        commands = [RequestRefund(self.tenant, o, r, amount, WHY) for o, r, amount in wanted]
        return await self._do(requests.request_refunds, commands)  # type: ignore[no-any-return]

    # What the consumer, the job and the provider's callbacks do.

    def waiting(self) -> list[Delivery]:
        """Events that payments have not handled, oldest first."""
        log = self.database.log
        for announcement in log[self.read :]:
            if announcement.type.model in HEARD:
                self.unhandled.append(delivery_of(announcement, self.clock.now()))
        self.read = len(log)
        self.unhandled = [d for d in self.unhandled if d.event_id not in self.handled]
        return list(self.unhandled)

    async def ask(self, deliveries: Sequence[Delivery]) -> Sequence[Any]:
        """Asks the provider what events of one type want."""
        ask: dict[type, Callable[..., Coroutine[Any, Any, Sequence[Any]]]] = {
            PaymentRequested: self.asking.ask_payments,
            CaptureRequested: self.asking.ask_captures,
            PaymentWithdrawn: self.asking.ask_withdrawals,
            RefundRequested: self.asking.ask_refunds,
        }
        return await ask[deliveries[0].type.model](deliveries, POOLED)

    async def record(self, deliveries: Sequence[Delivery], said: Sequence[Any]) -> None:
        """Writes down what it said; what was handled before is left out, as the inbox does."""
        kept = [
            (d, a) for d, a in zip(deliveries, said, strict=True) if d.event_id not in self.handled
        ]
        if not kept:
            return
        record: dict[type, Any] = {
            PaymentRequested: answers.record_payments,
            CaptureRequested: answers.record_charges,
            PaymentWithdrawn: answers.record_charges,
            RefundRequested: answers.record_refunds,
        }
        self.handled |= {delivery.event_id for delivery, _ in kept}
        async with self.database.transaction(POOLED, (self.tenant,)) as tx:
            await record[kept[0][0].type.model](
                [d for d, _ in kept],
                [a for _, a in kept],
                tx=tx,
                now=tx.now,
                books=self.books,
                new_id=ids.new_id,
            )

    async def consume(self) -> None:
        """Handles every event, also those that follow, in runs of one type."""
        while waiting := self.waiting():
            kind = waiting[0].type.model
            run = [delivery for delivery in waiting if delivery.type.model is kind]
            await self.record(run, await self.ask(run))

    async def look(self) -> int:
        return await self.looking.look(self.database, POOLED, self.clock)

    def news(self) -> list[Callback]:
        """What the sandbox would call back with now."""
        return [news for _, many in self.sandbox.take_due(self.now_s()) for news in many]

    async def hear(self, *news: Callback) -> list[Refused | None]:
        commands = []
        for one in news:
            key = model.parse_key(one.key)
            assert key is not None
            word = Answer(one.key, one.status, one.provider_ref, one.reason, one.amount_minor)
            commands.append(HearCallback(*key, word, WHY))
        return await self._do(answers.hear_callbacks, commands)  # type: ignore[no-any-return]

    # What is so now.

    def intent(self, order_id: UUID) -> Intent:
        return self.books.intents[self.tenant, order_id]

    def refunds_of(self, order_id: UUID) -> list[Refund]:
        return [r for r in self.books.refunds.values() if r.order_id == order_id]

    def told(self, order_id: UUID) -> list[str]:
        """The names of the events of an order, in order."""
        return [type(a.event).__name__ for a in self.database.log if a.key == order_id]

    def events(self, model_: type[msgspec.Struct]) -> list[Any]:
        return [a.event for a in self.database.log if isinstance(a.event, model_)]

    def line(self, order_id: UUID) -> BookLine | None:
        """The charge in the sandbox's book, which has one at most for an order."""
        lines = self.sandbox.charges_of(str(order_id))
        assert len(lines) <= 1
        return lines[0] if lines else None

    async def _do(self, handler: Any, commands: Sequence[Any], **others: Any) -> Any:
        ports = {"books": self.books, "new_id": ids.new_id} | others
        ports = {name: port for name, port in ports.items() if port is not None}
        async with self.database.transaction(POOLED, (self.tenant,)) as tx:
            return await handler(commands, tx=tx, now=tx.now, **ports)
