"""A tenant moves from home to home: every row, every event once, and an unbroken audit trail."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from serai.cli.tenant.moving import Move, directory_session
from serai.contexts.tenancy.contract import Tier
from serai.contexts.tenancy.contract.moves import MoveView, begin_view
from serai.kernel.db import Tx
from serai.kernel.embedded import EmbeddedPostgres
from serai.kernel.tenant import MAIN, POOLED
from serai.kernel.workers import Workers
from serai.roles.connection import Databases, databases_at
from tests.integration.test_homes import Installation, Resident

BY_HOME = re.compile(r'"(xid|seq)":"?\d+"?')
STAYS = (
    "tenancy.",
    "kernel.departures",
    "kernel.captures",
    "kernel.paces",
    "kernel.carried",
    "kernel.erasures",
)


@pytest.fixture
async def place(
    postgres: EmbeddedPostgres, database_name: str, template: str, tmp_path: Path
) -> AsyncIterator[Installation]:
    installation = Installation(postgres, database_name, template, tmp_path)
    await installation.database.open()
    yield installation
    await installation.house.close()
    await installation.database.close()


@pytest.fixture
def databases(postgres: EmbeddedPostgres, database_name: str, template: str) -> Databases:
    def create(name: str) -> None:
        postgres.create_database(name, template=template)

    return databases_at(
        postgres.owner_url(database_name), postgres.app_url(database_name), "", create
    )


class Carrier:
    """Moves one tenant as the command does."""

    def __init__(self, place: Installation, databases: Databases, who: Resident) -> None:
        self.place = place
        self.who = who
        self.owner_url = databases.owner.url_of(MAIN)
        self._databases = databases

    async def move(self, tier: Tier, do: Callable[[Move], Any] = lambda move: move.run()) -> Any:
        house = self.place.house
        async with directory_session(self._databases, self.who.id, house.clock) as main:
            view = await house.tenancy.moves.find(main, self.who.id)
            if view is None:
                view = await self._begin(main, tier)
            done: MoveView = await do(Move(house, self._databases, main, view, lambda *_: None))
        if done.step in {"done", "cleaning"}:
            self.who = self.who._replace(home=done.target)
        return done

    async def _begin(self, main: Tx, tier: Tier) -> MoveView:
        tenancy = self.place.house.tenancy
        async with self.place.database.transaction(POOLED, (), is_transport=True) as tx:
            rows = await tx.connection.fetch("SELECT * FROM tenancy.tenants")
        (name,) = [row["name"] for row in rows if row["tenant_id"] == self.who.id]
        home, now = tenancy.home_for(name, tier), self.place.house.clock.now()
        view = begin_view(name, self.who.id, self.who.home, home, now)
        begun: MoveView = await tenancy.moves.begin(main, view)
        return begun

    async def rows(self) -> list[str]:
        """What the tenant has in its home, but for places in the log."""
        everything = await self.place.everything(self.who)
        return sorted(
            BY_HOME.sub("", row)
            if row.startswith(("kernel.outbox", "kernel.dead_letters"))
            else row
            for row in everything
            if not row.startswith(STAYS)
        )


@pytest.fixture(autouse=True)
def _settle_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serai.cli.tenant.moving.SETTLE_S", 0.0)


async def rest(place: Installation, seconds: float = 2.5) -> None:
    """Lets a worker carry what is under way to its end."""
    stop = asyncio.Event()
    workers = Workers(
        database=place.database, homes=place.house.homes, consumers=place.house.consumers,
        timers=place.house.timers,
    )  # fmt: skip
    running = asyncio.create_task(workers.run(stop))
    await asyncio.sleep(seconds)
    stop.set()
    await running


async def test_everything_goes_along_from_home_to_home(
    place: Installation, databases: Databases
) -> None:
    who = await place.settle("pooled")
    await place.settle("pooled")
    await rest(place)
    carrier = Carrier(place, databases, who)
    before = await carrier.rows()
    assert len(before) > 40
    tiers: tuple[Tier, ...] = ("schema", "database", "pooled")
    for tier in tiers:
        left = carrier.who.home
        done = await carrier.move(tier)
        assert done.step == "done"
        after = await carrier.rows()
        # The one new thing is the move itself.
        new = list(set(after) - set(before))
        assert sorted(set(before) - set(after)) == []
        assert [row.split(" ", 1)[0] for row in new] == ["kernel.outbox"], new
        assert "tenancy.tenant_moved" in new[0]
        assert len(after) == len(before) + 1
        if POOLED not in {left, done.target}:
            carrier_left = carrier.who._replace(home=left)
            left_behind = await place.everything(carrier_left)
            assert [r for r in left_behind if not r.startswith((*STAYS, "kernel.outbox"))] == []
        before = after
