"""The load: buyers and staff, who ask again with the same key for as long as nobody answers."""

import asyncio
import random
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from serai.cli.prove.history import Attempt, Deed, History, Sight, Story, What
from serai.cli.prove.plan import APIS, CURRENCY, Buyer
from serai.cli.prove.wire import NoAnswer, Reply, Wire

ANSWER_TIMEOUT_S: Final = 6.0
PAUSE_S: Final = 0.15
PAUSE_MAX_S: Final = 3.0
PROBE_PAUSE_S: Final = 0.3
LOOK_S: Final = 0.5
PROBE_LOOK_S: Final = 0.15
LEAVE_S: Final = 0.01
BUYERS_AT_ONCE_MAX: Final = 64
"""Buyers in the shop at a time; who comes while it is full waits outside. A machine that is slow to
come back would else be buried under everybody's second and third attempt."""
PROBES_AT_ONCE_MAX: Final = 6
"""Plain orders that may be unanswered at a time, beside the buyers; a further one is left out."""
BUSY: Final = (429, 502, 503, 504)
BUG: Final = 500
ENDED: Final = ("confirmed", "cancelled")


class Load:
    """All buyers of a plan over two APIs, and the history of what they were answered."""

    def __init__(self, ports: Mapping[str, int], key: str, history: History, now: Any) -> None:
        self._wires = {api: Wire(ports[api], key) for api in APIS}
        self._history = history
        self._now: Callable[[], float] = now
        self._give_up = asyncio.Event()
        self._room = asyncio.Semaphore(BUYERS_AT_ONCE_MAX)
        self._probes = 0

    async def carry_out(self, buyers: tuple[Buyer, ...]) -> None:
        """Every buyer at her moment; returns when the last has what she came for."""
        async with asyncio.TaskGroup() as group:
            for buyer in buyers:
                await asyncio.sleep(max(0.0, buyer.at_s - self._now()))
                group.create_task(self._probe(buyer) if buyer.is_probe else self._come(buyer))

    def give_up(self) -> None:
        """Nobody asks again from now on: what is not answered yet stays so."""
        self._give_up.set()

    def close(self) -> None:
        """Hangs up."""
        for wire in self._wires.values():
            wire.close()

    async def _come(self, buyer: Buyer) -> None:
        async with self._room:
            if not self._give_up.is_set():
                await self._live(buyer)

    async def _probe(self, buyer: Buyer) -> None:
        if self._probes < PROBES_AT_ONCE_MAX:
            self._probes += 1
            try:
                await self._live(buyer)
            finally:
                self._probes -= 1

    async def _live(self, buyer: Buyer) -> None:
        story = Story(buyer)
        self._history.stories.append(story)
        await self._place(story)
        if story.order_id is None:
            return
        wishes = []
        if story.buyer.pays_with is not None:
            wishes.append(self._pay(story))
        if story.buyer.cancels_after_s is not None:
            wishes.append(self._cancel(story, story.buyer.cancels_after_s))
        if story.buyer.is_manual or story.buyer.returns_units or story.buyer.is_probe:
            wishes.append(self._follow(story))
        await asyncio.gather(*wishes)

    async def _place(self, story: Story) -> None:
        buyer = story.buyer
        deed = Deed("place", f"place-{buyer.number}")
        story.deeds.append(deed)
        body = order_body(buyer)
        if buyer.leaves != "never":
            api = self._api_of(buyer, 0)
            deed.attempts.append(Attempt(self._now(), LEAVE_S, api, 0, "the buyer hung up"))
            await self._wires[api].leave("/v1/orders", body, key=deed.key, after_s=LEAVE_S)
            if buyer.leaves == "for_good":
                return
        twins = [
            self._ask(story, deed, "/v1/orders", body, shift=twin, wait_s=buyer.wait_s)
            for twin in range(buyer.twins)
        ]
        await asyncio.gather(*twins)

    async def _pay(self, story: Story) -> None:
        await asyncio.sleep(LOOK_S)
        body = msgspec.json.encode({"card": story.buyer.pays_with})
        await self._do(story, "pay", f"/v1/orders/{story.order_id}/payment", body)

    async def _cancel(self, story: Story, after_s: float) -> None:
        await asyncio.sleep(after_s)
        await self._do(story, "cancel", f"/v1/orders/{story.order_id}/cancel", b"")

    async def _follow(self, story: Story) -> None:
        """Looks until the order has ended; then staff capture, and the buyer sends units back."""
        pause_s = PROBE_LOOK_S if story.buyer.is_probe else LOOK_S
        status = story.sights[-1].status if story.sights else ""
        attempt = 0
        while status not in ENDED and not self._give_up.is_set():
            await asyncio.sleep(pause_s)
            api = self._api_of(story.buyer, attempt)
            attempt += 1
            try:
                path = f"/v1/orders/{story.order_id}"
                reply = await self._wires[api].get(path, timeout_s=ANSWER_TIMEOUT_S)
            except NoAnswer:
                continue
            if reply.is_ok:
                status = self._see(story, reply)
        if status != "confirmed":
            return
        if story.buyer.is_manual:
            await self._do(story, "capture", f"/v1/payments/{story.order_id}/captures", b"{}")
        if story.buyer.returns_units:
            units = {"line_no": 1, "quantity": story.buyer.returns_units}
            wanted = {"order_id": story.order_id, "lines": [units], "restock": True}
            await self._do(story, "return", "/v1/returns", msgspec.json.encode(wanted))

    async def _do(self, story: Story, what: What, path: str, body: bytes) -> None:
        deed = Deed(what, f"{what}-{story.buyer.number}")
        story.deeds.append(deed)
        await self._ask(story, deed, path, body)

    async def _ask(
        self, story: Story, deed: Deed, path: str, body: bytes, *, shift: int = 0, wait_s: int = 0
    ) -> None:
        """Asks until it is answered; each time the other API, and always the same key."""
        attempt = 0
        while True:
            api = self._api_of(story.buyer, attempt + shift)
            began = self._now()
            try:
                reply = await self._wires[api].post(
                    path, body, key=deed.key, timeout_s=ANSWER_TIMEOUT_S, wait_s=wait_s
                )
            except NoAnswer as silence:
                reply = Reply(0, b"", str(silence))
            said = reply.body.decode(errors="replace") if reply.is_ok else reply.code
            deed.attempts.append(
                Attempt(began, self._now() - began, api, reply.status, said, is_waiting=wait_s > 0)
            )
            if reply.status and reply.status not in (*BUSY, BUG):
                break
            if self._give_up.is_set():
                return
            longest_s = PROBE_PAUSE_S if story.buyer.is_probe else PAUSE_MAX_S
            rest_s = min(PAUSE_S * 2.0**attempt, longest_s)
            await asyncio.sleep(rest_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            attempt += 1
        if reply.is_ok and deed.what == "place":
            self._see(story, reply)

    def _see(self, story: Story, reply: Reply) -> str:
        view = reply.read()
        status: str = view["status"]
        story.order_id = story.order_id or view["id"]
        if not story.sights or story.sights[-1].status != status:
            story.sights.append(Sight(self._now(), status))
        return status

    def _api_of(self, buyer: Buyer, attempt: int) -> str:
        return APIS[(buyer.number + attempt) % len(APIS)]


def order_body(buyer: Buyer) -> bytes:
    """The order as it is sent: the same bytes each time."""
    body: dict[str, Any] = {
        "currency": CURRENCY,
        "lines": [{"sku": line.sku, "quantity": line.quantity} for line in buyer.lines],
        "reference": buyer.reference,
        "email": f"{buyer.reference}@example.com",
    }
    if buyer.card is not None:
        capture = "manual" if buyer.is_manual else "automatic"
        body["payment"] = {"card": buyer.card, "capture": capture}
    return msgspec.json.encode(body)
