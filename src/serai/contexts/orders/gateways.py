"""How a request learns that its order has reached an end: all awaited ones are read at once."""

import asyncio
from uuid import UUID

from serai.contexts.orders.contract import OrderView
from serai.contexts.orders.ports import OrderReads
from serai.kernel.db import Database
from serai.kernel.failure import Unavailable
from serai.kernel.tenant import Home


class PolledSettlements:
    """Looks up all awaited orders with one statement at a time, while any are awaited."""

    POLL_S = 0.02

    def __init__(self, database: Database, book: OrderReads) -> None:
        self._database = database
        self._book = book
        self._awaited: dict[Home, dict[tuple[UUID, UUID], list[asyncio.Future[OrderView]]]] = {}
        self._task: asyncio.Task[None] | None = None

    async def wait(
        self, home: Home, tenant_id: UUID, order_id: UUID, wait_s: float
    ) -> OrderView | None:
        future: asyncio.Future[OrderView] = asyncio.get_running_loop().create_future()
        waiting = self._awaited.setdefault(home, {}).setdefault((tenant_id, order_id), [])
        waiting.append(future)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._poll())
        try:
            return await asyncio.wait_for(future, wait_s)
        except TimeoutError:
            return None
        finally:
            waiting.remove(future)
            if not waiting:
                self._awaited[home].pop((tenant_id, order_id), None)

    async def _poll(self) -> None:
        while any(self._awaited.values()):
            await asyncio.sleep(self.POLL_S)
            # A copy: who begins to wait during a look may be the first of her home.
            for home, awaited in list(self._awaited.items()):
                if awaited:
                    await self._look(home, awaited)

    async def _look(
        self, home: Home, awaited: dict[tuple[UUID, UUID], list[asyncio.Future[OrderView]]]
    ) -> None:
        keys = list(awaited)
        tenants = {tenant for tenant, _ in keys}
        try:
            async with self._database.transaction(home, tenants, is_read_only=True) as tx:
                settled = await self._book.list_settled(keys, tx=tx)
        except Unavailable:
            return  # The look is repeated; the waiters have their own end.
        for (_tenant, order_id), futures in list(awaited.items()):
            view = settled.get(order_id)
            for future in list(futures):
                if view is not None and not future.done():
                    future.set_result(view)
