"""Reads from the shop's tables what became of the orders: nothing is taken from the shop's word.

The tables are copied out whole, as a backup copies them, and added up here. That is slower than
SQL, and it keeps the observer out of the contexts' statements, indexes and walls.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from serai.cli.bench.load import Latencies, percentiles


class OrderRow(msgspec.Struct, frozen=True):
    """An order as it ended. Times are seconds since 1970."""

    id: str
    status: str
    reason: str
    placed_at: float
    settled_at: float | None


class StockRow(msgspec.Struct, frozen=True):
    """A SKU over all its locations."""

    received: int
    available: int
    reserved: int
    sold: int
    written_off: int


class Settlement(msgspec.Struct, frozen=True):
    """How the orders of one window ended."""

    found: int
    confirmed: int
    cancelled: int
    open: int
    reasons: dict[str, int]
    seconds: float
    """From the begin of the window to the end of the last saga."""
    confirm_ms: Latencies


class StockFaults(msgspec.Struct, frozen=True):
    """Units that were promised and not there, and units that were taken for no order."""

    oversold: int
    stray: int


class Table(msgspec.Struct, frozen=True):
    """A table of the shop and the columns that are looked at."""

    schema: str
    name: str
    columns: tuple[str, ...]


ORDERS = Table("orders", "orders", ("id", "status", "reason", "placed_at", "settled_at"))
STATUSES = Table("orders", "orders", ("status",))
LINES = Table("orders", "lines", ("order_id", "sku", "quantity"))
STOCK = Table(
    "inventory",
    "stock_items",
    ("sku", "received", "available", "reserved", "sold", "written_off"),
)
SHIPMENTS = Table("shipping", "shipments", ("created_at",))
NOTICES = Table("notifications", "messages", ("kind", "created_at"))
CONFIRMATION = "order_confirmed"


async def copy_table(connection: Any, table: Table) -> bytes:
    """A table's columns as CSV, for a role that no wall stops."""
    target = io.BytesIO()
    await connection.copy_from_table(
        table.name,
        schema_name=table.schema,
        columns=list(table.columns),
        output=target,
        format="csv",
    )
    return target.getvalue()


async def read_table(connection: Any, table: Table) -> list[list[str]]:
    """All rows of a table as text; an empty text is a null."""
    data = await copy_table(connection, table)
    return list(csv.reader(io.StringIO(data.decode("utf-8"))))


async def count_open(connection: Any) -> int:
    """How many orders have not come to an end, shipment and notification included."""
    statuses = (await copy_table(connection, STATUSES)).splitlines()
    confirmed = statuses.count(b"confirmed")
    shipments = (await copy_table(connection, SHIPMENTS)).count(b"\n")
    notices = (await copy_table(connection, NOTICES)).count(CONFIRMATION.encode())
    return statuses.count(b"placed") + max(0, confirmed - min(shipments, notices))


async def read_settlement(connection: Any, started_at: float) -> Settlement:
    """How the orders that were placed from `started_at` on have ended."""
    orders = [
        OrderRow(row[0], row[1], row[2], seconds_of(row[3]), seconds_of(row[4]) if row[4] else None)
        for row in await read_table(connection, ORDERS)
    ]
    made = [row[0] for row in await read_table(connection, SHIPMENTS)]
    made += [at for kind, at in await read_table(connection, NOTICES) if kind == CONFIRMATION]
    followed_at = max(map(seconds_of, made), default=0.0)
    return settle(orders, started_at=started_at, followed_at=followed_at)


def settle(orders: Iterable[OrderRow], *, started_at: float, followed_at: float) -> Settlement:
    """Sums orders of a window up; `followed_at` is when the last shipment or notice was made."""
    own = [order for order in orders if order.placed_at >= started_at]
    statuses = Counter(order.status for order in own)
    taken = [
        order.settled_at - order.placed_at
        for order in own
        if order.status == "confirmed" and order.settled_at is not None
    ]
    ends = [order.settled_at for order in own if order.settled_at is not None]
    return Settlement(
        found=len(own),
        confirmed=statuses["confirmed"],
        cancelled=statuses["cancelled"],
        open=statuses["placed"],
        reasons=dict(Counter(order.reason for order in own if order.reason)),
        seconds=max(max(ends, default=started_at), followed_at) - started_at,
        confirm_ms=percentiles(taken),
    )


async def read_stock_faults(connection: Any) -> StockFaults:
    """What does not add up between the stock and all orders that were ever confirmed."""
    confirmed = {row[0] for row in await read_table(connection, ORDERS) if row[1] == "confirmed"}
    promised: Counter[str] = Counter()
    for order_id, sku, quantity in await read_table(connection, LINES):
        if order_id in confirmed:
            promised[sku] += int(quantity)
    sums: dict[str, list[int]] = {}
    for sku, *units in await read_table(connection, STOCK):
        known = sums.setdefault(sku, [0] * len(units))
        sums[sku] = [total + int(unit) for total, unit in zip(known, units, strict=True)]
    return find_faults({sku: StockRow(*units) for sku, units in sums.items()}, promised)


def find_faults(stock: Mapping[str, StockRow], promised: Mapping[str, int]) -> StockFaults:
    """Compares the units of each SKU with what came in and with what confirmed orders hold."""
    oversold = stray = 0
    nothing = StockRow(0, 0, 0, 0, 0)
    for sku in stock.keys() | promised.keys():
        row = stock.get(sku, nothing)
        held = promised.get(sku, 0)
        beyond = row.sold + row.reserved + row.written_off - row.received
        oversold += max(0, beyond, -row.available, held - row.sold)
        stray += max(0, row.sold - held)
    return StockFaults(oversold, stray)


def seconds_of(text: str) -> float:
    """Seconds since 1970 of a time stamp as PostgreSQL writes it."""
    return datetime.fromisoformat(text).timestamp()
