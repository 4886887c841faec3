"""`serai plan`: which plans there are, and which tenant is on which."""

from typing import Annotated

import typer
from rich.table import Column, Table

from serai import settings
from serai.cli.console import EXIT_CODES, AsJson, out, print_json, run_async, say
from serai.cli.inside import find_tenants, go_inside
from serai.contexts.billing.contract import Plan, SubscriptionView

app = typer.Typer(no_args_is_help=True, add_completion=False)

Name = Annotated[str, typer.Argument(help="The tenant's name.")]


@app.callback()
def describe() -> None:
    """List the plans of SERAI_PLANS, put tenants on them, and see what is used."""


@app.command("list", epilog=f"Example: serai plan list --json. {EXIT_CODES}")
def list_all(as_json: AsJson = False) -> None:
    """List the plans that tenants may be put on; a dash is no limit."""
    plans = run_async(_list())
    if as_json:
        print_json({"plans": plans})
        return
    names = ("a month", "an order", "requests/s", "orders", "SKUs", "staff", "devices")
    right = [Column(name, justify="right") for name in names]
    table = Table("name", "currency", *right)
    for plan in plans:
        quotas = (plan.requests_per_second, plan.orders_per_month, plan.skus, plan.staff,
                  plan.devices)  # fmt: skip
        table.add_row(
            plan.name, plan.currency, str(plan.monthly_minor), str(plan.per_order_minor),
            *("-" if quota is None else str(quota) for quota in quotas),
        )  # fmt: skip
    out.print(table)
    say("Prices are in minor units.")


@app.command(epilog=f"Example: serai plan assign my-shop growth. {EXIT_CODES}")
def assign(
    name: Name,
    plan: Annotated[str, typer.Argument(help="The plan's name.")],
    time_zone: Annotated[
        str | None, typer.Option(help="Where its months begin, like Europe/Berlin. [UTC]")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Put a tenant on a plan from today on; the days before are billed by the plan before.

    The time zone is kept from the first plan until a subscription has ended and its last month is
    closed. In force within five seconds in every process.
    """
    _show(name, run_async(_assign(name, plan, time_zone)), as_json=as_json)


@app.command(epilog=f"Example: serai plan end my-shop. {EXIT_CODES}")
def end(name: Name, as_json: AsJson = False) -> None:
    """End a tenant's subscription: today is the first day that is not billed, nor limited."""
    _show(name, run_async(_assign(name, None, None)), as_json=as_json)


@app.command(epilog=f"Example: serai plan show my-shop. {EXIT_CODES}")
def show(name: Name, as_json: AsJson = False) -> None:
    """Show a tenant's plan and what is used of it this month."""
    _show(name, run_async(_find(name)), as_json=as_json)


def _show(name: str, view: SubscriptionView | None, *, as_json: bool) -> None:
    if as_json:
        print_json({"subscription": view})
    elif view is None:
        say(f"{name} has no plan: nothing is limited, and nothing billed")
    else:
        most = view.usage.orders_max
        of = "" if most is None else f" of {most}"
        say(f"{name} is on {view.plan.name} since {view.since} ({view.time_zone})")
        say(f"orders this month: {view.usage.orders_metered}{of}")


async def _list() -> list[Plan]:
    async with go_inside(settings.load()) as house:
        return list(house.billing.plans)


async def _assign(name: str, plan: str | None, zone: str | None) -> SubscriptionView | None:
    async with go_inside(settings.load()) as house:
        [tenant] = await find_tenants(house, name)
        home = await house.homes.home_of(tenant.id)
        view: SubscriptionView | None = await house.billing.assign_plan(
            tenant.id, home, plan=plan, zone=zone
        )
        return view


async def _find(name: str) -> SubscriptionView | None:
    async with go_inside(settings.load()) as house:
        [tenant] = await find_tenants(house, name)
        home = await house.homes.home_of(tenant.id)
        view: SubscriptionView | None = await house.billing.find_subscription(tenant.id, home)
        return view
