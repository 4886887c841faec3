"""The ear for notifications, after the database has cut it off."""

import asyncio
from uuid import UUID, uuid4

import msgspec

from serai.kernel.db import Database
from serai.kernel.events import Cause, event, type_of
from serai.kernel.log.postgres import Wake
from serai.kernel.tenant import POOLED

PATIENCE_S = 5.0


@event(topic="waking", key="thing_id")
class AlarmRung(msgspec.Struct, frozen=True):
    """A fact that only these tests announce."""

    thing_id: UUID


async def test_it_hears_again_after_it_was_cut_off(database: Database, tenant: UUID) -> None:
    wake = Wake(database)
    woken = wake.subscribe(POOLED, [type_of(AlarmRung).name])
    hearing = asyncio.create_task(wake.run())
    async with asyncio.timeout(PATIENCE_S):
        await woken.wait()  # everyone is woken once when it begins to hear
        woken.clear()
        async with database.transaction(POOLED, ()) as tx:
            cut = await tx.connection.fetch(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND usename = current_user "
                "AND pid <> pg_backend_pid()"
            )
        assert len(cut) == 1
        await woken.wait()  # and once when it hears again, for what it may have missed
        woken.clear()
        async with database.transaction(POOLED, (tenant,)) as tx:
            tx.announce(tenant, AlarmRung(uuid4()), Cause(uuid4()))
        await woken.wait()
    hearing.cancel()
    await asyncio.gather(hearing, return_exceptions=True)
