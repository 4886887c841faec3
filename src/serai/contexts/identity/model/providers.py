"""Sign-in by a provider (OpenID Connect Core 1.0): what its word is worth, and whom it opens to.

A provider's subject is linked to an account once and is that account from then on. An address is
looked at for the first link only: it opens an existing account only where the tenant has named the
domain as the provider's, and the provider says that it has verified the address.
"""

import hashlib
import ipaddress
import re
from datetime import datetime
from typing import Final, Literal
from urllib.parse import urlsplit
from uuid import UUID

import msgspec

from serai.contexts.identity.contract import NAME_CHARS_MAX, AccountKind
from serai.contexts.identity.contract.providers import (
    AccountNotLinked,
    EmailNotAllowed,
    NotInvited,
    ProviderUnfit,
    ProviderView,
)
from serai.contexts.identity.model.accounts import Account
from serai.kernel.failure import Refused
from serai.kernel.text import EMAIL_CHARS_MAX, EMAIL_PATTERN

TRIES_MAX: Final = 2_000
"""Sign-ins of a tenant that are under way at the same time; with the next, the oldest goes."""
SKEW_S: Final = 60
"""How far a provider's clock may be off."""
AGE_MAX_S: Final = 600
"""How long ago an id token may have been made: it is fetched as soon as she is back."""
SUBJECT_CHARS_MAX: Final = 255
URL_CHARS_MAX: Final = 2048
ALGORITHMS: Final = {
    "RSA": ("RS256", "PS256"), "EC": ("ES256", "ES384"), "OKP": ("Ed25519", "EdDSA"),
}  # fmt: skip
"""What an id token may be signed by, by the type of its key: no `none`, and nothing symmetric."""

_DOMAIN = re.compile(r"(?=.{1,253}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}")
_EMAIL = re.compile(EMAIL_PATTERN)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


class Provider(msgspec.Struct, frozen=True):
    """A provider as it is kept."""

    id: UUID
    kind: AccountKind
    name: str
    issuer: str
    client_id: str
    sealed_secret: str | None
    email_domains: tuple[str, ...]
    is_enabled: bool
    version: int
    created_at: datetime


class Try(msgspec.Struct, frozen=True):
    """A sign-in that is under way."""

    provider_id: UUID
    binding: bytes
    sealed: str
    redirect_uri: str
    expires_at: datetime


class Sealed(msgspec.Struct, frozen=True):
    """What nobody but us may know of a sign-in that is under way."""

    nonce: str
    verifier: str


class Metadata(msgspec.Struct, frozen=True):
    """What a provider publishes of itself (OpenID Connect Discovery 1.0, 3)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False


class IdClaims(msgspec.Struct, frozen=True):
    """The claims of an id token that are looked at."""

    iss: str
    sub: str
    aud: str | tuple[str, ...]
    exp: float
    iat: float
    nonce: str = ""
    azp: str | None = None
    email: str | None = None
    email_verified: bool | str = False
    name: str | None = None


def digest_of(text: str) -> bytes:
    """What is kept of a state or a binding. One plain hash will do: each has 256 bits chance."""
    return hashlib.sha256(text.encode()).digest()


def find_url_fault(url: str, *, is_at_home: bool) -> str | None:
    """Why nobody goes to an address: it must be https, or, at home only, http on this machine."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return "it is no URL"
    if len(url) > URL_CHARS_MAX or not url.isascii() or not url.isprintable() or " " in url:
        return "it is too long, or holds what no URL does"
    if not host or parts.username is not None or parts.password is not None or parts.fragment:
        return "it has no host, or holds a user or a fragment"
    if parts.scheme == "http" and is_at_home and is_loopback(host):
        return None
    if parts.scheme != "https":
        return "it is not https"
    return None


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its name alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_domains(domains: tuple[str, ...], *, kind: AccountKind) -> tuple[str, ...]:
    """The domains in small letters; refuses what is none, and staff for whom none is named."""
    found = tuple(dict.fromkeys(domain.lower() for domain in domains))
    wrong = [domain for domain in found if _DOMAIN.fullmatch(domain) is None]
    if wrong:
        raise ProviderUnfit("these are no domains", domains=wrong)
    if kind == "staff" and not found:
        raise ProviderUnfit("name the domains of the staff's addresses: only they come in by it")
    return found


def origin_of(url: str) -> str:
    """The origin of a URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def find_iss_fault(metadata: Metadata, issuer: str | None) -> str | None:
    """Whether an answer comes from another provider than was asked (RFC 9207, against mix-up)."""
    if issuer is None:
        is_missing = metadata.authorization_response_iss_parameter_supported
        return "it does not say whose it is" if is_missing else None
    return None if issuer == metadata.issuer else "it is another provider's"


def find_claims_fault(
    claims: IdClaims, *, issuer: str, client_id: str, nonce: str, now: datetime
) -> str | None:
    """Why an id token whose signature fits is not for us, now (OpenID Connect Core, 3.1.3.7)."""
    at = now.timestamp()
    audiences = (claims.aud,) if isinstance(claims.aud, str) else claims.aud
    faults: dict[str, bool] = {
        "iss": claims.iss != issuer,
        "aud": client_id not in audiences,
        "azp": claims.azp != client_id if claims.azp is not None else len(audiences) > 1,
        "exp": not at < claims.exp + SKEW_S,
        "iat": not at - AGE_MAX_S - SKEW_S <= claims.iat <= at + SKEW_S,
        "nonce": not nonce or claims.nonce != nonce,
        "sub": not 1 <= len(claims.sub) <= SUBJECT_CHARS_MAX or "\0" in claims.sub,
    }
    return next((name for name, is_wrong in faults.items() if is_wrong), None)


def find_email(claims: IdClaims) -> str | None:
    """The address that a provider vouches for; None where it does not."""
    email = claims.email or ""
    is_verified = claims.email_verified is True or claims.email_verified == "true"
    if not is_verified or len(email) > EMAIL_CHARS_MAX or _EMAIL.search(email) is None:
        return None
    return email


def name_of(claims: IdClaims) -> str:
    """Her name as an account may hold it."""
    return _CONTROL.sub(" ", claims.name or "").strip()[:NAME_CHARS_MAX]


def choose(
    provider: Provider, email: str | None, there: Account | None
) -> Literal["link", "make"] | Refused:
    """What the first word of a provider about a subject opens: her account, a new one, or none.

    `there` is the account of the provider's kind with this address.
    """
    if email is None:
        return EmailNotAllowed("the provider vouches for no address of yours")
    is_its_own = email.rpartition("@")[2].lower() in provider.email_domains
    if provider.email_domains and not is_its_own:
        return EmailNotAllowed("nobody with an address of this domain comes in by this provider")
    if there is None:
        if provider.kind == "staff":
            return NotInvited("nobody has invited you: ask for it")
        return "make"
    if not is_its_own or not _is_same(email, there.email):
        return AccountNotLinked("there is an account with your address: sign in to it as before")
    return "link"


def _is_same(told: str, kept: str) -> bool:
    """Whether two addresses are one to a mail server too, and not only to how we compare them."""
    return told == kept or ((told + kept).isascii() and told.lower() == kept.lower())


def view_of(provider: Provider) -> ProviderView:
    """A provider without its secret."""
    return ProviderView(
        provider.id, provider.kind, provider.name, provider.issuer, provider.client_id,
        provider.sealed_secret is not None, list(provider.email_domains), provider.is_enabled,
        provider.version, provider.created_at,
    )  # fmt: skip
