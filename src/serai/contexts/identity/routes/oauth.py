"""The provider for machines: what it can do, tokens, and what is asked about tokens."""

from typing import Any, Final

from litestar import Request, Response, get, post
from litestar.params import FromPath

from serai.contexts.identity.handlers import granting, inspecting
from serai.contexts.identity.handlers.provider import Place, Provider
from serai.contexts.identity.model import protocol
from serai.contexts.identity.model.apps import APP_SCOPES, GRANTS
from serai.contexts.identity.model.tokens import ALGORITHM
from serai.contexts.identity.routes.edge import TAGS, address_of
from serai.contexts.identity.routes.oauth_edge import (
    PROTOCOL,
    Doors,
    credentials_of,
    on_refused,
    read_form,
)
from serai.kernel.failure import Refused
from serai.kernel.web import OPEN, Authenticator, Unauthenticated, cause_of, send_view

METADATA_AGE_S: Final = 300
_HOW: Final[dict[str, Any]] = {
    "opt": PROTOCOL,
    "include_in_schema": False,
    "exception_handlers": {Refused: on_refused},
    "tags": TAGS,
}


def metadata_routes(doors: Doors, provider: Provider) -> list[Any]:
    """Discovery (OpenID Connect Discovery 1.0, RFC 8414)."""
    how: dict[str, Any] = {"opt": {OPEN: "to be read by anyone"}, "include_in_schema": False}

    async def tell(request: Request[Any, Any, Any], tenant: str) -> Response[bytes]:
        place = await doors.find_open(request, tenant)
        answer = send_view(metadata_of(place, public_url=provider.public_url))
        answer.headers["Cache-Control"] = f"public, max-age={METADATA_AGE_S}"
        return answer

    @get("/t/{tenant:str}/.well-known/openid-configuration", summary="Discover the provider", **how)
    async def show_openid(
        request: Request[Any, Any, Any], tenant: FromPath[str]
    ) -> Response[bytes]:
        """Where everything of a tenant's provider is."""
        return await tell(request, tenant)

    @get("/.well-known/oauth-authorization-server/t/{tenant:str}",
         summary="Discover the provider, as OAuth has it", **how)  # fmt: skip
    async def show_oauth(request: Request[Any, Any, Any], tenant: FromPath[str]) -> Response[bytes]:
        """The same, at the address of RFC 8414."""
        return await tell(request, tenant)

    return [show_openid, show_oauth]


def metadata_of(place: Place, *, public_url: str) -> dict[str, Any]:
    """What the provider of a tenant can do, and where."""
    at = f"{place.issuer}/oauth"
    ways = ["client_secret_basic", "client_secret_post"]
    return {
        "issuer": place.issuer,
        "authorization_endpoint": f"{at}/authorize",
        "token_endpoint": f"{at}/token",
        "userinfo_endpoint": f"{at}/userinfo",
        "revocation_endpoint": f"{at}/revoke",
        "introspection_endpoint": f"{at}/introspect",
        "device_authorization_endpoint": f"{at}/device_authorization",
        "end_session_endpoint": f"{at}/logout",
        "jwks_uri": f"{public_url}/.well-known/jwks.json",
        "scopes_supported": list(APP_SCOPES),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": list(GRANTS),
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": [*ways, "none"],
        "revocation_endpoint_auth_methods_supported": [*ways, "none"],
        "introspection_endpoint_auth_methods_supported": ways,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
        "claims_supported": [
            "iss", "sub", "aud", "iat", "exp", "auth_time", "nonce", "at_hash", "name", "email",
            "email_verified",
        ],
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "authorization_response_iss_parameter_supported": True,
        "claims_parameter_supported": False,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
    }  # fmt: skip


def token_routes(doors: Doors, provider: Provider) -> list[Any]:
    """Tokens, and devices that will ask for some."""

    @post("/t/{tenant:str}/oauth/token", summary="Get tokens", **_HOW)
    async def give_tokens(
        request: Request[Any, Any, Any], tenant: FromPath[str]
    ) -> Response[bytes]:
        """For a code, a refresh token, a device's code, or an app by itself."""
        place = await doors.find(request, tenant)
        fields = await read_form(request)
        answer = await granting.grant(
            fields, credentials_of(request, fields), provider=provider, place=place,
            cause=cause_of(request),
        )  # fmt: skip
        return send_view(answer)

    @post("/t/{tenant:str}/oauth/device_authorization", summary="Begin with a device", **_HOW)
    async def begin_device(
        request: Request[Any, Any, Any], tenant: FromPath[str]
    ) -> Response[bytes]:
        """One code for the device, and one that it shows."""
        place = await doors.find(request, tenant)
        fields = await read_form(request)
        answer = await granting.begin_device(
            fields, credentials_of(request, fields), address=address_of(request),
            provider=provider, place=place,
        )  # fmt: skip
        return send_view(answer)

    return [give_tokens, begin_device]


def insight_routes(doors: Doors, provider: Provider, authenticator: Authenticator) -> list[Any]:
    """What is asked about tokens, and whose they are."""

    @post("/t/{tenant:str}/oauth/revoke", summary="Revoke a token", **_HOW)
    async def revoke(request: Request[Any, Any, Any], tenant: FromPath[str]) -> Response[bytes]:
        """Ends a refresh token and all that came of it; 200 where there is none (RFC 7009)."""
        place = await doors.find(request, tenant)
        fields = await read_form(request)
        await inspecting.revoke(
            protocol.need(fields, "token"), credentials_of(request, fields),
            cause=cause_of(request), provider=provider, place=place,
        )  # fmt: skip
        return send_view({})

    @post("/t/{tenant:str}/oauth/introspect", summary="Look at a token", **_HOW)
    async def introspect(request: Request[Any, Any, Any], tenant: FromPath[str]) -> Response[bytes]:
        """Whether it is good and what it opens, for the app that it was given to (RFC 7662)."""
        place = await doors.find(request, tenant)
        fields = await read_form(request)
        insight = await inspecting.introspect(
            protocol.need(fields, "token"), credentials_of(request, fields), provider=provider,
            place=place,
        )  # fmt: skip
        return send_view(insight)

    async def tell(request: Request[Any, Any, Any], tenant: str) -> Response[bytes]:
        place = await doors.find(request, tenant)
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not token:
            raise Unauthenticated("send the access token: `Authorization: Bearer ...`")
        user = await inspecting.tell_user(
            token.strip(), authenticator=authenticator, provider=provider, place=place
        )
        return send_view(user)

    @get("/t/{tenant:str}/oauth/userinfo", summary="Tell an app who she is", **_HOW)
    async def show_user(request: Request[Any, Any, Any], tenant: FromPath[str]) -> Response[bytes]:
        """By an access token with the scope openid; name and address only as far as allowed."""
        return await tell(request, tenant)

    @post("/t/{tenant:str}/oauth/userinfo", summary="Tell an app who she is", **_HOW)
    async def post_user(request: Request[Any, Any, Any], tenant: FromPath[str]) -> Response[bytes]:
        """The same, as OpenID Connect asks for it."""
        return await tell(request, tenant)

    return [revoke, introspect, show_user, post_user]
