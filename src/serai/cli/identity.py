"""`serai identity rotate-keys`."""

from typing import Annotated
from uuid import UUID

import typer

from serai import settings
from serai.cli.console import EXIT_CODES, AsJson, print_json, run_async, say
from serai.cli.inside import go_inside

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def describe() -> None:
    """Rotate the keys that sign access tokens."""


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


async def _rotate(*, is_compromised: bool) -> UUID:
    async with go_inside(settings.load()) as house:
        key_id: UUID = await house.identity.rotate_keys(is_compromised=is_compromised)
        return key_id
