"""No answer before the commit: what fails as the very last thing of a transaction fails it all."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from serai.contexts.inventory import handlers
from serai.contexts.inventory.contract import StockReleased
from serai.contexts.inventory.handlers import MoveStock
from serai.contexts.inventory.store import PostgresStock
from serai.kernel import ids
from serai.kernel.db import Database, Tx
from serai.kernel.failure import Refused
from serai.kernel.tenant import POOLED
from tests.integration.test_batch import available, batch_of, key, receipt


async def test_what_fails_as_the_last_thing_before_the_commit_is_not_answered_with_success(
    database: Database, tenant: UUID
) -> None:
    async def announce_for_a_stranger(
        commands: Sequence[MoveStock], *, tx: Tx, now: datetime
    ) -> list[int | Refused]:
        outcomes = await handlers.move_stock(commands, tx=tx, now=now, stock=PostgresStock())
        # Announcements are written when all else is done; the wall lets this one not through.
        tx.announce(ids.new_id(), StockReleased(ids.new_id()), commands[0].cause)
        return outcomes

    batch = batch_of(database, announce_for_a_stranger)
    (outcome,) = await asyncio.gather(
        batch.submit(receipt(tenant, 5), home=POOLED, claim=key("k")), return_exceptions=True
    )
    await batch.drain()
    assert isinstance(outcome, asyncpg.InsufficientPrivilegeError)
    assert await available(database, tenant) == 0
    await batch_of(database).submit(receipt(tenant, 5), home=POOLED, claim=key("k"))
    assert await available(database, tenant) == 5
