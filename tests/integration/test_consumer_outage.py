"""What is left of messages when the world fails in the middle, and when they were parked."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from serai.kernel.db import Database, Tx
from serai.kernel.embedded import EmbeddedPostgres
from serai.kernel.events import Delivery
from serai.kernel.failure import Unavailable
from tests.integration.house import House
from tests.integration.test_consumer import Recorder, Worker, announce, expire_leases


class Interrupted(Recorder):
    """A recorder that loses the database once, after it has done its work."""

    def __init__(self) -> None:
        super().__init__()
        self.outages = 1

    async def hear(self, deliveries: Sequence[Delivery], *, tx: Tx, now: datetime) -> None:
        if self.outages:
            self.outages -= 1
            raise Unavailable("the database is gone")
        await super().hear(deliveries, tx=tx, now=now)


async def test_an_outage_in_the_middle_of_a_batch_loses_no_message(
    database: Database, tenant: UUID
) -> None:
    recorder = Interrupted()
    worker = Worker(database, recorder)
    await worker.membership.ensure()
    await worker.membership.beat()
    await announce(database, tenant, range(5))
    with pytest.raises(Unavailable):
        await worker.drain()
    assert recorder.seen == []
    await expire_leases(database)
    heir = Worker(database, recorder)
    await heir.membership.beat()
    await heir.drain()
    assert sorted(recorder.seen) == [0, 1, 2, 3, 4]


@pytest.fixture
async def house(database: Database, tmp_path: Path) -> AsyncIterator[House]:
    opened = await House(database, tmp_path).open()
    await opened.offer("tent")
    await opened.receive(tent=10)
    yield opened
    findings = await opened.findings()
    await opened.composition.close()
    assert findings == []


async def test_an_order_whose_message_was_parked_still_reaches_its_end(
    postgres: EmbeddedPostgres, database_name: str, house: House
) -> None:
    owner = await asyncpg.connect(postgres.owner_url(database_name))
    try:
        # What no handler can get past stands in for a bug that is mended an hour later.
        await owner.execute(
            "ALTER TABLE inventory.reservations "
            "ADD CONSTRAINT mended_later CHECK (quantity < 0) NOT VALID"
        )
        order_id = await house.place(("tent", 2))
        await house.rest()
        assert (await house.order(order_id))["status"] == "placed"
        assert len(await house.rows("SELECT 1 FROM kernel.dead_letters")) == 1
        await owner.execute("ALTER TABLE inventory.reservations DROP CONSTRAINT mended_later")
    finally:
        await owner.close()
    house.clock.advance(timedelta(seconds=1))
    await house.retry_parked()
    assert (await house.order(order_id))["status"] == "confirmed"
    assert await house.stock("tent") == (8, 0, 2, 0)
    assert await house.rows("SELECT 1 FROM kernel.dead_letters") == []
