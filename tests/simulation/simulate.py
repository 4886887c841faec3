"""`make simulate`: runs many histories on all cores, or one of them with its trace.

    python -m tests.simulation.simulate --seeds 10000
    python -m tests.simulation.simulate --seed 4711
    python -m tests.simulation.simulate --seed 4711 --shrink --json

Exits with 0 where every history is clean, with 1 where one is not, with 2 for wrong options.
"""

import argparse
import collections
import dataclasses
import gc
import multiprocessing
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence

import msgspec
from rich.console import Console
from rich.progress import Progress

from tests.simulation.plan import draw_plan
from tests.simulation.run import Outcome, run_plan, run_seed
from tests.simulation.shrink import shrink

SEEDS = 1000
CHUNK = 50
"""Seeds that a process takes at once."""
SHOWN_MAX = 20
"""Failing seeds of which the violations are printed."""


@dataclasses.dataclass
class Tally:
    """What became of many histories."""

    seeds: int = 0
    seconds: float = 0.0
    counts: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    failed: list[tuple[int, list[tuple[str, str]]]] = dataclasses.field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Counts one history."""
        self.seeds += 1
        self.counts.update(outcome.counts)
        if outcome.violations:
            self.failed.append((outcome.seed, outcome.violations))


def run_many(seeds: Sequence[int], *, cores: int) -> Iterator[Outcome]:
    """The outcomes of many seeds, as they come."""
    if cores == 1:
        yield from map(run_seed, seeds)
        return
    # A process carries one chunk and ends: nobody looks through what its histories leave behind.
    context = multiprocessing.get_context("fork")
    with context.Pool(cores, gc.set_threshold, (0,), maxtasksperchild=1) as pool:
        yield from pool.imap_unordered(run_seed, seeds, chunksize=CHUNK)


def _read(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make simulate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--seeds", type=int, default=SEEDS, help="how many histories")
    what.add_argument("--seed", type=int, help="one history, with its whole trace")
    parser.add_argument("--first", type=int, default=0, help="the first of many seeds")
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--shrink", action="store_true", help="cut the failing --seed small")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    options = parser.parse_args(arguments)
    if options.shrink and options.seed is None:
        parser.error("--shrink needs --seed")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs what the options ask for; the exit code."""
    options = _read(arguments)
    if options.seed is not None:
        return _run_one(options)
    tally = Tally()
    seeds = range(options.first, options.first + options.seeds)
    began = time.monotonic()
    for outcome in _shown(run_many(seeds, cores=options.cores), len(seeds)):
        tally.add(outcome)
    tally.seconds = round(time.monotonic() - began, 1)
    tally.failed.sort()
    if options.json:
        _print_json(tally)
    else:
        _print_tally(tally)
    return 1 if tally.failed else 0


def _shown(outcomes: Iterable[Outcome], total: int) -> Iterator[Outcome]:
    with Progress(console=Console(stderr=True), transient=True) as progress:
        yield from progress.track(outcomes, total=total, description="histories")


def _run_one(options: argparse.Namespace) -> int:
    plan = draw_plan(options.seed)
    if options.shrink and run_plan(plan).violations:
        shrunk = shrink(plan)
        plan = shrunk.plan
        print(f"seed {options.seed}, cut small in {shrunk.runs} runs", file=sys.stderr)  # noqa: T201 - a command's output
    outcome = run_plan(plan, is_tracing=True)
    if options.json:
        _print_json(outcome)
        return 1 if outcome.violations else 0
    out = Console(highlight=False, soft_wrap=True)
    out.print(f"seed {plan.seed}: {plan.apis} API, {plan.workers} workers", markup=False)
    for part in (plan.stock, plan.places, plan.steps, plan.faults):
        for item in part:
            out.print(f"  {item}", markup=False)
    for line in outcome.trace:
        out.print(line, markup=False)
    _print_violations(out, outcome.seed, outcome.violations)
    return 1 if outcome.violations else 0


def _print_tally(tally: Tally) -> None:
    out = Console(highlight=False, soft_wrap=True)
    rate = tally.seeds / tally.seconds if tally.seconds else 0.0
    out.print(f"{tally.seeds} histories in {tally.seconds} s, {rate:.0f} a second")
    for kind, count in sorted(tally.counts.items()):
        out.print(f"  {count:>9,}  {kind}", markup=False)
    for seed, violations in tally.failed[:SHOWN_MAX]:
        _print_violations(out, seed, violations)
    out.print("clean" if not tally.failed else f"{len(tally.failed)} histories violate a promise")


def _print_violations(out: Console, seed: int, violations: Sequence[tuple[str, str]]) -> None:
    for invariant, detail in violations:
        out.print(f"seed {seed}: {invariant}: {detail}", markup=False)
    if violations:
        out.print(f"  replay: make simulate SEED={seed}", markup=False)


def _print_json(result: object) -> None:
    sys.stdout.write(msgspec.json.encode(result).decode() + "\n")


if __name__ == "__main__":
    sys.exit(main())
