"""Stock in PostgreSQL."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from serai.contexts.inventory.contract import StockTestimony
from serai.contexts.inventory.model import Allocation, Delta, ItemKey, Level, Movement, SkuKey
from serai.kernel import queries
from serai.kernel.db import Record, Tx

SQL = queries.load(__package__)
Rows = Sequence[Record]


class PostgresStock:
    """The port Stock over the tables of this context."""

    async def lock_levels(self, wanted: Sequence[SkuKey], *, tx: Tx) -> dict[SkuKey, list[Level]]:
        rows = await tx.fetch(SQL.lock_levels, [t for t, _ in wanted], [sku for _, sku in wanted])
        levels: dict[SkuKey, list[Level]] = {}
        for row in rows:
            levels.setdefault((row["tenant_id"], row["sku"]), []).append(
                Level(row["location"], row["available"], row["received"])
            )
        return levels

    async def create_levels(self, items: Sequence[ItemKey], *, tx: Tx) -> None:
        await tx.execute(
            SQL.create_levels,
            [t for t, _, _ in items],
            [s for _, s, _ in items],
            [p for _, _, p in items],
        )

    async def change_levels(self, deltas: Mapping[ItemKey, Delta], *, tx: Tx) -> None:
        values = list(deltas.values())
        await tx.execute(
            SQL.change_levels,
            [t for t, _, _ in deltas],
            [s for _, s, _ in deltas],
            [p for _, _, p in deltas],
            [d.received for d in values],
            [d.available for d in values],
            [d.reserved for d in values],
            [d.sold for d in values],
            [d.written_off for d in values],
        )

    async def insert_reservations(
        self, allocations: Sequence[Allocation], *, tx: Tx, now: datetime
    ) -> None:
        await tx.execute(
            SQL.insert_reservations,
            [a.tenant_id for a in allocations],
            [a.order_id for a in allocations],
            [a.sku for a in allocations],
            [a.location for a in allocations],
            [a.quantity for a in allocations],
            [a.expires_at for a in allocations],
            now,
        )

    async def sell_reservations(
        self, orders: Sequence[tuple[UUID, UUID]], *, tx: Tx, now: datetime
    ) -> None:
        await tx.execute(SQL.sell_reservations, [t for t, _ in orders], [o for _, o in orders], now)

    async def release_reservations(
        self, orders: Sequence[tuple[UUID, UUID]], *, tx: Tx, now: datetime
    ) -> set[UUID]:
        rows = await tx.fetch(
            SQL.release_reservations, [t for t, _ in orders], [o for _, o in orders], now
        )
        return {row["order_id"] for row in rows}

    async def lock_limited(
        self, reservations: Sequence[tuple[UUID, UUID]], *, tx: Tx
    ) -> set[tuple[UUID, UUID]]:
        rows = await tx.fetch(
            SQL.lock_limited, [t for t, _ in reservations], [r for _, r in reservations]
        )
        return {(row["tenant_id"], row["order_id"]) for row in rows}

    async def insert_movements(
        self, movements: Sequence[Movement], *, tx: Tx, now: datetime
    ) -> None:
        await tx.execute(
            SQL.insert_movements,
            [m.tenant_id for m in movements],
            [m.sku for m in movements],
            [m.location for m in movements],
            [m.kind for m in movements],
            [m.quantity for m in movements],
            [m.reason for m in movements],
            [m.reference for m in movements],
            now,
        )

    async def list_sold(
        self, orders: Sequence[tuple[UUID, UUID]], *, tx: Tx
    ) -> dict[tuple[UUID, UUID, str], list[tuple[str, int]]]:
        rows = await tx.fetch(SQL.list_sold, [t for t, _ in orders], [o for _, o in orders])
        sold: dict[tuple[UUID, UUID, str], list[tuple[str, int]]] = {}
        for row in rows:
            key = (row["tenant_id"], row["order_id"], row["sku"])
            sold.setdefault(key, []).append((row["location"], row["quantity"]))
        return sold

    async def return_units(self, movements: Sequence[Movement], *, tx: Tx) -> None:
        await tx.execute(
            SQL.return_units,
            [m.tenant_id for m in movements],
            [m.reference for m in movements],
            [m.sku for m in movements],
            [m.location for m in movements],
            [m.quantity for m in movements],
        )

    async def list_expired(
        self, tenants: Sequence[UUID], now: datetime, limit: int, *, tx: Tx
    ) -> list[tuple[UUID, UUID]]:
        """Orders (tenant, order) whose promises have run out of time."""
        rows = await tx.fetch(SQL.list_expired, tenants, now, limit)
        return [(row["tenant_id"], row["order_id"]) for row in rows]

    async def tell_stock(
        self, tenant_id: UUID, *, after: UUID, until: UUID, tx: Tx
    ) -> list[StockTestimony]:
        """What is promised and was sold to the orders of a range of ids."""
        rows = await tx.fetch(SQL.tell_stock, tenant_id, after, until)
        return [StockTestimony(**dict(row)) for row in rows]

    async def find_reservation(self, tenant_id: UUID, order_id: UUID, *, tx: Tx) -> Rows:
        """The lines of a reservation; empty where there is none."""
        return await tx.fetch(SQL.find_reservation, tenant_id, order_id)

    async def list_locations(self, tenant_id: UUID, *, tx: Tx) -> Rows:
        """A tenant's locations, in the order in which stock is taken from them."""
        return await tx.fetch(SQL.list_locations, [tenant_id])

    async def find_locations(self, tenants: Sequence[UUID], *, tx: Tx) -> dict[UUID, set[str]]:
        codes: dict[UUID, set[str]] = {}
        for row in await tx.fetch(SQL.list_locations, tenants):
            codes.setdefault(row["tenant_id"], set()).add(row["code"])
        return codes

    async def insert_location(
        self, tenant_id: UUID, code: str, name: str, priority: int, *, tx: Tx, now: datetime
    ) -> None:
        """Adds a location, or renames it."""
        await tx.execute(SQL.insert_location, tenant_id, code, name, priority, now)

    async def list_stock(self, *args: Any, tx: Tx) -> Rows:
        """A page of stock items: tenant, after SKU, after location, SKU, location, limit."""
        return await tx.fetch(SQL.list_stock, *args)

    async def list_movements(self, *args: Any, tx: Tx) -> Rows:
        """A page of one SKU's ledger: tenant, SKU, before id, limit."""
        return await tx.fetch(SQL.list_movements, *args)

    async def total_movements(self, *args: Any, tx: Tx) -> Rows:
        """Sums of the ledger: tenant, after SKU, how many SKUs."""
        return await tx.fetch(SQL.total_movements, *args)

    async def check_levels(self, tenant_id: UUID, limit: int, *, tx: Tx) -> Rows:
        """Stock items that reservations or ledger disagree with."""
        return await tx.fetch(SQL.check_levels, tenant_id, limit)
