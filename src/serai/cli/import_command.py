"""`serai import FILE`: a catalog from a CSV file, through the public API."""

import contextlib
from collections.abc import AsyncIterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import httpx
import typer
from rich.progress import Progress
from rich.table import Table

from serai import settings
from serai.cli.console import (
    FAILED,
    UNAVAILABLE,
    USAGE,
    AsJson,
    Failure,
    err,
    out,
    print_json,
    run_async,
    say,
)
from serai.cli.import_file import ImportReport, import_catalog
from serai.cli.inside import go_inside
from serai.cli.installation import read_runtime
from serai.contexts.inventory.contract import DEFAULT_LOCATION
from serai.contexts.tenancy.contract import IssuedKeyView
from serai.settings import Settings

app = typer.Typer(add_completion=False)

REQUEST_TIMEOUT_S: Final = 60.0
SHOWN_MAX: Final = 50
"""Problems that the table shows; --json has them all."""
KEY_LABEL: Final = "import"
SCOPES: Final = ("catalog:read", "catalog:write", "inventory:read", "inventory:write")


class Layout(StrEnum):
    """Whose columns the file has."""

    AUTO = "auto"
    SERAI = "serai"
    VENDURE = "vendure"
    SHOPIFY = "shopify"


@app.command(
    epilog="Example: serai import goods.csv --tenant my-shop. "
    "Exit codes: 0 every row was taken, 1 some were not, 2 wrong usage, 3 no shop runs."
)
def import_goods(  # noqa: PLR0917 - an option is named on the command line
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="CSV in UTF-8, plain or gzipped.")
    ],
    tenant: Annotated[
        str | None, typer.Option(help="The shop, of an installation on this machine.")
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="The API's address. [the one that runs here]")
    ] = None,
    key_file: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="A file with an API key, for any address."),
    ] = None,
    layout: Annotated[Layout, typer.Option(help="Whose columns.")] = Layout.AUTO,
    currency: Annotated[
        str, typer.Option(help="The currency of prices whose column names none.")
    ] = "USD",
    location: Annotated[
        str, typer.Option(help="Where the file's stock is received.")
    ] = DEFAULT_LOCATION,
    stock: Annotated[
        bool, typer.Option("--stock/--no-stock", help="Receive the file's opening stock.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Import products from Serai's own, Vendure's or Shopify's CSV. Safe to repeat and to resume.

    Good rows are imported; bad ones are listed with their row, column and reason.
    """
    if (tenant is None) == (key_file is None):
        raise Failure(
            "name the shop (--tenant), or a file with an API key (--key-file)",
            code="usage",
            exit_code=USAGE,
        )
    report = run_async(
        _run(
            file,
            tenant=tenant,
            url=url,
            key=key_file.read_text("utf-8").strip() if key_file else None,
            layout=layout.value,
            currency=currency,
            stock_location=location if stock else None,
            is_quiet=as_json,
        )
    )
    if as_json:
        print_json(report)
    else:
        _show(report)
    if report.problems:
        raise typer.Exit(FAILED)


async def _run(
    file: Path,
    *,
    tenant: str | None,
    url: str | None,
    key: str | None,
    layout: str,
    currency: str,
    stock_location: str | None,
    is_quiet: bool,
) -> ImportReport:
    own = settings.load()
    runtime = read_runtime(own.data_path)
    address = url or (runtime.api_url if runtime else "")
    if not address:
        raise Failure(
            f"no shop runs on {own.data_path}: start it with `serai run`, or name one with --url",
            code="unavailable",
            exit_code=UNAVAILABLE,
        )
    async with contextlib.AsyncExitStack() as stack:
        if key is None:
            assert tenant is not None
            key = await stack.enter_async_context(_key_for(own, tenant))
        client = await stack.enter_async_context(
            httpx.AsyncClient(
                base_url=address,
                headers={"Authorization": f"Bearer {key}"},
                timeout=REQUEST_TIMEOUT_S,
            )
        )
        progress = stack.enter_context(Progress(console=err, transient=True, disable=is_quiet))
        bar = progress.add_task(f"Importing {file.name}", total=None)
        return await import_catalog(
            file,
            client=client,
            layout=layout,
            currency=currency,
            stock_location=stock_location,
            progress=lambda done, total: progress.update(bar, completed=done, total=total),
        )


@contextlib.asynccontextmanager
async def _key_for(own: Settings, tenant: str) -> AsyncIterator[str]:
    """A key of that tenant for as long as the import takes."""
    async with go_inside(own) as house:
        found = await house.tenancy.find_tenant(tenant)
        if found is None:
            raise Failure(f"there is no tenant named {tenant}; `serai tenant list` names them")
        issued: IssuedKeyView = await house.tenancy.create_key(
            found.id, label=KEY_LABEL, scopes=SCOPES
        )
        try:
            yield issued.key
        finally:
            await house.tenancy.revoke_key(found.id, issued.id)


def _show(report: ImportReport) -> None:
    if report.problems:
        table = Table("row", "column", "code", "what to do")
        for problem in report.problems[:SHOWN_MAX]:
            table.add_row(str(problem.row), problem.column or "", problem.code, problem.detail)
        out.print(table)
        left = len(report.problems) - SHOWN_MAX + report.problems_left_out
        if left > 0:
            say(f"... and {left} more; --json has {len(report.problems)} of them")
    say(
        f"{report.file}: {report.created} created, {report.updated} updated, "
        f"{report.unchanged} unchanged, {report.refused} refused; {report.variants} variants, "
        f"{report.stock_units} units received"
    )
