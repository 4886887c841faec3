"""Attacks with another tenant's ids and keys."""

from functools import partial
from typing import Final

from serai.cli.prove.attacks.attack import Attack
from serai.cli.prove.attacks.ground import Ground, Move, cost, count
from serai.cli.prove.attacks.session import new_key
from serai.cli.prove.attacks.shop import APPROVED

ABSENT: Final = 404


async def reach_over(ground: Ground) -> None:
    """Another tenant does everything to an order while its owner uses it."""
    product = await ground.product(2, 1)
    sku, beside = (variant["sku"] for variant in product["variants"])
    own, foe = ground.own, ground.other
    order = await ground.sent(2, sku)
    held = await ground.confirmed(1, beside, is_manual=True)
    (shipment,) = await own.shipments_of(order)
    path = f"/v1/shipments/{shipment['id']}/dispatch"
    tag = f'"{product["version"]}"'
    replies = await ground.race(
        Move("owner returns", partial(own.take_back, order, 1)),
        Move("foe cancels", partial(foe.cancel, order)),
        Move("foe dispatches", partial(foe.dispatch, order)),
        Move("foe dispatches the shipment", partial(foe.session.post, path, {})),
        Move("foe returns", partial(foe.take_back, order, 1)),
        Move("foe refunds", partial(foe.refund, order, 100)),
        Move("foe captures", partial(foe.capture, held)),
        Move("foe pays", partial(foe.pay, held, APPROVED)),
        Move("foe releases", partial(foe.release, order)),
        Move("foe retitles", partial(foe.retitle, product["id"], "Mine", version=tag)),
        Move("foe archives", partial(foe.archive, product["id"])),
        Move("foe reads", partial(foe.session.read, f"/v1/orders/{order}")),
        Move("foe reads the payment", partial(foe.session.read, f"/v1/payments/{order}")),
    )
    ground.expect(replies[0].is_done, "the owner is not disturbed", answer=replies[0])
    ground.expect(count(replies[1:], ABSENT) == len(replies) - 1,
                  "another tenant's things are as if absent",
                  answers=[f"{reply.status} {reply.code}" for reply in replies[1:]])  # fmt: skip
    await ground.expect_money(order, captured=cost(2), refunded=cost(1))
    await ground.expect_money(held, captured=0, refunded=0)
    await ground.expect_stock(sku, received=2, sold=1, available=1)
    after = await own.product(product["id"])
    is_same = (after["title"], after["status"]) == (product["title"], product["status"])
    ground.expect(is_same, "another tenant changes nothing", product=after)


async def share_key(ground: Ground) -> None:
    """Two tenants use one idempotency key at once, for one SKU that both have."""
    (sku,) = await ground.goods(3)
    (same,) = await ground.goods(2, shop=ground.other)
    assert sku == same, "both tenants sell the same SKU"
    key, own, foe = new_key(), ground.own, ground.other
    replies = await ground.race(
        *(Move(f"own {n}", partial(own.place, {sku: 1}, key=key)) for n in range(3)),
        *(Move(f"other {n}", partial(foe.place, {sku: 1}, key=key)) for n in range(3)),
    )
    ours = {reply.body["id"] for reply in replies[:3] if reply.is_done}
    theirs = {reply.body["id"] for reply in replies[3:] if reply.is_done}
    is_apart = len(ours) == len(theirs) == 1 and ours != theirs
    ground.expect(is_apart, "a key of one tenant is nothing to another", ours=list(ours),
                  theirs=list(theirs))  # fmt: skip
    await ground.settled(str(next(iter(ours))))
    await ground.expect_stock(sku, received=3, sold=1, available=2)
    await ground.expect_stock(sku, ground.other, received=2, sold=1, available=1)


async def drain_other(ground: Ground) -> None:
    """Buyers of both tenants empty a SKU that both have."""
    units, others = 2, 3
    (sku,) = await ground.goods(units)
    await ground.goods(others, shop=ground.other)
    own, foe = ground.own, ground.other
    replies = await ground.race(
        *(Move(f"own {n}", partial(own.place, {sku: 1})) for n in range(4)),
        *(Move(f"other {n}", partial(foe.place, {sku: 1})) for n in range(4)),
    )
    ground.expect(count(replies, 201) == len(replies), "an order for goods that are known is taken")
    orders = await ground.settled_all(replies[:4])
    confirmed = sum(order["status"] == "confirmed" for order in orders)
    ground.expect(confirmed == units, "a tenant sells its own units only", confirmed=confirmed)
    await ground.expect_stock(sku, received=units, sold=units)
    await ground.expect_stock(sku, ground.other, received=others, sold=others)


ATTACKS: Final = (
    Attack("foreign-ids", "tenancy", "isolation",
           "another tenant cancels, sends, returns, refunds, captures and reads an order in use",
           reach_over, needs="another tenant"),
    Attack("foreign-keys", "tenancy", "isolation",
           "two tenants use one idempotency key at once", share_key, needs="another tenant"),
    Attack("foreign-stock", "tenancy", "isolation",
           "buyers of two tenants at once for a SKU that both have", drain_other,
           needs="another tenant"),
)  # fmt: skip
