"""Those who use the shop: what they send, how they behave, and what they were told."""

import asyncio
import dataclasses
from collections.abc import Callable, Coroutine
from datetime import timedelta
from functools import partial
from random import Random
from typing import Any
from uuid import UUID

import asyncpg

from serai.contexts.inventory.contract import DEFAULT_LOCATION, ReserveStock, Want
from serai.contexts.inventory.handlers import MoveStock
from serai.contexts.inventory.model import Move
from serai.contexts.orders.contract import ReturnLine
from serai.contexts.orders.handlers import RequestCancellation
from serai.contexts.orders.model import PlaceLine, PlaceOrder
from serai.contexts.payments.gateways import sandbox_cards
from serai.contexts.payments.handlers.requests import CapturePayment, PayOrder, RefundPayment
from serai.contexts.returns.handlers import AcceptReturn
from serai.contexts.shipping.handlers import DispatchOrder
from serai.contexts.shipping.model import Booking
from serai.kernel import ids
from serai.kernel.events import Cause
from serai.kernel.failure import Refused, Unavailable
from serai.kernel.idempotency import Answer, Claim, fingerprint
from tests.simulation.plan import Place, Step
from tests.simulation.world import GoneError, World

PATIENCE_S = 1.0
"""How long a client waits for an answer before she asks again under the same key."""
SENDS_MAX = 60
EARLY_TRIES_MAX = 4
"""How often a step that came too early is tried again."""
EARLY_PAUSE_S = 0.25
HELD_FOR = timedelta(seconds=2)
RISE_MINOR = 7
REPEATS_SHARE = 0.2
MISUSES_SHARE = 0.1
TOO_EARLY = {"shipment_not_ready", "illegal_state", "not_found", "payment_not_capturable",
             "return_not_possible", "refund_too_large"}  # fmt: skip

Make = Callable[[], Any]


@dataclasses.dataclass
class Told:
    """What a client was told under one key, and whether she waited for it."""

    key: str
    tenant_id: UUID
    batch: str
    answers: list[Answer] = dataclasses.field(default_factory=list)
    refusals: list[str] = dataclasses.field(default_factory=list)
    is_unstorable: bool = False
    """The database cannot take what is sent; it fails, and alone."""

    @property
    def thing_id(self) -> UUID | None:
        """The id in the answer's location."""
        if not self.answers:
            return None
        return UUID(self.answers[0].location.rsplit("/", 1)[-1])


class Buyers:
    """All clients of a history, and the history as they know it."""

    def __init__(self, world: World, tenants: list[UUID]) -> None:
        self._world = world
        self._tenants = tenants
        self.orders: dict[str, Told] = {}
        self.steps: dict[str, Told] = {}
        self.running = 0
        self._placed: dict[str, asyncio.Future[UUID | None]] = {}

    def tenant_of(self, number: int) -> UUID:
        """The id of the plan's n-th tenant."""
        return self._tenants[number]

    async def stock_up(self) -> None:
        """Receives what there is to sell, before the first buyer comes."""
        await asyncio.gather(*(self._take_step(step) for step in self._first_steps()))

    def stock_steps(self) -> list[Step]:
        """Everything that moves stock by hand."""
        moves = [step for step in self._world.plan.steps if step.kind in {"receive", "write_off"}]
        return [*self._first_steps(), *moves]

    def _first_steps(self) -> list[Step]:
        return [
            Step(f"stock-up {tenant} {sku}", 0.0, "receive", tenant, "", sku, units)
            for tenant, sku, units in self._world.plan.stock
        ]

    def begin(self) -> None:
        """Sends everyone on their way, each at her time."""
        plan = self._world.plan
        for place in plan.places:
            self._placed[place.name] = self._world.loop.create_future()
        for place in plan.places:
            self._start(partial(self._place, place), place.at)
        for step in plan.steps:
            if not step.order or step.order in self._placed:
                self._start(partial(self._take_step, step), step.at)

    def _start(self, begin: Callable[[], Coroutine[Any, Any, None]], after_s: float) -> None:
        self.running += 1

        async def later() -> None:
            await asyncio.sleep(after_s)
            await begin()

        task = self._world.loop.create_task(later(), context=self._world.outside.context)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self.running -= 1
        if not task.cancelled() and task.exception() is not None:
            raise task.exception() or AssertionError

    # -------------------------------------------------------------------------------------- places

    async def _place(self, place: Place) -> None:
        told = Told(
            place.name,
            self.tenant_of(place.tenant),
            "orders.place_orders",
            is_unstorable=place.is_unstorable,
        )
        self.orders[place.name] = told
        draw = Random(f"buyer {self._world.plan.seed} {place.name}")  # noqa: S311 - a seed decides
        try:
            await asyncio.gather(
                *(self._buy(place, told, draw, copy) for copy in range(place.copies))
            )
            if told.answers and draw.random() < REPEATS_SHARE:
                await asyncio.sleep(draw.random())
                await self._send(told, self._order_of(place, told), _claim(place), draw)
            if told.answers and draw.random() < MISUSES_SHARE:
                await self._misuse(place, told, draw)
        finally:
            self._placed[place.name].set_result(told.thing_id)

    async def _buy(self, place: Place, told: Told, draw: Random, copy: int) -> None:
        make, claim = self._order_of(place, told), _claim(place)
        if place.leaves_after_s is None or copy:
            await self._send(told, make, claim, draw)
            return
        try:
            async with asyncio.timeout(place.leaves_after_s):
                await self._send(told, make, claim, draw)
        except TimeoutError:
            self._world.note("buyer_left", place.name)

    def _order_of(self, place: Place, told: Told) -> Make:
        return lambda: PlaceOrder(
            told.tenant_id,
            ids.new_id(),
            "EUR",
            tuple(PlaceLine(sku, quantity, None) for sku, quantity in place.lines),
            place.card,
            place.is_capture_manual,
            f"{place.name}@buyer.example" if place.has_email else None,
            None,
            place.name + ("\0" if place.is_unstorable else ""),
            Cause(ids.new_id()),
        )

    async def _misuse(self, place: Place, told: Told, draw: Random) -> None:
        """The same key for another request is refused, whatever else happens."""
        trial = Told(told.key, told.tenant_id, told.batch)
        other = dataclasses.replace(place, lines=(place.lines[0], *place.lines))
        await self._send(trial, self._order_of(other, trial), Claim(place.name, b"another"), draw)
        if trial.answers:
            self._world.find("a key stands for one request", f"{place.name}: a second was taken")
        self._world.note("key_misused", place.name)

    # --------------------------------------------------------------------------------------- steps

    async def _take_step(self, step: Step) -> None:
        order_id = await self._placed[step.order] if step.order else None
        if step.order and order_id is None:
            return
        if step.kind == "reprice":
            self._reprice(step)
            return
        told = Told(step.name, self.tenant_of(step.tenant), _BATCHES[step.kind])
        self.steps[step.name] = told
        make = self._command_of(step, told.tenant_id, order_id)
        draw = Random(f"step {self._world.plan.seed} {step.name}")  # noqa: S311 - a seed decides
        claim = Claim(step.name, fingerprint(step.kind, step.name.encode()))
        for _ in range(EARLY_TRIES_MAX):
            await self._send(told, make, claim, draw)
            if told.answers or not told.refusals or told.refusals[-1] not in TOO_EARLY:
                return
            await asyncio.sleep(EARLY_PAUSE_S)

    def _reprice(self, step: Step) -> None:
        """Someone changes a price in the catalog, long after it was built."""
        tenant = self.tenant_of(step.tenant)
        storage = self._world.storage
        for variant in storage.rows("catalog.variants"):
            if (variant["tenant_id"], variant["sku"]) != (tenant, step.sku):
                continue
            prices = storage.committed["catalog.prices"]
            for key, row in list(prices.rows.items()):
                if row["variant_id"] == variant["variant_id"]:
                    prices.put(key, {**row, "amount_minor": row["amount_minor"] + RISE_MINOR})
                    self._world.note("repriced", step.sku)

    def _command_of(self, step: Step, tenant: UUID, order_id: UUID | None) -> Make:
        order = order_id or UUID(int=0)
        now = self._world.now
        makes: dict[str, Callable[[Cause], Any]] = {
            "pay": lambda cause: PayOrder(tenant, order, sandbox_cards.APPROVED, cause),
            "capture": lambda cause: CapturePayment(tenant, order, None, cause),
            "cancel": lambda cause: RequestCancellation(tenant, order, cause),
            "ship": lambda cause: DispatchOrder(
                tenant, order, None, Booking("post", None), ids.new_id(), cause
            ),
            "return": lambda cause: AcceptReturn(
                tenant,
                ids.new_id(),
                order,
                (ReturnLine(1, step.quantity),),
                reason="",
                is_restocked=True,
                cause=cause,
            ),
            "refund": lambda cause: RefundPayment(
                tenant, order, ids.new_id(), step.quantity, None, cause
            ),
            "receive": lambda cause: _move("receipt", step, tenant, cause),
            "write_off": lambda cause: _move("write_off", step, tenant, cause),
            "hold": lambda cause: ReserveStock(
                tenant, ids.new_id(), (Want(step.sku, step.quantity),), now() + HELD_FOR, cause
            ),
        }
        make = makes[step.kind]
        return lambda: make(Cause(ids.new_id()))

    # ----------------------------------------------------------------------------------- the wire

    async def _send(self, told: Told, make: Make, claim: Claim, draw: Random) -> None:
        """Asks until there is an answer or a refusal, always under the same key."""
        world = self._world
        for _ in range(SENDS_MAX):
            apis = world.living("api")
            try:
                if not apis:
                    raise GoneError("nobody is there")
                async with asyncio.timeout(PATIENCE_S):
                    answer = await world.request(draw.choice(apis), told.batch, make(), claim)
            except (GoneError, Unavailable, TimeoutError) as error:
                world.note("asked_again", f"{told.key}: {error!r}")
                await asyncio.sleep(draw.uniform(0.01, 0.3))
            except Refused as refusal:
                told.refusals.append(refusal.code)
                world.note(f"refused {refusal.code}", told.key)
                return
            except Exception as error:  # noqa: BLE001 - a bug of a command is what we look for
                if told.is_unstorable and isinstance(error, asyncpg.DataError):
                    world.note("unstorable", told.key)
                    return
                world.find("no command fails", f"{told.batch} {told.key}: {error!r}")
                return
            else:
                told.answers.append(answer)
                world.note(f"answered {answer.status}", f"{told.key} {answer.location[-4:]}")
                return
        world.find("every client gets an answer", f"{told.key} was sent {SENDS_MAX} times")


_BATCHES = {
    "pay": "payments.pay_orders",
    "capture": "payments.capture_payments",
    "cancel": "orders.request_cancellations",
    "ship": "shipping.dispatch_orders",
    "return": "returns.accept_returns",
    "refund": "payments.refund_payments",
    "receive": "inventory.move_stock",
    "write_off": "inventory.move_stock",
    "hold": "inventory.reserve_stock",
}


def _claim(place: Place) -> Claim:
    return Claim(place.name, fingerprint("POST /v1/orders?", repr(place.lines).encode()))


def _move(kind: Any, step: Step, tenant: UUID, cause: Cause) -> MoveStock:
    move = Move(kind, step.sku, DEFAULT_LOCATION, step.quantity, "counted")
    return MoveStock(tenant, (move,), cause)
