"""A move keeps up with a shop that sells: what is noted, how it is followed, who is held up."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from serai.kernel import departures, queries
from serai.kernel.moving import mover, pace
from serai.kernel.moving.mover import REFUSED_S, Mover, Round
from serai.kernel.moving.pace import HELD_MAX_S, HELD_MIN_S, Pace
from serai.kernel.tenant import POOLED, Home
from serai.kernel.workers import Workers
from tests.integration.test_homes import Installation, Resident, status
from tests.integration.test_moving import (
    Carrier,
    _settle_at_once,  # noqa: F401 - a fixture
    databases,  # noqa: F401 - a fixture
    place,  # noqa: F401 - a fixture
    rest,
)
from tests.integration.test_moving_doubts import ADD_SEVEN, carrier, write  # noqa: F401 - a fixture

SQL = queries.load("serai.kernel")
MANY = 3_000
ASKED = 100
HELD_S = 0.4


@asynccontextmanager
async def owner(carrier: Carrier, who: Resident) -> AsyncIterator[Any]:  # noqa: F811
    """A session of the schemas' owner in the pooled home, which sees one tenant."""
    session = await asyncpg.connect(carrier.owner_url)
    try:
        await session.execute(
            f"SET serai.tenants = '{{{who.id}}}'; SET serai.transport = 'on'; "
            "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; "
            "SET enable_hashjoin = off; SET enable_mergejoin = off"
        )
        yield session
    finally:
        await session.close()


# ------------------------------------------------------------------------------------------ speed

LEAKY = """
CREATE OR REPLACE FUNCTION kernel.key_match(wanted regclass) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT kernel.key_list(wanted, 't.%1$I = (g.key ->> %1$L)::%2$s', ' AND ') $$"""


@pytest.mark.parametrize("is_planted", [False, True])
async def test_rows_are_found_by_their_keys_and_not_by_reading_all(
    carrier: Carrier,  # noqa: F811
    *,
    is_planted: bool,
) -> None:
    """Planted: keys are compared in a way in which the wall lets no index do it."""
    who = carrier.who
    async with owner(carrier, who) as session:
        await session.execute(
            "INSERT INTO kernel.inbox (tenant_id, group_name, event_id, handled_at) "
            f"SELECT '{who.id}', 'g', gen_random_uuid(), now() FROM generate_series(1, {MANY})"
        )
        keys = await session.fetchval(
            "SELECT jsonb_agg(jsonb_build_object('tenant_id', tenant_id, 'group_name', group_name, "
            "'event_id', event_id)) FROM (SELECT * FROM kernel.inbox WHERE group_name = 'g' "
            f"LIMIT {ASKED}) i"
        )
        if is_planted:
            await session.execute(LEAKY)
        plan = await session.fetchval(
            "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT * FROM kernel.lines_of"
            f"('kernel.inbox', '{who.id}', '{keys}')"
        )
    found = json.loads(plan)[0]["Plan"]
    assert found["Actual Rows"] == ASKED
    blocks = found["Shared Hit Blocks"]
    assert (blocks < 20 * ASKED) is not is_planted, blocks


async def test_a_statement_makes_one_note_and_another_for_what_it_took_away(
    carrier: Carrier,  # noqa: F811
) -> None:
    who = carrier.who
    neighbour = await carrier.place.settle("pooled")
    async with owner(carrier, who) as session:
        await session.execute(
            f"SELECT kernel.watch('inventory.stock_items', 'inventory.stock_items', '{who.id}')"
        )
        await session.execute(f"SET serai.tenants = '{{{who.id},{neighbour.id}}}'")
        await session.execute(ADD_SEVEN)
        for said in (
            "INSERT INTO inventory.stock_items (tenant_id, sku, location) "
            "SELECT t, 'S-' || n, 'main' "
            f"FROM generate_series(1, 3) n, unnest('{{{who.id},{neighbour.id}}}'::uuid[]) t",
            "UPDATE inventory.stock_items SET sku = 'T-1' WHERE sku = 'S-1'",
            "DELETE FROM inventory.stock_items WHERE sku = 'S-2'",
            "DELETE FROM inventory.stock_items WHERE sku = 'nothing'",
        ):
            await session.execute(said)
        noted = await session.fetch("SELECT * FROM kernel.captures ORDER BY id")
        await session.execute(f"SELECT kernel.unwatch('inventory.stock_items', '{who.id}')")
    told = [(sorted(k["sku"] for k in json.loads(n["key"])), n["is_gone"]) for n in noted]
    assert told == [
        ([who.sku], False), (["S-1", "S-2", "S-3"], False), (["T-1"], False), (["S-1"], True),
        (["S-2"], True),
    ]  # fmt: skip
    assert {note["tenant_id"] for note in noted} == {who.id}


# --------------------------------------------------------------------------------------- following


@pytest.mark.parametrize("is_planted", [False, True])
async def test_what_cannot_be_followed_in_parts_is_followed_at_once(
    carrier: Carrier,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_planted: bool,
) -> None:
    """Two rows change their keys with each other, and each part of a round holds one key."""
    who = carrier.who
    copy = Mover.copy
    swap = (
        "UPDATE inventory.stock_items SET location = 'tmp' WHERE sku = 'S-1'",
        "UPDATE inventory.stock_items SET location = 'main', sku = 'S-1' WHERE sku = 'S-2'",
        "UPDATE inventory.stock_items SET location = 'main', sku = 'S-2' WHERE location = 'tmp'",
    )

    async def amid(self: Mover, told: Any) -> None:
        async with owner(carrier, who) as session:
            await session.execute(
                "CREATE UNIQUE INDEX IF NOT EXISTS planted ON "
                "inventory.stock_items (tenant_id, received) WHERE received > 100"
            )
            await session.execute(
                "INSERT INTO inventory.stock_items (tenant_id, sku, location, received, available) "
                f"SELECT '{who.id}', 'S-' || n - 100, 'main', n, n FROM generate_series(101, 102) n"
            )
            said = "SELECT name FROM tenancy.tenants WHERE tenant_id = $1"
            name = await session.fetchval(said, who.id)
            target = carrier.place.house.tenancy.home_for(name, "schema").prefix
            await session.execute(
                "CREATE UNIQUE INDEX IF NOT EXISTS planted ON "
                f"{target}inventory.stock_items (tenant_id, received) WHERE received > 100"
            )
        await copy(self, told)
        async with owner(carrier, who) as session:
            for said in swap:
                await session.execute(said)

    monkeypatch.setattr(Mover, "copy", amid)
    monkeypatch.setattr(mover, "CHUNK", 1)
    if is_planted:
        monkeypatch.setattr(asyncpg, "IntegrityConstraintViolationError", ZeroDivisionError)
        with pytest.raises(asyncpg.UniqueViolationError):
            await carrier.move("schema")
        return
    done = await carrier.move("schema")
    assert done.step == "done"
    items = [
        json.loads(row.split(" ", 1)[1]) for row in await carrier.rows() if "stock_items" in row
    ]
    assert {i["sku"]: i["received"] for i in items if i["sku"] != who.sku} == {
        "S-1": 102,
        "S-2": 101,
    }


async def test_notes_of_a_version_that_noted_by_the_row_are_followed(
    carrier: Carrier,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    who = carrier.who
    copy = Mover.copy

    async def amid(self: Mover, told: Any) -> None:
        await copy(self, told)
        async with owner(carrier, who) as session:
            await session.execute(f"SELECT kernel.unwatch('inventory.stock_items', '{who.id}')")
            await session.execute(ADD_SEVEN)
            await session.execute(
                "INSERT INTO kernel.captures (tenant_id, table_name, key) "
                "SELECT tenant_id, 'inventory.stock_items', jsonb_build_object("
                "'tenant_id', tenant_id, 'sku', sku, 'location', location) "
                "FROM inventory.stock_items"
            )

    monkeypatch.setattr(Mover, "copy", amid)
    assert (await carrier.move("schema")).step == "done"


async def test_a_change_over_that_lasted_too_long_is_tried_again_and_not_doubted(
    carrier: Carrier,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Writes are let in again after their time, and differ from what was carried; twice over."""
    compare_rest = Mover._compare_rest  # noqa: SLF001 - what is slow stands in its place
    left = [1, 1]

    async def slowly(self: Mover, changed: Any, *, is_whole: bool) -> None:
        if left:
            left.pop()
            await asyncio.sleep(REFUSED_S + 0.1)
            await write(carrier.place, carrier.who)
        await compare_rest(self, changed, is_whole=is_whole)

    monkeypatch.setattr(Mover, "_compare_rest", slowly)
    done = await carrier.move("schema")
    assert (done.step, left) == ("done", [])
    assert done.refused_ms < 1_000 * REFUSED_S


@pytest.mark.parametrize("is_planted", [False, True])
async def test_the_change_over_waits_for_workers_that_come_late_to_the_new_home(
    carrier: Carrier,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_planted: bool,
) -> None:
    """Planted: nobody looks whether the new home is served."""
    where = carrier.place
    change_over = Mover.change_over
    served: list[bool] = []

    async def noted(self: Mover, decide: Any) -> None:
        served.append(await self.is_served(groups))
        await change_over(self, decide)

    groups = [consumer.group for consumer in where.house.consumers]
    monkeypatch.setattr(Mover, "change_over", noted)
    if is_planted:
        monkeypatch.setattr("serai.cli.tenant.moving.SERVED_LOOKS_MAX", 0)
    stop = asyncio.Event()
    workers = Workers(
        database=where.database, homes=where.house.homes, consumers=where.house.consumers,
        timers=where.house.timers,
    )  # fmt: skip
    running = asyncio.create_task(workers.run(stop))
    try:
        await asyncio.sleep(1.0)
        assert (await carrier.move("schema")).step == "done"
    finally:
        stop.set()
        await running
    assert served == [not is_planted]


# ------------------------------------------------------------------------------------- held up


async def test_who_writes_from_outside_is_held_up_and_nobody_else(
    carrier: Carrier,  # noqa: F811
) -> None:
    where, who = carrier.place, carrier.who
    neighbour = await where.settle("pooled")

    async def seconds(tenant: UUID, *, is_from_outside: bool) -> float:
        began = time.monotonic()
        async with where.database.transaction(POOLED, (tenant,), is_from_outside=is_from_outside):
            return time.monotonic() - began

    async with owner(carrier, who) as session:
        await session.execute(SQL.set_pace.text(""), who.id, HELD_S, 30.0)
        assert await seconds(who.id, is_from_outside=True) >= HELD_S
        assert await seconds(who.id, is_from_outside=False) < HELD_S
        assert await seconds(neighbour.id, is_from_outside=True) < HELD_S
        began = time.monotonic()
        await write(where, who)
        assert time.monotonic() - began >= HELD_S, "a command comes from outside"
        await consume(where, who)
        await session.execute(SQL.set_pace.text(""), who.id, HELD_S, 0.0)
        assert await seconds(who.id, is_from_outside=True) < HELD_S


async def consume(where: Installation, who: Resident) -> None:
    """Consumers carry an order to its end; nothing of it waits for the mover."""
    held: list[str] = []
    hold_up = departures.ask_pace

    def noted(wall: str, home: Home) -> str:
        held.append(wall)
        return hold_up(wall, home)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(departures, "ask_pace", noted)
        await rest(where)
    assert await status(where, who) == ["confirmed"]
    assert held == []


class Falling(Mover):
    """A mover whose rounds leave what they are told to; notes how long writers are held up."""

    def __init__(self, rounds: list[tuple[float, int]]) -> None:
        self.rounds = rounds
        self.held: list[float] = []

    async def follow(self) -> Round:
        return Round(*self.rounds.pop(0)) if self.rounds else Round(0.0, 0)

    async def hold_up(self, held_s: float) -> None:
        self.held.append(held_s)


async def test_writers_are_held_up_longer_while_rounds_leave_as_much_as_they_found() -> None:
    keeps_up = Falling([(9.0, 1_000), (4.0, 500), (2.0, 200)])
    await Pace(keeps_up).keep_up()
    assert keeps_up.held == []
    lags = Falling([(9.0, 1_000), (9.0, 900), (9.0, 900), (5.0, 400)])
    await Pace(lags).keep_up()
    assert lags.held == [HELD_MIN_S, 2 * HELD_MIN_S, 2 * HELD_MIN_S], "the last says it again"
    never = Falling([(9.0, 1_000)] * 1_000)
    await Pace(never).keep_up()
    assert len(never.rounds) == 1_000 - pace.ROUNDS_MAX
    assert max(never.held) == HELD_MAX_S
