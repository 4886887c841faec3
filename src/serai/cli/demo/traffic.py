"""A gentle stream of buyers through the public API, and the staff that ships, takes back, restocks.

Everybody is bounded in number and patient with an API that is busy or restarting. What is refused
is part of the show: sold out, card declined, cancelled too late.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from random import Random
from typing import Final
from uuid import UUID

import httpx

from serai.cli.demo.api import Api, GivenUp, rest
from serai.cli.demo.buyers import Crowd, Visit, wanted_rate
from serai.cli.demo.goods import is_scarce

BUYERS_MAX: Final = 32
"""Buyers in the shop at the same time; who comes when it is full goes elsewhere."""
SECOND_THOUGHTS_MAX: Final = 500
"""Orders that somebody may still cancel or send back."""
CANCEL_AFTER_S: Final = (0.2, 4.0)
RETURN_AFTER_S: Final = (10.0, 40.0)
DISPATCH_EVERY_S: Final = 1.0
DISPATCHED_A_ROUND: Final = 20
PACKED_AFTER_ROUNDS: Final = 2
RESTOCK_EVERY_S: Final = 15.0
RESTOCK_BELOW_SHARE: Final = 0.25
SCARCE_RESTOCK_SHARE: Final = 0.2
"""How likely a scarce SKU that is sold out gets new units at a look: about one in five."""
PENDING_LOOKED_AT: Final = 200
LEAVE_S: Final = 3.0
"""How long buyers have to finish what they began when the shop closes."""
CREATED: Final = 201


class Traffic:
    """Everybody who comes to the demo shop, until told to stop."""

    def __init__(
        self, api: Api, crowd: Crowd, shelves: Mapping[str, int], *, chance: Random
    ) -> None:
        self._api = api
        self._crowd = crowd
        self._shelves = shelves
        self._chance = chance
        self._began = time.monotonic()
        self._buyers: set[asyncio.Task[None]] = set()
        self._second_thoughts: set[asyncio.Task[None]] = set()
        self.turned_away = 0
        self.given_up = 0
        self.trouble = ""
        """The last thing that went otherwise than it should, in one sentence."""

    def tell(self) -> str:
        """How the crowd is, in a few words."""
        if self._api.is_backing_off:
            return "buyers wait: the API is busy or restarting"
        return f"buyers want {wanted_rate(time.monotonic() - self._began):.0f} orders/s"

    async def run(self, stop: asyncio.Event) -> None:
        """Lets them come until `stop` is set; then they finish what they began, within a bound."""
        self._began = time.monotonic()
        everyone = [
            asyncio.create_task(work)
            for work in (
                self._let_buyers_in(stop),
                self._repeat(self._dispatch, DISPATCH_EVERY_S, stop),
                self._repeat(self._restock, RESTOCK_EVERY_S, stop),
            )
        ]
        try:
            await asyncio.gather(*everyone)
        finally:
            for task in self._second_thoughts:
                task.cancel()
            if self._buyers:
                await asyncio.wait(self._buyers, timeout=LEAVE_S)
            left = [*everyone, *self._buyers, *self._second_thoughts]
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def _let_buyers_in(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await rest(self._crowd.next_gap_s(time.monotonic() - self._began), stop)
            if stop.is_set() or self._api.is_backing_off:
                continue
            if len(self._buyers) >= BUYERS_MAX:
                self.turned_away += 1
                continue
            self._send_in(self._buyers, self._buy(self._crowd.next_visit(), stop))

    async def _buy(self, visit: Visit, stop: asyncio.Event) -> None:
        answer = await self._api.post("/v1/orders", visit.body())
        if answer.status_code != CREATED:
            self.trouble = f"an order was answered with {answer.status_code}: {answer.text[:200]}"
            return
        if visit.mood != "keeps" and len(self._second_thoughts) < SECOND_THOUGHTS_MAX:
            order_id = UUID(answer.headers["location"].rsplit("/", 1)[-1])
            self._send_in(self._second_thoughts, self._think_again(visit, order_id, stop))

    async def _think_again(self, visit: Visit, order_id: UUID, stop: asyncio.Event) -> None:
        """Cancels the order, or sends a unit of it back; either may be refused, which is fine."""
        if visit.mood == "cancels":
            await rest(self._chance.uniform(*CANCEL_AFTER_S), stop)
            await self._api.post(f"/v1/orders/{order_id}/cancel", {})
            return
        await rest(self._chance.uniform(*RETURN_AFTER_S), stop)
        lines = [{"line_no": 1, "quantity": 1}]
        body = {"order_id": str(order_id), "lines": lines, "reason": "changed my mind"}
        await self._api.post("/v1/returns", body)

    async def _dispatch(self) -> None:
        """Hands the older of the pending shipments to the carrier."""
        page = await self._api.get("/v1/shipments", status="pending", limit=PENDING_LOOKED_AT)
        # Newest first: what was packed in the last moments waits, so that people can still cancel.
        waiting = page["items"][DISPATCHED_A_ROUND * PACKED_AFTER_ROUNDS :]
        for shipment in waiting[-DISPATCHED_A_ROUND:]:
            await self._api.post(f"/v1/shipments/{shipment['id']}/dispatch", {})

    async def _restock(self) -> None:
        """Receives goods where a shelf is low; scarce ones stay sold out for a while."""
        free: Counter[str] = Counter()
        for item in await self._api.get_all("/v1/stock-items"):
            free[item["sku"]] += item["available"]
        moves = [
            {"sku": sku, "quantity": shelf - free[sku], "reason": "restock"}
            for sku, shelf in self._shelves.items()
            if self._is_due(shelf, free[sku])
        ]
        if moves:
            await self._api.post("/v1/stock-receipts", {"moves": moves})

    def _is_due(self, shelf: int, free: int) -> bool:
        if is_scarce(shelf):
            return free == 0 and self._chance.random() < SCARCE_RESTOCK_SHARE
        return free < shelf * RESTOCK_BELOW_SHARE

    def _send_in(self, group: set[asyncio.Task[None]], errand: Awaitable[None]) -> None:
        task = asyncio.ensure_future(self._try(errand))
        group.add(task)
        task.add_done_callback(group.discard)

    async def _repeat(
        self, work: Callable[[], Awaitable[None]], every_s: float, stop: asyncio.Event
    ) -> None:
        while not stop.is_set():
            await self._try(work())
            await rest(every_s, stop)

    async def _try(self, errand: Awaitable[None]) -> None:
        """Does an errand; who finds the shop shut comes again another time."""
        try:
            await errand
        except GivenUp:
            self.given_up += 1
        except httpx.HTTPStatusError as error:
            self.trouble = f"{error.request.url.path} was refused: {error.response.text[:200]}"
