"""What inventory needs of the world: the rows of stock items, reservations and the ledger."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from serai.contexts.inventory.model import Allocation, Delta, ItemKey, Level, Movement, SkuKey
from serai.kernel.db import Record, Tx


class Stock(Protocol):
    """Stock items, reservations and movements; every call is part of the given transaction."""

    async def lock_levels(self, wanted: Sequence[SkuKey], *, tx: Tx) -> dict[SkuKey, list[Level]]:
        """Locks stock items in SKU order; a SKU's locations in the order they are taken from."""
        ...

    async def find_locations(self, tenants: Sequence[UUID], *, tx: Tx) -> dict[UUID, set[str]]:
        """The codes of the locations that tenants have made."""
        ...

    async def create_levels(self, items: Sequence[ItemKey], *, tx: Tx) -> None:
        """Creates empty stock items where there are none."""
        ...

    async def change_levels(self, deltas: Mapping[ItemKey, Delta], *, tx: Tx) -> None:
        """Adds deltas to locked stock items."""
        ...

    async def insert_reservations(
        self, allocations: Sequence[Allocation], *, tx: Tx, now: datetime
    ) -> None:
        """Writes down what is promised."""
        ...

    async def sell_reservations(
        self, orders: Sequence[tuple[UUID, UUID]], *, tx: Tx, now: datetime
    ) -> None:
        """Turns promises to orders (tenant, order) into sold units."""
        ...

    async def release_reservations(
        self, orders: Sequence[tuple[UUID, UUID]], *, tx: Tx, now: datetime
    ) -> set[UUID]:
        """Undoes promises and sales of orders; returns the orders that held something."""
        ...

    async def lock_limited(
        self, reservations: Sequence[tuple[UUID, UUID]], *, tx: Tx
    ) -> set[tuple[UUID, UUID]]:
        """Locks those that are open and have a time limit: reservations that are no order's."""
        ...

    async def insert_movements(
        self, movements: Sequence[Movement], *, tx: Tx, now: datetime
    ) -> None:
        """Writes into the ledger."""
        ...

    async def list_sold(
        self, orders: Sequence[tuple[UUID, UUID]], *, tx: Tx
    ) -> dict[tuple[UUID, UUID, str], list[tuple[str, int]]]:
        """Where the sold units of orders came from and did not go back to, by order and SKU."""
        ...

    async def return_units(self, movements: Sequence[Movement], *, tx: Tx) -> None:
        """Counts units that went back to where they were sold from; `reference` is the order."""
        ...


class StockReads(Protocol):
    """What the routes of inventory look up and keep: rows as mappings by column."""

    async def find_reservation(
        self, tenant_id: UUID, order_id: UUID, *, tx: Tx
    ) -> Sequence[Record]:
        """The lines of a reservation; empty where there is none."""
        ...

    async def list_locations(self, tenant_id: UUID, *, tx: Tx) -> Sequence[Record]:
        """A tenant's locations, in the order in which stock is taken from them."""
        ...

    async def insert_location(
        self, tenant_id: UUID, code: str, name: str, priority: int, *, tx: Tx, now: datetime
    ) -> None:
        """Adds a location, or renames it."""
        ...

    async def list_stock(self, *args: Any, tx: Tx) -> Sequence[Record]:
        """A page of stock items: tenant, after SKU, after location, SKU, location, limit."""
        ...

    async def list_movements(self, *args: Any, tx: Tx) -> Sequence[Record]:
        """A page of one SKU's ledger: tenant, SKU, before id, limit."""
        ...

    async def total_movements(self, *args: Any, tx: Tx) -> Sequence[Record]:
        """Sums of the ledger: tenant, after SKU, how many SKUs."""
        ...
