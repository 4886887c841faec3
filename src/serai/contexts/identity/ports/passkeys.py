"""What passkeys need of the world: their rows, and someone who checks what is signed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from serai.contexts.identity.model.accounts import Account
from serai.contexts.identity.model.passkeys import Challenge, Made, Passkey, Signed
from serai.kernel.db import Tx


class Passkeys(Protocol):
    """Passkeys, challenges, and who needs a second factor; all in the given transaction."""

    async def insert(self, tenant_id: UUID, passkey: Passkey, *, tx: Tx) -> bool:
        """Adds a passkey; False where the tenant knows its credential."""
        ...

    async def list_of(self, tenant_id: UUID, account_id: UUID, *, tx: Tx) -> list[Passkey]:
        """An account's, oldest first."""
        ...

    async def find(self, tenant_id: UUID, credential_id: bytes, *, tx: Tx) -> Passkey | None:
        """The passkey of a credential."""
        ...

    async def lock(
        self, tenant_id: UUID, passkey_id: UUID, account_id: UUID, *, tx: Tx
    ) -> Passkey | None:
        """An account's passkey, kept from a use by anyone else until the transaction ends."""
        ...

    async def update(self, tenant_id: UUID, passkey: Passkey, *, tx: Tx) -> None:
        """Writes a locked one down."""
        ...

    async def delete(self, tenant_id: UUID, passkey_id: UUID, *, tx: Tx) -> None:
        """Takes a locked one away."""
        ...

    async def delete_all(self, tenant_id: UUID, account_id: UUID, *, tx: Tx) -> int:
        """Takes all of an account away; how many."""
        ...

    async def add_challenge(
        self, tenant_id: UUID, challenge_id: UUID, account_id: UUID, challenge: Challenge, *,
        kept: int, tx: Tx,
    ) -> None:  # fmt: skip
        """Notes a challenge of an account, or of nobody, and drops all but the newest."""
        ...

    async def take_challenge(
        self, tenant_id: UUID, challenge_id: UUID, account_id: UUID, *, now: datetime, tx: Tx
    ) -> Challenge | None:
        """Uses a challenge up; None where it was, or its time is over, or it is another's."""
        ...

    async def list_demanding(self, tenant_id: UUID, *, tx: Tx) -> list[str]:
        """The roles that ask for a second factor."""
        ...

    async def save_demanding(self, tenant_id: UUID, names: Sequence[str], *, tx: Tx) -> None:
        """Makes these the roles that ask for a second factor; the tenant's roles are locked."""
        ...


class Ceremonies(Protocol):
    """Asks authenticators and checks what they answer (Web Authentication, level 3)."""

    def ask_to_make(
        self, account: Account, challenge: Challenge, *, has: Sequence[Passkey], shop: str
    ) -> dict[str, Any]:
        """The options for `navigator.credentials.create`, as JSON."""
        ...

    def ask_to_sign(self, challenge: Challenge) -> dict[str, Any]:
        """The options for `navigator.credentials.get`, for any passkey of the site, as JSON."""
        ...

    def read_made(self, credential: dict[str, Any], challenge: Challenge) -> Made | None:
        """What was made in answer to this challenge, by who was verified; None for all else."""
        ...

    def read_id(self, credential: dict[str, Any]) -> bytes | None:
        """Which credential an answer claims to be by."""
        ...

    def read_signed(
        self, credential: dict[str, Any], challenge: Challenge, passkey: Passkey
    ) -> Signed | None:
        """What was signed by this passkey, for this challenge; None for all else."""
        ...
