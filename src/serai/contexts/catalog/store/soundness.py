"""Looks for what must never be in the catalog's tables."""

from typing import Final
from uuid import UUID

from serai.kernel import queries
from serai.kernel.db import Record, Tx
from serai.kernel.module import Finding
from serai.kernel.queries import Statement

SQL = queries.load("serai.contexts.catalog")

FINDINGS_MAX: Final = 100


async def find_unsellable(tx: Tx, tenant_id: UUID) -> list[Finding]:
    """Published products that nobody could buy."""
    return await _find(tx, tenant_id, SQL.check_for_sale, "catalog.for_sale")


async def find_strays(tx: Tx, tenant_id: UUID) -> list[Finding]:
    """Variants and prices that belong to nothing."""
    return await _find(tx, tenant_id, SQL.check_variants, "catalog.variants")


async def find_stale_indexes(tx: Tx, tenant_id: UUID) -> list[Finding]:
    """Products that lists and searches show otherwise than they are."""
    ranges = await _find(tx, tenant_id, SQL.check_price_ranges, "catalog.indexes")
    return ranges + await _find(tx, tenant_id, SQL.check_indexes, "catalog.indexes")


async def _find(tx: Tx, tenant_id: UUID, statement: Statement, check: str) -> list[Finding]:
    rows = await tx.fetch(statement, tenant_id, FINDINGS_MAX)
    return [Finding(check, _tell(row)) for row in rows]


def _tell(row: Record) -> str:
    return ", ".join(f"{name}={value}" for name, value in row.items())
