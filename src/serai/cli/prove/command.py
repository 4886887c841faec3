"""`serai prove`: the promises, tried on real processes that are killed, frozen and cut off."""

import asyncio
import secrets
import signal
from pathlib import Path
from typing import Annotated, Final

import typer

from serai.cli.console import (
    FAILED,
    INTERRUPTED,
    UNAVAILABLE,
    USAGE,
    AsJson,
    Failure,
    print_json,
    run_async,
    say,
)
from serai.cli.prove import outcome
from serai.cli.prove.attacks.command import Wish, attack
from serai.cli.prove.attacks.runner import ROUNDS
from serai.cli.prove.members import NotReady
from serai.cli.prove.page import write_report
from serai.cli.prove.plan import make_plan
from serai.cli.prove.progress import Board
from serai.cli.prove.session import Proof, prove

app = typer.Typer(add_completion=False)

SECONDS: Final = 120.0
SECONDS_MIN: Final = 5.0
SECONDS_MAX: Final = 3_600.0
SEED_BITS: Final = 31
ROUNDS_MAX: Final = 10_000


@app.command(
    "prove",
    epilog=(
        "Example: serai prove --seconds 120 --seed 7 --report proof; serai prove --attacks "
        "--url http://127.0.0.1:8000 --key KEY. Exit codes: 0 every promise held, 1 one was "
        "broken, 2 wrong usage, 3 it could not be tried."
    ),
)
def run(  # noqa: PLR0917 - an option is named on the command line
    seconds: Annotated[
        float, typer.Option(min=SECONDS_MIN, max=SECONDS_MAX, help="Length of the attack.")
    ] = SECONDS,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Decides every fault and every order; else one by chance."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(file_okay=False, help="A folder for a page with all that happened."),
    ] = None,
    attacks: Annotated[
        bool, typer.Option("--attacks", help="Try the list of attacks over HTTP instead.")
    ] = False,
    url: Annotated[
        str | None, typer.Option(help="Attack the shop that runs there; else one of its own.")
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="A staff key of the tenant that gets the bait.")
    ] = None,
    other_key: Annotated[str | None, typer.Option(help="One of another tenant's.")] = None,
    callback_secret: Annotated[
        str | None, typer.Option(help="What the payment provider signs its callbacks with.")
    ] = None,
    rounds: Annotated[
        int, typer.Option(min=1, max=ROUNDS_MAX, help="Rounds of each attack.")
    ] = ROUNDS,
    only: Annotated[
        list[str] | None, typer.Option(help="An attack or a family of them; may be repeated.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Attack a shop of real processes while buyers buy, and check every promise afterwards.

    PostgreSQL, two APIs, two workers and the payment sandbox run in a temporary folder; nothing
    of a shop of yours is touched. Processes are killed and frozen, connections cut and stalled,
    clocks moved; the provider is silent, late, repeats itself and is impersonated. The same seed
    plans the same faults and orders; what they meet is up to the moment.

    With --attacks nothing is killed: concurrent sessions try over HTTP to sell a unit twice, get
    money back twice, act on what is not true any more, and reach another tenant's things. They
    try it on a shop of their own, or on the one at --url, in the tenant of --key.
    """
    if attacks:
        wish = Wish(
            url=url, key=key, other_key=other_key, callback_secret=callback_secret, seed=seed,
            rounds=rounds, names=tuple(only or ()), as_json=as_json,
        )  # fmt: skip
        attack(wish)
        return
    if url or key or other_key or callback_secret or only:
        raise Failure("--url, --key, --other-key, --callback-secret and --only belong to --attacks",
                      code="usage", exit_code=USAGE)  # fmt: skip
    chosen = secrets.randbits(SEED_BITS) if seed is None else seed
    proof = run_async(_run(seconds, chosen, is_quiet=as_json))
    found = outcome.outcome_of(proof)
    if report is not None:
        path = write_report(report, proof, found)
    if as_json:
        # The failure of a run that proves nothing is its one document.
        if found.acknowledged or not found.is_clean:
            print_json(found)
    else:
        outcome.show(found)
        if report is not None:
            say(f"The whole of it: {path}")
    end(found)


def end(found: outcome.Outcome) -> None:
    """Ends with the code of what was found; a run in which nothing happened has proved nothing."""
    if not found.is_clean:
        raise typer.Exit(FAILED)
    if not found.acknowledged:
        raise Failure(
            "no order was acknowledged, so nothing is proved: give the run more --seconds or the "
            "machine more rest", code="nothing_proved", exit_code=UNAVAILABLE,
        )  # fmt: skip


async def _run(seconds: float, seed: int, *, is_quiet: bool) -> Proof:
    """The run, which Ctrl-C and SIGTERM end in good order."""
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    try:
        with Board(is_quiet=is_quiet) as board:
            return await prove(make_plan(seed, seconds), board)
    except NotReady as late:
        raise Failure(str(late), code="not_ready", exit_code=UNAVAILABLE) from late
    except asyncio.CancelledError:
        raise typer.Exit(INTERRUPTED) from None
