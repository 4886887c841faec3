"""What the audit trail needs of the world: a place that only ever grows."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec

from serai.contexts.audit.model import Head, Linked
from serai.kernel.actor import ActorKind
from serai.kernel.db import Tx


class Wanted(msgspec.Struct, frozen=True):
    """Which entries are looked for; what is None does not matter."""

    actor_kind: ActorKind | None = None
    actor_id: UUID | None = None
    action: str | None = None
    subject_kind: str | None = None
    subject_id: str | None = None
    correlation_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None


class Found(msgspec.Struct, frozen=True):
    """Entries that were found, newest first, and where to look on; None at the end."""

    entries: list[Linked]
    before: int | None


class Entries(Protocol):
    """Keeps entries, and gives them back as they were written."""

    async def find_heads(self, tenants: Collection[UUID], *, tx: Tx) -> Mapping[UUID, Head]:
        """Where chains end; absent for a tenant without any entry."""
        ...

    async def append(self, linked: Sequence[Linked], *, tx: Tx) -> None:
        """Adds entries; fails where one does not follow the last of its chain."""
        ...


class Trail(Protocol):
    """Reads entries and drops those whose time is over."""

    async def find(self, tenant_id: UUID, seq: int, *, tx: Tx) -> Linked | None:
        """One entry."""
        ...

    async def search(
        self, tenant_id: UUID, wanted: Wanted, *, before: int, limit: int, tx: Tx
    ) -> Found:
        """The entries before a place that are wanted, at most so many."""
        ...

    async def read_piece(self, tenant_id: UUID, after: int, limit: int, *, tx: Tx) -> list[Linked]:
        """The next entries of a chain, in its order."""
        ...

    async def find_anchor(self, tenant_id: UUID, *, tx: Tx) -> Head:
        """What the first entry that is left follows: the last one dropped, or the beginning."""
        ...

    async def forget(self, tenant_id: UUID, limit: int, *, tx: Tx) -> int:
        """Drops the oldest entries whose retention is over; how many."""
        ...
