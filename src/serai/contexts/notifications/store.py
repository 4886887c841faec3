"""Messages, contacts and templates in PostgreSQL."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from serai.contexts.identity.contract import MAILED_EMAIL, MAILED_NAME
from serai.contexts.notifications.contract import (
    ACCOUNT_KINDS,
    CONTACT_DAYS,
    Kind,
    MessageStatus,
)
from serai.contexts.notifications.model.messages import Contact, Facts, Message, Settled, Watch
from serai.contexts.notifications.model.templates import StoredWords, Words, fill_defaults
from serai.contexts.notifications.ports import Addressed, Key
from serai.contexts.orders.contract import ORDER_EMAIL
from serai.kernel import ids, queries
from serai.kernel.db import Conflicted, Record, Tx
from serai.kernel.person import CHUNK, Somebody, Step, Told
from serai.kernel.sealed import BUYER, Person, Plain, Sealed, prefix_of

SQL = queries.load(__package__)

# Handed to the statements and not written into them: written, they would let the planner find these
# messages by the index of what is due, which reads a whole queue for each.
_CLAIMED: MessageStatus = "sending"
_PRUNED = ["sent", "skipped"]
"""What has come to an end that nobody has to look at; what failed is kept for a person."""
_CLAIMABLE: tuple[MessageStatus, ...] = ("queued", _CLAIMED)

LAST = UUID(int=(1 << 128) - 1)

_encode = msgspec.json.Encoder().encode
_facts = msgspec.json.Decoder(Facts)


class PostgresMessages:
    """The ports Messages and MessageLists over the tables of this context."""

    async def insert_contacts(self, contacts: Sequence[Contact], *, tx: Tx) -> None:
        await tx.execute(
            SQL.insert_contacts,
            [c.tenant_id for c in contacts],
            [c.order_id for c in contacts],
            [c.email for c in contacts],
            [c.currency for c in contacts],
            [c.total_minor for c in contacts],
        )

    async def find_known(self, orders: Sequence[Key], *, tx: Tx) -> set[Key]:
        rows = await tx.fetch(SQL.find_contacts, [t for t, _ in orders], [o for _, o in orders])
        return {(row["tenant_id"], row["order_id"]) for row in rows}

    async def insert(self, messages: Sequence[Message], *, tx: Tx) -> None:
        await tx.execute(
            SQL.insert_messages,
            [m.tenant_id for m in messages],
            [m.id for m in messages],
            [m.order_id for m in messages],
            [m.kind for m in messages],
            [_encode(m.facts) for m in messages],
            [m.created_at for m in messages],
            [m.due_at for m in messages],
        )

    async def claim(
        self, tenants: Sequence[UUID], *, now: datetime, until: datetime, limit: int, tx: Tx
    ) -> list[Addressed]:
        rows = await tx.fetch(SQL.claim_messages, tenants, now, until, limit, _CLAIMABLE)
        return await _read_messages(rows, tx=tx)

    async def record(self, settled: Sequence[tuple[Message, Settled]], *, tx: Tx) -> int:
        return await tx.execute(
            SQL.record_messages,
            [m.tenant_id for m, _ in settled],
            [m.id for m, _ in settled],
            [m.attempts for m, _ in settled],
            [m.round for m, _ in settled],
            [s.status for _, s in settled],
            [s.due_at for _, s in settled],
            [s.error for _, s in settled],
            [s.sent_at for _, s in settled],
            _CLAIMED,
        )

    async def find_sender(self, *, tx: Tx) -> Watch | None:
        row = await tx.fetchrow(SQL.find_sender)
        return None if row is None else Watch(row["here_since"], row["seen_at"])

    async def mark_sender(self, now: datetime, *, away_before: datetime, tx: Tx) -> None:
        await tx.execute(SQL.mark_sender, now, away_before)

    async def lock(self, messages: Sequence[Key], *, tx: Tx) -> dict[Key, Addressed]:
        rows = await tx.fetch(SQL.lock_messages, [t for t, _ in messages], [m for _, m in messages])
        read = await _read_messages(rows, tx=tx)
        return {(a.message.tenant_id, a.message.id): a for a in read}

    async def requeue(self, messages: Sequence[Message], *, tx: Tx) -> None:
        await tx.execute(
            SQL.requeue_messages,
            [m.tenant_id for m in messages],
            [m.id for m in messages],
            [m.due_at for m in messages],
            [m.round for m in messages],
        )

    async def list_page(
        self,
        tenant_id: UUID,
        *,
        order_id: UUID | None,
        status: MessageStatus | None,
        before: UUID,
        limit: int,
        tx: Tx,
    ) -> list[Addressed]:
        if order_id is not None:
            rows = await tx.fetch(
                SQL.list_messages_of_order, tenant_id, before, limit, status, order_id
            )
        elif status is not None:
            rows = await tx.fetch(SQL.list_messages_in_status, tenant_id, before, limit, status)
        else:
            rows = await tx.fetch(SQL.list_messages, tenant_id, before, limit)
        return await _read_messages(rows, tx=tx)

    async def prune(
        self, tenants: Sequence[UUID], *, below: UUID, ended_before: datetime, limit: int, tx: Tx
    ) -> int:
        return await tx.execute(SQL.prune_messages, tenants, _PRUNED, below, ended_before, limit)

    async def check_overdue(
        self, tenant_id: UUID, due_before: datetime, limit: int, *, tx: Tx
    ) -> list[Record]:
        """Messages that should have gone out by then and did not; none if nobody was there yet."""
        watch = await self.find_sender(tx=tx)
        if watch is not None and watch.here_since >= due_before:
            return []
        return await tx.fetch(SQL.check_overdue, tenant_id, due_before, limit)

    async def tell_unconfirmed(
        self, tenant_id: UUID, orders: Sequence[UUID], *, tx: Tx
    ) -> list[UUID]:
        """Those of the given orders for which no confirmation was ever queued."""
        rows = await tx.fetch(SQL.tell_unconfirmed, tenant_id, orders)
        return [row["order_id"] for row in rows]


class PostgresTemplates:
    """The port Templates over the table of this context, with defaults where it holds nothing."""

    def __init__(self, defaults: Mapping[Kind, Words]) -> None:
        self._defaults = defaults

    async def find(
        self, wanted: Sequence[tuple[UUID, Kind]], *, is_locked: bool, tx: Tx
    ) -> dict[tuple[UUID, Kind], StoredWords]:
        statement = SQL.lock_templates if is_locked else SQL.find_templates
        rows = await tx.fetch(statement, [t for t, _ in wanted], [kind for _, kind in wanted])
        return fill_defaults([_read_words(row) for row in rows], wanted, self._defaults)

    def give_default(self, tenant_id: UUID, kind: Kind) -> StoredWords:
        key = (tenant_id, kind)
        return fill_defaults([], [key], self._defaults)[key]

    async def add(self, stored: Sequence[StoredWords], *, tx: Tx) -> None:
        rows = await tx.fetch(SQL.insert_templates, *_columns(stored))
        if len(rows) != len(stored):
            raise Conflicted("a template was written for the first time by two at once")

    async def change(self, stored: Sequence[StoredWords], *, tx: Tx) -> None:
        await tx.execute(SQL.update_templates, *_columns(stored))


class PostgresPeople:
    """The kernel's Protocol Personal: whom messages go to."""

    holds = "notifications"
    rules: Mapping[str, int] = {"notifications.contacts": CONTACT_DAYS}

    async def tell(self, who: Somebody, *, after: UUID, tx: Tx) -> Told:
        end = await tx.fetchval(SQL.find_end_of_contacts, who.tenant_id, after, LAST, CHUNK)
        if end is None:
            return Told([], None)
        rows = await tx.fetch(
            SQL.list_messages_to_person, who.tenant_id, after, end, prefix_of(who.subject)
        )
        return Told(await _tell_messages(who.tenant_id, rows, tx=tx), end)

    async def erase(self, who: Somebody, *, after: UUID, tx: Tx) -> Step:
        end = await tx.fetchval(SQL.find_end_of_contacts, who.tenant_id, after, LAST, CHUNK)
        if end is None:
            return Step(0, None)
        prefix = prefix_of(who.subject)
        return Step(await tx.execute(SQL.erase_contacts, who.tenant_id, after, end, prefix), end)

    async def seal_clear(self, tenants: Sequence[UUID], *, limit: int, tx: Tx) -> int:
        rows = await tx.fetch(SQL.lock_clear_contacts, tenants, limit)
        if not rows:
            return 0
        # Whether a mail about an account went to a customer or the staff is not known any more.
        people = [Person(row["tenant_id"], BUYER, row["email"]) for row in rows]
        subjects = await tx.find_subjects(people)
        emails = await tx.seal([
            Plain(
                row["tenant_id"],
                subject,
                ORDER_EMAIL if row["is_of_order"] else MAILED_EMAIL,
                row["email"],
            )
            for row, subject in zip(rows, subjects, strict=True)
        ])  # fmt: skip
        tenant_ids = [row["tenant_id"] for row in rows]
        await tx.execute(SQL.seal_contacts, tenant_ids, [row["order_id"] for row in rows], emails)
        return len(rows)

    async def expire(
        self, tenant_id: UUID, rule: str, *, before: datetime, after: UUID, tx: Tx
    ) -> Step:
        assert rule in self.rules, "a rule of ours is asked for"
        below = ids.first_at(before)
        end = await tx.fetchval(SQL.find_end_of_contacts, tenant_id, after, below, CHUNK)
        if end is None:
            return Step(0, None)
        return Step(await tx.execute(SQL.erase_contacts, tenant_id, after, end, None), end)


class MessagesOfOrders:
    """The kernel's Protocol OfOrders: a mail about her order is hers, wherever it went."""

    holds = "notifications"

    async def tell_of(
        self, tenant_id: UUID, orders: Sequence[UUID], *, tx: Tx
    ) -> list[dict[str, Any]]:
        rows = await tx.fetch(SQL.tell_messages_of_orders, tenant_id, orders)
        return await _tell_messages(tenant_id, rows, tx=tx)

    async def erase_of(self, tenant_id: UUID, orders: Sequence[UUID], *, tx: Tx) -> int:
        return await tx.execute(SQL.empty_contacts, tenant_id, orders)


async def _tell_messages(
    tenant_id: UUID, rows: Sequence[Record], *, tx: Tx
) -> list[dict[str, Any]]:
    """Messages as an export tells of them."""
    emails = await tx.unseal([
        Sealed(
            tenant_id,
            MAILED_EMAIL if row["kind"] in ACCOUNT_KINDS else ORDER_EMAIL,
            row["email"] or "",
        )
        for row in rows
    ])  # fmt: skip
    return [
        {"what": "message", **row, "email": email or None}
        for row, email in zip(rows, emails, strict=True)
    ]


def _columns(stored: Sequence[StoredWords]) -> tuple[list[Any], ...]:
    return (
        [s.tenant_id for s in stored],
        [s.kind for s in stored],
        [s.words.subject for s in stored],
        [s.words.text for s in stored],
        [s.words.html for s in stored],
        [s.version for s in stored],
        [s.updated_at for s in stored],
    )


def _read_words(row: Record) -> StoredWords:
    words = Words(row["subject"], row["text"], row["html"])
    return StoredWords(row["tenant_id"], row["kind"], words, row["version"], row["updated_at"])


async def _read_messages(rows: Sequence[Record], *, tx: Tx) -> list[Addressed]:
    """Messages with their addresses and names opened; who was erased has neither."""
    read = [(row, _facts.decode(row["facts"])) for row in rows]
    addresses = [
        Sealed(
            row["tenant_id"],
            MAILED_EMAIL if row["kind"] in ACCOUNT_KINDS else ORDER_EMAIL,
            row["email"] or "",
        )
        for row in rows
    ]
    names = [Sealed(row["tenant_id"], MAILED_NAME, facts.name) for row, facts in read]
    texts = await tx.unseal([*addresses, *names])
    return [
        _read_message(row, msgspec.structs.replace(facts, name=name or ""), email)
        for (row, facts), email, name in zip(
            read, texts[: len(rows)], texts[len(rows) :], strict=True
        )
    ]


def _read_message(row: Record, facts: Facts, email: str | None) -> Addressed:
    message = Message(
        row["tenant_id"],
        row["id"],
        row["order_id"],
        row["kind"],
        facts,
        row["created_at"],
        row["due_at"],
        row["status"],
        row["attempts"],
        row["round"],
        row["error"],
        row["sent_at"],
    )
    if not email:
        return Addressed(message, None)
    contact = Contact(row["tenant_id"], row["order_id"], email, row["currency"], row["total_minor"])
    return Addressed(message, contact)
