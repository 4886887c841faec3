"""Sessions and their refresh tokens: two halves, of which the second is new each time.

Who comes with the first half, which a whole family of tokens has in common, and not with the latest
second half, has a token that was used before: someone has a copy, and the family ends. There is no
grace for an answer that was lost on the way: whoever lost it signs in again, and nobody can tell a
lost answer from a stolen one.
"""

import hashlib
import hmac
import re
from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID

import msgspec

SESSION_IDLE: Final = timedelta(days=30)
"""How long a session lasts that nobody uses."""
SESSION_MAX: Final = timedelta(days=180)
"""How long a session lasts at most: then the password is asked for again."""
PAGES: Final = UUID(int=0)
"""The app of a session in the browser, with the pages on which she signs in for the others."""
PAGES_TTL: Final = timedelta(hours=12)
HALF_BYTES: Final = 32
REFRESH_CHARS: Final = 156

_REFRESH = re.compile(
    r"refresh_([0-9a-f]{32})_([0-9a-f]{32})_([A-Za-z0-9_-]{43})([A-Za-z0-9_-]{43})", re.ASCII
)


class RefreshToken(msgspec.Struct, frozen=True):
    """What a refresh token claims to be, with the digests of its halves."""

    tenant_id: UUID
    session_id: UUID
    family: bytes
    fresh: bytes


class Session(msgspec.Struct, frozen=True):
    """A session as it is kept."""

    id: UUID
    account_id: UUID
    family: bytes
    fresh: bytes
    created_at: datetime
    used_at: datetime
    expires_at: datetime
    ended_at: datetime | None = None
    app_id: UUID | None = None
    """The app that the session was given to; None: the shop's own front."""
    scopes: tuple[str, ...] = ()
    """What was granted to the app."""
    factor_at: datetime | None = None
    """When a second factor opened it; what is read back of a session does not tell."""


def digest_of(half: str) -> bytes:
    """What is kept of a half. One plain hash will do: it has 256 bits of chance."""
    return hashlib.sha256(half.encode()).digest()


def write_refresh(tenant_id: UUID, session_id: UUID, family: str, fresh: str) -> str:
    """The text of a refresh token. The tenant is in it, so that the look-up stays in its wall."""
    return f"refresh_{tenant_id.hex}_{session_id.hex}_{family}{fresh}"


def read_refresh(text: str) -> RefreshToken | None:
    """What a text claims to be; None for what cannot be a refresh token."""
    match = _REFRESH.fullmatch(text) if len(text) <= REFRESH_CHARS + 4 else None
    if match is None:
        return None
    return RefreshToken(
        UUID(hex=match[1]), UUID(hex=match[2]), digest_of(match[3]), digest_of(match[4])
    )


def family_half(text: str) -> str:
    """The half of a refresh token that its successor has too."""
    return text[-86:-43]


def judge(
    session: Session | None, token: RefreshToken, *, app_id: UUID | None = None, now: datetime
) -> Literal["good", "used", "bad"]:
    """Whether a refresh token is the latest of a living family, was used before, or is neither.

    Of another app's session it is neither: nobody ends what is not hers.
    """
    if session is None or session.app_id != app_id:
        return "bad"
    if not hmac.compare_digest(session.family, token.family):
        return "bad"
    if session.ended_at is not None or session.expires_at <= now:
        return "bad"
    return "good" if hmac.compare_digest(session.fresh, token.fresh) else "used"


def expiry(created_at: datetime, now: datetime) -> datetime:
    """Until when a session that is used now may be used next."""
    return min(now + SESSION_IDLE, created_at + SESSION_MAX)
