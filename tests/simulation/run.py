"""Runs one history from its seed to its verdict; the same seed, to the last bit the same run."""

import contextlib
import dataclasses
import gc
import logging
import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from unittest import mock

import structlog

from serai.kernel import ids, sealed
from tests.simulation import invariants
from tests.simulation.buyers import Buyers
from tests.simulation.house import without_http
from tests.simulation.loop import StepsExhausted
from tests.simulation.plan import HORIZON_S, PRICES_MINOR, Plan, draw_plan
from tests.simulation.statements import everything
from tests.simulation.world import BEGAN, BURIALS_MAX, STEPS_MAX, World

REST_STEP_S = 0.1
REST_MAX_S = 40.0
"""Virtual seconds within which a healed world must have come to rest."""
PATIENT_S = 0.4
"""How long a rest is waited for before the clock is moved on, each time to a later deadline."""
JUMPS_S = (15, 700)
LASTING = ("freeze", "notices", "callback")
"""Faults that go on for their whole length."""
AFTERMATH_S = 0.5


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a history."""

    seed: int
    violations: list[tuple[str, str]]
    counts: dict[str, int]
    trace: list[str]
    virtual_s: float


def run_seed(seed: int, *, is_tracing: bool = False) -> Outcome:
    """The history of a seed."""
    return run_plan(draw_plan(seed), is_tracing=is_tracing)


def run_plan(plan: Plan, *, is_tracing: bool = False, is_serial: bool = False) -> Outcome:
    """The history of a plan; a serial one has no two transactions at once."""
    state = random.getstate()
    random.seed(plan.seed)
    # What a collector finds, and when, must not be part of a history.
    gc.disable()
    world = World(plan, is_tracing=is_tracing)
    world.server.is_serial = is_serial
    bits = random.Random(f"ids {plan.seed}")  # noqa: S311 - a seed decides
    source = ids.Source(lambda: int((BEGAN.timestamp() + world.loop.time()) * 1e9), bits.randbytes)
    try:
        with (
            ids.drawn_from(source),
            mock.patch.object(sealed, "draw", bits.randbytes),
            _logs_heard(world),
            without_http(),
        ):
            _run(world)
    finally:
        gc.enable()
        random.setstate(state)
        world.loop.close()
    world.count_ends()
    return Outcome(plan.seed, world.violations, dict(world.counts), world.trace, world.loop.time())


def _run(world: World) -> None:
    tenants = [ids.new_id() for _ in range(world.plan.tenants)]
    everything.found(world.storage, tenants, PRICES_MINOR, now=BEGAN)
    buyers = Buyers(world, tenants)
    loop, outside = world.loop, world.outside.context
    for kind, count in (("api", world.plan.apis), ("worker", world.plan.workers)):
        for index in range(count):
            world.start(kind, index)
    loop.create_task(world.carry_callbacks(), context=outside)
    try:
        stocked = loop.create_task(buyers.stock_up(), context=outside)
        loop.run_while(lambda: not stocked.done())
        loop.call_soon(buyers.begin, context=outside)
        for fault in world.plan.faults:
            loop.call_later(fault.at, world.adversary.begin, fault, context=outside)
        loop.run_for(_active_s(world.plan))
        loop.call_soon(world.heal, context=outside)
        if _comes_to_rest(world, buyers):
            invariants.check_all(world, buyers)
        else:
            reason = invariants.unrest(world) or f"{buyers.running} clients still wait"
            world.find("everything comes to rest", reason)
            invariants.check_all(world, buyers)
    except StepsExhausted:
        world.find("everything comes to rest", "the steps of a whole history are used up")
    finally:
        _tear_down(world)


def _active_s(plan: Plan) -> float:
    """How long things may go wrong; a history without faults need not wait for any."""
    ends = [
        fault.at + (fault.length_s if fault.kind.startswith(LASTING) else AFTERMATH_S)
        for fault in plan.faults
    ]
    return min(max(ends, default=AFTERMATH_S), HORIZON_S)


def _comes_to_rest(world: World, buyers: Buyers) -> bool:
    loop = world.loop
    healed_at = jumped_at = loop.time()
    jumps = iter(JUMPS_S)
    while loop.time() < healed_at + REST_MAX_S:
        loop.run_for(REST_STEP_S)
        is_whole = all(not p.is_dead for p in world.processes.values())
        if buyers.running == 0 and is_whole and invariants.unrest(world) is None:
            return True
        if buyers.running == 0 and loop.time() > jumped_at + PATIENT_S:
            jumped_at = loop.time()
            world.skew += timedelta(seconds=next(jumps, JUMPS_S[-1]))
    return False


def _tear_down(world: World) -> None:
    """Ends every task, so that nothing of this history is left in the next."""
    for process in world.processes.values():
        process.is_dead = True
        process.is_frozen = False
    world.loop.grant(STEPS_MAX)
    for _ in range(BURIALS_MAX):
        tasks = [t for owner in (*world.all_processes, world.outside) for t in owner.tasks]
        if not tasks:
            return
        for task in tasks:
            task.cancel()
        world.loop.run_for(0.01)


@contextlib.contextmanager
def _logs_heard(world: World) -> Iterator[None]:
    """What the product logs is counted, and not printed."""

    def hear(_logger: Any, _method: str, event: Any) -> Any:
        world.hear_log(str(event.get("action", event.get("event"))), event.get("exc_info"))
        raise structlog.DropEvent

    before = structlog.get_config()
    level = logging.getLogger().level
    structlog.configure(
        processors=[hear], wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING)
    )
    logging.getLogger().setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        structlog.configure(**before)
        logging.getLogger().setLevel(level)
