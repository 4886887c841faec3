"""Gentle buyers of a shop that is being hurt: what they were answered, and what became of it."""

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator
from datetime import datetime
from typing import NamedTuple

import httpx

from tests.e2e.shop import bearer, keyed, order_of

SKU = "tent"
ORDER_EVERY_S = 0.05
ANSWER_TIMEOUT_S = 30.0
CONNECTIONS_MAX = 200
SETTLE_TIMEOUT_S = 30.0


class Sent(NamedTuple):
    """One order that was sent: when, when it was answered, and how; status 0: by nobody."""

    began_at: float
    ended_at: float
    status: int
    order_id: str
    has_retry_after: bool


class Traffic:
    """Gentle buyers: an order every so often, whatever became of those before."""

    def __init__(self, base: str, key: str, *, after_s: float) -> None:
        self.sent: list[Sent] = []
        self.after_s = after_s
        """How long they go on after what is tried has happened."""
        self._base = base
        self._key = key
        self._limits = httpx.Limits(max_connections=CONNECTIONS_MAX)

    @contextlib.asynccontextmanager
    async def flowing(self) -> AsyncIterator[None]:
        """Orders come until the block ends; then every answer is awaited."""
        async with httpx.AsyncClient(
            base_url=self._base, headers=bearer(self._key), timeout=ANSWER_TIMEOUT_S,
            limits=self._limits,
        ) as client:  # fmt: skip
            flow = asyncio.create_task(self._flow(client))
            try:
                yield
            finally:
                flow.cancel()
                await asyncio.gather(flow, return_exceptions=True)

    async def _flow(self, client: httpx.AsyncClient) -> None:
        async with asyncio.TaskGroup() as orders:
            with contextlib.suppress(asyncio.CancelledError):
                while True:
                    orders.create_task(self._order(client))
                    await asyncio.sleep(ORDER_EVERY_S)

    async def _order(self, client: httpx.AsyncClient) -> None:
        began_at = time.time()
        status, order_id, has_retry_after = 0, "", False
        with contextlib.suppress(httpx.TransportError):
            answer = await client.post("/v1/orders", json=order_of(SKU), headers=keyed())
            status, has_retry_after = answer.status_code, "retry-after" in answer.headers
            if answer.is_success:
                order_id = answer.json()["id"]
        self.sent.append(Sent(began_at, time.time(), status, order_id, has_retry_after))

    async def go_on(self, since: float) -> None:
        """Lets orders come for their while, and longer until one sent after `since` is taken."""
        await asyncio.sleep(self.after_s)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_TIMEOUT_S):
                while math.isinf(self.flows_after(since)):
                    await asyncio.sleep(ORDER_EVERY_S)

    def flows_after(self, moment: float) -> float:
        """The seconds from `moment` to the first success of an order sent after it."""
        return min(
            (s.ended_at - moment for s in self.sent if s.began_at >= moment and s.status == 201),
            default=math.inf,
        )

    def slowest_since(self, moment: float) -> float:
        """The longest that an order sent after `moment` waited for its answer, good or bad."""
        return max((s.ended_at - s.began_at for s in self.sent if s.began_at >= moment), default=0)

    async def settled(self) -> dict[str, tuple[float, float]]:
        """When each accepted order was placed and when it reached its end; waits for that."""
        accepted = [s.order_id for s in self.sent if s.order_id]
        async with (
            httpx.AsyncClient(base_url=self._base, headers=bearer(self._key)) as client,
            asyncio.timeout(SETTLE_TIMEOUT_S),
        ):
            return {order_id: await _end_of(order_id, client) for order_id in accepted}


async def _end_of(order_id: str, client: httpx.AsyncClient) -> tuple[float, float]:
    while True:
        with contextlib.suppress(httpx.TransportError):
            answer = await client.get(f"/v1/orders/{order_id}")
            order = answer.json()
            if answer.is_success and order["settled_at"]:
                assert order["status"] == "confirmed", order
                placed, ended = (
                    datetime.fromisoformat(order[name]).timestamp()
                    for name in ("placed_at", "settled_at")
                )
                return placed, ended
        await asyncio.sleep(ORDER_EVERY_S)


def carried_after(moment: float, settled: dict[str, tuple[float, float]]) -> float:
    """The longest that an order waited for its end, counted from `moment` at the earliest."""
    return max(ended - max(placed, moment) for placed, ended in settled.values() if ended > moment)
