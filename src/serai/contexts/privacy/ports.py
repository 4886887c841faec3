"""What privacy needs of the world: its own rows, and the keys of subjects."""

from collections.abc import Collection, Sequence
from typing import Protocol
from uuid import UUID

from serai.contexts.privacy.contract import ConsentView
from serai.contexts.privacy.model import Erasure
from serai.kernel.db import Tx


class Records(Protocol):
    """Erasures, consents and rules; every call is part of the given transaction."""

    async def insert_erasure(self, erasure: Erasure, *, tx: Tx) -> None:
        """Notes that a person is being erased."""
        ...

    async def lock_erasure(self, tenant_id: UUID, erasure_id: UUID, *, tx: Tx) -> Erasure | None:
        """One that is not done; None where it is, or where someone else goes on with it."""
        ...

    async def update_erasure(self, erasure: Erasure, *, tx: Tx) -> None:
        """Writes a locked one down."""
        ...

    async def find_erasure(self, tenant_id: UUID, erasure_id: UUID, *, tx: Tx) -> Erasure | None:
        """An erasure by its id."""
        ...

    async def list_running(
        self, tenants: Sequence[UUID], *, limit: int, tx: Tx
    ) -> list[tuple[UUID, UUID]]:
        """Tenants and ids of erasures that are not done."""
        ...

    async def insert_consent(
        self, tenant_id: UUID, subject: UUID, consent: ConsentView, *, tx: Tx
    ) -> None:
        """Notes what someone has said."""
        ...

    async def list_consents(
        self, tenant_id: UUID, subject: UUID, *, limit: int, tx: Tx
    ) -> list[ConsentView]:
        """What someone has said, newest first."""
        ...

    async def empty_consents(self, tenant_id: UUID, subject: UUID, *, tx: Tx) -> int:
        """Takes the words of someone out of her consents, which stay; how many had some."""
        ...

    async def list_rules(
        self, tenants: Sequence[UUID], *, tx: Tx
    ) -> dict[tuple[UUID, str], tuple[int | None, UUID]]:
        """Days and place by tenant and rule, of those about which anything was written down."""
        ...

    async def save_rule(self, tenant_id: UUID, name: str, days: int | None, *, tx: Tx) -> None:
        """Writes down for how long something is kept; None: the default."""
        ...

    async def move_rule(self, tenant_id: UUID, name: str, place: UUID, *, tx: Tx) -> None:
        """Writes down how far a rule was applied."""
        ...


class Keys(Protocol):
    """The keys that seal what is about people."""

    async def erase(self, tenant_id: UUID, subjects: Collection[UUID], *, tx: Tx) -> int:
        """Erases the keys of subjects; how many there were."""
        ...
