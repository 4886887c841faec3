"""The provider for people: she allows an app or a device, or not, and is sent back to it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from litestar import Request, Response, get, post
from litestar.params import FromPath

from serai.contexts.identity.handlers import authorizing
from serai.contexts.identity.handlers.authorizing import NoSuchDevice, Visitor
from serai.contexts.identity.handlers.provider import Provider
from serai.contexts.identity.model import apps, protocol
from serai.contexts.identity.model.protocol import (
    AccessDenied,
    AuthorizeRequest,
    ConsentRequired,
    LoginRequired,
    ProtocolRefused,
)
from serai.contexts.identity.routes import oauth_pages as pages
from serai.contexts.identity.routes.edge import address_of
from serai.contexts.identity.routes.oauth_edge import (
    FORM_VALUE_CHARS_MAX,
    Doors,
    query_of,
    read_form,
)
from serai.contexts.identity.routes.oauth_visit import HOW, Visit, words_of
from serai.kernel.clock import Clock
from serai.kernel.failure import Refused

_AWAY: Final = "If you did not begin this on the device yourself, do not allow it."


def consent_routes(doors: Doors, provider: Provider, clock: Clock) -> list[Any]:
    """Where an app sends her, and where she answers."""

    @get("/t/{tenant:str}/oauth/authorize", summary="Ask her to allow an app", **HOW)
    async def ask(request: Request[Any, Any, Any], tenant: FromPath[str]) -> Response[Any]:
        """A code for the app at once where she has allowed as much before; else she is asked."""
        visit = Visit(request, await doors.find(request, tenant), provider)
        query = query_of(request)
        fields = protocol.read_fields(query)
        app, target = await authorizing.open_request(fields, provider=provider, place=visit.place)
        try:
            asked = protocol.read_request(fields, app, target)
            return await _ask(visit, asked, query, now=clock.now())
        except ProtocolRefused as error:
            return visit.refuse(target, fields.get("state"), error)

    @post("/t/{tenant:str}/oauth/authorize", summary="Allow an app, or not", **HOW)
    async def decide(request: Request[Any, Any, Any], tenant: FromPath[str]) -> Response[Any]:
        """The answer of who was asked, by the form of the page."""
        visit = Visit(request, await doors.find(request, tenant), provider)
        form = await read_form(request, value_chars_max=FORM_VALUE_CHARS_MAX)
        visit.browser.check(form)
        query = protocol.need(form, "request")
        fields = protocol.read_fields(query)
        app, target = await authorizing.open_request(fields, provider=provider, place=visit.place)
        try:
            asked = protocol.read_request(fields, app, target)
            visitor = await visit.visitor()
            if visitor is None or not authorizing.is_fresh(asked, visitor, now=clock.now()):
                return visit.ask_to_sign_in("authorize", query, app=app, target=target)
            _refuse_nothing(asked, visitor)
            if form.get("decision") != "allow":
                raise AccessDenied("she does not allow it")
            return await _give(visit, asked, visitor, is_asked=True)
        except ProtocolRefused as error:
            return visit.refuse(target, fields.get("state"), error)

    return [ask, decide]


async def _ask(
    visit: Visit, asked: AuthorizeRequest, query: str, *, now: datetime
) -> Response[Any]:
    is_silent = "none" in asked.prompts
    visitor = await visit.visitor()
    if visitor is None or not authorizing.is_fresh(asked, visitor, now=now):
        if is_silent:
            raise LoginRequired("she is not signed in here")
        return visit.ask_to_sign_in("authorize", query, app=asked.app, target=asked.redirect_uri)
    _refuse_nothing(asked, visitor)
    if await authorizing.may_skip(asked, visitor, provider=visit.provider, place=visit.place):
        return await _give(visit, asked, visitor, is_asked=False)
    if is_silent:
        raise ConsentRequired("she has not allowed this before")
    return visit.ask_to_allow(asked, visitor, query)


async def _give(
    visit: Visit, asked: AuthorizeRequest, visitor: Visitor, *, is_asked: bool
) -> Response[bytes]:
    code = await authorizing.issue_code(
        asked, visitor, is_asked=is_asked, cause=visit.cause(visitor), provider=visit.provider,
        place=visit.place,
    )  # fmt: skip
    return visit.send_back(asked.redirect_uri, asked.state, code=code)


def _refuse_nothing(asked: AuthorizeRequest, visitor: Visitor) -> None:
    if not apps.narrow(asked.scopes, person=visitor.scopes):
        raise AccessDenied("she may do none of this herself")


def device_routes(doors: Doors, provider: Provider) -> list[Any]:
    """Where she types what a device shows."""

    @get("/t/{tenant:str}/device", summary="Ask for the code of a device", **HOW)
    async def show_form(request: Request[Any, Any, Any], tenant: FromPath[str]) -> Response[Any]:
        """The form for a code, filled in where the device could pass an address on."""
        visit = Visit(request, await doors.find(request, tenant), provider)
        query = query_of(request)
        if await visit.visitor() is None:
            return visit.ask_to_sign_in("device", query, app=None, target=None)
        typed = protocol.read_fields(query).get("user_code", "")
        return _device_form(visit, query, typed)

    @post("/t/{tenant:str}/device", summary="Let a device in, or not", **HOW)
    async def answer_device(
        request: Request[Any, Any, Any], tenant: FromPath[str]
    ) -> Response[Any]:
        """First the code, then what its app asks for. Few codes may be tried."""
        visit = Visit(request, await doors.find(request, tenant), provider)
        form = await read_form(request, value_chars_max=FORM_VALUE_CHARS_MAX)
        visit.browser.check(form)
        typed, query = form.get("user_code", ""), form.get("request", "")
        visitor = await visit.visitor()
        if visitor is None:
            return visit.ask_to_sign_in("device", query, app=None, target=None)
        try:
            return await _answer_device(visit, visitor, typed, form)
        except NoSuchDevice as error:
            return _device_form(visit, query, typed, error=error)

    return [show_form, answer_device]


async def _answer_device(
    visit: Visit, visitor: Visitor, typed: str, form: Mapping[str, str]
) -> Response[str]:
    address = address_of(visit.request)
    if "decision" not in form:
        device, app = await authorizing.find_device(
            typed, visitor, address=address, provider=visit.provider, place=visit.place
        )
        body = pages.consent(
            action=f"{visit.base}/device", sign_out=f"{visit.base}/oauth/sign-out",
            hidden=visit.carried(form.get("request", ""), to="device", user_code=typed),
            app=app.name, email=visitor.account.email, warning=_AWAY,
            scopes=apps.narrow(device.scopes, person=visitor.scopes),
        )  # fmt: skip
        return pages.answer(f"Allow {app.name}?", body)
    is_allowed = form["decision"] == "allow"
    await authorizing.answer_device(
        typed, visitor, is_allowed=is_allowed, address=address, cause=visit.cause(visitor),
        provider=visit.provider, place=visit.place,
    )  # fmt: skip
    if is_allowed:
        text = "The device is let in. You can close this page and go back to it."
    else:
        text = "The device is not let in. You can close this page."
    return pages.answer("Done", pages.notice("Done", text))


def _device_form(
    visit: Visit, query: str, typed: str, *, error: Refused | None = None
) -> Response[str]:
    body = pages.device(
        action=f"{visit.base}/device", hidden=visit.carried(query), typed=typed,
        error="" if error is None else words_of(error),
    )  # fmt: skip
    return pages.answer("Let a device in", body, status=200 if error is None else error.status)
