"""`serai migrate up` and `serai migrate status`."""

from enum import StrEnum
from typing import Annotated

import msgspec
import typer
from rich.table import Table

from serai import settings
from serai.cli.console import EXIT_CODES, FAILED, AsJson, err, out, print_json, run_async, say
from serai.cli.installation import reach_database
from serai.kernel.migrate import Migration, Status
from serai.roles.migrate import bring_up, tell_status

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
    """Apply what is missing. Safe to repeat, and for several to run at once."""
    with err.status("Migrating ..."):
        done = run_async(_bring_up(phase))
    if as_json:
        print_json({"applied": [{"context": m.context, "name": m.name} for m in done]})
        return
    for migration in done:
        say(f"applied {migration.context}/{migration.name}")
    say(f"{len(done)} applied; the database is up to date." if done else "Nothing to do.")


@app.command(
    epilog="Example: serai migrate status --json. Exit codes: 0 all applied, 1 not, 3 n/a."
)
def status(as_json: AsJson = False) -> None:
    """Tell of each migration whether it is applied, missing, or was changed since."""
    states = run_async(_tell_status())
    is_current = all(state.state == "applied" for state in states)
    if as_json:
        print_json({"is_current": is_current, "migrations": msgspec.to_builtins(states)})
    else:
        table = Table("context", "migration", "state", "applied at")
        for s in states:
            table.add_row(s.context, s.name, s.state, s.applied_at or "")
        out.print(table)
    if not is_current:
        raise typer.Exit(FAILED)


async def _bring_up(phase: Phase) -> list[Migration]:
    async with reach_database(settings.load(), may_create=True) as urls:
        return await bring_up(urls.owner_url, phase=phase.value)


async def _tell_status() -> list[Status]:
    async with reach_database(settings.load()) as urls:
        return await tell_status(urls.owner_url)
