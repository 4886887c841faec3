"""What notifications do with events and commands: they queue messages and keep words."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from serai.contexts.identity.contract import (
    PasswordResetRequested,
    RegistrationRequested,
    StaffInvited,
)
from serai.contexts.notifications.contract import Kind
from serai.contexts.notifications.model import messages, templates
from serai.contexts.notifications.model.messages import Contact, Facts, Message
from serai.contexts.notifications.model.templates import StoredWords, Words
from serai.contexts.notifications.ports import (
    Addressed,
    Key,
    Messages,
    Templates,
)
from serai.contexts.orders.contract import OrderCancelled, OrderConfirmed
from serai.contexts.payments.contract import RefundSettled
from serai.contexts.shipping.contract import ShipmentDispatched
from serai.kernel.changes import describe
from serai.kernel.db import Tx
from serai.kernel.events import Cause, Delivery
from serai.kernel.failure import NotFound, Refused


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
