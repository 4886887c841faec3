"""Many tenants beside the one that is measured: what they cost to make, to migrate and to keep.

They are made in a shop of their own, that is measured in the same way minutes after one with one.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import msgspec

from serai import settings
from serai.cli.bench import measure
from serai.cli.console import USAGE, Failure
from serai.cli.inside import enter
from serai.contexts.tenancy.contract import SCOPES, Tier
from serai.kernel import queries
from serai.kernel.attention import LOOK_S, RESTS_AFTER_S
from serai.kernel.embedded import EmbeddedPostgres
from serai.kernel.hosting import HOMES_LOOK_S
from serai.kernel.migrate import Migration
from serai.kernel.pool import count_sessions
from serai.roles.connection import Databases, databases_at
from serai.roles.migrate import (
    HOMES_AT_ONCE,
    HomeOutcome,
    bring_up_home,
    bring_up_homes,
    tell_homes,
)

TIERS: Final[tuple[Tier, ...]] = ("pooled", "schema", "database")
TENANTS_MAX: Final = 10_000
REST_S: Final = HOMES_LOOK_S + RESTS_AFTER_S + LOOK_S
"""How long it takes until every new home is found, was served and has gone to rest."""
IDLE_S: Final = 20.0

_SQL = queries.load("serai.cli.bench")


class Counts(msgspec.Struct, frozen=True):
    """How many tenants of each tier."""

    pooled: int = 0
    schema: int = 0
    database: int = 0


class Idle(msgspec.Struct, frozen=True):
    """What a shop costs to which nobody comes; processor time in percent of one core."""

    cpu_percent: dict[str, float]
    memory_mb: dict[str, float]
    connections: int


class Making(msgspec.Struct, frozen=True, kw_only=True):
    """What it took to make the tenants and to migrate their homes; seconds for all of them."""

    make_s: dict[str, float]
    homes: int
    """Homes beside the pooled one."""
    nothing_to_do_s: float
    one_migration_s: float
    status_s: float


class Crowd(msgspec.Struct, frozen=True, kw_only=True):
    """A shop with many tenants beside one with one."""

    tenants: dict[str, int]
    making: Making
    idle: Idle
    connections_at_work: int
    memory_mb_at_work: dict[str, float]
    accepted_per_s: float
    """Orders for one pooled tenant, with all others at rest."""
    confirmed_per_s: float
    ratio: float
    """Of accepted orders, to those of the shop with one tenant."""


def read_counts(text: str) -> Counts:
    """`pooled=400,schema=95,database=5` as counts; says what is wrong with another text."""
    given: dict[str, int] = {}
    for part in text.split(","):
        tier, _, count = part.strip().partition("=")
        if tier not in TIERS or tier in given or not count.isascii() or not count.isdigit():
            raise Failure(
                f"--tenants: {part.strip()!r} is no count of a tier; write for instance "
                "pooled=400,schema=95,database=5",
                code="usage", exit_code=USAGE,
            )  # fmt: skip
        given[tier] = int(count)
    if not 0 < sum(given.values()) <= TENANTS_MAX:
        raise Failure(
            f"--tenants: between 1 and {TENANTS_MAX} in all", code="usage", exit_code=USAGE
        )
    return Counts(**given)


async def look_idle(roots: Mapping[str, int], observer: Any) -> Idle:
    """Watches a shop to which nobody comes."""
    before_s = measure.cpu_seconds(roots)
    await asyncio.sleep(IDLE_S)
    after_s = measure.cpu_seconds(roots)
    return Idle(
        cpu_percent={
            name: round(100 * (after_s[name] - before_s[name]) / IDLE_S, 1) for name in after_s
        },
        memory_mb=await asyncio.to_thread(measure.memory_mb, roots),
        connections=await count_sessions(observer),
    )


class Settlers:
    """Makes tenants and migrates their homes, as the commands for that do."""

    def __init__(self, postgres: EmbeddedPostgres) -> None:
        self._databases: Databases = databases_at(
            postgres.owner_url(), postgres.app_url(), "", postgres.create_database
        )
        self._own = settings.load_with(
            database_url=postgres.owner_url(), database_app_url=postgres.app_url()
        )

    async def settle(self, counts: Counts) -> Making:
        """Makes all tenants and looks after their homes once."""
        make_s: dict[str, float] = {}
        async with enter(self._own, self._databases) as house:
            for tier in TIERS:
                count: int = getattr(counts, tier)
                began = time.perf_counter()
                await self._make(house.tenancy, tier, count)
                if count:
                    make_s[tier] = _since(began)
        nothing_to_do_s, outcomes = await self._bring_up([])
        one_s, outcomes = await self._bring_up([_one_more()])
        began = time.perf_counter()
        await tell_homes(self._databases)
        return Making(
            make_s=make_s, homes=len(outcomes), nothing_to_do_s=nothing_to_do_s,
            one_migration_s=one_s, status_s=_since(began),
        )  # fmt: skip

    async def _make(self, tenancy: Any, tier: Tier, count: int) -> None:
        room = asyncio.Semaphore(HOMES_AT_ONCE)

        async def make(number: int) -> None:
            name = f"crowd-{tier}-{number}"
            home = tenancy.home_for(name, tier)
            async with room:
                if tier != "pooled":
                    await bring_up_home(self._databases, home)
                await tenancy.create_tenant(name, scopes=SCOPES, home=home)

        await asyncio.gather(*(make(number) for number in range(count)))

    async def _bring_up(self, more: list[Migration]) -> tuple[float, list[HomeOutcome]]:
        began = time.perf_counter()
        outcomes = await bring_up_homes(self._databases, more=more)
        failed = [outcome for outcome in outcomes if outcome.failed]
        if failed:
            raise Failure(f"{len(failed)} homes failed: {failed[0].home}: {failed[0].failed}")
        return _since(began), outcomes


def _one_more() -> Migration:
    """A migration that no home has yet: a schema and a table of the benchmark's own."""
    text = f"{_SQL.create_schema.template};\n{_SQL.create_notes.template};"
    return Migration("bench", "0001_pre_notes.sql", text)


def _since(began: float) -> float:
    return round(time.perf_counter() - began, 2)


@contextlib.asynccontextmanager
async def peak_of_connections(observer: Any) -> AsyncIterator[Mapping[str, int]]:
    """Counts the application's sessions until the block ends; `max` is the most there were."""
    seen = {"max": 0}

    async def count() -> None:
        while True:
            seen["max"] = max(seen["max"], await count_sessions(observer))
            await asyncio.sleep(1)

    counting = asyncio.create_task(count())
    try:
        yield seen
    finally:
        counting.cancel()
        await asyncio.gather(counting, return_exceptions=True)
