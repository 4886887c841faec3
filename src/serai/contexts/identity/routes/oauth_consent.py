"""The provider for people: she signs in, allows an app or not, and is sent back to it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal
from urllib.parse import urlencode

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath

from serai.contexts.identity.contract import SecondFactorRequired, WrongCredentials
from serai.contexts.identity.handlers import authorizing, factors, signing_in
from serai.contexts.identity.handlers.authorizing import NoSuchDevice, Visitor
from serai.contexts.identity.handlers.provider import Place, Provider
from serai.contexts.identity.handlers.signing_in import SignIn
from serai.contexts.identity.model import apps, protocol
from serai.contexts.identity.model.apps import App
from serai.contexts.identity.model.protocol import (
    AccessDenied,
    AuthorizeRequest,
    ConsentRequired,
    LoginRequired,
    ProtocolRefused,
)
from serai.contexts.identity.model.sessions import PAGES
from serai.contexts.identity.routes import oauth_pages as pages
from serai.contexts.identity.routes.edge import TAGS, address_of
from serai.contexts.identity.routes.oauth_edge import (
    FORM_VALUE_CHARS_MAX,
    PAGE,
    Browser,
    Doors,
    describe,
    on_page_refused,
    query_of,
    read_form,
)
from serai.kernel.actor import Actor
from serai.kernel.clock import Clock
from serai.kernel.events import Cause
from serai.kernel.failure import Refused, Throttled
from serai.kernel.web import cause_of

To = Literal["authorize", "device"]
SEE_OTHER: Final = 303
_HOW: Final[dict[str, Any]] = {
    "opt": PAGE,
    "include_in_schema": False,
    "exception_handlers": {Refused: on_page_refused},
    "tags": TAGS,
}
_AWAY: Final = "If you did not begin this on the device yourself, do not allow it."


class Visit:
    """One request of a browser to the pages of a tenant."""

    def __init__(self, request: Request[Any, Any, Any], place: Place, provider: Provider) -> None:
        self.request = request
        self.place = place
        self.provider = provider
        self.browser = Browser(request, place, public_url=provider.public_url)
        self.base = f"/t/{place.name}"

    async def visitor(self) -> Visitor | None:
        """Who is signed in."""
        return await authorizing.find_visitor(
            self.browser.value, provider=self.provider, place=self.place
        )

    def cause(self, visitor: Visitor) -> Cause:
        """That it is she who does it."""
        found = cause_of(self.request)
        actor = Actor("customer", visitor.account.id, found.actor.address)
        return msgspec.structs.replace(found, actor=actor)

    def carried(self, query: str, **more: str) -> dict[str, str]:
        """What a form of ours brings along."""
        return {"form": self.browser.token(), "request": query, **more}

    def ask_to_sign_in(
        self, to: To, query: str, *, app: App | None, target: str | None, email: str = "",
        error: Refused | None = None,
    ) -> Response[str]:  # fmt: skip
        """The page to sign in on, from which she goes on to what she came for."""
        cookie = self.browser.hold()
        body = pages.sign_in(
            action=f"{self.base}/oauth/sign-in", hidden=self.carried(query, to=to),
            asks=None if app is None else app.name, email=email,
            error="" if error is None else _words_of(error),
        )  # fmt: skip
        headers = {}
        if isinstance(error, Throttled):
            headers["Retry-After"] = str(error.facts["retry_after_s"])
        return pages.answer(
            "Sign in", body, status=200 if error is None else error.status, target=target,
            cookie=cookie, headers=headers,
        )  # fmt: skip

    def ask_to_allow(self, asked: AuthorizeRequest, visitor: Visitor, query: str) -> Response[str]:
        """The page on which she allows an app what it asks for, or does not."""
        body = pages.consent(
            action=f"{self.base}/oauth/authorize", hidden=self.carried(query, to="authorize"),
            sign_out=f"{self.base}/oauth/sign-out", app=asked.app.name,
            email=visitor.account.email,
            scopes=apps.narrow(asked.scopes, person=visitor.scopes),
        )  # fmt: skip
        return pages.answer(f"Allow {asked.app.name}?", body, target=asked.redirect_uri)

    def send_back(self, redirect_uri: str, state: str | None, **answer: str) -> Response[bytes]:
        """To the app, with what came of it, and who says so (RFC 9207)."""
        whole = {**answer, "state": state, "iss": self.place.issuer}
        return _go(protocol.call_back(redirect_uri, whole))

    def refuse(
        self, redirect_uri: str, state: str | None, error: ProtocolRefused
    ) -> Response[bytes]:
        """To the app, with why not."""
        return self.send_back(
            redirect_uri, state, error=error.code, error_description=describe(error)
        )


def consent_routes(doors: Doors, provider: Provider, clock: Clock) -> list[Any]:
    """Where an app sends her, and where she answers."""

    @get("/t/{tenant:str}/oauth/authorize", summary="Ask her to allow an app", **_HOW)
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

    @post("/t/{tenant:str}/oauth/authorize", summary="Allow an app, or not", **_HOW)
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


def sign_in_routes(doors: Doors, provider: Provider) -> list[Any]:
    """Signing in on the pages, and out again."""

    @post("/t/{tenant:str}/oauth/sign-in", summary="Sign in on the pages", **_HOW)
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
        answer = _go(f"{there}?{urlencode(protocol.after_sign_in(fields))}")
        answer.cookies.append(visit.browser.enter(given.refresh_token))
        return answer

    @post("/t/{tenant:str}/oauth/sign-out", summary="Sign out of the pages", **_HOW)
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
        answer = _go(f"{visit.base}/{there}?{urlencode(fields)}")
        answer.cookies.append(visit.browser.leave())
        return answer

    return [sign_in, sign_out]


def device_routes(doors: Doors, provider: Provider) -> list[Any]:
    """Where she types what a device shows."""

    @get("/t/{tenant:str}/device", summary="Ask for the code of a device", **_HOW)
    async def show_form(request: Request[Any, Any, Any], tenant: FromPath[str]) -> Response[Any]:
        """The form for a code, filled in where the device could pass an address on."""
        visit = Visit(request, await doors.find(request, tenant), provider)
        query = query_of(request)
        if await visit.visitor() is None:
            return visit.ask_to_sign_in("device", query, app=None, target=None)
        typed = protocol.read_fields(query).get("user_code", "")
        return _device_form(visit, query, typed)

    @post("/t/{tenant:str}/device", summary="Let a device in, or not", **_HOW)
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
        error="" if error is None else _words_of(error),
    )  # fmt: skip
    return pages.answer("Let a device in", body, status=200 if error is None else error.status)


def _words_of(error: Refused) -> str:
    """A refusal as a sentence on a page."""
    if isinstance(error, SecondFactorRequired):
        return "Type your password again, and the code of your authenticator too."
    if isinstance(error, Throttled):
        return f"Too many tries. Wait {error.facts['retry_after_s']} seconds."
    return f"{error.detail[:1].upper()}{error.detail[1:]}."


def _go(address: str) -> Response[bytes]:
    return Response(b"", status_code=SEE_OTHER, headers={"Location": address})
