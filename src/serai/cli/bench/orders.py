"""`serai bench orders`: how many orders a second this machine takes, and what one costs."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from serai.cli import console
from serai.cli.bench import figures
from serai.cli.bench.crowd import read_counts
from serai.cli.bench.progress import Steps
from serai.cli.bench.trial import Plan, ProviderName, measure_orders
from serai.cli.console import EXIT_CODES, AsJson

SECONDS_MAX = 600
CLIENTS_MAX = 1_000
LINES_MAX = 100
RUNS_MAX = 15

bench_app = typer.Typer(no_args_is_help=True, add_completion=False)


@bench_app.callback()
def describe() -> None:
    """Measure this machine: throughput, latency and cost, with a careful baseline beside them."""


@bench_app.command(epilog=f"Example: serai bench orders --seconds 20 --hot --json. {EXIT_CODES}")
def orders(
    *,
    seconds: Annotated[
        float, typer.Option(min=1, max=SECONDS_MAX, help="Length of the window.")
    ] = 20,
    hot: Annotated[bool, typer.Option("--hot", help="Every order is for the same SKU.")] = False,
    clients: Annotated[int, typer.Option(min=1, max=CLIENTS_MAX, help="Connections.")] = 128,
    lines: Annotated[int, typer.Option(min=1, max=LINES_MAX, help="Lines of an order.")] = 2,
    provider: Annotated[
        ProviderName, typer.Option(help="The sandbox in the worker, or as a server of its own.")
    ] = ProviderName.DIRECT,
    rate: Annotated[
        float | None,
        typer.Option(
            min=1, help="Orders a second, sent whatever the answers do (else as many as go)."
        ),
    ] = None,
    runs: Annotated[int, typer.Option(min=1, max=RUNS_MAX, help="Report medians of so many.")] = 1,
    has_baseline: Annotated[
        bool, typer.Option("--baseline/--no-baseline", help="Measure the careful baseline too.")
    ] = True,
    at_half: Annotated[
        bool, typer.Option("--at-half", help="Measure confirmation at half of the rate too.")
    ] = False,
    data_dir: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="A folder on the disk to be measured."),
    ] = None,
    tenants: Annotated[
        str,
        typer.Option(
            help="Measure again with so many more: pooled=400,schema=95,database=5.",
            show_default=False,
        ),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Start a fresh shop in a temporary folder, send it orders, and say what it did.

    The shop's API, its worker, PostgreSQL (fsync on) and the load client share this machine.
    It fails if a unit was oversold, or if an accepted order was lost or did not end.
    """
    plan = Plan(
        seconds=seconds, is_hot=hot, clients=clients, lines=lines, provider=provider, rate=rate,
        runs=runs, has_baseline=has_baseline, has_half=at_half, data_dir=data_dir,
        tenants=read_counts(tenants) if tenants else None,
    )  # fmt: skip
    is_shown = console.err.is_terminal and not as_json
    try:
        measured, conditions = console.run_async(measure_orders(plan, Steps(is_shown=is_shown)))
    except asyncio.CancelledError:
        raise typer.Exit(console.INTERRUPTED) from None
    if as_json:
        console.print_json(figures.document(measured, conditions))
    else:
        console.out.print(figures.draw(figures.merge(measured), conditions, len(measured)))
    if not all(run.is_sound for run in measured):
        raise typer.Exit(console.FAILED)
