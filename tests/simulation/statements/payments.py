"""Twins of the statements with which payments changes and finds its books."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from tests.simulation.rows import Key, Row
from tests.simulation.statements.changing import (
    by_key,
    change_each,
    delete_each,
    in_order,
    keys_of,
    lock_each,
)
from tests.simulation.statements.records import columns
from tests.simulation.storage import Session
from tests.simulation.twins import twin

HERE = "serai.contexts.payments"
INTENTS, REFUNDS, LOOKS = "payments.intents", "payments.refunds", "payments.looks"
FOREVER = datetime.max.replace(tzinfo=UTC)
"""What asyncpg makes of 'infinity'."""
Ids = Sequence[UUID]
Texts = Sequence[str]
Numbers = Sequence[int]
Times = Sequence[datetime | None]
Words = Sequence[str | None]

_SAVED = (
    "status", "card", "asked_at", "settled_at", "capture_asked_minor", "captured_minor",
    "refunding_minor", "refunded_minor", "is_closed", "provider_ref", "reason", "version",
)  # fmt: skip
_intent = columns(
    "tenant_id, order_id, status, amount_minor, currency, card, is_capture_manual, "
    "correlation_id, created_at, asked_at, settled_at, capture_asked_minor, captured_minor, "
    "refunding_minor, refunded_minor, is_closed, provider_ref, reason, version"
)
_refund = columns(
    "tenant_id, refund_id, order_id, status, amount_minor, currency, reason, is_told, "
    "correlation_id, created_at, settled_at, failure"
)
_look = columns("tenant_id, kind, thing_id, looks, due_at")
_order_id = columns("order_id")
_place = columns("n")


def _intent_key(row: Row) -> Key:
    return row["tenant_id"], row["order_id"]


@twin(HERE, "insert_intents")
async def insert_intents(
    session: Session,
    tenant_ids: Ids,
    order_ids: Ids,
    statuses: Texts,
    amounts: Numbers,
    currencies: Texts,
    cards: Words,
    are_manual: Sequence[bool],
    correlation_ids: Ids,
    created: Sequence[datetime],
    asked: Times,
    settled: Times,
) -> list[Row]:
    given = zip(
        tenant_ids, order_ids, statuses, amounts, currencies, cards, are_manual, correlation_ids,
        created, asked, settled, strict=True,
    )  # fmt: skip
    names = (
        "tenant_id", "order_id", "status", "amount_minor", "currency", "card",
        "is_capture_manual", "correlation_id", "created_at", "asked_at", "settled_at",
    )  # fmt: skip
    inserted = []
    for values in sorted(given, key=lambda values: values[:2]):
        row = {
            **dict(zip(names, values, strict=True)), "capture_asked_minor": None,
            "captured_minor": 0, "refunding_minor": 0, "refunded_minor": 0, "is_closed": False,
            "provider_ref": None, "reason": None, "version": 1,
        }  # fmt: skip
        if await session.insert(INTENTS, row):
            inserted.append(_order_id(row))
    return inserted


@twin(HERE, "list_requested")
async def list_requested(session: Session, tenant_ids: Ids, order_ids: Ids) -> list[Row]:
    found = []
    for place, key in enumerate(keys_of(tenant_ids, order_ids), 1):
        row = session.get(INTENTS, key)
        if row is not None and row["status"] == "requested":
            found.append(_place({"n": place}))
    return found


@twin(HERE, "settle_requested")
async def settle_requested(
    session: Session,
    tenant_ids: Ids,
    order_ids: Ids,
    statuses: Texts,
    captured: Numbers,
    provider_refs: Words,
    reasons: Words,
    now: datetime,
) -> list[Row]:
    def settle(row: Row, word: Key) -> dict[str, Any] | None:
        if row["status"] != "requested":
            return None
        _, status, amount, provider_ref, reason = word
        return {
            "status": status, "captured_minor": amount, "provider_ref": provider_ref,
            "reason": reason, "version": row["version"] + 1,
            "card": row["card"] if status == "unknown" else None,
            "settled_at": now if status in {"captured", "declined"} else None,
        }  # fmt: skip

    places = range(1, len(order_ids) + 1)
    words = keys_of(places, statuses, captured, provider_refs, reasons)
    wanted = by_key(keys_of(tenant_ids, order_ids), words)
    settled = await change_each(session, INTENTS, in_order(wanted), settle)
    return [_place({"n": word[0]}) for _, word in settled]


@twin(HERE, "find_intents")
async def find_intents(session: Session, tenant_ids: Ids, order_ids: Ids) -> list[Row]:
    rows = [session.get(INTENTS, key) for key in keys_of(tenant_ids, order_ids)]
    return [_intent(row) for row in rows if row is not None]


@twin(HERE, "lock_intents")
async def lock_intents(session: Session, tenant_ids: Ids, order_ids: Ids) -> list[Row]:
    keys = sorted(keys_of(tenant_ids, order_ids))
    return [_intent(row) for row in await lock_each(session, INTENTS, keys)]


@twin(HERE, "save_intents")
async def save_intents(
    session: Session, tenant_ids: Ids, order_ids: Ids, *saved: Sequence[Any]
) -> int:
    def save(_row: Row, values: Key) -> dict[str, Any]:
        return dict(zip(_SAVED, values, strict=True))

    wanted = by_key(keys_of(tenant_ids, order_ids), keys_of(*saved))
    return len(await change_each(session, INTENTS, wanted, save))


@twin(HERE, "insert_refunds")
async def insert_refunds(
    session: Session,
    tenant_ids: Ids,
    refund_ids: Ids,
    order_ids: Ids,
    statuses: Texts,
    amounts: Numbers,
    currencies: Texts,
    reasons: Words,
    are_told: Sequence[bool],
    correlation_ids: Ids,
    created: Sequence[datetime],
) -> int:
    names = (
        "tenant_id", "refund_id", "order_id", "status", "amount_minor", "currency", "reason",
        "is_told", "correlation_id", "created_at",
    )  # fmt: skip
    for values in zip(
        tenant_ids, refund_ids, order_ids, statuses, amounts, currencies, reasons, are_told,
        correlation_ids, created, strict=True,
    ):  # fmt: skip
        row = dict(zip(names, values, strict=True))
        await session.insert_new(REFUNDS, row | {"failure": None, "settled_at": None})
    return len(refund_ids)


@twin(HERE, "find_refunds")
async def find_refunds(session: Session, tenant_ids: Ids, refund_ids: Ids) -> list[Row]:
    rows = [session.get(REFUNDS, key) for key in keys_of(tenant_ids, refund_ids)]
    return [_refund(row) for row in rows if row is not None]


@twin(HERE, "save_refunds")
async def save_refunds(
    session: Session,
    tenant_ids: Ids,
    refund_ids: Ids,
    statuses: Texts,
    settled: Times,
    failures: Words,
) -> int:
    def save(_row: Row, values: Key) -> dict[str, Any]:
        return dict(zip(("status", "settled_at", "failure"), values, strict=True))

    wanted = by_key(keys_of(tenant_ids, refund_ids), keys_of(statuses, settled, failures))
    return len(await change_each(session, REFUNDS, wanted, save))


@twin(HERE, "add_looks")
async def add_looks(
    session: Session, kind: str, tenant_ids: Ids, thing_ids: Ids, due_at: datetime
) -> int:
    added = 0
    for tenant_id, thing_id in sorted(keys_of(tenant_ids, thing_ids)):
        row = {
            "tenant_id": tenant_id, "kind": kind, "thing_id": thing_id, "looks": 0,
            "due_at": due_at,
        }  # fmt: skip
        added += await session.insert(LOOKS, row)
    return added


@twin(HERE, "take_due_looks")
async def take_due_looks(
    session: Session, tenant_ids: Ids, now: datetime, until: datetime, limit: int
) -> list[Row]:
    def is_due(row: Row) -> bool:
        return bool(row["due_at"] <= now)

    seen = [
        row
        for tenant_id in dict.fromkeys(tenant_ids)
        for row in session.find(LOOKS, ("tenant_id",), (tenant_id,), where=is_due)
    ]
    seen.sort(key=lambda row: row["due_at"])
    due: list[Row] = []
    for row in seen:
        if len(due) == limit:
            break
        key = (row["tenant_id"], row["kind"], row["thing_id"])
        due += await lock_each(session, LOOKS, [key], is_due, skip_locked=True)
    taken = []
    for row in due:
        changes = {"looks": row["looks"] + 1, "due_at": until}
        key = (row["tenant_id"], row["kind"], row["thing_id"])
        if await session.update(LOOKS, key, **changes):
            taken.append(_look({**row, **changes}))
    return taken


@twin(HERE, "move_looks")
async def move_looks(
    session: Session, tenant_ids: Ids, kinds: Texts, thing_ids: Ids, due: Times
) -> int:
    def move(_row: Row, due_at: datetime | None) -> dict[str, Any]:
        return {"due_at": FOREVER if due_at is None else due_at}

    wanted = in_order(by_key(keys_of(tenant_ids, kinds, thing_ids), due))
    return len(await change_each(session, LOOKS, wanted, move))


@twin(HERE, "end_looks")
async def end_looks(session: Session, tenant_ids: Ids, kinds: Texts, thing_ids: Ids) -> int:
    return await delete_each(session, LOOKS, sorted(keys_of(tenant_ids, kinds, thing_ids)))


def _given_up(session: Session, tenant_id: UUID) -> list[Row]:
    return session.find(
        LOOKS, ("tenant_id",), (tenant_id,), where=lambda row: row["due_at"] == FOREVER
    )


@twin(HERE, "list_given_up")
async def list_given_up(
    session: Session, tenant_id: UUID, after: UUID | None, limit: int
) -> list[Row]:
    named = columns("kind, order_id, thing_id, status, amount_minor, currency, looks")
    found = [row for row in _given_up(session, tenant_id) if not after or row["thing_id"] > after]
    found.sort(key=lambda row: row["thing_id"])
    told = []
    for row in found[:limit]:
        table = INTENTS if row["kind"] == "intent" else REFUNDS
        thing = session.get(table, (tenant_id, row["thing_id"]))
        nothing = {"order_id": row["thing_id"], "status": "gone", "amount_minor": 0, "currency": ""}
        told.append(named({**row, **(thing or nothing)}))
    return told


@twin(HERE, "retry_looks")
async def retry_looks(
    session: Session, tenant_id: UUID, order_id: UUID | None, due_at: datetime, limit: int
) -> list[Row]:
    def is_given_up(row: Row) -> bool:
        return bool(row["due_at"] == FOREVER)

    seen = sorted(
        (tenant_id, row["kind"], row["thing_id"])
        for row in _given_up(session, tenant_id)
        if order_id is None or _order_of(session, row) == order_id
    )
    given_up: list[Row] = []
    for key in seen:
        if len(given_up) == limit:
            break
        given_up += await lock_each(session, LOOKS, [key], is_given_up)
    for row in given_up:
        key = (tenant_id, row["kind"], row["thing_id"])
        session.write(LOOKS, key, {**row, "due_at": due_at, "looks": 0})
    named = columns("kind, thing_id")
    return [named(row) for row in given_up]


def _order_of(session: Session, look: Row) -> UUID | None:
    if look["kind"] == "intent":
        order_id: UUID = look["thing_id"]
        return order_id
    refund = session.get(REFUNDS, (look["tenant_id"], look["thing_id"]))
    return None if refund is None else refund["order_id"]
