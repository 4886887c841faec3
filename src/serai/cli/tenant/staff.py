"""`serai tenant staff`: makes the first member of a tenant's staff, or lets one in again."""

import re
from typing import Annotated, Final

import typer

from serai import settings
from serai.cli.console import AsJson, Failure, print_json, run_async, say
from serai.cli.inside import find_tenants, go_inside
from serai.contexts.identity.contract import TENANT_HEADER, InvitedStaff
from serai.kernel.text import EMAIL_CHARS_MAX, EMAIL_PATTERN

OWNER: Final = "owner"
RESET_PATH: Final = "/v1/password-resets/confirmations"


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


def is_address(text: str) -> bool:
    """Whether it is one address that mail can go to."""
    return len(text) <= EMAIL_CHARS_MAX and re.search(EMAIL_PATTERN, text) is not None


async def _invite(name: str, email: str, person: str, roles: tuple[str, ...]) -> InvitedStaff:
    async with go_inside(settings.load()) as house:
        [tenant] = await find_tenants(house, name)
        invited: InvitedStaff = await house.identity.invite_staff(
            tenant.id, email=email, name=person, roles=roles
        )
        return invited
