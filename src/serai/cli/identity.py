"""`serai identity rotate-keys` and `serai identity mail-token`."""

from typing import Annotated
from uuid import UUID

import typer

from serai import settings
from serai.cli.console import EXIT_CODES, AsJson, Failure, print_json, run_async, say
from serai.cli.inside import find_tenants, go_inside

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def describe() -> None:
    """Rotate the keys that sign access tokens, or read a token that was mailed."""


@app.command("rotate-keys", epilog=f"Example: serai identity rotate-keys. {EXIT_CODES}")
def rotate_keys(
    compromised: Annotated[
        bool,
        typer.Option(
            "--compromised",
            help="End the old keys at once: tokens that they signed are over, sessions are not.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make a new signing key. Nobody is signed out; it signs in ten minutes, or at once."""
    key_id = run_async(_rotate(is_compromised=compromised))
    if as_json:
        print_json({"key_id": key_id})
    else:
        say(f"key     {key_id}")


@app.command(
    "mail-token", epilog=f"Example: serai identity mail-token my-shop me@example.org. {EXIT_CODES}"
)
def show_mail_token(
    name: Annotated[str, typer.Argument(help="The tenant's name.")],
    email: Annotated[str, typer.Argument(help="The address that it was mailed to.")],
    as_json: AsJson = False,
) -> None:
    """Show the latest token that was mailed to an address: for where no mail server is set."""
    token = run_async(_find_token(name, email))
    if as_json:
        print_json({"token": token})
    else:
        say(f"token   {token}")


async def _find_token(name: str, email: str) -> str:
    async with go_inside(settings.load()) as house:
        [tenant] = await find_tenants(house, name)
        token: str | None = await house.identity.find_mail_token(tenant.id, email)
    if token is None:
        raise Failure("no token that is good now was mailed to this address")
    return token


async def _rotate(*, is_compromised: bool) -> UUID:
    async with go_inside(settings.load()) as house:
        key_id: UUID = await house.identity.rotate_keys(is_compromised=is_compromised)
        return key_id
