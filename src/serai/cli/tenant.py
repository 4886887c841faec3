"""`serai tenant create`, `serai tenant key`, `serai tenant staff` and `serai tenant list`."""

import re
from typing import Annotated, Final

import typer
from rich.table import Column, Table

from serai import settings
from serai.cli.console import EXIT_CODES, AsJson, Failure, out, print_json, run_async, say
from serai.cli.inside import find_tenants, go_inside
from serai.contexts.identity.contract import TENANT_HEADER, InvitedStaff
from serai.contexts.tenancy.contract import SCOPES, IssuedKeyView, IssuedTenant, TenantView
from serai.kernel.text import EMAIL_CHARS_MAX, EMAIL_PATTERN

app = typer.Typer(no_args_is_help=True, add_completion=False)

PAGE: Final = 500
OWNER: Final = "owner"
RESET_PATH: Final = "/v1/password-resets/confirmations"

Scopes = Annotated[
    list[str] | None,
    typer.Option("--scopes", help="What the key may do: scopes with commas between. [all]"),
]


@app.callback()
def describe() -> None:
    """Make tenants, their API keys and their first staff, and list them."""


@app.command(epilog=f"Example: serai tenant create my-shop. {EXIT_CODES}")
def create(
    name: Annotated[str, typer.Argument(help="A slug: small letters, digits, dashes.")],
    scopes: Scopes = None,
    as_json: AsJson = False,
) -> None:
    """Make a tenant and its first API key, which is shown this once."""
    issued = run_async(_create(name, _chosen(scopes)))
    if as_json:
        print_json(issued)
        return
    say(f"tenant  {issued.tenant.name}  {issued.tenant.id}")
    _show_key(issued.key)


@app.command(epilog=f"Example: serai tenant key my-shop --scopes orders:read. {EXIT_CODES}")
def key(
    name: Annotated[str, typer.Argument(help="The tenant's name.")],
    scopes: Scopes = None,
    label: Annotated[str, typer.Option(help="What the key is for.")] = "",
    as_json: AsJson = False,
) -> None:
    """Make another API key for a tenant, for instance when the last one was lost."""
    issued = run_async(_create_key(name, label, _chosen(scopes)))
    if as_json:
        print_json(issued)
    else:
        _show_key(issued)


@app.command(epilog=f"Example: serai tenant staff my-shop me@example.org. {EXIT_CODES}")
def staff(
    name: Annotated[str, typer.Argument(help="The tenant's name.")],
    email: Annotated[str, typer.Argument(help="The address that she signs in with.")],
    role: Annotated[
        list[str] | None, typer.Option("--role", help="A role; may be given again. [owner]")
    ] = None,
    person: Annotated[str, typer.Option("--person", help="Her name, for the mail.")] = "",
    as_json: AsJson = False,
) -> None:
    """Make a member of the staff, or let one in again who lost her password or her roles."""
    if not is_address(email):
        raise Failure(f"{email!r} is no address that mail can be sent to")
    invited = run_async(_invite(name, email, person, tuple(role or (OWNER,))))
    if as_json:
        print_json(invited)
        return
    say(f"staff   {invited.account.email}  {', '.join(invited.account.roles)}")
    say(f"token   {invited.token}")
    say(f"It was mailed too. To choose a password: POST {RESET_PATH} with the header")
    say(f"`{TENANT_HEADER}: {name}` and token and password in the body.")


@app.command("list", epilog=f"Example: serai tenant list --json. {EXIT_CODES}")
def list_all(as_json: AsJson = False) -> None:
    """List tenants by name."""
    tenants = run_async(_list())
    if as_json:
        print_json({"tenants": tenants})
        return
    table = Table("name", Column("id", no_wrap=True), "home", "created at")
    for tenant in tenants:
        table.add_row(
            tenant.name, str(tenant.id), tenant.home, f"{tenant.created_at:%Y-%m-%d %H:%M:%S}"
        )
    out.print(table)


def is_address(text: str) -> bool:
    """Whether it is one address that mail can go to."""
    return len(text) <= EMAIL_CHARS_MAX and re.search(EMAIL_PATTERN, text) is not None


def _show_key(issued: IssuedKeyView) -> None:
    say(f"key     {issued.key}")
    say("Keep the key: it is not stored and cannot be shown again.")


def _chosen(scopes: list[str] | None) -> tuple[str, ...]:
    if not scopes:
        return SCOPES
    return tuple(scope.strip() for part in scopes for scope in part.split(",") if scope.strip())


async def _create(name: str, scopes: tuple[str, ...]) -> IssuedTenant:
    async with go_inside(settings.load()) as house:
        issued: IssuedTenant = await house.tenancy.create_tenant(name, scopes=scopes)
        return issued


async def _create_key(name: str, label: str, scopes: tuple[str, ...]) -> IssuedKeyView:
    async with go_inside(settings.load()) as house:
        tenant = await house.tenancy.find_tenant(name)
        if tenant is None:
            raise Failure(f"there is no tenant named {name}; `serai tenant list` names them")
        issued: IssuedKeyView = await house.tenancy.create_key(
            tenant.id, label=label, scopes=scopes
        )
        return issued


async def _invite(name: str, email: str, person: str, roles: tuple[str, ...]) -> InvitedStaff:
    async with go_inside(settings.load()) as house:
        [tenant] = await find_tenants(house, name)
        invited: InvitedStaff = await house.identity.invite_staff(
            tenant.id, email=email, name=person, roles=roles
        )
        return invited


async def _list() -> list[TenantView]:
    found: list[TenantView] = []
    async with go_inside(settings.load()) as house:
        while True:
            after = found[-1].name if found else ""
            page = await house.tenancy.list_tenants(after=after, limit=PAGE)
            found += page
            if len(page) < PAGE:
                return found
