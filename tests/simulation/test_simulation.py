"""Histories of the whole house keep its promises; one that does not is replayed, and cut small."""

import contextlib
import dataclasses
import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock
from uuid import UUID

import pytest

from serai.contexts.inventory import model as stock_model
from serai.contexts.inventory.model import Allocation
from serai.contexts.payments.handlers.looking import Looking
from serai.flows.checkout import Checkout
from serai.kernel import batch, consumer, db, dlq, flow, idempotency, inbox, leases, outbox, workers
from serai.kernel.consumer import GroupRunner
from serai.kernel.db import Tx
from serai.kernel.events import Delivery
from serai.kernel.failure import LostLease
from serai.kernel.log import postgres
from tests.simulation import simulate
from tests.simulation.plan import FAULTS, draw_plan
from tests.simulation.run import run_plan, run_seed
from tests.simulation.shrink import shrink

SEEDS = 240
SELDOM = (457,)
"""Histories of the faults that so many need not meet."""
CORES = min(4, os.cpu_count() or 1)
REPLAYED = (3, 17)
PLANTED_SEEDS_MAX = 80
"""Histories within which each planted bug must show."""

# What must have happened in the histories below, or they prove little.
REFUSALS = ("out_of_stock", "order_not_cancellable", "return_not_possible", "not_enough_stock",
            "idempotency_key_reused", "payment_not_capturable")  # fmt: skip
ENDS = (
    "order confirmed", "order cancelled out_of_stock", "order cancelled payment_declined",
    "order cancelled expired", "order cancelled requested", "payment captured",
    "payment authorised", "payment declined", "payment withdrawn", "refund settled",
    "return refunded", "shipment dispatched", "shipment cancelled",
)  # fmt: skip
HAPPENINGS = ("zombie", "poison", "poison_tried", "crash", "buyer_left", "asked_again", "repriced",
              "key_misused", "unstorable", "callback", "database lock_waits",
              "database skipped_locked", "log message_parked", "log letter_failed",
              "log consumer_paused", "log job_paused", "log lease_beat_failed")  # fmt: skip


@pytest.fixture(scope="module")
def tally() -> simulate.Tally:
    tally = simulate.Tally()
    for outcome in simulate.run_many([*range(SEEDS), *SELDOM], cores=CORES):
        tally.add(outcome)
    return tally


def test_every_history_keeps_every_promise(tally: simulate.Tally) -> None:
    assert tally.seeds == SEEDS + len(SELDOM)
    assert tally.failed == [], "replay with `make simulate SEED=N`"


def test_every_kind_of_fault_refusal_and_end_happened(tally: simulate.Tally) -> None:
    wanted = [*FAULTS, *(f"refused {code}" for code in REFUSALS), *ENDS, *HAPPENINGS]
    assert [kind for kind in wanted if not tally.counts[kind]] == []


# ---------------------------------------------------------------------------------------- replay


@pytest.mark.parametrize("seed", REPLAYED)
def test_a_seed_is_the_same_history_each_time(seed: int) -> None:
    first = run_seed(seed, is_tracing=True)
    assert len(first.trace) > 20
    assert run_seed(seed, is_tracing=True) == first


_PRINT_DIGEST = """
import hashlib
from tests.simulation.run import run_seed
for seed in {seeds}:
    print(hashlib.sha256("\\n".join(run_seed(seed, is_tracing=True).trace).encode()).hexdigest())
"""


@pytest.mark.parametrize("hash_seed", ["0", "4711"])
def test_a_seed_is_the_same_history_in_another_process(hash_seed: str) -> None:
    printed = subprocess.run(
        [sys.executable, "-c", _PRINT_DIGEST.format(seeds=REPLAYED)],
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    traces = [run_seed(seed, is_tracing=True).trace for seed in REPLAYED]
    assert printed.stdout.split() == [
        hashlib.sha256("\n".join(trace).encode()).hexdigest() for trace in traces
    ]


def test_nothing_of_a_history_is_left_in_the_next() -> None:
    alone = run_seed(5, is_tracing=True)
    run_seed(4)
    assert run_seed(5, is_tracing=True) == alone


@pytest.mark.parametrize(
    "module",
    [batch, consumer, db, dlq, flow, idempotency, inbox, leases, outbox, postgres, workers],
)
def test_what_runs_in_a_history_reads_no_clock_of_the_machine(module: ModuleType) -> None:
    """A loop's time is virtual where it has to be; the machine's would end the repetition."""
    source = Path(str(module.__file__)).read_text("utf-8")
    assert (
        re.findall(r"time\.(?:monotonic|time)(?:_ns)?\(|datetime\.now|uuid4|urandom", source) == []
    )


# ---------------------------------------------------------------------------------- planted bugs


async def _admit_all(
    group: str, deliveries: Sequence[Delivery], *, tx: Tx, now: datetime
) -> set[UUID]:
    return {delivery.event_id for delivery in deliveries}


async def _say_nothing(tx: Tx) -> None:
    tx._announcements = []  # noqa: SLF001 - the bug is in this very class


def _promise_all(_levels: Any, requests: Sequence[Any]) -> list[list[Allocation]]:
    return [
        [Allocation(r.tenant_id, r.order_id, w.sku, "main", w.quantity, r.expires_at)
         for w in r.wants]
        for r in requests
    ]  # fmt: skip


async def _keep_the_goods(
    checkout: Checkout, deliveries: Sequence[Delivery], *, tx: Tx, now: datetime
) -> None:
    with mock.patch.object(checkout._inventory, "release_stock", mock.AsyncMock()):  # noqa: SLF001 - the bug is in this very class
        await _declined(checkout, deliveries, tx=tx, now=now)


async def _claim_all(
    claims: Sequence[idempotency.Owned], *, tx: Tx, now: datetime
) -> set[tuple[UUID, str]]:
    await _claim_keys(claims, tx=tx, now=now)
    return {(owned.tenant_id, owned.claim.key) for owned in claims}


async def _move_at_once(runner: GroupRunner, deliveries: Sequence[Delivery]) -> None:
    async with runner._database.transaction(runner._home, ()) as tx:  # noqa: SLF001 - the bug is in this very class
        await runner._move(deliveries, tx=tx)  # noqa: SLF001 - the same
    await _carry(runner, deliveries)


async def _believe_the_lease(runner: GroupRunner, newest: Any, *, tx: Tx) -> None:
    with contextlib.suppress(LostLease):
        await _move_to(runner, newest, tx=tx)


async def _never_look(*_: Any, **__: Any) -> int:
    return 0


_declined = Checkout.on_payment_declined
_claim_keys = idempotency.claim_keys
_carry = GroupRunner._carry  # noqa: SLF001 - kept for the bug above
_move_to = GroupRunner._move_to  # noqa: SLF001 - the same
BUGS: dict[str, tuple[Any, str, Any, str]] = {
    "a repeated delivery is handled again": (inbox, "admit", _admit_all, "effect once"),
    "what is announced is not written": (Tx, "flush", _say_nothing, "rest"),
    "stock is promised without a look": (stock_model, "reserve", _promise_all, "handler fails"),
    "a declined order keeps its goods": (
        Checkout, "on_payment_declined", _keep_the_goods, "reservation",
    ),
    "a key that is known is taken anew": (idempotency, "claim_keys", _claim_all, "placed once"),
    "a position moves before the work": (GroupRunner, "_carry", _move_at_once, "effect once"),
    "a lost lease is believed in": (GroupRunner, "_move_to", _believe_the_lease, "holds"),
    "nobody asks what became of money": (Looking, "look", _never_look, "rest"),
}  # fmt: skip


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_caught(bug: str) -> None:
    owner, name, replacement, invariant = BUGS[bug]
    with mock.patch.object(owner, name, replacement):
        violated: list[str] = []
        for seed in range(PLANTED_SEEDS_MAX):
            violated += [promise for promise, _ in run_seed(seed).violations]
            if any(invariant in promise for promise in violated):
                return
    pytest.fail(f"not caught; violated were {set(violated)}")


def test_a_failing_history_is_cut_small_and_still_breaks_the_same_promise() -> None:
    with mock.patch.object(inbox, "admit", _admit_all):
        seed = next(n for n in range(PLANTED_SEEDS_MAX) if run_seed(n).violations)
        plan = draw_plan(seed)
        small = shrink(plan, runs_max=150)
        again = run_plan(small.plan)
    assert again.violations == small.outcome.violations != []
    parts = [len(p.places) + len(p.steps) + len(p.faults) for p in (plan, small.plan)]
    assert parts[1] < parts[0]
    assert run_plan(small.plan).violations == [], "the history is clean without the bug"


# --------------------------------------------------------------------------- what seeds have found


@pytest.mark.parametrize("seed", [2, 72, 108, 8787, 9701, 9885])
def test_what_a_seed_has_found_stays_mended(seed: int) -> None:
    """2: a consumer without partitions spun. 72, 108: a return during a cancellation."""
    assert run_seed(seed).violations == []


def test_a_worker_without_partitions_rests() -> None:
    plan = dataclasses.replace(draw_plan(1), workers=9, faults=())
    outcome = run_plan(plan)
    assert outcome.violations == []


# ------------------------------------------------------------------------------------- the command


def test_the_command_tells_a_clean_run_from_one_with_a_bug(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert simulate.main(["--seeds", "3", "--cores", "1", "--json"]) == 0
    assert '"failed":[]' in capsys.readouterr().out
    with mock.patch.object(Tx, "flush", _say_nothing):
        assert simulate.main(["--seeds", "2", "--cores", "1"]) == 1
        assert "seed 0: everything comes to rest" in capsys.readouterr().out
        assert simulate.main(["--seed", "0"]) == 1
    assert "seed 0: everything comes to rest" in capsys.readouterr().out
