"""Requests that wait for their order's end, in one home and in several."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from serai.contexts.orders.gateways import PolledSettlements
from serai.contexts.orders.store import PostgresOrders
from serai.kernel import ids
from serai.kernel.db import Database, Tx
from serai.kernel.tenant import POOLED, Home


class SlowReads(PostgresOrders):
    """Reads that last until they are let go."""

    def __init__(self) -> None:
        super().__init__()
        self.began = asyncio.Event()
        self.go = asyncio.Event()

    async def list_settled(self, keys: Sequence[tuple[UUID, UUID]], *, tx: Tx) -> dict[UUID, Any]:
        self.began.set()
        await self.go.wait()
        return await super().list_settled(keys, tx=tx)


async def test_who_begins_to_wait_in_another_home_during_a_look_breaks_nobodys_waiting(
    database: Database,
) -> None:
    reads = SlowReads()
    settlements = PolledSettlements(database, reads)
    first = asyncio.create_task(settlements.wait(POOLED, ids.new_id(), ids.new_id(), 0.5))
    await reads.began.wait()
    second = asyncio.create_task(
        settlements.wait(Home(name="another"), ids.new_id(), ids.new_id(), 0.2)
    )
    await asyncio.sleep(0)
    [looking] = asyncio.all_tasks() - {first, second, asyncio.current_task()}
    reads.go.set()
    assert tuple(await asyncio.gather(first, second)) == (None, None)
    await looking  # raises what it died of
