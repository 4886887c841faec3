"""`serai payment`: open payments and refunds that the provider is not asked about any more."""

from typing import Annotated, Final
from uuid import UUID

import msgspec
import typer
from rich.table import Column, Table

from serai import settings
from serai.cli.console import EXIT_CODES, USAGE, AsJson, Failure, out, print_json, run_async, say
from serai.cli.inside import find_tenants, go_inside
from serai.contexts.payments.contract import GivenUp

app = typer.Typer(no_args_is_help=True, add_completion=False)

PAGE: Final = 500
LISTED: Final = 50

Tenant = Annotated[str | None, typer.Option(help="Only of the tenant of this name. [all]")]


class Matter(msgspec.Struct, frozen=True):
    """What was given up, and whose it is."""

    tenant: str
    given_up: GivenUp


@app.callback()
def describe() -> None:
    """Ask the provider again about what was given up."""


@app.command("list", epilog=f"Example: serai payment list --tenant my-shop. {EXIT_CODES}")
def list_given_up(
    tenant: Tenant = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = LISTED,
    as_json: AsJson = False,
) -> None:
    """List open payments and refunds that no look-up settled within its tries."""
    matters = run_async(_list(tenant, limit))
    if as_json:
        print_json({"given_up": matters})
        return
    table = Table(
        "tenant", Column("order", no_wrap=True), Column("what", overflow="fold"), "status",
        "amount", "looks",
    )  # fmt: skip
    for matter in matters:
        found = matter.given_up
        what = "payment" if found.kind == "intent" else f"refund {found.thing_id}"
        table.add_row(
            matter.tenant, str(found.order_id), what, found.status,
            f"{found.amount_minor} {found.currency} (minor)", str(found.looks),
        )  # fmt: skip
    if matters:
        out.print(table)
        say("`serai payment retry ORDER` asks the provider again, or --all for all of them.")
    else:
        say("Nothing was given up.")


@app.command(epilog=f"Example: serai payment retry 0190c3... {EXIT_CODES}")
def retry(
    order: Annotated[UUID | None, typer.Argument(help="The order's id.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Everything that was given up.")] = False,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Have the provider asked again, as often as the first time. A worker does it within seconds.

    Harmless: the provider does a thing once for each key, and tells what it did.
    """
    if (order is None) != every:
        raise Failure("name one order, or --all of them", code="usage", exit_code=USAGE)
    count = run_async(_retry(tenant, order))
    if as_json:
        print_json({"retried": count})
    else:
        say(f"{count} due again; a worker with a scheduler asks within seconds.")


async def _list(name: str | None, limit: int) -> list[Matter]:
    found: list[Matter] = []
    async with go_inside(settings.load()) as house:
        for tenant in await find_tenants(house, name):
            after: UUID | None = None
            while len(found) < limit:
                wanted = min(PAGE, limit - len(found))
                page = await house.look_ups.list_given_up(tenant.id, after=after, limit=wanted)
                found += [Matter(tenant.name, given_up) for given_up in page]
                if len(page) < wanted:
                    break
                after = page[-1].thing_id
    return found


async def _retry(name: str | None, order: UUID | None) -> int:
    count = 0
    async with go_inside(settings.load()) as house:
        for tenant in await find_tenants(house, name):
            count += await house.look_ups.retry_given_up(tenant.id, order_id=order)
    if order is not None and not count:
        raise Failure(f"nothing of the order {order} was given up; `serai payment list` names it")
    return count
