"""Rows that are written twice are written in place the second time: no index is touched for it."""

from pathlib import Path

from serai.kernel.db import Database
from tests.integration.house import House

INDEXES = """
SELECT c.relname, pg_get_indexdef(i.indexrelid) AS text
FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname || '.' || c.relname = ANY ($1)
"""
IN_PLACE = {
    "inventory.reservations": ("state",),
    "kernel.idempotency_keys": ("answer",),
    "payments.intents": ("status", "captured_minor", "settled_at"),
    "inventory.stock_items": ("available", "reserved", "sold"),
    "orders.orders": ("status", "settled_at", "captured_minor"),
}


async def test_no_index_holds_or_asks_for_a_column_that_changes(
    database: Database, tmp_path: Path
) -> None:
    house = House(database, tmp_path)
    rows = await house.rows(INDEXES, list(IN_PLACE))
    assert {row["relname"] for row in rows} == {name.split(".")[1] for name in IN_PLACE}
    touched = [
        (row["text"], column)
        for name, columns in IN_PLACE.items()
        for row in rows
        if row["relname"] == name.split(".")[1]
        for column in columns
        if column in row["text"]
    ]
    assert touched == []
    await house.composition.close()
