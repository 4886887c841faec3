"""One trial: a fresh shop, warmed up, measured under load and compared with the baseline."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec

from serai.cli.bench import baseline, census, crowd, figures, measure
from serai.cli.bench.census import Settlement
from serai.cli.bench.crowd import Counts, Crowd
from serai.cli.bench.figures import Conditions, Run, Window
from serai.cli.bench.load import CURRENCY, HOT_SKUS, PRICE_MINOR, SKUS, UNITS, Load, Report
from serai.cli.bench.measure import Machine
from serai.cli.bench.progress import Steps
from serai.cli.bench.shop import HOST, Server, free_port, fresh_postgres, open_process, open_shop
from serai.cli.console import Failure
from serai.kernel import ids, money
from serai.kernel.embedded import DATABASE, EmbeddedPostgres, find_binaries, fsync_microseconds

WARM_UP_S: Final = 2.0
SETTLE_TIMEOUT_S: Final = 180.0
LOOK_S: Final = 0.5
LOOK_SHARE: Final = 10
"""Looking whether all orders have ended may take one part in so many of the time."""
MEMORY_AT: Final = 0.75
"""The part of the window after which memory is read: all caches are warm by then."""
BASELINE_DATABASE: Final = "serai_bench"


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
    tenants: Counts | None = None
    """Tenants beside the one that is measured, in a second shop that is compared with the first."""

    @property
    def skus(self) -> tuple[str, ...]:
        """What is bought."""
        return HOT_SKUS if self.is_hot else SKUS

    def load(self, server: Server, *, seconds: float, rate: float | None = None) -> Load:
        """What the load client is told."""
        return Load(
            host=HOST, port=server.port, api_key=server.api_key, run=ids.new_id().hex,
            skus=self.skus, lines=self.lines, connections=self.clients, seconds=seconds, rate=rate,
        )  # fmt: skip


async def measure_orders(plan: Plan, steps: Steps) -> tuple[list[Run], Conditions]:
    """All runs, each on an installation of its own, and the conditions they were made under.

    SIGTERM ends it as Ctrl-C does: everything that was started is stopped and removed.
    """
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    measured: list[Run] = []
    async with steps.shown():
        for number in range(1, plan.runs + 1):
            steps.prefix = f"run {number} of {plan.runs}: " if plan.runs > 1 else ""
            async with fresh_postgres(plan.data_dir) as postgres:
                trial = Trial(plan, postgres, steps)
                measured.append(await trial.run())
            if plan.tenants is not None:
                async with fresh_postgres(plan.data_dir) as postgres:
                    many = Trial(plan, postgres, steps)
                    measured[-1] = await many.join_crowd(measured[-1], plan.tenants)
    conditions = Conditions(
        seconds=plan.seconds, clients=plan.clients, lines=plan.lines, hot=plan.is_hot,
        provider=plan.provider.value, rate=plan.rate, machine=trial.machine,
    )  # fmt: skip
    return measured, conditions


class Trial:
    """The steps of one run, in the order in which they are done."""

    machine: Machine

    def __init__(self, plan: Plan, postgres: EmbeddedPostgres, steps: Steps) -> None:
        self._plan = plan
        self._postgres = postgres
        self._steps = steps

    async def run(self) -> Run:
        """Measures the shop and, after it has ended, the baseline."""
        async with self._steps.step("measuring fsync"):
            fsync_us = await asyncio.to_thread(
                fsync_microseconds, find_binaries(), self._postgres.data_dir
            )
        async with contextlib.AsyncExitStack() as stack:
            async with self._steps.step("opening the shop"):
                shop = await stack.enter_async_context(
                    open_shop(self._postgres, self._plan.provider.value, self._plan.skus)
                )
            observer = await stack.enter_async_context(observe(self._postgres))
            run = await self._measure(shop, observer, fsync_us)
        return await self._compare(run) if self._plan.has_baseline else run

    async def _measure(self, shop: Server, observer: Any, fsync_us: float | None) -> Run:
        version = str(observer.get_settings().server_version)
        self.machine = measure.describe_machine(self._postgres.data_dir, version)
        idle = None
        if self._plan.tenants is not None:
            async with self._steps.step("idle with one tenant", crowd.IDLE_S):
                idle = await crowd.look_idle(shop.roots, observer)
        async with self._steps.step("warming up", WARM_UP_S):
            await drive(self._plan.load(shop, seconds=WARM_UP_S))
            await settle(observer)
        run = figures.sum_up(await self._watch(shop, observer, fsync_us))
        if self._plan.has_half:
            rate = max(1.0, round(run.confirmed_per_s / 2, 1))
            report, settlement = await self._halve(shop, observer, rate)
            run = figures.at_half(run, rate, report, settlement)
        faults = await census.read_stock_faults(observer)
        return msgspec.structs.replace(
            run, oversold_units=faults.oversold, stray_units=faults.stray, idle_alone=idle
        )

    async def join_crowd(self, run: Run, counts: Counts) -> Run:
        """The same run with what a shop showed in which there are many tenants from the start.

        It has a server of its own, as the shop with one tenant had: nobody meets the other's rows.
        """
        settlers = crowd.Settlers(self._postgres)
        opening = open_shop(self._postgres, self._plan.provider.value, self._plan.skus)
        async with opening as shop, observe(self._postgres) as observer:
            async with self._steps.step("making tenants"):
                making = await settlers.settle(counts)
            async with self._steps.step("until they rest", crowd.REST_S):
                await asyncio.sleep(crowd.REST_S)
            async with self._steps.step("idle with all tenants", crowd.IDLE_S):
                idle = await crowd.look_idle(shop.roots, observer)
            async with self._steps.step("warming up", WARM_UP_S):
                await drive(self._plan.load(shop, seconds=WARM_UP_S))
                await settle(observer)
            async with (
                observe(self._postgres) as beside,
                crowd.peak_of_connections(beside) as sessions,
            ):
                seen = figures.sum_up(await self._watch(shop, observer, None))
        found = Crowd(
            tenants=msgspec.to_builtins(counts), making=making, idle=idle,
            connections_at_work=sessions["max"], memory_mb_at_work=seen.memory_mb_by_process,
            accepted_per_s=seen.accepted_per_s, confirmed_per_s=seen.confirmed_per_s,
            ratio=round(seen.accepted_per_s / run.accepted_per_s, 3),
        )  # fmt: skip
        return figures.in_a_crowd(run, seen, found)

    async def _watch(self, shop: Server, observer: Any, fsync_us: float | None) -> Window:
        """The window itself: from the first order to the end of the last saga."""
        plan = self._plan
        await measure.reset_statements(observer)
        before_s = measure.cpu_seconds(shop.roots)
        async with self._steps.step("taking orders", plan.seconds):
            client = await start_client(plan.load(shop, seconds=plan.seconds, rate=plan.rate))
            await asyncio.sleep(plan.seconds * MEMORY_AT)
            memory_mb = await asyncio.to_thread(
                measure.memory_mb, {**shop.roots, "client": client.pid}
            )
            report = await client.report()
        async with self._steps.step("waiting for the last saga"):
            await settle(observer)
        return Window(
            report=report,
            settlement=await census.read_settlement(observer, report.started_at),
            costs=await measure.list_statements(observer),
            cpu_s=_since(before_s, shop),
            memory_mb=memory_mb,
            fsync_us=fsync_us,
        )

    async def _halve(self, shop: Server, observer: Any, rate: float) -> tuple[Report, Settlement]:
        async with self._steps.step("at half of that rate", self._plan.seconds):
            report = await drive(self._plan.load(shop, seconds=self._plan.seconds, rate=rate))
            await settle(observer)
        return report, await census.read_settlement(observer, report.started_at)

    async def _compare(self, run: Run) -> Run:
        """The baseline on the same server, in a database of its own."""
        plan = self._plan
        await asyncio.to_thread(self._postgres.create_database, BASELINE_DATABASE)
        setting = baseline.Setting(
            database_url=self._postgres.owner_url(BASELINE_DATABASE), host=HOST,
            port=free_port(), api_key=f"baseline-{ids.new_id().hex}", skus=plan.skus, units=UNITS,
            currency=CURRENCY, unit_price=money.price_of(PRICE_MINOR, CURRENCY),
        )  # fmt: skip
        opening = open_process(
            self._postgres, "baseline", "serai.cli.bench.baseline", setting, port=setting.port,
            api_key=setting.api_key,
        )  # fmt: skip
        async with opening as server:
            async with self._steps.step("warming the baseline up", WARM_UP_S):
                await drive(plan.load(server, seconds=WARM_UP_S))
            before_s = measure.cpu_seconds(server.roots)
            async with self._steps.step("the baseline takes orders", plan.seconds):
                report = await drive(plan.load(server, seconds=plan.seconds, rate=plan.rate))
            cpu_s = _since(before_s, server)
        oversold = await baseline.count_oversold(setting.database_url)
        return figures.beside_baseline(run, report, cpu_s, oversold)


def _since(before_s: Mapping[str, float], server: Server) -> dict[str, float]:
    after_s = measure.cpu_seconds(server.roots)
    return {part: after_s[part] - before_s[part] for part in after_s}


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


async def drive(load: Load) -> Report:
    """Sends a load and waits for its report."""
    return await (await start_client(load)).report()


@contextlib.asynccontextmanager
async def observe(postgres: EmbeddedPostgres) -> AsyncIterator[Any]:
    """A connection that no wall stops; what it asks is not counted among the shop's statements."""
    connection = await asyncpg.connect(postgres.admin_url(DATABASE))
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
