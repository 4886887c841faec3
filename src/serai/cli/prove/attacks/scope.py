"""Attacks by those who read in one request and act on it in the next."""

from functools import partial
from typing import Any, Final

from serai.cli.prove.attacks.attack import Attack
from serai.cli.prove.attacks.ground import Ground, Move, cost, count, unexpected
from serai.cli.prove.attacks.session import Reply

OUTDATED: Final = "stale_version"


async def edit_stale(ground: Ground) -> None:
    """Six people read a product, and each changes what all have read."""
    product = await ground.product(1)
    shop, tag = ground.own, f'"{product["version"]}"'
    titles = [f"Title {n}" for n in range(6)]
    replies = await ground.race(
        *(Move(title, partial(shop.retitle, product["id"], title, version=tag)) for title in titles)
    )
    odd = unexpected(replies, OUTDATED)
    ground.expect(count(replies, 200) == 1 and not odd, "one of those who read it changes it",
                  answers=[f"{reply.status} {reply.code}" for reply in replies])  # fmt: skip
    after = await shop.product(product["id"])
    won = [title for title, reply in zip(titles, replies, strict=True) if reply.is_done]
    is_kept = [after["title"]] == won and after["version"] == product["version"] + 1
    ground.expect(is_kept, "no accepted change is overwritten", won=won, product=after)


async def price_stale(ground: Ground) -> None:
    """Four people set a price that all have read."""
    product = await ground.product(1)
    (variant,) = product["variants"]
    shop, tag = ground.own, f'"{variant["version"]}"'
    amounts = [500, 600, 700, 800]
    replies = await ground.race(
        *(
            Move(f"price {amount}", partial(shop.reprice, variant["id"], amount, version=tag))
            for amount in amounts
        )
    )
    odd = unexpected(replies, OUTDATED)
    ground.expect(count(replies, 200) == 1 and not odd, "one of those who read a price changes it",
                  answers=[f"{reply.status} {reply.code}" for reply in replies])  # fmt: skip
    prices = (await shop.product(product["id"]))["variants"][0]["prices"]
    won = [a for a, reply in zip(amounts, replies, strict=True) if reply.is_done]
    ground.expect([price["amount_minor"] for price in prices] == won,
                  "no accepted change is overwritten", won=won, prices=prices)  # fmt: skip


async def ship_in_parts(ground: Ground) -> None:
    """Six people have read that four units wait, and each sends one of them."""
    units = 4
    (sku,) = await ground.goods(units)
    order = await ground.confirmed(units, sku)
    shop = ground.own
    await ground.until(partial(shop.shipments_of, order), bool, "a confirmed order has a shipment")
    replies = await ground.race(
        *(Move(f"sender {n}", partial(shop.dispatch, order, 1)) for n in range(6))
    )
    odd = unexpected(replies, "illegal_state", "nothing_to_ship")
    ground.expect(count(replies, 200) == units and not odd, "no more is sent than was bought",
                  answers=[f"{reply.status} {reply.code}" for reply in replies])  # fmt: skip
    await ground.until(
        partial(shop.order, order),
        lambda seen: seen["lines"][0]["shipped"] == units,
        "the order counts what was sent",
    )
    sent = sum(
        line["quantity"]
        for shipment in await shop.shipments_of(order)
        for line in shipment["lines"]
        if shipment["status"] == "dispatched"
    )
    ground.expect(sent == units, "no more is sent than was bought", units=sent)


async def act_late(ground: Ground) -> None:
    """Everyone has read that the order is confirmed; by now it is cancelled."""
    (sku,) = await ground.goods(1)
    order = await ground.confirmed(1, sku)
    shop = ground.own
    await shop.cancel(order)
    await ground.until(
        partial(shop.order, order), lambda o: o["status"] == "cancelled", "a cancellation is done"
    )
    await ground.expect_money(order, captured=cost(1), refunded=cost(1))
    await _try_everything(ground, order)
    await ground.expect_money(order, captured=cost(1), refunded=cost(1))
    await ground.expect_stock(sku, received=1, available=1)


async def act_too_late(ground: Ground) -> None:
    """Everyone has read that nothing was sent; by now all of it is on the road."""
    (sku,) = await ground.goods(1)
    order = await ground.sent(1, sku)
    shop = ground.own
    replies = await ground.race(
        Move("cancel", partial(shop.cancel, order)),
        Move("dispatch", partial(shop.dispatch, order)),
        Move("capture", partial(shop.capture, order)),
        Move("pay", partial(shop.pay, order)),
        Move("refund", partial(shop.refund, order, cost(1) + 1)),
        Move("return", partial(shop.take_back, order, 2)),
    )
    _expect_none(ground, replies)
    seen: dict[str, Any] = await shop.order(order)
    ground.expect(seen["status"] == "confirmed", "what is sent is not undone", order=seen)
    await ground.expect_money(order, captured=cost(1), refunded=0)
    await ground.expect_stock(sku, received=1, sold=1)


async def _try_everything(ground: Ground, order: str) -> None:
    shop = ground.own
    replies = await ground.race(
        Move("cancel", partial(shop.cancel, order)),
        Move("dispatch", partial(shop.dispatch, order)),
        Move("capture", partial(shop.capture, order)),
        Move("pay", partial(shop.pay, order)),
        Move("refund", partial(shop.refund, order, 1)),
        Move("return", partial(shop.take_back, order, 1)),
    )
    _expect_none(ground, replies)


def _expect_none(ground: Ground, replies: list[Reply]) -> None:
    ground.expect(not any(reply.is_done for reply in replies), "an illegal step is refused",
                  answers=[f"{reply.status} {reply.code}" for reply in replies])  # fmt: skip


ATTACKS: Final = (
    Attack("stale-edits", "scope", "scope",
           "six edits at once of a product that all have read", edit_stale),
    Attack("stale-prices", "scope", "scope",
           "four prices at once for a variant that all have read", price_stale),
    Attack("sent-in-parts", "scope", "scope",
           "six people send one unit each of four that they saw waiting", ship_in_parts),
    Attack("steps-after-cancellation", "scope", "scope",
           "send, capture, pay, refund, return and cancel what is cancelled by now", act_late),
    Attack("steps-after-dispatch", "scope", "scope",
           "cancel, send, capture, pay, over-refund and over-return what is sent by now",
           act_too_late),
)  # fmt: skip
