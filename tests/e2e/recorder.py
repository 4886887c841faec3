"""A worker process whose one group writes down, in order, what it hears: to be killed by tests."""

import asyncio
import signal
import sys
from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from serai.kernel.db import Database, Tx
from serai.kernel.events import Delivery, event
from serai.kernel.module import Consumer, Outside
from serai.kernel.tenant import POOLED, Home, TenantId
from serai.kernel.workers import Workers

TABLE = """
CREATE TABLE recorded (place bigint GENERATED ALWAYS AS IDENTITY, key uuid, number integer);
GRANT SELECT, INSERT ON recorded TO serai_app
"""
IN_HAND_S = 0.03
"""How long a batch is in hand before its transaction begins: what wakes there after its leases, or
dies there, is what fences and positions are for."""
IN_TRANSACTION_S = 0.01


@event(topic="recording", key="key")
class NumberTold(msgspec.Struct, frozen=True):
    """The next number of a key."""

    key: UUID
    number: int


class OneHome:
    """`Homes` of an installation where everybody lives together."""

    async def home_of(self, tenant_id: TenantId) -> Home:
        del tenant_id
        return POOLED

    async def all_homes(self) -> Collection[Home]:
        return [POOLED]

    async def tenants_of(self, home: Home) -> Collection[TenantId]:
        del home
        return []


async def ponder(deliveries: Sequence[Delivery], _home: Home) -> Sequence[None]:
    """Stands for the call to a vendor."""
    await asyncio.sleep(IN_HAND_S)
    return [None] * len(deliveries)


async def record(
    deliveries: Sequence[Delivery], answers: Sequence[None], *, tx: Tx, now: datetime
) -> None:
    """Writes down what came, in the order in which it came."""
    del answers, now
    told = [delivery.decode() for delivery in deliveries]
    await tx.connection.execute(
        "INSERT INTO recorded (key, number) SELECT t.key, t.number "
        "FROM unnest($1::uuid[], $2::int[]) WITH ORDINALITY AS t(key, number, n) ORDER BY t.n",
        [one.key for one in told],
        [one.number for one in told],
    )
    await asyncio.sleep(IN_TRANSACTION_S)


async def main(url: str) -> None:
    """Records until told to stop."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    database = Database(url, pool_max=4)
    await database.open()
    consumer = Consumer("recorders", {NumberTold: Outside(ponder, record)})
    await Workers(database=database, homes=OneHome(), consumers=[consumer]).run(stop)
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
