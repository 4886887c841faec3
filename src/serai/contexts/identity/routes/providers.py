"""Sign-in by providers over HTTP, and the providers of a tenant for who sets them up."""

from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, patch, post
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, JSONBody

from serai.contexts.identity.contract import AccountKind, TokensView
from serai.contexts.identity.contract.credentials import AssertionBody
from serai.contexts.identity.contract.providers import (
    EMAIL_DOMAINS_MAX,
    ProviderChoiceView,
    ProviderSignInView,
    ProviderView,
)
from serai.contexts.identity.handlers import configuring, passkeys, providers
from serai.contexts.identity.handlers.configuring import AddProvider, ChangeProvider, Staff
from serai.contexts.identity.handlers.desk import Desk
from serai.contexts.identity.handlers.providers import Begin, Complete
from serai.contexts.identity.model.providers import URL_CHARS_MAX, view_of
from serai.contexts.identity.routes.edge import (
    ANYONE,
    TAGS,
    Code,
    Lobby,
    Secret,
    TenantName,
    address_of,
    refusal,
    refuse_nothing_to_change,
)
from serai.kernel.text import Line
from serai.kernel.web import (
    KEYLESS,
    VERSION_OPTIONAL,
    Page,
    answer_with,
    cause_of,
    expected_version,
    json_body,
    principal_of,
    requires,
    send,
    send_view,
)

LABEL_CHARS_MAX: Final = 64
CLIENT_CHARS_MAX: Final = 255
CODE_CHARS_MAX: Final = 4096

Label = Annotated[Line, msgspec.Meta(min_length=1, max_length=LABEL_CHARS_MAX)]
Url = Annotated[Line, msgspec.Meta(min_length=1, max_length=URL_CHARS_MAX)]
ClientId = Annotated[Line, msgspec.Meta(min_length=1, max_length=CLIENT_CHARS_MAX)]
ProviderCode = Annotated[Line, msgspec.Meta(min_length=1, max_length=CODE_CHARS_MAX)]
Domains = Annotated[
    tuple[Annotated[Line, msgspec.Meta(max_length=253)], ...],
    msgspec.Meta(max_length=EMAIL_DOMAINS_MAX),
]


class ProviderBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A provider, and whom it signs in."""

    kind: AccountKind
    name: Label
    issuer: Url
    client_id: ClientId
    client_secret: Secret | None = None
    email_domains: Domains = ()
    """Only addresses of these come in by it, and their accounts are opened by its word."""


class ProviderChangeBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What changes of a provider; what is left out stays."""

    name: Label | None = None
    client_id: ClientId | None = None
    client_secret: Secret | None = None
    email_domains: Domains | None = None
    is_enabled: bool | None = None


class BeginBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """By which provider she comes in, and to which page of the tenant's she comes back."""

    provider_id: UUID
    redirect_uri: Url


class CompleteBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the provider sent her back with, and the binding that her browser has kept."""

    state: Secret
    binding: Secret
    code: ProviderCode | None = None
    """None where she came back with an `error`."""
    iss: Url | None = None
    factor_code: Code | None = None
    """Of her second factor, where she has one."""
    passkey: AssertionBody | None = None
    """Instead of a code."""


def provider_session_routes(desk: Desk, lobby: Lobby) -> list[Any]:
    """A provider's word for a session."""
    listed = {
        200: ResponseSpec(data_container=Page[ProviderChoiceView]),
        403: refusal("The tenant is suspended."),
        404: refusal("There is no tenant of this name."),
    }
    begun = {201: ResponseSpec(data_container=ProviderSignInView)}
    given = {201: ResponseSpec(data_container=TokensView)}

    @get("/v1/sign-in-providers", opt=ANYONE, responses=listed, tags=TAGS, security=[],
         summary="List the providers to sign in by")  # fmt: skip
    async def list_choices(request: Request[Any, Any, Any], tenant: TenantName) -> Response[bytes]:
        """Those that are enabled; there are never more than one page."""
        tenant_id, home = await lobby.find(request, tenant)
        async with desk.open(home, tenant_id) as tx:
            found = await desk.providers.list_all(tenant_id, tx=tx)
        views = [ProviderChoiceView(p.id, p.kind, p.name) for p in found if p.is_enabled]
        return send_view(Page(views, None))

    @post("/v1/sessions/provider-sign-ins", opt=ANYONE, dto=json_body(BeginBody), return_dto=None,
          responses=begun, tags=TAGS, summary="Begin to sign in by a provider",
          security=[])  # fmt: skip
    async def begin_sign_in(
        request: Request[Any, Any, Any], data: JSONBody[BeginBody], tenant: TenantName
    ) -> Response[bytes]:
        """Where the browser goes. It keeps `binding` to itself, to show that it began."""
        tenant_id, home = await lobby.find(request, tenant)
        command = Begin(tenant_id, data.provider_id, data.redirect_uri, address_of(request))
        view = await providers.begin(command, desk=desk, home=home)
        return send(answer_with(view, status=201))

    @post("/v1/sessions/providers", opt=ANYONE, dto=json_body(CompleteBody), return_dto=None,
          responses={**given, 403: refusal("Her account is not opened by this provider's word.")},
          tags=TAGS, summary="Sign in by a provider", security=[])  # fmt: skip
    async def sign_in(
        request: Request[Any, Any, Any], data: JSONBody[CompleteBody], tenant: TenantName
    ) -> Response[bytes]:
        """Once, by the browser that began it. A second factor of the account is asked for too."""
        tenant_id, home = await lobby.find(request, tenant)
        cause, shown = cause_of(request), None
        if data.passkey is not None:
            shown = await passkeys.show(
                tenant_id, data.passkey.read(), desk=desk, home=home, cause=cause
            )
        command = Complete(
            tenant_id, data.state, data.binding, data.code, data.iss, data.factor_code, shown,
            address_of(request), cause,
        )  # fmt: skip
        view = await providers.complete(command, desk=desk, home=home)
        return send(answer_with(view, status=201))

    return [list_choices, begin_sign_in, sign_in]


def _staff(request: Request[Any, Any, Any]) -> Staff:
    who = principal_of(request)
    return Staff(who.tenant_id, who.free_scopes, who.home, cause_of(request))


def provider_routes(desk: Desk) -> list[Any]:
    """The providers of a tenant: listed, added, changed, deleted."""
    path = "/v1/identity-providers"
    listed = {200: ResponseSpec(data_container=Page[ProviderView])}
    made = {201: ResponseSpec(data_container=ProviderView)}
    shown = {200: ResponseSpec(data_container=ProviderView)}

    @get(path, guards=[requires("identity:read")], responses=listed, tags=TAGS,
         summary="List identity providers")  # fmt: skip
    async def list_providers(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Oldest first; there are never more than one page."""
        who = principal_of(request)
        async with desk.database.transaction(who.home, (who.tenant_id,), is_read_only=True) as tx:
            found = await desk.providers.list_all(who.tenant_id, tx=tx)
        return send_view(Page([view_of(provider) for provider in found], None))

    @post(path, guards=[requires("identity:write")], dto=json_body(ProviderBody), return_dto=None,
          opt=KEYLESS, responses=made, tags=TAGS, summary="Add an identity provider")  # fmt: skip
    async def add_provider(
        request: Request[Any, Any, Any], data: JSONBody[ProviderBody]
    ) -> Response[bytes]:
        """One for staff takes every scope: whoever sets it up decides whom it signs in."""
        command = AddProvider(
            _staff(request), data.kind, data.name, data.issuer, data.client_id, data.client_secret,
            data.email_domains,
        )  # fmt: skip
        view = await configuring.add(command, desk=desk)
        return send(answer_with(view, status=201, version=view.version))

    @patch(f"{path}/{{provider_id:uuid}}", guards=[requires("identity:write")], return_dto=None,
           dto=json_body(ProviderChangeBody), responses=shown, opt=VERSION_OPTIONAL, tags=TAGS,
           summary="Change an identity provider")  # fmt: skip
    async def change_provider(
        request: Request[Any, Any, Any], provider_id: FromPath[UUID],
        data: JSONBody[ProviderChangeBody],
    ) -> Response[bytes]:  # fmt: skip
        """Another issuer is another provider: add that one, and delete this."""
        refuse_nothing_to_change(
            data.name, data.client_id, data.client_secret, data.email_domains, data.is_enabled
        )
        command = ChangeProvider(
            _staff(request), provider_id, data.name, data.client_id, data.client_secret,
            data.email_domains, data.is_enabled, expected_version(request),
        )  # fmt: skip
        view = await configuring.change(command, desk=desk)
        return send_view(view, version=view.version)

    @delete(f"{path}/{{provider_id:uuid}}", guards=[requires("identity:write")], status_code=204,
            tags=TAGS, summary="Delete an identity provider")  # fmt: skip
    async def delete_provider(request: Request[Any, Any, Any], provider_id: FromPath[UUID]) -> None:
        """Nobody comes in by it any more; sessions that it opened stay."""
        await configuring.delete(_staff(request), provider_id, desk=desk)

    return [list_providers, add_provider, change_provider, delete_provider]
