"""Cancellation: undoes an order that nothing was shipped of.

It races the checkout flow for the same instance: whoever moves it first has decided. An order that
checkout has not begun yet gets an ended instance, so that checkout finds it and leaves it alone.
"""

from collections.abc import Sequence
from datetime import datetime

from serai.contexts.inventory.contract import Inventory
from serai.contexts.orders.contract import CancellationRequested, CancelOrder, OrderRef, Orders
from serai.contexts.payments.contract import Payments
from serai.contexts.shipping.contract import ShipmentRef, Shipping
from serai.flows.checkout import FLOW, payment_refs, stock_refs
from serai.kernel.db import Tx
from serai.kernel.events import Delivery
from serai.kernel.flow import Start
from serai.kernel.module import Consumer, Module, Surroundings


class Cancellation:
    """The one step of the flow."""

    def __init__(
        self, orders: Orders, inventory: Inventory, payments: Payments, shipping: Shipping
    ) -> None:
        self._orders = orders
        self._inventory = inventory
        self._payments = payments
        self._shipping = shipping

    async def on_cancellation_requested(
        self, deliveries: Sequence[Delivery], *, tx: Tx, now: datetime
    ) -> None:
        """Takes the instance out of checkout's hands, then undoes what was done for it."""
        keys = [(d.tenant_id, d.key) for d in deliveries]
        unbegun = await FLOW.start(
            [Start(tenant, key, "cancelled", None) for tenant, key in keys], tx=tx, now=now
        )
        unpaid = await FLOW.move(keys, states=("paying",), to="cancelled", tx=tx, now=now)
        settled = [d for d in deliveries if d.key not in unbegun | unpaid]
        states = await FLOW.find([(d.tenant_id, d.key) for d in settled], tx=tx)
        confirmed = [d for d in settled if states.get(d.key) == "confirmed"]
        stopped = await self._stop_shipments(confirmed, tx=tx, now=now)
        undone = [d for d in deliveries if d.key in unbegun | unpaid | stopped]
        await self._inventory.release_stock(stock_refs(undone), tx=tx, now=now)
        if undone:
            await self._payments.withdraw_payments(payment_refs(undone), tx=tx, now=now)
        await self._orders.cancel_orders(
            [CancelOrder(d.tenant_id, d.key, "requested", d.cause) for d in undone], tx=tx, now=now
        )

    async def _stop_shipments(
        self, confirmed: Sequence[Delivery], *, tx: Tx, now: datetime
    ) -> set[object]:
        """Cancels the shipments of confirmed orders; orders with goods on the road are kept."""
        if not confirmed:
            return set()
        refs = [ShipmentRef(d.tenant_id, d.key, d.cause) for d in confirmed]
        stopped = await self._shipping.cancel_shipments(refs, tx=tx, now=now)
        kept = [d for d in confirmed if d.key not in stopped]
        await self._orders.keep_orders(
            [OrderRef(d.tenant_id, d.key, d.cause) for d in kept], tx=tx, now=now
        )
        await FLOW.move(
            [(d.tenant_id, d.key) for d in confirmed if d.key in stopped],
            states=("confirmed",), to="cancelled", tx=tx, now=now,
        )  # fmt: skip
        return set(stopped)


def build(
    s: Surroundings,
    *,
    orders: Orders,
    inventory: Inventory,
    payments: Payments,
    shipping: Shipping,
) -> Module:
    """The cancellation flow over the contexts it leads."""
    del s
    cancellation = Cancellation(orders, inventory, payments, shipping)
    return Module(
        name="cancellation",
        consumers=[
            Consumer(
                "cancellation",
                {CancellationRequested: cancellation.on_cancellation_requested},
            )
        ],
    )
