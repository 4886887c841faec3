"""How queued messages go out, and how old ones go."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
import structlog

from serai.contexts.identity.contract import (
    MailTokens,
)
from serai.contexts.notifications.contract import ACCOUNT_KINDS, Kind
from serai.contexts.notifications.handlers.trusting import keep_trusted
from serai.contexts.notifications.model import mails, messages, templates
from serai.contexts.notifications.model.mails import Mail, Sender
from serai.contexts.notifications.model.messages import Message, Outcome, Settled
from serai.contexts.notifications.model.templates import StoredWords
from serai.contexts.notifications.ports import (
    Addressed,
    Mailer,
    Messages,
    OldMessages,
    Places,
    Templates,
)
from serai.kernel.clock import Clock
from serai.kernel.db import Database, Tx
from serai.kernel.failure import Unavailable
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
HURRY_AFTER = timedelta(minutes=1)
"""How old most mails of a chunk are where there is a backlog: what a drop leaves behind waits so
long, as the machine is the orders' meanwhile."""
MARK_EVERY = timedelta(minutes=5)
"""How often it is noted that somebody sends in a home."""
AWAY_AFTER = timedelta(minutes=15)
"""How long nobody was there to send where the next who comes is there anew."""


class Round(msgspec.Struct, frozen=True):
    """What one round over the queues of a home came to."""

    ended: int
    """Messages that have come to an end."""
    is_pressing: bool
    """Whether there is a backlog that the mailer takes: the next round may follow at once."""


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
    places: Places,
) -> Round:
    """Sends what is due in a home: one chunk of messages for each TENANTS_MAX tenants.

    A message is claimed in one transaction, sent in none and recorded in another. Who dies in
    between leaves a lease that ends: the mail is then sent again under the same Message-ID, by
    which a mail server can tell that it has it.
    """
    tenants = sorted(await homes.tenants_of(home))
    ended = 0
    is_pressing = False
    for start in range(0, len(tenants), TENANTS_MAX):
        chunk = tenants[start : start + TENANTS_MAX]
        async with database.transaction(home, chunk) as tx:
            now = clock.now()
            await _mark(queue, now, tx=tx)
            claimed = await queue.claim(chunk, now=now, until=now + LEASE, limit=SEND_CHUNK, tx=tx)
            wanted = sorted({(a.message.tenant_id, a.message.kind) for a in claimed})
            known = await words.find(wanted, is_locked=False, tx=tx) if wanted else {}
        if not claimed:
            continue
        known = await keep_trusted(known, words=words, places=places)
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
        ends = [message for message, one in settled if one.status != "queued"]
        ended += len(ends)
        is_pressing |= _is_backlog(ends, len(claimed), now)
    return Round(ended, is_pressing)


async def _mark(queue: Messages, now: datetime, *, tx: Tx) -> None:
    """Notes now and then, with a claim, that somebody is here: who cannot claim is not."""
    watch = await queue.find_sender(tx=tx)
    if watch is None or now - watch.seen_at >= MARK_EVERY:
        await queue.mark_sender(now, away_before=now - AWAY_AFTER, tx=tx)


def _is_backlog(ends: Sequence[Message], claimed: int, now: datetime) -> bool:
    """Whether a chunk was full, and most of it old and taken: what is put off again is no haste."""
    old = sum(now - message.created_at >= HURRY_AFTER for message in ends)
    return claimed == SEND_CHUNK and old * 2 > claimed


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
