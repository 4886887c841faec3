"""What notifications do with events and commands, and how queued messages go out."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
import structlog

from serai.contexts.identity.contract import (
    MailTokens,
    PasswordResetRequested,
    RegistrationRequested,
    StaffInvited,
)
from serai.contexts.notifications.contract import ACCOUNT_KINDS, Kind
from serai.contexts.notifications.model import mails, messages, templates
from serai.contexts.notifications.model.mails import Mail, Sender
from serai.contexts.notifications.model.messages import Contact, Facts, Message, Outcome, Settled
from serai.contexts.notifications.model.templates import StoredWords, Words
from serai.contexts.notifications.ports import (
    Addressed,
    Key,
    Mailer,
    Messages,
    OldMessages,
    Templates,
)
from serai.contexts.orders.contract import OrderCancelled, OrderConfirmed
from serai.contexts.payments.contract import RefundSettled
from serai.contexts.shipping.contract import ShipmentDispatched
from serai.kernel.changes import describe
from serai.kernel.clock import Clock
from serai.kernel.db import Database, Tx
from serai.kernel.events import Cause, Delivery
from serai.kernel.failure import NotFound, Refused, Unavailable
from serai.kernel.tenant import Home, Homes

_log = structlog.get_logger(__name__)

SEND_CHUNK = 100
"""Messages that are claimed, sent and recorded together."""
PRUNE_CHUNK = 2_000
"""Messages that one transaction deletes."""
TENANTS_MAX = 200
"""Tenants whose queues one transaction looks at."""
LEASE = timedelta(minutes=3)
"""How long a claimed message is its sender's; longer than a mailer may take for a chunk."""


class ResendMessage(msgspec.Struct, frozen=True):
    """Sends a message anew that was sent, given up or skipped."""

    tenant_id: UUID
    message_id: UUID
    cause: Cause


class ReplaceTemplate(msgspec.Struct, frozen=True):
    """Gives a kind of message a tenant's own words; see `templates.replace`."""

    tenant_id: UUID
    kind: Kind
    words: Words
    expected: int | None
    is_any: bool
    cause: Cause


async def hear_order_confirmed(
    deliveries: Sequence[Delivery], *, tx: Tx, now: datetime, queue: Messages
) -> None:
    """Queues a confirmation for each order that has an address, and keeps the address."""
    contacts: list[Contact] = []
    fresh: list[Message] = []
    for delivery in deliveries:
        event: OrderConfirmed = delivery.decode()
        if event.email is None:
            continue
        contacts.append(
            Contact(
                delivery.tenant_id, event.order_id, event.email, event.currency, event.total_minor
            )
        )
        facts = messages.facts_of_confirmed(event)
        fresh.append(_message(delivery, event.order_id, "order_confirmed", facts, now=now))
    await _queue(contacts, fresh, tx=tx, queue=queue)


async def hear_order_cancelled(
    deliveries: Sequence[Delivery], *, tx: Tx, now: datetime, queue: Messages
) -> None:
    """Queues the news for each order that has an address."""
    contacts: list[Contact] = []
    fresh: list[Message] = []
    for delivery in deliveries:
        event: OrderCancelled = delivery.decode()
        if event.email is None:
            continue
        contacts.append(
            Contact(
                delivery.tenant_id, event.order_id, event.email, event.currency, event.total_minor
            )
        )
        facts = messages.facts_of_cancelled(event)
        fresh.append(_message(delivery, event.order_id, "order_cancelled", facts, now=now))
    await _queue(contacts, fresh, tx=tx, queue=queue)


async def hear_shipment_dispatched(
    deliveries: Sequence[Delivery], *, tx: Tx, now: datetime, queue: Messages
) -> None:
    """Queues the news of each parcel; its order's address may come later."""
    events: list[tuple[Delivery, ShipmentDispatched]] = [(d, d.decode()) for d in deliveries]
    keys = [(delivery.tenant_id, event.order_id) for delivery, event in events]
    due = await _due_times(keys, tx=tx, now=now, queue=queue)
    fresh = [
        _message(
            d, e.order_id, "shipment_dispatched", messages.facts_of_dispatched(e), now=now, due=due
        )
        for d, e in events
    ]
    await _queue([], fresh, tx=tx, queue=queue)


async def hear_refund_settled(
    deliveries: Sequence[Delivery], *, tx: Tx, now: datetime, queue: Messages
) -> None:
    """Queues the news of each refund; its order's address may come later."""
    events: list[tuple[Delivery, RefundSettled]] = [(d, d.decode()) for d in deliveries]
    keys = [(delivery.tenant_id, event.order_id) for delivery, event in events]
    due = await _due_times(keys, tx=tx, now=now, queue=queue)
    fresh = [
        _message(d, e.order_id, "refund_settled", messages.facts_of_refund(e), now=now, due=due)
        for d, e in events
    ]
    await _queue([], fresh, tx=tx, queue=queue)


async def _due_times(
    orders: Sequence[Key], *, tx: Tx, now: datetime, queue: Messages
) -> dict[Key, datetime]:
    """When messages about orders may go: now, or after a wait where no address is known yet.

    The events of a parcel and of its order come through different topics, so that the later one may
    be heard first.
    """
    known = await queue.find_known(sorted(set(orders)), tx=tx)
    return {key: now if key in known else now + messages.CONTACT_WAIT for key in orders}


async def hear_registration_requested(
    deliveries: Sequence[Delivery], *, tx: Tx, now: datetime, queue: Messages
) -> None:
    """Queues the mail that shows whether an address is hers who gave it."""
    events: list[tuple[Delivery, RegistrationRequested]] = [(d, d.decode()) for d in deliveries]
    # Not the name: anyone may write it, and the mail goes to whom they please.
    mails_of = [(d, e.token_id, e.email, "") for d, e in events]
    await _queue_for_accounts("registration_requested", mails_of, tx=tx, now=now, queue=queue)


async def hear_reset_requested(
    deliveries: Sequence[Delivery], *, tx: Tx, now: datetime, queue: Messages
) -> None:
    """Queues the mail by which a password is chosen anew; none where there is no such account."""
    events: list[tuple[Delivery, PasswordResetRequested]] = [(d, d.decode()) for d in deliveries]
    mails_of = [(d, e.token_id, e.email, "") for d, e in events if e.email is not None]
    await _queue_for_accounts("password_reset", mails_of, tx=tx, now=now, queue=queue)


async def hear_staff_invited(
    deliveries: Sequence[Delivery], *, tx: Tx, now: datetime, queue: Messages
) -> None:
    """Queues the mail by which a member of the staff chooses her first password."""
    events: list[tuple[Delivery, StaffInvited]] = [(d, d.decode()) for d in deliveries]
    mails_of = [(d, e.token_id, e.email, e.name) for d, e in events]
    await _queue_for_accounts("staff_invited", mails_of, tx=tx, now=now, queue=queue)


async def _queue_for_accounts(
    kind: Kind, mails_of: Sequence[tuple[Delivery, UUID, str, str]], *, tx: Tx, now: datetime,
    queue: Messages,
) -> None:  # fmt: skip
    contacts = [Contact(d.tenant_id, token_id, email, "", 0) for d, token_id, email, _ in mails_of]
    fresh = [
        _message(d, token_id, kind, Facts(name=name), now=now) for d, token_id, _, name in mails_of
    ]
    await _queue(contacts, fresh, tx=tx, queue=queue)


def _message(
    delivery: Delivery,
    order_id: UUID,
    kind: Kind,
    facts: Facts,
    *,
    now: datetime,
    due: Mapping[Key, datetime] | None = None,
) -> Message:
    due_at = now if due is None else due[delivery.tenant_id, order_id]
    message_id = messages.message_id_of(delivery.event_id)
    return Message(delivery.tenant_id, message_id, order_id, kind, facts, now, due_at)


async def _queue(
    contacts: Sequence[Contact], fresh: Sequence[Message], *, tx: Tx, queue: Messages
) -> None:
    if contacts:
        await queue.insert_contacts(contacts, tx=tx)
    if fresh:
        await queue.insert(fresh, tx=tx)


async def resend_messages(
    commands: Sequence[ResendMessage], *, tx: Tx, now: datetime, queue: Messages
) -> list[Addressed | Refused]:
    """Queues messages anew that have come to an end."""
    keys = sorted({(c.tenant_id, c.message_id) for c in commands})
    known = await queue.lock(keys, tx=tx)
    outcomes: list[Addressed | Refused] = []
    again: list[Message] = []
    for command in commands:
        key = (command.tenant_id, command.message_id)
        addressed = known.get(key)
        if addressed is None:
            outcomes.append(NotFound("no notification has this id"))
            continue
        resent = messages.resend(addressed.message, now=now)
        if isinstance(resent, Refused):
            outcomes.append(resent)
            continue
        again.append(resent)
        was = {"status": addressed.message.status, "order_id": addressed.message.order_id}
        change = describe(
            "notifications.message_resent", ("notification", command.message_id), command.cause,
            before=was, after={"status": resent.status, "order_id": resent.order_id},
        )  # fmt: skip
        tx.record(command.tenant_id, change)
        known[key] = Addressed(resent, addressed.contact)
        outcomes.append(known[key])
    if again:
        await queue.requeue(again, tx=tx)
    return outcomes


async def replace_templates(
    commands: Sequence[ReplaceTemplate], *, tx: Tx, now: datetime, words: Templates
) -> list[StoredWords | Refused]:
    """Gives kinds of messages tenants' own words, unless others wrote theirs in the meantime."""
    wanted = sorted({(c.tenant_id, c.kind) for c in commands})
    current = await words.find(wanted, is_locked=True, tx=tx)
    before = {key: stored.version for key, stored in current.items()}
    outcomes: list[StoredWords | Refused] = []
    for command in commands:
        key = (command.tenant_id, command.kind)
        replaced = templates.replace(
            current[key],
            command.words,
            expected=command.expected,
            is_any=command.is_any,
            now=now,
        )
        outcomes.append(replaced)
        if isinstance(replaced, StoredWords):
            change = describe(
                "notifications.template_replaced", ("template", command.kind), command.cause,
                before=current[key].words, after=replaced.words,
            )  # fmt: skip
            tx.record(command.tenant_id, change)
            current[key] = replaced
    changed = [(before[key], s) for key, s in current.items() if s.version != before[key]]
    added = [s for version, s in changed if version == templates.DEFAULT_VERSION]
    if added:
        await words.add(added, tx=tx)
    if len(changed) > len(added):
        await words.change(
            [s for version, s in changed if version != templates.DEFAULT_VERSION], tx=tx
        )
    return outcomes


async def send_due(
    database: Database,
    home: Home,
    clock: Clock,
    *,
    homes: Homes,
    queue: Messages,
    words: Templates,
    mailer: Mailer,
    sender: Sender,
    tokens: MailTokens,
) -> int:
    """Sends what is due in a home; how many messages have come to an end.

    A message is claimed in one transaction, sent in none and recorded in another. Who dies in
    between leaves a lease that ends: the mail is then sent again under the same Message-ID, by
    which a mail server can tell that it has it.
    """
    tenants = sorted(await homes.tenants_of(home))
    ended = 0
    for start in range(0, len(tenants), TENANTS_MAX):
        chunk = tenants[start : start + TENANTS_MAX]
        async with database.transaction(home, chunk) as tx:
            now = clock.now()
            claimed = await queue.claim(chunk, now=now, until=now + LEASE, limit=SEND_CHUNK, tx=tx)
            wanted = sorted({(a.message.tenant_id, a.message.kind) for a in claimed})
            known = await words.find(wanted, is_locked=False, tx=tx) if wanted else {}
        if not claimed:
            continue
        secrets = await _write_tokens(claimed, tokens=tokens)
        outcomes = await _send(
            claimed, known, secrets, mailer=mailer, sender=sender, now=clock.now()
        )
        now = clock.now()
        settled: list[tuple[Message, Settled]] = [
            (a.message, messages.settle(outcome, attempts=a.message.attempts, now=now))
            for a, outcome in zip(claimed, outcomes, strict=True)
        ]
        async with database.transaction(home, sorted({a.message.tenant_id for a in claimed})) as tx:
            await queue.record(settled, tx=tx)
        ended += sum(one.status != "queued" for _, one in settled)
    return ended


async def prune_old(
    database: Database, home: Home, clock: Clock, *, homes: Homes, queue: OldMessages
) -> int:
    """Deletes a chunk of what ended too long ago to be kept; how many messages at most at once."""
    tenants = sorted(await homes.tenants_of(home))
    ended_before = clock.now() - messages.KEPT
    most = 0
    for start in range(0, len(tenants), TENANTS_MAX):
        chunk = tenants[start : start + TENANTS_MAX]
        async with database.transaction(home, chunk) as tx:
            gone = await queue.prune(
                chunk, below=messages.first_id_at(ended_before), ended_before=ended_before,
                limit=PRUNE_CHUNK, tx=tx,
            )  # fmt: skip
        most = max(most, gone)
    return most


async def _write_tokens(claimed: Sequence[Addressed], *, tokens: MailTokens) -> dict[UUID, str]:
    """The tokens of mails about accounts, which are stored nowhere, by message."""
    about = [a.message for a in claimed if a.message.kind in ACCOUNT_KINDS]
    return {m.id: await tokens.write_token(m.tenant_id, m.order_id) for m in about}


async def _send(
    claimed: Sequence[Addressed],
    known: Mapping[tuple[UUID, Kind], StoredWords],
    secrets: Mapping[UUID, str],
    *,
    mailer: Mailer,
    sender: Sender,
    now: datetime,
) -> list[Outcome]:
    """Renders and sends; one outcome for each, whatever goes wrong with another."""
    outcomes: dict[int, Outcome] = {}
    written: list[tuple[int, Mail]] = []
    for index, addressed in enumerate(claimed):
        token = secrets.get(addressed.message.id, "")
        mail = _write(addressed, known, token, sender=sender, now=now)
        if isinstance(mail, Outcome):
            outcomes[index] = mail
        else:
            written.append((index, mail))
    if written:
        try:
            answers = await mailer.send([mail for _, mail in written])
        except Unavailable as error:
            _log.warning("mails_deferred", action="mails_deferred", count=len(written),
                         reason=error.detail)  # fmt: skip
            answers = [Outcome("deferred", error.detail)] * len(written)
        outcomes |= {i: answer for (i, _), answer in zip(written, answers, strict=True)}
    return [outcomes[index] for index in range(len(claimed))]


def _write(
    addressed: Addressed,
    known: Mapping[tuple[UUID, Kind], StoredWords],
    token: str,
    *,
    sender: Sender,
    now: datetime,
) -> Mail | Outcome:
    message, contact = addressed.message, addressed.contact
    if contact is None:
        return Outcome("skipped", "no address is known for the order")
    try:
        values = templates.values_of(
            message.kind, order_id=message.order_id, facts=message.facts, contact=contact,
            token=token,
        )  # fmt: skip
    except KeyError as error:  # a currency that is none: only this message must not go out
        return Outcome("refused", f"the message cannot be written: {error}")
    rendered = templates.render(known[message.tenant_id, message.kind].words, values)
    return mails.compose(
        rendered,
        message=message.id,
        round_no=message.round,
        sender=sender,
        recipient=contact.email,
        now=now,
    )
