"""What the routes of identity have in common: whose request it is, and where it comes from."""

from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from litestar import Request
from litestar.openapi import ResponseSpec
from litestar.params import HeaderParameter

from serai.contexts.identity.contract import (
    NAME_CHARS_MAX,
    TENANT_HEADER,
    AccountKind,
    SignedIn,
)
from serai.contexts.identity.contract.credentials import AssertionBody
from serai.contexts.identity.ports import FindByHost, FindHome, TenantNames
from serai.contexts.tenancy.contract import NAME_CHARS_MAX as TENANT_CHARS_MAX
from serai.kernel.edge import OF_TENANT
from serai.kernel.failure import Invalid
from serai.kernel.problems import MEDIA_TYPE, Problem
from serai.kernel.tenant import Home
from serai.kernel.text import Email, Line, Text
from serai.kernel.web import KEYLESS, OPEN, MissingScope, principal_of

TAGS: Final = ["identity"]
ANYONE: Final = {OPEN: "who asks is what this finds out", **KEYLESS}
SECRET_CHARS_MAX: Final = 1024
"""What a field may hold that is compared and not kept; the rules for new passwords are stricter."""

TenantName = Annotated[
    str | None,
    HeaderParameter(
        name=TENANT_HEADER, max_length=TENANT_CHARS_MAX, pattern=r"^[A-Za-z0-9-]+$",
        description="The name of the tenant whose customer or staff it is. It may be left out "
        "where the request's `Host` is a domain that the tenant has proven.",
    ),
]  # fmt: skip
"""The tenant of a call that nothing else tells it of."""
Secret = Annotated[Text, msgspec.Meta(min_length=1, max_length=SECRET_CHARS_MAX)]
Code = Annotated[Line, msgspec.Meta(min_length=6, max_length=32)]
PersonName = Annotated[Line, msgspec.Meta(max_length=NAME_CHARS_MAX)]


class CredentialsBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who signs in, and by which password."""

    email: Email
    password: Secret
    kind: AccountKind = "customer"
    code: Code | None = None
    """Of the authenticator, or a spare one, where the account has a second factor."""
    passkey: AssertionBody | None = None
    """Instead of a code, where the account has a passkey."""


class FactorBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The password, before a second factor is set up."""

    current_password: Secret


class CodeBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the authenticator shows now."""

    code: Code


class RemovalBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Both factors, before one is taken away."""

    current_password: Secret
    code: Code | None = None
    passkey: AssertionBody | None = None
    """Instead of a code."""


class RefreshBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The latest refresh token of a session."""

    refresh_token: Secret


class CustomerBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who wants to become a customer."""

    email: Email
    password: Secret
    name: PersonName = ""


class VerificationBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The token from the mail, and the password that was chosen at its registration."""

    token: Secret
    password: Secret


class ResetBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose password was forgotten."""

    email: Email
    kind: AccountKind = "customer"


class NewPasswordBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The token from the mail, and the password that is chosen."""

    token: Secret
    password: Secret


class OwnPasswordBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The password as it is, and as it shall be."""

    current_password: Secret
    password: Secret


class Lobby:
    """Finds the tenant that a request without a token is for, and where that lives."""

    def __init__(
        self, names: TenantNames, find_home: FindHome, find_unproven_home: FindHome,
        find_by_host: FindByHost,
    ) -> None:  # fmt: skip
        self._names = names
        self._find_by_host = find_by_host
        self._find_home = find_home
        self._find_unproven_home = find_unproven_home

    async def find(self, request: Request[Any, Any, Any], name: str | None) -> tuple[UUID, Home]:
        """The tenant's id and home, by its name or else by the domain that was asked.

        Refuses a name that none has, and a tenant that is suspended.
        """
        tenant_id = await self._find_id(request, name)
        return tenant_id, await self.home_of(tenant_id, request)

    async def find_unproven(
        self, request: Request[Any, Any, Any], name: str | None
    ) -> tuple[UUID, Home]:
        """The same, but a tenant is let in whose owner is about to prove it."""
        tenant_id = await self._find_id(request, name)
        request.scope[OF_TENANT] = tenant_id  # type: ignore[typeddict-unknown-key]
        return tenant_id, await self._find_unproven_home(tenant_id)

    async def _find_id(self, request: Request[Any, Any, Any], name: str | None) -> UUID:
        if name is not None:
            return await self._names.find_id(name)
        found = await self._find_by_host(request.headers.get("host", ""))
        if found is None:
            raise Invalid(
                f"say whose shop it is: send `{TENANT_HEADER}`, or ask at a domain of the tenant's"
            )
        return found

    async def find_named(self, request: Request[Any, Any, Any], name: str) -> tuple[UUID, Home]:
        """The same by a name alone."""
        tenant_id = await self._names.find_id(name)
        return tenant_id, await self.home_of(tenant_id, request)

    async def home_of(self, tenant_id: UUID, request: Request[Any, Any, Any]) -> Home:
        """The home of a tenant, whose the request is; refuses an unknown or suspended one."""
        request.scope[OF_TENANT] = tenant_id  # type: ignore[typeddict-unknown-key]
        return await self._find_home(tenant_id)


def refusal(description: str) -> ResponseSpec:
    """A refusal that a route answers with beside those that every route of its kind may."""
    return ResponseSpec(Problem, description=description, media_type=MEDIA_TYPE)


def signed_in(request: Request[Any, Any, Any]) -> SignedIn:
    """Who came with an access token; refuses a key, which is nobody."""
    who = principal_of(request)
    if not isinstance(who, SignedIn):
        raise MissingScope("this is for who signed in; an API key is nobody")
    return who


def address_of(request: Request[Any, Any, Any]) -> str | None:
    """The network address of the peer, as far as it is known."""
    return None if request.client is None else request.client.host


def shop_of(request: Request[Any, Any, Any]) -> str:
    """The name by which a request calls the shop, else the host that it is asked at."""
    return request.headers.get(TENANT_HEADER) or request.headers.get("host") or ""


def refuse_nothing_to_change(*values: object) -> None:
    """Refuses a change that names nothing."""
    if all(value is None for value in values):
        raise Invalid("name at least one thing to change")
