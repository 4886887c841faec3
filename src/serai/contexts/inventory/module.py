"""Wiring of inventory."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from serai.contexts.inventory import handlers, routes
from serai.contexts.inventory.contract import (
    DEFAULT_LOCATION,
    Reserved,
    ReserveStock,
    Restock,
    StockRef,
    StockTestimony,
    Want,
)
from serai.contexts.inventory.model import Move
from serai.contexts.inventory.store import PostgresStock
from serai.kernel import ids
from serai.kernel.batch import Batch
from serai.kernel.clock import Clock
from serai.kernel.db import Database, Tx
from serai.kernel.events import Cause
from serai.kernel.failure import Refused
from serai.kernel.idempotency import Answer
from serai.kernel.module import Check, Finding, Job, Module, Surroundings
from serai.kernel.tenant import Home
from serai.kernel.web import answer_with

FINDINGS_MAX = 100
EXPIRED_MAX = 200
TENANTS_MAX = 200
"""Tenants that one transaction of a job looks at."""


class Offers:
    """The contract's Protocol Inventory."""

    def __init__(self, stock: PostgresStock) -> None:
        self._stock = stock

    async def reserve_stock(
        self, commands: Sequence[ReserveStock], *, tx: Tx, now: datetime
    ) -> list[Reserved | Refused]:
        return await handlers.reserve_stock(commands, tx=tx, now=now, stock=self._stock)

    async def commit_stock(self, refs: Sequence[StockRef], *, tx: Tx, now: datetime) -> None:
        await handlers.commit_stock(refs, tx=tx, now=now, stock=self._stock)

    async def release_stock(self, refs: Sequence[StockRef], *, tx: Tx, now: datetime) -> None:
        await handlers.release_stock(refs, tx=tx, now=now, stock=self._stock)

    async def restock(self, commands: Sequence[Restock], *, tx: Tx, now: datetime) -> None:
        await handlers.restock(commands, tx=tx, now=now, stock=self._stock)

    async def receive_stock(
        self, tenant_id: UUID, wants: Sequence[Want], cause: Cause, *, tx: Tx, now: datetime
    ) -> None:
        moves = tuple(
            Move("receipt", w.sku, DEFAULT_LOCATION, w.quantity, "opening") for w in wants
        )
        command = handlers.MoveStock(tenant_id, moves, cause)
        await handlers.move_stock([command], tx=tx, now=now, stock=self._stock)

    async def tell_stock(
        self, tenant_id: UUID, *, after: UUID, until: UUID, tx: Tx
    ) -> list[StockTestimony]:
        return await self._stock.tell_stock(tenant_id, after=after, until=until, tx=tx)


def build(s: Surroundings) -> Module:
    """Inventory over PostgreSQL."""
    stock = PostgresStock()
    make = partial(Batch, database=s.database, queue_max=s.settings.queue_max)
    move: Batch[Any, Any] = make(
        "inventory.move_stock", partial(handlers.move_stock, stock=stock), _moved,
        weigh=lambda command: len(command.moves),
    )  # fmt: skip
    reserve: Batch[Any, Any] = make(
        "inventory.reserve_stock", partial(handlers.reserve_stock, stock=stock), _reserved
    )
    release: Batch[Any, Any] = make(
        "inventory.release", partial(handlers.release_reservations, stock=stock), _released
    )

    async def expire(database: Database, home: Home, clock: Clock) -> int:
        return await _expire(stock, s, database, home, clock)

    return Module(
        name="inventory",
        routes=[
            *routes.moving_routes(move),
            *routes.reservation_routes(reserve, release, s.database, stock, clock=s.clock),
            *routes.reading_routes(s.database, stock),
            *routes.location_routes(s.database, stock),
        ],
        batches=[move, reserve, release],
        jobs=[Job("inventory.expire", timedelta(seconds=1), expire, chunk=EXPIRED_MAX)],
        checks=[
            Check(
                "inventory.stock",
                "For every SKU: received = available + reserved + sold + written off, none "
                "negative, and the reservations and the ledger say the same.",
                partial(_check, stock),
            )
        ],
        offers=Offers(stock),
    )


def _moved(count: int) -> Answer:
    return answer_with(routes.MovedView(count), status=201)


def _reserved(reserved: Reserved) -> Answer:
    view = routes.view_of(reserved.order_id, reserved.expires_at, reserved.wants)
    return answer_with(view, status=201, location=f"/v1/reservations/{reserved.order_id}")


def _released(_nothing: None) -> Answer:
    return answer_with(routes.ReleasedView())


async def _expire(
    stock: PostgresStock, s: Surroundings, database: Database, home: Home, clock: Clock
) -> int:
    """Frees reservations whose time limit has passed."""
    tenants = list(await s.homes.tenants_of(home))
    freed = 0
    for start in range(0, len(tenants), TENANTS_MAX):
        chunk = tenants[start : start + TENANTS_MAX]
        async with database.transaction(home, chunk) as tx:
            expired = await stock.list_expired(chunk, clock.now(), EXPIRED_MAX, tx=tx)
            cause = Cause(ids.new_id())
            refs = [StockRef(tenant, order, cause) for tenant, order in expired]
            await handlers.release_stock(refs, tx=tx, now=tx.now, stock=stock)
        freed = max(freed, len(expired))
    return freed


async def _check(stock: PostgresStock, tx: Tx, tenant_id: UUID) -> list[Finding]:
    rows = await stock.check_levels(tenant_id, FINDINGS_MAX, tx=tx)
    return [
        Finding("inventory.stock", ", ".join(f"{key}={value}" for key, value in dict(row).items()))
        for row in rows
    ]
