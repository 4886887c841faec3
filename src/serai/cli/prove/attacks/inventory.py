"""Attacks on stock: sell a unit twice, sell part of an order, lose a unit on its way."""

from functools import partial
from typing import Final

from serai.cli.prove.attacks.attack import Attack
from serai.cli.prove.attacks.ground import Ground, Move, count, unexpected
from serai.cli.prove.attacks.session import Reply
from serai.cli.prove.attacks.shop import Shop


def _buyer(shop: Shop, number: int, wants: dict[str, int]) -> Move:
    return Move(f"buyer {number}", partial(shop.place, wants))


async def _confirmed(ground: Ground, replies: list[Reply]) -> int:
    """How many of the orders were confirmed; those cancelled must have lacked stock."""
    ground.expect(count(replies, 201) == len(replies), "an order for goods that are known is taken",
                  answers=unexpected(replies))  # fmt: skip
    orders = await ground.settled_all(replies)
    for order in orders:
        is_right = order["status"] == "confirmed" or order["reason"] == "out_of_stock"
        ground.expect(is_right, "an order is confirmed, or cancelled as out of stock", order=order)
    return sum(order["status"] == "confirmed" for order in orders)


async def outnumber(ground: Ground) -> None:
    """Nine buyers for three units: three get one each."""
    units, buyers = 3, 9
    (sku,) = await ground.goods(units)
    moves = [_buyer(ground.own, n, {sku: 1}) for n in range(buyers)]
    sold = await _confirmed(ground, await ground.race(*moves))
    ground.expect(sold == units, "as many orders are confirmed as there are units", confirmed=sold)
    await ground.expect_stock(sku, received=units, sold=units)


async def cross(ground: Ground) -> None:
    """Eight buyers of the same three SKUs, half of them in the opposite order, for four sets."""
    sets = 4
    skus = await ground.goods(sets, sets, sets)
    ways = [dict.fromkeys(skus, 1), dict.fromkeys(reversed(skus), 1)]
    moves = [_buyer(ground.own, n, ways[n % 2]) for n in range(2 * sets)]
    sold = await _confirmed(ground, await ground.race(*moves))
    ground.expect(
        sold == sets, "as many orders are confirmed as there are whole sets", confirmed=sold
    )
    for sku in skus:
        await ground.expect_stock(sku, received=sets, sold=sets)


async def shift(ground: Ground) -> None:
    """Buyers of what is written off, transferred and received at the same moment."""
    (sku,) = await ground.goods(6)
    shop = ground.own
    opened = await shop.open_location("annex")
    ground.expect(opened.is_done, "a location can be made", answer=opened)
    replies = await ground.race(
        *(_buyer(shop, n, {sku: 1}) for n in range(6)),
        Move("write-off", partial(shop.write_off, sku, 2)),
        Move("transfer", partial(shop.transfer, sku, 2, to="annex")),
        Move("receipt", partial(shop.receive, sku, 1)),
    )
    lost, moved, came = replies[6:]
    odd = unexpected([lost, moved, came], "not_enough_stock")
    ground.expect(not odd, "units are moved, or there are not enough", answers=odd)
    sold = await _confirmed(ground, replies[:6])
    received = 6 + came.is_done
    written_off = 2 * lost.is_done
    await ground.expect_stock(
        sku, received=received, sold=sold, written_off=written_off,
        available=received - sold - written_off,
    )  # fmt: skip


async def restock(ground: Ground) -> None:
    """Buyers of units that are just coming back from earlier buyers."""
    units = 2
    (sku,) = await ground.goods(units)
    earlier = [await ground.sent(1, sku) for _ in range(units)]
    shop = ground.own
    replies = await ground.race(
        *(_buyer(shop, n, {sku: 1}) for n in range(4)),
        *(
            Move(f"return {n}", partial(shop.take_back, order, 1))
            for n, order in enumerate(earlier)
        ),
    )
    odd = unexpected(replies[4:])
    ground.expect(not odd, "units that were sold can come back", answers=odd)
    sold = await _confirmed(ground, replies[:4])
    ground.expect(
        sold <= units, "no more orders are confirmed than units came back", confirmed=sold
    )
    await ground.expect_stock(sku, received=units, sold=sold, available=units - sold)


async def rebuy(ground: Ground) -> None:
    """The last unit is bought, cancelled and bought again at once."""
    (sku,) = await ground.goods(1)
    first = await ground.confirmed(1, sku)
    shop = ground.own
    cancels = [Move(f"cancel {n}", partial(shop.cancel, first)) for n in range(2)]
    replies = await ground.race(*(_buyer(shop, n, {sku: 1}) for n in range(4)), *cancels)
    ground.expect(count(replies[4:], 202) == 1, "an order is cancelled once",
                  answers=[reply.status for reply in replies[4:]])  # fmt: skip
    await ground.until(
        partial(shop.order, first), lambda o: o["status"] == "cancelled", "a cancellation is done"
    )
    sold = await _confirmed(ground, replies[:4])
    ground.expect(sold <= 1, "one unit is sold to one buyer at a time", confirmed=sold)
    await ground.expect_stock(sku, received=1, sold=sold, available=1 - sold)


async def hold(ground: Ground) -> None:
    """Reservations and orders for the same units, one reservation given up meanwhile."""
    units = 3
    (sku,) = await ground.goods(units)
    shop = ground.own
    first = await shop.reserve((sku, 1))
    assert first.is_done, first
    held_id = first.body["id"]
    replies = await ground.race(
        *(_buyer(shop, n, {sku: 1}) for n in range(4)),
        *(Move(f"reservation {n}", partial(shop.reserve, (sku, 1))) for n in range(4)),
        Move("release", partial(shop.release, held_id)),
    )
    odd = unexpected(replies[4:8], "out_of_stock")
    ground.expect(not odd, "units are held, or there are not enough", answers=odd)
    held = count(replies[4:8], 201)
    sold = await _confirmed(ground, replies[:4])
    ground.expect(
        held + sold <= units, "no more units are promised than there are", held=held, sold=sold
    )
    await ground.expect_stock(
        sku, received=units, sold=sold, reserved=held, available=units - sold - held
    )


async def name_twice(ground: Ground) -> None:
    """Reservations that name a SKU twice, to get past a check that looks at each line alone."""
    (sku,) = await ground.goods(3)
    shop = ground.own
    moves = [Move(f"reservation {n}", partial(shop.reserve, (sku, 2), (sku, 2))) for n in range(3)]
    replies = await ground.race(*moves)
    refused = all(reply.code in {"out_of_stock", "invalid"} for reply in replies)
    ground.expect(refused, "a reservation gets all of its units or none",
                  answers=[f"{reply.status} {reply.code}" for reply in replies])  # fmt: skip
    await ground.expect_stock(sku, received=3, available=3)


async def release_sold(ground: Ground) -> None:
    """An order's stock is released as if it were a mere reservation, and bought again."""
    (sku,) = await ground.goods(1)
    order = await ground.confirmed(1, sku)
    shop = ground.own
    replies = await ground.race(
        *(Move(f"release {n}", partial(shop.release, order)) for n in range(2)),
        *(_buyer(shop, n, {sku: 1}) for n in range(2)),
    )
    refused = all(reply.code == "reservation_not_found" for reply in replies[:2])
    ground.expect(refused, "what an order holds is no reservation that can be released",
                  answers=[f"{reply.status} {reply.code}" for reply in replies[:2]])  # fmt: skip
    sold = await _confirmed(ground, replies[2:])
    ground.expect(sold == 0, "a unit that is sold is not sold again", confirmed=sold)
    await ground.expect_stock(sku, received=1, sold=1)


ATTACKS: Final = (
    Attack("buyers-outnumber-units", "inventory", "isolation",
           "nine buyers at once for three units", outnumber),
    Attack("opposite-orders", "inventory", "isolation",
           "eight buyers at once for four sets of three SKUs, named in opposite orders", cross),
    Attack("stock-moves-under-buyers", "inventory", "isolation",
           "six buyers while units are written off, transferred and received", shift),
    Attack("returns-restock-under-buyers", "inventory", "isolation",
           "four buyers while the only units come back", restock),
    Attack("cancel-and-buy-again", "inventory", "isolation",
           "the last unit is cancelled twice and bought four times", rebuy),
    Attack("reservations-against-orders", "inventory", "isolation",
           "four reservations, four orders and a release for three units", hold),
    Attack("a-sku-named-twice", "inventory", "isolation",
           "reservations that name a SKU twice, each line of which could be filled alone",
           name_twice),
    Attack("release-what-is-sold", "inventory", "scope",
           "an order's units are released as a reservation, and bought again", release_sold),
)  # fmt: skip
