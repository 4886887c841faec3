"""What dies comes back by itself and soon, and nothing that was accepted is lost.

The bounds are those that are promised; `python -m tests.e2e.recovery` tells how far below it stays.
"""

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.e2e import recovery
from tests.e2e.processes import ask, wait_until
from tests.e2e.recovery import Patient
from tests.e2e.shop import bearer, keyed, order_of
from tests.e2e.traffic import SKU, Traffic

WORKER_S = 3.0
API_S = 3.0
"""From its death, on a machine that others use too; one second from its start is the promise."""
DATABASE_S = 5.0
REFUSAL_S = 2.0
AFTER_S = 3.0
STANDBY_S = 30.0
CROWD_LOOK_S = 0.5
CROWD_MAX = 3.0


def is_within(seconds: float, bound_s: float) -> bool:
    """Whether what took so long was quick enough, had it not been kept waiting by others.

    The bounds are promised where a core is to be had. Only where one is missed it is asked how much
    of a core a process gets here and now: the shop rests, so what it does not get others take.
    """
    return seconds < bound_s or seconds < bound_s * min(find_crowd(), CROWD_MAX)


def find_crowd() -> float:
    """How many times longer work takes than it would with a core of its own."""
    began, worked = time.perf_counter(), time.process_time()
    while time.process_time() - worked < CROWD_LOOK_S:
        pass
    return (time.perf_counter() - began) / (time.process_time() - worked)


@pytest.fixture(scope="module")
def patient() -> Iterator[Patient]:
    with tempfile.TemporaryDirectory(prefix="serai-recovery-") as folder:
        Path(folder).chmod(0o755)  # the server of a test run as root is another user's
        shop = Patient(Path(folder))
        shop.start()
        yield shop
        assert shop.stop() == 0, "it still ends cleanly"


@pytest.fixture
def traffic(patient: Patient) -> Traffic:
    return Traffic(patient.base, patient.key, after_s=AFTER_S)


def is_ready(patient: Patient) -> bool:
    return patient.installation.is_ready()


async def test_a_worker_that_dies_alone_is_replaced(patient: Patient, traffic: Traffic) -> None:
    wait_until(lambda: patient.understudy() is not None, "one stands by", timeout_s=STANDBY_S)
    figures = await recovery.kill_only_worker(patient, traffic)
    assert is_within(figures["served_again_s"], WORKER_S), figures


async def test_what_a_dead_worker_held_goes_to_the_one_that_lives(
    patient: Patient, traffic: Traffic
) -> None:
    figures = await recovery.kill_one_of_two_workers(patient, traffic)
    assert is_within(figures["served_again_s"], WORKER_S), figures


async def test_a_worker_that_wakes_after_its_leases_changes_nothing(
    patient: Patient, traffic: Traffic
) -> None:
    await recovery.stop_one_of_two_workers(patient, traffic)
    assert patient.check().code == 0


async def test_an_api_that_dies_is_replaced_by_the_one_that_stands_by(
    patient: Patient, traffic: Traffic
) -> None:
    wait_until(lambda: patient.understudy() is not None, "one stands by", timeout_s=STANDBY_S)
    understudy = patient.understudy()
    figures = await recovery.kill_api(patient, traffic)
    assert patient.pid("api") == understudy
    assert is_within(figures["answers_again_s"], API_S), figures
    wait_until(lambda: patient.understudy() is not None, "the next one", timeout_s=STANDBY_S)


async def test_a_database_that_dies_is_back_for_all_with_nothing_else_restarted(
    patient: Patient, traffic: Traffic
) -> None:
    figures = await recovery.kill_postmaster(patient, traffic)
    assert is_within(figures["answers_again_s"], DATABASE_S), figures
    assert is_within(figures["served_again_s"], DATABASE_S), figures
    assert is_within(figures["slowest_refusal_s"], REFUSAL_S), figures


async def test_a_backend_that_dies_throws_all_out_and_all_come_back(
    patient: Patient, traffic: Traffic
) -> None:
    figures = await recovery.kill_backend(patient, traffic)
    assert is_within(figures["answers_again_s"], DATABASE_S), figures
    assert is_within(figures["served_again_s"], DATABASE_S), figures
    assert is_within(figures["slowest_refusal_s"], REFUSAL_S), figures


async def test_all_that_die_together_come_back_together(patient: Patient, traffic: Traffic) -> None:
    figures = await recovery.kill_all_but_the_supervisor(patient, traffic)
    assert is_within(figures["answers_again_s"], DATABASE_S), figures
    assert is_within(figures["served_again_s"], DATABASE_S), figures


def test_while_the_database_is_away_it_is_said_at_once(patient: Patient) -> None:
    wait_until(lambda: is_ready(patient), "ready")
    run = patient.pid("")
    os.kill(run, signal.SIGSTOP)  # so that nobody brings it back
    try:
        os.kill(patient.pid("postgres"), signal.SIGKILL)
        wait_until(lambda: not is_ready(patient), "not ready", timeout_s=REFUSAL_S)
        for port in (patient.installation.port, patient.installation.worker_port):
            began = time.monotonic()
            answer = ask(f"http://127.0.0.1:{port}/readyz")
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
            assert "database" in answer.json["detail"]
            assert ask(f"http://127.0.0.1:{port}/livez").status == 200
            assert time.monotonic() - began < REFUSAL_S
        began = time.monotonic()
        with httpx.Client(base_url=patient.base, headers=bearer(patient.key)) as client:
            refused = client.post("/v1/orders", json=order_of(SKU), headers=keyed())
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1
        assert time.monotonic() - began < REFUSAL_S
    finally:
        os.kill(run, signal.SIGCONT)
    wait_until(lambda: is_ready(patient), "ready again")


def lives(pid: int) -> bool:
    """Whether a process runs; one that nobody has buried yet does not."""
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


async def test_a_supervisor_that_dies_leaves_nothing_in_the_way_of_the_next(
    patient: Patient, traffic: Traffic
) -> None:
    # A postmaster that was killed before is named until its successor is written down.
    wait_until(lambda: lives(patient.pid("postgres")), "a postmaster that lives")
    before = patient.installation.runtime()
    await recovery.kill_supervisor(patient, traffic)
    after = patient.installation.runtime()
    assert after["postgres_pid"] == before["postgres_pid"], "adopted"
    assert not {before[f"{part}_pid"] for part in ("api", "worker", "sandbox")} & {
        after[f"{part}_pid"] for part in ("api", "worker", "sandbox")
    }


def test_through_all_of_it_the_invariants_held(patient: Patient) -> None:
    assert patient.check().code == 0
