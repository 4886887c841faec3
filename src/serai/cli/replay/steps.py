"""Carries a plan out over HTTP, in steps that may all be repeated.

Each request bears a key that is made of the file's content, the tenant and what is asked; the shop
answers a repeated one with what it answered first. So a replay that was killed is simply begun
anew, and how far it has come is asked of the shop, not of a file of ours.
"""

import asyncio
import collections
import hashlib
import itertools
import time
from collections.abc import Iterator, Sequence
from decimal import ROUND_FLOOR, Decimal
from typing import Any, Final, Protocol, TypeVar

import msgspec

from serai.cli.console import Failure
from serai.cli.replay.client import Answer, Client, ShopGone
from serai.cli.replay.marks import Bundle, bundle
from serai.cli.replay.plan import CURRENCY, Goods, Move, Order, Plan
from serai.cli.replay.reads import Reads

PRODUCTS_PER_CALL: Final = 250
MOVES_PER_CALL: Final = 500
CARD: Final = "4000009901000003"
"""The sandbox's card that is approved at once: the file does not say how anything was paid."""
SUPPLY: Final = "supply"
"""Why units are received that the file does not mention: so that it can be filled."""
RECEIPT: Final = "receipt"
WRITE_OFF: Final = "write-off"
LOOK_S: Final = 0.5
LOOK_MAX_S: Final = 2.0
LOOK_SHARE: Final = 0.1
"""How much of the time the shop may be busy with telling how far it is."""
KEY_BYTES: Final = 16
_NO_STOCK: Final = "not_enough_stock"
_NOT_READY: Final = "shipment_not_ready"
_UNAUTHORISED: Final = (401, 403)

T = TypeVar("T")


class Refusal(msgspec.Struct, frozen=True):
    """Something that the shop refused."""

    what: str
    code: str
    detail: str


class Progress(Protocol):
    """Is shown how far a step is."""

    def start(self, step: str, total: int | None = None) -> None:
        """A step begins that has so many parts, if that is known."""
        ...

    def advance(self, parts: int = 1) -> None:
        """Parts of it are done."""
        ...

    def reach(self, done: int) -> None:
        """So many parts of it are done."""
        ...


class _Placed(msgspec.Struct, frozen=True):
    id: str


class _SavedItem(msgspec.Struct, frozen=True):
    handle: str
    status: str
    errors: list[Any] = []


class _Saved(msgspec.Struct, frozen=True):
    items: list[_SavedItem]


class _Problem(msgspec.Struct, frozen=True):
    detail: str = ""


class Steps:
    """The steps of one replay, in the order in which they are meant to be taken.

    With `scarce` only that share of the units that will be asked for is supplied.
    """

    def __init__(
        self, client: Client, plan: Plan, *, seed: str, scarce: Decimal | None, progress: Progress
    ) -> None:
        self._client = client
        self._reads = Reads(client)
        self._plan = plan
        self._seed = f"{seed}|{scarce}"
        self._scarce = scarce
        self._progress = progress
        self._known: dict[int, str] = {}
        self._ids: dict[int, str] = {}
        self._statuses: dict[str, str] = {}
        self.refusals: list[Refusal] = []
        self.moves_refused: collections.Counter[str] = collections.Counter()
        self.returns_passed_over = 0
        """Returns that have no confirmed order to come back to."""

    def placed(self) -> dict[str, Order]:
        """The plan's orders by the ids that the shop gave them."""
        return {order_id: self._plan.orders[number] for number, order_id in self._ids.items()}

    def counts(self) -> dict[str, int]:
        """How much could not be done for lack of stock."""
        return {
            "orders_refused": sum(self._statuses.get(i) == "cancelled" for i in self._ids.values()),
            "write_offs_refused": self.moves_refused[WRITE_OFF],
            "returns_passed_over": self.returns_passed_over,
        }

    def supply_of(self, goods: Goods) -> int:
        """Units of a stock code that are received beyond what the file itself receives."""
        if self._scarce is None:
            return goods.asked
        return int((self._scarce * goods.asked).to_integral_value(ROUND_FLOOR))

    async def look_around(self) -> None:
        """What of this plan is there already; Failure where the tenant's shop holds other trade."""
        self._progress.start("looking")
        numbers: dict[tuple[str, str, int], list[int]] = {}
        for number, order in enumerate(self._plan.orders):
            key = (order.invoice, order.customer, order.total_minor)
            numbers.setdefault(key, []).append(number)
        for seen in await self._reads.list_orders():
            alike = numbers.get((seen.reference or "", seen.customer or "", seen.total_minor))
            if alike is None:
                raise _not_ours(f"order {seen.id} is not of this file")
            # Of parts of one invoice that cost alike, which is which is told by their keys alone.
            if len(alike) == 1:
                self._known[alike[0]] = seen.id
        for total in await self._reads.total_stock():
            if total.reason == SUPPLY:
                goods = self._plan.goods.get(total.sku)
                if goods is None or total.quantity > self.supply_of(goods):
                    raise _not_ours(f"{total.quantity} units of {total.sku} were supplied")

    async def offer_goods(self) -> None:
        """Every stock code becomes a published product with one variant."""
        products = [_product_of(goods) for goods in self._plan.goods.values()]
        self._progress.start("products", len(products))

        async def offer(numbered: tuple[int, Sequence[Any]]) -> None:
            number, chunk = numbered
            path = "/v1/products:batch?mode=upsert"
            answer = await self._send(path, {"products": chunk}, "products", number)
            if answer.is_ok:
                for item in msgspec.json.decode(answer.body, type=_Saved).items:
                    if item.status == "refused":
                        detail = msgspec.json.encode(item.errors).decode()
                        self.refusals.append(
                            Refusal(f"product {item.handle}", "product_refused", detail)
                        )
            self._progress.advance(len(chunk))

        await self._client.for_each(_numbered(products, PRODUCTS_PER_CALL), offer)

    async def receive_stock(self) -> None:
        """Supplies what will be asked for, and receives what the file receives."""
        supply = [
            Move(goods.sku, units)
            for goods in self._plan.goods.values()
            if (units := self.supply_of(goods))
        ]
        self._progress.start("stock", len(supply) + len(self._plan.receipts))
        await self._move("/v1/stock-receipts", supply, SUPPLY, MOVES_PER_CALL)
        await self._move("/v1/stock-receipts", self._plan.receipts, RECEIPT, MOVES_PER_CALL)

    async def write_off(self) -> None:
        """Writes off what the file writes off; one by one where stock may be lacking."""
        moves = self._plan.write_offs
        self._progress.start("write-offs", len(moves))
        size = MOVES_PER_CALL if self._scarce is None else 1
        await self._move("/v1/stock-write-offs", moves, WRITE_OFF, size)

    async def place_orders(self) -> None:
        """Places every order, but those that were there before."""
        orders = self._plan.orders
        self._progress.start("orders", len(orders))

        async def place(numbered: tuple[int, Order]) -> None:
            number, order = numbered
            order_id = self._known.get(number)
            if order_id is None:
                body = {
                    "currency": CURRENCY,
                    "reference": order.invoice,
                    "customer": order.customer or None,
                    "lines": order.lines,
                    "payment": {"card": CARD},
                }
                answer = await self._send("/v1/orders", body, "order", number, order.invoice)
                if answer.is_ok:
                    order_id = msgspec.json.decode(answer.body, type=_Placed).id
            if order_id is not None:
                self._ids[number] = order_id
            self._progress.advance()

        await self._client.for_each(enumerate(orders), place)

    async def await_orders(self) -> None:
        """Waits until every order has reached its end."""
        self._progress.start("settling", len(self._ids))
        await self._await("orders are not settled", self._count_placed, len(self._ids))
        self._statuses = {seen.id: seen.status for seen in await self._reads.list_orders()}

    async def dispatch_orders(self) -> None:
        """Sends the parcels of all confirmed orders."""
        confirmed = [i for i in self._ids.values() if self._statuses.get(i) == "confirmed"]
        if self._known and await self._is_all_shipped():
            confirmed = []
        self._progress.start("parcels", len(confirmed))

        async def dispatch(order_id: str) -> None:
            for attempt in itertools.count():
                path = f"/v1/orders/{order_id}/dispatch"
                answer = await self._client.post(path, b"{}", key=self._key("dispatch", order_id))
                if answer.code != _NOT_READY:
                    break
                await self._client.pause(attempt, f"the shipment of order {order_id} is not ready")
            self._note(answer, f"parcel of order {order_id}")
            self._progress.advance()

        await self._client.for_each(confirmed, dispatch)
        # A parcel counts with its order once the order has heard of it: returns are refused before.
        total = await self._count_unshipped()
        self._progress.start("shipped", total)
        await self._await("units are not counted as shipped", self._count_unshipped, total)

    async def take_back(self) -> None:
        """Returns what comes back, but to orders that were never confirmed."""
        bundles = bundle(self._plan)
        self._progress.start("returns", len(bundles))

        async def take(one: Bundle) -> None:
            order_id = self._ids.get(one.order, "")
            if self._statuses.get(order_id) == "confirmed":
                body = {
                    "order_id": order_id,
                    "lines": one.pieces,
                    "reason": one.reason,
                    "restock": True,
                }
                await self._send("/v1/returns", body, "return", one.order, one.reason)
            else:
                self.returns_passed_over += 1
            self._progress.advance()

        await self._client.for_each(bundles, take)
        self._progress.start("refunds", len(bundles) - self.returns_passed_over)
        count = len(bundles) - self.returns_passed_over
        await self._await("refunds are not settled", self._count_unrefunded, count)

    async def _is_all_shipped(self) -> bool:
        return await self._count_unshipped() == 0

    async def _count_unshipped(self) -> int:
        totals = await self._reads.sum_orders()
        return sum(t.units - t.shipped for t in totals if t.status == "confirmed")

    async def _count_placed(self) -> int:
        # Listed, not summed: a sum reads every line of every order, and this is asked often.
        return len(await self._reads.list_orders("status=placed"))

    async def _count_unrefunded(self) -> int:
        return sum(seen.status == "accepted" for seen in await self._reads.list_returns())

    async def _await(self, what: str, count_open: Any, total: int) -> None:
        before, moved_at = -1, time.monotonic()
        while True:
            began = time.monotonic()
            still_open = await count_open()
            self._progress.reach(max(0, total - still_open))
            if not still_open:
                return
            if still_open != before:
                before = still_open
                moved_at = began
            elif began - moved_at > self._client.stillness_max_s:
                raise ShopGone(
                    f"{still_open} {what}, and nothing moved for {began - moved_at:.0f} s"
                )
            busy_s = (time.monotonic() - began) / LOOK_SHARE
            await asyncio.sleep(min(max(LOOK_S, busy_s), LOOK_MAX_S))

    async def _move(self, path: str, moves: Sequence[Move], reason: str, size: int) -> None:
        async def move(numbered: tuple[int, Sequence[Move]]) -> None:
            number, chunk = numbered
            body = {
                "moves": [
                    {"sku": step.sku, "quantity": step.quantity, "reason": reason} for step in chunk
                ]
            }
            answer = await self._send(path, body, reason, number)
            if not answer.is_ok:
                self.moves_refused[reason] += len(chunk)
            self._progress.advance(len(chunk))

        await self._client.for_each(_numbered(moves, size), move)

    async def _send(self, path: str, body: Any, kind: str, *names: object) -> Answer:
        answer = await self._client.post(
            path, msgspec.json.encode(body), key=self._key(kind, *names)
        )
        if answer.code != _NO_STOCK or self._scarce is None:
            self._note(answer, " ".join((kind, *map(str, names))))
        return answer

    def _note(self, answer: Answer, what: str) -> None:
        if answer.is_ok:
            return
        if answer.status in _UNAUTHORISED:
            raise Failure(f"the shop does not let us in ({what})", code=answer.code)
        try:
            detail = msgspec.json.decode(answer.body, type=_Problem).detail
        except msgspec.DecodeError:
            detail = ""
        self.refusals.append(Refusal(what, answer.code, detail))

    def _key(self, kind: str, *names: object) -> str:
        text = "\0".join((self._seed, kind, *map(str, names)))
        digest = hashlib.blake2b(text.encode(), digest_size=KEY_BYTES).hexdigest()
        return f"replay-{kind}-{digest}"


def _not_ours(what: str) -> Failure:
    return Failure(
        f"the tenant's shop holds other trade than this replay's ({what}): a replay needs a shop "
        "of its own. Name another one with --tenant",
        code="shop_in_use",
    )


def _product_of(goods: Goods) -> dict[str, Any]:
    # SKUs that differ by case alone are two; their handles are told apart by a digest.
    digest = hashlib.blake2b(goods.sku.encode(), digest_size=6).hexdigest()
    return {
        "title": goods.title or goods.sku,
        "handle": f"sku-{digest}",
        "status": "published",
        "variants": [
            {
                "sku": goods.sku,
                "prices": [{"currency": CURRENCY, "amount_minor": goods.price_minor or 0}],
            }
        ],
    }


def _numbered(items: Sequence[T], size: int) -> Iterator[tuple[int, Sequence[T]]]:
    for number, start in enumerate(range(0, len(items), size)):
        yield number, items[start : start + size]
