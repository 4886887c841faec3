"""Signing keys: which one signs now, and whose public halves are still published."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from serai.contexts.identity.contract import ACCESS_S

PLATFORM: Final = UUID(int=0)
"""The tenant of what belongs to the installation itself."""
SIGNS_AFTER: Final = timedelta(minutes=10)
"""How long a new key is published before it signs: who keeps a copy of the key set has it then."""
PUBLISHED_AFTER: Final = timedelta(seconds=ACCESS_S) + timedelta(minutes=5)
"""How long a key is published after another signs: until its last token is over, and some."""


class SigningKey(msgspec.Struct, frozen=True):
    """A key as it is kept; its private half is sealed."""

    number: int
    id: UUID
    public_key: str
    sealed_key: str
    created_at: datetime
    signs_from: datetime
    revoked_at: datetime | None = None


def find_signing(keys: Sequence[SigningKey], *, now: datetime) -> SigningKey | None:
    """The key that signs now: the newest whose time has come."""
    ready = [key for key in keys if key.revoked_at is None and key.signs_from <= now]
    return max(ready, key=lambda key: key.number, default=None)


def list_published(keys: Sequence[SigningKey], *, now: datetime) -> list[SigningKey]:
    """The keys whose tokens may be good, newest first: to come, signing, and not long over."""
    published = []
    followed_at: datetime | None = None
    for key in sorted(keys, key=lambda key: key.number, reverse=True):
        if key.revoked_at is not None:
            continue
        if followed_at is None or now < followed_at + PUBLISHED_AFTER:
            published.append(key)
        followed_at = key.signs_from
    return published
