"""The open routes: registering, signing in, staying in, a forgotten password."""

from typing import Any, Final

from litestar import Request, Response, get, post
from litestar.openapi import ResponseSpec
from litestar.params import JSONBody

from serai.contexts.identity.contract import AccountView, TokensView
from serai.contexts.identity.handlers import factors, passkeys, proving, signing_in
from serai.contexts.identity.handlers.desk import Desk
from serai.contexts.identity.handlers.proving import Register, RequestReset
from serai.contexts.identity.handlers.signing_in import SignIn
from serai.contexts.identity.ports import KeySet
from serai.contexts.identity.routes.edge import (
    ANYONE,
    TAGS,
    CredentialsBody,
    CustomerBody,
    Lobby,
    NewPasswordBody,
    RefreshBody,
    ResetBody,
    TenantName,
    VerificationBody,
    address_of,
    shop_of,
)
from serai.kernel.failure import NotFound
from serai.kernel.web import OPEN, answer_with, cause_of, json_body, send

JWKS_AGE_S: Final = 300
"""How long others may keep the key set; far shorter than a new key is published before it signs."""


def session_routes(desk: Desk, lobby: Lobby) -> list[Any]:
    """A password for a session, a refresh token for the next two tokens."""
    given = {201: ResponseSpec(data_container=TokensView)}

    @post("/v1/sessions", opt=ANYONE, dto=json_body(CredentialsBody), return_dto=None,
          responses=given, tags=TAGS, summary="Sign in", security=[])  # fmt: skip
    async def sign_in(
        request: Request[Any, Any, Any], data: JSONBody[CredentialsBody], tenant: TenantName = None
    ) -> Response[bytes]:
        """A wrong password and an unknown address have the same answer, after the same time."""
        tenant_id, home = await lobby.find(request, tenant)
        cause, shown = cause_of(request), None
        if data.passkey is not None:
            shown = await passkeys.show(
                tenant_id, data.passkey.read(), desk=desk, home=home, cause=cause
            )
        command = SignIn(
            tenant_id, data.kind, data.email, data.password, address_of(request), data.code, shown,
            cause,
        )  # fmt: skip
        answer = await signing_in.sign_in(command, desk=desk, home=home, check_factor=factors.check)
        return send(answer_with(answer, status=201))

    @post("/v1/sessions/refresh", opt=ANYONE, dto=json_body(RefreshBody), return_dto=None,
          responses=given, tags=TAGS, summary="Get the next tokens", security=[])  # fmt: skip
    async def refresh_session(
        request: Request[Any, Any, Any], data: JSONBody[RefreshBody]
    ) -> Response[bytes]:
        """A refresh token is good once. One that comes again ends its session, whoever sent it."""
        token = signing_in.read_refresh(data.refresh_token)
        try:
            home = await lobby.home_of(token.tenant_id, request)
        except NotFound as error:
            raise signing_in.over() from error
        answer = await signing_in.refresh(
            data.refresh_token, token, desk=desk, home=home, cause=cause_of(request)
        )
        return send(answer_with(answer, status=201))

    return [sign_in, refresh_session]


def registering_routes(desk: Desk, lobby: Lobby) -> list[Any]:
    """What a mail proves: registering, and a new password."""

    @post("/v1/customers", opt=ANYONE, dto=json_body(CustomerBody), return_dto=None,
          status_code=202, tags=TAGS, summary="Register as a customer", security=[])  # fmt: skip
    async def register_customer(
        request: Request[Any, Any, Any], data: JSONBody[CustomerBody], tenant: TenantName = None
    ) -> None:
        """Sends a mail with a token; the account is made when that comes back.

        The answer is the same whether or not there is an account with this address.
        """
        tenant_id, home = await lobby.find(request, tenant)
        command = Register(
            tenant_id, data.email, data.name, data.password, shop_of(request), address_of(request),
            cause_of(request),
        )  # fmt: skip
        await proving.request_registration(command, desk=desk, home=home)

    @post("/v1/customers/verifications", opt=ANYONE, dto=json_body(VerificationBody),
          return_dto=None, responses={201: ResponseSpec(data_container=AccountView)}, tags=TAGS,
          summary="Finish a registration", security=[])  # fmt: skip
    async def verify_customer(
        request: Request[Any, Any, Any], data: JSONBody[VerificationBody], tenant: TenantName = None
    ) -> Response[bytes]:
        """The token from the mail makes the account; after that the password signs in.

        It takes the password that was chosen with it: by a registration of someone else, with the
        address of who reads the mail, no account is made.
        """
        tenant_id, home = await lobby.find(request, tenant)
        view = await proving.confirm_registration(
            tenant_id, data.token, data.password, desk=desk, home=home, cause=cause_of(request)
        )
        return send(answer_with(view, status=201, location=f"/v1/customers/{view.id}"))

    @post("/v1/password-resets", opt=ANYONE, dto=json_body(ResetBody), return_dto=None,
          status_code=202, tags=TAGS, summary="Say that a password was forgotten",
          security=[])  # fmt: skip
    async def request_reset(
        request: Request[Any, Any, Any], data: JSONBody[ResetBody], tenant: TenantName = None
    ) -> None:
        """Sends a mail with a token where there is such an account; the answer is the same."""
        tenant_id, home = await lobby.find_unproven(request, tenant)
        command = RequestReset(
            tenant_id, data.kind, data.email, address_of(request), cause_of(request)
        )
        await proving.request_reset(command, desk=desk, home=home)

    @post("/v1/password-resets/confirmations", opt=ANYONE, dto=json_body(NewPasswordBody),
          return_dto=None, status_code=204, tags=TAGS, summary="Choose a password",
          security=[])  # fmt: skip
    async def confirm_reset(
        request: Request[Any, Any, Any], data: JSONBody[NewPasswordBody], tenant: TenantName = None
    ) -> None:
        """The token from the mail sets a password, once; every session of the account ends."""
        tenant_id, home = await lobby.find_unproven(request, tenant)
        await proving.reset_password(
            tenant_id, data.token, data.password, shop=shop_of(request), desk=desk, home=home,
            cause=cause_of(request),
        )  # fmt: skip

    return [register_customer, verify_customer, request_reset, confirm_reset]


def key_routes(keys: KeySet) -> list[Any]:
    """What others verify our tokens by."""

    @get("/.well-known/jwks.json", opt={OPEN: "public keys are public"}, tags=TAGS,
         responses={200: ResponseSpec(data_container=dict[str, list[dict[str, str]]])},
         summary="Show the public keys", security=[])  # fmt: skip
    async def show_keys() -> Response[bytes]:
        """A JWK Set (RFC 7517): the key that signs, one to come, and those whose tokens live."""
        answer = send(answer_with({"keys": await keys.publish()}))
        answer.headers["Cache-Control"] = f"public, max-age={JWKS_AGE_S}"
        return answer

    return [show_keys]
