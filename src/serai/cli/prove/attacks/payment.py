"""Attacks on money: get it back twice, have it taken twice, make the books disagree."""

import hashlib
import hmac
import time
from functools import partial
from typing import Any, Final

import msgspec

from serai.cli.prove.attacks.attack import Attack
from serai.cli.prove.attacks.ground import Ground, Move, cost, count, unexpected
from serai.cli.prove.attacks.session import Reply
from serai.cli.prove.attacks.shop import LATE
from serai.contexts.payments.contract import CALLBACKS_PATH

UNAUTHENTICATED: Final = 401


async def refund_often(ground: Ground) -> None:
    """Eight refunds of 300 at once, of 1,000 that were captured."""
    (sku,) = await ground.goods(1)
    order = await ground.confirmed(1, sku)
    shop = ground.own
    replies = await ground.race(
        *(Move(f"refund {n}", partial(shop.refund, order, 300)) for n in range(8))
    )
    odd = unexpected(replies, "refund_too_large")
    given = count(replies, 201)
    ground.expect(given == cost(1) // 300 and not odd, "no more is given back than was taken",
                  refunds=given, answers=odd)  # fmt: skip
    await ground.expect_money(order, captured=cost(1), refunded=given * 300)


async def refund_crumbs(ground: Ground) -> None:
    """Many small refunds and a large one, of which not all can be."""
    (sku,) = await ground.goods(1)
    order = await ground.confirmed(1, sku)
    shop = ground.own
    amounts = [150] * 9 + [700]
    replies = await ground.race(
        *(Move(f"refund of {a}", partial(shop.refund, order, a)) for a in amounts)
    )
    odd = unexpected(replies, "refund_too_large")
    given = sum(a for a, reply in zip(amounts, replies, strict=True) if reply.is_done)
    ground.expect(given <= cost(1) and not odd, "no more is given back than was taken",
                  given=given, answers=odd)  # fmt: skip
    await ground.expect_money(order, captured=cost(1), refunded=given)


async def return_often(ground: Ground) -> None:
    """Six returns of one unit at once, of three that were bought."""
    units = 3
    (sku,) = await ground.goods(units)
    order = await ground.sent(units, sku)
    shop = ground.own
    replies = await ground.race(
        *(Move(f"return {n}", partial(shop.take_back, order, 1)) for n in range(2 * units))
    )
    odd = unexpected(replies, "return_not_possible")
    back = count(replies, 201)
    ground.expect(back == units and not odd, "no more comes back than was bought", returns=back,
                  answers=odd)  # fmt: skip
    await ground.expect_money(order, captured=cost(units), refunded=cost(units))
    await ground.expect_stock(sku, received=units, available=units)
    line = (await shop.order(order))["lines"][0]
    ground.expect(line["returned"] == units, "the order counts what came back", line=line)


async def refund_and_return(ground: Ground) -> None:
    """The goods come back while their money is already given back by hand."""
    (sku,) = await ground.goods(2)
    order = await ground.sent(2, sku)
    shop = ground.own
    replies = await ground.race(
        Move("return", partial(shop.take_back, order, 2)),
        *(Move(f"refund {n}", partial(shop.refund, order, cost(1))) for n in range(3)),
    )
    odd = unexpected(replies, "refund_too_large")
    ground.expect(replies[0].is_done and not odd, "what was bought comes back", answers=odd)
    by_hand = cost(count(replies[1:], 201))
    # The return takes all of the money or, where less is left of it, none: a person has to look.
    refunded = cost(2) if by_hand == 0 else by_hand
    await ground.expect_money(order, captured=cost(2), refunded=refunded)
    await ground.expect_stock(sku, received=2, available=2)


async def _held(ground: Ground, sku: str, units: int) -> str:
    """A confirmed order whose money is held and not taken yet."""
    return await ground.confirmed(units, sku, is_manual=True)


async def capture_often(ground: Ground) -> None:
    """Four partial captures of one hold at once."""
    (sku,) = await ground.goods(1)
    order = await _held(ground, sku, 1)
    shop = ground.own
    replies = await ground.race(
        *(Move(f"capture {n}", partial(shop.capture, order, 200 + n)) for n in range(4))
    )
    odd = unexpected(replies, "payment_not_capturable")
    taken = [200 + n for n, reply in enumerate(replies) if reply.is_done]
    ground.expect(len(taken) == 1 and not odd, "held money is taken once", captures=taken,
                  answers=odd)  # fmt: skip
    await ground.expect_money(order, captured=sum(taken), refunded=0)


async def capture_and_refund(ground: Ground) -> None:
    """Money is given back the moment that it is taken."""
    (sku,) = await ground.goods(1)
    order = await _held(ground, sku, 1)
    shop = ground.own

    async def refund_at_once() -> Reply:
        await ground.until(
            partial(shop.payment, order), lambda p: p["captured_minor"] > 0, "a capture is done"
        )
        return await shop.refund(order, 250)

    replies = await ground.race(
        Move("capture", partial(shop.capture, order)), Move("refund", refund_at_once)
    )
    ground.expect(all(reply.is_done for reply in replies), "what is captured can be given back",
                  answers=unexpected(replies))  # fmt: skip
    await ground.expect_money(order, captured=cost(1), refunded=250)


class Provider:
    """Speaks for the payment provider, or for someone who pretends to be it."""

    def __init__(self, ground: Ground, secret: str, tenant_id: str, order_id: str) -> None:
        self._session = ground.own.session
        self._secret = secret
        self._key = (tenant_id + order_id).replace("-", "")
        self._total = cost(1)

    def news(self, sequence: int, status: str) -> bytes:
        """A callback's body. A repeated one is the same to the byte."""
        captured = self._total if status == "captured" else 0
        return msgspec.json.encode(
            {
                "id": f"{self._key}-{sequence}", "key": self._key, "reference": self._key,
                "status": status, "sequence": sequence, "provider_ref": f"ref-{self._key[32:48]}",
                "reason": None, "amount_minor": captured, "decided_at": time.time(),
            }
        )  # fmt: skip

    async def call(self, body: bytes, *, secret: str | None = None) -> Reply:
        """Brings the news, signed by this secret."""
        at = str(int(time.time())).encode()
        digest = hmac.new((secret or self._secret).encode(), at + b"." + body, hashlib.sha256)
        signature = f"t={at.decode()},v1={digest.hexdigest()}"
        headers = {"Content-Type": "application/json", "Sandbox-Signature": signature}
        return await self._session.post_raw(CALLBACKS_PATH, body, headers)


async def call_back(ground: Ground) -> None:
    """The provider's news comes five times at once, out of order, and forged as well."""
    (sku,) = await ground.goods(2)
    shop = ground.own
    placed = await shop.place({sku: 1}, card=LATE)
    order = placed.body["id"]
    await ground.until(partial(shop.payment, order), bool, "the provider is asked for the money")
    who: dict[str, Any] = (await shop.session.read("/v1/tenant")).body
    provider = Provider(ground, ground.callback_secret, who["tenant"]["id"], order)
    captured, earlier = provider.news(2, "captured"), provider.news(1, "authorised")
    forged = provider.news(3, "declined")
    replies = await ground.race(
        *(Move(f"captured {n}", partial(provider.call, captured)) for n in range(5)),
        *(Move(f"authorised {n}", partial(provider.call, earlier)) for n in range(2)),
        Move("forged", partial(provider.call, forged, secret="nobody's")),  # noqa: S106 - a wrong one
    )
    ground.expect(all(reply.is_done for reply in replies[:7]), "the provider's news is taken",
                  answers=unexpected(replies[:7]))  # fmt: skip
    ground.expect(replies[7].status == UNAUTHENTICATED, "forged news is refused", answer=replies[7])
    ended = await ground.settled(order)
    ground.expect(ended["status"] == "confirmed", "an order that is paid is confirmed", order=ended)
    await ground.expect_money(order, captured=cost(1), refunded=0)
    await ground.expect_stock(sku, received=2, sold=1, available=1)


ATTACKS: Final = (
    Attack("refunds-at-once", "payment", "isolation",
           "eight refunds of 300 at once, of 1,000 captured", refund_often),
    Attack("refunds-in-crumbs", "payment", "isolation",
           "nine small refunds and a large one at once", refund_crumbs),
    Attack("returns-at-once", "payment", "isolation",
           "six returns of one unit at once, of three bought", return_often),
    Attack("refund-against-return", "payment", "isolation",
           "goods come back while their money is given back by hand", refund_and_return),
    Attack("captures-at-once", "payment", "isolation",
           "four partial captures of one hold at once", capture_often),
    Attack("refund-on-capture", "payment", "isolation",
           "money is given back in the moment that it is captured", capture_and_refund),
    Attack("callbacks-repeated", "payment", "isolation",
           "the provider's news comes five times, out of order, and forged", call_back,
           needs="the callback secret"),
)  # fmt: skip
