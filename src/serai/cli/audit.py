"""`serai audit verify` and `serai audit head`: whether the audit trail is what was written."""

from typing import Annotated, Any, Final

import msgspec
import typer
from rich.progress import Progress
from rich.table import Column, Table

from serai import settings
from serai.cli.console import (
    EXIT_CODES,
    FAILED,
    AsJson,
    Failure,
    err,
    out,
    print_json,
    run_async,
    say,
)
from serai.cli.inside import find_tenants, go_inside
from serai.contexts.audit.contract import Audit, HeadView, Verified
from serai.contexts.tenancy.contract import TenantView

app = typer.Typer(no_args_is_help=True, add_completion=False)

HASH_CHARS: Final = 64
Tenant = Annotated[str | None, typer.Option(help="Only the tenant of this name. [all]")]


class Outcome(msgspec.Struct, frozen=True):
    """What verifying the trail of one tenant has found."""

    tenant: str
    verdict: Verified


class Report(msgspec.Struct, frozen=True):
    """The trails of all tenants that were asked for."""

    is_whole: bool
    trails: list[Outcome]


class HeadOf(msgspec.Struct, frozen=True):
    """Where the trail of a tenant ends; None where nothing is in it."""

    tenant: str
    head: HeadView | None


@app.callback()
def describe() -> None:
    """Verify the audit trail, and export where it ends."""


@app.command(epilog="Example: serai audit verify. Exit codes: 0 whole, 1 broken, 3 n/a.")
def verify(
    tenant: Tenant = None,
    head: Annotated[
        str | None,
        typer.Option(help="A head that `serai audit head` told before, as SEQ:HASH; one tenant's."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Recompute every hash of the audit trail and name the first entry that does not hold.

    It only reads, and may run while the shop does. What the newest entries were can only be told by
    a head that was kept elsewhere.
    """
    if head is not None and tenant is None:
        raise Failure("a head is one tenant's: name it with --tenant")
    held = None if head is None else read_head(head)
    report = run_async(_verify(tenant, held, is_quiet=as_json))
    if as_json:
        print_json(report)
    else:
        _show(report)
    if not report.is_whole:
        raise typer.Exit(FAILED)


@app.command("head", epilog=f"Example: serai audit head --tenant my-shop. {EXIT_CODES}")
def show_head(tenant: Tenant = None, as_json: AsJson = False) -> None:
    """Tell where the audit trail ends, to be kept where no one of this installation can write."""
    heads = run_async(_heads(tenant))
    if as_json:
        print_json({"heads": heads})
        return
    for one in heads:
        say(f"{one.tenant}  {'empty' if one.head is None else f'{one.head.seq}:{one.head.hash}'}")


def read_head(text: str) -> HeadView:
    """A head as `serai audit head` tells it."""
    seq, _, digest = text.strip().partition(":")
    if not seq.isdecimal() or len(digest) != HASH_CHARS or set(digest) - set("0123456789abcdef"):
        raise Failure("a head is written SEQ:HASH, as `serai audit head` tells it")
    return HeadView(int(seq), digest)


async def _verify(name: str | None, held: HeadView | None, *, is_quiet: bool) -> Report:
    async with go_inside(settings.load()) as house:
        tenants = await find_tenants(house, name)
        return await verify_trails(house.audit, tenants, held=held, is_quiet=is_quiet)


async def verify_trails(
    audit: Audit, tenants: list[TenantView], *, held: HeadView | None = None, is_quiet: bool
) -> Report:
    """Each tenant's trail, a piece at a time."""
    trails: list[Outcome] = []
    with Progress(console=err, transient=True, disable=is_quiet) as progress:
        for tenant in tenants:
            bar: Any = progress.add_task(f"Verifying {tenant.name}", total=None)
            async for done, total, verdict in audit.verify(tenant.id, held=held):
                progress.update(bar, completed=done, total=total)
                if verdict is not None:
                    trails.append(Outcome(tenant.name, verdict))
            progress.remove_task(bar)
    return Report(all(one.verdict.broken is None for one in trails), trails)


async def _heads(name: str | None) -> list[HeadOf]:
    async with go_inside(settings.load()) as house:
        tenants = await find_tenants(house, name)
        return [HeadOf(t.name, await house.audit.find_head(t.id)) for t in tenants]


def _show(report: Report) -> None:
    table = Table(Column("tenant", no_wrap=True), "whole", "entries", "first", "last")
    for one in report.trails:
        verdict = one.verdict
        whole = "[green]yes[/]" if verdict.broken is None else "[red]no[/]"
        last = "" if verdict.head is None else str(verdict.head.seq)
        table.add_row(one.tenant, whole, str(verdict.entries), str(verdict.begins_at), last)
    out.print(table)
    for one in report.trails:
        if one.verdict.broken is not None:
            say(f"{one.tenant}: entry {one.verdict.broken.seq}: {one.verdict.broken.what}")
