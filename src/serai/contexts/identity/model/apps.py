"""Apps of the shop (OAuth 2.1 clients): what one may be, and may do."""

import hashlib
import hmac
import re
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal
from urllib.parse import urlsplit
from uuid import UUID

import msgspec

from serai.contexts.tenancy.contract import SCOPES, UnknownScope
from serai.kernel.failure import Refused, Unprocessable

Grant = Literal[
    "authorization_code",
    "refresh_token",
    "client_credentials",
    "urn:ietf:params:oauth:grant-type:device_code",
]
CODE: Final = "authorization_code"
REFRESH: Final = "refresh_token"
OWN: Final = "client_credentials"
DEVICE: Final = "urn:ietf:params:oauth:grant-type:device_code"
GRANTS: Final = (CODE, REFRESH, OWN, DEVICE)

OPENID: Final = "openid"
OFFLINE: Final = "offline_access"
OPENID_SCOPES: Final = (OPENID, "profile", "email", OFFLINE)
"""What OpenID Connect names: who she is, and to stay connected while she is away."""
APP_SCOPES: Final = (*OPENID_SCOPES, *SCOPES)

APPS_MAX: Final = 50
"""Apps of one tenant."""
REDIRECTS_MAX: Final = 10
REDIRECT_CHARS_MAX: Final = 500
APP_NAME_CHARS_MAX: Final = 80
OLD_SECRET_MAX: Final = timedelta(days=1)
"""How long the secret before the current one may go on being good."""
SECRET_BYTES: Final = 32

_LOOPBACK: Final = {"localhost", "127.0.0.1", "::1"}
# Nothing that would need quoting in a header or in a policy, and no fragment.
_URI = re.compile(r"[a-z][a-z0-9+.-]*:[A-Za-z0-9._~:/?\[\]@!$&()*+=%-]+", re.ASCII)


class RedirectUriUnfit(Unprocessable):
    """An app is called back at a whole address of its own, over TLS unless it is at home."""


class AppUnfit(Unprocessable):
    """What an app shall be does not go together."""


class TooManyApps(Refused):
    """The tenant has as many apps as it may have."""


class App(msgspec.Struct, frozen=True):
    """An app as it is kept. A public one (in a browser, on a phone) can keep no secret."""

    tenant_id: UUID
    id: UUID
    name: str
    is_public: bool
    redirect_uris: tuple[str, ...]
    grants: tuple[Grant, ...]
    scopes: tuple[str, ...]
    secret: bytes | None
    version: int
    created_at: datetime
    old_secret: bytes | None = None
    old_secret_until: datetime | None = None
    disabled_at: datetime | None = None


class AppView(msgspec.Struct, frozen=True):
    """An app as the API shows it; its id is the `client_id`."""

    id: UUID
    name: str
    is_public: bool
    redirect_uris: list[str]
    grants: list[str]
    scopes: list[str]
    is_disabled: bool
    version: int
    created_at: datetime


class IssuedAppView(msgspec.Struct, frozen=True):
    """An app with its secret, at the one time when that is shown; a public app has none."""

    app: AppView
    secret: str | None


class ConsentView(msgspec.Struct, frozen=True):
    """What a customer lets an app do."""

    app_id: UUID
    name: str
    scopes: list[str]
    given_at: datetime


def view_of(app: App) -> AppView:
    """An app as the API shows it."""
    return AppView(
        app.id, app.name, app.is_public, list(app.redirect_uris), list(app.grants),
        list(app.scopes), app.disabled_at is not None, app.version, app.created_at,
    )  # fmt: skip


def trace_of(app: App) -> dict[str, object]:
    """What the audit trail may know of an app."""
    return {
        "name": app.name,
        "is_public": app.is_public,
        "redirect_uris": list(app.redirect_uris),
        "grants": list(app.grants),
        "scopes": list(app.scopes),
        "is_disabled": app.disabled_at is not None,
    }


def choose_scopes(wanted: Collection[str]) -> tuple[str, ...]:
    """The scopes of an app in their usual order; refuses unknown ones."""
    unknown = sorted(set(wanted) - set(APP_SCOPES))
    if unknown:
        raise UnknownScope(f"an app has these scopes: {', '.join(APP_SCOPES)}", unknown=unknown)
    return tuple(scope for scope in APP_SCOPES if scope in set(wanted))


def check_redirects(uris: Sequence[str]) -> None:
    """Refuses addresses that nobody should be sent to with a code."""
    unfit = [uri for uri in uris if not _is_fit(uri)]
    if unfit or len(set(uris)) != len(uris):
        raise RedirectUriUnfit(
            "an address to call back is whole, has no fragment, user or wildcard, and is https, "
            "http at localhost, or of a scheme like com.example.app",
            unfit=unfit,
        )


def _is_fit(uri: str) -> bool:
    if len(uri) > REDIRECT_CHARS_MAX or _URI.fullmatch(uri) is None or "*" in uri:
        return False
    try:
        parts = urlsplit(uri)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if parts.scheme in {"https", "http"}:
        is_safe = parts.scheme == "https" or host in _LOOPBACK
        return bool(host) and is_safe and parts.username is None
    return "." in parts.scheme  # RFC 8252, 7.1: a name that its owner holds, turned around


def check_whole(app: App) -> None:
    """Refuses an app whose parts do not go together."""
    faults = [
        sentence
        for is_fault, sentence in (
            (not app.grants, "an app has at least one grant"),
            (app.is_public and OWN in app.grants, "a public app cannot come by itself"),
            (CODE in app.grants and not app.redirect_uris, "a code needs an address to go to"),
            (
                REFRESH in app.grants and not {CODE, DEVICE} & set(app.grants),
                "what is refreshed was given by a code or to a device",
            ),
            (
                OFFLINE in app.scopes and REFRESH not in app.grants,
                "offline_access needs the grant refresh_token",
            ),
        )
        if is_fault
    ]
    if faults:
        raise AppUnfit("; ".join(faults))


def digest_of(secret: str) -> bytes:
    """What is kept of a secret, a code or a device's code: it has 256 bits of chance."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def shows_secret(app: App, secret: str | None, *, now: datetime) -> bool:
    """Whether an app has shown that it is the one: by its secret, or being public, by none."""
    if app.is_public or secret is None or app.secret is None:
        return app.is_public and secret is None
    digest = digest_of(secret)
    is_current = hmac.compare_digest(digest, app.secret)
    if app.old_secret is None or app.old_secret_until is None:
        return is_current
    is_old = hmac.compare_digest(digest, app.old_secret) and now < app.old_secret_until
    return is_current or is_old


def scopes_alone(app: App) -> frozenset[str]:
    """What an app may do by itself: nothing that is about a person."""
    return frozenset(app.scopes) - {*OPENID_SCOPES, "orders:own"}


def narrow(wanted: Collection[str], *, person: Collection[str]) -> tuple[str, ...]:
    """Of what is asked for, what she may allow: what OpenID names, and what she may do herself."""
    return tuple(s for s in wanted if s in OPENID_SCOPES or s in person)


def effective(
    token: Collection[str], granted: Collection[str], allowed: Collection[str], *,
    person: Collection[str],
) -> frozenset[str]:  # fmt: skip
    """What a token opens now: in the token, granted, still the app's, and still the person's."""
    return frozenset(narrow(set(token) & set(granted) & set(allowed), person=person))
