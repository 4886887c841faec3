"""The ground of one round: its goods, its race, what was seen, and what it breaks."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from serai.cli.prove.attacks.session import Reply
from serai.cli.prove.attacks.shop import PRICE_MINOR, Shop

REST_TIMEOUT_S: Final = 15.0
"""How long a shop may take to carry to its end what it has accepted."""
REST_TIMEOUT_BROKEN_S: Final = 1.0
"""The same in a round that has shown already what is wrong."""
LOOK_PAUSE_S: Final = 0.03
SPREADS_S: Final = (0.0, 0.002, 0.01, 0.05)
"""How far apart the requests of a race begin: at once, or over the time that a saga takes."""
SERVER_FAULT: Final = 500

T = TypeVar("T")
Act = Callable[[], Awaitable[Reply]]


class Step(msgspec.Struct, frozen=True):
    """A request of a race: when it went and was answered, and what."""

    who: str
    sent_ms: float
    answered_ms: float
    status: int
    code: str


class Violation(msgspec.Struct, frozen=True):
    """A promise that was broken in a round, and the history that shows it."""

    round: int
    broken: str
    seen: dict[str, Any]
    history: list[Step]


class Move(NamedTuple):
    """What one session does in a race."""

    who: str
    act: Act


class Ground:
    """One round of an attack. `own` is the tenant under attack, `other` another one."""

    def __init__(
        self,
        own: Shop,
        other: Shop | None,
        *,
        number: int,
        name: str,
        rng: Random,
        callback_secret: str | None = None,
    ) -> None:
        self.own = own
        self._other = other
        self._callback_secret = callback_secret
        self.number = number
        self.name = name
        self.rng = rng
        self.history: list[Step] = []
        self.violations: list[Violation] = []
        self.interleavings: set[tuple[tuple[str, int], ...]] = set()

    @property
    def other(self) -> Shop:
        """Another tenant's shop; attacks that use it are only run where there is one."""
        assert self._other is not None, "an attack that needs another tenant says so"
        return self._other

    @property
    def callback_secret(self) -> str:
        """What the provider signs with; attacks that use it are only run where it is known."""
        assert self._callback_secret is not None, "an attack that needs the secret says so"
        return self._callback_secret

    # --------------------------------------------------------------------------------- the attack

    async def goods(self, *units: int, shop: Shop | None = None) -> list[str]:
        """New SKUs with so many units each, variants of one product."""
        return [variant["sku"] for variant in (await self.product(*units, shop=shop))["variants"]]

    async def product(self, *units: int, shop: Shop | None = None) -> dict[str, Any]:
        """A new product with a variant for each of the stocks given."""
        skus = {f"{self.name}-{letter}": n for letter, n in zip("abcdefgh", units, strict=False)}
        made = await (shop or self.own).offer(skus)
        assert made.is_done, f"the bait could not be laid out: {made}"
        product: dict[str, Any] = made.body
        return product

    async def race(self, *moves: Move) -> list[Reply]:
        """Does all at once, in an order and with pauses that the seed decides; replies in order."""
        spread_s = self.rng.choice(SPREADS_S)
        pauses = [self.rng.uniform(0.0, spread_s) for _ in moves]
        loop = asyncio.get_running_loop()
        began = loop.time()
        ended: list[tuple[str, int]] = []

        async def go(move: Move, pause_s: float) -> Reply:
            await asyncio.sleep(pause_s)
            sent = loop.time()
            reply = await move.act()
            ended.append((move.who, reply.status))
            times = ((sent - began) * 1_000, (loop.time() - began) * 1_000)
            self.history.append(
                Step(move.who, round(times[0], 1), round(times[1], 1), reply.status, reply.code)
            )
            return reply

        order = list(range(len(moves)))
        self.rng.shuffle(order)
        tasks = {n: asyncio.create_task(go(moves[n], pauses[n])) for n in order}
        replies = [await tasks[n] for n in range(len(moves))]
        self.interleavings.add(tuple(ended))
        for move, reply in zip(moves, replies, strict=True):
            if reply.status >= SERVER_FAULT:
                self.blame("a request ended in a server fault", who=move.who, answer=reply.body)
        return replies

    async def placed(self, reply: Reply) -> dict[str, Any]:
        """The order that a reply accepted, at its end."""
        assert reply.is_done, f"an order was to be accepted: {reply}"
        return await self.settled(reply.body["id"])

    async def confirmed(self, units: int, sku: str, **how: Any) -> str:
        """The id of a new order that is confirmed."""
        order = await self.placed(await self.own.place({sku: units}, **how))
        if order["status"] != "confirmed":
            self.blame("an order of goods that are there was not confirmed", order=order)
        return str(order["id"])

    async def sent(self, units: int, sku: str) -> str:
        """The id of a new order whose goods are on the road: only they can come back."""
        order_id = await self.confirmed(units, sku)
        await self.until(
            lambda: self.own.shipments_of(order_id), bool, "a confirmed order has a shipment"
        )
        await self.own.dispatch(order_id)
        await self.until(
            lambda: self.own.order(order_id),
            lambda order: order["lines"][0]["shipped"] == units,
            "the order counts what was sent",
        )
        return order_id

    async def settled(self, order_id: str) -> dict[str, Any]:
        """An order when it has come to an end."""
        return await self.until(
            lambda: self.own.order(order_id),
            lambda order: order["status"] != "placed",
            "every accepted order comes to an end",
        )

    async def settled_all(self, replies: Sequence[Reply]) -> list[dict[str, Any]]:
        """The orders that replies accepted, each at its end."""
        accepted = [reply for reply in replies if reply.is_done]
        return list(await asyncio.gather(*(self.settled(r.body["id"]) for r in accepted)))

    # ----------------------------------------------------------------------------------- the proof

    async def until(
        self, read: Callable[[], Awaitable[T]], is_so: Callable[[T], bool], promise: str
    ) -> T:
        """What is read once it is so; a violation of the promise where that takes too long."""
        loop = asyncio.get_running_loop()
        patience_s = REST_TIMEOUT_BROKEN_S if self.violations else REST_TIMEOUT_S
        deadline = loop.time() + patience_s
        while not is_so(last := await read()):
            if loop.time() > deadline:
                self.blame(f"not within {patience_s:g} s: {promise}", last=last)
                break
            await asyncio.sleep(LOOK_PAUSE_S)
        return last

    async def expect_stock(self, sku: str, shop: Shop | None = None, **units: int) -> None:
        """Every unit of a SKU comes to be where it should be; what is not named is zero."""
        names = ("received", "available", "reserved", "sold", "written_off")
        wanted = {name: units.get(name, 0) for name in names}
        await self.until(
            lambda: (shop or self.own).stock(sku),
            lambda stock: stock == wanted,
            f"the units of {sku} are {wanted}",
        )

    async def expect_money(self, order_id: str, *, captured: int, refunded: int) -> None:
        """The order's book and the payment's come to say the same, and this."""
        wanted = (captured, refunded)

        async def read() -> dict[str, Any]:
            order, payment = await self.own.order(order_id), await self.own.payment(order_id)
            return {"order": money_of(order), "payment": money_of(payment),
                    "refunding": payment.get("refunding_minor", 0)}  # fmt: skip

        await self.until(
            read,
            lambda s: s["order"] == s["payment"] == wanted and not s["refunding"],
            f"order and payment both say: captured {captured}, refunded {refunded}",
        )

    def expect(self, holds: bool, promise: str, **seen: Any) -> None:
        """Writes down a violation where a promise does not hold."""
        if not holds:
            self.blame(promise, **seen)

    def blame(self, broken: str, **seen: Any) -> None:
        """Writes down a violation with the history of the round so far."""
        self.violations.append(Violation(self.number, broken, seen, list(self.history)))


def money_of(book: dict[str, Any]) -> tuple[int, int]:
    """What an order or a payment says was captured and refunded."""
    return book.get("captured_minor", 0), book.get("refunded_minor", 0)


def count(replies: Sequence[Reply], status: int) -> int:
    """How many were answered with this status."""
    return sum(reply.status == status for reply in replies)


def unexpected(replies: Sequence[Reply], *wanted: str) -> list[str]:
    """The answers that are neither 2xx nor one of the codes, of those that are no server fault."""
    return [
        f"{reply.status} {reply.code}"
        for reply in replies
        if not reply.is_done and reply.code not in wanted and reply.status < SERVER_FAULT
    ]


def cost(units: int) -> int:
    """What so many units of the bait cost."""
    return units * PRICE_MINOR
