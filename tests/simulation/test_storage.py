"""The simulated database behaves as PostgreSQL does where two transactions meet."""

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from serai.kernel.pool import LOCK_TIMEOUT_MS
from tests.simulation.loop import SimLoop
from tests.simulation.rows import Row, Table
from tests.simulation.storage import Session, Storage

NOW = datetime(2026, 3, 1, tzinfo=UTC)
MINE, YOURS = UUID(int=1), UUID(int=2)
STOCK = Table(
    "shop.stock",
    ("tenant_id", "sku"),
    unique={"one_barcode": ("tenant_id", "barcode")},
    checks={"not_negative": lambda row: row["units"] >= 0},
    indexes=[("tenant_id",)],
)


def open_storage(*rows: Row) -> Storage:
    storage = Storage([STOCK], clock=lambda: NOW)
    for row in rows:
        storage.committed["shop.stock"].put(STOCK.key_of(row), row)
    return storage


def stock(sku: str, units: int = 1, tenant: UUID = MINE, barcode: str | None = None) -> Row:
    return {"tenant_id": tenant, "sku": sku, "units": units, "barcode": barcode}


def run(*parts: Coroutine[Any, Any, Any]) -> tuple[list[Any], float]:
    """What each part returns or raises, and how much virtual time they took together."""
    loop = SimLoop(steps_max=1000)
    tasks = [loop.create_task(part) for part in parts]
    loop.run_while(lambda: not all(task.done() for task in tasks))
    took_s = loop.time()
    loop.close()
    return [task.exception() or task.result() for task in tasks], took_s


async def add(session: Session, sku: str, units: int) -> int:
    row = await session.lock("shop.stock", (MINE, sku))
    assert row is not None
    await asyncio.sleep(0.1)
    await session.update("shop.stock", (MINE, sku), units=row["units"] + units)
    session.commit()
    return int(row["units"])


def test_who_waited_for_a_lock_reads_what_the_other_wrote() -> None:
    storage = open_storage(stock("tent", 5))
    seen, _ = run(add(storage.begin([MINE]), "tent", 2), add(storage.begin([MINE]), "tent", 3))
    assert seen == [5, 7]
    assert storage.rows("shop.stock") == [stock("tent", 10)]
    assert storage.counts["lock_waits"] == 1
    assert storage.locks == {}


def test_a_circle_of_waits_is_a_deadlock_for_one_of_them() -> None:
    storage = open_storage(stock("a"), stock("b"))

    async def cross(first: str, second: str) -> str:
        session = storage.begin([MINE])
        try:
            await session.lock("shop.stock", (MINE, first))
            await asyncio.sleep(0.1)
            await session.lock("shop.stock", (MINE, second))
        except asyncpg.DeadlockDetectedError:
            session.abort()
            return "deadlock"
        session.commit()
        return "done"

    ends, _ = run(cross("a", "b"), cross("b", "a"))
    assert sorted(ends) == ["deadlock", "done"]
    assert storage.counts["deadlocks"] == 1
    assert storage.locks == {}


def test_a_lock_is_not_waited_for_longer_than_the_timeout() -> None:
    storage = open_storage(stock("tent"))

    async def hold() -> None:
        session = storage.begin([MINE])
        await session.lock("shop.stock", (MINE, "tent"))
        await asyncio.sleep(60)
        session.abort()

    async def wait() -> float:
        await asyncio.sleep(0.01)
        with pytest.raises(asyncpg.LockNotAvailableError):
            await storage.begin([MINE]).lock("shop.stock", (MINE, "tent"))
        return asyncio.get_running_loop().time()

    ends, _ = run(hold(), wait())
    assert ends[1] == pytest.approx(0.01 + LOCK_TIMEOUT_MS / 1000, abs=0.001)


def test_what_is_aborted_was_never_there_and_what_is_open_is_unseen() -> None:
    storage = open_storage(stock("tent", 5))

    async def change() -> None:
        session, other = storage.begin([MINE]), storage.begin([MINE])
        await session.update("shop.stock", (MINE, "tent"), units=4)
        await session.insert("shop.stock", stock("lamp"))
        assert len(session.scan("shop.stock")) == 2
        assert other.scan("shop.stock") == [stock("tent", 5)]
        session.abort()
        assert other.find("shop.stock", ("tenant_id",), (MINE,)) == [stock("tent", 5)]

    assert run(change())[0] == [None]


def test_an_insert_waits_for_one_of_the_same_key_and_then_finds_it_there() -> None:
    storage = open_storage()

    async def insert(pause_s: float, *, commits: bool) -> bool:
        session = storage.begin([MINE])
        await asyncio.sleep(pause_s)
        is_new = await session.insert("shop.stock", stock("tent"))
        await asyncio.sleep(0.1)
        session.commit() if commits else session.abort()
        return is_new

    assert run(insert(0.0, commits=True), insert(0.05, commits=True))[0] == [True, False]
    storage = open_storage()
    assert run(insert(0.0, commits=False), insert(0.05, commits=True))[0] == [True, True]


def test_a_broken_rule_is_refused() -> None:
    storage = open_storage(stock("tent", barcode="7"))

    async def break_rules() -> None:
        session = storage.begin([MINE])
        with pytest.raises(asyncpg.CheckViolationError):
            await session.update("shop.stock", (MINE, "tent"), units=-1)
        with pytest.raises(asyncpg.UniqueViolationError):
            await session.insert_new("shop.stock", stock("lamp", barcode="7"))
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await session.insert("shop.stock", stock("lamp", tenant=YOURS))
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await storage.begin([MINE], is_read_only=True).insert("shop.stock", stock("lamp"))

    assert run(break_rules())[0] == [None]


def test_rows_of_others_are_behind_the_wall() -> None:
    storage = open_storage(stock("tent", tenant=YOURS))

    async def look() -> None:
        session = storage.begin([MINE])
        assert session.get("shop.stock", (YOURS, "tent")) is None
        assert session.scan("shop.stock") == []
        assert not await session.update("shop.stock", (YOURS, "tent"), units=9)
        assert not await session.delete("shop.stock", (YOURS, "tent"))

    assert run(look())[0] == [None]
    assert storage.rows("shop.stock") == [stock("tent", tenant=YOURS)]


def test_the_horizon_is_the_oldest_transaction_that_still_writes() -> None:
    storage = open_storage()

    async def write() -> None:
        reader, old, young = (storage.begin([MINE]) for _ in range(3))
        reader.scan("shop.stock")
        await old.insert("shop.stock", stock("a"))
        await young.insert("shop.stock", stock("b"))
        assert old.xid < young.xid
        young.commit()
        assert storage.xmin == old.xid
        old.abort()
        assert storage.xmin > young.xid

    assert run(write())[0] == [None]
