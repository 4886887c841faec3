"""Everything that a tenant has in a home, whatever context it belongs to: to export and to erase.

Both go in chunks, each a transaction of its own, and can be begun again after a kill: an export
after the last whole line that it wrote, an erasure with what is left.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final
from uuid import UUID

import asyncpg

from serai.kernel import queries
from serai.kernel.db import Database
from serai.kernel.seals.opening import Opening
from serai.kernel.tenant import DIRECTORY, POOLED, Home

EXPORT_CHUNK: Final = 500
ERASE_CHUNK: Final = 2_000
ANSWERS: Final = "kernel.idempotency_keys"
KEYS: Final = "kernel.data_keys"
ERASURES: Final = "kernel.erasures"
FIRST: Final = ("kernel.flows", "kernel.outbox", "kernel.dead_letters")
"""Erased before all else: what is left of them would make workers write new rows."""
SPARED: Final = frozenset({"tenancy.tenants", ERASURES})
"""Not erased with the rest: the directory's row goes last, so that an erasure that was killed is
gone on with, and the count of what was erased stays."""
_SQL = queries.load("serai.kernel")


async def list_tables(database: Database, home: Home, schemas: Sequence[str]) -> dict[str, bool]:
    """The tables of a home that hold rows of tenants, without its prefix, in a steady order.

    Those that others refer to come first, so that rows can be written in this order. Each
    with whether its rows may be erased: of the audit trail, which only grows, they may not.
    """
    wanted = [home.prefix + schema for schema in schemas]
    async with database.transaction(home, (), is_read_only=True) as tx:
        rows = await tx.fetch(_SQL.list_tenant_tables, wanted)
    return {row["name"].removeprefix(home.prefix): row["is_erasable"] for row in rows}


def in_order_of_erasure(tables: Mapping[str, bool]) -> list[str]:
    """Of the tables of a home those to erase, each before what it refers to."""
    erasable = [name for name, is_erasable in tables.items() if is_erasable and name not in SPARED]
    first = [name for name in erasable if name in FIRST]
    return first + [name for name in reversed(erasable) if name not in FIRST]


async def read_rows(
    database: Database, home: Home, tenant_id: UUID, table: str
) -> AsyncIterator[str]:
    """A tenant's rows of a table as JSON, in the order of its key."""
    async for chunk in read_chunks(database, home, tenant_id, table):
        for line in chunk:
            yield line


async def read_chunks(
    database: Database, home: Home, tenant_id: UUID, table: str, *, after: str | None = None,
    opening: Opening | None = None,
) -> AsyncIterator[list[str]]:  # fmt: skip
    """The same from after `after` on, some at a time; opened by `opening`, else as they rest."""
    while True:
        async with database.transaction(home, (tenant_id,), is_report=True) as tx:
            rows = await tx.fetch(
                _SQL.list_rows_after, home.prefix + table, tenant_id, after, EXPORT_CHUNK
            )
            lines = [row["line"] for row in rows]
            if opening is not None:
                open_lines = opening.open_answers if table == ANSWERS else opening.open_rows
                lines = await open_lines(lines, tx=tx)
        if lines:
            yield lines
        if len(lines) < EXPORT_CHUNK:
            return
        after = lines[-1]


async def erase_table(database: Database, home: Home, tenant_id: UUID, table: str) -> int:
    """Deletes a tenant's rows of a table; how many there were, and more than none if some are left.

    Those are left that a row refers to which was written meanwhile: the next pass takes them.
    """
    count = 0
    # Who lives elsewhere has rows in the directory, which the pooled home would not let it write.
    where = DIRECTORY if home == POOLED else home
    while True:
        try:
            async with database.transaction(where, (tenant_id,)) as tx:
                gone: int = await tx.fetchval(
                    _SQL.erase_rows, home.prefix + table, tenant_id, ERASE_CHUNK, table
                )
        except asyncpg.ForeignKeyViolationError:
            return count + 1
        count += gone
        if gone < ERASE_CHUNK:
            return count


async def list_erased(database: Database, home: Home, tenant_id: UUID) -> dict[str, int]:
    """How many rows of a tenant were erased in a home, by table; over every try."""
    async with database.transaction(home, (tenant_id,), is_read_only=True) as tx:
        rows = await tx.fetch(_SQL.list_erasures, tenant_id)
    return {row["table_name"]: row["erased"] for row in rows if row["erased"]}
