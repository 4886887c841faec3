"""What a replay ends with: for scripts as one document, for people as a table."""

from typing import Any, Final

import msgspec
from rich.markup import escape
from rich.table import Table

from serai.cli.check import Report
from serai.cli.console import out, say
from serai.cli.replay.stages import Stage
from serai.cli.replay.steps import Refusal
from serai.cli.replay.verdict import REPLAY, Judgement
from serai.contexts.catalog.contract import RowProblem

SHOWN_MAX: Final = 20
"""Broken rows, refusals and violations that are shown of each; --json has them all."""


class Line(msgspec.Struct, frozen=True):
    """A line of the table."""

    figure: str
    expected: Any
    found: Any
    ok: bool
    said_by: str


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a replay found out."""

    is_ok: bool
    file: str
    sha256: str
    tenant: str
    rows: int
    problems: list[RowProblem]
    figures: list[Line]
    counts: dict[str, int]
    refusals: list[Refusal]
    check: Report
    stages: list[Stage]
    requests: int
    repeats: int


def line_of(judgement: Judgement) -> Line:
    """A judgement as a line."""
    return Line(
        judgement.figure, judgement.expected, judgement.found, judgement.is_met, judgement.source
    )


def show(found: Outcome) -> None:
    """Prints it for people."""
    table = Table()
    table.add_column("figure", no_wrap=True)
    table.add_column("expected", overflow="fold")
    table.add_column("found", overflow="fold")
    table.add_column("ok", no_wrap=True)
    table.add_column("said by", no_wrap=True)
    for line in found.figures:
        mark = "[green]yes[/]" if line.ok else "[red]no[/]"
        table.add_row(line.figure, _short(line.expected), _short(line.found), mark, line.said_by)
    out.print(table)
    if any(line.said_by == REPLAY for line in found.figures):
        say("Rows that are skipped or cover nothing leave no trace: the replay itself counts them.")
    for name, count in found.counts.items():
        say(f"{name.replace('_', ' ')}: {count:,}")
    _show_problems(found.problems, found.rows)
    _show_refusals(found.refusals)
    for check in found.check.checks:
        for violation in check.violations[:SHOWN_MAX]:
            say(f"serai check: {check.module}.{check.check}: {escape(violation.detail)}")
    seconds = sum(stage.seconds for stage in found.stages)
    held = "holds" if found.check.is_clean else "does not hold"
    say(
        f"serai check {held}. {found.requests:,} requests, {seconds:,.0f} s, tenant {found.tenant}."
    )
    say("Every figure agrees." if found.is_ok else "[red]Not everything agrees.[/]")


def _show_problems(problems: list[RowProblem], rows: int) -> None:
    if not problems:
        return
    say(f"{len(problems):,} of {rows:,} rows are broken and were left out, the others replayed:")
    for problem in problems[:SHOWN_MAX]:
        column = f", {problem.column}" if problem.column else ""
        say(f"  row {problem.row}{column}: {escape(problem.detail)} ({problem.code})")
    _say_more(len(problems))


def _show_refusals(refusals: list[Refusal]) -> None:
    if not refusals:
        return
    say(f"The shop refused {len(refusals):,} requests:")
    for refusal in refusals[:SHOWN_MAX]:
        say(f"  {escape(refusal.what)}: {escape(refusal.detail)} ({refusal.code})")
    _say_more(len(refusals))


def _say_more(count: int) -> None:
    if count > SHOWN_MAX:
        say(f"  ... and {count - SHOWN_MAX:,} more; --json has them all")


def _short(value: Any) -> str:
    match value:
        case int():
            return f"{value:,}"
        case list():
            return ", ".join(f"{escape(str(sku))} {units:,}" for sku, units in value)
        case _:
            return escape(str(value))
