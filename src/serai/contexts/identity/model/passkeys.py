"""Passkeys (WebAuthn): which site they are for, when a challenge is good, what a counter tells."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from serai.contexts.identity.contract.passkeys import PasskeyView

NOBODY: Final = UUID(int=0)
"""Whose challenge it is while someone signs in: she is known by its answer only."""
CHALLENGE_BYTES: Final = 32
OPEN_CHALLENGES_MAX: Final = 2_000
"""Challenges of nobody that a tenant has at the same time; with the next, the oldest goes."""
OWN_CHALLENGES_MAX: Final = 5
"""The same for one account, while it adds a passkey."""
LABELS_MAX: Final = 8
"""Parts of a host's name that are looked at."""


class Passkey(msgspec.Struct, frozen=True):
    """A passkey as it is kept."""

    id: UUID
    account_id: UUID
    credential_id: bytes
    public_key: bytes
    rp_id: str
    sign_count: int
    is_backed_up: bool
    name: str
    created_at: datetime
    used_at: datetime | None = None


class Challenge(msgspec.Struct, frozen=True):
    """What an authenticator is to sign, asked for by a page of `origin`."""

    challenge: bytes
    origin: str
    rp_id: str
    expires_at: datetime


class Made(msgspec.Struct, frozen=True):
    """What an authenticator made."""

    credential_id: bytes
    public_key: bytes
    sign_count: int
    is_backed_up: bool


class Signed(msgspec.Struct, frozen=True):
    """What an authenticator said of itself when it signed a challenge."""

    sign_count: int
    is_backed_up: bool


def went_back(kept: int, told: int) -> bool:
    """Whether a counter shows that the key is in two places (WebAuthn, 6.1.1); 0 is: none."""
    return (kept > 0 or told > 0) and told <= kept


def host_of(origin: str) -> str:
    """The host of an origin that was found fit."""
    return origin.partition("://")[2].rsplit(":", 1)[0]


def list_sites(origin: str) -> Iterator[str]:
    """The origin and those of the domains above it, the topmost first: one may be the site."""
    scheme, _, rest = origin.partition("://")
    labels = rest.split(".")
    for first in range(len(labels) - 1, max(-1, len(labels) - 1 - LABELS_MAX), -1):
        yield f"{scheme}://{'.'.join(labels[first:])}"


def view_of(passkey: Passkey) -> PasskeyView:
    """A passkey as its owner sees it."""
    return PasskeyView(
        passkey.id, passkey.name, passkey.rp_id, passkey.is_backed_up, passkey.created_at,
        passkey.used_at,
    )  # fmt: skip
