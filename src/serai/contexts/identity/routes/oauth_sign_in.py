"""Signing in on the provider's pages, and out again."""

from typing import Any
from urllib.parse import urlencode

from litestar import Request, Response, post
from litestar.params import FromPath

from serai.contexts.identity.contract import SecondFactorRequired, WrongCredentials
from serai.contexts.identity.handlers import authorizing, factors, signing_in
from serai.contexts.identity.handlers.provider import Provider
from serai.contexts.identity.handlers.signing_in import SignIn
from serai.contexts.identity.model import protocol
from serai.contexts.identity.model.sessions import PAGES
from serai.contexts.identity.routes.edge import address_of
from serai.contexts.identity.routes.oauth_edge import FORM_VALUE_CHARS_MAX, Doors, read_form
from serai.contexts.identity.routes.oauth_visit import HOW, To, Visit, go
from serai.kernel.failure import Throttled
from serai.kernel.web import cause_of


def sign_in_routes(doors: Doors, provider: Provider) -> list[Any]:
    """Signing in on the pages, and out again."""

    @post("/t/{tenant:str}/oauth/sign-in", summary="Sign in on the pages", **HOW)
    async def sign_in(request: Request[Any, Any, Any], tenant: FromPath[str]) -> Response[Any]:
        """A password, and a code of hers where she has an authenticator, for a cookie."""
        visit = Visit(request, await doors.find(request, tenant), provider)
        form = await read_form(request, value_chars_max=FORM_VALUE_CHARS_MAX)
        visit.browser.check(form)
        to: To = "device" if form.get("to") == "device" else "authorize"
        query = form.get("request", "")
        fields = protocol.read_fields(query)
        app, target = None, None
        if to == "authorize":
            app, target = await authorizing.open_request(
                fields, provider=provider, place=visit.place
            )
        email = form.get("email", "")
        command = SignIn(
            visit.place.tenant_id, "customer", email, form.get("password", ""),
            address_of(request), form.get("code"), None, cause_of(request), PAGES,
        )  # fmt: skip
        try:
            given = await signing_in.sign_in(
                command, desk=provider.desk, home=visit.place.home, check_factor=factors.check
            )
        except (WrongCredentials, SecondFactorRequired, Throttled) as error:
            return visit.ask_to_sign_in(to, query, app=app, target=target, email=email, error=error)
        there = f"{visit.base}/oauth/authorize" if to == "authorize" else f"{visit.base}/device"
        answer = go(f"{there}?{urlencode(protocol.after_sign_in(fields))}")
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
        there = "device" if form.get("to") == "device" else "oauth/authorize"
        answer = go(f"{visit.base}/{there}?{urlencode(fields)}")
        answer.cookies.append(visit.browser.leave())
        return answer

    return [sign_in, sign_out]
