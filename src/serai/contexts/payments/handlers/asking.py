"""Asks the provider, outside any transaction (D8). What it says is written down by `answers`.

Before each question one read tells which of the things are still to be asked for. The provider does
a thing once per key, so a question that is repeated after a crash is the same question.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from serai.contexts.payments.handlers.books import Books, Key
from serai.contexts.payments.model import Intent, key_of
from serai.contexts.payments.model import Refund as RefundRow
from serai.contexts.payments.ports import Answer, Capture, Charge, PaymentProvider, Refund
from serai.kernel.db import Database
from serai.kernel.events import Delivery
from serai.kernel.tenant import Home


class Heard(msgspec.Struct, frozen=True):
    """What the provider says of a charge, and why it has just refused to capture it, if it has."""

    answer: Answer
    refusal: str | None = None


class Asking:
    """Puts the questions of a home's events to the provider, a batch at a time."""

    def __init__(self, provider: PaymentProvider, books: Books, database: Database) -> None:
        self._provider = provider
        self._books = books
        self._database = database

    async def ask_payments(self, deliveries: Sequence[Delivery], home: Home) -> list[Answer | None]:
        """Asks for the money of PaymentRequested; None where it is not wanted any more."""
        events = [delivery.decode() for delivery in deliveries]
        keys = [(d.tenant_id, e.order_id) for d, e in zip(deliveries, events, strict=True)]
        tenants = {tenant_id for tenant_id, _ in keys}
        async with self._database.transaction(home, tenants, is_read_only=True) as tx:
            wanted = await self._books.list_requested(keys, tx=tx)
        charges: list[tuple[int, Charge]] = []
        holds: list[tuple[int, Charge]] = []
        for place in wanted:
            event = events[place]
            charge = Charge(
                key_of(*keys[place]),
                event.amount_minor,
                event.currency,
                event.card,
                str(event.order_id),
            )
            (holds if event.is_capture_manual else charges).append((place, charge))
        answers: list[Answer | None] = [None] * len(events)
        for place, answer in await self._open(charges, holds):
            answers[place] = answer
        return answers

    async def _open(
        self, charges: Sequence[tuple[int, Charge]], holds: Sequence[tuple[int, Charge]]
    ) -> list[tuple[int, Answer]]:
        """Charges the ones and holds the others; answers with the places that came with them."""
        asked = []
        if charges:
            asked.append(self._provider.charge([charge for _, charge in charges]))
        if holds:
            asked.append(self._provider.authorise([charge for _, charge in holds]))
        said = [answer for answers in await asyncio.gather(*asked) for answer in answers]
        places = [place for place, _ in (*charges, *holds)]
        return list(zip(places, said, strict=True))

    async def ask_captures(self, deliveries: Sequence[Delivery], home: Home) -> list[Heard | None]:
        """Captures for CaptureRequested what is still held; None for the others."""
        events = [delivery.decode() for delivery in deliveries]
        keys = [(d.tenant_id, e.order_id) for d, e in zip(deliveries, events, strict=True)]
        tenants = {tenant_id for tenant_id, _ in keys}
        async with self._database.transaction(home, tenants, is_read_only=True) as tx:
            intents = await self._books.find_intents(keys, tx=tx)
        places = [
            place
            for place, (key, event) in enumerate(zip(keys, events, strict=True))
            if key in intents and intents[key].capture_asked_minor == event.amount_minor
        ]
        captures = [Capture(key_of(*keys[n]), events[n].amount_minor) for n in places]
        answers: list[Heard | None] = [None] * len(events)
        for place, heard in zip(places, await self._capture(captures), strict=True):
            answers[place] = heard
        return answers

    async def ask_withdrawals(self, deliveries: Sequence[Delivery], _home: Home) -> list[Heard]:
        """Voids the keys of PaymentWithdrawn, which is harmless twice."""
        return await self._void([key_of(d.tenant_id, d.decode().order_id) for d in deliveries])

    async def ask_refunds(self, deliveries: Sequence[Delivery], home: Home) -> list[Answer | None]:
        """Gives back what RefundRequested says; None where that has been settled before."""
        events = [delivery.decode() for delivery in deliveries]
        keys = [(d.tenant_id, e.refund_id) for d, e in zip(deliveries, events, strict=True)]
        tenants = {tenant_id for tenant_id, _ in keys}
        async with self._database.transaction(home, tenants, is_read_only=True) as tx:
            rows = await self._books.find_refunds(keys, tx=tx)
        places = [n for n, key in enumerate(keys) if key in rows and _is_due(rows[key])]
        said = await self._provider.refund([_refund_of(rows[keys[n]]) for n in places])
        answers: list[Answer | None] = [None] * len(events)
        for place, answer in zip(places, said, strict=True):
            answers[place] = answer
        return answers

    async def ask_again(
        self, intents: Sequence[Intent], *, now: datetime, hold: timedelta
    ) -> dict[Key, Heard]:
        """What the provider says now of intents that are open; it is asked again where that is due.

        A key that it never saw is asked for again once `hold` has passed since the first time:
        until then the first question may still be on its way.
        """
        ended = [intent for intent in intents if intent.status == "withdrawn"]
        live = [intent for intent in intents if intent.status != "withdrawn"]
        heard = dict(
            zip(_keys(ended), await self._void([key_of(*k) for k in _keys(ended)]), strict=True)
        )
        looked = await self._look_up([key_of(*k) for k in _keys(live)])
        lost: list[Intent] = []
        held: list[Intent] = []
        for intent, answer in zip(live, looked, strict=True):
            heard[intent.tenant_id, intent.order_id] = Heard(answer)
            if intent.status == "unknown" and _is_absent(answer):
                if intent.asked_at is None or intent.asked_at + hold <= now:
                    lost.append(intent)
            elif intent.capture_asked_minor is not None and answer.status == "authorised":
                held.append(intent)
        charges = [(n, _charge_of(i)) for n, i in enumerate(lost) if not i.is_capture_manual]
        holds = [(n, _charge_of(i)) for n, i in enumerate(lost) if i.is_capture_manual]
        for place, answer in await self._open(charges, holds):
            heard[lost[place].tenant_id, lost[place].order_id] = Heard(answer)
        captures = [Capture(key_of(*k), i.capture_asked_minor or 0)
                    for k, i in zip(_keys(held), held, strict=True)]  # fmt: skip
        heard.update(zip(_keys(held), await self._capture(captures), strict=True))
        return heard

    async def ask_refunds_again(
        self, refunds: Sequence[RefundRow], *, now: datetime, hold: timedelta
    ) -> dict[Key, Answer]:
        """What the provider says now of open refunds; those it never saw are asked for again."""
        keys = [(refund.tenant_id, refund.refund_id) for refund in refunds]
        looked = await self._look_up([key_of(*key) for key in keys])
        heard = dict(zip(keys, looked, strict=True))
        lost = [
            refund
            for refund, answer in zip(refunds, looked, strict=True)
            if _is_absent(answer) and refund.created_at + hold <= now
        ]
        said = await self._provider.refund([_refund_of(refund) for refund in lost])
        for refund, answer in zip(lost, said, strict=True):
            heard[refund.tenant_id, refund.refund_id] = answer
        return heard

    async def _look_up(self, keys: Sequence[str]) -> list[Answer]:
        return await self._provider.look_up(keys) if keys else []

    async def _capture(self, captures: Sequence[Capture]) -> list[Heard]:
        """Captures; where that was refused, what the provider holds instead counts."""
        answers = await self._provider.capture(captures) if captures else []
        return await self._look_where_refused(answers)

    async def _void(self, keys: Sequence[str]) -> list[Heard]:
        """Voids; what cannot be voided was captured, and the look-up says how much."""
        answers = await self._provider.void(keys) if keys else []
        return await self._look_where_refused(answers)

    async def _look_where_refused(self, answers: Sequence[Answer]) -> list[Heard]:
        refused = [n for n, answer in enumerate(answers) if answer.status == "declined"]
        looked = await self._look_up([answers[n].key for n in refused])
        heard = [Heard(answer) for answer in answers]
        for place, answer in zip(refused, looked, strict=True):
            heard[place] = Heard(answer, answers[place].reason or "declined")
        return heard


def _keys(intents: Sequence[Intent]) -> list[Key]:
    return [(intent.tenant_id, intent.order_id) for intent in intents]


def _is_absent(answer: Answer) -> bool:
    return answer.status == "unknown" and answer.reason == "absent"


def _is_due(refund: RefundRow) -> bool:
    return refund.status in {"requested", "unknown"}


def _charge_of(intent: Intent) -> Charge:
    return Charge(
        key_of(intent.tenant_id, intent.order_id),
        intent.amount_minor,
        intent.currency,
        intent.card or "",
        str(intent.order_id),
    )


def _refund_of(refund: RefundRow) -> Refund:
    return Refund(
        key_of(refund.tenant_id, refund.refund_id),
        key_of(refund.tenant_id, refund.order_id),
        refund.amount_minor,
        refund.currency,
    )
