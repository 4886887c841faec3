"""`serai privacy rotate-key`."""

import typer

from serai import settings
from serai.cli.console import EXIT_CODES, AsJson, print_json, run_async, say
from serai.cli.inside import go_inside
from serai.kernel.seals.rotation import SETTLE, Rotated, rotate

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def describe() -> None:
    """Rotate what wraps the keys of personal data."""


@app.command("rotate-key", epilog=f"Example: serai privacy rotate-key. {EXIT_CODES}")
def rotate_key(as_json: AsJson = False) -> None:
    """Wrap every key of personal data anew, and end what wrapped it; rows are not touched.

    After that, backups hold nothing of those who were erased before. Killed, it is run again.
    """
    if not as_json:
        say(f"waiting until every process knows the new key, {SETTLE.total_seconds():.0f} s ...")
    done = run_async(_rotate())
    if as_json:
        print_json(done)
        return
    say(f"root key     {done.root}")
    say(f"wrapped      {done.rewrapped} keys")
    if not done.is_retired:
        say("now take the old key out of SERAI_PRIVACY_KEY: until then old backups can be read")


async def _rotate() -> Rotated:
    async with go_inside(settings.load()) as house:
        return await rotate(
            house.seals.roots, database=house.database, homes=house.homes, clock=house.clock
        )
