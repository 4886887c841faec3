"""Wiring of notifications."""

from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from serai.contexts.identity.contract import (
    MailTokens,
    PasswordResetRequested,
    RegistrationRequested,
    StaffInvited,
)
from serai.contexts.notifications import handlers, routes
from serai.contexts.notifications.gateways.console import ConsoleMailer
from serai.contexts.notifications.gateways.defaults import load_defaults
from serai.contexts.notifications.gateways.places import FindByHost, KnownPlaces
from serai.contexts.notifications.gateways.smtp import SmtpMailer, parse_smtp_url
from serai.contexts.notifications.model.mails import parse_sender
from serai.contexts.notifications.model.templates import StoredWords
from serai.contexts.notifications.ports import Addressed, Mailer
from serai.contexts.notifications.store import (
    MessagesOfOrders,
    PostgresMessages,
    PostgresPeople,
    PostgresTemplates,
)
from serai.contexts.orders.contract import OrderCancelled, OrderConfirmed
from serai.contexts.payments.contract import RefundSettled
from serai.contexts.shipping.contract import ShipmentDispatched
from serai.kernel.batch import Batch
from serai.kernel.clock import Clock
from serai.kernel.db import Database, Tx
from serai.kernel.edge import Origins
from serai.kernel.idempotency import Answer
from serai.kernel.module import Check, Consumer, Finding, Job, Module, Surroundings
from serai.kernel.tenant import Home
from serai.kernel.web import answer_with
from serai.settings import SettingsError

SEND_EVERY = timedelta(seconds=1)
PRUNE_EVERY = timedelta(minutes=1)
FINDINGS_MAX = 100
OVERDUE_AFTER = timedelta(hours=1)
"""How late a message may be before `serai check` says that nobody sends. It counts from when the
message was due or, where that is later, from when the sender last came back after having been away
(AWAY_AFTER): so a sender that is stuck, gone or was never there hides nothing."""


def build(
    s: Surroundings, *, tokens: MailTokens, pages: Origins, find_by_host: FindByHost
) -> Module:
    """Notifications over PostgreSQL, sent by SMTP where a server is set, else to the console."""
    places = KnownPlaces(pages, find_by_host)
    queue = PostgresMessages()
    words = PostgresTemplates(load_defaults())
    make = partial(Batch, database=s.database, queue_max=s.settings.queue_max)
    resend: Batch[Any, Any] = make(
        "notifications.resend_messages", partial(handlers.resend_messages, queue=queue), _resent
    )
    replace: Batch[Any, Any] = make(
        "notifications.replace_templates",
        partial(handlers.replace_templates, words=words),
        _replaced,
    )
    sender = parse_sender(s.settings.mail_from)
    if sender is None:
        raise SettingsError("SERAI_MAIL_FROM must be an address, or `A Shop <shop@example.org>`")
    mailer = mailer_of(s)

    async def send(database: Database, home: Home, clock: Clock) -> int:
        done = await handlers.send_due(
            database, home, clock, homes=s.homes, queue=queue, words=words, mailer=mailer,
            sender=sender, tokens=tokens, places=places,
        )  # fmt: skip
        # A full chunk alone is no backlog: after a drop the machine is the orders' for a while.
        return handlers.SEND_CHUNK if done.is_pressing else min(done.ended, handlers.SEND_CHUNK - 1)

    async def prune(database: Database, home: Home, clock: Clock) -> int:
        return await handlers.prune_old(database, home, clock, homes=s.homes, queue=queue)

    return Module(
        name="notifications",
        offers=queue,
        personal=PostgresPeople(),
        of_orders=MessagesOfOrders(),
        routes=[
            *routes.message_routes(resend, s.database, queue),
            *routes.template_routes(replace, s.database, words, places),
        ],
        batches=[resend, replace],
        consumers=[
            Consumer(
                "notifications",
                {
                    OrderConfirmed: partial(handlers.hear_order_confirmed, queue=queue),
                    OrderCancelled: partial(handlers.hear_order_cancelled, queue=queue),
                    ShipmentDispatched: partial(handlers.hear_shipment_dispatched, queue=queue),
                    RefundSettled: partial(handlers.hear_refund_settled, queue=queue),
                    RegistrationRequested: partial(
                        handlers.hear_registration_requested, queue=queue
                    ),
                    PasswordResetRequested: partial(handlers.hear_reset_requested, queue=queue),
                    StaffInvited: partial(handlers.hear_staff_invited, queue=queue),
                },
            )
        ],
        jobs=[
            Job("notifications.send", SEND_EVERY, send, chunk=handlers.SEND_CHUNK),
            Job("notifications.prune", PRUNE_EVERY, prune, chunk=handlers.PRUNE_CHUNK),
        ],
        checks=[
            Check(
                "notifications.overdue",
                "No message waits an hour longer than it has to, while somebody was there to send.",
                partial(_check_overdue, queue),
            )
        ],
    )


def mailer_of(s: Surroundings) -> Mailer:
    """A mail server where one is set, else the console."""
    if s.settings.smtp_url:
        return SmtpMailer(parse_smtp_url(s.settings.smtp_url))
    return ConsoleMailer(s.clock)


def _resent(addressed: Addressed) -> Answer:
    view = routes.view_of(addressed)
    return answer_with(view, status=202, buyer=view.email)


def _replaced(stored: StoredWords) -> Answer:
    return answer_with(routes.template_view_of(stored), version=stored.version)


async def _check_overdue(queue: PostgresMessages, tx: Tx, tenant_id: UUID) -> list[Finding]:
    rows = await queue.check_overdue(tenant_id, tx.now - OVERDUE_AFTER, FINDINGS_MAX, tx=tx)
    return [
        Finding("notifications.overdue", ", ".join(f"{k}={v}" for k, v in dict(row).items()))
        for row in rows
    ]
