"""The whole house in one process on a real PostgreSQL, driven step by step until it rests."""

import asyncio
import re
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from serai.contexts.catalog.contract import Price, ProductInput, VariantInput
from serai.contexts.catalog.handlers.commands import CreateProduct
from serai.contexts.catalog.model.products import NewIds
from serai.contexts.inventory.handlers import MoveStock
from serai.contexts.inventory.model import Move
from serai.contexts.orders.model import PlaceLine, PlaceOrder
from serai.contexts.payments.gateways import sandbox_cards
from serai.contexts.tenancy.contract import SCOPES
from serai.kernel import ids
from serai.kernel.clock import ManualClock
from serai.kernel.consumer import GroupRunner
from serai.kernel.db import Database
from serai.kernel.events import Cause, type_of
from serai.kernel.idempotency import Claim
from serai.kernel.leases import Membership
from serai.kernel.log.postgres import Wake
from serai.kernel.module import Finding
from serai.kernel.tenant import POOLED, Home
from serai.kernel.workers import Workers
from serai.roles.composition import Composition, compose
from serai.roles.schemas import PACKAGES
from serai.settings import Settings

ROUNDS_MAX = 200
QUICK: dict[str, Any] = {"argon2_memory_kib": 8192, "argon2_passes": 1}
"""A hash that is quick to make, which is what tests can bear."""
FORWARDERS = {"audit"}
"""Groups that run in the directory for a tenant elsewhere: what each meets it sends on."""
SCHEMAS = re.compile(rf"\b({'|'.join(name.rsplit('.', 1)[-1] for name in PACKAGES)})\.(?=\w)")


class House:
    """Places orders through the real batches; the real consumers carry them to their end."""

    def __init__(
        self, database: Database, folder: Path, *, home: Home = POOLED, **given: Any
    ) -> None:
        self.home = home
        """Where its tenant lives; the home has been made."""
        self.clock = ManualClock(datetime(2026, 11, 21, 12, 0, tzinfo=UTC))
        database.clock = self.clock
        self.database = database
        self.tenant = UUID(int=0)
        self.composition: Composition = compose(
            Settings(**{"data_dir": str(folder), "providers_at_home": True, **QUICK, **given}),
            database,
            clock=self.clock,
        )
        self.batches = {batch.name: batch for batch in self.composition.batches}
        self._runners: dict[tuple[Home, str], GroupRunner] = {}
        self._workers = Workers(
            database=database, homes=self.composition.homes, consumers=(),
            timers=self.composition.timers,
        )  # fmt: skip

    async def open(self) -> "House":
        """Makes a tenant and takes every partition of every group."""
        issued = await self.composition.tenancy.create_tenant(
            "house", scopes=SCOPES, home=self.home
        )
        self.tenant = issued.tenant.id
        # What is changed in the directory is announced there, wherever the tenant lives.
        for home in dict.fromkeys((POOLED, self.home)):
            await self._take_partitions(home)
        return self

    async def _take_partitions(self, home: Home) -> None:
        worker = ids.new_id()
        groups = {
            c.group: sorted({type_of(m).topic for m in c.hears}) for c in self.composition.consumers
        }
        if home != self.home:
            groups = {group: topics for group, topics in groups.items() if group in FORWARDERS}
        membership = Membership(self.database, home, worker, groups)
        await membership.ensure()
        await membership.beat()
        for consumer in self.composition.consumers:
            if consumer.group not in groups:
                continue
            self._runners[home, consumer.group] = GroupRunner(
                consumer, database=self.database, home=home, worker=worker,
                membership=membership, wake=Wake(self.database),
                homes=self.composition.homes,
            )  # fmt: skip

    async def rest(self, *, without: Collection[str] = ()) -> None:
        """Runs consumers until none has anything to do; groups named `without` stay behind."""
        assert set(without) <= {group for _, group in self._runners}
        running = [r for (_, group), r in self._runners.items() if group not in without]
        for _ in range(ROUNDS_MAX):
            counts = [(await runner.step())[0] for runner in running]
            if not any(counts):
                return
        raise AssertionError("the house does not come to rest")

    async def ring(self) -> None:
        """Rings the timers that are due, then lets the house come to rest."""
        due = await self._workers.find_due(self.home)
        for flow in {instance.flow for instance in due}:
            await self._workers.ring(self.home, flow, [i for i in due if i.flow == flow])
        await self.rest()

    async def retry_parked(self) -> None:
        """Tries the parked messages that are due, then lets the house come to rest."""
        for runner in self._runners.values():
            runner.retry_letters_now()
            await runner.step()
        await self.rest()

    async def offer(self, *skus: str) -> None:
        """Publishes a product with one variant and a price for each SKU."""
        for sku in skus:
            body = ProductInput(
                title=sku, status="published",
                variants=[VariantInput(sku=sku, prices=[Price("USD", 1000)])],
            )  # fmt: skip
            new = NewIds(ids.new_id(), (ids.new_id(),))
            command = CreateProduct(self.tenant, new, body, Cause(ids.new_id()))
            await self.submit("catalog.create_products", command)

    async def receive(self, **units: int) -> None:
        """Receives units by SKU."""
        moves = tuple(Move("receipt", sku, "main", n, "receipt") for sku, n in units.items())
        command = MoveStock(self.tenant, moves, Cause(ids.new_id()))
        await self.batches["inventory.move_stock"].submit(command, home=self.home)

    async def place(
        self, *lines: tuple[str, int], card: str | None = sandbox_cards.APPROVED,
        price: str = "10.00", is_capture_manual: bool = False,
    ) -> UUID:  # fmt: skip
        """Places an order with staff prices; its id."""
        order_id = ids.new_id()
        command = PlaceOrder(
            self.tenant, order_id, "USD",
            tuple(PlaceLine(sku, quantity, Decimal(price)) for sku, quantity in lines),
            card, is_capture_manual, "buyer@example.com", None, None, Cause(ids.new_id()),
        )  # fmt: skip
        claim = Claim(order_id.hex, order_id.bytes)
        await self.batches["orders.place_orders"].submit(command, home=self.home, claim=claim)
        return order_id

    async def submit(self, batch: str, command: Any) -> Any:
        """Hands any command to its batch."""
        return await self.batches[batch].submit(command, home=self.home)

    async def rows(self, text: str, *args: Any) -> list[dict[str, Any]]:
        """What the tenant's own transaction reads."""
        text = SCHEMAS.sub(rf"{self.home.prefix}\1.", text)
        async with self.database.transaction(self.home, (self.tenant,), is_report=True) as tx:
            return [dict(row) for row in await tx.connection.fetch(text, *args)]

    async def order(self, order_id: UUID) -> dict[str, Any]:
        """One order's row."""
        (row,) = await self.rows("SELECT * FROM orders.orders WHERE id = $1", order_id)
        return row

    async def stock(self, sku: str) -> tuple[int, int, int, int]:
        """Available, reserved, sold and written off of a SKU."""
        (row,) = await self.rows(
            "SELECT available, reserved, sold, written_off "
            "FROM inventory.stock_items WHERE sku = $1",
            sku,
        )
        return (row["available"], row["reserved"], row["sold"], row["written_off"])

    async def findings(self) -> list[Finding]:
        """What `serai check` would say of the tenant."""
        found: list[Finding] = []
        for _, check in self.composition.checks():
            async with self.database.transaction(self.home, (self.tenant,), is_report=True) as tx:
                found.extend(await check.run(tx, self.tenant))
        return found


async def at_once(*work: Any) -> Sequence[Any]:
    """Runs work concurrently; outcomes and failures in order."""
    return await asyncio.gather(*work, return_exceptions=True)
