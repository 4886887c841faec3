"""Who acts: the staff, customer, key or app behind a request, or the platform itself."""

import functools
import getpass
import socket
from typing import Final, Literal
from uuid import UUID

import msgspec

ActorKind = Literal["key", "staff", "customer", "app", "operator", "system"]


class Actor(msgspec.Struct, frozen=True):
    """One who acts, and where from; `address` is the peer's, as far as the edge can know it."""

    kind: ActorKind
    id: UUID
    address: str | None = None

    def at(self, peer: tuple[str, int] | None) -> "Actor":
        """The same, seen at the peer of a connection where no address is known yet."""
        if self.address is not None or peer is None:
            return self
        return Actor(self.kind, self.id, peer[0])


SYSTEM: Final = Actor("system", UUID(int=0))
"""The platform: a flow, a timer or a job, in nobody's name."""


@functools.cache
def operator() -> Actor:
    """Who works on the installation itself, by its command line: the account and the machine."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):
        name = "unknown"
    return Actor("operator", UUID(int=0), f"{name}@{socket.gethostname()}")
