"""The rows that payments' handlers need, as Protocols: intents, refunds and open matters.

Every call is part of the transaction it is given. Rows are locked in the order of (tenant, order);
a refund has no lock of its own, its intent's is held instead.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

import msgspec

from serai.contexts.payments.contract import GivenUp, PaymentStatus, PaymentView
from serai.contexts.payments.model import Intent, Refund
from serai.kernel.db import Tx

Key = tuple[UUID, UUID]
"""A tenant and the id of an order, which is its intent's too, or of a refund."""
Kind = Literal["intent", "refund"]


class FirstWord(msgspec.Struct, frozen=True):
    """What an intent that is still requested becomes by the provider's first word on it."""

    tenant_id: UUID
    order_id: UUID
    status: PaymentStatus
    captured_minor: int
    provider_ref: str | None
    reason: str | None


class Look(msgspec.Struct, frozen=True):
    """An open matter that the provider is asked about at `due_at`; None: given up."""

    tenant_id: UUID
    kind: Kind
    thing_id: UUID
    looks: int
    due_at: datetime | None


class Intents(Protocol):
    """Payment intents."""

    async def insert_intents(self, intents: Sequence[Intent], *, tx: Tx) -> set[UUID]:
        """Adds intents; the ids of the orders that had none."""
        ...

    async def list_requested(self, keys: Sequence[Key], *, tx: Tx) -> list[int]:
        """Which intents, by their places in `keys`, are still requested; nothing is locked."""
        ...

    async def settle_requested(
        self, words: Sequence[FirstWord], *, tx: Tx, now: datetime
    ) -> list[int]:
        """Settles those that are still requested; their places in `words`. The others stay."""
        ...

    async def find_intents(self, keys: Sequence[Key], *, tx: Tx) -> dict[Key, Intent]:
        """The intents that there are; nothing is locked."""
        ...

    async def lock_intents(self, keys: Sequence[Key], *, tx: Tx) -> dict[Key, Intent]:
        """The intents that there are, locked."""
        ...

    async def save_intents(self, intents: Sequence[Intent], *, tx: Tx) -> None:
        """Writes locked intents back."""
        ...


class Refunds(Protocol):
    """Refunds, under the locks of their intents."""

    async def insert_refunds(self, refunds: Sequence[Refund], *, tx: Tx) -> None:
        """Adds refunds."""
        ...

    async def find_refunds(self, keys: Sequence[Key], *, tx: Tx) -> dict[Key, Refund]:
        """Refunds by their ids."""
        ...

    async def save_refunds(self, refunds: Sequence[Refund], *, tx: Tx) -> None:
        """Writes refunds back."""
        ...


class Looks(Protocol):
    """Open matters, and when the provider is asked about them."""

    async def add_looks(self, kind: Kind, keys: Sequence[Key], *, due_at: datetime, tx: Tx) -> None:
        """Puts matters down as open; one that is open already keeps its time."""
        ...

    async def take_due_looks(
        self,
        tenants: Sequence[UUID],
        *,
        now: datetime,
        until: datetime,
        limit: int,
        tx: Tx,
    ) -> list[Look]:
        """Counts a look at each matter that is due and keeps it from others until `until`."""
        ...

    async def move_looks(self, looks: Sequence[Look], *, tx: Tx) -> None:
        """Sets when open matters are due next."""
        ...

    async def end_looks(self, kind: Kind, keys: Sequence[Key], *, tx: Tx) -> None:
        """Forgets matters that are settled."""
        ...


class GivenUpLooks(Protocol):
    """Open matters that the provider is not asked about any more."""

    async def list_given_up(
        self, tenant_id: UUID, *, after: UUID | None, limit: int, tx: Tx
    ) -> list[GivenUp]:
        """Those of a tenant, by the id of the thing, from the first after `after` on."""
        ...

    async def retry_looks(
        self, tenant_id: UUID, *, order_id: UUID | None, due_at: datetime, limit: int, tx: Tx
    ) -> list[tuple[Kind, UUID]]:
        """Makes those of an order, or all, due again; which they were, by kind and id."""
        ...


class Books(Intents, Refunds, Looks, Protocol):
    """All of payments' rows."""


class Views(Protocol):
    """Payments as the API shows them; reads of one tenant."""

    async def find_payment(self, tenant_id: UUID, order_id: UUID, *, tx: Tx) -> PaymentView | None:
        """A payment with its refunds."""
        ...

    async def list_payments(
        self, tenant_id: UUID, *, before: UUID | None, limit: int, tx: Tx
    ) -> list[PaymentView]:
        """Payments, newest first, from the first before `before` on; without their refunds."""
        ...

    async def list_payments_by_status(
        self,
        tenant_id: UUID,
        status: PaymentStatus,
        *,
        before: UUID | None,
        limit: int,
        scanned_max: int,
        tx: Tx,
    ) -> tuple[list[PaymentView], UUID | None]:
        """The same of one status, and the id below which nothing was looked at, if any is."""
        ...
