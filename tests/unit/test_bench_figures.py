import io
from typing import Any

import msgspec
import pytest
from rich.console import Console

from serai.cli.bench import figures, measure
from serai.cli.bench.census import (
    OrderRow,
    Settlement,
    StockFaults,
    StockRow,
    find_faults,
    seconds_of,
    settle,
)
from serai.cli.bench.figures import Conditions, Run, Spread, Window
from serai.cli.bench.load import Latencies, Report
from serai.cli.bench.measure import Machine, StatementCost

REPORT = Report(
    accepted=4_000, late=40, refused=3, failed=2, unanswered=1,
    codes={"unavailable": 2, "unknown_sku": 3}, started_at=1_000.0, seconds=2.0,
    answer_ms=Latencies(10.0, 20.0, 30.0, 44.0), cpu_s=0.5,
)  # fmt: skip
SETTLEMENT = Settlement(
    found=4_040, confirmed=4_000, cancelled=38, open=2, reasons={"payment_declined": 38},
    seconds=4.0, confirm_ms=Latencies(100.0, 200.0, 300.0, 400.0),
)  # fmt: skip
MACHINE = Machine("a processor", 2, 8_000, "Linux 6", "ext4", "3.11.7", "18.6")
CONDITIONS = Conditions(
    seconds=2.0, clients=128, lines=2, hot=True, provider="direct", rate=None, machine=MACHINE
)


def a_run(**changes: Any) -> Run:
    window = Window(
        report=REPORT, settlement=SETTLEMENT,
        costs=[StatementCost("insert_lines", 808, 404.0, 4_040), StatementCost("BEGIN", 404, 0, 0)],
        cpu_s={"api": 4.04, "postgres": 2.02}, memory_mb={"api": 90.5, "client": 30.0},
        fsync_us=101.26,
    )  # fmt: skip
    return msgspec.structs.replace(figures.sum_up(window), **changes)


def test_a_window_is_summed_up_over_what_the_database_has() -> None:
    run = a_run()
    assert (run.accepted_per_s, run.confirmed_per_s) == (2000.0, 1000.0)
    assert (run.answer_ms, run.confirm_ms) == (
        Spread(10.0, 20.0, 30.0),
        Spread(100.0, 200.0, 300.0),
    )
    assert run.statements_per_order == 0.3
    assert run.cpu_s_per_1000 == {"api": 1.0, "postgres": 0.5, "client": 0.1238}
    assert (run.memory_mb, run.client_cpu_share, run.fsync_us) == (120.5, 0.25, 101.3)
    assert run.errors == {
        "cancelled_payment_declined": 38, "unanswered": 1, "unavailable": 2, "unknown_sku": 3,
    }  # fmt: skip
    assert run.statements[0] == figures.StatementShare("insert_lines", 0.2, 100.0)
    assert (run.accepted, run.confirmed, run.unsettled, run.lost_orders) == (4_040, 4_000, 2, 0)
    assert (run.baseline_accepted_per_s, run.ratio) == (None, None)


def test_an_answered_order_that_is_nowhere_is_lost() -> None:
    settlement = msgspec.structs.replace(SETTLEMENT, found=4_037)
    window = Window(
        report=REPORT, settlement=settlement, costs=[], cpu_s={}, memory_mb={}, fsync_us=None
    )
    assert figures.sum_up(window).lost_orders == 3


@pytest.mark.parametrize("field", ["oversold_units", "lost_orders", "stray_units", "unsettled"])
def test_a_run_is_sound_only_without_any_broken_promise(field: str) -> None:
    sound = a_run(unsettled=0)
    assert sound.is_sound
    assert not msgspec.structs.replace(sound, **{field: 1}).is_sound


def test_the_baseline_and_the_half_stand_beside_the_run() -> None:
    report = msgspec.structs.replace(REPORT, accepted=1_000, late=0, codes={}, unanswered=0)
    run = figures.beside_baseline(a_run(), report, {"baseline": 3.0}, 0)
    assert (run.baseline_accepted_per_s, run.ratio) == (500.0, 4.0)
    assert (run.baseline_errors, run.baseline_oversold_units) == ({}, 0)
    assert run.baseline_cpu_s_per_1000 == {"baseline": 3.0, "client": 0.5}
    half = msgspec.structs.replace(SETTLEMENT, open=1, found=4_035)
    run = figures.at_half(run, 500.0, REPORT, half)
    assert (run.rate_at_half, run.confirm_ms_at_half) == (500.0, Spread(100.0, 200.0, 300.0))
    assert (run.unsettled, run.lost_orders) == (3, 5)


def test_runs_are_merged_to_medians_but_what_must_never_be_is_summed() -> None:
    runs = [
        a_run(accepted_per_s=rate, oversold_units=units, answer_ms=Spread(rate, 1.0, 2.0),
              errors={"unavailable": units}, ratio=ratio)
        for rate, units, ratio in ((3_000.0, 0, None), (1_000.0, 1, 4.0), (2_000.0, 1, 5.0))
    ]  # fmt: skip
    merged = figures.merge(runs)
    assert (merged.accepted_per_s, merged.answer_ms) == (2_000.0, Spread(2_000.0, 1.0, 2.0))
    assert (merged.oversold_units, merged.errors) == (2, {"unavailable": 2})
    assert (merged.ratio, merged.baseline_accepted_per_s) == (4.5, None)
    assert (merged.accepted, merged.cpu_s_per_1000["api"]) == (4_040, 1.0)


def test_the_document_has_the_promised_fields() -> None:
    document = figures.document([a_run()], CONDITIONS)
    promised = {
        "accepted_per_s", "confirmed_per_s", "answer_ms", "confirm_ms", "statements_per_order",
        "baseline_accepted_per_s", "ratio", "oversold_units", "errors", "cpu_s_per_1000",
        "memory_mb", "fsync_us", "seconds", "clients", "lines", "hot", "provider", "machine",
        "runs",
    }  # fmt: skip
    assert promised - document.keys() == set()
    assert document["answer_ms"] == {"p50": 10.0, "p95": 20.0, "p99": 30.0}
    assert document["machine"]["file_system"] == "ext4"
    assert [run["accepted_per_s"] for run in document["runs"]] == [2000.0]


def test_the_table_names_every_figure_and_the_machine() -> None:
    run = figures.at_half(a_run(), 500.0, REPORT, SETTLEMENT)
    run = figures.beside_baseline(run, REPORT, {}, 0)
    target = io.StringIO()
    Console(file=target, width=160).print(figures.draw(run, CONDITIONS, 3))
    text = target.getvalue()
    for part in (
        "median of 3 runs",
        "one hot SKU",
        "2,000",
        "101 µs",
        "ext4",
        "p99 300.0 ms",
        "1.00",
    ):
        assert part in text


def order(name: str, status: str, placed_at: float, settled_at: float | None = None) -> OrderRow:
    return OrderRow(name, status, "expired" if status == "cancelled" else "", placed_at, settled_at)


def test_only_orders_of_the_window_are_counted_and_the_last_saga_ends_it() -> None:
    orders = [
        order("early", "confirmed", 99.9, 100.5), order("a", "confirmed", 100.0, 100.1),
        order("b", "confirmed", 101.0, 101.3), order("c", "cancelled", 101.0, 102.0),
        order("d", "placed", 101.5),
    ]  # fmt: skip
    settled = settle(orders, started_at=100.0, followed_at=101.9)
    assert (settled.found, settled.confirmed, settled.cancelled, settled.open) == (4, 2, 1, 1)
    assert (settled.reasons, settled.seconds) == ({"expired": 1}, 2.0)
    assert (settled.confirm_ms.p50, settled.confirm_ms.max) == (100.0, 300.0)
    assert settle(orders, started_at=100.0, followed_at=103.0).seconds == 3.0


@pytest.mark.parametrize(
    ("row", "promised", "faults"),
    [
        (StockRow(10, 4, 0, 6, 0), 6, StockFaults(0, 0)),
        (StockRow(10, 0, 3, 8, 0), 8, StockFaults(1, 0)),
        (StockRow(10, -2, 0, 12, 0), 12, StockFaults(2, 0)),
        (StockRow(10, 4, 0, 6, 0), 9, StockFaults(3, 0)),
        (StockRow(10, 4, 0, 6, 0), 2, StockFaults(0, 4)),
        (StockRow(10, 1, 0, 6, 4), 6, StockFaults(0, 0)),
    ],
)
def test_stock_is_compared_with_what_came_in_and_with_what_orders_hold(
    row: StockRow, promised: int, faults: StockFaults
) -> None:
    assert find_faults({"A": row}, {"A": promised}) == faults


def test_units_of_a_sku_that_was_never_in_stock_are_oversold() -> None:
    assert find_faults({}, {"A": 2}) == StockFaults(2, 0)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01 00:00:01+00", 1.0),
        ("1970-01-01 00:00:01.5+00", 1.5),
        ("1970-01-01 02:00:01.000001+02", 1.000001),
    ],
)
def test_time_stamps_are_read_as_postgresql_writes_them(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


def test_a_statement_is_known_by_its_name_though_postgresql_keeps_it_changed() -> None:
    names = measure.name_statements(["serai.kernel", "serai.contexts.inventory"])
    assert len(names) > 20
    kept = (
        "UPDATE kernel.leases SET owner = $4, lease_until = $5\nWHERE owner = $1 AND ($2::text IS "
        "NULL OR (group_name = $2 AND partition = ANY ($3::smallint[])))"
    )
    assert measure.name_of(kept, names) == "release_leases"
    assert measure.name_of("SET  LOCAL\nserai.tenants = $1", names) == "SET LOCAL serai.tenants"


def test_the_outline_of_a_statement_is_free_of_constants_and_comments() -> None:
    written = "/* find */ SELECT a1 FROM t WHERE b IN ('x', 'y') AND c = 5.5 AND d IS NOT NULL"
    kept = "SELECT a1 FROM t\n WHERE b IN ($1 /*, ... */) AND c = $2 AND d IS NOT NULL"
    assert measure.outline(written) == measure.outline(kept)
    assert measure.outline(written) != measure.outline(kept.replace("a1", "a2"))


def test_costs_of_one_name_are_added_up_and_the_dearest_comes_first() -> None:
    costs = [
        StatementCost("a", 1, 1.0, 1),
        StatementCost("b", 2, 3.0, 4),
        StatementCost("a", 3, 4.0, 5),
    ]
    assert measure.sum_by_name(costs) == [
        StatementCost("a", 4, 5.0, 6),
        StatementCost("b", 2, 3.0, 4),
    ]
