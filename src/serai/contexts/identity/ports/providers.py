"""What sign-in by providers needs of the world: its rows, and to talk to the providers."""

from datetime import datetime
from typing import Protocol
from uuid import UUID

from serai.contexts.identity.contract import AccountKind
from serai.contexts.identity.model.providers import IdClaims, Metadata, Provider, Try
from serai.kernel.db import Tx


class Providers(Protocol):
    """Providers, links and sign-ins under way; every call is part of the given transaction."""

    async def insert(self, tenant_id: UUID, provider: Provider, *, tx: Tx) -> bool:
        """Adds a provider; False where its kind has one of that issuer."""
        ...

    async def list_all(self, tenant_id: UUID, *, tx: Tx) -> list[Provider]:
        """A tenant's, oldest first."""
        ...

    async def find(self, tenant_id: UUID, provider_id: UUID, *, tx: Tx) -> Provider | None:
        """One of them."""
        ...

    async def lock(self, tenant_id: UUID, provider_id: UUID, *, tx: Tx) -> Provider | None:
        """The same, kept from a change by anyone else until the transaction ends."""
        ...

    async def update(self, tenant_id: UUID, provider: Provider, *, tx: Tx) -> None:
        """Writes a locked one down."""
        ...

    async def delete(self, tenant_id: UUID, provider_id: UUID, *, tx: Tx) -> None:
        """Takes a locked one away."""
        ...

    async def find_link(
        self, tenant_id: UUID, kind: AccountKind, issuer: str, subject: str, *, tx: Tx
    ) -> UUID | None:
        """Whose account a provider means by a subject."""
        ...

    async def add_link(
        self, tenant_id: UUID, kind: AccountKind, issuer: str, subject: str, account_id: UUID, *,
        tx: Tx,
    ) -> bool:  # fmt: skip
        """Notes it; False where another account is noted."""
        ...

    async def delete_links(self, tenant_id: UUID, account_id: UUID, *, tx: Tx) -> int:
        """Forgets all of an account; how many."""
        ...

    async def add_try(
        self, tenant_id: UUID, state: bytes, tried: Try, *, kept: int, tx: Tx
    ) -> None:
        """Notes a sign-in that is under way, and drops all but the newest."""
        ...

    async def take_try(self, tenant_id: UUID, state: bytes, *, now: datetime, tx: Tx) -> Try | None:
        """Uses one up; None where it was, or its time is over."""
        ...


class Relying(Protocol):
    """Talks to providers, never in a transaction. Unavailable where one does not answer."""

    def find_fault(self, url: str) -> str | None:
        """Why an address is not gone to."""
        ...

    async def discover(self, issuer: str) -> Metadata:
        """What a provider publishes of itself, remembered for a while."""
        ...

    async def redeem(
        self, provider: Provider, metadata: Metadata, *, secret: str | None, code: str,
        redirect_uri: str, verifier: str,
    ) -> str | None:  # fmt: skip
        """The id token for a code; None where the provider does not give one."""
        ...

    async def read_token(self, token: str, metadata: Metadata) -> IdClaims | None:
        """What an id token says, if the provider has signed it; for whom and when is not judged."""
        ...
