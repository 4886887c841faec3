"""`serai check`: every invariant of every context, for every tenant, on the database as it is."""

from typing import Annotated, Final

import msgspec
import typer
from rich.progress import Progress
from rich.table import Column, Table

from serai import settings
from serai.cli.console import FAILED, AsJson, err, out, plain, print_json, run_async, say
from serai.cli.inside import find_tenants, go_inside
from serai.contexts.tenancy.contract import TenantView
from serai.kernel import wall
from serai.kernel.tenant import MAIN
from serai.roles.composition import Composition

app = typer.Typer(add_completion=False)

SHOWN_MAX: Final = 20
"""Violations of one check that the table shows; --json has them all."""


class Violation(msgspec.Struct, frozen=True):
    """What breaks an invariant, and whose it is."""

    tenant: str
    detail: str


class Outcome(msgspec.Struct, frozen=True):
    """An invariant and what breaks it."""

    module: str
    check: str
    sentence: str
    violations: list[Violation]


class Report(msgspec.Struct, frozen=True):
    """All invariants over all tenants that were asked for."""

    is_clean: bool
    tenants: int
    checks: list[Outcome]
    warnings: list[str] = []
    """What breaks no invariant and should not stay so."""


@app.command(
    epilog="Example: serai check --tenant my-shop. Exit codes: 0 clean, 1 violations, 3 n/a."
)
def check(
    tenant: Annotated[
        str | None, typer.Option(help="Check only the tenant of this name. [all]")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Prove the invariants on the database as it is: nothing oversold, lost or out of balance.

    It only reads, and may run while the shop does.
    """
    report = run_async(_run(tenant, is_quiet=as_json))
    if as_json:
        print_json(report)
    else:
        _show(report)
    if not report.is_clean:
        raise typer.Exit(FAILED)


async def _run(name: str | None, *, is_quiet: bool) -> Report:
    async with go_inside(settings.load()) as house:
        tenants = await find_tenants(house, name)
        report = await check_tenants(house, tenants, is_quiet=is_quiet)
        names = {(await house.homes.home_of(tenant.id)).database for tenant in tenants}
        movable = await wall.find_movable(house.database, names | {MAIN})
        return msgspec.structs.replace(report, warnings=[wall.warn(name) for name in movable])


async def check_tenants(house: Composition, tenants: list[TenantView], *, is_quiet: bool) -> Report:
    """Each check for each tenant, in a read-only transaction that sees that tenant only."""
    checks = list(house.checks())
    found: dict[str, list[Violation]] = {check.name: [] for _, check in checks}
    with Progress(console=err, transient=True, disable=is_quiet) as progress:
        bar = progress.add_task("Checking", total=len(tenants) * len(checks))
        for tenant in tenants:
            home = await house.homes.home_of(tenant.id)
            for _, check in checks:
                progress.update(bar, description=f"{tenant.name}: {check.name}")
                async with house.database.transaction(home, (tenant.id,), is_report=True) as tx:
                    findings = await check.run(tx, tenant.id)
                found[check.name] += [
                    Violation(tenant.name, finding.detail) for finding in findings
                ]
                progress.advance(bar)
    outcomes = [
        Outcome(module, check.name, check.sentence, found[check.name]) for module, check in checks
    ]
    return Report(not any(found.values()), len(tenants), outcomes)


def _show(report: Report) -> None:
    table = Table(Column("check", no_wrap=True), "holds", "what it says")
    for outcome in report.checks:
        broken = len(outcome.violations)
        holds = f"[red]no: {broken}[/]" if broken else "[green]yes[/]"
        table.add_row(outcome.check, holds, outcome.sentence)
    out.print(table)
    for outcome in report.checks:
        for violation in outcome.violations[:SHOWN_MAX]:
            say(f"{outcome.check}  {violation.tenant}: {violation.detail}")
        if len(outcome.violations) > SHOWN_MAX:
            say(f"... and {len(outcome.violations) - SHOWN_MAX} more; --json has them all")
    for warning in report.warnings:
        err.print(f"[yellow]{plain(warning)}")
    tenants = "1 tenant" if report.tenants == 1 else f"{report.tenants} tenants"
    say(f"{tenants} checked: {'all is well.' if report.is_clean else 'something is wrong.'}")
