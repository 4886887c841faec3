"""`serai migrate up` and `serai migrate status`."""

import contextlib
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated

import msgspec
import typer
from rich.progress import Progress
from rich.table import Column, Table

from serai import settings
from serai.cli.console import (
    EXIT_CODES,
    FAILED,
    AsJson,
    Failure,
    err,
    out,
    plain,
    print_json,
    run_async,
    say,
)
from serai.cli.installation import reach_databases
from serai.kernel import wall
from serai.kernel.migrate import Migration, Status
from serai.kernel.tenant import MAIN
from serai.roles.migrate import (
    HomeOutcome,
    Told,
    bring_up,
    bring_up_homes,
    tell_homes,
    tell_status,
)

app = typer.Typer(no_args_is_help=True, add_completion=False)


class Phase(StrEnum):
    """Which migrations: those before the new code runs, those after the old code is gone."""

    PRE = "pre"
    POST = "post"
    ALL = "all"


@app.callback()
def describe() -> None:
    """Bring the database up to date, or see how it is."""


@app.command(epilog=f"Example: serai migrate up --phase pre. {EXIT_CODES}")
def up(
    phase: Annotated[
        Phase, typer.Option(help="pre: before the new code; post: after the old code is gone.")
    ] = Phase.ALL,
    as_json: AsJson = False,
) -> None:
    """Apply what is missing in every home. Safe to repeat, and for several to run at once.

    The homes of single tenants go side by side; one that fails is named and stops no other.
    """
    done, homes = run_async(_bring_up(phase, is_quiet=as_json))
    failed = [home for home in homes if home.failed]
    if as_json:
        print_json(
            {"applied": [{"context": m.context, "name": m.name} for m in done], "homes": homes}
        )
    else:
        for migration in done:
            say(f"applied {migration.context}/{migration.name}")
        if any(home.applied or home.failed for home in homes):
            _show_homes(homes)
        count = len(done) + sum(len(home.applied) for home in homes)
        if not failed:
            say(f"{count} applied; every home is up to date." if count else "Nothing to do.")
    if failed:
        names = ", ".join(home.home for home in failed)
        raise Failure(f"{len(failed)} of {len(homes)} homes failed: {names}", code="home_failed")


@app.command(
    epilog="Example: serai migrate status --json. Exit codes: 0 all applied, 1 not, 3 n/a."
)
def status(as_json: AsJson = False) -> None:
    """Tell of each migration whether it is applied, missing or changed, and of each home."""
    states, homes = run_async(_tell_status(is_quiet=as_json))
    is_current = all(state.state == "applied" for state in states) and not any(
        home.pending or home.changed or home.failed for home in homes
    )
    if as_json:
        print_json(
            {"is_current": is_current, "migrations": msgspec.to_builtins(states), "homes": homes}
        )
    else:
        table = Table("context", "migration", "state", "applied at")
        for s in states:
            table.add_row(s.context, s.name, s.state, s.applied_at or "")
        out.print(table)
        if homes:
            _show_homes(homes)
    if not is_current:
        raise typer.Exit(FAILED)


def _show_homes(homes: list[HomeOutcome]) -> None:
    table = Table(Column("home", no_wrap=True), "applied", "pending", "failed")
    for home in homes:
        why = home.failed or (f"changed: {', '.join(home.changed)}" if home.changed else "")
        table.add_row(home.home, str(len(home.applied)), str(len(home.pending)), plain(why))
    out.print(table)


async def _bring_up(phase: Phase, *, is_quiet: bool) -> tuple[list[Migration], list[HomeOutcome]]:
    async with reach_databases(settings.load(), may_create=True) as databases:
        with _progress("Migrating", is_quiet=is_quiet) as told:
            url = databases.owner.url_of(MAIN)
            done = await bring_up(url, phase=phase.value)
            homes = await bring_up_homes(databases, phase=phase.value, told=told)
        if await wall.is_movable_at(url):
            err.print(f"[yellow]{plain(wall.warn(MAIN))}")
        return done, homes


async def _tell_status(*, is_quiet: bool) -> tuple[list[Status], list[HomeOutcome]]:
    async with reach_databases(settings.load()) as databases:
        states = await tell_status(databases.owner.url_of(MAIN))
        if any(s.state == "missing" and s.context == "tenancy" for s in states):
            return states, []
        with _progress("Looking", is_quiet=is_quiet) as told:
            return states, await tell_homes(databases, told=told)


@contextlib.contextmanager
def _progress(what: str, *, is_quiet: bool) -> Iterator[Told]:
    """A bar over the homes, on standard error."""
    with Progress(console=err, transient=True, disable=is_quiet) as progress:
        bar = progress.add_task(what, total=None)

        def tell(outcome: HomeOutcome, total: int) -> None:
            progress.update(bar, total=total, advance=1, description=f"{what} {outcome.home}")

        yield tell
