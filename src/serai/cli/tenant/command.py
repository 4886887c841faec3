"""`serai tenant`: makes, lists, suspends, exports and erases tenants, and makes their keys."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.table import Column, Table

from serai import settings
from serai.cli.console import (
    EXIT_CODES,
    USAGE,
    AsJson,
    Failure,
    err,
    out,
    print_json,
    run_async,
    say,
)
from serai.cli.inside import enter, go_inside
from serai.cli.installation import reach_databases
from serai.cli.tenant import estate, keys
from serai.cli.tenant.move import move, moves
from serai.cli.tenant.staff import staff
from serai.contexts.tenancy.contract import (
    IssuedTenant,
    Standing,
    TenantExists,
)
from serai.roles.composition import Composition
from serai.roles.migrate import bring_up_home

app = typer.Typer(no_args_is_help=True, add_completion=False)

PAGE: Final = 500

Name = Annotated[str, typer.Argument(help="The tenant's name.")]


class TierName(StrEnum):
    """How a tenant is kept apart from the others."""

    POOLED = "pooled"
    SCHEMA = "schema"
    DATABASE = "database"


_EXAMPLE: Final = "Example: serai tenant staff my-shop me@example.org."
app.command("staff", epilog=f"{_EXAMPLE} {EXIT_CODES}")(staff)
app.command(epilog=f"Example: serai tenant key my-shop --scopes orders:read. {EXIT_CODES}")(
    keys.key
)
app.command("keys", epilog=f"Example: serai tenant keys my-shop. {EXIT_CODES}")(keys.list_all)
app.command(epilog=f"Example: serai tenant signer my-shop 0190c3... signer.pub. {EXIT_CODES}")(
    keys.signer
)
app.command(epilog=f"Example: serai tenant move my-shop --to schema. {EXIT_CODES}")(move)
app.command(epilog=f"Example: serai tenant moves --json. {EXIT_CODES}")(moves)


@app.callback()
def describe() -> None:
    """Make tenants, their API keys and first staff, list, suspend, move, export, erase them."""


@app.command(epilog=f"Example: serai tenant create my-shop --tier schema. {EXIT_CODES}")
def create(
    name: Annotated[str, typer.Argument(help="A slug: small letters, digits, dashes.")],
    tier: Annotated[
        TierName,
        typer.Option(help="Shared tables, schemas of its own, or a database of its own."),
    ] = TierName.POOLED,
    database: Annotated[
        str, typer.Option(help="For --tier database: one that SERAI_DATABASES names. [a new one]")
    ] = "",
    scopes: keys.Scopes = None,
    as_json: AsJson = False,
) -> None:
    """Make a tenant in a home of the given tier, and its first API key, shown this once.

    Safe to run again after it was interrupted: a home that is half made is found and finished.
    """
    if database and tier != TierName.DATABASE:
        raise Failure("--database goes with --tier database", code="usage", exit_code=USAGE)
    issued = run_async(_create(name, tier, database, keys.choose(scopes), is_quiet=as_json))
    if as_json:
        print_json(issued)
        return
    say(f"tenant  {issued.tenant.name}  {issued.tenant.id}")
    keys.show(issued.key)


@app.command("list", epilog=f"Example: serai tenant list --json. {EXIT_CODES}")
def list_all(as_json: AsJson = False) -> None:
    """List tenants by name, with their tier and whether they are served."""
    tenants = run_async(_list())
    if as_json:
        print_json({"tenants": tenants})
        return
    table = Table("name", Column("id", no_wrap=True), "tier", "state", "home", "created at")
    for tenant in tenants:
        table.add_row(
            tenant.name, str(tenant.id), tenant.tier, tenant.state, tenant.home.name,
            f"{tenant.created_at:%Y-%m-%d %H:%M:%S}",
        )  # fmt: skip
    out.print(table)


@app.command(epilog=f"Example: serai tenant suspend my-shop. {EXIT_CODES}")
def suspend(name: Name, as_json: AsJson = False) -> None:
    """Stop serving a tenant, in every process at once; its keys are answered 403.

    What it has under way goes on to its end: orders are paid, shipped and told of.
    """
    _show_standing(run_async(_change_state(name, "suspended")), as_json=as_json)


@app.command(epilog=f"Example: serai tenant resume my-shop. {EXIT_CODES}")
def resume(name: Name, as_json: AsJson = False) -> None:
    """Serve a suspended tenant again, in every process at once."""
    _show_standing(run_async(_change_state(name, "active")), as_json=as_json)


@app.command(epilog=f"Example: serai tenant export my-shop my-shop.jsonl. {EXIT_CODES}")
def export(
    name: Name,
    file: Annotated[Path, typer.Argument(help="Where to; what an interrupted one left goes on.")],
    sealed: Annotated[
        bool, typer.Option(help="Leave names and addresses sealed: only here can they be opened.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write everything of a tenant to a file, a JSON line for each row, in clear.

    It holds names and addresses that anyone can read who has the file; the audit trail tells of it.
    Suspend the tenant first, and let its orders end, for a copy of one moment.
    """
    if not sealed:
        err.print(f"[yellow]{file} will hold names and addresses in clear: guard it, or --sealed")
    told = run_async(_export(name, file, is_sealed=sealed, is_quiet=as_json))
    if told.left_sealed:
        err.print(
            f"[yellow]{told.left_sealed} values look sealed and open nowhere; left as they are"
        )
    if as_json:
        print_json(told)
    else:
        say(f"{told.rows} rows of {told.tables} tables in {told.file}")


@app.command(epilog=f"Example: serai tenant erase my-shop --confirm my-shop. {EXIT_CODES}")
def erase(
    name: Name,
    confirm: Annotated[str, typer.Option(help="The name once more; asked for without it.")] = "",
    certificate: Annotated[
        Path | None, typer.Option(help="Where the certificate goes. [erased-NAME.json]")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Delete every row of a tenant, for good, and write a certificate of it.

    Nothing is kept: export first what the law says must be. Safe to run again after a kill.
    """
    given = confirm or ("" if as_json else typer.prompt(f"Erase {name}? Its name once more"))
    if given != name:
        raise Failure("that is not its name; nothing was erased", code="usage", exit_code=USAGE)
    place = certificate or Path(f"erased-{name}.json")
    written = run_async(_erase(name, place, is_quiet=as_json))
    if as_json:
        print_json(written)
    else:
        say(f"{written.rows} rows erased; the certificate is {place}")


def _show_standing(standing: Standing, *, as_json: bool) -> None:
    if as_json:
        print_json(standing)
    else:
        say(f"{standing.name} is {standing.state}")


async def _create(
    name: str, tier: TierName, database: str, scopes: tuple[str, ...], *, is_quiet: bool
) -> IssuedTenant:
    own = settings.load()
    async with reach_databases(own) as databases, enter(own, databases) as house:
        home = house.tenancy.home_for(name, tier.value, database=database)
        if await house.tenancy.find_tenant(name) is not None:
            raise TenantExists(
                f"there is a tenant named {name} already; `serai tenant key {name}` makes it a key"
            )
        if tier != TierName.POOLED:
            if database and database not in databases.owner.named():
                raise Failure(f"SERAI_DATABASES names no database {database}", exit_code=USAGE)
            if is_quiet:
                await bring_up_home(databases, home)
            else:
                with err.status(f"Making the home {home.name} ..."):
                    await bring_up_home(databases, home)
        issued: IssuedTenant = await house.tenancy.create_tenant(name, scopes=scopes, home=home)
        return issued


async def _list() -> list[Standing]:
    found: list[Standing] = []
    async with go_inside(settings.load()) as house:
        while True:
            after = found[-1].name if found else ""
            page = await house.tenancy.list_standings(after=after, limit=PAGE)
            found += page
            if len(page) < PAGE:
                return found


async def _change_state(name: str, state: str) -> Standing:
    async with go_inside(settings.load()) as house:
        tenant = await _find(house, name)
        changed: Standing = await house.tenancy.change_state(tenant.id, state)
        return changed


async def _export(name: str, file: Path, *, is_sealed: bool, is_quiet: bool) -> estate.Exported:
    async with go_inside(settings.load()) as house:
        tenant = await _find(house, name)
        return await estate.export(house, tenant, file, is_sealed=is_sealed, is_quiet=is_quiet)


async def _erase(name: str, place: Path, *, is_quiet: bool) -> estate.Certificate:
    async with go_inside(settings.load()) as house:
        return await estate.erase(house, await _find(house, name), place, is_quiet=is_quiet)


async def _find(house: Composition, name: str) -> Standing:
    found: Standing | None = await house.tenancy.find_standing(name)
    if found is None:
        raise Failure(f"there is no tenant named {name}; `serai tenant list` names them")
    return found
