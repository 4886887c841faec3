"""What others may know of accounts: events, views, refusals, and what identity offers."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal, Protocol
from uuid import UUID

import msgspec

from serai.contexts.identity.contract.credentials import Proof
from serai.kernel.db import Tx
from serai.kernel.events import Cause, event
from serai.kernel.failure import Refused, Unprocessable
from serai.kernel.person import Somebody
from serai.kernel.tenant import Home
from serai.kernel.web import Authenticator, Principal

AccountKind = Literal["customer", "staff"]
TENANT_HEADER: Final = "Serai-Tenant"
"""Names the tenant where nothing else in a request does."""
SELF: Final = "identity:self"
"""What everybody who is signed in may do: see and change what is hers. No API key has it."""
ACCESS_S: Final = 900
"""How long an access token is good for."""
ROLES_TRUSTED_S: Final = 30.0
"""The longest that a process goes by what it has read of a session and its roles, when nobody told
it of a change; where it is told, a change holds at once."""
NAME_CHARS_MAX: Final = 100
MAILED_EMAIL: Final = "identity.mail_tokens.email"
MAILED_NAME: Final = "identity.mail_tokens.name"
"""Where addresses and names in events about mails were sealed for: so they open."""
ACCOUNT_EMAIL: Final = "identity.accounts.email"
ACCOUNT_NAME: Final = "identity.accounts.name"
ROLE_CHARS_MAX: Final = 40
ROLES_MAX: Final = 50
"""Roles of its own that a tenant may have."""
ACCOUNT_ROLES_MAX: Final = 10
PASSWORD_CHARS_MIN: Final = 10
PASSWORD_CHARS_MAX: Final = 128
ERASURE_FRESH_S: Final = 300
"""How long after signing in she may erase herself who has neither a password nor a passkey to show
again: only a provider's word lets her in."""
SESSIONS_MAX: Final = 20
"""Sessions of one account at the same time; with the next, the oldest ends."""


class WrongCredentials(Refused):
    """Address or password is wrong. Which of them, or whether there is an account, is not told."""

    status = 401


class SecondFactorRequired(Refused):
    """The password is right, and this account is asked for a code too."""

    status = 401


class ProofRequired(Refused):
    """Who is signed in has to show once more that it is she: by a password, or by a passkey."""

    status = 401


class SecondFactorExists(Refused):
    """The account has a second factor already."""


class SecondFactorUnfit(Unprocessable):
    """The code does not show that an authenticator was set up."""


class SessionOver(Refused):
    """The refresh token is no good (any more): sign in again."""

    status = 401


class PasswordUnfit(Unprocessable):
    """The password is too short, too long or one that everybody tries first."""


class MailTokenUnfit(Unprocessable):
    """The token from the mail is not one of ours, was used, or its time is over."""


class AccountExists(Refused):
    """There is an account of this kind with this address."""


class UnknownRole(Unprocessable):
    """There is no such role, or it is not for accounts of this kind."""


class ReadyMadeRole(Refused):
    """A role that comes with Serai cannot be changed; make one of your own."""


class RoleInUse(Refused):
    """Someone has this role; give her another one first."""


class RoleNameUnfit(Unprocessable):
    """A role's name is a slug: small letters, digits, dashes."""


class TooManyRoles(Refused):
    """The tenant has as many roles of its own as it may have."""


class MorePowerful(Refused):
    """Nobody can give, or take from another, what she may not do herself."""

    status = 403


class LastOwner(Refused):
    """The last owner who can sign in stays one."""


@event(topic="identity", key="token_id")
class RegistrationRequested(msgspec.Struct, frozen=True):
    """Someone wants to become a customer; whether the address is hers a mail has to show.

    In every event of identity an address or a name is sealed, but where it was written before that.
    """

    token_id: UUID
    email: str
    name: str = ""


@event(topic="identity", key="token_id")
class PasswordResetRequested(msgspec.Struct, frozen=True):
    """Someone has forgotten a password; without an address there is no such account, no mail."""

    token_id: UUID
    email: str | None = None


@event(topic="identity", key="account_id")
class StaffInvited(msgspec.Struct, frozen=True):
    """A member of the staff has an account, and chooses her password by the token in a mail."""

    account_id: UUID
    token_id: UUID
    email: str
    name: str = ""
    takes_seat: bool = True
    """Whether there is one more of the staff by it; not where one who is there is invited again."""


@event(topic="identity", key="account_id")
class CustomerRegistered(msgspec.Struct, frozen=True):
    """A customer has shown that the address is hers, and may sign in."""

    account_id: UUID
    email: str
    name: str = ""


@event(topic="identity", key="account_id")
class PasswordChanged(msgspec.Struct, frozen=True):
    """An account has a new password, and its other sessions have ended."""

    account_id: UUID


@event(topic="identity", key="account_id")
class AccountChanged(msgspec.Struct, frozen=True):
    """An account was given other roles, suspended or let in again."""

    account_id: UUID
    kind: AccountKind
    roles: tuple[str, ...]
    is_suspended: bool
    takes_seat: bool = False
    """Whether there is one more of the staff by it."""


@event(topic="identity", key="session_id")
class DeviceAdmitted(msgspec.Struct, frozen=True):
    """A device that showed a code was let in by who typed it, and has a session."""

    session_id: UUID
    account_id: UUID
    app_id: UUID


@event(topic="identity", key="account_id")
class SessionReused(msgspec.Struct, frozen=True):
    """A refresh token came a second time: it is in two hands, so its whole family was ended."""

    account_id: UUID
    session_id: UUID


class SignedIn(Principal, frozen=True, kw_only=True):
    """A customer or a member of the staff who came with an access token."""

    session_id: UUID


class AccountView(msgspec.Struct, frozen=True):
    """An account as the API shows it."""

    id: UUID
    kind: AccountKind
    email: str
    name: str
    roles: list[str]
    is_suspended: bool
    has_password: bool
    version: int
    created_at: datetime


class MeView(msgspec.Struct, frozen=True):
    """Who is signed in, and what she may do."""

    account: AccountView
    tenant_id: UUID
    session_id: UUID
    scopes: list[str]
    has_second_factor: bool
    conditions: dict[str, list[dict[str, Any]]]
    """The scopes that are held under conditions: all of one item of the list have to hold."""


class TokensView(msgspec.Struct, frozen=True):
    """What a session gives: a token to come with, and one to get the next two by."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    refresh_token: str
    session_id: UUID
    account_id: UUID


class FactorSetUpView(msgspec.Struct, frozen=True):
    """What an authenticator is set up by, at the one time when it is shown."""

    secret: str
    uri: str


class SpareCodesView(msgspec.Struct, frozen=True):
    """Codes for the day when the authenticator is lost, each good once; shown this once."""

    spare_codes: list[str]


class SessionView(msgspec.Struct, frozen=True):
    """A session that has not ended."""

    id: UUID
    is_current: bool
    created_at: datetime
    used_at: datetime
    expires_at: datetime


Conditions = Mapping[str, Mapping[str, Any]]
"""For each scope that is held under conditions, the data of each by its name."""


class RoleView(msgspec.Struct, frozen=True):
    """A role and what it allows."""

    name: str
    scopes: list[str]
    is_ready_made: bool
    version: int
    conditions: Conditions = {}


class InvitedStaff(msgspec.Struct, frozen=True):
    """A member of the staff that the operator made, and the token to choose a password by."""

    account: AccountView
    token: str


class MailTokens(Protocol):
    """Writes the text that stands in a mail, at the moment when it is sent."""

    async def write_token(self, tenant_id: UUID, token_id: UUID) -> str:
        """The token of a mail; nothing that is stored can make it but the installation's key."""
        ...


class Owners(Protocol):
    """What identity offers to sign-up."""

    async def admit(self, *, email: str, address: str | None) -> None:
        """Takes a try to sign up, in a transaction of its own; Throttled where none is left."""
        ...

    async def invite_owner(
        self, tenant_id: UUID, account_id: UUID, email: str, cause: Cause, *, tx: Tx
    ) -> None:
        """Makes a new tenant's first owner, who chooses her password by the token in a mail."""
        ...


class People(Protocol):
    """Whom an account or an address is, and that it is she who asks."""

    async def find_by_account(
        self, tenant_id: UUID, account_id: UUID, *, tx: Tx
    ) -> Somebody | None:
        """The customer of an account."""
        ...

    async def find_by_email(self, tenant_id: UUID, email: str, *, tx: Tx) -> Somebody:
        """The buyer of an address, with an account or as a guest; the transaction may write."""
        ...

    async def check_power(
        self, tenant_id: UUID, account_id: UUID, *, held: frozenset[str], tx: Tx
    ) -> None:
        """Refuses who does not hold what an account may do beyond what every customer may."""
        ...

    async def let_go(
        self, tenant_id: UUID, account_id: UUID, *, held: frozenset[str], tx: Tx
    ) -> Somebody:
        """The member of the staff of an account, locked until the transaction ends.

        Refuses who does not hold what she may do, and the last owner.
        """
        ...

    async def show_again(
        self, who: SignedIn, proof: Proof, *, address: str | None, cause: Cause
    ) -> None:
        """Refuses her who does not show again that it is she.

        By a password and a second factor where she has one, by a passkey, or, where she has
        neither, by having come in a moment ago.
        """
        ...

    async def spread(self, account_id: UUID, *, home: Home) -> None:
        """Makes every process forget at once what it remembers of an account."""
        ...


class Identity(MailTokens, People, Protocol):
    """What identity offers to roles and the command line."""

    @property
    def owners(self) -> Owners:
        """What sign-up asks of identity."""
        ...

    @property
    def authenticator(self) -> Authenticator:
        """Tells whose an access token is."""
        ...

    async def watch(self) -> None:
        """Forgets what others have ended or changed, as soon as they do; runs until cancelled."""
        ...

    async def invite_staff(
        self, tenant_id: UUID, *, email: str, name: str, roles: tuple[str, ...]
    ) -> InvitedStaff:
        """Makes a member of the staff, or gives one that is there a new token; for the operator."""
        ...

    async def find_mail_token(self, tenant_id: UUID, email: str) -> str | None:
        """The latest good token that was mailed to an address; for who has no mail server."""
        ...

    async def rotate_keys(self, *, is_compromised: bool) -> UUID:
        """Makes a new signing key. Where the old ones are compromised, they end at once."""
        ...
