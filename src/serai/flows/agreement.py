"""What the contexts say of an order, held against each other: the invariants that cross them.

No context can see that another disagrees with it. Here each is asked for the orders of a range of
ids, in one snapshot, and a pure function says what does not fit. What travels by events is compared
once it has had time to arrive.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from serai.contexts.inventory.contract import StockTestimony, StockWitness
from serai.contexts.notifications.contract import NotificationWitness
from serai.contexts.orders.contract import OrderTestimony, OrderWitness
from serai.contexts.payments.contract import PaymentTestimony, PaymentWitness
from serai.contexts.shipping.contract import ShipmentTestimony, ShipmentWitness
from serai.kernel.db import Tx
from serai.kernel.module import Check, Finding, Module, Surroundings

CHECK: Final = "flows.orders_agree"
AGREED_WITHIN: Final = timedelta(seconds=60)
"""How long news of an order may travel between contexts before a difference is a finding."""
NOTICES_KEPT: Final = timedelta(days=1)
"""How far back confirmations are looked for; old messages may have been deleted."""
ORDERS_PAGE: Final = 1_000
FINDINGS_MAX: Final = 100
_FIRST: Final = UUID(int=0)
_LAST: Final = UUID(int=2**128 - 1)


@dataclasses.dataclass(frozen=True)
class Case:
    """What each context says of one order; None where it knows nothing of it."""

    order: OrderTestimony | None
    stock: StockTestimony | None
    payment: PaymentTestimony | None
    shipment: ShipmentTestimony | None


def disagreements(case: Case, *, before: datetime) -> Iterator[str]:
    """What does not fit; what came to rest at or after `before` may still be on its way."""
    order = case.order
    if order is None:
        yield from _without_order(case)
    elif order.status == "confirmed":
        yield from _of_confirmed(case, order, before=before)
    elif order.status == "cancelled":
        yield from _of_cancelled(case, order, before=before)


def _without_order(case: Case) -> Iterator[str]:
    # A reservation without an order is one of its own; sold it can be to an order only.
    if case.stock is not None and case.stock.sold:
        yield f"{case.stock.sold} units are sold to an order that does not exist"
    if case.payment is not None:
        yield "there is a payment for an order that does not exist"
    if case.shipment is not None and (case.shipment.waiting or case.shipment.sent):
        yield "there is a shipment for an order that does not exist"


def _of_confirmed(case: Case, order: OrderTestimony, *, before: datetime) -> Iterator[str]:
    sold, reserved = (case.stock.sold, case.stock.reserved) if case.stock else (0, 0)
    if (sold, reserved) != (order.units, 0):
        yield f"{order.units} units are confirmed, {sold} are sold and {reserved} reserved"
    payment = case.payment
    if order.total_minor and not order.is_unpaid:
        if payment is None:
            yield "it is confirmed and has no payment"
        elif payment.status not in {"captured", "authorised"} and _is_settled(order, before):
            yield f"it is confirmed and its payment is {payment.status}"
    if payment is not None and payment.moved_at is not None and payment.moved_at < before:
        yield from _money(order, payment)
    shipment = case.shipment
    waiting, sent = (shipment.waiting, shipment.sent) if shipment else (0, 0)
    is_short = waiting + sent < order.units and _is_settled(order, before)
    if waiting + sent > order.units or is_short:
        yield f"{waiting + sent} units are in shipments, {order.units} were ordered"
    if shipment is not None and shipment.moved_at < before and sent != order.shipped:
        yield f"shipping has sent {sent} units, the order counts {order.shipped}"


def _money(order: OrderTestimony, payment: PaymentTestimony) -> Iterator[str]:
    if order.captured_minor != payment.captured_minor:
        yield f"captured are {payment.captured_minor}, the order says {order.captured_minor}"
    if order.refunded_minor != payment.refunded_minor:
        yield f"refunded are {payment.refunded_minor}, the order says {order.refunded_minor}"


def _of_cancelled(case: Case, order: OrderTestimony, *, before: datetime) -> Iterator[str]:
    if case.stock is not None and (case.stock.reserved or case.stock.sold):
        yield f"it is cancelled and holds {case.stock.reserved + case.stock.sold} units"
    if case.shipment is not None and (case.shipment.waiting or case.shipment.sent):
        yield "it is cancelled and has a shipment"
    payment = case.payment
    if payment is not None and _is_settled(order, before):
        kept = payment.captured_minor - payment.refunding_minor - payment.refunded_minor
        if kept:
            yield f"it is cancelled and keeps {kept} minor units"
        # One that was captured before stays so, and is given back: what is kept of it tells.
        if payment.status == "authorised":
            yield "it is cancelled and its payment is still held"


def _is_settled(order: OrderTestimony, before: datetime) -> bool:
    return order.settled_at is not None and order.settled_at < before


class Agreement:
    """Asks the witnesses, a page of orders at a time."""

    def __init__(
        self,
        orders: OrderWitness,
        inventory: StockWitness,
        payments: PaymentWitness,
        shipping: ShipmentWitness,
        notifications: NotificationWitness,
    ) -> None:
        self._orders = orders
        self._inventory = inventory
        self._payments = payments
        self._shipping = shipping
        self._notifications = notifications

    async def check(self, tx: Tx, tenant_id: UUID) -> list[Finding]:
        """Every disagreement of a tenant, up to a bound."""
        before = tx.now - AGREED_WITHIN
        found: list[Finding] = []
        after = _FIRST
        while len(found) < FINDINGS_MAX:
            orders = await self._orders.tell_orders(
                tenant_id, after=after, limit=ORDERS_PAGE, tx=tx
            )
            is_last = len(orders) < ORDERS_PAGE
            until = _LAST if is_last else orders[-1].order_id
            for order_id, case in (await self._cases(tenant_id, orders, after, until, tx)).items():
                found += [
                    Finding(CHECK, f"order_id={order_id}: {said}")
                    for said in disagreements(case, before=before)
                ]
            found += await self._unconfirmed(tenant_id, orders, tx)
            if is_last:
                break
            after = until
        return found[:FINDINGS_MAX]

    async def _cases(
        self, tenant_id: UUID, orders: Sequence[OrderTestimony], after: UUID, until: UUID, tx: Tx
    ) -> dict[UUID, Case]:
        own = {o.order_id: o for o in orders}
        stock = await self._inventory.tell_stock(tenant_id, after=after, until=until, tx=tx)
        money = await self._payments.tell_payments(tenant_id, after=after, until=until, tx=tx)
        sent = await self._shipping.tell_shipments(tenant_id, after=after, until=until, tx=tx)
        by_stock = {s.order_id: s for s in stock}
        by_money = {p.order_id: p for p in money}
        by_sent = {s.order_id: s for s in sent}
        return {
            key: Case(own.get(key), by_stock.get(key), by_money.get(key), by_sent.get(key))
            for key in sorted({*own, *by_stock, *by_money, *by_sent})
        }

    async def _unconfirmed(
        self, tenant_id: UUID, orders: Sequence[OrderTestimony], tx: Tx
    ) -> list[Finding]:
        newest, oldest = tx.now - AGREED_WITHIN, tx.now - NOTICES_KEPT
        awaited = [
            o.order_id
            for o in orders
            if o.status == "confirmed"
            and o.has_email
            and o.settled_at is not None
            and oldest < o.settled_at < newest
        ]
        if not awaited:
            return []
        missing = await self._notifications.tell_unconfirmed(tenant_id, awaited, tx=tx)
        return [
            Finding(CHECK, f"order_id={i}: nobody was told that it is confirmed") for i in missing
        ]


def build(
    _s: Surroundings,
    *,
    orders: OrderWitness,
    inventory: StockWitness,
    payments: PaymentWitness,
    shipping: ShipmentWitness,
    notifications: NotificationWitness,
) -> Module:
    """The check over the contexts' witnesses."""
    agreement = Agreement(orders, inventory, payments, shipping, notifications)
    return Module(
        name="flows",
        checks=[
            Check(
                CHECK,
                "The stock, the payment, the shipments and the messages of every order agree with "
                "its end, and none of them is of an order that does not exist.",
                agreement.check,
            )
        ],
    )
