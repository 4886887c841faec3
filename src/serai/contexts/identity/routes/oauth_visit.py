"""One request of a browser to the provider's pages, and what every page of them needs."""

from collections.abc import Mapping
from typing import Any, Final, Literal
from urllib.parse import urlencode

import msgspec
from litestar import Request, Response

from serai.contexts.identity.contract import SecondFactorRequired
from serai.contexts.identity.handlers import authorizing
from serai.contexts.identity.handlers.authorizing import Visitor
from serai.contexts.identity.handlers.provider import Place, Provider
from serai.contexts.identity.model import apps, protocol
from serai.contexts.identity.model.apps import App
from serai.contexts.identity.model.protocol import AuthorizeRequest, ProtocolRefused
from serai.contexts.identity.routes import oauth_pages as pages
from serai.contexts.identity.routes.edge import TAGS
from serai.contexts.identity.routes.oauth_edge import PAGE, Browser, describe, on_page_refused
from serai.kernel.actor import Actor
from serai.kernel.events import Cause
from serai.kernel.failure import Refused, Throttled
from serai.kernel.web import cause_of

To = Literal["authorize", "device", "account"]
PLACES: Final[dict[str, str]] = {
    "authorize": "oauth/authorize",
    "device": "device",
    "account": "account",
}
"""Where she goes on after she has signed in or out, below the tenant's own path."""
SEE_OTHER: Final = 303
HOW: Final[dict[str, Any]] = {
    "opt": PAGE,
    "include_in_schema": False,
    "exception_handlers": {Refused: on_page_refused},
    "tags": TAGS,
}
"""How the routes of the pages are declared."""


class Visit:
    """One request of a browser to the pages of a tenant."""

    def __init__(self, request: Request[Any, Any, Any], place: Place, provider: Provider) -> None:
        self.request = request
        self.place = place
        self.provider = provider
        self.browser = Browser(request, place, public_url=provider.public_url)
        self.base = f"/t/{place.name}"
        self.asking = pages.Asking(provider.public_url, f"{self.base}/oauth/passkey-challenges")

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
            asks=None if app is None else app.name, asking=self.asking, email=email,
            error="" if error is None else words_of(error),
        )  # fmt: skip
        headers = {}
        if isinstance(error, Throttled):
            headers["Retry-After"] = str(error.facts["retry_after_s"])
        return pages.answer(
            "Sign in" if error is None else "Error: Sign in", body,
            status=200 if error is None else error.status, target=target, cookie=cookie,
            headers=headers, asking=self.asking,
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

    def after(self, to: To, fields: Mapping[str, str]) -> str:
        """Where she goes on."""
        there = f"{self.base}/{PLACES[to]}"
        return f"{there}?{urlencode(fields)}" if fields else there

    def send_back(self, redirect_uri: str, state: str | None, **answer: str) -> Response[bytes]:
        """To the app, with what came of it, and who says so (RFC 9207)."""
        whole = {**answer, "state": state, "iss": self.place.issuer}
        return go(protocol.call_back(redirect_uri, whole))

    def refuse(
        self, redirect_uri: str, state: str | None, error: ProtocolRefused
    ) -> Response[bytes]:
        """To the app, with why not."""
        return self.send_back(
            redirect_uri, state, error=error.code, error_description=describe(error)
        )


def read_to(form: Mapping[str, str]) -> To:
    """What a form of ours says that she came for."""
    match form.get("to"):
        case "device":
            return "device"
        case "account":
            return "account"
    return "authorize"


def words_of(error: Refused) -> str:
    """A refusal as a sentence on a page."""
    if isinstance(error, SecondFactorRequired):
        return (
            "Your password is not enough here. Use your passkey, or type the password again, "
            "and the code of your authenticator too."
        )
    if isinstance(error, Throttled):
        return f"Too many tries. Wait {error.facts['retry_after_s']} seconds."
    return f"{error.detail[:1].upper()}{error.detail[1:]}."


def go(address: str) -> Response[bytes]:
    """Sends her on, by a request without a body."""
    return Response(b"", status_code=SEE_OTHER, headers={"Location": address})
