"""What inventory needs of the world: the rows of stock items, reservations and the ledger."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from serai.contexts.inventory.model import Allocation, Delta, ItemKey, Level, Movement, SkuKey
from serai.kernel.db import Tx


class Stock(Protocol):
    """Stock items, reservations and movements; every call is part of the given transaction."""

    async def lock_levels(self, wanted: Sequence[SkuKey], *, tx: Tx) -> dict[SkuKey, list[Level]]:
        """Locks the stock items of SKUs in SKU order; locations in the order they are taken from."""
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

    async def insert_movements(
        self, movements: Sequence[Movement], *, tx: Tx, now: datetime
    ) -> None:
        """Writes into the ledger."""
        ...

    async def list_sold(
        self, orders: Sequence[tuple[UUID, UUID]], *, tx: Tx
    ) -> dict[tuple[UUID, UUID, str], list[tuple[str, int]]]:
        """Where the sold units of orders came from, by tenant, order and SKU."""
        ...
