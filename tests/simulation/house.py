"""A simulated process: the real composition over a simulated pool, with what it runs."""

import asyncio
import contextlib
import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol
from unittest import mock
from uuid import UUID

import asyncpg

from serai.contexts.notifications import module as notifications_module
from serai.contexts.notifications.gateways.defaults import load_defaults
from serai.contexts.notifications.model.mails import Mail
from serai.contexts.notifications.model.messages import Outcome
from serai.contexts.payments import module as payments_module
from serai.kernel import ids
from serai.kernel.batch import Batch
from serai.kernel.db import Tx
from serai.kernel.events import Delivery
from serai.kernel.failure import LostLease, Unavailable
from serai.kernel.module import Consumer, Hear, Outside
from serai.kernel.scheduler import run_jobs
from serai.kernel.tenant import Home
from serai.kernel.workers import Workers
from serai.roles.composition import Composition, compose
from serai.settings import Settings
from tests.simulation.database import Server, SimDatabase
from tests.simulation.loop import Owner
from tests.simulation.provider import SimProvider

SETTINGS = Settings(payment_deadline_s=12.0, payment_timeout_s=4.0, log_level="critical",
                    privacy_key="A" * 43)  # fmt: skip
POOL_MAX = 6
LETTERS = "kernel.dead_letters"
INBOX = "kernel.inbox"
NOTHING_TO_DO = ("identity.", "signup.", "privacy.", "tenancy.")
_WORLD_FAILS = (Unavailable, LostLease, asyncpg.PostgresError, asyncpg.InterfaceError, OSError,
                asyncio.CancelledError)  # fmt: skip


_defaults = functools.cache(load_defaults)
"""Read once; a process reads its files each time that it starts."""


class PoisonedError(Exception):
    """A message that its group cannot handle, for a while."""


class Observer(Protocol):
    """Who watches a process: it hears of every effect, and may spoil a message."""

    def spoil(self, group: str, deliveries: Sequence[Delivery], batch: set[UUID]) -> None:
        """Raises PoisonedError where one is spoilt for the group; `batch` is all it handles."""
        ...

    def note_effects(
        self, process: "Process", group: str, deliveries: Sequence[Delivery], held: set[UUID]
    ) -> None:
        """A process has handled these for a group, and that is committed; `held` were parked."""
        ...

    def find(self, invariant: str, detail: str) -> None:
        """Something is wrong."""
        ...


class SimClock:
    """A process's own clock: the world's, put forward or back by a little."""

    def __init__(self, now: Callable[[], datetime], ahead: timedelta) -> None:
        self._now = now
        self._ahead = ahead

    def now(self) -> datetime:
        return self._now() + self._ahead


class SilentMailer:
    """Takes every mail."""

    async def send(self, messages: Sequence[Mail]) -> list[Outcome]:
        return [Outcome("sent")] * len(messages)


class Process(Owner):
    """An API or a worker: what it is made of, and what it is busy with."""

    def __init__(self, kind: str, index: int, generation: int) -> None:
        super().__init__(f"{kind}-{index}.{generation}")
        self.kind = kind
        self.index = index
        self.is_dead = False
        self.worker_id = ids.new_id()
        self.requests: dict[asyncio.Future[Any], None] = {}
        self.composition: Composition
        self.batches: dict[str, Batch[Any, Any]] = {}

    def build(
        self,
        server: Server,
        provider: SimProvider,
        clock: SimClock,
        observer: Observer,
        *,
        batch_max: int,
    ) -> None:
        """Composes the whole house, as a role does when it starts."""
        database = SimDatabase(server, self, pool_max=POOL_MAX, clock=clock)
        with (
            mock.patch.object(payments_module, "choose_provider", return_value=provider),
            mock.patch.object(notifications_module, "mailer_of", return_value=SilentMailer()),
            mock.patch.object(notifications_module, "load_defaults", _defaults),
        ):
            self.composition = compose(SETTINGS, database, clock=clock)
        self.batches = {batch.name: batch for batch in self.composition.batches}
        self._consumers = [
            _watched(consumer, self, observer, batch_max) for consumer in self.composition.consumers
        ]

    async def work(self) -> None:
        """What a worker does until it ends."""
        composition = self.composition
        workers = Workers(
            database=composition.database,
            homes=composition.homes,
            consumers=self._consumers,
            timers=composition.timers,
            worker_id=self.worker_id,
        )
        await workers.run(asyncio.Event())

    async def do_jobs(self) -> None:
        """What a scheduler does until it ends."""
        composition = self.composition
        await run_jobs(
            # Histories go in below HTTP: nobody signs anything, in or up, or has a domain to check.
            [job for job in composition.jobs if not job.name.startswith(NOTHING_TO_DO)],
            database=composition.database,
            homes=composition.homes,
            clock=composition.clock,
            stop=asyncio.Event(),
        )


def _watched(consumer: Consumer, process: Process, observer: Observer, batch_max: int) -> Consumer:
    hears = {
        model: _watched_hear(consumer.group, hear, process, observer)
        for model, hear in consumer.hears.items()
    }
    return Consumer(consumer.group, hears, min(batch_max, consumer.batch_max))


def _watched_hear(
    group: str, hear: Hear | Outside, process: Process, observer: Observer
) -> Hear | Outside:
    def spoil(deliveries: Sequence[Delivery], tx: Tx) -> None:
        # A handler sees only what is its own of a batch; the whole one is what the inbox took.
        held = tx.connection.session.held
        observer.spoil(
            group, deliveries, {key[1] for table, key in held if table in {INBOX, LETTERS}}
        )

    def note_at_commit(deliveries: Sequence[Delivery], tx: Tx) -> None:
        held = {key[1] for table, key in tx.connection.session.held if table == LETTERS}
        tx.connection.on_commit.append(
            lambda: observer.note_effects(process, group, deliveries, held)
        )

    if isinstance(hear, Outside):
        inner = hear

        async def ask(deliveries: Sequence[Delivery], home: Home) -> Sequence[Any]:
            with _bugs_found(group, observer):
                return await inner.ask(deliveries, home)

        async def record(
            deliveries: Sequence[Delivery], answers: Sequence[Any], *, tx: Tx, now: datetime
        ) -> None:
            spoil(deliveries, tx)
            with _bugs_found(group, observer):
                await inner.record(deliveries, answers, tx=tx, now=now)
            note_at_commit(deliveries, tx)

        return Outside(ask, record)
    plain = hear

    async def handle(deliveries: Sequence[Delivery], *, tx: Tx, now: datetime) -> None:
        spoil(deliveries, tx)
        with _bugs_found(group, observer):
            await plain(deliveries, tx=tx, now=now)
        note_at_commit(deliveries, tx)

    return handle


@contextlib.contextmanager
def _bugs_found(group: str, observer: Observer) -> Iterator[None]:
    """What a handler raises is a bug, unless the world failed; a broken rule of a table is ours."""
    try:
        yield
    except asyncpg.IntegrityConstraintViolationError as error:
        observer.find("no handler fails", f"{group}: {error!r}")
        raise
    except _WORLD_FAILS:
        raise
    except Exception as error:
        observer.find("no handler fails", f"{group}: {error!r}")
        raise


@contextlib.contextmanager
def without_http() -> Iterator[None]:
    """Modules are composed without routes: histories go in below HTTP, and start fast."""
    places = _route_makers()
    for module, name, _ in places:
        setattr(module, name, _no_routes)
    try:
        yield
    finally:
        for module, name, function in places:
            setattr(module, name, function)


@functools.cache
def _route_makers() -> list[tuple[Any, str, Any]]:
    """Every function that makes routes, wherever a context's module has it from."""
    return [
        (module, name, function)
        for module_name, module in list(sys.modules.items())
        if module_name.startswith("serai.contexts.")
        for name, function in vars(module).items()
        if name.endswith("routes") and ".routes" in str(getattr(function, "__module__", ""))
    ]


def _no_routes(*_: Any, **__: Any) -> list[Any]:
    return []
