"""How many tries there are: a bucket of tries that fills up again, one every so often."""

import hashlib
import math
from datetime import datetime, timedelta

import msgspec

from serai.kernel.failure import Throttled


class Allowance(msgspec.Struct, frozen=True):
    """So many tries at once, and another one every so often."""

    tries: int
    every: timedelta


LOGINS_OF_ACCOUNT = Allowance(10, timedelta(minutes=3))
"""Ten, and then 480 a day: far too few to guess what the rules for passwords let through."""
LOGIN_REFILL = timedelta(seconds=2)
"""How often one address gets another try; how many at once is a setting."""
MAILS_TO_ADDRESS = Allowance(3, timedelta(minutes=10))
"""Mails that anyone can have sent to an address by asking."""
SIGN_UPS_OF_ADDRESS = Allowance(5, timedelta(minutes=12))
"""Tenants that one network address can sign up."""
SIGN_UPS = Allowance(100, timedelta(seconds=30))
"""Tenants that everybody together can sign up: a bound on what strangers can make us store."""


def bucket_of(*parts: str) -> bytes:
    """The key of a bucket: of a fixed length, and it tells nobody which address it is about."""
    return hashlib.sha256("\0".join(parts).encode()).digest()


def spend(full_at: datetime, *, allowance: Allowance, now: datetime) -> datetime | Throttled:
    """When the bucket is full again after one more try, or why there is none left."""
    after = max(full_at, now) + allowance.every
    late = after - now - allowance.tries * allowance.every
    if late > timedelta(0):
        seconds = math.ceil(late.total_seconds())
        return Throttled(
            "too many tries; whether this one would have worked was not looked at",
            retry_after_s=seconds,
        )
    return after
