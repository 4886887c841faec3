"""Codes and devices on their way to tokens: what is kept of them, and when one is good."""

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID

import msgspec

from serai.contexts.identity.model.protocol import (
    AccessDenied,
    AuthorizationPending,
    ExpiredToken,
    InvalidGrant,
    ProtocolRefused,
    SlowDown,
    fits_challenge,
)
from serai.contexts.identity.model.throttle import Allowance

DEVICE_TTL: Final = timedelta(minutes=10)
POLL_S: Final = 5
"""How long a device waits between two tries; with `slow_down` it is to wait this much longer."""
POLL_S_MAX: Final = 300
DEVICES_MAX: Final = 500
"""Devices of one app that may wait for an answer at the same time."""
DEVICE_BYTES: Final = 32
USER_CODE_LETTERS: Final = "BCDFGHJKLMNPQRSTVWXZ"
"""Twenty letters that make no words and look like no digit (RFC 8628, 6.1)."""
USER_CODE_CHARS: Final = 8
USER_CODES_OF_ACCOUNT: Final = Allowance(5, timedelta(minutes=1))
"""Codes that one person may type: with 500 of 20^8 waiting, a year of guesses finds one in 100."""
DEVICES_OF_ADDRESS: Final = Allowance(20, timedelta(seconds=15))

Verdict = Literal["good", "used", "bad"]


class Code(msgspec.Struct, frozen=True):
    """A code as it is kept; `session_id` is what came of it."""

    digest: bytes
    app_id: UUID
    account_id: UUID
    redirect_uri: str
    challenge: str
    scopes: tuple[str, ...]
    nonce: str | None
    signed_in_at: datetime
    expires_at: datetime
    session_id: UUID | None = None


class Device(msgspec.Struct, frozen=True):
    """A device that waits for an answer, as it is kept."""

    digest: bytes
    app_id: UUID
    scopes: tuple[str, ...]
    interval_s: int
    expires_at: datetime
    polled_at: datetime | None = None
    answer: Literal["", "allowed", "denied"] = ""
    account_id: UUID | None = None
    signed_in_at: datetime | None = None
    session_id: UUID | None = None

    def is_waiting(self, now: datetime) -> bool:
        """Whether someone may still answer it."""
        return not self.answer and now < self.expires_at


def judge_code(
    code: Code | None, *, app_id: UUID, redirect_uri: str | None, verifier: str | None,
    now: datetime,
) -> Verdict:  # fmt: skip
    """Whether a code is good for who brings it. Of another app it is bad, used or not."""
    if code is None or code.app_id != app_id:
        return "bad"
    if code.session_id is not None:
        return "used"
    is_bound = code.redirect_uri == redirect_uri and fits_challenge(code.challenge, verifier)
    return "good" if is_bound and now < code.expires_at else "bad"


def poll(
    device: Device | None, *, app_id: UUID, now: datetime
) -> tuple[Device | None, ProtocolRefused | None]:
    """The device after its app has asked, and why it gets nothing; None: it is allowed."""
    if device is None or device.app_id != app_id or device.session_id is not None:
        return None, InvalidGrant("this device code is not good")
    if device.answer == "denied":
        return None, AccessDenied("she said no")
    if now >= device.expires_at:
        return None, ExpiredToken("begin again: nobody answered in time")
    if device.answer == "allowed":
        return device, None
    asked = msgspec.structs.replace(device, polled_at=now)
    if device.polled_at is not None and now < device.polled_at + _pause(device):
        slower = min(device.interval_s + POLL_S, POLL_S_MAX)
        asked = msgspec.structs.replace(asked, interval_s=slower)
        return asked, SlowDown(f"ask every {slower} seconds")
    return asked, AuthorizationPending("nobody has answered yet")


def _pause(device: Device) -> timedelta:
    # What the network makes of a pause is not the device's fault.
    return timedelta(seconds=device.interval_s - 0.5)


def make_user_code(choose: Callable[[str], str]) -> str:
    """A code to be read from one screen and typed into another."""
    letters = "".join(choose(USER_CODE_LETTERS) for _ in range(USER_CODE_CHARS))
    return f"{letters[:4]}-{letters[4:]}"


def digest_of_user_code(text: str) -> bytes | None:
    """What is kept of a user code, however it is typed; None for what cannot be one."""
    plain = "".join(letter for letter in text.upper() if letter not in "- ")
    if len(plain) != USER_CODE_CHARS or set(plain) - set(USER_CODE_LETTERS):
        return None
    return hashlib.sha256(plain.encode()).digest()
