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


class ReturnLists(Protocol):
    """Returns as they are read; every call is part of the given transaction."""

    async def find(self, tenant_id: UUID, return_id: UUID, *, tx: Tx) -> Return | None:
        """One return."""
        ...

    async def list_page(
        self, tenant_id: UUID, *, order_id: UUID | None, before: UUID, limit: int, tx: Tx
    ) -> list[Return]:
        """Returns with an id below `before`, newest first."""
        ...
