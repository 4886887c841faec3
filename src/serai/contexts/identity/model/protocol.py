"""The words of OAuth 2.1 and OpenID Connect: requests as they are read, and their errors by name.

A refusal's `code` is the RFC's `error`; the routes of the provider write it as such.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Final, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit
from uuid import UUID

import msgspec

from serai.contexts.identity.model.apps import CODE, OPENID, App
from serai.kernel.failure import Refused

FORM_BYTES_MAX: Final = 16_384
FIELDS_MAX: Final = 40
VALUE_CHARS_MAX: Final = 2_048
REQUEST_CHARS_MAX: Final = 4_096
"""An authorization request as a whole, which the pages carry along."""
CODE_S: Final = 60
"""How long a code may be on its way; a redirect takes a second."""
ID_TYPE: Final = "JWT"
_METHOD: Final = "S256"
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}", re.ASCII)
_PROMPTS: Final = {"none", "login", "consent", "select_account"}
_AGE = re.compile(r"[0-9]{1,9}", re.ASCII)
_SCOPE_CHARS: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e ]+", re.ASCII)


class ProtocolRefused(Refused):
    """A refusal of the provider; its code is an `error` of the RFCs."""

    status = 400


class InvalidRequest(ProtocolRefused):
    """Something is missing, stands twice, or has not its form."""


class InvalidClient(ProtocolRefused):
    """The app is not known, not let in, or has not shown its secret."""

    status = 401


class InvalidGrant(ProtocolRefused):
    """The code, token or device code is not good, or not this app's."""


class UnauthorizedClient(ProtocolRefused):
    """The app may not come this way."""


class UnsupportedGrantType(ProtocolRefused):
    """There is no such grant here."""


class UnsupportedResponseType(ProtocolRefused):
    """Only a code is given."""


class InvalidScope(ProtocolRefused):
    """The app asks for more than it, or she, may have."""


class AccessDenied(ProtocolRefused):
    """She said no."""


class LoginRequired(ProtocolRefused):
    """She would have to sign in, and the app said that she must not be asked."""


class ConsentRequired(ProtocolRefused):
    """She would have to be asked, and the app said that she must not be."""


class RequestNotSupported(ProtocolRefused):
    """Requests as signed objects are not taken."""


class RequestUriNotSupported(ProtocolRefused):
    """Requests by reference are not taken."""


class AuthorizationPending(ProtocolRefused):
    """She has not answered yet."""


class SlowDown(ProtocolRefused):
    """The device asks too often: five seconds more between two tries."""


class ExpiredToken(ProtocolRefused):
    """The time to answer a device is over."""


class UnsupportedTokenType(ProtocolRefused):
    """A token of a kind that cannot be revoked."""


class InvalidToken(ProtocolRefused):
    """The access token is not good here."""

    status = 401


class InsufficientScope(ProtocolRefused):
    """The access token does not go that far."""

    status = 403


class AuthorizeRequest(msgspec.Struct, frozen=True):
    """What an app asks of a person, once everything in it is known to fit."""

    app: App
    redirect_uri: str
    state: str | None
    scopes: tuple[str, ...]
    challenge: str
    nonce: str | None
    prompts: frozenset[str]
    max_age_s: int | None


class TokenAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer of the token endpoint (RFC 6749, 5.1)."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    scope: str
    refresh_token: str | None = None
    id_token: str | None = None


class IdClaims(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The claims of an ID token (OpenID Connect Core, 2)."""

    iss: str
    sub: UUID
    aud: UUID
    iat: int
    exp: int
    auth_time: int
    at_hash: str
    nonce: str | None = None


def read_fields(text: str, *, value_chars_max: int = VALUE_CHARS_MAX) -> dict[str, str]:
    """The fields of a form or a query; refuses one that stands twice. Empty ones are left out."""
    try:
        pairs = parse_qsl(
            text, keep_blank_values=True, strict_parsing=bool(text), max_num_fields=FIELDS_MAX,
            errors="strict",
        )  # fmt: skip
    except (ValueError, UnicodeDecodeError) as error:
        raise InvalidRequest("the parameters cannot be read") from error
    fields: dict[str, str] = {}
    for name, value in pairs:
        if name in fields:
            raise InvalidRequest(f"{name[:40]!r} stands twice")
        if len(value) > value_chars_max or "\0" in value:
            raise InvalidRequest(f"{name[:40]!r} is too long, or holds what is no text")
        fields[name] = value
    return {name: value for name, value in fields.items() if value}


def need(fields: Mapping[str, str], name: str) -> str:
    """A field that must be there."""
    if name not in fields:
        raise InvalidRequest(f"{name} is missing")
    return fields[name]


def read_id(text: str | None) -> UUID | None:
    """A `client_id` as it is written by us; None for any other text."""
    try:
        found = UUID(text or "")
    except ValueError:
        return None
    return found if str(found) == text else None


def read_scopes(text: str) -> tuple[str, ...]:
    """Scopes as they stand in a request, each once."""
    if _SCOPE_CHARS.fullmatch(text) is None:
        raise InvalidScope("scopes are words with a space between")
    return tuple(dict.fromkeys(text.split()))


def check_redirect(app: App, redirect_uri: str | None) -> str:
    """The address that an app is called back at: one of its own, to the letter."""
    if redirect_uri is None or redirect_uri not in app.redirect_uris:
        raise InvalidRequest("redirect_uri is not, to the letter, one that the app has named")
    return redirect_uri


def read_request(fields: Mapping[str, str], app: App, redirect_uri: str) -> AuthorizeRequest:
    """The rest of an authorization request; what is refused here is told to the app."""
    if "request" in fields:
        raise RequestNotSupported("send the parameters themselves")
    if "request_uri" in fields:
        raise RequestUriNotSupported("send the parameters themselves")
    if need(fields, "response_type") != "code":
        raise UnsupportedResponseType("only response_type=code is given")
    if fields.get("response_mode", "query") != "query":
        raise InvalidRequest("only response_mode=query is given")
    if CODE not in app.grants:
        raise UnauthorizedClient("this app has not the grant authorization_code")
    challenge = need(fields, "code_challenge")
    if fields.get("code_challenge_method") != _METHOD or not _CHALLENGE.fullmatch(challenge):
        raise InvalidRequest("PKCE is needed: code_challenge with code_challenge_method=S256")
    scopes = read_scopes(fields["scope"]) if "scope" in fields else ()
    beyond = sorted(set(scopes) - set(app.scopes))
    if beyond or not scopes:
        raise InvalidScope("name scopes, and only those that the app has")
    prompts = frozenset(fields.get("prompt", "").split())
    if prompts - _PROMPTS or ("none" in prompts and len(prompts) > 1):
        raise InvalidRequest("prompt does not fit")
    age = fields.get("max_age")
    if age is not None and _AGE.fullmatch(age) is None:
        raise InvalidRequest("max_age is a number of seconds")
    return AuthorizeRequest(
        app, redirect_uri, fields.get("state"), scopes, challenge, fields.get("nonce"), prompts,
        None if age is None else int(age),
    )  # fmt: skip


def after_sign_in(fields: Mapping[str, str]) -> dict[str, str]:
    """The same request without what has been done by signing in."""
    left = dict(fields)
    left.pop("max_age", None)
    prompts = [p for p in left.pop("prompt", "").split() if p not in {"login", "select_account"}]
    return left | ({"prompt": " ".join(prompts)} if prompts else {})


def fits_challenge(challenge: str, verifier: str | None) -> bool:
    """Whether a verifier is the one whose digest came with the request (RFC 7636, 4.6)."""
    if verifier is None or _VERIFIER.fullmatch(verifier) is None:
        return False
    digest = hashlib.sha256(verifier.encode()).digest()
    return hmac.compare_digest(_b64(digest), challenge)


def at_hash(access_token: str) -> str:
    """The left half of the token's SHA-512, which is Ed25519's hash (OpenID Core, 3.1.3.6)."""
    return _b64(hashlib.sha512(access_token.encode()).digest()[:32])


def call_back(redirect_uri: str, answer: Mapping[str, str | None]) -> str:
    """The address with the answer in its query, beside what stands there already."""
    parts = urlsplit(redirect_uri)
    added = urlencode({name: value for name, value in answer.items() if value is not None})
    query = f"{parts.query}&{added}" if parts.query else added
    return urlunsplit(parts._replace(query=query))


def is_openid(scopes: tuple[str, ...]) -> bool:
    """Whether an ID token is asked for."""
    return OPENID in scopes


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
