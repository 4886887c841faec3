"""Signing in on the provider's pages, by a password or a passkey, and out again."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from litestar import Request, Response, post
from litestar.params import FromPath

from serai.contexts.identity.contract import (
    SecondFactorRequired,
    TokensView,
    WrongCredentials,
)
from serai.contexts.identity.contract.credentials import Assertion, SignedCredential
from serai.contexts.identity.handlers import authorizing, factors, passkeys, signing_in
from serai.contexts.identity.handlers.provider import Provider
from serai.contexts.identity.handlers.signing_in import SignIn
from serai.contexts.identity.model import protocol
from serai.contexts.identity.model.sessions import PAGES
from serai.contexts.identity.routes.edge import address_of
from serai.contexts.identity.routes.oauth_edge import FORM_VALUE_CHARS_MAX, Doors, read_form
from serai.contexts.identity.routes.oauth_visit import HOW, Visit, go, read_to
from serai.kernel.failure import Invalid, Throttled
from serai.kernel.strict_json import decode_json
from serai.kernel.web import cause_of

_signed: Final = msgspec.json.Decoder(SignedCredential)


def sign_in_routes(doors: Doors, provider: Provider) -> list[Any]:
    """Signing in on the pages, and out again."""

    @post("/t/{tenant:str}/oauth/sign-in", summary="Sign in on the pages", **HOW)
    async def sign_in(request: Request[Any, Any, Any], tenant: FromPath[str]) -> Response[Any]:
        """A passkey, or a password and a code where she has an authenticator, for a cookie."""
        visit = Visit(request, await doors.find(request, tenant), provider)
        form = await read_form(request, value_chars_max=FORM_VALUE_CHARS_MAX)
        visit.browser.check(form)
        to, query = read_to(form), form.get("request", "")
        fields = protocol.read_fields(query)
        app, target = None, None
        if to == "authorize":
            app, target = await authorizing.open_request(
                fields, provider=provider, place=visit.place
            )
        try:
            given = await _enter(visit, form)
        except (WrongCredentials, SecondFactorRequired, Throttled) as error:
            return visit.ask_to_sign_in(
                to, query, app=app, target=target, email=form.get("email", ""), error=error
            )
        answer = go(visit.after(to, protocol.after_sign_in(fields)))
        answer.cookies.append(visit.browser.enter(given.refresh_token))
        return answer

    @post("/t/{tenant:str}/oauth/sign-out", summary="Sign out of the pages", **HOW)
    async def sign_out(request: Request[Any, Any, Any], tenant: FromPath[str]) -> Response[Any]:
        """Ends the session with the pages, and shows the way in again."""
        visit = Visit(request, await doors.find(request, tenant), provider)
        form = await read_form(request, value_chars_max=FORM_VALUE_CHARS_MAX)
        visit.browser.check(form)
        visitor = await visit.visitor()
        if visitor is not None:
            await authorizing.sign_out(
                visitor, cause=visit.cause(visitor), provider=provider, place=visit.place
            )
        fields = protocol.read_fields(form.get("request", ""))
        answer = go(visit.after(read_to(form), fields))
        answer.cookies.append(visit.browser.leave())
        return answer

    return [sign_in, sign_out]


async def _enter(visit: Visit, form: Mapping[str, str]) -> TokensView:
    """A session with the pages, for what the form shows."""
    desk, place, cause = visit.provider.desk, visit.place, cause_of(visit.request)
    if "credential" in form:
        return await passkeys.sign_in(
            place.tenant_id, "customer", _read_assertion(form), desk=desk, home=place.home,
            cause=cause, app_id=PAGES,
        )  # fmt: skip
    command = SignIn(
        place.tenant_id, "customer", form.get("email", ""), form.get("password", ""),
        address_of(visit.request), form.get("code"), None, cause, PAGES,
    )  # fmt: skip
    return await signing_in.sign_in(command, desk=desk, home=place.home, check_factor=factors.check)


def _read_assertion(form: Mapping[str, str]) -> Assertion:
    """What the script has put into the form."""
    challenge_id = protocol.read_id(form.get("challenge_id"))
    try:
        credential = decode_json(_signed, form["credential"].encode())
    except Invalid as error:
        raise WrongCredentials("the passkey could not be read: try again") from error
    if challenge_id is None:
        raise WrongCredentials("the passkey was not asked for here: try again")
    return Assertion(challenge_id, msgspec.to_builtins(credential))
