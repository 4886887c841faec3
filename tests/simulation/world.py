"""The world of one history: its time, its server, its processes, and what is observed of them."""

import asyncio
import collections
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import asyncpg

from serai.contexts.payments import model as payments_model
from serai.contexts.payments.gateways.sandbox_book import SandboxBook
from serai.contexts.payments.gateways.sandbox_callbacks import (
    CallbackRefusedError,
    deliver_callbacks,
)
from serai.contexts.payments.gateways.sandbox_wire import Callback
from serai.contexts.payments.handlers.answers import HearCallback
from serai.contexts.payments.ports import Answer as Word
from serai.kernel import ids
from serai.kernel.batch import Batch
from serai.kernel.events import Cause, Delivery
from serai.kernel.failure import Refused, Unavailable
from serai.kernel.idempotency import Answer, Claim
from serai.kernel.tenant import POOLED
from tests.simulation.adversary import Adversary
from tests.simulation.database import Server
from tests.simulation.house import PoisonedError, Process, SimClock
from tests.simulation.loop import Owner, SimLoop
from tests.simulation.plan import POISONED, Plan
from tests.simulation.provider import SimProvider
from tests.simulation.rows import Table
from tests.simulation.statements.tables import TABLES
from tests.simulation.storage import Storage
from tests.simulation.wounds import Wounds

BEGAN = datetime(2026, 3, 1, 12, tzinfo=UTC)
STEPS_MAX = 400_000
CALLBACK_DELAY_S = 0.05
LATE_DELAY_S = 1.5
CLOCKS_APART_MAX_S = 0.2
RESTART_MAX_S = 0.6
POISON_TRIES_MAX = 1
# After a rewind a message may be the only new one of a batch that is not alone.
_BETWEEN = {"crash", "cut_before_commit", "cut_after_commit", "db_crash", "freeze_worker", "stall",
            "freeze_after_vendor", "log consumer_paused", "rewind"}  # fmt: skip
BURY_EVERY_S = 0.001
BURIALS_MAX = 200


class GoneError(Exception):
    """The process at the other end is not there, or went away before it answered."""


class World:
    """Everything of a history that its buyers do not decide."""

    def __init__(self, plan: Plan, *, is_tracing: bool) -> None:
        self.plan = plan
        self.loop = SimLoop(steps_max=STEPS_MAX)
        self.outside = Owner("outside")
        """Clients, the provider and time itself: they neither crash nor freeze."""
        self.draw = Random(f"world {plan.seed}")  # noqa: S311 - a seed decides
        self.skew = timedelta(0)
        self.counts: collections.Counter[str] = collections.Counter()
        self.trace: list[str] = []
        self.violations: list[tuple[str, str]] = []
        self.effects: dict[tuple[str, UUID], int] = {}
        self.orders_of_effects: dict[tuple[str, str, UUID], list[tuple[int, int]]] = {}
        """By group, topic and key, the positions of the events as their effects were committed."""
        self._is_tracing = is_tracing
        self._spoilt: dict[tuple[str, UUID], int] = {}
        self.adversary = Adversary(plan, Wounds(self), self.note)
        self.storage = Storage(_tables(), clock=self.server_now)
        self.server = Server(self.storage, self.adversary, self.loop)
        self.book = SandboxBook(callback_delay_s=CALLBACK_DELAY_S, late_delay_s=LATE_DELAY_S)
        self.processes: dict[tuple[str, int], Process] = {}
        self.all_processes: list[Process] = []
        """Also those that have died."""

    # --------------------------------------------------------------------------------------- time

    def server_now(self) -> datetime:
        """The database's clock, which nobody moves."""
        return BEGAN + timedelta(seconds=self.loop.time())

    def now(self) -> datetime:
        """The time that the processes are told; the adversary may have moved it on."""
        return self.server_now() + self.skew

    def timestamp(self) -> float:
        """The provider's clock, in Unix seconds."""
        return self.server_now().timestamp()

    # ----------------------------------------------------------------------------------- findings

    def note(self, kind: str, detail: str) -> None:
        """Counts something that happened, and writes it into the trace."""
        self.counts[kind] += 1
        if self._is_tracing:
            self.trace.append(f"{self.loop.time():9.4f} {kind} {detail}".rstrip())

    def find(self, invariant: str, detail: str) -> None:
        """A violation."""
        self.violations.append((invariant, detail))
        self.note("VIOLATION", f"{invariant}: {detail}")

    def hear_log(self, action: str, error: object) -> None:
        """What the product logged: a cause to count it, and for some to find it."""
        self.note(f"log {action}", repr(error) if error else "")
        is_poison = isinstance(error, PoisonedError)
        if action in {"job_failed", "timer_failed", "payment_given_up"} or (
            action == "message_parked" and not is_poison
        ):
            self.find("nothing fails by itself", f"{action}: {error!r}")

    def spoil(self, group: str, deliveries: Sequence[Delivery], batch: set[UUID]) -> None:
        fault = self.adversary.take_poison(group, POISONED)
        if fault is not None:
            self._spoilt[group, deliveries[0].event_id] = fault.count
            self.note("poison", f"{group} {deliveries[0].type.name}")
        for delivery in deliveries if self._spoilt else ():
            left = self._spoilt.get((group, delivery.event_id), 0)
            if left:
                if batch <= {delivery.event_id}:
                    self._spoilt[group, delivery.event_id] = left - 1
                    self._check_parked(group, left - 1)
                raise PoisonedError(delivery.type.name)

    def _check_parked(self, group: str, left: int) -> None:
        """After its first failure alone a message is parked, unless something else got between."""
        if left == 0 and not self.counts["log message_parked"]:
            tries = self.counts["poison_tried"]
            if tries >= POISON_TRIES_MAX and not self.counts.keys() & _BETWEEN:
                self.find("a poisoned message is parked", group)
        self.note("poison_tried", group)

    def note_effects(
        self, process: Process, group: str, deliveries: Sequence[Delivery], held: set[UUID]
    ) -> None:
        for delivery in deliveries:
            if delivery.event_id not in held:
                self._check_owner(process, group, delivery)
            effect = (group, delivery.event_id)
            self.effects[effect] = self.effects.get(effect, 0) + 1
            line = self.orders_of_effects.setdefault((group, delivery.type.topic, delivery.key), [])
            line.append(delivery.position)
            if self._is_tracing:
                self.note("effect", f"{group} {delivery.type.name} {str(delivery.key)[-4:]}")

    def _check_owner(self, process: Process, group: str, delivery: Delivery) -> None:
        lease = self.storage.committed["kernel.leases"].rows[group, delivery.partition]
        if lease["owner"] != process.worker_id:
            self.find(
                "only who holds a partition handles its events",
                f"{process.name} {group} {delivery.partition}",
            )

    def count_ends(self) -> None:
        """Counts how orders, payments and transactions have ended: a run must not miss a way."""
        for row in self.storage.rows("orders.orders"):
            self.counts[f"order {row['status']} {row['reason'] or ''}".rstrip()] += 1
        for row in self.storage.rows("payments.intents"):
            self.counts[f"payment {row['status']}"] += 1
        for row in self.storage.rows("payments.refunds"):
            self.counts[f"refund {row['status']}"] += 1
        for row in self.storage.rows("returns.returns"):
            self.counts[f"return {row['status']}"] += 1
        for row in self.storage.rows("shipping.shipments"):
            self.counts[f"shipment {row['status']}"] += 1
        for kind, count in self.storage.counts.items():
            self.counts[f"database {kind}"] += count

    # ---------------------------------------------------------------------------------- processes

    def start(self, kind: str, index: int, generation: int = 0) -> None:
        """Starts a process: an API or a worker."""
        process = Process(kind, index, generation)
        ahead = self.draw.uniform(-CLOCKS_APART_MAX_S, CLOCKS_APART_MAX_S)
        provider = SimProvider(
            self.book, process, self.adversary, outside=self.outside, now=self.timestamp
        )
        clock = SimClock(self.now, timedelta(seconds=ahead))
        process.build(self.server, provider, clock, self, batch_max=self.plan.batch_max)
        self.processes[kind, index] = process
        self.all_processes.append(process)
        self.note(f"start {kind}", process.name)
        if kind == "worker":
            self._run_part(process, process.work())
            if index == 0 or self.plan.has_jobs_everywhere:
                self._run_part(process, process.do_jobs())

    def _run_part(self, process: Process, part: Any) -> None:
        task = self.loop.create_task(part, context=process.context)
        task.add_done_callback(
            lambda done: self._part_ended(process, done), context=self.outside.context
        )

    def _part_ended(self, process: Process, done: "asyncio.Task[None]") -> None:
        if process.is_dead or done.cancelled():
            return
        error = done.exception()
        # A process that finds no database when it starts ends, and its keeper starts it anew.
        if not isinstance(error, Unavailable):
            self.find("no process ends by itself", f"{process.name}: {error!r}")
        self.crash(process, 0.2)

    def crash(self, owner: Owner, after_s: float) -> None:
        """As kill -9 does it: connections close, memory is gone; a new one starts after a while."""
        if not isinstance(owner, Process) or owner.is_dead:
            return
        owner.is_dead = True
        self.note("crash", owner.name)
        self.server.forget(owner)
        if owner.is_frozen:
            self.loop.thaw(owner)
        for reply in owner.requests:
            if not reply.done():
                reply.set_exception(GoneError(owner.name))
        self._bury(owner, 0)
        generation = int(owner.name.rpartition(".")[2]) + 1
        self.loop.call_later(
            min(after_s, RESTART_MAX_S),
            self.start,
            owner.kind,
            owner.index,
            generation,
            context=self.outside.context,
        )

    def wake(self, process: Process) -> None:
        """A frozen process goes on where it stood."""
        if process.is_frozen:
            owners = {row["owner"] for row in self.storage.rows("kernel.leases")}
            is_zombie = process.kind == "worker" and process.worker_id not in owners
            self.note("zombie" if is_zombie else "wake", process.name)
            self.loop.thaw(process)

    def after(self, delay_s: float, do: Callable[..., object], *args: Any) -> None:
        """Has something done later, by nobody."""
        self.loop.call_later(delay_s, do, *args, context=self.outside.context)

    def _bury(self, process: Process, times: int) -> None:
        """Cancels what a dead process is still at, until nothing is left of it."""
        for task in list(process.tasks):
            task.cancel()
        if process.tasks:
            assert times < BURIALS_MAX, f"{process.name} does not die: {list(process.tasks)[:3]}"
            self.after(BURY_EVERY_S, self._bury, process, times + 1)

    def living(self, kind: str) -> list[Process]:
        """The processes of a kind that are not dead."""
        return [p for (k, _), p in self.processes.items() if k == kind and not p.is_dead]

    def heal(self) -> None:
        """Nothing goes wrong any more, and what was broken is whole again."""
        self.adversary.end()
        self.server.is_down = False
        self._spoilt.clear()
        for process in self.processes.values():
            if process.is_frozen:
                self.wake(process)

    # ------------------------------------------------------------------------------------ clients

    async def request(
        self, process: Process, batch: str, command: Any, claim: Claim | None
    ) -> Answer:
        """Sends a command to a process and waits for its answer, which may get lost."""
        if process.is_dead:
            raise GoneError(process.name)
        queue: Batch[Any, Any] = process.batches[batch]
        reply: asyncio.Future[Answer] = self.loop.create_future()
        process.requests[reply] = None
        task = self.loop.create_task(
            queue.submit(command, home=POOLED, claim=claim), context=process.context
        )

        def answer(done: "asyncio.Task[Answer]") -> None:
            process.requests.pop(reply, None)
            error = None if done.cancelled() else done.exception()
            if reply.done():
                return
            if process.is_dead or done.cancelled() or self.adversary.is_answer_lost():
                reply.set_exception(GoneError(process.name))
            elif error is not None:
                reply.set_exception(error)
            else:
                reply.set_result(done.result())

        task.add_done_callback(answer, context=self.outside.context)
        try:
            return await reply
        except asyncio.CancelledError:
            # Who hangs up has her request cancelled, as the HTTP server does it.
            task.cancel()
            raise

    # ------------------------------------------------------------------------------ the provider

    async def carry_callbacks(self) -> None:
        """Brings the provider's news to some API, as its script and the adversary have it."""
        await deliver_callbacks(self.book, self._deliver, now=self.timestamp)

    async def _deliver(self, callback: Callback) -> None:
        kind, delay_s = self.adversary.of_callback()
        if kind == "lost":
            return
        await asyncio.sleep(delay_s)
        for _ in range(2 if kind == "twice" else 1):
            await self._call_back(callback)

    async def _call_back(self, callback: Callback) -> None:
        apis = self.living("api")
        key = payments_model.parse_key(callback.key)
        assert key is not None, "the provider knows no other keys"
        if not apis:
            raise CallbackRefusedError("nobody is there")
        word = Word(callback.key, callback.status, callback.provider_ref, callback.reason,
                    callback.amount_minor)  # fmt: skip
        command = HearCallback(*key, word, Cause(ids.new_id()))
        self.note("callback", f"{callback.status} {str(key[1])[-4:]}")
        try:
            async with asyncio.timeout(2.0):
                await self.request(self.draw.choice(apis), "payments.hear_callbacks", command, None)
        except (GoneError, Unavailable, Refused, TimeoutError) as error:
            raise CallbackRefusedError(repr(error)) from error
        except asyncpg.PostgresError as error:
            self.find("no command fails", repr(error))


def _tables() -> list[Table]:
    """The tables, of which one refuses a text that PostgreSQL cannot store."""
    orders = next(table for table in TABLES if table.name == "orders.orders")
    checks = {**orders.checks, "text": _has_no_nul}
    strict = Table(orders.name, orders.key, checks=checks, indexes=orders.indexes)
    return [strict if table is orders else table for table in TABLES]


def _has_no_nul(row: dict[str, Any]) -> bool:
    if "\0" in (row["reference"] or ""):
        raise asyncpg.CharacterNotInRepertoireError("invalid byte sequence for encoding UTF8: 0x00")
    return True
