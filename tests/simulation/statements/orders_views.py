"""Twins of the statements that show orders and check them."""

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from tests.simulation.rows import Row
from tests.simulation.statements.changing import keys_of
from tests.simulation.statements.orders import HERE, LINES, ORDERS, Ids
from tests.simulation.statements.records import columns
from tests.simulation.storage import Session
from tests.simulation.twins import twin

_view = columns(
    "id, status, reason, currency, total_minor, captured_minor, refunded_minor, reference, "
    "customer, email, placed_at, settled_at, version, is_unpaid"
)
_status = columns("tenant_id, id, status, version")


@twin(HERE, "find_order")
async def find_order(session: Session, tenant_id: UUID, order_id: UUID) -> list[Row]:
    row = session.get(ORDERS, (tenant_id, order_id))
    return [] if row is None else [_view(row)]


@twin(HERE, "find_statuses")
async def find_statuses(session: Session, tenant_ids: Ids, ids: Ids) -> list[Row]:
    rows = [session.get(ORDERS, key) for key in keys_of(tenant_ids, ids)]
    return [_status(row) for row in rows if row is not None]


@twin(HERE, "list_settled")
async def list_settled(session: Session, tenant_ids: Ids, ids: Ids) -> list[Row]:
    rows = [session.get(ORDERS, key) for key in keys_of(tenant_ids, ids)]
    return [_view(row) for row in rows if row is not None and row["status"] != "placed"]


def _page(
    session: Session,
    tenant_id: UUID,
    before: UUID | None,
    holds: Callable[[Row], bool],
    limit: int,
) -> list[Row]:
    found = session.scan(
        ORDERS,
        where=lambda row: (
            row["tenant_id"] == tenant_id and (before is None or row["id"] < before) and holds(row)
        ),
    )
    found.sort(key=lambda row: row["id"], reverse=True)
    return [_view(row) for row in found[:limit]]


@twin(HERE, "list_orders")
async def list_orders(
    session: Session, tenant_id: UUID, before: UUID | None, status: str | None, limit: int
) -> list[Row]:
    return _page(
        session, tenant_id, before, lambda row: status is None or row["status"] == status, limit
    )


@twin(HERE, "list_orders_by_reference")
async def list_orders_by_reference(
    session: Session, tenant_id: UUID, before: UUID | None, reference: str, limit: int
) -> list[Row]:
    return _page(session, tenant_id, before, lambda row: row["reference"] == reference, limit)


@twin(HERE, "list_orders_by_customer")
async def list_orders_by_customer(
    session: Session, tenant_id: UUID, before: UUID | None, customer: str, limit: int
) -> list[Row]:
    return _page(session, tenant_id, before, lambda row: row["customer"] == customer, limit)


@twin(HERE, "list_unpaid_orders")
async def list_unpaid_orders(
    session: Session, tenant_id: UUID, before: UUID | None, limit: int
) -> list[Row]:
    return _page(session, tenant_id, before, lambda row: bool(row["is_unpaid"]), limit)


@twin(HERE, "list_trusting")
async def list_trusting(session: Session, tenant_id: UUID, ids: Ids) -> list[Row]:
    named = columns("id")
    rows = [session.get(ORDERS, (tenant_id, order_id)) for order_id in ids]
    return [
        named(row)
        for row in rows
        if row is not None and row["status"] == "confirmed" and not row["is_unpaid"]
    ]


@twin(HERE, "sum_orders")
async def sum_orders(session: Session, tenant_id: UUID) -> list[Row]:
    orders: dict[str, list[Row]] = {}
    for row in session.scan(ORDERS, where=lambda row: row["tenant_id"] == tenant_id):
        orders.setdefault(row["status"], []).append(row)
    return [_sums_of(session, status, orders[status]) for status in sorted(orders)]


def _sums_of(session: Session, status: str, orders: Sequence[Row]) -> Row:
    lines = [
        line
        for row in orders
        for line in session.find(LINES, ("tenant_id", "order_id"), (row["tenant_id"], row["id"]))
    ]
    customers = [row["customer"] for row in orders]
    return columns(
        "status, orders, lines, units, total_minor, captured_minor, refunded_minor, shipped, "
        "returned, customers, guests"
    )(
        {
            "status": status,
            "orders": len(orders),
            "lines": len(lines),
            "units": sum(line["quantity"] for line in lines),
            "total_minor": sum(row["total_minor"] for row in orders),
            "captured_minor": sum(row["captured_minor"] for row in orders),
            "refunded_minor": sum(row["refunded_minor"] for row in orders),
            "shipped": sum(line["shipped"] for line in lines),
            "returned": sum(line["returned"] for line in lines),
            "customers": len(set(customers) - {None}),
            "guests": customers.count(None),
        }
    )


@twin(HERE, "check_orders")
async def check_orders(session: Session, tenant_id: UUID, late: datetime, limit: int) -> list[Row]:
    named = columns(
        "id, status, is_unpaid, total_minor, captured_minor, refunded_minor, placed_at, "
        "lines_minor, lines"
    )
    found = []
    for row in session.scan(ORDERS, where=lambda row: row["tenant_id"] == tenant_id):
        lines = session.find(LINES, ("tenant_id", "order_id"), (tenant_id, row["id"]))
        amount = sum(line["amount_minor"] for line in lines)
        if (
            row["total_minor"] != amount
            or not lines
            or (row["status"] == "placed" and row["placed_at"] < late)
            or (row["is_unpaid"] and row["status"] != "confirmed")
            or (
                row["status"] == "cancelled"
                and row["captured_minor"] != row["refunded_minor"]
                and row["settled_at"] < late
            )
        ):
            found.append(named({**row, "lines_minor": amount, "lines": len(lines)}))
    return found[:limit]


@twin(HERE, "tell_orders")
async def tell_orders(session: Session, tenant_id: UUID, after: UUID, limit: int) -> list[Row]:
    named = columns(
        "order_id, status, is_unpaid, total_minor, captured_minor, refunded_minor, has_email, "
        "settled_at, units, shipped"
    )
    page = session.scan(
        ORDERS,
        where=lambda row: row["tenant_id"] == tenant_id and row["id"] > after,
        order=lambda row: row["id"],
        limit=limit,
    )
    told = []
    for row in page:
        lines = session.find(LINES, ("tenant_id", "order_id"), (tenant_id, row["id"]))
        told.append(
            named(
                {
                    **row,
                    "order_id": row["id"],
                    "has_email": row["email"] is not None,
                    "units": sum(line["quantity"] for line in lines),
                    "shipped": sum(line["shipped"] for line in lines),
                }
            )
        )
    return told
