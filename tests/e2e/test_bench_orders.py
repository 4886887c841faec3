import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from serai.cli.bench import census

BENCH_TIMEOUT_S = 120.0


async def bench(data_dir: Path, *options: str) -> tuple[int | None, Any, str]:
    words = ["-m", "serai", "bench", "orders", "--json", "--data-dir", str(data_dir), *options]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    out, said = await asyncio.wait_for(process.communicate(), BENCH_TIMEOUT_S)
    return process.returncode, json.loads(out), said.decode()


async def test_a_short_benchmark_keeps_every_promise_and_leaves_nothing_behind(
    tmp_path: Path,
) -> None:
    tmp_path.chmod(0o755)
    code, told, said = await bench(tmp_path, "--seconds", "1", "--clients", "16", "--hot")
    assert (code, said) == (0, "")
    assert told["accepted"] == told["confirmed"] > 0
    assert told["errors"] == {}
    broken = ("oversold_units", "lost_orders", "stray_units", "unsettled")
    assert [told[name] for name in broken] == [0, 0, 0, 0]
    assert set(told["cpu_s_per_1000"]) == {"api", "worker", "postgres", "client"}
    assert min(told["cpu_s_per_1000"].values()) > 0
    assert told["accepted_per_s"] > 0
    assert told["confirmed_per_s"] > 0
    assert 0 < told["confirm_ms"]["p50"] <= told["confirm_ms"]["p99"]
    assert 0 < told["statements_per_order"] < 100
    assert told["baseline_accepted_per_s"] > 0
    assert (told["baseline_oversold_units"], told["baseline_errors"]) == (0, {})
    assert (told["hot"], told["clients"], told["lines"]) == (True, 16, 2)
    assert len(told["runs"]) == 1
    assert list(tmp_path.iterdir()) == []


def test_the_census_looks_at_the_kind_of_notice_that_a_confirmation_queues() -> None:
    templates = Path(census.__file__).parents[2] / "contexts" / "notifications" / "templates"
    assert (templates / f"{census.CONFIRMATION}.txt").is_file()
