"""What identity needs of the world: its own rows, a slow hash, a safe for keys, and to be told."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, Protocol
from uuid import UUID

import msgspec

from serai.contexts.identity.contract import AccountKind, Conditions, RoleView
from serai.contexts.identity.model.accounts import Account
from serai.contexts.identity.model.factors import Factor
from serai.contexts.identity.model.keys import SigningKey
from serai.contexts.identity.model.sessions import Session
from serai.contexts.identity.model.tokens import TYPE, Claims, MailPurpose
from serai.kernel.conditions import Ways
from serai.kernel.db import Tx
from serai.kernel.person import Somebody
from serai.kernel.tenant import Home

ACCOUNT: Final = "account"
TENANT: Final = "tenant"
KEYS: Final = "keys"

FindHome = Callable[[UUID], Awaitable[Home]]
"""Where a tenant lives; refuses one that is unknown, or not served now."""
FindByHost = Callable[[str], Awaitable[UUID | None]]
"""Whose domain a request's `Host` names; None where it is nobody's."""


class MailToken(msgspec.Struct, frozen=True):
    """What a mail asks its reader to confirm."""

    tenant_id: UUID
    id: UUID
    purpose: MailPurpose
    account_id: UUID | None
    email: str
    name: str
    password_hash: str | None
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None = None
    kind: AccountKind = "customer"
    """Of whose account; it is not kept."""


class SealedAddress(msgspec.Struct, frozen=True):
    """An address and a name as they rest, and as they may stand in an event."""

    email: str
    name: str


class LiveSession(msgspec.Struct, frozen=True):
    """A session that has not ended, of an account that may come in, and what that may do."""

    account_id: UUID
    """Of an app that comes by itself, the app's id."""
    kind: AccountKind | Literal["app"]
    scopes: frozenset[str]
    limits: Mapping[str, Ways] = {}
    factor_at: datetime | None = None


class Accounts(Protocol):
    """Accounts of customers and staff; every call is part of the given transaction."""

    async def insert(self, account: Account, *, tx: Tx) -> SealedAddress | None:
        """Adds an account; None where its kind has one of that address."""
        ...

    async def find_named(
        self, tenant_id: UUID, kind: AccountKind, email_key: str, *, tx: Tx
    ) -> Account | None:
        """The account of an address."""
        ...

    async def find(self, tenant_id: UUID, account_id: UUID, *, tx: Tx) -> Account | None:
        """An account by its id."""
        ...

    async def lock(self, tenant_id: UUID, account_id: UUID, *, tx: Tx) -> Account | None:
        """The same, kept from a change by anyone else until the transaction ends."""
        ...

    async def update(self, account: Account, *, tx: Tx) -> None:
        """Writes a locked account down."""
        ...

    async def list_page(
        self, tenant_id: UUID, kind: AccountKind, *, before: UUID, limit: int, tx: Tx
    ) -> list[Account]:
        """Accounts of a kind with an id below `before`, newest first."""
        ...

    async def count_seats(self, tenant_id: UUID, *, tx: Tx) -> int:
        """How many of the staff are not suspended."""
        ...

    async def count_with_role(
        self, tenant_id: UUID, role: str, *, is_everyone: bool, but: UUID, tx: Tx
    ) -> int:
        """How many but one have a role, up to a bound: all, or only those who can sign in."""
        ...


class Sessions(Protocol):
    """Sessions and mailed tokens; every call is part of the given transaction."""

    async def insert(self, tenant_id: UUID, session: Session, *, tx: Tx) -> None:
        """Adds a session."""
        ...

    async def lock(self, tenant_id: UUID, session_id: UUID, *, tx: Tx) -> Session | None:
        """A session, kept from a change by anyone else until the transaction ends."""
        ...

    async def rotate(self, tenant_id: UUID, session: Session, *, tx: Tx) -> None:
        """Writes down the fresh half and the times of a locked session."""
        ...

    async def end(
        self, tenant_id: UUID, account_id: UUID, *, only: UUID | None, keep: UUID | None,
        reason: str, now: datetime, tx: Tx,
    ) -> int:  # fmt: skip
        """Ends sessions of an account: all, one only, or all but one; how many."""
        ...

    async def end_oldest(
        self, tenant_id: UUID, account_id: UUID, *, app_id: UUID | None, kept: int,
        now: datetime, tx: Tx,
    ) -> int:  # fmt: skip
        """Ends all but the newest sessions that an account has with an app; how many."""
        ...

    async def list_living(
        self, tenant_id: UUID, account_id: UUID, *, now: datetime, limit: int, tx: Tx
    ) -> list[Session]:
        """Sessions with the shop itself that have not ended, newest first."""
        ...

    async def find_live(
        self, tenant_id: UUID, claims: Claims, *, now: datetime, tx: Tx
    ) -> LiveSession | None:
        """The session of a token with what its account may do now; None where it is over."""
        ...

    async def tell(self, what: str, of: UUID, *, tx: Tx) -> None:
        """Tells every process, with the commit, what changed (ACCOUNT, TENANT, KEYS), whose."""
        ...

    async def insert_mail_token(self, token: MailToken, *, tx: Tx) -> SealedAddress:
        """Notes what a mail asks for."""
        ...

    async def use_mail_token(
        self, tenant_id: UUID, token_id: UUID, purpose: MailPurpose, *, now: datetime, tx: Tx
    ) -> MailToken | None:
        """Uses a mailed token up; None where it is used, over, or for something else."""
        ...

    async def read_mail_token(
        self, tenant_id: UUID, token_id: UUID, purpose: MailPurpose, *, now: datetime, tx: Tx
    ) -> MailToken | None:
        """A mailed token that could be used now."""
        ...

    async def find_latest_mail_token(
        self, tenant_id: UUID, email: str, *, now: datetime, tx: Tx
    ) -> MailToken | None:
        """The latest token of an address that could be used now."""
        ...

    async def void_mail_tokens(
        self, tenant_id: UUID, account_id: UUID, *, now: datetime, tx: Tx
    ) -> None:
        """Uses up every token for an account's password."""
        ...


class Factors(Protocol):
    """Second factors; every call is part of the given transaction."""

    async def save(
        self, tenant_id: UUID, account_id: UUID, sealed: str, *, now: datetime, tx: Tx
    ) -> bool:
        """Writes one that is not confirmed yet; False where one that is stands there."""
        ...

    async def lock(self, tenant_id: UUID, account_id: UUID, *, tx: Tx) -> Factor | None:
        """An account's, kept from a use by anyone else until the transaction ends."""
        ...

    async def is_there(self, tenant_id: UUID, account_id: UUID, *, tx: Tx) -> bool:
        """Whether an account is asked for a code."""
        ...

    async def update(self, tenant_id: UUID, factor: Factor, *, tx: Tx) -> None:
        """Writes a locked one down."""
        ...

    async def delete(self, tenant_id: UUID, account_id: UUID, *, tx: Tx) -> bool:
        """Takes one away; False where there was none."""
        ...


class Throttles(Protocol):
    """Buckets of tries, kept where every process sees them."""

    async def lock(
        self, tenant_id: UUID, buckets: Collection[bytes], *, now: datetime, tx: Tx
    ) -> dict[bytes, datetime]:
        """When each bucket is full again; locked in their order."""
        ...

    async def update(self, tenant_id: UUID, full: Mapping[bytes, datetime], *, tx: Tx) -> None:
        """Writes locked buckets down."""
        ...

    async def fill(self, tenant_id: UUID, bucket: bytes, *, tx: Tx) -> None:
        """Gives all tries of a bucket back."""
        ...


class Roles(Protocol):
    """A tenant's own roles; every call is part of the given transaction."""

    async def list_own(self, tenant_id: UUID, *, tx: Tx) -> list[RoleView]:
        """All of them by name; there is a bound on how many there are."""
        ...

    async def save(
        self, tenant_id: UUID, name: str, scopes: Sequence[str], conditions: Conditions, *,
        now: datetime, tx: Tx,
    ) -> RoleView:  # fmt: skip
        """Makes a role or writes over it."""
        ...

    async def delete(self, tenant_id: UUID, name: str, *, tx: Tx) -> bool:
        """Deletes a role; False where there was none."""
        ...

    async def lock_all(self, tenant_id: UUID, *, tx: Tx) -> None:
        """Keeps a tenant's roles, and who has them, from a change by anyone else."""
        ...


class FoundPeople(Protocol):
    """Whom an account or an address is; every call is part of the given transaction."""

    async def find_by_account(
        self, tenant_id: UUID, account_id: UUID, *, tx: Tx
    ) -> Somebody | None:
        """The customer of an account."""
        ...

    async def find_by_email(self, tenant_id: UUID, email: str, *, tx: Tx) -> Somebody:
        """The buyer of an address, with an account or as a guest."""
        ...


class OldRows(Protocol):
    """What has been over for long enough to go."""

    async def prune(
        self, tenants: Sequence[UUID], *, before: datetime, now: datetime, limit: int, tx: Tx
    ) -> int:
        """Deletes sessions and mailed tokens that were over by then, and full buckets; how many."""
        ...


class Keys(Protocol):
    """The installation's signing keys; every call is part of the given transaction."""

    async def list_all(self, *, tx: Tx) -> list[SigningKey]:
        """All of them by number."""
        ...

    async def add(self, key: SigningKey, *, tx: Tx) -> bool:
        """Adds a key; False where another process was faster with that number."""
        ...

    async def revoke(self, *, now: datetime, tx: Tx) -> int:
        """Ends every key that has not been ended; how many."""
        ...

    async def delete_old(self, numbers: Sequence[int], *, tx: Tx) -> int:
        """Deletes keys that nobody needs; how many."""
        ...


class Hashing(Protocol):
    """A slow hash for passwords, with a bound on how many are made at the same time."""

    async def hash(self, password: str) -> str:
        """What is kept of a password. Unavailable where too many wait already."""
        ...

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether a password is the one; takes as long, and is never so, where there is no hash."""
        ...

    def is_outdated(self, password_hash: str) -> bool:
        """Whether a hash was made with other parameters than are set now."""
        ...


class Signing(Protocol):
    """Signs access tokens, and ID tokens by another type, with the key that signs now."""

    async def prepare(self, token_type: str = TYPE) -> Callable[[msgspec.Struct], str]:
        """What signs claims without a further look at the database. Unavailable without a key."""
        ...


class Seals(Protocol):
    """Seals what may be stored and read again."""

    async def seal(self, secret: bytes) -> str:
        """A secret as it may be stored."""
        ...

    async def unseal(self, sealed: str) -> bytes:
        """What was sealed. Unavailable where it was by another key."""
        ...


class MailKey(Protocol):
    """The secret that the tokens in mails are made of."""

    async def mail_key(self) -> bytes:
        """The same in every process of an installation, and nowhere in its database."""
        ...


class Told(Protocol):
    """The memory that a process has of who may come in; it is told of a change at once."""

    def forget(self, account_id: UUID) -> None:
        """Drops what is remembered of an account."""
        ...

    def forget_tenant(self, tenant_id: UUID) -> None:
        """Drops what is remembered of all accounts of a tenant."""
        ...


class TenantNames(Protocol):
    """Which tenant a name stands for."""

    async def find_id(self, name: str) -> UUID:
        """The id of the tenant of that name; refuses a name that none has."""
        ...


class KeySet(Protocol):
    """The public halves of the signing keys."""

    async def publish(self) -> list[dict[str, Any]]:
        """As JWKs (RFC 7517)."""
        ...
