"""What a context or flow hands to a role: its routes, consumers, timers, jobs and checks."""

import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

import msgspec

from serai.kernel.clock import Clock
from serai.kernel.db import Database, Tx
from serai.kernel.events import Delivery
from serai.kernel.person import OfOrders, Personal
from serai.kernel.tenant import Home, Homes

BATCH_EVENTS_MAX = 512
"""Events that one consumer handles in one transaction."""


class Hear(Protocol):
    """Handles a batch of one type of event in a transaction that its consumer opened."""

    def __call__(
        self, deliveries: Sequence[Delivery], *, tx: Tx, now: datetime
    ) -> Awaitable[None]: ...


class Record(Protocol):
    """Records, in a transaction, what the world answered to a batch of events."""

    def __call__(
        self, deliveries: Sequence[Delivery], answers: Sequence[Any], *, tx: Tx, now: datetime
    ) -> Awaitable[None]: ...


@dataclasses.dataclass(frozen=True)
class Outside:
    """A step with a call to a vendor: `ask` runs outside any transaction, `record` in one (D8).

    `ask` is told the home whose log the deliveries came out of, in which `record` writes: of a
    tenant that moves the directory may say another meanwhile.
    """

    ask: Callable[[Sequence[Delivery], Home], Awaitable[Sequence[Any]]]
    record: Record


@dataclasses.dataclass(frozen=True)
class Consumer:
    """A consumer group: which events it hears and what it does with them."""

    group: str
    hears: dict[type[msgspec.Struct], Hear | Outside]
    batch_max: int = BATCH_EVENTS_MAX


@dataclasses.dataclass(frozen=True)
class Timer:
    """What a flow does with instances whose deadline has passed."""

    flow: str
    ring: Callable[..., Awaitable[None]]
    """`ring(due: Sequence[Instance], *, tx, now)`, over instances of this flow."""


@dataclasses.dataclass(frozen=True)
class Job:
    """Something done every so often by one process at a time, for each home."""

    name: str
    every: timedelta
    run: Callable[[Database, Home, Clock], Awaitable[int]]
    """Returns how many things it did; it is called again at once while that is `chunk` or more."""
    chunk: int = 500


class Finding(msgspec.Struct, frozen=True):
    """One violation of an invariant, with what shows it."""

    check: str
    detail: str


@dataclasses.dataclass(frozen=True)
class Check:
    """An invariant that can be checked at any time: returns what violates it, bounded."""

    name: str
    """Its module's name, a dot, and its own; each of its findings bears it too."""
    sentence: str
    run: Callable[[Tx, UUID], Awaitable[list[Finding]]]
    """`run(tx, tenant_id)`, inside a read-only transaction of that tenant."""


@dataclasses.dataclass(frozen=True)
class Module:
    """A context or flow, built."""

    name: str
    routes: Sequence[Any] = ()
    batches: Sequence[Any] = ()
    consumers: Sequence[Consumer] = ()
    timers: Sequence[Timer] = ()
    jobs: Sequence[Job] = ()
    checks: Sequence[Check] = ()
    offers: Any = None
    """What its contract's Protocols are implemented by, for flows and other contexts."""
    personal: Personal | None = None
    """What it knows about people, for their exports, their erasures and retention rules."""
    of_orders: OfOrders | None = None
    """What it knows about orders, for the exports of those whose they are."""
    operated: Any = None
    """What the command line may ask of it, by a Protocol of its contract."""
    close: Callable[[], Awaitable[None]] | None = None
    """Gives back what the module holds outside the database; called once, at the process's end."""


@dataclasses.dataclass(frozen=True)
class Surroundings:
    """What every module is built with."""

    database: Database
    homes: Homes
    clock: Clock
    settings: Any
