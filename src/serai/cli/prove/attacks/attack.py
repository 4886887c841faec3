"""What an attack is."""

from collections.abc import Awaitable, Callable
from typing import Literal

import msgspec

from serai.cli.prove.attacks.ground import Ground

Family = Literal["inventory", "cart", "payment", "scope", "tenancy"]
Anomaly = Literal["isolation", "scope"]
"""Isolation: one request's own steps are interleaved with another's. Scope: what was read in one
request is acted on in the next, and is not true any more."""
Need = Literal["another tenant", "the callback secret"]


class Attack(msgspec.Struct, frozen=True):
    """One attack: what its sessions do at once, and the code that tries it for one round."""

    name: str
    family: Family
    anomaly: Anomaly
    sentence: str
    run: Callable[[Ground], Awaitable[None]]
    needs: Need | None = None
