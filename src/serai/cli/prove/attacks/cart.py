"""Attacks on what is ordered: twice under one key, at a price that moves, of goods that go."""

from decimal import Decimal
from functools import partial
from typing import Final

from serai.cli.prove.attacks.attack import Attack
from serai.cli.prove.attacks.ground import Ground, Move, cost, count, unexpected
from serai.cli.prove.attacks.session import new_key
from serai.cli.prove.attacks.shop import PRICE_MINOR

PRICE_THEN_MINOR: Final = 2_500


async def repeat(ground: Ground) -> None:
    """One order, sent eight times at once under one key."""
    (sku,) = await ground.goods(8)
    key, shop = new_key(), ground.own
    moves = [
        Move(f"sender {n}", partial(shop.place, {sku: 1}, key=key, reference=ground.name))
        for n in range(8)
    ]
    replies = await ground.race(*moves)
    bodies = [reply.body for reply in replies]
    is_one = count(replies, 201) == len(replies) and all(body == bodies[0] for body in bodies)
    ground.expect(is_one, "equal requests under one key get one answer", answers=bodies)
    await ground.settled_all(replies)
    orders = await shop.orders_of(ground.name)
    ground.expect(len(orders) == 1, "equal requests under one key are one order", orders=orders)
    await ground.expect_stock(sku, received=8, sold=1, available=7)


async def swap_body(ground: Ground) -> None:
    """Two different orders, each sent four times at once, all under one key."""
    (sku,) = await ground.goods(8)
    key, shop = new_key(), ground.own
    moves = [
        Move(
            f"sender of {units}",
            partial(shop.place, {sku: units}, key=key, reference=ground.name),
        )
        for units in (1, 2, 1, 2, 1, 2, 1, 2)
    ]
    replies = await ground.race(*moves)
    odd = unexpected(replies, "idempotency_key_reused")
    ground.expect(not odd, "another request under a key is refused as such", answers=odd)
    taken = {reply.body["id"] for reply in replies if reply.is_done}
    units = {n for n, reply in zip((1, 2) * 4, replies, strict=True) if reply.is_done}
    is_one = len(taken) == 1 and len(units) == 1 and count(replies, 201) == len(replies) // 2
    ground.expect(is_one, "one of two requests under one key is done", orders=list(taken))
    await ground.settled_all(replies)
    orders = await shop.orders_of(ground.name)
    ground.expect(len(orders) == 1, "one key is one order", orders=orders)
    sold = sum(units)
    await ground.expect_stock(sku, received=8, sold=sold, available=8 - sold)


async def reprice(ground: Ground) -> None:
    """The price goes up and down between placing and paying."""
    product = await ground.product(6)
    (variant,) = product["variants"]
    sku, shop = variant["sku"], ground.own
    version = variant["version"]

    def set_price(amount: int, number: int) -> Move:
        tag = f'"{version + number}"'
        return Move(f"price {amount}", partial(shop.reprice, variant["id"], amount, version=tag))

    placed = await ground.race(
        *(Move(f"buyer {n}", partial(shop.place, {sku: 1}, card=None)) for n in range(6)),
        set_price(PRICE_THEN_MINOR, 0),
    )
    orders = placed[:6]
    told = {reply.body["id"]: reply.body["total_minor"] for reply in orders if reply.is_done}
    ground.expect(len(told) == len(orders), "an order for goods that are known is taken",
                  answers=unexpected(orders))  # fmt: skip
    right = set(told.values()) <= {PRICE_MINOR, PRICE_THEN_MINOR}
    ground.expect(right, "an order costs what the goods cost before or after", told=told)
    for order_id in told:
        await ground.until(
            partial(shop.payment, order_id), bool, "an order with its goods can be paid"
        )
    paid = await ground.race(
        *(Move(f"payer {n}", partial(shop.pay, order)) for n, order in enumerate(told)),
        set_price(1, 1),
    )
    ground.expect(count(paid[:-1], 202) == len(told), "each order can be paid",
                  answers=unexpected(paid))  # fmt: skip
    for order_id, total in told.items():
        order = await ground.settled(order_id)
        (line,) = (await shop.order(order_id))["lines"]
        kept = (order["total_minor"], line["amount_minor"], Decimal(line["unit_price"]) * 100)
        ground.expect(kept == (total, total, total), "an order keeps the price that it was told",
                      told=total, order=order, line=line)  # fmt: skip
        await ground.expect_money(order_id, captured=total, refunded=0)


async def pay_often(ground: Ground) -> None:
    """One order is paid by four people at once."""
    (sku,) = await ground.goods(2)
    shop = ground.own
    placed = await shop.place({sku: 2}, card=None)
    order_id = placed.body["id"]
    await ground.until(partial(shop.payment, order_id), bool, "an order with its goods can be paid")
    replies = await ground.race(
        *(Move(f"payer {n}", partial(shop.pay, order_id)) for n in range(4))
    )
    odd = unexpected(replies, "illegal_state")
    ground.expect(count(replies, 202) == 1 and not odd, "an order is paid once",
                  answers=[f"{reply.status} {reply.code}" for reply in replies])  # fmt: skip
    await ground.settled(order_id)
    await ground.expect_money(order_id, captured=cost(2), refunded=0)
    await ground.expect_stock(sku, received=2, sold=2)


async def archive(ground: Ground) -> None:
    """The product is taken out of sale while it is ordered."""
    product = await ground.product(8)
    sku, shop = product["variants"][0]["sku"], ground.own
    replies = await ground.race(
        *(Move(f"buyer {n}", partial(shop.place, {sku: 1})) for n in range(6)),
        Move("archive", partial(shop.archive, product["id"])),
    )
    odd = unexpected(replies, "product_not_for_sale")
    ground.expect(not odd, "an order is taken, or the product is not for sale", answers=odd)
    late = await shop.place({sku: 1})
    ground.expect(late.code == "product_not_for_sale", "nothing archived is sold", answer=late)
    orders = await ground.settled_all(replies[:6])
    ground.expect(all(order["status"] == "confirmed" for order in orders),
                  "an order that was taken before is carried out", orders=orders)  # fmt: skip
    await ground.expect_stock(sku, received=8, sold=len(orders), available=8 - len(orders))


ATTACKS: Final = (
    Attack("one-key-one-body", "cart", "isolation",
           "one order is sent eight times at once under one key", repeat),
    Attack("one-key-two-bodies", "cart", "isolation",
           "an order and a larger one are sent at once under one key", swap_body),
    Attack("price-moves-under-order", "cart", "scope",
           "the price goes up while orders are placed, and to a cent while they are paid", reprice),
    Attack("paid-by-many", "cart", "isolation", "one order is paid four times at once", pay_often),
    Attack("archived-under-buyers", "cart", "isolation",
           "the product is taken out of sale while six buyers order it", archive),
)  # fmt: skip
