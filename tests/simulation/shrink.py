"""Cuts a failing history to a small one that still breaks the same promise (delta debugging)."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import TypeVar

from tests.simulation.plan import Fault, Place, Plan, Step
from tests.simulation.run import Outcome, run_plan

RUNS_MAX = 400
T = TypeVar("T")


@dataclasses.dataclass
class Shrunk:
    """The smallest plan that was found, what becomes of it, and how many runs that took."""

    plan: Plan
    outcome: Outcome
    runs: int


def shrink(
    plan: Plan, *, run: Callable[[Plan], Outcome] = run_plan, runs_max: int = RUNS_MAX
) -> Shrunk:
    """Drops faults, steps, buyers and processes while one of the plan's violations stays."""
    first = run(plan)
    wanted = {invariant for invariant, _ in first.violations}
    assert wanted, "only a failing history can be shrunk"
    best = Shrunk(plan, first, 1)

    def try_plan(smaller: Plan) -> bool:
        if best.runs >= runs_max:
            return False
        best.runs += 1
        outcome = run(smaller)
        if not wanted & {invariant for invariant, _ in outcome.violations}:
            return False
        best.plan, best.outcome = smaller, outcome
        return True

    size = None
    while size != _size(best.plan):
        size = _size(best.plan)
        _drop(best.plan.faults, lambda kept: try_plan(_with(best.plan, faults=kept)))
        _drop(best.plan.steps, lambda kept: try_plan(_with(best.plan, steps=kept)))
        _drop(best.plan.places, lambda kept: try_plan(_with(best.plan, places=kept)))
        for simpler in _simpler(best.plan):
            try_plan(simpler)
    return best


def _size(plan: Plan) -> tuple[int, ...]:
    copies = sum(place.copies for place in plan.places)
    return len(plan.faults), len(plan.steps), len(plan.places), copies, plan.workers, plan.apis


def _with(
    plan: Plan,
    *,
    faults: Sequence[Fault] | None = None,
    steps: Sequence[Step] | None = None,
    places: Sequence[Place] | None = None,
) -> Plan:
    return dataclasses.replace(
        plan,
        faults=plan.faults if faults is None else tuple(faults),
        steps=plan.steps if steps is None else tuple(steps),
        places=plan.places if places is None else tuple(places),
    )


def _drop(items: Sequence[T], is_enough: Callable[[Sequence[T]], bool]) -> None:
    """Takes away halves, then quarters and so on of what is left, as long as what is left fails."""
    kept = list(items)
    chunk = len(kept)
    while chunk and kept:
        start = 0
        while start < len(kept):
            fewer = kept[:start] + kept[start + chunk :]
            if is_enough(fewer):
                kept = fewer
            else:
                start += chunk
        chunk //= 2


def _simpler(plan: Plan) -> list[Plan]:
    alone = tuple(dataclasses.replace(place, copies=1) for place in plan.places)
    return [
        dataclasses.replace(plan, workers=1),
        dataclasses.replace(plan, apis=1),
        dataclasses.replace(plan, workers=1, apis=1),
        dataclasses.replace(plan, places=alone),
    ]
