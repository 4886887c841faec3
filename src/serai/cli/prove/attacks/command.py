"""`serai prove --attacks`: runs the list against a shop that is there, or one of our own."""

import contextlib
import secrets
import socket
import tempfile
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import typer
from rich.progress import Progress
from rich.table import Column, Table

from serai import settings
from serai.cli.check import Report, check_tenants
from serai.cli.console import (
    FAILED,
    UNAVAILABLE,
    USAGE,
    Failure,
    err,
    out,
    print_json,
    run_async,
    say,
)
from serai.cli.inside import go_inside
from serai.cli.prove.attacks.ground import Violation
from serai.cli.prove.attacks.runner import Outcome, Verdict, choose, run_attacks
from serai.cli.prove.attacks.session import TargetGone
from serai.cli.prove.attacks.target import Target
from serai.cli.supervise import Supervisor
from serai.contexts.tenancy.contract import SCOPES, TenantView
from serai.settings import Settings

SEED_BITS: Final = 32
STEPS_SHOWN: Final = 20
WIDE: Final = 130
"""Columns of a terminal from which on there is room for what each attack tries."""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for on the command line."""

    url: str | None = None
    key: str | None = None
    other_key: str | None = None
    callback_secret: str | None = None
    seed: int | None = None
    rounds: int
    names: tuple[str, ...] = ()
    as_json: bool = False


def attack(wish: Wish) -> None:
    """Runs the attacks, shows what came of them, and exits with 1 where one succeeded."""
    if (wish.url is None) != (wish.key is None):
        raise Failure("--url and --key go together: the address of a running shop, and a staff key "
                      "of a tenant that may be filled with bait", code="usage",
                      exit_code=USAGE)  # fmt: skip
    try:
        choose(wish.names)
    except KeyError as error:
        raise Failure(f"there is no attack and no family named {error}", code="usage",
                      exit_code=USAGE) from error  # fmt: skip
    try:
        verdict = run_async(_attack(wish))
    except* TargetGone as gone:
        raise Failure(f"the shop is gone: {gone.exceptions[0]}", code="unavailable",
                      exit_code=UNAVAILABLE) from gone  # fmt: skip
    if wish.as_json:
        print_json(verdict)
    else:
        show(verdict)
    if not verdict.has_held:
        raise typer.Exit(FAILED)


async def _attack(wish: Wish) -> Verdict:
    seed = secrets.randbits(SEED_BITS) if wish.seed is None else wish.seed
    async with contextlib.AsyncExitStack() as stack:
        if wish.url is not None and wish.key is not None:
            target = Target(wish.url, wish.key, wish.other_key, wish.callback_secret)
        else:
            with err.status("Starting a shop to attack ..."):
                target = await stack.enter_async_context(own_shop())
        with Progress(console=err, transient=True, disable=wish.as_json) as bar:
            task = bar.add_task("Attacking", total=None)
            return await run_attacks(
                target,
                seed=seed,
                rounds=wish.rounds,
                names=wish.names,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )


@contextlib.asynccontextmanager
async def own_shop() -> AsyncIterator[Target]:
    """A shop in a temporary folder, with two tenants; gone when it is left."""
    with tempfile.TemporaryDirectory(prefix="serai-attacks-") as folder:
        port, worker_port = _free_ports()
        ours = msgspec.structs.replace(
            settings.load_with(data_dir=str(Path(folder) / "data")),
            host="127.0.0.1",
            port=port,
            worker_port=worker_port,
            database_url="",
            database_app_url="",
            tls_certificate="",
            tls_key="",
        )
        supervisor = Supervisor(ours, has_log_files=True)
        try:
            await supervisor.start()
            assert supervisor.urls is not None
            walled = msgspec.structs.replace(ours, database_app_url=supervisor.urls.app_url)
            yield await _enter(supervisor.api_url, walled)
        finally:
            await supervisor.stop()


async def _enter(url: str, walled: Settings) -> Target:
    async with go_inside(walled) as house:
        issued = [await house.tenancy.create_tenant(n, scopes=SCOPES) for n in ("bait", "foe")]
    tenants = [tenant.tenant for tenant in issued]
    keys = [tenant.key.key for tenant in issued]
    check = partial(_check, walled, tenants)
    return Target(url, keys[0], keys[1], walled.callback_secret, check)


async def _check(walled: Settings, tenants: list[TenantView]) -> Report:
    """What `serai check` says of the tenants."""
    async with go_inside(walled) as house:
        return await check_tenants(house, tenants, is_quiet=True)


def show(verdict: Verdict) -> None:
    """The table, and the history of what succeeded."""
    table = Table(Column("attack", no_wrap=True), "anomaly", "rounds", "interleavings", "held")
    if out.width >= WIDE:
        table.add_column("what is tried")
    for outcome in verdict.attacks:
        cells = [
            outcome.name, outcome.anomaly, str(outcome.rounds), str(outcome.interleavings),
            _held(outcome), outcome.sentence,
        ]  # fmt: skip
        table.add_row(*cells[: len(table.columns)])
    out.print(table)
    for outcome in verdict.attacks:
        for violation in outcome.violations:
            _show_violation(outcome, violation)
    if verdict.check is not None:
        for check in verdict.check.checks:
            for found in check.violations:
                say(f"serai check: {check.check}  {found.tenant}: {found.detail}")
    tried = [outcome for outcome in verdict.attacks if outcome.lacks is None]
    rounds = sum(outcome.rounds for outcome in tried)
    broken = sum(not outcome.has_held for outcome in tried)
    say(f"{len(tried)} attacks, {rounds} rounds, {verdict.requests} requests, seed {verdict.seed}: "
        f"{'all held.' if verdict.has_held else f'{broken} succeeded.'}")  # fmt: skip


def _held(outcome: Outcome) -> str:
    if outcome.lacks is not None:
        return f"not tried: needs {outcome.lacks}"
    if outcome.has_held:
        return "[green]yes[/]"
    return f"[red]no, in {outcome.rounds_broken}[/]"


def _show_violation(outcome: Outcome, violation: Violation) -> None:
    say()
    say(f"[bold]{outcome.name}[/], round {violation.round}: broken: {violation.broken}")
    for name, value in violation.seen.items():
        text = msgspec.json.encode(value).decode()
        out.print(f"  {name}: {text}", soft_wrap=True, markup=False)
    for step in violation.history[-STEPS_SHOWN:]:
        out.print(
            f"  {step.sent_ms:8.1f} to {step.answered_ms:8.1f} ms  {step.who}: "
            f"{step.status} {step.code}",
            soft_wrap=True, markup=False,
        )  # fmt: skip


def _free_ports() -> tuple[int, int]:
    """Two ports that nobody listens on now."""
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1]), int(other.getsockname()[1])
