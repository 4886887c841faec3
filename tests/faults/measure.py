"""Measures in how many seeds the simulation notices each fault.

    python -m tests.faults.measure --seeds 100
    python -m tests.faults.measure --seeds 50 inbox_skipped compensation_skipped

One line a fault as JSON: how many of the seeds show it, and which does first. With --first it is
left at that one. Exits with 0, whatever was found; what is expected stands in
docs/reference/proof.md. A seed that is not clean without a fault says nothing about one, and ends
the run with 1.
"""

import argparse
import sys
import time
from collections.abc import Sequence

import msgspec

from tests.faults.registry import FAULTS
from tests.faults.simulated import planted_in_simulation
from tests.simulation.run import run_seed

SEEDS = 100


class Measured(msgspec.Struct, frozen=True):
    """What became of one fault; `first` is the seed that showed it first."""

    fault: str
    seeds: int
    failed: int
    first: int | None
    violates: str
    seconds: float


def measure(name: str, seeds: Sequence[int], *, counts_all: bool) -> Measured:
    """Runs seeds with a fault planted."""
    began = time.process_time()
    done, failed, first, violates = 0, 0, None, ""
    with planted_in_simulation(name):
        for seed in seeds:
            violations = run_seed(seed).violations
            done += 1
            if not violations:
                continue
            failed += 1
            if first is None:
                first, violates = seed, violations[0][0]
                if not counts_all:
                    break
    return Measured(name, done, failed, first, violates, round(time.process_time() - began, 1))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures what the options name; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults.measure",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("faults", nargs="*", choices=[*FAULTS, []], help="all, if none is named")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many histories at most")
    parser.add_argument("--first", action="store_true", help="stop at the first that fails")
    options = parser.parse_args(arguments)
    for name in options.faults or FAULTS:
        found = measure(name, range(options.seeds), counts_all=not options.first)
        if found.first is not None and run_seed(found.first).violations:
            sys.stderr.write(f"seed {found.first} is not clean without a fault\n")
            return 1
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
