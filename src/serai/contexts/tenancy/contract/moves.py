"""What others may know of moves of tenants from home to home."""

from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec

from serai.kernel import ids
from serai.kernel.db import Tx
from serai.kernel.failure import Refused
from serai.kernel.tenant import Home


class MoveUnderWay(Refused):
    """A move of this tenant has not ended; go on with it, or undo it."""


class MoveView(msgspec.Struct, frozen=True):
    """A tenant's move to another home, and how far it has come."""

    tenant: str
    tenant_id: UUID
    move_id: UUID
    source: Home
    target: Home
    step: str
    rows: int
    refused_ms: int | None
    """How long writes were refused at the change-over."""
    error: str | None
    started_at: datetime
    updated_at: datetime
    ended_at: datetime | None


def begin_view(tenant: str, tenant_id: UUID, source: Home, target: Home, now: datetime) -> MoveView:
    """A move that is about to begin."""
    return MoveView(
        tenant, tenant_id, ids.new_id(), source, target, "preparing", 0, None, None, now, now, None
    )


class Moves(Protocol):
    """Keeps the moves of tenants; each call is part of a session of the schemas' owner."""

    async def hold(self, tx: Tx, tenant_id: UUID) -> bool:
        """Keeps other processes off a tenant's moves for this session; whether none is at one."""
        ...

    async def begin(self, tx: Tx, view: MoveView) -> MoveView:
        """Writes down that a move begins; refuses where one has not ended."""
        ...

    async def note(
        self, tx: Tx, move: MoveView, step: str, now: datetime, *, error: str | None = None
    ) -> MoveView:
        """Writes down how far a move has come, with its rows and how long writes were refused."""
        ...

    async def switch(self, tx: Tx, move: MoveView) -> None:
        """Gives the tenant its new home and tells every process."""
        ...

    async def find(self, tx: Tx, tenant_id: UUID) -> MoveView | None:
        """A tenant's move that has not ended."""
        ...

    async def list_all(self, tx: Tx, limit: int) -> list[MoveView]:
        """Moves of all tenants, the newest first."""
        ...
