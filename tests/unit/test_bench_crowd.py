"""Many tenants in the benchmark: what is asked for, and how it is told."""

import io
from typing import Any

import msgspec
import pytest
from rich.console import Console

from serai.cli.bench import figures
from serai.cli.bench.crowd import TENANTS_MAX, Counts, Crowd, Idle, Making, read_counts
from serai.cli.console import Failure
from tests.unit.test_bench_figures import CONDITIONS, a_run


def a_crowd(**changes: Any) -> Crowd:
    idle = Idle({"worker": 2.5}, {"worker": 90.0, "postgres": 180.0}, 17)
    crowd = Crowd(
        tenants={"pooled": 400, "schema": 95, "database": 5},
        making=Making(
            make_s={"schema": 47.5}, homes=100, nothing_to_do_s=3.3, one_migration_s=4.5,
            status_s=1.6,
        ),
        idle=msgspec.structs.replace(idle, connections=47),
        connections_at_work=48, memory_mb_at_work={"worker": 140.0}, accepted_per_s=1_900.0,
        confirmed_per_s=1_500.0, ratio=0.95,
    )  # fmt: skip
    return msgspec.structs.replace(crowd, **changes)


def test_counts_are_read() -> None:
    assert read_counts("pooled=400,schema=95,database=5") == Counts(400, 95, 5)
    assert read_counts("schema=3") == Counts(0, 3, 0)


@pytest.mark.parametrize(
    "text",
    ["400", "pooled", "pooled=", "pooled=-1", "pooled=x", "pooled=1,pooled=2", "shared=1",
     "pooled=0", f"pooled={TENANTS_MAX + 1}", "pooled=²"],
)  # fmt: skip
def test_what_is_no_count_is_told_of(text: str) -> None:
    with pytest.raises(Failure, match="--tenants"):
        read_counts(text)


def test_several_runs_with_many_tenants_are_one() -> None:
    runs = [a_run(crowd=a_crowd(ratio=ratio)) for ratio in (0.8, 1.0, 0.95)]
    merged = figures.merge(runs).crowd
    assert merged is not None
    assert merged.ratio == 0.95
    assert merged.idle.connections == 47
    assert merged.tenants == {"pooled": 400, "schema": 95, "database": 5}


def test_the_table_tells_of_the_many() -> None:
    target = io.StringIO()
    Console(file=target, width=160).print(figures.draw(a_run(crowd=a_crowd()), CONDITIONS, 1))
    for part in ("pooled 400, schema 95, database 5", "migrating 100 homes", "0.95", "48"):
        assert part in target.getvalue()
