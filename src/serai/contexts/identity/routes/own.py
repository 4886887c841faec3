"""What everyone who is signed in may do: see who she is, her sessions, and change her password."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from litestar import Request, Response, delete, get, put
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, JSONBody

from serai.contexts.identity.contract import SELF, SESSIONS_MAX, MeView, SessionView
from serai.contexts.identity.handlers import proving, signing_in
from serai.contexts.identity.handlers.desk import Desk
from serai.contexts.identity.model.accounts import view_of
from serai.contexts.identity.routes.edge import (
    TAGS,
    OwnPasswordBody,
    address_of,
    refusal,
    shop_of,
    signed_in,
)
from serai.kernel.conditions import Ways
from serai.kernel.failure import NotFound
from serai.kernel.web import Page, cause_of, json_body, requires, send_view


def own_account_routes(desk: Desk) -> list[Any]:
    """Me, and my password."""
    guards = [requires(SELF)]
    shown = {200: ResponseSpec(data_container=MeView)}

    @get("/v1/me", guards=guards, responses=shown, tags=TAGS, summary="Tell who is signed in")
    async def show_me(request: Request[Any, Any, Any]) -> Response[bytes]:
        """The account, its session, and what it may do now."""
        who = signed_in(request)
        async with desk.database.transaction(who.home, (who.tenant_id,), is_read_only=True) as tx:
            account = await desk.accounts.find(who.tenant_id, who.actor.id, tx=tx)
            has_factor = await desk.factors.is_there(who.tenant_id, who.actor.id, tx=tx)
            has_passkey = bool(await desk.passkeys.list_of(who.tenant_id, who.actor.id, tx=tx))
        if account is None:
            raise NotFound("this account is gone")
        view = MeView(
            view_of(account), who.tenant_id, who.session_id, sorted(who.scopes),
            has_factor or has_passkey, _tell(who.limits),
        )  # fmt: skip
        return send_view(view)

    @put("/v1/me/password", guards=guards, dto=json_body(OwnPasswordBody), return_dto=None,
         status_code=204, tags=TAGS, summary="Change my password",
         responses={429: refusal("Too many tries: wait `Retry-After` seconds.")})  # fmt: skip
    async def change_password(
        request: Request[Any, Any, Any], data: JSONBody[OwnPasswordBody]
    ) -> None:
        """All other sessions of the account end."""
        who = signed_in(request)
        await proving.change_password(
            who.tenant_id, who.actor.id, who.session_id, current=data.current_password,
            password=data.password, shop=shop_of(request), address=address_of(request), desk=desk,
            home=who.home, cause=cause_of(request),
        )  # fmt: skip

    return [show_me, change_password]


def _tell(limits: Mapping[str, Ways]) -> dict[str, list[dict[str, Any]]]:
    """The conditions of her scopes, as they are told."""
    return {
        scope: [{limit.condition: limit.data for limit in way} for way in ways]
        for scope, ways in sorted(limits.items())
    }


def own_session_routes(desk: Desk) -> list[Any]:
    """My sessions: listed and ended."""
    guards = [requires(SELF)]
    listed = {200: ResponseSpec(data_container=Page[SessionView])}

    @get("/v1/sessions", guards=guards, responses=listed, tags=TAGS, summary="List my sessions")
    async def list_sessions(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Those that have not ended, newest first; there are never more than one page."""
        who = signed_in(request)
        async with desk.database.transaction(who.home, (who.tenant_id,), is_read_only=True) as tx:
            found = await desk.sessions.list_living(
                who.tenant_id, who.actor.id, now=tx.now, limit=SESSIONS_MAX, tx=tx
            )
        items = [
            SessionView(s.id, s.id == who.session_id, s.created_at, s.used_at, s.expires_at)
            for s in found
        ]
        return send_view(Page(items, None))

    @delete("/v1/sessions", guards=guards, status_code=204, tags=TAGS,
            summary="Sign out everywhere")  # fmt: skip
    async def sign_out_everywhere(request: Request[Any, Any, Any]) -> None:
        """Ends all my sessions, this one too, in every process at once."""
        who = signed_in(request)
        await signing_in.end_sessions(
            who.tenant_id, who.actor.id, desk=desk, home=who.home, only=None,
            reason="signed_out_everywhere", cause=cause_of(request),
        )  # fmt: skip

    @delete("/v1/sessions/current", guards=guards, status_code=204, tags=TAGS, summary="Sign out")
    async def sign_out(request: Request[Any, Any, Any]) -> None:
        """Ends this session, in every process at once."""
        who = signed_in(request)
        await signing_in.end_sessions(
            who.tenant_id, who.actor.id, desk=desk, home=who.home, only=who.session_id,
            reason="signed_out", cause=cause_of(request),
        )  # fmt: skip

    @delete("/v1/sessions/{session_id:uuid}", guards=guards, status_code=204, tags=TAGS,
            summary="End one of my sessions")  # fmt: skip
    async def end_session(request: Request[Any, Any, Any], session_id: FromPath[UUID]) -> None:
        """Ends a session of mine, in every process at once."""
        who = signed_in(request)
        ended = await signing_in.end_sessions(
            who.tenant_id, who.actor.id, desk=desk, home=who.home, only=session_id,
            reason="signed_out", cause=cause_of(request),
        )  # fmt: skip
        if not ended:
            raise NotFound("you have no session of this id that has not ended")

    return [list_sessions, sign_out_everywhere, sign_out, end_session]
