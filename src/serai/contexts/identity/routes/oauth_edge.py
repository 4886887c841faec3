"""How requests of the provider are read, how it is refused, and whose form a form is.

A form on the pages is taken from our own pages only, twice over: browsers say where it comes from
(`Sec-Fetch-Site`, `Origin`), and it repeats a token that is made of a cookie which no other site
can read or set.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote_plus

import msgspec
from litestar import Request, Response
from litestar.datastructures import Cookie

from serai.contexts.identity.handlers.provider import Credentials, Place, Provider
from serai.contexts.identity.model import protocol
from serai.contexts.identity.model.protocol import (
    FORM_BYTES_MAX,
    InsufficientScope,
    InvalidClient,
    InvalidRequest,
    InvalidToken,
    ProtocolRefused,
)
from serai.contexts.identity.model.sessions import PAGES_TTL
from serai.contexts.identity.routes import oauth_pages
from serai.contexts.identity.routes.edge import Lobby
from serai.kernel import problems
from serai.kernel.edge import PRIVATE
from serai.kernel.failure import Refused, Throttled
from serai.kernel.web import KEYLESS, OPEN

FORM: Final = "application/x-www-form-urlencoded"
PROTOCOL: Final = {OPEN: "an app shows here who it is", **KEYLESS}
PAGE: Final = {OPEN: "a page on which she shows who she is", **KEYLESS}
COOKIE_BYTES: Final = 32
FORM_VALUE_CHARS_MAX: Final = 8_192


class FormForged(Refused):
    """The form was not sent by our own page in this browser."""

    status = 403


class Doors:
    """Finds the tenant that a path of the provider names."""

    def __init__(self, provider: Provider, lobby: Lobby) -> None:
        self._provider = provider
        self._lobby = lobby

    async def find(self, request: Request[Any, Any, Any], name: str) -> Place:
        """The tenant; refuses an unknown or suspended one. What is answered is nobody else's."""
        request.scope[PRIVATE] = True  # type: ignore[typeddict-unknown-key]
        return await self.find_open(request, name)

    async def find_open(self, request: Request[Any, Any, Any], name: str) -> Place:
        """The same for what is told to anyone."""
        tenant_id, home = await self._lobby.find_named(request, name)
        return Place(tenant_id, home, name, self._provider.issuer_of(name))


async def read_form(
    request: Request[Any, Any, Any], *, value_chars_max: int = protocol.VALUE_CHARS_MAX
) -> dict[str, str]:
    """The fields of a body."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != FORM:
        raise InvalidRequest(f"send the parameters as {FORM}")
    body = await request.body()
    if len(body) > FORM_BYTES_MAX:
        raise InvalidRequest(f"the body is longer than {FORM_BYTES_MAX} bytes")
    try:
        return protocol.read_fields(body.decode("ascii"), value_chars_max=value_chars_max)
    except UnicodeDecodeError as error:
        raise InvalidRequest("the parameters cannot be read") from error


def query_of(request: Request[Any, Any, Any]) -> str:
    """The query of a request as it stands."""
    query = request.scope["query_string"].decode("latin-1")
    if len(query) > protocol.REQUEST_CHARS_MAX:
        raise InvalidRequest(f"the query is longer than {protocol.REQUEST_CHARS_MAX} characters")
    return query


def credentials_of(request: Request[Any, Any, Any], fields: Mapping[str, str]) -> Credentials:
    """By which app a request says that it is sent, in one way (RFC 6749, 2.3)."""
    header = request.headers.get("authorization")
    if header is None:
        return Credentials(fields.get("client_id"), fields.get("client_secret"))
    kind, _, value = header.partition(" ")
    if kind.lower() != "basic" or "client_secret" in fields:
        raise InvalidRequest("an app shows its secret in one way: by Basic, or in the body")
    try:
        text = base64.b64decode(value.strip(), validate=True).decode("utf-8")
    except (binascii.Error, ValueError) as error:
        raise InvalidClient("the Authorization header cannot be read") from error
    client_id, _, secret = text.partition(":")
    named = unquote_plus(client_id)
    if fields.get("client_id", named) != named:
        raise InvalidRequest("client_id names another app than the Authorization header")
    return Credentials(named, unquote_plus(secret))


def on_refused(request: Request[Any, Any, Any], error: Refused) -> Response[bytes]:
    """A refusal as the RFCs have it; what is not of the protocol is a problem like any other."""
    if not isinstance(error, ProtocolRefused | Throttled):
        return problems.on_refused(request, error)
    headers = {}
    if isinstance(error, Throttled):
        code, headers["Retry-After"] = "temporarily_unavailable", str(error.facts["retry_after_s"])
    else:
        code = error.code
    text = describe(error)
    if isinstance(error, InvalidClient):
        headers["WWW-Authenticate"] = 'Basic realm="serai"'
    elif isinstance(error, InvalidToken | InsufficientScope):
        headers["WWW-Authenticate"] = (
            f'Bearer realm="serai", error="{code}", error_description="{text}"'
        )
    body = msgspec.json.encode({"error": code, "error_description": text})
    return Response(body, status_code=error.status, media_type="application/json", headers=headers)


def describe(error: Refused) -> str:
    """Why, in the letters that an `error_description` may have (RFC 6749, 5.2)."""
    return "".join(c if " " <= c <= "~" and c not in '"\\' else "?" for c in error.detail)


def on_page_refused(_request: Request[Any, Any, Any], error: Refused) -> Response[str]:
    """The same for a person: a page, and nobody is sent anywhere."""
    headers = {}
    if isinstance(error, Throttled):
        headers["Retry-After"] = str(error.facts["retry_after_s"])
    body = oauth_pages.notice("This does not work", error.detail, is_error=True)
    return oauth_pages.answer("This does not work", body, status=error.status, headers=headers)


class Browser:
    """The cookie by which a browser is known to one tenant's pages, and the token of its forms."""

    def __init__(self, request: Request[Any, Any, Any], place: Place, *, public_url: str) -> None:
        self._request = request
        self._origin = public_url
        self._is_safe = public_url.startswith("https:")
        # With the prefix a browser takes it over TLS only, for this host only, from nobody else.
        self._name = f"{'__Host-' if self._is_safe else ''}serai-{place.name}"
        self.value: str | None = request.cookies.get(self._name)

    def hold(self) -> Cookie | None:
        """A cookie for a browser that has none yet."""
        if self.value is not None:
            return None
        self.value = secrets.token_urlsafe(COOKIE_BYTES)
        return self._cookie(self.value, None)

    def enter(self, session: str) -> Cookie:
        """The cookie of who has just signed in: another one than before, so none can be planted."""
        return self._cookie(session, int(PAGES_TTL.total_seconds()))

    def leave(self) -> Cookie:
        """The cookie that takes itself away."""
        return self._cookie("", 0)

    def token(self) -> str:
        """What a form of ours repeats."""
        return hashlib.sha256(b"form " + (self.value or "").encode()).hexdigest()

    def check(self, fields: Mapping[str, str]) -> None:
        """Refuses a form that is not of our own page in this browser."""
        site, origin = (self._request.headers.get(n) for n in ("sec-fetch-site", "origin"))
        is_ours = site in {None, "same-origin"} and origin in {None, self._origin}
        is_told = site is not None or origin is not None
        is_repeated = hmac.compare_digest(fields.get("form", "").encode(), self.token().encode())
        if not (is_ours and is_told and is_repeated and self.value):
            raise FormForged(
                f"This form was not sent by our own page at {self._origin}. Go back to the app "
                "and begin again; cookies must be allowed."
            )

    def _cookie(self, value: str, max_age_s: int | None) -> Cookie:
        return Cookie(
            self._name, path="/", value=value, max_age=max_age_s, secure=self._is_safe,
            httponly=True, samesite="lax",
        )  # fmt: skip
