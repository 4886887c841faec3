"""What notifications need of the world: their own rows, and someone who carries mail."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec

from serai.contexts.notifications.contract import Kind, MessageStatus
from serai.contexts.notifications.model.mails import Mail
from serai.contexts.notifications.model.messages import Contact, Message, Outcome, Settled, Watch
from serai.contexts.notifications.model.templates import StoredWords
from serai.kernel.db import Tx

Key = tuple[UUID, UUID]
"""A tenant and the id of something of hers."""


class Addressed(msgspec.Struct, frozen=True):
    """A message and, where it is known, whom it goes to."""

    message: Message
    contact: Contact | None


class Messages(Protocol):
    """The queue of messages; every call is part of the given transaction."""

    async def insert_contacts(self, contacts: Sequence[Contact], *, tx: Tx) -> None:
        """Notes whom to write to about orders; the first address of an order stays."""
        ...

    async def find_known(self, orders: Sequence[Key], *, tx: Tx) -> set[Key]:
        """Those of the orders for which an address is known."""
        ...

    async def insert(self, messages: Sequence[Message], *, tx: Tx) -> None:
        """Queues messages; one that is there already is left as it is."""
        ...

    async def claim(
        self, tenants: Sequence[UUID], *, now: datetime, until: datetime, limit: int, tx: Tx
    ) -> list[Addressed]:
        """Takes due messages of these tenants, in turn, for oneself until the lease ends."""
        ...

    async def record(self, settled: Sequence[tuple[Message, Settled]], *, tx: Tx) -> int:
        """Writes down what became of claimed messages; how many were still the claimant's."""
        ...

    async def find_sender(self, *, tx: Tx) -> Watch | None:
        """Who sends in this home; None where nobody ever did."""
        ...

    async def mark_sender(self, now: datetime, *, away_before: datetime, tx: Tx) -> None:
        """Notes that somebody sends here now; who was seen before `away_before` only comes anew."""
        ...

    async def lock(self, messages: Sequence[Key], *, tx: Tx) -> dict[Key, Addressed]:
        """Locks messages in the order of (tenant, id)."""
        ...

    async def requeue(self, messages: Sequence[Message], *, tx: Tx) -> None:
        """Writes down locked messages that are to be sent anew."""
        ...


class OldMessages(Protocol):
    """Messages whose retention is over."""

    async def prune(
        self, tenants: Sequence[UUID], *, below: UUID, ended_before: datetime, limit: int, tx: Tx
    ) -> int:
        """Deletes what ended before a time, of these tenants and with an id below; how many."""
        ...


class MessageLists(Protocol):
    """Messages as they are read; every call is part of the given transaction."""

    async def list_page(
        self,
        tenant_id: UUID,
        *,
        order_id: UUID | None,
        status: MessageStatus | None,
        before: UUID,
        limit: int,
        tx: Tx,
    ) -> list[Addressed]:
        """Messages with an id below `before`, newest first."""
        ...


class Templates(Protocol):
    """The words of messages; every call is part of the given transaction."""

    async def find(
        self, wanted: Sequence[tuple[UUID, Kind]], *, is_locked: bool, tx: Tx
    ) -> dict[tuple[UUID, Kind], StoredWords]:
        """The words of tenants for kinds: their own, else those that come with Serai."""
        ...

    def give_default(self, tenant_id: UUID, kind: Kind) -> StoredWords:
        """The words that come with Serai."""
        ...

    async def add(self, stored: Sequence[StoredWords], *, tx: Tx) -> None:
        """Adds words of tenants that had none of their own; Conflicted where another was faster."""
        ...

    async def change(self, stored: Sequence[StoredWords], *, tx: Tx) -> None:
        """Writes words over locked ones."""
        ...


class Places(Protocol):
    """Web pages that a tenant has named or proven as her own."""

    async def are_hers(self, tenant_id: UUID, origins: Collection[str]) -> bool:
        """Whether all of these origins are; looked up outside of any transaction."""
        ...


class Mailer(Protocol):
    """Carries mail. Called outside of any transaction."""

    async def send(self, mails: Sequence[Mail]) -> list[Outcome]:
        """One outcome each, in order, within a bounded time; never raises for a single mail.

        A mail that `find_fault` objects to is refused. Raises Unavailable where no server can be
        reached, and then nothing was sent.
        """
        ...
