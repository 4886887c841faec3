"""What notifications queue for events, on rows in memory."""

# ruff: noqa: ARG002 - a fake is given what its port is given

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
import pytest

from serai.contexts.notifications import handlers
from serai.contexts.notifications.handlers import ResendMessage
from serai.contexts.notifications.model import messages
from serai.contexts.notifications.model.messages import (
    CONTACT_WAIT,
    Contact,
    Facts,
    Message,
    Settled,
    Watch,
    message_id_of,
)
from serai.contexts.notifications.ports import Addressed
from serai.contexts.orders.contract import OrderCancelled, OrderConfirmed, OrderedLine
from serai.contexts.payments.contract import RefundSettled
from serai.contexts.shipping.contract import ShipmentDispatched, ShippedLine
from serai.kernel.db import Tx
from serai.kernel.events import Cause
from serai.kernel.failure import Refused
from tests.unit.fulfilment_fakes import NOW, Key, announced, delivery_of, make_tx

A, B = UUID(int=1), UUID(int=2)
ORDER = UUID(int=10)
CAUSE = Cause(UUID(int=99))


class MemoryMessages:
    """The port Messages, but for the claims: those are a matter of locks, and tested on tables."""

    def __init__(self) -> None:
        self.contacts: dict[Key, Contact] = {}
        self.rows: dict[Key, Message] = {}
        self.writes: list[str] = []

    async def insert_contacts(self, contacts: Sequence[Contact], *, tx: Tx) -> None:
        self.writes.append("contacts")
        for contact in contacts:
            self.contacts.setdefault((contact.tenant_id, contact.order_id), contact)

    async def find_known(self, orders: Sequence[Key], *, tx: Tx) -> set[Key]:
        return set(orders) & set(self.contacts)

    async def insert(self, fresh: Sequence[Message], *, tx: Tx) -> None:
        self.writes.append("messages")
        for message in fresh:
            self.rows.setdefault((message.tenant_id, message.id), message)

    async def find_sender(self, *, tx: Tx) -> Watch | None:
        raise AssertionError("nobody sends here")

    async def mark_sender(self, now: datetime, *, away_before: datetime, tx: Tx) -> None:
        raise AssertionError("nobody sends here")

    async def claim(
        self, tenants: Sequence[UUID], *, now: datetime, until: datetime, limit: int, tx: Tx
    ) -> list[Addressed]:
        raise AssertionError("nobody sends here")

    async def record(self, settled: Sequence[tuple[Message, Settled]], *, tx: Tx) -> int:
        raise AssertionError("nobody sends here")

    async def lock(self, keys: Sequence[Key], *, tx: Tx) -> dict[Key, Addressed]:
        return {
            key: Addressed(self.rows[key], self.contacts.get((key[0], self.rows[key].order_id)))
            for key in keys
            if key in self.rows
        }

    async def requeue(self, again: Sequence[Message], *, tx: Tx) -> None:
        self.writes.append("requeue")
        for message in again:
            self.rows[message.tenant_id, message.id] = message


@pytest.fixture
def queue() -> MemoryMessages:
    return MemoryMessages()


def confirmed(number: int, email: str | None) -> OrderConfirmed:
    lines = (OrderedLine(1, "MUG", 2),)
    return OrderConfirmed(UUID(int=number), "GBP", 900, email, lines)


async def test_hundreds_of_confirmations_are_two_writes(queue: MemoryMessages) -> None:
    heard = [
        delivery_of(A if n % 2 else B, confirmed(n, None if n % 5 == 0 else f"c{n}@example.org"))
        for n in range(500)
    ]
    tx = make_tx()
    await handlers.hear_order_confirmed(heard, tx=tx, now=NOW, queue=queue)
    assert queue.writes == ["contacts", "messages"]
    wanted = [d for n, d in enumerate(heard) if n % 5]
    facts = Facts(amount_minor=900, currency="GBP", units=2, lines=(("MUG", 2),))
    assert list(queue.rows.values()) == [
        Message(d.tenant_id, message_id_of(d.event_id), d.key, "order_confirmed", facts, NOW, NOW)
        for d in wanted
    ]
    assert queue.contacts[A, UUID(int=1)] == Contact(A, UUID(int=1), "c1@example.org", "GBP", 900)
    assert announced(tx) == []


async def test_orders_without_an_address_cost_nothing(queue: MemoryMessages) -> None:
    tx = make_tx()
    await handlers.hear_order_confirmed(
        [delivery_of(A, confirmed(1, None))], tx=tx, now=NOW, queue=queue
    )
    cancelled = OrderCancelled(ORDER, "expired", None, "GBP", 900)
    await handlers.hear_order_cancelled([delivery_of(A, cancelled)], tx=tx, now=NOW, queue=queue)
    assert (queue.rows, queue.contacts, queue.writes) == ({}, {}, [])


async def test_an_event_heard_twice_is_one_message(queue: MemoryMessages) -> None:
    heard = [delivery_of(A, confirmed(1, "ada@example.org"))]
    for _ in range(2):
        await handlers.hear_order_confirmed(heard, tx=make_tx(), now=NOW, queue=queue)
    assert len(queue.rows) == 1


async def test_a_cancelled_order_is_told_to_the_address_it_came_with(
    queue: MemoryMessages,
) -> None:
    event = OrderCancelled(ORDER, "out_of_stock", "ada@example.org", "GBP", 900)
    delivery = delivery_of(A, event)
    await handlers.hear_order_cancelled([delivery], tx=make_tx(), now=NOW, queue=queue)
    facts = Facts(amount_minor=900, currency="GBP", reason="out_of_stock")
    made = message_id_of(delivery.event_id)
    assert queue.rows == {(A, made): Message(A, made, ORDER, "order_cancelled", facts, NOW, NOW)}
    assert queue.contacts[A, ORDER].email == "ada@example.org"


async def test_parcels_and_refunds_wait_for_an_address_that_may_still_come(
    queue: MemoryMessages,
) -> None:
    tx = make_tx()
    await queue.insert_contacts([Contact(A, ORDER, "ada@example.org", "GBP", 900)], tx=tx)
    lines = (ShippedLine(1, "MUG", 2),)
    parcels = [
        delivery_of(tenant, ShipmentDispatched(ORDER, UUID(int=5), "Post", None, lines))
        for tenant in (A, B)
    ]
    refunds = [
        delivery_of(tenant, RefundSettled(ORDER, UUID(int=6), 90, "GBP")) for tenant in (A, B)
    ]
    await handlers.hear_shipment_dispatched(parcels, tx=tx, now=NOW, queue=queue)
    await handlers.hear_refund_settled(refunds, tx=tx, now=NOW, queue=queue)
    parcel = Facts(units=2, lines=(("MUG", 2),), carrier="Post")
    refund = Facts(amount_minor=90, currency="GBP")
    wait = NOW + CONTACT_WAIT
    assert [
        (m.tenant_id, m.id, m.order_id, m.kind, m.facts, m.due_at) for m in queue.rows.values()
    ] == [
        (d.tenant_id, message_id_of(d.event_id), ORDER, kind, facts, due)
        for heard, kind, facts in (
            (parcels, "shipment_dispatched", parcel),
            (refunds, "refund_settled", refund),
        )
        for d, due in zip(heard, (NOW, wait), strict=True)
    ]
    assert queue.writes == ["contacts", "messages", "messages"]


async def test_only_what_has_ended_is_sent_again(queue: MemoryMessages) -> None:
    waiting = Message(A, UUID(int=1), ORDER, "order_confirmed", Facts(), NOW, NOW)
    failed = msgspec.structs.replace(waiting, id=UUID(int=2), status="failed", attempts=12)
    tx = make_tx()
    await queue.insert([waiting, failed], tx=tx)
    commands = [ResendMessage(A, UUID(int=n), CAUSE) for n in (1, 2, 2, 3)]
    outcomes = await handlers.resend_messages(
        [*commands, ResendMessage(B, UUID(int=2), CAUSE)], tx=tx, now=NOW, queue=queue
    )
    again = messages.resend(failed, now=NOW)
    assert isinstance(again, Message)
    assert [o.code if isinstance(o, Refused) else o for o in outcomes] == [
        "illegal_state", Addressed(again, None), "illegal_state", "not_found", "not_found",
    ]  # fmt: skip
    assert list(queue.rows.values()) == [waiting, again]
