"""`serai tenant move` and `moves`: carries tenants from home to home while they are served."""

import time
from typing import Annotated, Final

import msgspec
import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from serai import settings
from serai.cli.console import (
    USAGE,
    AsJson,
    Failure,
    err,
    out,
    print_json,
    run_async,
    say,
)
from serai.cli.inside import enter
from serai.cli.installation import reach_databases
from serai.cli.tenant.moving import Move, directory_session
from serai.contexts.tenancy.contract import Standing, Tier
from serai.contexts.tenancy.contract.moves import Moves, MoveView, begin_view
from serai.kernel.db import Tx
from serai.kernel.tenant import POOLED, Home
from serai.roles.composition import Composition
from serai.roles.connection import Databases

MOVES_SHOWN_MAX: Final = 100
TIERS: Final[dict[str, Tier]] = {"pooled": "pooled", "schema": "schema", "database": "database"}


class Moved(msgspec.Struct, frozen=True):
    """A move as a script reads it."""

    tenant: str
    move_id: str
    source: str
    target: str
    step: str
    rows: int
    refused_ms: int | None
    seconds: float


def move(  # noqa: PLR0917 - a command's options, given by name
    name: Annotated[str, typer.Argument(help="The tenant's name.")],
    to: Annotated[
        str,
        typer.Option(
            "--to",
            help="pooled, schema, database (one of its own), or a database that SERAI_DATABASES "
            "names, by its name or URL.",
        ),
    ] = "",
    is_resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a move that was interrupted.")
    ] = False,
    is_abort: Annotated[
        bool, typer.Option("--abort", help="Take back what was copied; it stays where it is.")
    ] = False,
    is_retained: Annotated[
        bool,
        typer.Option("--retain", help="Keep the old rows; --resume deletes them when you say so."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Move a tenant to another home while it is served; writes are refused for under a second.

    Each step is written down: after a kill, run it again. Until it has changed over, --abort undoes
    it; after that, move it back.
    """
    if is_resume and is_abort:
        raise Failure("--resume or --abort, not both", code="usage", exit_code=USAGE)
    if not (to or is_resume or is_abort):
        raise Failure("say where: --to pooled, schema or database", code="usage", exit_code=USAGE)
    began = time.monotonic()
    view = run_async(
        _move(
            name, to, is_abort=is_abort, is_retained=is_retained,
            is_quiet=as_json,
        )
    )  # fmt: skip
    seconds = round(time.monotonic() - began, 1)
    if as_json:
        print_json(
            Moved(
                view.tenant, str(view.move_id), view.source.name, view.target.name, view.step,
                view.rows, view.refused_ms, seconds,
            )
        )  # fmt: skip
    elif view.step == "undone":
        say(f"{name} stays in {view.source.name}; what was copied is taken back")
    else:
        say(f"{name} is in {view.target.name}: {view.rows} rows in {seconds:g} s")
        if view.refused_ms is not None:
            say(f"writes were refused for {view.refused_ms} ms")
        if view.step == "cleaning":
            say(f"its old rows are kept; `serai tenant move {name} --resume` deletes them")


def moves(as_json: AsJson = False) -> None:
    """List moves, the newest first, each with the step that it has come to."""
    found = run_async(_list())
    if as_json:
        print_json({"moves": found})
        return
    table = Table(
        "tenant", "from", "to", "step", "rows", Column("started at", no_wrap=True), "error"
    )
    for one in found:
        table.add_row(
            one.tenant, one.source.name, one.target.name, one.step, str(one.rows),
            f"{one.started_at:%Y-%m-%d %H:%M:%S}", one.error or "",
        )  # fmt: skip
    out.print(table)


async def _move(
    name: str, to: str, *, is_abort: bool, is_retained: bool, is_quiet: bool
) -> MoveView:
    own = settings.load()
    async with reach_databases(own) as databases, enter(own, databases) as house:
        tenant: Standing | None = await house.tenancy.find_standing(name)
        if tenant is None:
            raise Failure(f"there is no tenant named {name}; `serai tenant list` names them")
        async with directory_session(databases, tenant.id, house.clock) as main:
            view = await _find_or_begin(house, databases, main, tenant, to)
            with Progress(
                SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(),
                console=err, transient=True, disable=is_quiet,
            ) as progress:  # fmt: skip
                bar = progress.add_task("preparing", total=None)
                rows = 0

                def tell(what: str, count: int) -> None:
                    nonlocal rows
                    rows += count
                    progress.update(bar, description=f"{what}  {rows} rows", advance=count)

                at_work = Move(house, databases, main, view, tell)
                if is_abort:
                    return await at_work.undo()
                return await at_work.run(is_retained=is_retained)


async def _find_or_begin(
    house: Composition, databases: Databases, main: Tx, tenant: Standing, to: str
) -> MoveView:
    """The move of the tenant that has not ended, or a new one; this process alone is at it."""
    directory: Moves = house.tenancy.moves
    if not await directory.hold(main, tenant.id):
        raise Failure(
            f"another process is moving {tenant.name}, or wraps keys anew, now",
            code="move_under_way",
        )
    view = await directory.find(main, tenant.id)
    target = _find_target(house, databases, tenant, to) if to else None
    if view is None:
        if target is None:
            raise Failure(f"no move of {tenant.name} waits to be gone on with or undone")
        _refuse(tenant, target)
        return await directory.begin(
            main, begin_view(tenant.name, tenant.id, tenant.home, target, house.clock.now())
        )
    if target is not None and target != view.target:
        raise Failure(
            f"its move to {view.target.name} has not ended: go on with it (--resume) or "
            "take it back (--abort) first",
            code="move_under_way",
        )
    return view


def _find_target(house: Composition, databases: Databases, tenant: Standing, to: str) -> Home:
    if to in TIERS:
        found: Home = house.tenancy.home_for(tenant.name, TIERS[to])
        return found
    named = databases.owner.named()
    for key, address in named.items():
        if to in {key, address.owner, address.app} and to:
            own: Home = house.tenancy.home_for(tenant.name, "database", database=key)
            return own
    raise Failure(
        "--to is pooled, schema, database, or a database that SERAI_DATABASES names: add it to "
        "that file first, which running processes read anew",
        code="usage",
        exit_code=USAGE,
    )


def _refuse(tenant: Standing, target: Home) -> None:
    if target == tenant.home:
        raise Failure(f"{tenant.name} lives in {target.name} already", code="same_home")
    if tenant.state != "active":
        raise Failure(
            f"{tenant.name} is {tenant.state}; only a tenant that is served is moved. "
            f"`serai tenant resume {tenant.name}` lets a suspended one in again",
            code="tenant_not_served",
        )


async def _list() -> list[MoveView]:
    own = settings.load()
    async with (
        reach_databases(own) as databases,
        enter(own, databases) as house,
        house.database.transaction(POOLED, (), is_transport=True, is_read_only=True) as tx,
    ):
        found: list[MoveView] = await house.tenancy.moves.list_all(tx, MOVES_SHOWN_MAX)
        return found
