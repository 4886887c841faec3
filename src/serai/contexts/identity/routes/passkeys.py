"""Passkeys over HTTP: coming in by one, one's own, and the roles that ask for a second factor."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, patch, post, put
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, JSONBody

from serai.contexts.identity.contract import (
    ROLE_CHARS_MAX,
    ROLES_MAX,
    SELF,
    AccountKind,
    TokensView,
)
from serai.contexts.identity.contract.credentials import AssertionBody, MadeCredential
from serai.contexts.identity.contract.passkeys import ChallengeView, FactorRolesView, PasskeyView
from serai.contexts.identity.handlers import demanding, passkeys
from serai.contexts.identity.handlers.desk import Desk
from serai.contexts.identity.handlers.passkeys import AddPasskey, Owner
from serai.contexts.identity.model import roles as model
from serai.contexts.identity.model.passkeys import view_of
from serai.contexts.identity.routes.edge import (
    ANYONE,
    TAGS,
    Lobby,
    TenantName,
    address_of,
    refusal,
    signed_in,
)
from serai.contexts.tenancy.contract import ORIGIN_CHARS_MAX
from serai.kernel.text import Line
from serai.kernel.web import (
    KEYLESS,
    Page,
    answer_with,
    cause_of,
    json_body,
    principal_of,
    requires,
    send,
    send_view,
)

LABEL_CHARS_MAX = 64
Label = Annotated[Line, msgspec.Meta(min_length=1, max_length=LABEL_CHARS_MAX)]
Origin = Annotated[Line, msgspec.Meta(min_length=1, max_length=ORIGIN_CHARS_MAX)]


class OriginBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which page asks: its origin, which the tenant has to name."""

    origin: Origin


class PasskeySignInBody(AssertionBody, frozen=True, forbid_unknown_fields=True):
    """A passkey's answer, and as what its owner comes in."""

    kind: AccountKind = "customer"


class NewPasskeyBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an authenticator made in answer to a challenge, and a name for it."""

    challenge_id: UUID
    credential: MadeCredential
    name: Label


class LabelBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a passkey is called."""

    name: Label


class FactorRolesBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The roles that ask for a second factor; all others do not."""

    roles: Annotated[
        tuple[Annotated[Line, msgspec.Meta(min_length=1, max_length=ROLE_CHARS_MAX)], ...],
        msgspec.Meta(max_length=ROLES_MAX + len(model.READY_MADE)),
    ]


def _owner(request: Request[Any, Any, Any]) -> Owner:
    who = signed_in(request)
    return Owner(who.tenant_id, who.actor.id, who.session_id, who.home, cause_of(request))


def passkey_session_routes(desk: Desk, lobby: Lobby) -> list[Any]:
    """A passkey for a session."""

    @post("/v1/sessions/passkey-challenges", opt=ANYONE, dto=json_body(OriginBody), security=[],
          return_dto=None, responses={201: ResponseSpec(data_container=ChallengeView)}, tags=TAGS,
          summary="Ask for a passkey")  # fmt: skip
    async def begin_sign_in(
        request: Request[Any, Any, Any], data: JSONBody[OriginBody], tenant: TenantName
    ) -> Response[bytes]:
        """What `navigator.credentials.get` takes; good for one answer, for five minutes."""
        tenant_id, home = await lobby.find(request, tenant)
        view = await passkeys.begin_sign_in(
            tenant_id, data.origin, address=address_of(request), desk=desk, home=home
        )
        return send(answer_with(view, status=201))

    @post("/v1/sessions/passkeys", opt=ANYONE, dto=json_body(PasskeySignInBody), security=[],
          return_dto=None, responses={201: ResponseSpec(data_container=TokensView)}, tags=TAGS,
          summary="Sign in with a passkey")  # fmt: skip
    async def sign_in(
        request: Request[Any, Any, Any], data: JSONBody[PasskeySignInBody], tenant: TenantName
    ) -> Response[bytes]:
        """It is the only factor: whoever holds it was verified by her device."""
        tenant_id, home = await lobby.find(request, tenant)
        view = await passkeys.sign_in(
            tenant_id, data.kind, data.read(), desk=desk, home=home, cause=cause_of(request)
        )
        return send(answer_with(view, status=201))

    return [begin_sign_in, sign_in]


def own_passkey_routes(desk: Desk) -> list[Any]:
    """My passkeys: made, listed, renamed, taken away."""
    guards = [requires(SELF)]
    begun = {201: ResponseSpec(data_container=ChallengeView)}
    made = {201: ResponseSpec(data_container=PasskeyView)}
    listed = {200: ResponseSpec(data_container=Page[PasskeyView])}
    shown = {200: ResponseSpec(data_container=PasskeyView)}
    kept = {409: refusal("A role of yours asks for a second factor, and this is the last.")}

    @post("/v1/me/passkey-challenges", guards=guards, dto=json_body(OriginBody), return_dto=None,
          opt=KEYLESS, responses=begun, tags=TAGS, summary="Begin to make a passkey")  # fmt: skip
    async def begin_adding(
        request: Request[Any, Any, Any], data: JSONBody[OriginBody]
    ) -> Response[bytes]:
        """What `navigator.credentials.create` takes; for who signed in ten minutes ago or less."""
        view = await passkeys.begin_adding(
            _owner(request), data.origin, shop=desk.issuer, desk=desk
        )
        return send(answer_with(view, status=201))

    @post("/v1/me/passkeys", guards=guards, dto=json_body(NewPasskeyBody), return_dto=None,
          opt=KEYLESS, responses=made, tags=TAGS, summary="Make a passkey")  # fmt: skip
    async def add_passkey(
        request: Request[Any, Any, Any], data: JSONBody[NewPasskeyBody]
    ) -> Response[bytes]:
        """From now on it signs in, and one of yours is asked for after your password."""
        command = AddPasskey(
            _owner(request), data.challenge_id, msgspec.to_builtins(data.credential), data.name
        )
        view = await passkeys.add(command, desk=desk)
        return send(answer_with(view, status=201))

    @get("/v1/me/passkeys", guards=guards, responses=listed, tags=TAGS, summary="List my passkeys")
    async def list_passkeys(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Oldest first; there are never more than one page."""
        who = signed_in(request)
        async with desk.database.transaction(who.home, (who.tenant_id,), is_read_only=True) as tx:
            found = await desk.passkeys.list_of(who.tenant_id, who.actor.id, tx=tx)
        return send_view(Page([view_of(passkey) for passkey in found], None))

    @patch("/v1/me/passkeys/{passkey_id:uuid}", guards=guards, dto=json_body(LabelBody),
           return_dto=None, responses=shown, tags=TAGS, summary="Rename a passkey")  # fmt: skip
    async def rename_passkey(
        request: Request[Any, Any, Any], passkey_id: FromPath[UUID], data: JSONBody[LabelBody]
    ) -> Response[bytes]:
        """So that its owner knows which it is."""
        return send_view(await passkeys.rename(_owner(request), passkey_id, data.name, desk=desk))

    @delete("/v1/me/passkeys/{passkey_id:uuid}", guards=guards, status_code=204, tags=TAGS,
            responses=kept, summary="Take a passkey away")  # fmt: skip
    async def remove_passkey(request: Request[Any, Any, Any], passkey_id: FromPath[UUID]) -> None:
        """At once; for who signed in ten minutes ago or less."""
        await passkeys.remove(_owner(request), passkey_id, desk=desk)

    return [begin_adding, add_passkey, list_passkeys, rename_passkey, remove_passkey]


def factor_role_routes(desk: Desk) -> list[Any]:
    """The roles that ask for a second factor."""
    shown = {200: ResponseSpec(data_container=FactorRolesView)}

    @get("/v1/second-factor-roles", guards=[requires("identity:read")], responses=shown, tags=TAGS,
         summary="Show which roles ask for a second factor")  # fmt: skip
    async def show_roles(request: Request[Any, Any, Any]) -> Response[bytes]:
        """By name."""
        who = principal_of(request)
        async with desk.database.transaction(who.home, (who.tenant_id,), is_read_only=True) as tx:
            found = await desk.passkeys.list_demanding(who.tenant_id, tx=tx)
        return send_view(FactorRolesView(found))

    @put("/v1/second-factor-roles", guards=[requires("identity:write")], return_dto=None,
         dto=json_body(FactorRolesBody), responses=shown, tags=TAGS,
         summary="Say which roles ask for a second factor")  # fmt: skip
    async def save_roles(
        request: Request[Any, Any, Any], data: JSONBody[FactorRolesBody]
    ) -> Response[bytes]:
        """Until an account has one, no role of it gives anything if any of them asks for it."""
        who = principal_of(request)
        view = await demanding.save_roles(
            who.tenant_id, data.roles, held=who.free_scopes, cause=cause_of(request), desk=desk,
            home=who.home,
        )  # fmt: skip
        return send_view(view)

    return [show_roles, save_roles]
