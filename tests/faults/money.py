"""Known faults of payments: money that is taken twice, kept, or given back wrongly."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from serai.contexts.catalog.contract import Wanted
from serai.contexts.catalog.store.prices import PostgresPrices
from serai.contexts.orders import handlers
from serai.contexts.orders.contract import ReturnLines, Taken
from serai.contexts.orders.model import Back, KeptLine, Order
from serai.contexts.orders.ports import Key, OrderBook
from serai.contexts.payments import model
from serai.contexts.payments.gateways import sandbox_callbacks
from serai.contexts.payments.gateways.sandbox import DirectSandbox
from serai.contexts.payments.gateways.sandbox_client import HttpSandbox
from serai.contexts.payments.model import Intent, Said, Step, Verdict
from serai.contexts.payments.ports import Charge
from serai.kernel.db import Tx
from serai.kernel.failure import Refused
from tests.faults.plant import Fault, planting, replaced, side_by_side

HEX_OF_TENANT = 32


def _charge_under_new_names(original: Any) -> Any:
    """Asks for every charge under a name of its own, as if the provider needed no key."""

    def start(self: Any, charges: Sequence[Charge], *, capture: bool) -> Any:
        named = [
            msgspec.structs.replace(c, key=c.key[:HEX_OF_TENANT] + uuid.uuid4().hex)
            for c in charges
        ]
        return original(self, named, capture=capture)

    return start


def _settle_each_time(original: Any) -> Any:
    def settle_captured(intent: Intent, said: Said, now: datetime) -> Step:
        before = intent
        if intent.status == "captured":
            before = msgspec.structs.replace(intent, status="requested", captured_minor=0)
        elif intent.captured_minor:
            before = msgspec.structs.replace(intent, captured_minor=0)
        step: Step = original(before, said, now)
        return step

    return settle_captured


def _no_answer_is_no(original: Any) -> Any:
    def read(said: Said, amount_minor: int, *, is_capture_manual: bool) -> Verdict:
        verdict: Verdict = original(said, amount_minor, is_capture_manual=is_capture_manual)
        return "declined" if verdict == "unknown" else verdict

    return read


def _keep_late_money(original: Any) -> Any:
    def settle_captured(intent: Intent, said: Said, now: datetime) -> Step:
        if intent.status in {"declined", "withdrawn"}:
            return Step(intent)
        step: Step = original(intent, said, now)
        return step

    return settle_captured


class _AtTodaysPrices:
    """An order book whose lines cost what the catalog asks today."""

    def __init__(self, book: OrderBook) -> None:
        self._book = book
        self._orders: dict[Key, Order] = {}

    async def lock_orders(self, keys: Sequence[Key], *, tx: Tx) -> dict[Key, Order]:
        self._orders = await self._book.lock_orders(keys, tx=tx)
        return self._orders

    async def list_lines(self, keys: Sequence[Key], *, tx: Tx) -> dict[Key, list[KeptLine]]:
        kept = await self._book.list_lines(keys, tx=tx)
        for key, lines in kept.items():
            currency = self._orders[key].currency
            wanted = [Wanted(key[0], line.sku, currency) for line in lines]
            for line, quote in zip(lines, await PostgresPrices().quote(wanted, tx=tx), strict=True):
                if quote is not None and quote.unit_price is not None:
                    line.unit_price = quote.unit_price
        return kept

    async def return_lines(self, back: dict[tuple[UUID, UUID, int], Back], *, tx: Tx) -> None:
        await self._book.return_lines(back, tx=tx)


def _refund_todays_price(original: Any) -> Any:
    async def return_lines(
        commands: Sequence[ReturnLines], *, tx: Tx, now: datetime, book: OrderBook
    ) -> list[Taken | Refused]:
        taken: list[Taken | Refused] = await original(
            commands, tx=tx, now=now, book=_AtTodaysPrices(book)
        )
        return taken

    return return_lines


MONEY_FAULTS = (
    Fault(
        "captured_without_an_idempotency_key",
        "The provider is asked without a key of ours: a question that is repeated after a crash "
        "takes the money again.",
        lambda: side_by_side(
            replaced(DirectSandbox, "_open", _charge_under_new_names),
            replaced(HttpSandbox, "_open", _charge_under_new_names),
        ),
    ),
    Fault(
        "callback_settled_twice",
        "News of a capture that comes twice is booked, and refunded, twice.",
        planting(model, "_settle_captured", _settle_each_time),
    ),
    Fault(
        "unknown_taken_as_declined",
        "A provider that does not answer counts as a no: the order is cancelled while its buyer is "
        "charged.",
        planting(model, "read", _no_answer_is_no),
    ),
    Fault(
        "late_money_kept",
        "Money that arrives after its order has ended stays with the shop.",
        planting(model, "_settle_captured", _keep_late_money),
    ),
    Fault(
        "refund_at_todays_price",
        "A return is refunded at what the catalog asks today, not at what was paid.",
        planting(handlers, "return_lines", _refund_todays_price),
    ),
    Fault(
        "unsigned_callback_believed",
        "Anybody who knows an order's number can say that it is paid.",
        planting(sandbox_callbacks, "verify_signature", lambda _original: lambda *_args: True),
    ),
)
