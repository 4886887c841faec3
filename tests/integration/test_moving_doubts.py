"""What may go wrong in a move: movers that die, rows that differ, writers that linger."""

import asyncio
import json
from typing import Any

import asyncpg
import pytest

from serai.cli.tenant.moving import MoveFailed
from serai.contexts.inventory.handlers import MoveStock
from serai.contexts.inventory.model import Move as StockMove
from serai.kernel import ids
from serai.kernel.db import Tx
from serai.kernel.departures import TenantMoving
from serai.kernel.events import Cause
from serai.kernel.moving.events import Events
from serai.kernel.moving.mover import NOT_COPIED, REFUSED_S, Changes, Mover
from serai.kernel.tenant import POOLED
from tests.integration.test_homes import SCHEMAS, Installation, Resident, status
from tests.integration.test_moving import (
    Carrier,
    _settle_at_once,  # noqa: F401 - a fixture
    databases,  # noqa: F401 - a fixture
    place,  # noqa: F401 - a fixture
    rest,
)
from tests.integration.test_walls import tables

HELD_S = 0.6
"""How long a writer lingers: longer than a mover waits for it at once, shorter than it tries."""


ADD_SEVEN = "UPDATE inventory.stock_items SET received = received + 7, available = available + 7"


class Killed(BaseException):
    """Stands for kill -9: nothing of the mover's runs after it."""


@pytest.fixture
async def carrier(
    place: Installation,  # noqa: F811
    databases: Any,  # noqa: F811
) -> Carrier:
    return Carrier(place, databases, await place.settle("pooled"))


async def write(where: Installation, who: Resident) -> None:
    """Receives a unit for the tenant, in the home that it is thought to be in."""
    moves = (StockMove("receipt", who.sku, "main", 1, "receipt"),)
    command = MoveStock(who.id, moves, Cause(ids.new_id()))
    await where.batches["inventory.move_stock"].submit(command, home=who.home)


async def kill_after(carrier: Carrier, monkeypatch: pytest.MonkeyPatch, statement: str) -> None:
    """Moves to a schema with a mover that dies as soon as a statement has been carried out."""
    fetchval = Tx.fetchval

    async def dying(self: Tx, said: Any, *args: Any) -> Any:
        result = await fetchval(self, said, *args)
        if said.name == statement:
            raise Killed
        return result

    async def nothing(_self: Mover) -> None:
        return

    with monkeypatch.context() as planted:
        planted.setattr(Tx, "fetchval", dying)
        planted.setattr(Mover, "stay", nothing)
        with pytest.raises(Killed):
            await carrier.move("schema")


async def test_a_mover_that_dies_refuses_writes_no_longer_than_it_may(
    carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    neighbour = await carrier.place.settle("pooled")
    await kill_after(carrier, monkeypatch, "begin_leaving")
    with pytest.raises(TenantMoving, match="try again in a second"):
        await write(carrier.place, carrier.who)
    await write(carrier.place, neighbour)
    async with asyncio.timeout(REFUSED_S + 0.5):
        while True:
            try:
                await write(carrier.place, carrier.who)
            except TenantMoving:
                await asyncio.sleep(0.05)
            else:
                break
    done = await carrier.move("schema")
    assert (done.step, carrier.who.home.name) == ("done", done.target.name)


async def test_who_died_between_the_commits_holds_up_nobody_else_and_loses_no_event(
    carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    where, who = carrier.place, carrier.who
    neighbour = await where.settle("pooled")
    await kill_after(carrier, monkeypatch, "leave_for_good")
    # The order's event was heard by nobody yet, and those who read on here pass it by.
    assert who.id not in await where.house.homes.tenants_of(POOLED)
    await rest(where)
    assert await status(where, neighbour) == ["confirmed"]
    await asyncio.sleep(REFUSED_S)
    with pytest.raises(TenantMoving):
        await write(where, who)
    with pytest.raises(MoveFailed, match="it has left already"):
        await carrier.move("schema", lambda move: move.undo())
    done = await carrier.move("schema")
    assert done.step == "done"
    await rest(where, 4.0)
    assert await status(where, carrier.who) == ["confirmed"]


async def test_what_was_copied_is_taken_back_and_can_be_copied_again(
    carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await carrier.rows()
    await kill_after(carrier, monkeypatch, "begin_leaving")
    done = await carrier.move("schema", lambda move: move.undo())
    assert done.step == "undone"
    await write(carrier.place, carrier.who)
    assert set(before) - set(await carrier.rows()) == {
        row for row in before if row.startswith("inventory.stock_items")
    }
    assert (await carrier.move("schema")).step == "done"


# --------------------------------------------------------------------------------- planted faults


async def _copy_all_but_one(self: Mover, table: str, keys: Any, lines: Any) -> None:
    await _put(self, table, keys, lines[:-1] if table == "inventory.stock_items" else lines)


async def _see_no_change(_self: Mover, _side: Tx, **_but: Any) -> Changes:
    return Changes({}, {}, [])


async def _put_no_event(self: Events, ends: Any, rows: Any, unread: Any) -> Any:
    return await _put_events(self, ends, rows[:-1], unread)


async def _nothing(*_args: Any, **_more: Any) -> None:
    return


_put = Mover._put  # noqa: SLF001 - what is planted stands in its place
_put_events = Events._put  # noqa: SLF001
_copy = Mover.copy

FAULTS = {
    "a row is not copied": (Mover, "_put", _copy_all_but_one),
    "changes are not followed": (Mover, "_read_changes", _see_no_change),
    "an event is not carried": (Events, "_put", _put_no_event),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_difference_is_found_and_the_tenant_stays_where_it_is(
    carrier: Carrier, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    async def copy(self: Mover, told: Any) -> None:
        await _copy(self, told)
        await write(carrier.place, carrier.who)

    monkeypatch.setattr(Mover, "copy", copy)
    with monkeypatch.context() as planted:
        planted.setattr(*FAULTS[fault])
        with pytest.raises(MoveFailed, match="is served where it was"):
            await carrier.move("schema")
    await write(carrier.place, carrier.who)
    assert (await carrier.move("schema")).step == "done"


async def test_without_comparing_a_row_that_was_not_copied_would_be_lost(
    carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await carrier.rows()
    monkeypatch.setattr(Mover, "_put", _copy_all_but_one)
    for name in ("compare", "_compare_rest"):
        monkeypatch.setattr(Mover, name, _nothing)
    assert (await carrier.move("schema")).step == "done"
    lost = set(before) - set(await carrier.rows())
    assert [row.split(" ")[0] for row in lost] == ["inventory.stock_items"]


@pytest.mark.parametrize("is_planted", [False, True])
async def test_a_transaction_under_way_is_waited_for(
    carrier: Carrier, monkeypatch: pytest.MonkeyPatch, *, is_planted: bool
) -> None:
    """Planted: the tenant changes over before those who write for it are out of the room."""
    where, who = carrier.place, carrier.who
    is_in = asyncio.Event()

    async def linger() -> None:
        async with where.database.transaction(POOLED, (who.id,)) as tx:
            is_in.set()
            await asyncio.sleep(HELD_S)
            await tx.connection.execute(ADD_SEVEN)

    change_over = Mover.change_over

    async def amid(self: Mover, decide: Any) -> None:
        if not is_in.is_set():
            lingering.append(asyncio.create_task(linger()))
            await is_in.wait()
        await change_over(self, decide)

    lingering: list[asyncio.Task[None]] = []
    monkeypatch.setattr(Mover, "change_over", amid)
    if is_planted:
        monkeypatch.setattr(Mover, "_wait_for_writers", _nothing)
    # The old rows are kept: those who linger would else be stopped by their absence.
    done = await carrier.move("schema", lambda move: move.run(is_retained=True))
    await asyncio.gather(*lingering)
    assert done.step == "cleaning"
    items = [row for row in await carrier.rows() if row.startswith("inventory.stock_items")]
    received = {json.loads(item.split(" ", 1)[1])["received"] for item in items}
    assert received == ({5, 12} if is_planted else {12}), "the old row and the new one"


# -------------------------------------------------------------------------------------- structure


async def find_unmoved(admin: asyncpg.Connection, moved: set[str]) -> list[str]:
    """Tables with rows of tenants that would not go along, or that have no key to follow."""
    return [
        row["name"]
        for row in await tables(admin)
        if row["has_tenant"]
        and not row["name"].startswith("h_")
        and not row["name"].startswith("tenancy.")
        and row["name"] not in NOT_COPIED
        and (row["name"] not in moved or row["leads"] is None)
    ]


async def test_every_table_of_tenants_moves_along(
    carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: set[str] = set()
    watch = Mover.watch

    async def noted(self: Mover) -> None:
        moved.update(self._tables)
        await watch(self)

    monkeypatch.setattr(Mover, "watch", noted)
    await carrier.move("schema")
    assert {name.split(".")[0] for name in moved} == set(SCHEMAS) - {"tenancy"}
    assert moved >= {
        "billing.segments", "privacy.consents", "identity.apps", "identity.passkeys",
        "identity.providers", "kernel.data_keys", "kernel.flows", "kernel.inbox",
    }  # fmt: skip
    admin = await asyncpg.connect(carrier.place.admin_url(POOLED))
    try:
        assert await find_unmoved(admin, moved) == []
        await admin.execute(
            "CREATE TABLE orders.planted (tenant_id uuid) PARTITION BY HASH (tenant_id)"
        )
        assert await find_unmoved(admin, moved) == ["orders.planted"]
    finally:
        await admin.close()
