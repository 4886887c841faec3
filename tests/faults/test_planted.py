"""Each known fault is caught by a check, and the check passes without it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from serai.kernel import scheduler
from serai.kernel.embedded import EmbeddedPostgres
from tests.faults.catches import CATCHES, Catch
from tests.faults.registry import FAULTS, planted
from tests.faults.rerun import Ground, run_check

ROOT = Path(__file__).parents[2]
FAULTS_MIN = 22


@pytest.fixture
def ground(postgres: EmbeddedPostgres, template: str, tmp_path: Path, passing: None) -> Ground:
    return Ground(postgres, template, tmp_path)


def test_every_fault_has_a_check_and_every_check_a_fault() -> None:
    assert set(CATCHES) == set(FAULTS)
    assert len(FAULTS) >= FAULTS_MIN


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_caught(name: str, ground: Ground) -> None:
    catch = CATCHES[name]
    with planted(name):
        error = run_check(
            catch.test, catch.given, ground, migrates=FAULTS[name].plant_schema is not None
        )
    assert error is not None, f"{name} is planted, and {catch.test} passes"
    assert type(error).__name__ == catch.fails_with, (
        f"{name} breaks more than it says: {type(error).__name__}: {str(error)[:500]}"
    )


@pytest.mark.parametrize(
    "catch", {catch.test: catch for catch in CATCHES.values()}.values(), ids=lambda c: c.test
)
def test_without_a_fault_the_check_passes(catch: Catch, ground: Ground) -> None:
    error = run_check(catch.test, catch.given, ground)
    if error is not None:
        raise error


SAYS_RETENTION = "from serai.kernel import scheduler; print(scheduler.INBOX_KEPT.days)"
CHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SAYS_RETENTION!r}])"


@pytest.mark.parametrize(
    ("fault", "code", "shown"),
    [
        ("", 0, f"{scheduler.INBOX_KEPT.days}\n"),
        ("inbox_pruned_before_the_events", 0, "1\n"),
        ("no_such_fault", 2, ""),
    ],
)
def test_a_process_and_its_children_run_with_the_fault_that_is_named(
    fault: str, code: int, shown: str
) -> None:
    site = f"{ROOT / 'tests' / 'faults' / 'site'}{os.pathsep}{ROOT}"
    run = subprocess.run(
        [sys.executable, "-c", CHILD],
        env={**os.environ, "PYTHONPATH": site, "SERAI_PLANTED_FAULT": fault},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (run.returncode, run.stdout) == (code, shown)
