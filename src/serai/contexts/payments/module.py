"""Wiring of payments."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request

from serai.contexts.orders.contract import OrderOwners
from serai.contexts.payments import routes
from serai.contexts.payments.contract import (
    Bill,
    BillAnswer,
    CaptureRequested,
    ExpectPayment,
    PaymentRef,
    PaymentRequested,
    PaymentTestimony,
    PaymentWithdrawn,
    RefundRequested,
    RequestPayment,
    RequestRefund,
)
from serai.contexts.payments.gateways.look_ups import OperatedLookUps
from serai.contexts.payments.gateways.sandbox import DirectSandbox
from serai.contexts.payments.gateways.sandbox_book import SandboxBook
from serai.contexts.payments.gateways.sandbox_callbacks import SIGNATURE_HEADER, verify_signature
from serai.contexts.payments.gateways.sandbox_client import HttpSandbox
from serai.contexts.payments.gateways.sandbox_journal import Journal, JournalInUseError
from serai.contexts.payments.gateways.sandbox_wire import Callback
from serai.contexts.payments.handlers import answers, requests
from serai.contexts.payments.handlers.asking import Asking
from serai.contexts.payments.handlers.looking import LOOKS_CHUNK, Looking
from serai.contexts.payments.model import Intent, Refund
from serai.contexts.payments.ports import Answer, Capture, Charge, PaymentProvider
from serai.contexts.payments.ports import Refund as RefundOrder
from serai.contexts.payments.store import PaymentsOfOrders, PostgresBooks
from serai.kernel import ids
from serai.kernel.batch import Batch
from serai.kernel.clock import Clock
from serai.kernel.db import Tx
from serai.kernel.failure import Unavailable
from serai.kernel.idempotency import Answer as HttpAnswer
from serai.kernel.module import Check, Consumer, Finding, Job, Module, Outside, Surroundings
from serai.kernel.strict_json import decode_json
from serai.kernel.web import answer_with
from serai.settings import SettingsError

CALLBACK_TOLERANCE_S = 300.0
"""How long after its signing a callback is taken; the sandbox signs each attempt anew."""
LOOK_EVERY = timedelta(seconds=1)
ASKED_WITHIN = timedelta(minutes=10)
"""How long a request may wait for the provider to be asked before it is a finding."""
SETTLED_WITHIN = timedelta(hours=3)
"""The same for an open matter to be settled; longer than all looks take together."""
FINDINGS_MAX = 100
SANDBOX_JOURNAL = "sandbox-provider.jsonl"


def build(s: Surroundings, *, orders: OrderOwners) -> Module:
    """Payments over PostgreSQL, with the provider that the settings name."""
    books = PostgresBooks()
    provider = choose_provider(s.settings, s.clock)
    asking = Asking(provider, books, s.database)
    hold = timedelta(seconds=s.settings.payment_timeout_s)
    looking = Looking(asking, books, s.homes, hold=hold, new_id=ids.new_id)
    with_books: dict[str, Any] = {"books": books, "new_id": ids.new_id}
    make = partial(Batch, database=s.database, queue_max=s.settings.queue_max)
    pay: Batch[Any, Any] = make(
        "payments.pay_orders", partial(requests.pay_orders, **with_books), _accepted
    )
    capture: Batch[Any, Any] = make(
        "payments.capture_payments", partial(requests.capture_payments, **with_books), _accepted
    )
    refund: Batch[Any, Any] = make(
        "payments.refund_payments", partial(requests.refund_payments, **with_books), _refunded
    )
    hear: Batch[Any, Any] = make(
        "payments.hear_callbacks", partial(answers.hear_callbacks, **with_books), _heard
    )
    is_hers = routes.ask_owners(s.database, orders)
    read_callback = CallbackReader(s.settings.callback_secret, s.clock.now)
    return Module(
        name="payments",
        routes=[
            *routes.writing_routes(pay, capture, refund, is_hers=is_hers),
            *routes.reading_routes(s.database, books, is_hers=is_hers),
            *routes.given_up_routes(s.database, books),
            *routes.callback_routes(hear, s.homes, read_callback),
        ],
        batches=[pay, capture, refund, hear],
        consumers=[_consumer(asking, with_books)],
        jobs=[Job("payments.look", LOOK_EVERY, looking.look, chunk=LOOKS_CHUNK)],
        checks=_checks(books),
        of_orders=PaymentsOfOrders(),
        offers=Offers(books, provider),
        operated=OperatedLookUps(s.database, s.homes, books),
        close=provider.aclose,
    )


class Offers:
    """The contract's Protocols Payments and Till."""

    def __init__(self, books: PostgresBooks, provider: PaymentProvider) -> None:
        self._books = books
        self._provider = provider

    async def charge_bills(self, bills: Sequence[Bill]) -> list[BillAnswer]:
        charges = [Charge(b.key, b.amount_minor, b.currency, b.card, b.reference) for b in bills]
        return [answers.read_bill(answer) for answer in await self._provider.charge(charges)]

    async def request_payments(
        self, commands: Sequence[RequestPayment], *, tx: Tx, now: datetime
    ) -> None:
        await requests.request_payments(commands, tx=tx, now=now, books=self._books)

    async def expect_payments(
        self, commands: Sequence[ExpectPayment], *, tx: Tx, now: datetime
    ) -> None:
        await requests.request_payments(commands, tx=tx, now=now, books=self._books)

    async def withdraw_payments(self, refs: Sequence[PaymentRef], *, tx: Tx, now: datetime) -> None:
        await requests.withdraw_payments(refs, tx=tx, now=now, books=self._books, new_id=ids.new_id)

    async def request_refunds(
        self, commands: Sequence[RequestRefund], *, tx: Tx, now: datetime
    ) -> list[bool]:
        return await requests.request_refunds(
            commands, tx=tx, now=now, books=self._books, new_id=ids.new_id
        )

    async def list_ended(
        self, tenant_id: UUID, *, before: datetime, after: UUID, limit: int, tx: Tx
    ) -> list[UUID]:
        return await self._books.list_ended(
            tenant_id, before=before, after=after, limit=limit, tx=tx
        )

    async def tell_payments(
        self, tenant_id: UUID, *, after: UUID, until: UUID, tx: Tx
    ) -> list[PaymentTestimony]:
        return await self._books.tell_payments(tenant_id, after=after, until=until, tx=tx)


class CallbackReader:
    """Lets in what the sandbox signed not long ago, in the words of the port."""

    def __init__(self, secret: str, now: Callable[[], datetime]) -> None:
        self._secret = secret
        self._now = now
        self._decoder = msgspec.json.Decoder(Callback)

    def __call__(self, request: Request[Any, Any, Any], body: bytes) -> Answer | None:
        header = request.headers.get(SIGNATURE_HEADER, "")
        now = self._now().timestamp()
        if not verify_signature(self._secret, header, body, now, CALLBACK_TOLERANCE_S):
            return None
        news: Callback = decode_json(self._decoder, body)
        return Answer(news.key, news.status, news.provider_ref, news.reason, news.amount_minor)


class SandboxOnDisk:
    """The sandbox in this process, with a book that outlives it in a file.

    The file is opened by the first question, as only the process that asks may hold it. A second
    one waits until the first has ended: two books would each find the other's charges absent.
    """

    def __init__(self, journal: Path, clock: Clock) -> None:
        self._path = journal
        self._clock = clock
        self._opened: DirectSandbox | None = None
        self._opening = asyncio.Lock()

    async def charge(self, charges: Sequence[Charge]) -> list[Answer]:
        return await (self._opened or await self._open()).charge(charges)

    async def authorise(self, charges: Sequence[Charge]) -> list[Answer]:
        return await (self._opened or await self._open()).authorise(charges)

    async def capture(self, captures: Sequence[Capture]) -> list[Answer]:
        return await (self._opened or await self._open()).capture(captures)

    async def void(self, keys: Sequence[str]) -> list[Answer]:
        return await (self._opened or await self._open()).void(keys)

    async def refund(self, refunds: Sequence[RefundOrder]) -> list[Answer]:
        return await (self._opened or await self._open()).refund(refunds)

    async def look_up(self, keys: Sequence[str]) -> list[Answer]:
        return await (self._opened or await self._open()).look_up(keys)

    async def aclose(self) -> None:
        """Closes the file of the book, if it was ever opened."""
        async with self._opening:
            if self._opened is not None:
                self._opened.close()
                self._opened = None

    async def _open(self) -> DirectSandbox:
        async with self._opening:
            if self._opened is None:
                # A long journal takes seconds to read; leases and other consumers go on meanwhile.
                self._opened = await asyncio.to_thread(self._read)
            return self._opened

    def _read(self) -> DirectSandbox:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            book = SandboxBook(journal=Journal(self._path))
        except JournalInUseError as error:
            raise Unavailable(
                "another worker holds the book of the sandbox in process; for several workers run "
                "the sandbox as a server and name its URL in SERAI_PAYMENT_PROVIDER"
            ) from error
        return DirectSandbox(book, now=lambda: self._clock.now().timestamp())


def choose_provider(settings: Any, clock: Clock) -> SandboxOnDisk | HttpSandbox:
    """The provider that SERAI_PAYMENT_PROVIDER names."""
    name: str = settings.payment_provider
    if name == "direct":
        return SandboxOnDisk(settings.data_path / SANDBOX_JOURNAL, clock)
    if name.startswith(("http://", "https://")):
        return HttpSandbox(name, timeout_s=settings.payment_timeout_s)
    raise SettingsError(f"SERAI_PAYMENT_PROVIDER is {name!r}; it must be `direct` or a URL")


def _consumer(asking: Asking, with_books: dict[str, Any]) -> Consumer:
    charges = partial(answers.record_charges, **with_books)
    return Consumer(
        group="payments",
        hears={
            PaymentRequested: Outside(
                asking.ask_payments, partial(answers.record_payments, **with_books)
            ),
            CaptureRequested: Outside(asking.ask_captures, charges),
            PaymentWithdrawn: Outside(asking.ask_withdrawals, charges),
            RefundRequested: Outside(
                asking.ask_refunds, partial(answers.record_refunds, **with_books)
            ),
        },
    )


def _accepted(intent: Intent) -> HttpAnswer:
    location = f"/v1/payments/{intent.intent_id}"
    return answer_with(
        routes.view_of(intent), status=202, location=location, version=intent.version
    )


def _refunded(refund: Refund) -> HttpAnswer:
    location = f"/v1/payments/{refund.order_id}"
    return answer_with(routes.view_of_refund(refund), status=201, location=location)


def _heard(_nothing: None) -> HttpAnswer:
    return HttpAnswer(204, b"")


def _checks(books: PostgresBooks) -> list[Check]:
    async def captures(tx: Tx, tenant_id: UUID) -> list[Finding]:
        rows = await books.check_captures(tenant_id, FINDINGS_MAX, tx=tx)
        return _findings("payments.captures", rows)

    async def refunds(tx: Tx, tenant_id: UUID) -> list[Finding]:
        rows = await books.check_refunds(tenant_id, FINDINGS_MAX, tx=tx)
        return _findings("payments.refunds", rows)

    async def settled(tx: Tx, tenant_id: UUID) -> list[Finding]:
        rows = await books.check_open(
            tenant_id,
            FINDINGS_MAX,
            asked_before=tx.now - ASKED_WITHIN,
            settled_before=tx.now - SETTLED_WITHIN,
            tx=tx,
        )
        return _findings("payments.settled", rows)

    return [
        Check("payments.captures", "No order has two captures.", captures),
        Check(
            "payments.refunds",
            "A payment's refunds add up to what it says, and no undone order's money is kept.",
            refunds,
        ),
        Check(
            "payments.settled", "No payment or refund is open for longer than it may be.", settled
        ),
    ]


def _findings(check: str, rows: Sequence[Any]) -> list[Finding]:
    return [
        Finding(check, ", ".join(f"{name}={value}" for name, value in row.items())) for row in rows
    ]
