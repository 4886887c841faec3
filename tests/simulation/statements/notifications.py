"""Twins of the statements of notifications."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from tests.simulation.rows import Key, Row
from tests.simulation.statements.changing import by_key, change_each, in_order, keys_of, lock_each
from tests.simulation.statements.records import columns
from tests.simulation.storage import Session
from tests.simulation.twins import twin

HERE = "serai.contexts.notifications"
CONTACTS, MESSAGES = "notifications.contacts", "notifications.messages"
TEMPLATES, SENDER = "notifications.templates", "notifications.sender"
Ids = Sequence[UUID]
Texts = Sequence[str]
Times = Sequence[datetime]

_contact = columns("tenant_id, order_id")
_message = columns(
    "tenant_id, id, order_id, kind, facts, status, attempts, round, error, created_at, due_at, "
    "sent_at, email, currency, total_minor"
)
_template = columns("tenant_id, kind, subject, text, html, version, updated_at")
_kind = columns("kind")
_NO_CONTACT: Row = {"email": None, "currency": None, "total_minor": None}


def _key(row: Row) -> Key:
    return row["tenant_id"], row["id"]


def _with_contact(row: Row, contact: Row | None) -> Row:
    return _message({**(contact or _NO_CONTACT), **row})


def _contact_of(session: Session, row: Row) -> Row | None:
    return session.get(CONTACTS, (row["tenant_id"], row["order_id"]))


@twin(HERE, "insert_contacts")
async def insert_contacts(
    session: Session,
    tenant_ids: Ids,
    order_ids: Ids,
    emails: Texts,
    currencies: Texts,
    totals: Sequence[int],
) -> int:
    names = ("tenant_id", "order_id", "email", "currency", "total_minor")
    given = zip(tenant_ids, order_ids, emails, currencies, totals, strict=True)
    rows = [dict(zip(names, v, strict=True)) for v in sorted(given, key=lambda v: v[:2])]
    return sum([await session.insert(CONTACTS, row) for row in rows])


@twin(HERE, "find_contacts")
async def find_contacts(session: Session, tenant_ids: Ids, order_ids: Ids) -> list[Row]:
    rows = [session.get(CONTACTS, key) for key in keys_of(tenant_ids, order_ids)]
    return [_contact(row) for row in rows if row is not None]


@twin(HERE, "insert_messages")
async def insert_messages(
    session: Session,
    tenant_ids: Ids,
    ids: Ids,
    order_ids: Ids,
    kinds: Texts,
    facts: Sequence[bytes],
    created: Times,
    due: Times,
) -> int:
    names = ("tenant_id", "id", "order_id", "kind", "facts", "created_at", "due_at")
    given = zip(tenant_ids, ids, order_ids, kinds, facts, created, due, strict=True)
    inserted = 0
    for values in sorted(given, key=lambda values: values[:2]):
        row = {
            **dict(zip(names, values, strict=True)), "status": "queued", "attempts": 0, "round": 1,
            "error": "", "sent_at": None,
        }  # fmt: skip
        inserted += await session.insert(MESSAGES, row)
    return inserted


@twin(HERE, "claim_messages")
async def claim_messages(
    session: Session,
    tenant_ids: Ids,
    now: datetime,
    until: datetime,
    limit: int,
    statuses: Texts,
) -> list[Row]:
    candidates: list[tuple[int, datetime, Key]] = []
    for tenant_id in tenant_ids:
        due = [
            row
            for status in ("queued", "sending")
            for row in session.find(
                MESSAGES,
                ("tenant_id", "status"),
                (tenant_id, status),
                where=lambda row: row["due_at"] <= now,
            )
        ]
        due.sort(key=lambda row: row["due_at"])
        candidates += [(turn, row["due_at"], _key(row)) for turn, row in enumerate(due[:limit])]
    candidates.sort(key=lambda one: one[:2])
    contacts = {
        key: _contact_of(session, row)
        for _, _, key in candidates[:limit]
        if (row := session.get(MESSAGES, key)) is not None
    }
    picked = await lock_each(
        session,
        MESSAGES,
        sorted(contacts),
        lambda row: row["status"] in statuses and row["due_at"] <= now,
        skip_locked=True,
    )
    claimed = []
    for row in picked:
        changes = {"status": "sending", "attempts": row["attempts"] + 1, "due_at": until}
        if await session.update(MESSAGES, _key(row), **changes):
            claimed.append(_with_contact({**row, **changes}, contacts[_key(row)]))
    return claimed


@twin(HERE, "record_messages")
async def record_messages(
    session: Session,
    tenant_ids: Ids,
    ids: Ids,
    attempts: Sequence[int],
    rounds: Sequence[int],
    statuses: Texts,
    due: Times,
    errors: Texts,
    sent: Sequence[datetime | None],
    standing: str,
) -> int:
    def record(row: Row, values: Key) -> dict[str, Any] | None:
        attempt, number, status, due_at, error, sent_at = values
        if (row["status"], row["attempts"], row["round"]) != (standing, attempt, number):
            return None
        return {"status": status, "due_at": due_at, "error": error, "sent_at": sent_at}

    wanted = by_key(
        keys_of(tenant_ids, ids), keys_of(attempts, rounds, statuses, due, errors, sent)
    )
    return len(await change_each(session, MESSAGES, in_order(wanted), record))


@twin(HERE, "lock_messages")
async def lock_messages(session: Session, tenant_ids: Ids, ids: Ids) -> list[Row]:
    keys = sorted(keys_of(tenant_ids, ids))
    seen = [row for key in keys if (row := session.get(MESSAGES, key)) is not None]
    contacts = {_key(row): _contact_of(session, row) for row in seen}
    locked = await lock_each(session, MESSAGES, map(_key, seen))
    return [_with_contact(row, contacts[_key(row)]) for row in locked]


@twin(HERE, "requeue_messages")
async def requeue_messages(
    session: Session, tenant_ids: Ids, ids: Ids, due: Times, rounds: Sequence[int]
) -> int:
    def requeue(_row: Row, values: Key) -> dict[str, Any]:
        due_at, number = values
        return {
            "status": "queued", "due_at": due_at, "attempts": 0, "round": number, "error": "",
            "sent_at": None,
        }  # fmt: skip

    wanted = by_key(keys_of(tenant_ids, ids), keys_of(due, rounds))
    return len(await change_each(session, MESSAGES, wanted, requeue))


def _page(
    session: Session, tenant_id: UUID, below: UUID, holds: Callable[[Row], bool], limit: int
) -> list[Row]:
    found = session.find(
        MESSAGES,
        ("tenant_id",),
        (tenant_id,),
        where=lambda row: row["id"] < below and holds(row),
    )
    found.sort(key=lambda row: row["id"], reverse=True)
    return [_with_contact(row, _contact_of(session, row)) for row in found[:limit]]


@twin(HERE, "list_messages")
async def list_messages(session: Session, tenant_id: UUID, below: UUID, limit: int) -> list[Row]:
    return _page(session, tenant_id, below, lambda _row: True, limit)


@twin(HERE, "list_messages_in_status")
async def list_messages_in_status(
    session: Session, tenant_id: UUID, below: UUID, limit: int, status: str
) -> list[Row]:
    return _page(session, tenant_id, below, lambda row: row["status"] == status, limit)


@twin(HERE, "list_messages_of_order")
async def list_messages_of_order(
    session: Session,
    tenant_id: UUID,
    below: UUID,
    limit: int,
    status: str | None,
    order_id: UUID,
) -> list[Row]:
    return _page(
        session,
        tenant_id,
        below,
        lambda row: row["order_id"] == order_id and (status is None or row["status"] == status),
        limit,
    )


@twin(HERE, "find_templates")
async def find_templates(session: Session, tenant_ids: Ids, kinds: Texts) -> list[Row]:
    rows = [session.get(TEMPLATES, key) for key in keys_of(tenant_ids, kinds)]
    return [_template(row) for row in rows if row is not None]


@twin(HERE, "lock_templates")
async def lock_templates(session: Session, tenant_ids: Ids, kinds: Texts) -> list[Row]:
    keys = sorted(keys_of(tenant_ids, kinds))
    return [_template(row) for row in await lock_each(session, TEMPLATES, keys)]


_TEMPLATE = ("tenant_id", "kind", "subject", "text", "html", "version", "updated_at")


@twin(HERE, "insert_templates")
async def insert_templates(session: Session, *given: Sequence[Any]) -> list[Row]:
    inserted = []
    for values in sorted(keys_of(*given), key=lambda values: values[:2]):
        row = dict(zip(_TEMPLATE, values, strict=True))
        if await session.insert(TEMPLATES, row):
            inserted.append(_kind(row))
    return inserted


@twin(HERE, "update_templates")
async def update_templates(
    session: Session, tenant_ids: Ids, kinds: Texts, *written: Sequence[Any]
) -> int:
    def write(_row: Row, values: Key) -> dict[str, Any]:
        return dict(zip(_TEMPLATE[2:], values, strict=True))

    wanted = by_key(keys_of(tenant_ids, kinds), keys_of(*written))
    return len(await change_each(session, TEMPLATES, wanted, write))


@twin(HERE, "check_overdue")
async def check_overdue(
    session: Session, tenant_id: UUID, before: datetime, limit: int
) -> list[Row]:
    named = columns("id, order_id, kind, status, attempts, due_at")
    found = session.find(
        MESSAGES,
        ("tenant_id",),
        (tenant_id,),
        where=lambda row: row["status"] in {"queued", "sending"} and row["due_at"] < before,
        order=lambda row: row["due_at"],
        limit=limit,
    )
    return [named(row) for row in found]


@twin(HERE, "find_sender")
async def find_sender(session: Session) -> list[Row]:
    row = session.get(SENDER, (True,))
    return [] if row is None else [columns("here_since, seen_at")(row)]


@twin(HERE, "mark_sender")
async def mark_sender(session: Session, now: datetime, away_before: datetime) -> int:
    if not await session.insert(SENDER, {"is_here": True, "here_since": now, "seen_at": now}):
        row = await session.lock(SENDER, (True,))
        assert row is not None
        since = now if row["seen_at"] < away_before else row["here_since"]
        await session.update(SENDER, (True,), here_since=since, seen_at=now)
    return 1


@twin(HERE, "tell_unconfirmed")
async def tell_unconfirmed(session: Session, tenant_id: UUID, order_ids: Ids) -> list[Row]:
    return [
        columns("order_id")({"order_id": order_id})
        for order_id in sorted(order_ids)
        if not session.find(
            MESSAGES,
            ("tenant_id", "order_id"),
            (tenant_id, order_id),
            where=lambda row: row["kind"] == "order_confirmed",
        )
    ]


@twin(HERE, "prune_messages")
async def prune_messages(
    session: Session,
    tenant_ids: Ids,
    statuses: Texts,
    below: UUID,
    before: datetime,
    limit: int,
) -> int:
    def is_old(row: Row) -> bool:
        return bool(row["id"] < below and (row["sent_at"] or row["created_at"]) < before)

    # A pair that is named twice gives its rows twice, and they count twice against the bound.
    old = [
        (row["tenant_id"], row["id"], row["status"])
        for tenant_id in tenant_ids
        for status in statuses
        for row in session.find(
            MESSAGES,
            ("tenant_id", "status"),
            (tenant_id, status),
            where=is_old,
            order=lambda row: row["id"],
            limit=limit,
        )
    ]
    gone = 0
    for tenant_id, message_id, status in dict.fromkeys(sorted(old)[:limit]):
        row = await session.lock(MESSAGES, (tenant_id, message_id))
        if row is not None and row["status"] == status:
            gone += await session.delete(MESSAGES, (tenant_id, message_id))
    return gone
