"""What is attacked, and what the attackers may know of it."""

from collections.abc import Awaitable, Callable

import msgspec

from serai.cli.check import Report


class Target(msgspec.Struct, frozen=True):
    """A running Serai. What is left out is not tried: the attacks that need it say so.

    `key` has every scope of its tenant; `other_key` is the same for another tenant.
    `callback_secret` is what the payment provider signs its callbacks with. `check` proves the
    invariants on the database itself, which only an installation of our own lets us do.
    """

    url: str
    key: str
    other_key: str | None = None
    callback_secret: str | None = None
    check: Callable[[], Awaitable[Report]] | None = None
