"""What follows a return: the goods go back on the shelf, the money back to the customer.

1. `ReturnAccepted`: the order has taken the units back. They are restocked if they may be sold
   again, and their price is asked back from the provider; where nothing was paid there is nothing
   to wait for.
2. `RefundSettled`: the money has arrived. The return is settled, and the order's book says so.
3. `RefundFailed`: the provider refused for good. The return says so, and a person has to look.

How far a return has come is kept by the return itself: this flow has no rows of its own. A refund
bears the id of its return. Refunds of cancelled orders settle here too: their ids are no return's,
and returns leave ids alone that they do not know.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from functools import partial

from serai.contexts.inventory.contract import Inventory, Restock, Want
from serai.contexts.orders.contract import Orders, RefundRecord
from serai.contexts.payments.contract import Payments, RefundFailed, RefundSettled, RequestRefund
from serai.contexts.returns.contract import ReturnAccepted, ReturnRef, Returns
from serai.kernel.db import Tx
from serai.kernel.events import Delivery
from serai.kernel.module import Consumer, Module, Surroundings

GROUP = "returns"


async def hear_return_accepted(
    deliveries: Sequence[Delivery],
    *,
    tx: Tx,
    now: datetime,
    inventory: Inventory,
    payments: Payments,
    returns: Returns,
) -> None:
    """Restocks what can be sold again, and asks for the money or settles what cost nothing."""
    restocks: list[Restock] = []
    refunds: list[RequestRefund] = []
    free: list[ReturnRef] = []
    for delivery in deliveries:
        event: ReturnAccepted = delivery.decode()
        if event.is_restocked:
            units = _units_of(event)
            restocks.append(Restock(delivery.tenant_id, event.order_id, units, delivery.cause))
        if event.refund_minor == 0:
            free.append(ReturnRef(delivery.tenant_id, event.return_id))
            continue
        refunds.append(
            RequestRefund(
                delivery.tenant_id,
                event.order_id,
                event.return_id,
                event.refund_minor,
                delivery.cause,
            )
        )
    if restocks:
        await inventory.restock(restocks, tx=tx, now=now)
    if refunds:
        possible = await payments.request_refunds(refunds, tx=tx, now=now)
        impossible = [
            ReturnRef(refund.tenant_id, refund.refund_id)
            for refund, is_possible in zip(refunds, possible, strict=True)
            if not is_possible
        ]
        if impossible:
            await returns.fail_returns(impossible, tx=tx, now=now)
    if free:
        await returns.settle_returns(free, tx=tx, now=now)


def _units_of(event: ReturnAccepted) -> tuple[Want, ...]:
    """How many of each SKU came back; two lines may name the same one."""
    units: Counter[str] = Counter()
    for line in event.lines:
        units[line.sku] += line.quantity
    return tuple(Want(sku, quantity) for sku, quantity in units.items())


async def hear_refund_settled(
    deliveries: Sequence[Delivery], *, tx: Tx, now: datetime, orders: Orders, returns: Returns
) -> None:
    """Writes the money into the orders' books, and settles those refunds that are of returns."""
    records: list[RefundRecord] = []
    refs: list[ReturnRef] = []
    for delivery in deliveries:
        event: RefundSettled = delivery.decode()
        records.append(RefundRecord(delivery.tenant_id, event.order_id, event.amount_minor))
        refs.append(ReturnRef(delivery.tenant_id, event.refund_id))
    await orders.record_refunds(records, tx=tx, now=now)
    await returns.settle_returns(refs, tx=tx, now=now)


async def hear_refund_failed(
    deliveries: Sequence[Delivery], *, tx: Tx, now: datetime, returns: Returns
) -> None:
    """Notes at the returns that their money is not coming by itself."""
    refs = [ReturnRef(d.tenant_id, d.decode().refund_id) for d in deliveries]
    await returns.fail_returns(refs, tx=tx, now=now)


def build(
    _s: Surroundings, *, orders: Orders, inventory: Inventory, payments: Payments, returns: Returns
) -> Module:
    """The flow, heard by one consumer group."""
    accepted = partial(
        hear_return_accepted, inventory=inventory, payments=payments, returns=returns
    )
    return Module(
        name="flow.returns",
        consumers=[
            Consumer(
                GROUP,
                {
                    ReturnAccepted: accepted,
                    RefundSettled: partial(hear_refund_settled, orders=orders, returns=returns),
                    RefundFailed: partial(hear_refund_failed, returns=returns),
                },
            )
        ],
    )
