"""A person as contexts speak of her, and what each that holds something about her offers."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec

CHUNK: Final = 1_000
"""Rows that one step of an erasure, an export or a retention rule looks at."""
DAYS_MIN: Final = 1
DAYS_MAX: Final = 3_653
"""What a retention rule may say."""
FIRST: Final = UUID(int=0)


class Somebody(msgspec.Struct, frozen=True):
    """A person of a tenant: the keyed digest of her address, and her account where she has one."""

    tenant_id: UUID
    subject: UUID
    account_id: UUID | None


class Step(msgspec.Struct, frozen=True):
    """What one step did; `after` is where the next one goes on, None at the end."""

    count: int
    after: UUID | None
    orders: Sequence[UUID] = ()
    """Orders that were hers until this step: what others know of them goes with it."""


class Told(msgspec.Struct, frozen=True):
    """A part of what is known about a person; `after` as in a step."""

    facts: list[dict[str, Any]]
    after: UUID | None


class Personal(Protocol):
    """What a context knows about people. A call is part of the given transaction, and bounded."""

    @property
    def holds(self) -> str:
        """What it is called in an export and on a certificate."""
        ...

    @property
    def rules(self) -> Mapping[str, int]:
        """Its retention rules, each with its days where a tenant says nothing else."""
        ...

    async def tell(self, who: Somebody, *, after: UUID, tx: Any) -> Told:
        """What is known about her, from a place on."""
        ...

    async def erase(self, who: Somebody, *, after: UUID, tx: Any) -> Step:
        """Takes out what is known about her, from a place on. Safe to repeat."""
        ...

    async def seal_clear(self, tenants: Sequence[UUID], *, limit: int, tx: Any) -> int:
        """Seals a chunk of what was written before it rested sealed; how many rows."""
        ...

    async def expire(
        self, tenant_id: UUID, rule: str, *, before: datetime, after: UUID, tx: Any
    ) -> Step:
        """Takes out what a rule keeps no longer, from a place on; at the end the place stays."""
        ...


class OfOrders(Protocol):
    """What a context knows about orders, for the export and the erasure of whose they are."""

    @property
    def holds(self) -> str:
        """What it is called in an export and on a certificate."""
        ...

    async def tell_of(
        self, tenant_id: UUID, orders: Sequence[UUID], *, tx: Any
    ) -> list[dict[str, Any]]:
        """What is known about some orders; part of the given transaction."""
        ...

    async def erase_of(self, tenant_id: UUID, orders: Sequence[UUID], *, tx: Any) -> int:
        """Takes out what it knows about people by their orders; how many rows.

        A call is part of the given transaction. Who holds nothing of people has nothing to add.
        """
        del tenant_id, orders, tx
        return 0
