"""The command `serai`: its commands, each loaded when called, and what a failure looks like."""

import importlib
import sys
from typing import Annotated, Any, Final, NamedTuple

import asyncpg
import typer
from typer.core import TyperGroup

from serai.cli import console
from serai.cli.console import Failure
from serai.kernel.embedded import EmbeddedError
from serai.kernel.failure import Refused, Unavailable
from serai.kernel.migrate import MigrationFailed
from serai.settings import SettingsError, version


class Entry(NamedTuple):
    """Where a command is found, and what it does in one sentence."""

    target: str
    sentence: str


COMMANDS: Final = {
    "run": Entry("serai.cli.run:app", "Run the whole shop: database, API and worker, supervised."),
    "serve": Entry("serai.cli.serve:serve_app", "Run one role, or all of them, as this process."),
    "worker": Entry("serai.cli.serve:worker_app", "Hear events and ring timers as this process."),
    "scheduler": Entry("serai.cli.serve:scheduler_app", "Do recurring jobs as this process."),
    "migrate": Entry("serai.cli.migrate:app", "Bring the database up to date, or see how it is."),
    "tenant": Entry("serai.cli.tenant.command:app", "Make, suspend, export, erase tenants."),
    "plan": Entry("serai.cli.plan:app", "Put tenants on plans, and see what they use."),
    "identity": Entry("serai.cli.identity:app", "Rotate signing keys, or read a mailed token."),
    "import": Entry("serai.cli.import_command:app", "Read a catalog from a CSV file."),
    "check": Entry("serai.cli.check:app", "Prove the invariants on the database as it is."),
    "replay": Entry("serai.cli.replay.command:app", "Put a recorded trade through the public API."),
    "prove": Entry("serai.cli.prove.command:app", "Attack a shop of real processes, and judge it."),
    "bench": Entry("serai.cli.bench.orders:bench_app", "Measure orders a second, here and now."),
    "dlq": Entry("serai.cli.dlq:app", "Handle messages that wait for a person."),
    "payment": Entry("serai.cli.payment:app", "Ask the provider again about what was given up."),
    "audit": Entry("serai.cli.audit:app", "Verify the audit trail, and export where it ends."),
    "privacy": Entry("serai.cli.privacy:app", "Rotate what wraps the keys of personal data."),
    "openapi": Entry("serai.cli.openapi:app", "Write the API's description (OpenAPI 3.1)."),
}
"""In the order of the help. The API's code takes a while to load and most commands do without it,
so each is loaded by its name when it is called."""


class LazyCommands(TyperGroup):
    """Knows its commands by name and sentence, and loads the one that is called."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.loaded: dict[str, Any] = {}
        for name, entry in COMMANDS.items():
            self.add_command(_command(name, _unloaded, entry.sentence))

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - Typer's signature
        return list(COMMANDS)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] in COMMANDS and args[0] not in self.loaded:
            self.loaded[args[0]] = load_command(args[0])
            self.add_command(self.loaded[args[0]], args[0])
        return super().resolve_command(ctx, args)


def load_command(name: str) -> Any:
    """The command of that name, as Typer runs it."""
    entry = COMMANDS[name]
    module, _, attribute = entry.target.partition(":")
    target = getattr(importlib.import_module(module), attribute)
    if not isinstance(target, typer.Typer):
        return _command(name, target, entry.sentence)
    command = typer.main.get_command(target)
    command.name = name
    return command


def _command(name: str, function: Any, sentence: str) -> Any:
    single = typer.Typer(add_completion=False)
    single.command(name, short_help=sentence)(function)
    return typer.main.get_command(single)


def _unloaded() -> None:
    """Stands for a command until it is called."""


def _print_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"serai {version()}\n")
        raise typer.Exit


app = typer.Typer(
    cls=LazyCommands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog="Settings come from the environment (SERAI_...). To begin: serai run --demo",
)


@app.callback()
def describe(
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Serai: a headless commerce platform that never oversells and never loses an order."""


def main() -> None:
    """Runs the command line. What is not a bug ends in one sentence and an exit code."""
    try:
        app()
    except Failure as failure:
        code, name, detail = failure.exit_code, failure.code, failure.detail
    except SettingsError as error:
        code, name, detail = console.USAGE, "setting", str(error)
    except Refused as error:
        code, name, detail = console.FAILED, error.code, error.detail
    except MigrationFailed as error:
        code, name, detail = console.FAILED, "migration_failed", str(error)
    except (Unavailable, EmbeddedError) as error:
        code, name, detail = console.UNAVAILABLE, "unavailable", str(error)
    except (asyncpg.PostgresConnectionError, ConnectionError) as error:
        code, name, detail = console.UNAVAILABLE, "unavailable", f"the database is gone: {error}"
    except KeyboardInterrupt:
        code, name, detail = console.INTERRUPTED, "interrupted", "interrupted"
    else:
        return
    console.print_failure(detail, code=name)
    sys.exit(code)
