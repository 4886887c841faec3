"""The second factor: codes of an authenticator (TOTP, RFC 6238), each good once, and spares."""

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
import pyotp

STEP_S: Final = 30
STEPS_AROUND: Final = 1
"""How many steps of 30 seconds an authenticator's clock may be off, either way."""
SPARES: Final = 10
SPARE_CHARS: Final = 16
"""Of base 32, so 80 bits: enough that one plain hash will do to keep them."""


class Factor(msgspec.Struct, frozen=True):
    """A second factor as it is kept; `last_step` is the latest whose code was used."""

    account_id: UUID
    sealed_secret: str
    last_step: int
    spares: tuple[str, ...]
    confirmed_at: datetime | None


def digest_of(spare: str) -> str:
    """What is kept of a spare code; how it is written makes no difference."""
    plain = spare.replace("-", "").replace(" ", "").upper()
    return hashlib.sha256(plain.encode()).hexdigest()


def use(factor: Factor, secret: str, code: str, *, now: datetime) -> Factor | None:
    """The factor after a code was used; None where the code is wrong or was used before."""
    at = int(now.timestamp()) // STEP_S
    totp = pyotp.TOTP(secret)
    for step in range(at - STEPS_AROUND, at + STEPS_AROUND + 1):
        is_right = hmac.compare_digest(totp.generate_otp(step).encode(), code.encode())
        if is_right and step > factor.last_step:
            return msgspec.structs.replace(factor, last_step=step)
    spare = digest_of(code)
    if spare in factor.spares:
        left = tuple(kept for kept in factor.spares if kept != spare)
        return msgspec.structs.replace(factor, spares=left)
    return None


def confirm(factor: Factor, spares: Sequence[str], *, now: datetime) -> Factor:
    """The factor from now on asked for, with its spare codes."""
    kept = tuple(digest_of(spare) for spare in spares)
    return msgspec.structs.replace(factor, confirmed_at=now, spares=kept)


def write_uri(secret: str, *, email: str, issuer: str) -> str:
    """What an authenticator reads, as a picture or a link."""
    return str(pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=issuer))
