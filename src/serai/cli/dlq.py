"""`serai dlq`: messages that could not be handled and wait for a person."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Final
from uuid import UUID

import typer
from rich.table import Column, Table

from serai import settings
from serai.cli.console import EXIT_CODES, USAGE, AsJson, Failure, out, print_json, run_async, say
from serai.cli.inside import go_inside
from serai.kernel import dlq
from serai.kernel.db import Database
from serai.kernel.dlq import Letter
from serai.kernel.tenant import Home

app = typer.Typer(no_args_is_help=True, add_completion=False)

LISTED: Final = 50
ERROR_CHARS: Final = 60

EventId = Annotated[UUID, typer.Argument(help="The message's id.")]
Group = Annotated[str | None, typer.Option(help="Only of this consumer group. [all]")]


@app.callback()
def describe() -> None:
    """Handle messages that wait for a person."""


@app.command("list", epilog=f"Example: serai dlq list --group checkout. {EXIT_CODES}")
def list_parked(
    group: Group = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = LISTED,
    as_json: AsJson = False,
) -> None:
    """List parked messages, newest first."""
    letters = run_async(_list(group, limit))
    if as_json:
        print_json({"letters": letters})
        return
    table = Table(
        Column("id", no_wrap=True), "group", "type", "state", "tries", "parked at", "error"
    )
    for letter in letters:
        error = letter.error.strip().splitlines()[-1][:ERROR_CHARS] if letter.error.strip() else ""
        table.add_row(
            str(letter.event_id), letter.group, letter.type, letter.state, str(letter.attempts),
            f"{letter.parked_at:%Y-%m-%d %H:%M:%S}", error.replace("[", r"\["),
        )  # fmt: skip
    if letters:
        out.print(table)
    else:
        say("No message waits.")


@app.command(epilog=f"Example: serai dlq show 0190c3... {EXIT_CODES}")
def show(event_id: EventId, group: Group = None, as_json: AsJson = False) -> None:
    """Show one message with its whole context, in each group that has parked it."""
    letters = run_async(_find(event_id, group))
    if as_json:
        print_json({"letters": letters})
        return
    for letter in letters:
        print_json(letter)


@app.command(epilog=f"Example: serai dlq replay --all --group checkout. {EXIT_CODES}")
def replay(
    event_id: Annotated[UUID | None, typer.Argument(help="The message's id.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every parked message.")] = False,
    group: Group = None,
    as_json: AsJson = False,
) -> None:
    """Handle parked messages again now, then their followers in order.

    A worker does it within seconds. Harmless: what was handled already is known to the inbox.
    """
    if (event_id is None) != every:
        raise Failure("name one message, or --all of them", code="usage", exit_code=USAGE)
    count = run_async(_replay(event_id, group))
    if as_json:
        print_json({"replayed": count})
    else:
        say(f"{count} due again; a worker takes them up within seconds.")


@app.command(epilog=f"Example: serai dlq drop 0190c3... {EXIT_CODES}")
def drop(event_id: EventId, group: Group = None, as_json: AsJson = False) -> None:
    """Give a message up for good; its followers go on. Afterwards, run `serai check`."""
    count = run_async(_drop(event_id, group))
    if as_json:
        print_json({"dropped": count})
    else:
        say(f"{count} dropped. `serai check` names what disagrees because of it.")


@asynccontextmanager
async def _homes(group: str | None) -> AsyncIterator[tuple[Database, list[Home]]]:
    """The database with its homes; refuses a group that there is not, and names those there are."""
    async with go_inside(settings.load()) as house:
        groups = sorted({consumer.group for consumer in house.consumers})
        if group is not None and group not in groups:
            raise Failure(
                f"there is no group {group}; there are {', '.join(groups)}",
                code="unknown_group",
                exit_code=USAGE,
            )
        yield house.database, list(await house.homes.all_homes())


async def _list(group: str | None, limit: int) -> list[Letter]:
    found: list[Letter] = []
    async with _homes(group) as (database, homes):
        for home in homes:
            before: UUID | None = None
            while len(found) < limit:
                wanted = min(limit - len(found), dlq.LETTERS_PAGE_MAX)
                page = await dlq.list_letters(
                    database, home, group=group, before=before, limit=wanted
                )
                found += page
                if len(page) < wanted:
                    break
                before = page[-1].event_id
    return found


async def _find(event_id: UUID, group: str | None) -> list[Letter]:
    async with _homes(group) as (database, homes):
        found = [
            letter
            for home in homes
            for letter in await dlq.list_letters(database, home, group=group, event_id=event_id)
        ]
    if not found:
        raise _unknown()
    return found


async def _replay(event_id: UUID | None, group: str | None) -> int:
    count = 0
    async with _homes(group) as (database, homes):
        for home in homes:
            count += await dlq.revive_letters(database, home, group=group, event_id=event_id)
    if event_id is not None and not count:
        raise _unknown()
    return count


async def _drop(event_id: UUID, group: str | None) -> int:
    count = 0
    async with _homes(group) as (database, homes):
        for home in homes:
            count += await dlq.drop_letters(database, home, event_id=event_id, group=group)
    if not count:
        raise _unknown()
    return count


def _unknown() -> Failure:
    return Failure("no such message is parked; `serai dlq list` names those that are")
