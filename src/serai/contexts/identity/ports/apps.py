"""What the provider for apps needs of the world: their rows, consents, codes and devices."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from serai.contexts.identity.model.apps import App, ConsentView
from serai.contexts.identity.model.grants import Code, Device
from serai.contexts.identity.model.protocol import IdClaims
from serai.contexts.identity.model.tokens import Claims
from serai.contexts.identity.ports import LiveSession
from serai.kernel.db import Tx
from serai.kernel.tenant import Home


class Apps(Protocol):
    """A tenant's apps and what was consented to; every call is part of the given transaction."""

    async def lock_all(self, tenant_id: UUID, *, tx: Tx) -> None:
        """Keeps a tenant's apps from a change by anyone else."""
        ...

    async def insert(self, app: App, *, tx: Tx) -> None:
        """Adds an app."""
        ...

    async def find(self, tenant_id: UUID, app_id: UUID, *, tx: Tx) -> App | None:
        """An app by its id."""
        ...

    async def list_all(self, tenant_id: UUID, *, tx: Tx) -> list[App]:
        """All of them, oldest first; there is a bound on how many there are."""
        ...

    async def update(self, app: App, *, tx: Tx) -> None:
        """Writes an app down, whose tenant's apps are locked."""
        ...

    async def delete(self, tenant_id: UUID, app_id: UUID, *, tx: Tx) -> None:
        """Deletes an app, whose tenant's apps are locked."""
        ...

    async def delete_consents(
        self, tenant_id: UUID, app_id: UUID, *, after: UUID, limit: int, tx: Tx
    ) -> UUID | None:
        """Deletes what accounts with ids above `after` let an app do; the last of them."""
        ...

    async def find_live(
        self, tenant_id: UUID, claims: Claims, *, now: datetime, tx: Tx
    ) -> LiveSession | None:
        """Whose an app's token is and what it opens now; None where it is over."""
        ...

    async def revoke_token(self, claims: Claims, *, most: int, tx: Tx) -> bool:
        """Ends a token of an app that came by itself; False where so many of it are ended."""
        ...

    async def list_consents(
        self, tenant_id: UUID, account_id: UUID, *, tx: Tx
    ) -> list[ConsentView]:
        """What an account lets which app do."""
        ...

    async def find_consent(
        self, tenant_id: UUID, account_id: UUID, app_id: UUID, *, tx: Tx
    ) -> tuple[str, ...]:
        """What an account lets an app do; nothing where it was never asked."""
        ...

    async def save_consent(
        self, tenant_id: UUID, account_id: UUID, app_id: UUID, scopes: Sequence[str], *,
        now: datetime, tx: Tx,
    ) -> None:  # fmt: skip
        """Writes down what an account lets an app do."""
        ...

    async def delete_consent(
        self, tenant_id: UUID, account_id: UUID, app_id: UUID, *, now: datetime, tx: Tx
    ) -> bool:
        """Takes it back, and ends the app's sessions of the account; False where there was none."""
        ...


class Handovers(Protocol):
    """Codes and devices on their way to tokens; every call is part of the given transaction."""

    async def insert_code(self, tenant_id: UUID, code: Code, *, tx: Tx) -> None:
        """Adds a code."""
        ...

    async def lock_code(self, tenant_id: UUID, digest: bytes, *, tx: Tx) -> Code | None:
        """A code, kept from a use by anyone else until the transaction ends."""
        ...

    async def use_code(self, tenant_id: UUID, digest: bytes, session_id: UUID, *, tx: Tx) -> None:
        """Notes which session came of a locked code."""
        ...

    async def count_devices(
        self, tenant_id: UUID, app_id: UUID, *, now: datetime, most: int, tx: Tx
    ) -> int:
        """How many devices of an app wait, up to a bound."""
        ...

    async def insert_device(
        self, tenant_id: UUID, device: Device, user_code: bytes, *, tx: Tx
    ) -> bool:
        """Adds a device; False where its user code is taken."""
        ...

    async def lock_device(self, tenant_id: UUID, digest: bytes, *, tx: Tx) -> Device | None:
        """A device, by what it comes with; kept from a change by anyone else."""
        ...

    async def lock_answerable(self, tenant_id: UUID, user_code: bytes, *, tx: Tx) -> Device | None:
        """The same, by what its owner reads from it."""
        ...

    async def update_device(self, tenant_id: UUID, device: Device, *, tx: Tx) -> None:
        """Writes a locked device down."""
        ...

    async def lock_admitted(self, tenant_id: UUID, *, tx: Tx) -> None:
        """Keeps a tenant's devices from being let in by anyone else who counts them."""
        ...

    async def count_admitted(self, tenant_id: UUID, *, tx: Tx) -> int:
        """How many devices are in now."""
        ...


class Verify(Protocol):
    """Reads access tokens."""

    async def __call__(self, token: str) -> Claims | None:
        """What a token says, if it is ours and good now."""
        ...


class ReadHint(Protocol):
    """Reads ID tokens that come back."""

    async def __call__(self, token: str) -> IdClaims | None:
        """What an ID token says that is signed by a key of ours, also after its time."""
        ...


class LookUp(Protocol):
    """Looks at what a token stands for."""

    async def __call__(self, home: Home, claims: Claims) -> LiveSession | None:
        """Whose it is and what it opens now; None where it is over."""
        ...
