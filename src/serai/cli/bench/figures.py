"""The figures of a benchmark: of one run, of several together, as JSON and as a table."""

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from rich.table import Table

from serai.cli.bench.census import Settlement
from serai.cli.bench.crowd import Crowd, Idle
from serai.cli.bench.load import Latencies, Report
from serai.cli.bench.measure import Machine, StatementCost

ORDERS_A_UNIT = 1_000
STATEMENTS_SHOWN = 12

# What must never be is summed over the runs, so that no median hides it.
_SUMMED = {
    "oversold_units", "lost_orders", "stray_units", "unsettled", "cancelled", "errors",
    "baseline_oversold_units", "baseline_errors",
}  # fmt: skip


class Spread(msgspec.Struct, frozen=True):
    """Percentiles in milliseconds."""

    p50: float
    p95: float
    p99: float


class StatementShare(msgspec.Struct, frozen=True):
    """What a named statement costs the server for each order, and for a thousand."""

    name: str
    calls_per_order: float
    ms_per_1000: float


class Conditions(msgspec.Struct, frozen=True, kw_only=True):
    """Under what the figures were measured; `rate` is null where clients wait for their answers."""

    seconds: float
    clients: int
    lines: int
    hot: bool
    provider: str
    rate: float | None
    machine: Machine


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run on an installation of its own."""

    accepted_per_s: float
    confirmed_per_s: float
    answer_ms: Spread
    confirm_ms: Spread
    statements_per_order: float
    baseline_accepted_per_s: float | None = None
    ratio: float | None = None
    oversold_units: int = 0
    errors: dict[str, int]
    cpu_s_per_1000: dict[str, float]
    memory_mb: float
    memory_mb_by_process: dict[str, float]
    fsync_us: float | None
    client_cpu_share: float
    """Of one core."""
    accepted: int
    confirmed: int
    cancelled: int
    unsettled: int
    lost_orders: int
    """Orders that were answered 2xx and are not in the database: there must be none."""
    stray_units: int = 0
    """Units that left the stock for no confirmed order: there must be none."""
    settled_after_s: float
    """From the begin of the window to the end of its last saga."""
    rate_at_half: float | None = None
    answer_ms_at_half: Spread | None = None
    confirm_ms_at_half: Spread | None = None
    baseline_answer_ms: Spread | None = None
    baseline_oversold_units: int | None = None
    baseline_errors: dict[str, int] | None = None
    baseline_cpu_s_per_1000: dict[str, float] | None = None
    statements: list[StatementShare]
    idle_alone: Idle | None = None
    crowd: Crowd | None = None
    """A shop with many tenants, where that was asked for."""

    @property
    def is_sound(self) -> bool:
        """Whether every promise was kept, whatever the speed."""
        return not (self.oversold_units or self.lost_orders or self.stray_units or self.unsettled)


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen of one window, before it is put into figures."""

    report: Report
    settlement: Settlement
    costs: list[StatementCost]
    cpu_s: dict[str, float]
    memory_mb: dict[str, float]
    fsync_us: float | None


def sum_up(seen: Window) -> Run:
    """Puts what was seen of the shop into figures."""
    report, settlement = seen.report, seen.settlement
    accepted, orders = report.accepted + report.late, max(1, settlement.found)
    return Run(
        accepted_per_s=round(report.accepted / report.seconds, 1),
        confirmed_per_s=round(settlement.confirmed / max(settlement.seconds, report.seconds), 1),
        answer_ms=spread(report.answer_ms),
        confirm_ms=spread(settlement.confirm_ms),
        statements_per_order=round(sum(cost.calls for cost in seen.costs) / orders, 3),
        errors=errors_of(report, settlement.reasons),
        cpu_s_per_1000=per_1000({**seen.cpu_s, "client": report.cpu_s}, orders),
        memory_mb=round(sum(seen.memory_mb.values()), 1),
        memory_mb_by_process=seen.memory_mb,
        fsync_us=None if seen.fsync_us is None else round(seen.fsync_us, 1),
        client_cpu_share=round(report.cpu_s / report.seconds, 3),
        accepted=accepted,
        confirmed=settlement.confirmed,
        cancelled=settlement.cancelled,
        unsettled=settlement.open,
        lost_orders=max(0, accepted - settlement.found),
        settled_after_s=round(settlement.seconds, 2),
        statements=[
            StatementShare(
                cost.name,
                round(cost.calls / orders, 4),
                round(cost.total_ms * ORDERS_A_UNIT / orders, 2),
            )
            for cost in seen.costs[:STATEMENTS_SHOWN]
        ],
    )


def beside_baseline(run: Run, report: Report, cpu_s: Mapping[str, float], oversold: int) -> Run:
    """The same run with what the baseline did under the same load."""
    baseline_per_s = round(report.accepted / report.seconds, 1)
    return msgspec.structs.replace(
        run,
        baseline_accepted_per_s=baseline_per_s,
        ratio=round(run.accepted_per_s / baseline_per_s, 2) if baseline_per_s else None,
        baseline_answer_ms=spread(report.answer_ms),
        baseline_oversold_units=oversold,
        baseline_errors=errors_of(report),
        baseline_cpu_s_per_1000=per_1000(
            {**cpu_s, "client": report.cpu_s}, report.accepted + report.late
        ),
    )


def at_half(run: Run, rate: float, report: Report, settlement: Settlement) -> Run:
    """The same run with what a second window at half of the confirmed rate showed."""
    return msgspec.structs.replace(
        run,
        rate_at_half=rate,
        answer_ms_at_half=spread(report.answer_ms),
        confirm_ms_at_half=spread(settlement.confirm_ms),
        unsettled=run.unsettled + settlement.open,
        lost_orders=run.lost_orders + max(0, report.accepted + report.late - settlement.found),
    )


def in_a_crowd(run: Run, seen: Run, crowd: Crowd) -> Run:
    """The same run with what was seen of a shop with many tenants."""
    return msgspec.structs.replace(
        run,
        crowd=crowd,
        unsettled=run.unsettled + seen.unsettled,
        lost_orders=run.lost_orders + seen.lost_orders,
    )


def spread(latencies: Latencies) -> Spread:
    """Three percentiles of what was timed."""
    return Spread(latencies.p50, latencies.p95, latencies.p99)


def errors_of(report: Report, reasons: Mapping[str, int] | None = None) -> dict[str, int]:
    """What went wrong, by code: refusals, failures, silence, and orders that were cancelled."""
    errors = Counter(report.codes)
    errors.update({f"cancelled_{reason}": count for reason, count in (reasons or {}).items()})
    errors["unanswered"] += report.unanswered
    return {code: count for code, count in sorted(errors.items()) if count}


def per_1000(cpu_s: Mapping[str, float], orders: int) -> dict[str, float]:
    """Processor seconds of each process for a thousand orders."""
    share = ORDERS_A_UNIT / max(1, orders)
    return {name: round(seconds * share, 4) for name, seconds in cpu_s.items()}


def merge(runs: Sequence[Run]) -> Run:
    """Several runs as one: the median of each figure, and the sum of what must never be."""
    merged: dict[str, Any] = {}
    for field in msgspec.structs.fields(Run):
        values = [value for run in runs if (value := getattr(run, field.name)) is not None]
        merged[field.name] = _merge(values, is_summed=field.name in _SUMMED) if values else None
    return Run(**merged)


def _merge(values: Sequence[Any], *, is_summed: bool) -> Any:
    first = values[0]
    if isinstance(first, list):
        return first
    if isinstance(first, msgspec.Struct):
        return type(first)(
            **{
                name: _merge([getattr(value, name) for value in values], is_summed=False)
                for name in first.__struct_fields__
            }
        )
    if first is None:
        return None
    if isinstance(first, dict):
        names = dict.fromkeys(name for value in values for name in value)
        return {
            name: _merge([value[name] for value in values if name in value], is_summed=is_summed)
            for name in names
        }
    if is_summed:
        return sum(values)
    middle = statistics.median(values)
    return int(middle) if isinstance(first, int) else round(middle, 4)


def document(runs: Sequence[Run], conditions: Conditions) -> dict[str, Any]:
    """The whole result for a script: the figures, the conditions, and every run."""
    return {
        **msgspec.to_builtins(merge(runs)),
        **msgspec.to_builtins(conditions),
        "runs": msgspec.to_builtins(list(runs)),
    }


def draw(run: Run, conditions: Conditions, runs: int) -> Table:
    """The figures for a person, with the machine and its disk beside them."""
    machine = conditions.machine
    goods = "one hot SKU" if conditions.hot else "1,000 SKUs"
    pace = f"{conditions.rate:g} a second" if conditions.rate else f"{conditions.clients} clients"
    table = Table(
        title=f"Orders of {conditions.lines} lines over {goods}, {pace}, "
        f"{conditions.seconds:g} s, provider {conditions.provider}"
        + (f", median of {runs} runs" if runs > 1 else ""),
        caption=f"{machine.cpu}, {machine.cores} cores, {machine.memory_mb:,} MB; "
        f"{machine.kernel}, {machine.file_system}; Python {machine.python}, "
        f"PostgreSQL {machine.postgres}; client and database on the same machine, "
        "fsync and synchronous_commit on",
        show_header=False,
    )
    for name, value in _lines_of(run):
        table.add_row(name, value)
    return table


def _lines_of(run: Run) -> list[tuple[str, str]]:
    ended = (
        f"{run.accepted:,} accepted, {run.confirmed:,} confirmed, {run.cancelled:,} cancelled, "
        f"ended after {run.settled_after_s:,.1f} s"
    )
    broken = (
        f"{run.oversold_units} oversold units, {run.lost_orders} lost orders, {run.unsettled} "
        f"without an end, {run.stray_units} stray units"
    )
    lines = [
        ("accepted a second", f"{run.accepted_per_s:,.0f}"),
        ("confirmed a second, whole saga", f"{run.confirmed_per_s:,.0f}"),
        ("answer", _show(run.answer_ms)),
        ("confirmation", _show(run.confirm_ms)),
        ("SQL statements an order", f"{run.statements_per_order:.2f}"),
        ("CPU s per 1,000 orders", _show_each(run.cpu_s_per_1000, ".2f")),
        ("memory MB", f"{run.memory_mb:,.0f}: {_show_each(run.memory_mb_by_process, ',.0f')}"),
        ("load client", f"{run.client_cpu_share:.0%} of a core"),
        ("fsync", "not measured" if run.fsync_us is None else f"{run.fsync_us:,.0f} µs"),
        ("orders", ended),
        ("must be 0", broken),
        ("errors", _show_each(run.errors, ",") or "none"),
    ]
    if run.confirm_ms_at_half and run.rate_at_half:
        lines.append(
            (f"confirmation at {run.rate_at_half:,.0f} a second", _show(run.confirm_ms_at_half))
        )
    if run.baseline_accepted_per_s is not None and run.baseline_answer_ms is not None:
        lines += [
            ("careful baseline, accepted a second", f"{run.baseline_accepted_per_s:,.0f}"),
            ("careful baseline, answer", _show(run.baseline_answer_ms)),
            ("ratio", f"{run.ratio:.2f}" if run.ratio else "-"),
        ]
    if run.idle_alone is not None:
        lines += _lines_of_idle("with one tenant", run.idle_alone)
    return lines if run.crowd is None else lines + _lines_of_crowd(run.crowd)


def _lines_of_crowd(crowd: Crowd) -> list[tuple[str, str]]:
    making, nothing_s = crowd.making, crowd.making.nothing_to_do_s
    return [
        ("with tenants", _show_each(crowd.tenants, ",")),
        ("seconds to make them", _show_each(making.make_s, ",.1f")),
        (f"migrating {making.homes} homes: seconds with nothing to do", f"{nothing_s:.1f}"),
        ("seconds for one migration", f"{making.one_migration_s:.1f}"),
        ("seconds for a look at each", f"{making.status_s:.1f}"),
        *_lines_of_idle("with all", crowd.idle),
        ("connections at work", f"{crowd.connections_at_work}"),
        ("memory MB at work", _show_each(crowd.memory_mb_at_work, ",.0f")),
        ("accepted a second, the others at rest", f"{crowd.accepted_per_s:,.0f}"),
        ("confirmed a second", f"{crowd.confirmed_per_s:,.0f}"),
        ("ratio to one tenant", f"{crowd.ratio:.2f}"),
    ]


def _lines_of_idle(who: str, idle: Idle) -> list[tuple[str, str]]:
    return [
        (f"idle {who}: percent of a core", _show_each(idle.cpu_percent, ".1f")),
        (f"idle {who}: memory MB", _show_each(idle.memory_mb, ",.0f")),
        (f"idle {who}: connections", f"{idle.connections}"),
    ]


def _show(spread_ms: Spread) -> str:
    return f"p50 {spread_ms.p50:,.1f}  p95 {spread_ms.p95:,.1f}  p99 {spread_ms.p99:,.1f} ms"


def _show_each(values: Mapping[str, float], form: str) -> str:
    return ", ".join(f"{name} {value:{form}}" for name, value in values.items())
