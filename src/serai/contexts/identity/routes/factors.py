"""The second factor of who is signed in: set up, confirmed, taken away."""

from typing import Any

from litestar import Request, Response, post
from litestar.openapi import ResponseSpec
from litestar.params import JSONBody

from serai.contexts.identity.contract import SELF, FactorSetUpView, SpareCodesView
from serai.contexts.identity.handlers import factors, passkeys
from serai.contexts.identity.handlers.desk import Desk
from serai.contexts.identity.routes.edge import (
    TAGS,
    CodeBody,
    FactorBody,
    RemovalBody,
    address_of,
    refusal,
    signed_in,
)
from serai.kernel.web import KEYLESS, answer_with, cause_of, json_body, requires, send


def factor_routes(desk: Desk) -> list[Any]:
    """An authenticator's codes (TOTP), and spare ones."""
    guards = [requires(SELF)]
    throttled = {429: refusal("Too many tries: wait `Retry-After` seconds.")}
    begun = {201: ResponseSpec(data_container=FactorSetUpView), **throttled}
    confirmed = {201: ResponseSpec(data_container=SpareCodesView)}

    @post("/v1/me/totp", guards=guards, dto=json_body(FactorBody), return_dto=None, opt=KEYLESS,
          responses=begun, tags=TAGS, summary="Set up a second factor")  # fmt: skip
    async def begin_factor(
        request: Request[Any, Any, Any], data: JSONBody[FactorBody]
    ) -> Response[bytes]:
        """Shows the secret for an authenticator, once. It is asked for after its confirmation."""
        who = signed_in(request)
        view = await factors.begin(
            who.tenant_id, who.actor.id, password=data.current_password,
            address=address_of(request), cause=cause_of(request), desk=desk, home=who.home,
        )  # fmt: skip
        return send(answer_with(view, status=201))

    @post("/v1/me/totp/confirmations", guards=guards, dto=json_body(CodeBody), return_dto=None,
          opt=KEYLESS, responses=confirmed, tags=TAGS,
          summary="Confirm a second factor")  # fmt: skip
    async def confirm_factor(
        request: Request[Any, Any, Any], data: JSONBody[CodeBody]
    ) -> Response[bytes]:
        """A code that the authenticator shows now turns it on; the answer has spare codes."""
        who = signed_in(request)
        view = await factors.confirm(
            who.tenant_id, who.actor.id, code=data.code, cause=cause_of(request), desk=desk,
            home=who.home,
        )  # fmt: skip
        return send(answer_with(view, status=201))

    @post("/v1/me/totp/removals", guards=guards, dto=json_body(RemovalBody), return_dto=None,
          status_code=204, opt=KEYLESS, responses=throttled, tags=TAGS,
          summary="Take the second factor away")  # fmt: skip
    async def remove_factor(request: Request[Any, Any, Any], data: JSONBody[RemovalBody]) -> None:
        """For who has both: the password, and a code or a passkey."""
        who, cause, shown = signed_in(request), cause_of(request), None
        if data.passkey is not None:
            shown = await passkeys.show(
                who.tenant_id, data.passkey.read(), desk=desk, home=who.home, cause=cause
            )
        await factors.remove(
            who.tenant_id, who.actor.id, password=data.current_password, code=data.code,
            shown=shown, address=address_of(request), cause=cause, desk=desk, home=who.home,
        )  # fmt: skip

    return [begin_factor, confirm_factor, remove_factor]
