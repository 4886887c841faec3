"""`serai prove` on real processes: a short run, and what is left of one that is killed."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.e2e.processes import environment, wait_until

SECONDS = 15
RUN_TIMEOUT_S = 400.0
END_TIMEOUT_S = 60.0
FAULTS_MIN, KINDS_MIN = 8, 8


@pytest.fixture
def ground() -> Iterator[Path]:
    """Where the run makes its folder; the database's user may enter it, too."""
    with tempfile.TemporaryDirectory(prefix="serai-prove-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def begin(ground: Path, *words: str, seconds: int = SECONDS) -> subprocess.Popen[str]:
    """Begins a run in a folder of the test's own."""
    return subprocess.Popen(
        [sys.executable, "-m", "serai", "prove", "--seconds", str(seconds), *words],
        env={**environment(), "SERAI_PORT": "nonsense", "TMPDIR": str(ground)},
        cwd=ground,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def traces(run: int) -> list[psutil.Process]:
    """Every process that the run has started, and what these have started."""
    return psutil.Process(run).children(recursive=True)


def is_gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def folders_of(process_list: list[psutil.Process]) -> set[Path]:
    """The folders that the guards of these runs watch over."""
    found: set[Path] = set()
    for process in process_list:
        words: list[str] = []
        with contextlib.suppress(psutil.NoSuchProcess):
            words = process.cmdline()
        if "serai.cli.prove.guard" in words:
            found |= {Path(word) for word in words[-2:]}
    return found


def test_a_short_run_is_clean_and_leaves_a_page(ground: Path) -> None:
    run = begin(ground, "--seed", "1", "--json", "--report", "proof")
    out, err = run.communicate(timeout=RUN_TIMEOUT_S)
    assert run.returncode == 0, f"{out}\n{err}"
    found = json.loads(out)
    assert (found["seed"], found["seconds"], found["violations"]) == (1, SECONDS, [])
    assert sum(found["faults"].values()) >= FAULTS_MIN
    assert len(found["faults"]) >= KINDS_MIN
    assert found["acknowledged"] >= 100
    assert found["confirmed"] + found["cancelled"] == found["acknowledged"]
    assert found["confirmed"] > 0
    assert found["cancelled"] > 0
    assert set(found["unavailable_ms"]) == set(found["faults"])
    assert set(found["invariants"].values()) == {0}
    assert err == ""
    assert "Every promise held." in (ground / "proof" / "prove.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -9)]
)
def test_a_run_that_is_ended_leaves_nothing(ground: Path, number: int, code: int) -> None:
    run = begin(ground, "--seed", "2", seconds=600)
    seen: dict[int, psutil.Process] = {}

    def is_under_attack() -> bool:
        assert run.poll() is None
        seen.update({process.pid: process for process in traces(run.pid)})
        return len([p for p in seen.values() if not is_gone(p)]) >= 6

    wait_until(is_under_attack, "the shop is up")
    time.sleep(3)
    seen.update({process.pid: process for process in traces(run.pid)})
    folders = folders_of(list(seen.values()))
    assert folders
    os.kill(run.pid, number)
    run.communicate(timeout=END_TIMEOUT_S)
    assert run.returncode == code
    wait_until(
        lambda: all(is_gone(p) for p in seen.values()), "no process is left",
        timeout_s=END_TIMEOUT_S,
    )  # fmt: skip
    wait_until(lambda: not any(f.exists() for f in folders), "no folder is left")


@pytest.mark.parametrize(
    "words",
    [["--seconds", "1"], ["--seed", "-1"], ["--seed", "x"], ["--nope"], ["--report", __file__]],
)
def test_wrong_usage_is_told_before_anything_begins(ground: Path, words: list[str]) -> None:
    run = begin(ground, *words)
    _, err = run.communicate(timeout=END_TIMEOUT_S)
    assert run.returncode == 2, err
    assert words[0] in err


def test_what_cannot_be_tried_is_told_with_its_own_code(ground: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "serai", "prove", "--seconds", "5", "--json"],
        env=environment(postgres_bin=str(ground)),
        cwd=ground, capture_output=True, text=True, timeout=END_TIMEOUT_S, check=False,
    )  # fmt: skip
    assert run.returncode == 3, run.stderr
    assert json.loads(run.stdout)["error"]["code"] == "unavailable"
