"""What returns need of the world: their own rows. The order is asked through its contract."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from serai.contexts.returns.contract import ReturnStatus
from serai.contexts.returns.model import Return
from serai.kernel.db import Tx

Key = tuple[UUID, UUID]
"""A tenant and the id of a return."""


class ReturnRows(Protocol):
    """Returns as they are written; every call is part of the given transaction."""

    async def insert(self, returns: Sequence[Return], *, tx: Tx) -> None:
        """Adds returns."""
        ...

    async def move(
        self,
        returns: Sequence[Key],
        *,
        to: ReturnStatus,
        comes_from: Sequence[ReturnStatus],
        now: datetime,
        tx: Tx,
    ) -> None:
        """Moves those that stand in one of the given statuses; leaves all other ids alone."""
        ...

    async def lock(self, returns: Sequence[Key], *, tx: Tx) -> dict[Key, Return]:
        """Locks returns by tenant and id, and reads them."""
        ...

    async def grant(self, returns: Sequence[Return], *, tx: Tx) -> None:
        """Writes locked requests down as they were accepted."""
        ...

    async def find_asked(self, orders: Sequence[Key], *, tx: Tx) -> set[Key]:
        """Which orders (by tenant and id) have a return that is asked for and not looked at."""
        ...


class ReturnLists(Protocol):
    """Returns as they are read; every call is part of the given transaction."""

    async def find(self, tenant_id: UUID, return_id: UUID, *, tx: Tx) -> Return | None:
        """One return."""
        ...

    async def list_page(
        self,
        tenant_id: UUID,
        *,
        order_id: UUID | None,
        before: UUID,
        limit: int,
        tx: Tx,
        is_requested: bool = False,
    ) -> list[Return]:
        """Returns with an id below `before`, newest first: all, of one order, or requests only."""
        ...
