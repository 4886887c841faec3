"""What others may know of the audit trail: its entries, its head, and what verifying it found."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import msgspec

from serai.kernel.actor import ActorKind
from serai.kernel.failure import Refused

TEXT_CHARS_MAX = 200


class ChainForked(Refused):
    """Someone else has written the next entries of a chain."""


class AuditEntryView(msgspec.Struct, frozen=True):
    """One change as the API shows it. `before` and `after` hold the fields that differ."""

    seq: int
    recorded_at: datetime
    action: str
    actor_kind: ActorKind
    actor_id: UUID
    address: str | None
    subject_kind: str
    subject_id: str
    request_id: str | None
    correlation_id: UUID
    causation_id: UUID | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    previous: str
    hash: str


class HeadView(msgspec.Struct, frozen=True):
    """Where a tenant's chain ends: whoever holds this can tell later whether it was rewritten."""

    seq: int
    hash: str


class Broken(msgspec.Struct, frozen=True):
    """The first entry at which a chain does not hold, and what is wrong with it."""

    seq: int
    what: str


class Verified(msgspec.Struct, frozen=True):
    """What verifying a chain, or a piece of it, has found."""

    entries: int
    begins_at: int
    head: HeadView | None
    broken: Broken | None
    forgotten: int = 0
    """The last entry that retention has dropped; 0 where it has dropped none."""


class Audit(Protocol):
    """What the audit trail offers to the command line."""

    def verify(
        self, tenant_id: UUID, *, held: HeadView | None = None
    ) -> AsyncIterator[tuple[int, int, Verified | None]]:
        """Recomputes a chain: yields entries done, entries in all, and at the end the verdict."""
        ...

    async def find_head(self, tenant_id: UUID) -> HeadView | None:
        """Where the chain of a tenant ends."""
        ...
