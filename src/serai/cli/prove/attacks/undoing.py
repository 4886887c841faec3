"""Attacks on orders that are undone while something else is done to them."""

from functools import partial
from typing import Any, Final

from serai.cli.prove.attacks.attack import Attack
from serai.cli.prove.attacks.ground import Ground, Move, cost, count, money_of, unexpected
from serai.cli.prove.attacks.session import Reply

RETURN_TRIES_MAX: Final = 40


def _cancels(ground: Ground, order_id: str, number: int) -> list[Move]:
    return [Move(f"cancel {n}", partial(ground.own.cancel, order_id)) for n in range(number)]


def _expect_once(ground: Ground, replies: list[Reply], code: str, promise: str) -> None:
    """One is accepted and every other is refused with this code."""
    odd = unexpected(replies, code)
    is_once = sum(reply.is_done for reply in replies) == 1 and not odd
    ground.expect(is_once, promise, answers=[f"{reply.status} {reply.code}" for reply in replies])


async def _ended(ground: Ground, order_id: str) -> None:
    """Returns when an order that is to be cancelled is."""
    await ground.until(
        partial(ground.own.order, order_id),
        lambda order: order["status"] == "cancelled",
        "a cancellation that was accepted is carried out",
    )


async def cancel_often(ground: Ground) -> None:
    """Four cancellations of one order at once."""
    (sku,) = await ground.goods(2)
    order = await ground.confirmed(2, sku)
    replies = await ground.race(*_cancels(ground, order, 4))
    _expect_once(ground, replies, "order_not_cancellable", "an order is cancelled once")
    await _ended(ground, order)
    await ground.expect_money(order, captured=cost(2), refunded=cost(2))
    await ground.expect_stock(sku, received=2, available=2)


async def cancel_early(ground: Ground) -> None:
    """An order is cancelled while it is being carried out."""
    (sku,) = await ground.goods(1)
    shop = ground.own
    placed = await shop.place({sku: 1})
    order = placed.body["id"]
    replies = await ground.race(*_cancels(ground, order, 3))
    _expect_once(ground, replies, "order_not_cancellable", "an order is cancelled once")
    await _ended(ground, order)
    await ground.until(
        lambda: _net(ground, order),
        lambda seen: seen["left"] == 0 and not seen["refunding"],
        "a cancelled order keeps no money",
    )
    await ground.expect_stock(sku, received=1, available=1)


async def _net(ground: Ground, order_id: str) -> dict[str, Any]:
    """What is left of an order's money, by the payment."""
    payment = await ground.own.payment(order_id)
    captured, refunded = money_of(payment)
    return {"left": captured - refunded, "refunding": payment.get("refunding_minor", 0)}


async def cancel_and_ship(ground: Ground) -> None:
    """An order is cancelled and sent at once."""
    (sku,) = await ground.goods(2)
    order = await ground.confirmed(2, sku)
    shop = ground.own
    await ground.until(partial(shop.shipments_of, order), bool, "a confirmed order has a shipment")
    replies = await ground.race(
        *_cancels(ground, order, 2),
        *(Move(f"dispatch {n}", partial(shop.dispatch, order)) for n in range(2)),
    )
    odd = unexpected(replies, "order_not_cancellable", "illegal_state")
    ground.expect(not odd, "each is done, or the order's state does not allow it", answers=odd)
    sent = count(replies[2:], 200)
    ground.expect(sent <= 1, "goods are sent once", dispatches=sent)

    async def read() -> dict[str, Any]:
        shipments = await shop.shipments_of(order)
        return {
            "order": (await shop.order(order))["status"],
            "shipments": sorted(shipment["status"] for shipment in shipments),
            "stock": await shop.stock(sku),
        }

    def is_one_end(seen: dict[str, Any]) -> bool:
        sold = seen["stock"]["sold"]
        is_sent = "dispatched" in seen["shipments"]
        return (seen["order"], is_sent, sold) == (
            ("confirmed", True, 2) if sent else ("cancelled", False, 0)
        )

    await ground.until(read, is_one_end, "an order is sent or cancelled, and its stock says so too")
    refunded = 0 if sent else cost(2)
    await ground.expect_money(order, captured=cost(2), refunded=refunded)


async def cancel_and_capture(ground: Ground) -> None:
    """An order is cancelled while its held money is taken."""
    (sku,) = await ground.goods(1)
    order = await ground.confirmed(1, sku, is_manual=True)
    shop = ground.own
    replies = await ground.race(
        *_cancels(ground, order, 2),
        *(Move(f"capture {n}", partial(shop.capture, order)) for n in range(2)),
    )
    _expect_once(ground, replies[:2], "order_not_cancellable", "an order is cancelled once")
    odd = unexpected(replies[2:], "payment_not_capturable")
    ground.expect(not odd, "held money is taken, or cannot be", answers=odd)
    ground.expect(count(replies[2:], 202) <= 1, "held money is taken once", answers=odd)
    await _ended(ground, order)
    await ground.until(
        lambda: _net(ground, order),
        lambda seen: seen["left"] == 0 and not seen["refunding"],
        "a cancelled order keeps no money",
    )
    await ground.expect_stock(sku, received=1, available=1)


async def cancel_and_refund(ground: Ground) -> None:
    """An order is cancelled while parts of its money are given back by hand."""
    (sku,) = await ground.goods(1)
    order = await ground.confirmed(1, sku)
    shop = ground.own
    replies = await ground.race(
        *_cancels(ground, order, 2),
        *(Move(f"refund {n}", partial(shop.refund, order, 300)) for n in range(4)),
    )
    _expect_once(ground, replies[:2], "order_not_cancellable", "an order is cancelled once")
    odd = unexpected(replies[2:], "refund_too_large")
    ground.expect(not odd, "money is given back, or there is none left", answers=odd)
    await _ended(ground, order)
    await ground.expect_money(order, captured=cost(1), refunded=cost(1))
    await ground.expect_stock(sku, received=1, available=1)


async def cancel_and_return(ground: Ground) -> None:
    """An order is cancelled and sent, and its goods come back as soon as they have left."""
    (sku,) = await ground.goods(2)
    order = await ground.confirmed(2, sku)
    shop = ground.own
    await ground.until(partial(shop.shipments_of, order), bool, "a confirmed order has a shipment")

    async def return_soon() -> Reply:
        for _ in range(RETURN_TRIES_MAX):
            reply = await shop.take_back(order, 1)
            if reply.is_done or (await shop.order(order))["status"] == "cancelled":
                break
        return reply

    replies = await ground.race(
        *_cancels(ground, order, 2),
        Move("dispatch", partial(shop.dispatch, order)),
        *(Move(f"return {n}", return_soon) for n in range(2)),
    )
    odd = unexpected(replies, "order_not_cancellable", "return_not_possible", "illegal_state")
    ground.expect(not odd, "each is done, or the order's state does not allow it", answers=odd)
    sent, returned = count(replies[2:3], 200), count(replies[3:], 201)
    cancelled = count(replies[:2], 202)
    ground.expect(cancelled <= 1, "an order is cancelled once", cancellations=cancelled)
    if not sent:
        await _ended(ground, order)
    ground.expect(bool(sent) or not returned, "what has not left does not come back",
                  dispatches=sent, returns=returned)  # fmt: skip
    back = returned if sent else 2
    await ground.expect_money(order, captured=cost(2), refunded=cost(back))
    await ground.expect_stock(sku, received=2, available=back, sold=2 - back)


ATTACKS: Final = (
    Attack("cancelled-often", "payment", "isolation",
           "four cancellations of one order at once", cancel_often),
    Attack("cancelled-early", "payment", "isolation",
           "an order is cancelled while its stock and money are being seen to", cancel_early),
    Attack("cancel-against-ship", "payment", "isolation",
           "an order is cancelled and sent at once", cancel_and_ship),
    Attack("cancel-against-capture", "payment", "isolation",
           "an order is cancelled while its held money is captured", cancel_and_capture),
    Attack("cancel-against-refund", "payment", "isolation",
           "an order is cancelled while its money is given back by hand", cancel_and_refund),
    Attack("cancel-against-return", "payment", "isolation",
           "an order is cancelled and sent while its goods come back", cancel_and_return),
)  # fmt: skip
