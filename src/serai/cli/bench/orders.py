"""`serai bench orders`: how many orders a second this machine takes, and what one costs."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import asyncpg
import msgspec
import typer

from serai.cli import console
from serai.cli.bench import baseline, census, figures, measure
from serai.cli.bench.figures import Conditions, Run, Window
from serai.cli.bench.load import CURRENCY, HOT_SKUS, PRICE_MINOR, SKUS, UNITS, Load, Report
from serai.cli.bench.progress import Steps
from serai.cli.bench.shop import HOST, Installation, Shop, free_port, fresh_installation, open_shop
from serai.cli.console import EXIT_CODES, AsJson, Failure
from serai.kernel import ids, money
from serai.kernel.embedded import find_binaries, fsync_microseconds

WARM_UP_S = 2.0
SETTLE_TIMEOUT_S = 180.0
LOOK_S = 0.5
LOOK_SHARE = 10
"""Looking whether all orders have ended may take one part in so many of the time."""
MEMORY_AT = 0.75
"""The part of the window after which memory is read: all caches are warm by then."""
BASELINE_DATABASE = "serai_bench"
SECONDS_MAX = 600
CLIENTS_MAX = 1_000
LINES_MAX = 100
RUNS_MAX = 15

bench_app = typer.Typer(no_args_is_help=True, add_completion=False)


class ProviderName(StrEnum):
    """Where payments are made: in the worker itself, or by a server as in real life."""

    DIRECT = "direct"
    HTTP = "http"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is measured."""

    seconds: float
    is_hot: bool
    clients: int
    lines: int
    provider: ProviderName
    rate: float | None
    runs: int
    has_baseline: bool
    has_half: bool
    data_dir: Path | None

    @property
    def skus(self) -> tuple[str, ...]:
        """What is bought."""
        return HOT_SKUS if self.is_hot else SKUS


@bench_app.callback()
def describe() -> None:
    """Measure this machine: throughput, latency and cost, with a careful baseline beside them."""


@bench_app.command(epilog=f"Example: serai bench orders --seconds 20 --hot --json. {EXIT_CODES}")
def orders(
    seconds: Annotated[
        float, typer.Option(min=1, max=SECONDS_MAX, help="Length of the window.")
    ] = 20,
    hot: Annotated[bool, typer.Option("--hot", help="Every order is for the same SKU.")] = False,
    clients: Annotated[int, typer.Option(min=1, max=CLIENTS_MAX, help="Connections.")] = 128,
    lines: Annotated[int, typer.Option(min=1, max=LINES_MAX, help="Lines of an order.")] = 2,
    provider: Annotated[
        ProviderName, typer.Option(help="The sandbox in the worker, or as a server of its own.")
    ] = ProviderName.DIRECT,
    rate: Annotated[
        float | None,
        typer.Option(min=1, help="Orders a second, sent whatever the answers do. [as many as go]"),
    ] = None,
    runs: Annotated[int, typer.Option(min=1, max=RUNS_MAX, help="Report medians of so many.")] = 1,
    has_baseline: Annotated[
        bool, typer.Option("--baseline/--no-baseline", help="Measure the careful baseline too.")
    ] = True,
    at_half: Annotated[
        bool, typer.Option("--at-half", help="Measure confirmation at half of the rate too.")
    ] = False,
    data_dir: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="A folder on the disk to be measured."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Start a fresh shop in a temporary folder, send it orders, and say what it did.

    The shop's API, its worker, PostgreSQL (fsync on) and the load client share this machine. Fails
    if a unit was oversold or an accepted order was lost or did not end.
    """
    plan = Plan(
        seconds=seconds, is_hot=hot, clients=clients, lines=lines, provider=provider, rate=rate,
        runs=runs, has_baseline=has_baseline, has_half=at_half, data_dir=data_dir,
    )  # fmt: skip
    is_shown = console.err.is_terminal and not as_json
    measured, conditions = console.run_async(bench(plan, Steps(is_shown=is_shown)))
    if as_json:
        console.print_json(figures.document(measured, conditions))
    else:
        console.out.print(figures.draw(figures.merge(measured), conditions, len(measured)))
    if not all(run.is_sound for run in measured):
        raise typer.Exit(console.FAILED)


async def bench(plan: Plan, steps: Steps) -> tuple[list[Run], Conditions]:
    """All runs, each on an installation of its own, and the conditions they were made under."""
    measured: list[Run] = []
    async with steps.shown():
        for number in range(1, plan.runs + 1):
            name = f"run {number} of {plan.runs}: " if plan.runs > 1 else ""
            async with fresh_installation(plan.data_dir) as installation:
                run, machine = await _run(plan, installation, steps, name)
            measured.append(run)
    conditions = Conditions(
        plan.seconds, plan.clients, plan.lines, plan.is_hot, plan.provider.value, plan.rate, machine
    )
    return measured, conditions


async def _run(
    plan: Plan, installation: Installation, steps: Steps, name: str
) -> tuple[Run, measure.Machine]:
    async with steps.step(f"{name}measuring fsync"):
        fsync_us = await asyncio.to_thread(
            fsync_microseconds, find_binaries(), installation.postgres.data_dir
        )
    async with steps.step(f"{name}opening the shop"):
        shop = await open_shop(installation, plan.provider.value, plan.skus)
    async with _observer(installation) as observer:
        version = ".".join(map(str, observer.get_server_version()[:2]))
        machine = measure.describe_machine(installation.postgres.data_dir, version)
        async with steps.step(f"{name}warming up", WARM_UP_S):
            await (await start_client(_load(plan, shop, seconds=WARM_UP_S))).report()
            await settle(observer)
        run = figures.sum_up(
            await _watch(plan, installation, shop, observer, steps, name, fsync_us)
        )
        if plan.has_half:
            run = await _halve(plan, shop, observer, steps, name, run)
        faults = await census.read_stock_faults(observer)
        run = msgspec.structs.replace(run, oversold_units=faults.oversold, stray_units=faults.stray)
    await installation.stop_children()
    if plan.has_baseline:
        run = await _compare(plan, installation, steps, name, run)
    return run, machine


async def _watch(
    plan: Plan, installation: Installation, shop: Shop, observer: Any, steps: Steps, name: str,
    fsync_us: float | None,
) -> Window:  # fmt: skip
    """The window itself: from the first order to the end of the last saga."""
    await measure.reset_statements(observer)
    before_s = measure.cpu_seconds(installation.roots)
    async with steps.step(f"{name}taking orders", plan.seconds):
        client = await start_client(_load(plan, shop, seconds=plan.seconds, rate=plan.rate))
        await asyncio.sleep(plan.seconds * MEMORY_AT)
        roots = {**installation.roots, "client": client.pid}
        memory_mb = await asyncio.to_thread(measure.memory_mb, roots)
        report = await client.report()
    async with steps.step(f"{name}waiting for the last saga"):
        await settle(observer)
    after_s = measure.cpu_seconds(installation.roots)
    return Window(
        report=report,
        settlement=await census.read_settlement(observer, report.started_at),
        faults=await census.read_stock_faults(observer),
        costs=await measure.list_statements(observer),
        cpu_s={part: after_s[part] - before_s[part] for part in after_s},
        memory_mb=memory_mb,
        fsync_us=fsync_us,
    )


async def _halve(plan: Plan, shop: Shop, observer: Any, steps: Steps, name: str, run: Run) -> Run:
    rate = max(1.0, round(run.confirmed_per_s / 2, 1))
    async with steps.step(f"{name}at half of that rate", plan.seconds):
        load = _load(plan, shop, seconds=plan.seconds, rate=rate)
        report = await (await start_client(load)).report()
        await settle(observer)
    settlement = await census.read_settlement(observer, report.started_at)
    return figures.at_half(run, rate, report, settlement)


async def _compare(
    plan: Plan, installation: Installation, steps: Steps, name: str, run: Run
) -> Run:
    """The baseline on the same server, in a database of its own, after the shop has ended."""
    postgres = installation.postgres
    async with steps.step(f"{name}opening the careful baseline"):
        await asyncio.to_thread(postgres.create_database, BASELINE_DATABASE)
        shop = Shop(free_port(), f"baseline-{ids.new_id().hex}")
        setting = baseline.Setting(
            database_url=postgres.owner_url(BASELINE_DATABASE), host=HOST, port=shop.port,
            api_key=shop.api_key, skus=plan.skus, units=UNITS, currency=CURRENCY,
            unit_price=money.price_of(PRICE_MINOR, CURRENCY),
        )  # fmt: skip
        await installation.start(
            "baseline", ["serai.cli.bench.baseline"], f"http://{HOST}:{shop.port}/readyz",
            said=msgspec.json.encode(setting), given={},
        )  # fmt: skip
        await (await start_client(_load(plan, shop, seconds=WARM_UP_S))).report()
    before_s = measure.cpu_seconds(installation.roots)
    async with steps.step(f"{name}the baseline takes orders", plan.seconds):
        load = _load(plan, shop, seconds=plan.seconds, rate=plan.rate)
        report = await (await start_client(load)).report()
    after_s = measure.cpu_seconds(installation.roots)
    await installation.stop_children()
    oversold = await baseline.count_oversold(setting.database_url)
    cpu_s = {part: after_s[part] - before_s[part] for part in after_s}
    return figures.beside_baseline(run, report, cpu_s, oversold)


def _load(plan: Plan, shop: Shop, *, seconds: float, rate: float | None = None) -> Load:
    return Load(
        host=HOST, port=shop.port, api_key=shop.api_key, run=ids.new_id().hex, skus=plan.skus,
        lines=plan.lines, connections=plan.clients, seconds=seconds, rate=rate,
    )  # fmt: skip


class Client:
    """The load client at work in its own process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid

    async def report(self) -> Report:
        """What it saw, once it has ended."""
        out, said = await self._process.communicate()
        if self._process.returncode != 0:
            raise Failure(f"the load client failed: {said.decode(errors='replace').strip()}")
        return msgspec.json.decode(out, type=Report)


async def start_client(load: Load) -> Client:
    """Starts a load client; it begins as soon as its connections are open."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "serai.cli.bench.client", stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(msgspec.json.encode(load))
    process.stdin.close()
    return Client(process)


@contextlib.asynccontextmanager
async def _observer(installation: Installation) -> AsyncIterator[Any]:
    """A connection that no wall stops; what it asks is not counted among the shop's statements."""
    url = installation.postgres.admin_url(installation.postgres.owner_url().rpartition("/")[2])
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def settle(observer: Any) -> None:
    """Waits until every order has ended; after SETTLE_TIMEOUT_S the figures tell what has not."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + SETTLE_TIMEOUT_S
    while loop.time() < deadline:
        began = loop.time()
        if await census.count_open(observer) == 0:
            return
        await asyncio.sleep(max(LOOK_S, LOOK_SHARE * (loop.time() - began)))
