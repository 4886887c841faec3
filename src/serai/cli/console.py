"""What commands say, and how: text for people, one JSON document for scripts, and exit codes."""

import asyncio
import sys
from collections.abc import Coroutine
from typing import Annotated, Any, Final, TypeVar

import msgspec
import typer
from rich.console import Console

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
UNAVAILABLE: Final = 3
INTERRUPTED: Final = 130

EXIT_CODES: Final = "Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 not available now."

AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on standard output, nothing else.")
]

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

T = TypeVar("T")

_encode = msgspec.json.Encoder(decimal_format="string").encode


class Failure(Exception):
    """The command cannot do what was asked, and nothing is wrong with Serai; says what to do."""

    def __init__(self, detail: str, *, code: str = "failed", exit_code: int = FAILED) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code
        self.exit_code = exit_code


def say(text: str = "") -> None:
    """A line for people; never broken, so that what is in it can be copied."""
    out.print(text, soft_wrap=True)


def print_json(value: Any) -> None:
    """The one JSON document of a command; money as text, times as ISO 8601."""
    raw = _encode(value)
    sys.stdout.write(msgspec.json.format(raw, indent=2).decode() + "\n")
    sys.stdout.flush()


def print_failure(detail: str, *, code: str) -> None:
    """Says why a command failed; to a script that asked for JSON, in its one document too."""
    if "--json" in sys.argv:
        print_json({"error": {"code": code, "detail": detail}})
    err.print(f"[bold red]serai:[/] {plain(detail)}", soft_wrap=True)


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Runs a command's work to its end."""
    return asyncio.run(work)


def plain(text: str) -> str:
    """Text of others, whose brackets are no markup."""
    return text.replace("[", r"\[")
