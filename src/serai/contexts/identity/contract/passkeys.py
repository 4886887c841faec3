"""What others may know of passkeys: views and refusals."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from serai.kernel.failure import Refused, Unprocessable

PASSKEYS_MAX: Final = 20
"""Passkeys of one account."""
CHALLENGE_S: Final = 300
"""How long a challenge may be answered."""
FRESH_S: Final = 600
"""How long after signing in one may add a passkey or take one away."""


class PasskeyUnfit(Unprocessable):
    """What the authenticator answered does not make a passkey: ask for a new challenge."""


class PasskeyExists(Refused):
    """The tenant knows this passkey already."""


class TooManyPasskeys(Refused):
    """The account has as many passkeys as it may have; take one away first."""


class OriginUnknown(Unprocessable):
    """The tenant does not name this origin as one of its pages."""


class SignInTooLongAgo(Refused):
    """Who changes how she comes in has to have signed in a moment ago: sign in again."""

    status = 403


class LastSecondFactor(Refused):
    """A role of the account asks for a second factor, and this is the last one."""


class PasskeyView(msgspec.Struct, frozen=True):
    """A passkey as its owner sees it."""

    id: UUID
    name: str
    rp_id: str
    is_backed_up: bool
    created_at: datetime
    used_at: datetime | None


class ChallengeView(msgspec.Struct, frozen=True):
    """What a page hands to the browser: `public_key` is the options of the WebAuthn API as JSON."""

    challenge_id: UUID
    expires_in: int
    public_key: dict[str, Any]


class FactorRolesView(msgspec.Struct, frozen=True):
    """The roles that give nothing to an account without a second factor."""

    roles: list[str]
