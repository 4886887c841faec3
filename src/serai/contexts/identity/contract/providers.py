"""What others may know of sign-in by OpenID Connect providers: views and refusals."""

from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from serai.contexts.identity.contract import AccountKind
from serai.kernel.failure import Refused, Unprocessable

PROVIDERS_MAX: Final = 20
"""Providers of one tenant."""
EMAIL_DOMAINS_MAX: Final = 20
TRY_S: Final = 600
"""How long somebody may take at her provider."""


class ProviderUnfit(Unprocessable):
    """The provider cannot be used as it is described."""


class ProviderExists(Refused):
    """There is a provider of this kind with this issuer."""


class TooManyProviders(Refused):
    """The tenant has as many providers as it may have; delete one first."""


class SignInUnfit(Refused):
    """The sign-in was not begun by this browser, was answered, or its time is over: begin anew."""

    status = 401


class ProviderDeclined(Refused):
    """The provider did not let her in."""

    status = 401


class ProviderAnswerUnfit(Refused):
    """What the provider answered does not show who she is."""

    status = 401


class EmailNotAllowed(Refused):
    """The provider vouches for no address of hers, or for none that may come in by it."""

    status = 403


class AccountNotLinked(Refused):
    """There is an account with her address, and this provider's word is not enough to open it."""

    status = 403


class NotInvited(Refused):
    """A provider signs in only staff who were invited, under the address that it vouches for."""

    status = 403


class ProviderView(msgspec.Struct, frozen=True):
    """A provider as staff see it, without its secret."""

    id: UUID
    kind: AccountKind
    name: str
    issuer: str
    client_id: str
    has_secret: bool
    email_domains: list[str]
    is_enabled: bool
    version: int
    created_at: datetime


class ProviderChoiceView(msgspec.Struct, frozen=True):
    """A provider as a sign-in page offers it."""

    id: UUID
    kind: AccountKind
    name: str


class ProviderSignInView(msgspec.Struct, frozen=True):
    """Where the browser goes, and what it keeps to itself until it comes back."""

    authorization_url: str
    state: str
    binding: str
    expires_in: int
