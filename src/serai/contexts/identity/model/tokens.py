"""Access tokens as they are read, and the tokens in mails: what a text must be to be looked at.

An access token is a JWT (RFC 7519, 9068) whose header has exactly the three members that ours have.
Whatever names a key by itself or asks for an extension is refused before any key is looked for.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec

from serai.contexts.identity.contract import ACCESS_S, AccountKind

ALGORITHM: Final = "Ed25519"
"""EdDSA by its fully specified name (RFC 9864)."""
TYPE: Final = "at+jwt"
AUDIENCE: Final = "serai-api"
TOKEN_CHARS_MAX: Final = 2048
CLOCK_SKEW_S: Final = 30
"""How far another process's clock may be ahead of ours when it signs."""
_HASH_BYTES: Final = 32

MailPurpose = Literal["registration", "password"]


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The header of an access token; nothing else may stand in it."""

    alg: Literal["Ed25519"]
    kid: UUID
    typ: Literal["at+jwt"]


class Claims(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True
):
    """The claims of an access token; an app's says which app it is, and how far it goes."""

    iss: str
    aud: str
    sub: UUID
    tenant: UUID
    kind: AccountKind | Literal["app"]
    sid: UUID | None = None
    """The session that it ends with; an app that comes by itself has none."""
    client_id: UUID | None = None
    scope: str = ""
    roles: tuple[str, ...]
    """As they were when it was signed, for who reads it; what Serai goes by is read anew."""
    iat: int
    nbf: int
    exp: int
    jti: UUID


def claim(
    *, issuer: str, account_id: UUID, tenant_id: UUID, kind: AccountKind, session_id: UUID,
    roles: tuple[str, ...], token_id: UUID, now: datetime,
) -> Claims:  # fmt: skip
    """The claims of a token that is signed now."""
    at = int(now.timestamp())
    return Claims(
        iss=issuer, aud=AUDIENCE, sub=account_id, tenant=tenant_id, kind=kind, sid=session_id,
        roles=roles, iat=at, nbf=at, exp=at + ACCESS_S, jti=token_id,
    )  # fmt: skip


def claim_for_app(
    *, issuer: str, app_id: UUID, tenant_id: UUID, account_id: UUID | None,
    session_id: UUID | None, scopes: Sequence[str], token_id: UUID, now: datetime,
) -> Claims:  # fmt: skip
    """The claims of an app's token: for a person in a session, or for itself without both."""
    at = int(now.timestamp())
    return Claims(
        iss=issuer, aud=AUDIENCE, sub=account_id or app_id, tenant=tenant_id,
        kind="app" if account_id is None else "customer", sid=session_id, client_id=app_id,
        scope=" ".join(scopes), roles=(), iat=at, nbf=at, exp=at + ACCESS_S, jti=token_id,
    )  # fmt: skip


def header_text(token: str) -> bytes | None:
    """The JSON of a token's header; None for what has not the form of a signed token."""
    if len(token) > TOKEN_CHARS_MAX or token.count(".") != 2:  # noqa: PLR2004 - RFC 7515, 7.1
        return None
    return _decode(token.partition(".")[0])


def is_whole(claims: Claims) -> bool:
    """Whether it says what a token of its kind does, no more and no less."""
    if claims.client_id is None:
        return claims.kind != "app" and claims.sid is not None and not claims.scope
    if claims.kind == "app":
        return claims.sid is None and claims.sub == claims.client_id
    return claims.kind == "customer" and claims.sid is not None


def is_timely(claims: Claims, *, issuer: str, app_issuers: str, now: datetime) -> bool:
    """Whether it is meant for us, now, and lasts no longer than ours do.

    Each tenant issues the tokens of its apps, by an address below `app_issuers`.
    """
    at = now.timestamp()
    is_ours = claims.iss == issuer
    if claims.client_id is not None:
        is_ours = claims.iss.startswith(app_issuers)
    return (
        is_ours
        and claims.aud == AUDIENCE
        and claims.nbf <= at + CLOCK_SKEW_S
        and claims.iat <= at + CLOCK_SKEW_S
        and at < claims.exp <= claims.iat + ACCESS_S
    )


def write_mail_token(key: bytes, tenant_id: UUID, token_id: UUID) -> str:
    """The token in a mail: the id of what it is about, and its HMAC-SHA256 (RFC 2104)."""
    return _encode(token_id.bytes + _mac(key, tenant_id, token_id))


def read_mail_token(key: bytes, tenant_id: UUID, text: str) -> UUID | None:
    """What the token from a mail is about; None for what we did not write for this tenant."""
    raw = _decode(text)
    if raw is None or len(raw) != len(tenant_id.bytes) + _HASH_BYTES:
        return None
    token_id = UUID(bytes=raw[:16])
    if not hmac.compare_digest(raw[16:], _mac(key, tenant_id, token_id)):
        return None
    return token_id


def _mac(key: bytes, tenant_id: UUID, token_id: UUID) -> bytes:
    return hmac.digest(key, tenant_id.bytes + token_id.bytes, hashlib.sha256)


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes | None:
    try:
        raw = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error, ValueError):
        return None
    # One text for each value: what decodes alike and is written otherwise is not ours.
    return raw if _encode(raw) == text else None
