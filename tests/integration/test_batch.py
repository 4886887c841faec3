"""The batch engine on a real PostgreSQL: one effect and one answer a key; poison stays alone."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
import pytest

from serai.contexts.inventory import handlers
from serai.contexts.inventory.handlers import MoveStock
from serai.contexts.inventory.model import Move, NotEnoughStock
from serai.contexts.inventory.store import PostgresStock
from serai.kernel import ids
from serai.kernel.batch import Batch
from serai.kernel.db import Database, Tx
from serai.kernel.events import Cause
from serai.kernel.failure import IdempotencyKeyReused, Refused, Unavailable
from serai.kernel.idempotency import Answer, Claim
from serai.kernel.tenant import POOLED
from serai.kernel.web import answer_with

QUEUE_MAX = 1000


def receipt(tenant: UUID, quantity: int, sku: str = "tent") -> MoveStock:
    return MoveStock(tenant, (Move("receipt", sku, "main", quantity, ""),), Cause(ids.new_id()))


def write_off(tenant: UUID, quantity: int) -> MoveStock:
    return MoveStock(
        tenant, (Move("write_off", "tent", "main", quantity, ""),), Cause(ids.new_id())
    )


def batch_of(database: Database, handler: Any = None, **bounds: Any) -> Batch[MoveStock, int]:
    own = handler or partial(handlers.move_stock, stock=PostgresStock())
    bounds.setdefault("queue_max", QUEUE_MAX)
    return Batch(
        "testing",
        own,
        lambda n: answer_with({"n": n, "by": ids.new_id()}),
        database=database,
        **bounds,
    )


async def available(database: Database, tenant: UUID) -> int:
    async with database.transaction(POOLED, (tenant,)) as tx:
        value = await tx.connection.fetchval(
            "SELECT COALESCE(sum(available), 0)::int FROM inventory.stock_items"
        )
    return int(value)


def key(name: str, body: bytes = b"body") -> Claim:
    return Claim(name, body.ljust(16, b"\0"))


async def test_equal_requests_at_the_same_instant_have_one_effect_and_one_answer(
    database: Database, tenant: UUID
) -> None:
    one, other = batch_of(database), batch_of(database)
    answers = await asyncio.gather(
        *(
            batch.submit(receipt(tenant, 5), home=POOLED, claim=key("k"))
            for _ in range(20)
            for batch in (one, other)
        )
    )
    assert len({answer.body for answer in answers}) == 1
    assert await available(database, tenant) == 5
    later = await batch_of(database).submit(receipt(tenant, 5), home=POOLED, claim=key("k"))
    (first,) = {msgspec.structs.replace(answer, is_repeated=False) for answer in answers}
    assert later == msgspec.structs.replace(first, is_repeated=True)
    assert await available(database, tenant) == 5


async def test_the_same_key_for_another_request_is_refused(
    database: Database, tenant: UUID
) -> None:
    batch = batch_of(database)
    outcomes = await asyncio.gather(
        batch.submit(receipt(tenant, 5), home=POOLED, claim=key("k", b"one")),
        batch.submit(receipt(tenant, 7), home=POOLED, claim=key("k", b"two")),
        return_exceptions=True,
    )
    assert isinstance(outcomes[0], Answer)
    assert isinstance(outcomes[1], IdempotencyKeyReused)
    with pytest.raises(IdempotencyKeyReused):
        await batch.submit(receipt(tenant, 7), home=POOLED, claim=key("k", b"two"))
    assert await available(database, tenant) == 5


async def test_two_tenants_may_use_the_same_key(database: Database, tenant: UUID) -> None:
    batch, stranger = batch_of(database), ids.new_id()
    await asyncio.gather(
        batch.submit(receipt(tenant, 5), home=POOLED, claim=key("k", b"one")),
        batch.submit(receipt(stranger, 7), home=POOLED, claim=key("k", b"two")),
    )
    assert (await available(database, tenant), await available(database, stranger)) == (5, 7)


async def test_a_refused_request_gives_its_key_back(database: Database, tenant: UUID) -> None:
    batch = batch_of(database)
    with pytest.raises(NotEnoughStock):
        await batch.submit(write_off(tenant, 3), home=POOLED, claim=key("k"))
    await batch.submit(receipt(tenant, 3), home=POOLED, claim=key("first"))
    answer = await batch.submit(write_off(tenant, 3), home=POOLED, claim=key("k"))
    assert answer.status == 200
    assert await available(database, tenant) == 0


async def test_a_command_that_breaks_the_handler_fails_alone(
    database: Database, tenant: UUID
) -> None:
    stock = PostgresStock()

    async def fragile(
        commands: Sequence[MoveStock], *, tx: Tx, now: datetime
    ) -> list[int | Refused]:
        outcomes = await handlers.move_stock(commands, tx=tx, now=now, stock=stock)
        if any(c.moves[0].quantity == 13 for c in commands):
            raise ZeroDivisionError("thirteen")
        return outcomes

    batch = batch_of(database, fragile)
    outcomes = await asyncio.gather(
        *(batch.submit(receipt(tenant, n), home=POOLED, claim=key(f"k{n}")) for n in range(1, 31)),
        return_exceptions=True,
    )
    assert [n for n, o in enumerate(outcomes, 1) if isinstance(o, Exception)] == [13]
    assert isinstance(outcomes[12], ZeroDivisionError)
    assert await available(database, tenant) == sum(range(1, 31)) - 13


async def test_a_full_queue_answers_at_once_that_it_is_full(
    database: Database, tenant: UUID
) -> None:
    batch = batch_of(database, queue_max=10)
    outcomes = await asyncio.gather(
        *(batch.submit(receipt(tenant, 1), home=POOLED) for _ in range(50)), return_exceptions=True
    )
    refused = [o for o in outcomes if isinstance(o, Unavailable)]
    accepted = [o for o in outcomes if isinstance(o, Answer)]
    assert len(refused) + len(accepted) == 50
    assert len(refused) == 40
    assert await available(database, tenant) == len(accepted)


async def test_a_client_that_hangs_up_undoes_nothing_of_the_others(
    database: Database, tenant: UUID
) -> None:
    batch = batch_of(database)
    tasks = [
        asyncio.create_task(batch.submit(receipt(tenant, 1), home=POOLED, claim=key(f"k{n}")))
        for n in range(10)
    ]
    await asyncio.sleep(0)
    tasks[3].cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    await batch.drain()
    assert isinstance(outcomes[3], asyncio.CancelledError)
    assert sum(isinstance(o, Answer) for o in outcomes) == 9
    assert await available(database, tenant) == 10


async def test_a_commit_that_fails_answers_nobody_with_success(
    database: Database, tenant: UUID
) -> None:
    async def cut(commands: Sequence[MoveStock], *, tx: Tx, now: datetime) -> list[int | Refused]:
        del now
        await tx.connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return [1 for _ in commands]

    with pytest.raises(Unavailable):
        await batch_of(database, cut).submit(receipt(tenant, 1), home=POOLED, claim=key("k"))
    assert await available(database, tenant) == 0
