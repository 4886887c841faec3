"""Twins of the statements that show payments and check them."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from tests.simulation.rows import Row
from tests.simulation.statements.payments import FOREVER, HERE, INTENTS, LOOKS, REFUNDS
from tests.simulation.statements.records import columns
from tests.simulation.storage import Session
from tests.simulation.twins import twin

_wanted_of_intent = columns(
    "id, order_id, status, amount_minor, currency, captured_minor, refunding_minor, "
    "refunded_minor, is_capture_manual, provider_ref, reason, created_at, settled_at, version"
)
_refund = columns(
    "refund_id, payment_id, order_id, status, amount_minor, currency, reason, failure, "
    "created_at, settled_at"
)


def _payment(row: Row) -> Row:
    return _wanted_of_intent({**row, "id": row["order_id"]})


def _intents(session: Session, tenant_id: UUID, holds: Callable[[Row], bool]) -> list[Row]:
    """A tenant's intents, newest first."""
    found = session.find(INTENTS, ("tenant_id",), (tenant_id,), where=holds)
    return sorted(found, key=lambda row: row["order_id"], reverse=True)


@twin(HERE, "find_payment")
async def find_payment(session: Session, tenant_id: UUID, order_id: UUID) -> list[Row]:
    row = session.get(INTENTS, (tenant_id, order_id))
    return [] if row is None else [_payment(row)]


@twin(HERE, "list_refunds")
async def list_refunds(session: Session, tenant_id: UUID, order_id: UUID, limit: int) -> list[Row]:
    found = session.find(
        REFUNDS,
        ("order_id",),
        (order_id,),
        where=lambda row: row["tenant_id"] == tenant_id,
        order=lambda row: row["refund_id"],
        limit=limit,
    )
    return [_refund({**row, "payment_id": row["order_id"]}) for row in found]


@twin(HERE, "list_payments")
async def list_payments(session: Session, tenant_id: UUID, below: UUID, limit: int) -> list[Row]:
    found = _intents(session, tenant_id, lambda row: row["order_id"] < below)
    return [_payment(row) for row in found[:limit]]


@twin(HERE, "find_scan_end")
async def find_scan_end(session: Session, tenant_id: UUID, below: UUID, offset: int) -> list[Row]:
    found = _intents(session, tenant_id, lambda row: row["order_id"] < below)
    return [columns("order_id")(row) for row in found[offset : offset + 1]]


@twin(HERE, "list_payments_by_status")
async def list_payments_by_status(
    session: Session, tenant_id: UUID, status: str, below: UUID, end: UUID, limit: int
) -> list[Row]:
    found = _intents(
        session,
        tenant_id,
        lambda row: row["status"] == status and end <= row["order_id"] < below,
    )
    return [_payment(row) for row in found[:limit]]


@twin(HERE, "check_captures")
async def check_captures(session: Session, tenant_id: UUID, limit: int) -> list[Row]:
    def is_wrong(row: Row) -> bool:
        captured, amount = row["captured_minor"], row["amount_minor"]
        return (
            row["status"] == "captured"
            and amount > 0
            and (
                not 1 <= captured <= amount or (captured != amount and not row["is_capture_manual"])
            )
        )

    named = columns("order_id, status, amount_minor, captured_minor")
    found = reversed(_intents(session, tenant_id, is_wrong))
    return [named(row) for row in found][:limit]


@twin(HERE, "check_refunds")
async def check_refunds(session: Session, tenant_id: UUID, limit: int) -> list[Row]:
    sums: dict[UUID, dict[str, int]] = {}
    for row in session.find(REFUNDS, ("tenant_id",), (tenant_id,)):
        of_order = sums.setdefault(row["order_id"], {"open": 0, "settled": 0})
        if row["status"] in {"requested", "unknown"}:
            of_order["open"] += row["amount_minor"]
        elif row["status"] == "settled":
            of_order["settled"] += row["amount_minor"]
    intents = {row["order_id"]: row for row in _intents(session, tenant_id, lambda _row: True)}
    named = columns(
        "order_id, status, captured_minor, refunding_minor, refunded_minor, refunds_open_minor, "
        "refunds_settled_minor"
    )
    no_intent = dict.fromkeys(("status", "captured_minor", "refunding_minor", "refunded_minor"))
    found = []
    for order_id in sorted(intents.keys() | sums.keys()):
        intent, refunds = intents.get(order_id), sums.get(order_id)
        if intent is None or _disagrees(intent, refunds):
            row = {
                **(intent or no_intent), "order_id": order_id,
                "refunds_open_minor": refunds and refunds["open"],
                "refunds_settled_minor": refunds and refunds["settled"],
            }  # fmt: skip
            found.append(named(row))
    return found[:limit]


def _disagrees(intent: Row, refunds: dict[str, int] | None) -> bool:
    sums = refunds or {"open": 0, "settled": 0}
    return bool(
        intent["refunding_minor"] != sums["open"]
        or intent["refunded_minor"] != sums["settled"]
        or (
            intent["status"] in {"declined", "withdrawn"}
            and intent["captured_minor"] != intent["refunding_minor"] + intent["refunded_minor"]
        )
    )


@twin(HERE, "check_open")
async def check_open(
    session: Session,
    tenant_id: UUID,
    asked_before: datetime,
    settled_before: datetime,
    limit: int,
) -> list[Row]:
    def is_before(moment: datetime | None, other: datetime) -> bool:
        return moment is not None and moment < other

    found: list[tuple[str, UUID, str, datetime | None]] = [
        ("intent", row["order_id"], row["status"], row["asked_at"])
        for row in session.find(INTENTS, ("tenant_id",), (tenant_id,))
        if (row["status"] == "requested" and is_before(row["asked_at"], asked_before))
        or (row["status"] == "unknown" and is_before(row["asked_at"], settled_before))
        or (
            row["status"] == "withdrawn"
            and not row["is_closed"]
            and is_before(row["settled_at"], settled_before)
        )
    ]
    found += [
        ("refund", row["refund_id"], row["status"], row["created_at"])
        for row in session.find(REFUNDS, ("tenant_id",), (tenant_id,))
        if (row["status"] == "requested" and row["created_at"] < asked_before)
        or (row["status"] == "unknown" and row["created_at"] < settled_before)
    ]
    found += [
        (row["kind"], row["thing_id"], "given_up", None)
        for row in session.find(LOOKS, ("tenant_id",), (tenant_id,))
        if row["due_at"] == FOREVER
    ]
    found.sort(key=lambda one: one[1])
    names = ("kind", "thing_id", "status", "since")
    named = columns("kind, thing_id, status, since")
    return [named(dict(zip(names, one, strict=True))) for one in found[:limit]]


@twin(HERE, "list_ended")
async def list_ended(
    session: Session, tenant_id: UUID, after: UUID, before: datetime, limit: int
) -> list[Row]:
    found = session.find(
        INTENTS,
        ("tenant_id",),
        (tenant_id,),
        where=lambda row: (
            row["order_id"] > after
            and row["status"] in {"declined", "withdrawn"}
            and row["settled_at"] is not None
            and row["settled_at"] < before
        ),
        order=lambda row: row["order_id"],
        limit=limit,
    )
    return [columns("order_id")(row) for row in found]


@twin(HERE, "tell_payments")
async def tell_payments(session: Session, tenant_id: UUID, after: UUID, until: UUID) -> list[Row]:
    named = columns("order_id, status, captured_minor, refunding_minor, refunded_minor, moved_at")
    settled: dict[UUID, list[datetime]] = {}
    for row in session.find(REFUNDS, ("tenant_id",), (tenant_id,)):
        if row["settled_at"] is not None:
            settled.setdefault(row["order_id"], []).append(row["settled_at"])
    told = []
    for row in _intents(session, tenant_id, lambda row: after < row["order_id"] <= until):
        moments = [*settled.get(row["order_id"], ()), row["settled_at"]]
        moved_at = max((moment for moment in moments if moment is not None), default=None)
        told.append(named({**row, "moved_at": moved_at}))
    return told
