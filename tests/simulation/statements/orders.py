"""Twins of the statements of orders."""

from collections.abc import Sequence
from datetime import datetime
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any
from uuid import UUID

from tests.simulation.rows import Key, Row
from tests.simulation.statements.changing import by_key, change_each, in_order, keys_of, lock_each
from tests.simulation.statements.records import columns
from tests.simulation.storage import Session
from tests.simulation.twins import twin

HERE = "serai.contexts.orders"
ORDERS, LINES = "orders.orders", "orders.lines"
Ids = Sequence[UUID]

_PRICE_STEP = Decimal("0.000001")
_NUMERIC = Context(prec=60, rounding=ROUND_HALF_UP)

_confirmed = columns("tenant_id, id, currency, total_minor, email, goods")
_cancelled = columns("tenant_id, id, reason, currency, total_minor, email")
_locked = columns(
    "tenant_id, id, status, reason, is_cancelling, currency, total_minor, captured_minor, "
    "refunded_minor, reference, customer, email, placed_at, settled_at, version, is_unpaid"
)
_line = columns(
    "tenant_id, order_id, line_no, sku, quantity, unit_price, amount_minor, shipped, returned, "
    "refund_minor"
)
_marked = columns("id, currency, total_minor")


@twin(HERE, "insert_orders")
async def insert_orders(
    session: Session,
    tenant_ids: Ids,
    ids: Ids,
    currencies: Sequence[str],
    totals: Sequence[int],
    references: Sequence[str | None],
    customers: Sequence[str | None],
    emails: Sequence[str | None],
    goods: Sequence[bytes],
    now: datetime,
) -> int:
    given = zip(
        tenant_ids, ids, currencies, totals, references, customers, emails, goods, strict=True
    )
    for tenant_id, order_id, currency, total, reference, customer, email, ordered in given:
        await session.insert_new(
            ORDERS,
            {
                "tenant_id": tenant_id, "id": order_id, "status": "placed", "reason": None,
                "is_cancelling": False, "currency": currency, "total_minor": total,
                "captured_minor": 0, "refunded_minor": 0, "reference": reference,
                "customer": customer, "email": email, "goods": ordered, "version": 1,
                "placed_at": now, "settled_at": None, "is_unpaid": False,
            },
        )  # fmt: skip
    return len(ids)


@twin(HERE, "insert_lines")
async def insert_lines(
    session: Session,
    tenant_ids: Ids,
    order_ids: Ids,
    numbers: Sequence[int],
    skus: Sequence[str],
    quantities: Sequence[int],
    prices: Sequence[Decimal],
    amounts: Sequence[int],
) -> int:
    given = zip(tenant_ids, order_ids, numbers, skus, quantities, prices, amounts, strict=True)
    for tenant_id, order_id, line_no, sku, quantity, price, amount in given:
        await session.insert_new(
            LINES,
            {
                "tenant_id": tenant_id, "order_id": order_id, "line_no": line_no, "sku": sku,
                "quantity": quantity, "unit_price": price.quantize(_PRICE_STEP, context=_NUMERIC),
                "amount_minor": amount, "shipped": 0, "returned": 0, "refund_minor": 0,
            },
        )  # fmt: skip
    return len(order_ids)


@twin(HERE, "confirm_orders")
async def confirm_orders(
    session: Session, tenant_ids: Ids, ids: Ids, captured: Sequence[int], now: datetime
) -> list[Row]:
    def confirm(row: Row, amount: int) -> dict[str, Any] | None:
        if row["status"] != "placed":
            return None
        return {
            "status": "confirmed", "settled_at": now, "version": row["version"] + 1,
            "captured_minor": max(row["captured_minor"], amount),
        }  # fmt: skip

    wanted = in_order(by_key(keys_of(tenant_ids, ids), captured))
    return [_confirmed(row) for row, _ in await change_each(session, ORDERS, wanted, confirm)]


@twin(HERE, "cancel_orders")
async def cancel_orders(
    session: Session, tenant_ids: Ids, ids: Ids, reasons: Sequence[str], now: datetime
) -> list[Row]:
    def cancel(row: Row, reason: str) -> dict[str, Any] | None:
        if row["status"] == "cancelled":
            return None
        return {
            "status": "cancelled", "reason": reason, "settled_at": now,
            "version": row["version"] + 1,
        }  # fmt: skip

    wanted = in_order(by_key(keys_of(tenant_ids, ids), reasons))
    return [_cancelled(row) for row, _ in await change_each(session, ORDERS, wanted, cancel)]


@twin(HERE, "keep_orders")
async def keep_orders(session: Session, tenant_ids: Ids, ids: Ids) -> int:
    def keep(row: Row, _given: None) -> dict[str, Any] | None:
        if row["status"] != "confirmed":
            return None
        return {"is_cancelling": False, "version": row["version"] + 1}

    wanted = dict.fromkeys(sorted(keys_of(tenant_ids, ids)))
    return len(await change_each(session, ORDERS, wanted, keep))


@twin(HERE, "mark_unpaid")
async def mark_unpaid(session: Session, tenant_ids: Ids, ids: Ids) -> list[Row]:
    def mark(row: Row, _given: None) -> dict[str, Any] | None:
        if row["status"] != "confirmed" or row["is_unpaid"]:
            return None
        return {"is_unpaid": True, "version": row["version"] + 1}

    wanted = dict.fromkeys(sorted(keys_of(tenant_ids, ids)))
    return [_marked(row) for row, _ in await change_each(session, ORDERS, wanted, mark)]


@twin(HERE, "lock_orders")
async def lock_orders(session: Session, tenant_ids: Ids, ids: Ids) -> list[Row]:
    keys = sorted(set(keys_of(tenant_ids, ids)))
    return [_locked(row) for row in await lock_each(session, ORDERS, keys)]


@twin(HERE, "list_lines")
async def list_lines(session: Session, tenant_ids: Ids, ids: Ids) -> list[Row]:
    return [
        _line(row)
        for key in sorted(set(keys_of(tenant_ids, ids)))
        for row in session.find(
            LINES, ("tenant_id", "order_id"), key, order=lambda row: row["line_no"]
        )
    ]


@twin(HERE, "request_cancellations")
async def request_cancellations(session: Session, tenant_ids: Ids, ids: Ids) -> int:
    def request(row: Row, _given: None) -> dict[str, Any]:
        return {"is_cancelling": True, "version": row["version"] + 1}

    wanted = dict.fromkeys(keys_of(tenant_ids, ids))
    return len(await change_each(session, ORDERS, wanted, request))


@twin(HERE, "return_lines")
async def return_lines(
    session: Session,
    tenant_ids: Ids,
    order_ids: Ids,
    numbers: Sequence[int],
    quantities: Sequence[int],
    refunds: Sequence[int],
) -> int:
    def give_back(row: Row, given: Key) -> dict[str, Any]:
        quantity, refund = given
        return {
            "returned": row["returned"] + quantity, "refund_minor": row["refund_minor"] + refund
        }  # fmt: skip

    wanted = by_key(keys_of(tenant_ids, order_ids, numbers), keys_of(quantities, refunds))
    return len(await change_each(session, LINES, in_order(wanted), give_back))


@twin(HERE, "ship_lines")
async def ship_lines(
    session: Session,
    tenant_ids: Ids,
    order_ids: Ids,
    numbers: Sequence[int],
    quantities: Sequence[int],
) -> int:
    def ship(row: Row, quantity: int) -> dict[str, Any]:
        return {"shipped": row["shipped"] + quantity}

    wanted = _sums(keys_of(tenant_ids, order_ids, numbers), quantities)
    return len(await change_each(session, LINES, wanted, ship))


@twin(HERE, "record_captures")
async def record_captures(
    session: Session, tenant_ids: Ids, ids: Ids, amounts: Sequence[int]
) -> int:
    def capture(row: Row, amount: int) -> dict[str, Any]:
        return {
            "captured_minor": max(row["captured_minor"], amount), "version": row["version"] + 1
        }  # fmt: skip

    wanted: dict[Key, int] = {}
    for *key, amount in sorted(keys_of(tenant_ids, ids, amounts)):
        wanted[tuple(key)] = amount
    return len(await change_each(session, ORDERS, wanted, capture))


@twin(HERE, "record_refunds")
async def record_refunds(
    session: Session, tenant_ids: Ids, ids: Ids, amounts: Sequence[int]
) -> int:
    def refund(row: Row, amount: int) -> dict[str, Any]:
        refunded = row["refunded_minor"] + amount
        return {
            "captured_minor": max(row["captured_minor"], refunded), "refunded_minor": refunded,
            "version": row["version"] + 1,
        }  # fmt: skip

    wanted = _sums(keys_of(tenant_ids, ids), amounts)
    return len(await change_each(session, ORDERS, wanted, refund))


def _sums(keys: Sequence[Key], amounts: Sequence[int]) -> dict[Key, int]:
    sums: dict[Key, int] = {}
    for key, amount in zip(keys, amounts, strict=True):
        sums[key] = sums.get(key, 0) + amount
    return in_order(sums)
