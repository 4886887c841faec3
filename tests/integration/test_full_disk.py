"""A full disk: requests are told to come again, and no message is taken for a broken one.

PostgreSQL answers with SQLSTATE 53100 where it cannot extend a file; a trigger that raises the same
stands in for the disk, so that the test needs no file system of its own.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from serai.kernel.db import Database
from serai.kernel.embedded import EmbeddedPostgres
from serai.kernel.failure import Unavailable
from tests.integration.house import House

DISK = """
CREATE FUNCTION public.no_space() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END
$$;
GRANT EXECUTE ON FUNCTION public.no_space() TO PUBLIC
"""
FILL = "CREATE TRIGGER full_disk BEFORE INSERT ON {} EXECUTE FUNCTION public.no_space()"
CLEAR = "DROP TRIGGER full_disk ON {}"


@pytest.fixture
async def house(database: Database, tmp_path: Path) -> AsyncIterator[House]:
    opened = await House(database, tmp_path).open()
    await opened.offer("tent")
    await opened.receive(tent=10)
    yield opened
    findings = await opened.findings()
    await opened.composition.close()
    assert findings == []


@pytest.fixture
async def admin(
    postgres: EmbeddedPostgres, database_name: str
) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(postgres.admin_url(database_name))
    await connection.execute(DISK)
    yield connection
    await connection.close()


async def test_a_request_that_finds_the_disk_full_is_told_to_come_again(
    house: House, admin: asyncpg.Connection
) -> None:
    await admin.execute(FILL.format("orders.orders"))
    with pytest.raises(Unavailable):
        await house.place(("tent", 1))
    await admin.execute(CLEAR.format("orders.orders"))
    order_id = await house.place(("tent", 1))
    await house.rest()
    assert (await house.order(order_id))["status"] == "confirmed"


async def test_a_message_that_finds_the_disk_full_waits_and_is_not_parked(
    house: House, admin: asyncpg.Connection
) -> None:
    await admin.execute(FILL.format("inventory.reservations"))
    order_id = await house.place(("tent", 1))
    with pytest.raises(Unavailable):
        await house.rest()
    assert await house.rows("SELECT 1 FROM kernel.dead_letters") == []
    await admin.execute(CLEAR.format("inventory.reservations"))
    await house.rest()
    assert (await house.order(order_id))["status"] == "confirmed"
    assert await house.stock("tent") == (9, 0, 1, 0)
