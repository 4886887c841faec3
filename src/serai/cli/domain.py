"""`serai domain`: the domains of tenants, for whoever operates an installation."""

import contextlib
from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

import msgspec
import typer
from rich.table import Column, Table

from serai import settings
from serai.cli.console import EXIT_CODES, AsJson, Failure, out, print_json, run_async, say
from serai.cli.inside import find_tenants, go_inside
from serai.contexts.tenancy.contract.domains import DomainNames, DomainView
from serai.kernel import ids
from serai.kernel.actor import operator
from serai.kernel.events import Cause

app = typer.Typer(no_args_is_help=True, add_completion=False)

Name = Annotated[str, typer.Argument(help="The tenant's name.")]
Domain = Annotated[str, typer.Argument(help="The domain, like shop.example.com.")]


class Listed(msgspec.Struct, frozen=True):
    """The domains of a tenant."""

    tenant: str
    domains: list[DomainView]


@app.callback()
def describe() -> None:
    """List, claim, prove and drop the domains that tenants are known by."""


@app.command("list", epilog=f"Example: serai domain list my-shop. {EXIT_CODES}")
def list_all(
    name: Annotated[str | None, typer.Argument(help="The tenant's name. [all tenants]")] = None,
    as_json: AsJson = False,
) -> None:
    """List domains, whether they are proven, and the record that each needs."""
    tenants = run_async(_list(name))
    if as_json:
        print_json({"tenants": tenants})
        return
    table = Table("tenant", "domain", "state", "misses", "checked at",
                  Column("TXT record", no_wrap=True))  # fmt: skip
    for tenant in tenants:
        for one in tenant.domains:
            checked = "-" if one.checked_at is None else f"{one.checked_at:%Y-%m-%d %H:%M:%S}"
            table.add_row(
                tenant.tenant, one.domain, one.state, str(one.misses), checked, one.record_value
            )
    out.print(table)


@app.command(epilog=f"Example: serai domain add my-shop shop.example.com. {EXIT_CODES}")
def add(name: Name, domain: Domain, as_json: AsJson = False) -> None:
    """Claim a domain for a tenant, and say which record proves it within seven days."""
    view = run_async(_claim(name, domain))
    _show(view, as_json=as_json)
    if not as_json and view.state != "proven":
        say(f"put a TXT record at {view.record_name} with the value {view.record_value}")
        say(f"then: serai domain verify {name} {view.domain}")


@app.command(epilog=f"Example: serai domain verify my-shop shop.example.com. {EXIT_CODES}")
def verify(name: Name, domain: Domain, as_json: AsJson = False) -> None:
    """Ask the DNS for the record of a claim, or of a domain that was suspended.

    The record must stay: it is looked for again every six hours.
    """
    _show(run_async(_verify(name, domain)), as_json=as_json)


@app.command(epilog=f"Example: serai domain drop my-shop shop.example.com. {EXIT_CODES}")
def drop(name: Name, domain: Domain, as_json: AsJson = False) -> None:
    """Give a domain up: within five seconds no process knows the tenant by it any more."""
    if not run_async(_drop(name, domain)):
        raise Failure(f"{name} has no domain {domain}; `serai domain list {name}` names them")
    if as_json:
        print_json({"dropped": domain})
    else:
        say(f"{domain} is dropped")


def _show(view: DomainView, *, as_json: bool) -> None:
    if as_json:
        print_json(view)
    else:
        say(f"{view.domain} is {view.state}")


async def _list(name: str | None) -> list[Listed]:
    async with go_inside(settings.load()) as house:
        tenants = await find_tenants(house, name)
        names = house.tenancy.domains
        return [Listed(tenant.name, await names.list_domains(tenant.id)) for tenant in tenants]


async def _claim(name: str, domain: str) -> DomainView:
    async with _open(name) as (names, tenant_id, cause):
        return await names.claim_domain(tenant_id, domain, cause)


async def _verify(name: str, domain: str) -> DomainView:
    async with _open(name) as (names, tenant_id, cause):
        return await names.verify_domain(tenant_id, domain, cause)


async def _drop(name: str, domain: str) -> bool:
    async with _open(name) as (names, tenant_id, cause):
        return await names.remove_domain(tenant_id, domain, cause)


@contextlib.asynccontextmanager
async def _open(name: str) -> AsyncIterator[tuple[DomainNames, UUID, Cause]]:
    async with go_inside(settings.load()) as house:
        [tenant] = await find_tenants(house, name)
        yield house.tenancy.domains, tenant.id, Cause(ids.new_id(), actor=operator())
