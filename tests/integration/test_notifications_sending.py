"""Queued messages go out: claimed, sent once in effect, tried again, given up."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from serai.contexts.notifications import handlers
from serai.contexts.notifications import module as notifications
from serai.contexts.notifications.gateways.console import ConsoleMailer
from serai.contexts.notifications.gateways.defaults import load_defaults
from serai.contexts.notifications.gateways.places import KnownPlaces
from serai.contexts.notifications.handlers import sending
from serai.contexts.notifications.model.mails import Mail, Sender
from serai.contexts.notifications.model.messages import (
    ATTEMPTS_MAX,
    CONTACT_WAIT,
    KEPT,
    Contact,
    Facts,
    Message,
    Outcome,
    Settled,
    first_id_at,
    message_id_of,
    resend,
)
from serai.contexts.notifications.model.templates import StoredWords, Words
from serai.contexts.notifications.ports import Addressed
from serai.contexts.notifications.store import PostgresMessages, PostgresTemplates
from serai.kernel import ids
from serai.kernel.clock import ManualClock
from serai.kernel.db import Database
from serai.kernel.failure import Unavailable
from serai.kernel.tenant import POOLED
from tests.integration.fulfilment_shop import HOME, NOW, PLACES, NoTokens, SomeHomes, surroundings

A, B, C = (UUID(int=n) for n in (1, 2, 3))
SENDER = Sender("", "shop@example.org")


class Postman:
    """The port Mailer: keeps what it is given; what becomes of each mail can be scripted."""

    def __init__(self) -> None:
        self.sent: list[Mail] = []
        self.script: dict[str, Outcome] = {}
        self.is_out = False
        self.meanwhile: Callable[[], Any] | None = None

    async def send(self, mails: Sequence[Mail]) -> list[Outcome]:
        if self.is_out:
            raise Unavailable("nobody there")
        self.sent.extend(mails)
        if self.meanwhile is not None:
            await self.meanwhile()
        return [self.script.get(mail.recipient, Outcome("sent")) for mail in mails]

    def recipients(self) -> list[str]:
        return [mail.recipient for mail in self.sent]


class House:
    """A queue on tables, a clock that is moved by hand, and a postman."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = ManualClock(NOW)
        self.postman = Postman()
        self.queue = PostgresMessages()
        self.homes = SomeHomes([C, B, A])

    async def send(self) -> int:
        return (await self.go_round()).ended

    async def go_round(self) -> sending.Round:
        return await handlers.send_due(
            self.database, POOLED, self.clock, homes=self.homes, queue=self.queue,
            words=PostgresTemplates(load_defaults()), mailer=self.postman, sender=SENDER,
            tokens=NoTokens(), places=KnownPlaces(HOME, HOME.find_by_host),
        )  # fmt: skip

    async def put(self, tenant: UUID, *numbers: int, has_contact: bool = True) -> None:
        """Queues messages about orders, one each; the number says which."""
        messages = [
            Message(
                tenant, UUID(int=n), UUID(int=1000 + n), "order_confirmed", Facts(units=n),
                NOW, NOW + timedelta(microseconds=n),
            )
            for n in numbers
        ]  # fmt: skip
        contacts = [
            Contact(tenant, m.order_id, f"c{m.id.int}@example.org", "GBP", 900) for m in messages
        ]
        async with self.database.transaction(POOLED, (tenant,)) as tx:
            await self.queue.insert(messages, tx=tx)
            if has_contact:
                await self.queue.insert_contacts(contacts, tx=tx)

    async def find(self, tenant: UUID, number: int) -> Message:
        async with self.database.transaction(POOLED, (tenant,)) as tx:
            known = await self.queue.lock([(tenant, UUID(int=number))], tx=tx)
        return known[tenant, UUID(int=number)].message

    async def claim(self, *tenants: UUID, limit: int = 100) -> list[Addressed]:
        now = self.clock.now()
        async with self.database.transaction(POOLED, tenants) as tx:
            return await self.queue.claim(
                tenants, now=now, until=now + handlers.LEASE, limit=limit, tx=tx
            )

    async def record(self, claimed: Sequence[Addressed], settled: Settled) -> int:
        async with self.database.transaction(POOLED, (A, B, C)) as tx:
            return await self.queue.record([(a.message, settled) for a in claimed], tx=tx)


@pytest.fixture
def house(database: Database) -> House:
    house = House(database)
    house.clock.advance(timedelta(seconds=1))
    return house


def state(message: Message) -> tuple[str, int, str]:
    return message.status, message.attempts, message.error


async def test_what_is_due_goes_out_once_to_its_address_in_the_tenant_s_words(house: House) -> None:
    await house.put(A, 1)
    await house.put(B, 1, 2)
    own = Words("Danke für $units", "Summe $order_total", "")
    async with house.database.transaction(POOLED, (B,)) as tx:
        stored = StoredWords(B, "order_confirmed", own, 1, NOW)
        await PostgresTemplates({}).add([stored], tx=tx)
    assert await house.send() == 3
    assert await house.send() == 0
    mails = {mail.message_id + mail.text[:5]: mail for mail in house.postman.sent}
    assert len(mails) == len(house.postman.sent) == 3
    ours = mails[f"<{UUID(int=2)}.1@example.org>Summe"]
    assert ours == Mail(
        f"<{UUID(int=2)}.1@example.org>", SENDER, "c2@example.org", "Danke für 2",
        "Summe 9.00 GBP", "", house.clock.now(),
    )  # fmt: skip
    assert mails[f"<{UUID(int=1)}.1@example.org>Thank"].html.startswith("<p>Thank you")
    sent = await house.find(A, 1)
    assert (state(sent), sent.sent_at) == (("sent", 1, ""), house.clock.now())


async def test_each_mail_ends_as_the_mailer_says(house: House) -> None:
    await house.put(A, 1, 2, 3)
    await house.put(A, 4, has_contact=False)
    house.postman.script = {
        "c1@example.org": Outcome("refused", "550 no such user"),
        "c2@example.org": Outcome("deferred", "452 full"),
    }
    assert await house.send() == 3
    assert [state(await house.find(A, n)) for n in (1, 2, 3, 4)] == [
        ("failed", 1, "550 no such user"),
        ("queued", 1, "452 full"),
        ("sent", 1, ""),
        ("skipped", 1, "no address is known for the order"),
    ]
    house.clock.advance(timedelta(seconds=14))
    assert await house.send() == 0
    house.clock.advance(timedelta(seconds=1))
    house.postman.script = {}
    assert await house.send() == 1
    assert house.postman.recipients().count("c2@example.org") == 2
    assert house.postman.sent[-1].message_id == f"<{UUID(int=2)}.1@example.org>"


async def test_a_mailer_that_is_out_defers_all_and_a_message_is_given_up_in_the_end(
    house: House,
) -> None:
    await house.put(A, 1)
    house.postman.is_out = True
    for attempt in range(1, ATTEMPTS_MAX):
        assert await house.send() == 0
        assert state(await house.find(A, 1)) == ("queued", attempt, "nobody there")
        house.clock.advance(timedelta(hours=4))
    assert await house.send() == 1
    assert state(await house.find(A, 1)) == ("failed", ATTEMPTS_MAX, "nobody there")
    house.postman.is_out = False
    given_up = await house.find(A, 1)
    again = resend(given_up, now=house.clock.now())
    assert isinstance(again, Message)
    async with house.database.transaction(POOLED, (A,)) as tx:
        await house.queue.requeue([again], tx=tx)
    assert await house.send() == 1
    assert house.postman.sent[-1].message_id == f"<{UUID(int=1)}.2@example.org>"


async def test_an_address_that_comes_late_is_still_written_to(house: House) -> None:
    message = Message(
        A, UUID(int=1), UUID(int=1001), "refund_settled", Facts(amount_minor=90, currency="GBP"),
        NOW, NOW + CONTACT_WAIT,
    )  # fmt: skip
    async with house.database.transaction(POOLED, (A,)) as tx:
        await house.queue.insert([message], tx=tx)
    assert await house.send() == 0
    async with house.database.transaction(POOLED, (A,)) as tx:
        late = Contact(A, UUID(int=1001), "late@example.org", "GBP", 900)
        await house.queue.insert_contacts([late], tx=tx)
    house.clock.advance(CONTACT_WAIT)
    assert await house.send() == 1
    assert house.postman.recipients() == ["late@example.org"]


async def test_a_sender_that_dies_leaves_its_mails_to_the_next_under_the_same_id(
    house: House,
) -> None:
    await house.put(A, 1)

    async def die() -> None:
        raise ConnectionResetError("killed after the mail server took it")

    house.postman.meanwhile = die
    with pytest.raises(ConnectionResetError):
        await house.send()
    house.postman.meanwhile = None
    assert await house.send() == 0
    assert state(await house.find(A, 1)) == ("sending", 1, "")
    house.clock.advance(handlers.LEASE)
    assert await house.send() == 1
    assert {mail.message_id for mail in house.postman.sent} == {f"<{UUID(int=1)}.1@example.org>"}
    assert len(house.postman.sent) == 2


async def test_a_sender_that_was_paused_too_long_changes_nothing(house: House) -> None:
    await house.put(A, 1)
    zombie = await house.claim(A)
    house.clock.advance(handlers.LEASE)
    heir = await house.claim(A)
    failed, sent = Settled("failed", NOW, "late", None), Settled("sent", NOW, "", NOW)
    assert await house.record(zombie, failed) == 0
    assert await house.record(heir, sent) == 1
    assert await house.record(zombie, failed) == 0
    assert await house.record(heir, sent) == 0
    assert state(await house.find(A, 1)) == ("sent", 2, "")


async def test_two_senders_at_once_share_the_queue(house: House) -> None:
    await house.put(A, *range(1, 151))
    await house.put(B, *range(1, 151))
    while any(await asyncio.gather(house.send(), house.send())):
        pass
    assert len(house.postman.sent) == 300
    sent = [(mail.recipient, mail.message_id) for mail in house.postman.sent]
    assert max(sent.count(one) for one in sent[:20]) == 2
    assert {(await house.find(t, n)).status for t in (A, B) for n in (1, 75, 150)} == {"sent"}


async def test_a_tenant_with_a_long_queue_does_not_keep_others_waiting(house: House) -> None:
    await house.put(A, *range(1, 200))
    await house.put(B, *range(1000, 1003))
    claimed = await house.claim(A, B, C, limit=10)
    assert sorted((a.message.tenant_id, a.message.id.int) for a in claimed) == [
        *((A, n) for n in range(1, 8)), *((B, n) for n in range(1000, 1003)),
    ]  # fmt: skip
    assert {a.message.due_at for a in claimed} == {house.clock.now() + handlers.LEASE}
    others = await house.claim(A, B, limit=10)
    assert [a.message.id.int for a in sorted(others, key=lambda a: a.message.id)] == [
        *range(8, 18)
    ]  # fmt: skip


async def test_one_message_that_cannot_be_written_stops_no_other(house: House) -> None:
    await house.put(A, 1, 2)
    async with house.database.transaction(POOLED, (A,)) as tx:
        await tx.connection.execute(
            "UPDATE notifications.contacts SET currency = 'XXX' WHERE order_id = $1", UUID(int=1001)
        )
    assert await house.send() == 2
    assert state(await house.find(A, 1)) == ("failed", 1, "the message cannot be written: 'XXX'")
    assert state(await house.find(A, 2)) == ("sent", 1, "")


async def test_the_job_sends_by_console_and_the_check_finds_what_is_late(
    database: Database, house: House
) -> None:
    await house.put(A, 1, 2)
    s = surroundings(database, tenants=[A], clock=house.clock)
    module = notifications.build(s, tokens=NoTokens(), **PLACES)
    (job, _), (check,) = module.jobs, module.checks
    assert (job.every, job.chunk) == (timedelta(seconds=1), handlers.SEND_CHUNK)
    assert isinstance(notifications.mailer_of(s), ConsoleMailer)
    async with database.transaction(POOLED, (A,)) as tx:
        old = tx.now - timedelta(hours=1, minutes=1)
        await tx.connection.execute(
            "UPDATE notifications.messages "
            "SET due_at = $2::timestamptz + $3::interval * (id <> $1)::int",
            UUID(int=1), old, tx.now - old,
        )  # fmt: skip
        findings = await check.run(tx, A)
    assert [f.detail.split(", ")[0] for f in findings] == [f"id={UUID(int=1)}"]
    house.clock.advance(timedelta(days=365))
    assert await job.run(database, POOLED, house.clock) == 2
    async with database.transaction(POOLED, (A,)) as tx:
        assert await check.run(tx, A) == []


async def test_what_ended_too_long_ago_is_deleted_in_chunks_and_nothing_else_is(
    database: Database, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "PRUNE_CHUNK", 3)
    ends = {
        1: "sent", 2: "sent", 3: "skipped", 4: "sent", 5: "failed", 6: "queued", 7: "sending",
        8: "sent",
    }  # fmt: skip
    await house.put(A, *ends)
    await house.put(B, 1)
    async with database.transaction(POOLED, (A, B)) as tx:
        for number, status in ends.items():
            await tx.connection.execute(
                "UPDATE notifications.messages SET status = $3, "
                "sent_at = CASE WHEN $3 = 'sent' THEN created_at END "
                "WHERE tenant_id = $1 AND id = $2",
                A, UUID(int=number), status,
            )  # fmt: skip
        # Number 8 was sent anew not long ago.
        await tx.connection.execute(
            "UPDATE notifications.messages SET sent_at = $2 WHERE id = $1 AND sent_at IS NOT NULL",
            UUID(int=8),
            NOW + timedelta(days=1),
        )
    around = surroundings(database, tenants=[A, B], clock=house.clock)
    module = notifications.build(around, tokens=NoTokens(), **PLACES)
    _, job = module.jobs
    assert job.name == "notifications.prune"

    async def left() -> list[int]:
        async with database.transaction(POOLED, (A,)) as tx:
            rows = await tx.connection.fetch("SELECT id FROM notifications.messages ORDER BY id")
        return [row["id"].int for row in rows]

    house.clock.advance(KEPT - timedelta(seconds=2))
    assert await job.run(database, POOLED, house.clock) == 0
    assert await left() == list(ends)
    house.clock.advance(timedelta(seconds=2))
    assert await job.run(database, POOLED, house.clock) == 3
    assert await left() == [4, 5, 6, 7, 8]
    assert await job.run(database, POOLED, house.clock) == 1
    assert await left() == [5, 6, 7, 8]
    assert await job.run(database, POOLED, house.clock) == 0
    assert state(await house.find(B, 1)) == ("queued", 0, "")


def test_a_time_of_messages_parts_the_older_ones_from_the_younger() -> None:
    # Ids are those of events with some bits of chance turned over; their time stays.
    event_id = ids.new_id()
    made_at = datetime.fromtimestamp((event_id.int >> 80) / 1000, UTC)
    message_id = message_id_of(event_id)
    assert first_id_at(made_at - timedelta(milliseconds=1)) < message_id
    assert first_id_at(made_at + timedelta(milliseconds=1)) > message_id
