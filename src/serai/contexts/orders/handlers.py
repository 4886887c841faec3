"""What orders do with commands and with the events of others, a batch at a time."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from serai.contexts.billing.contract import Quotas
from serai.contexts.catalog.contract import Prices, Wanted
from serai.contexts.orders import model
from serai.contexts.orders.contract import (
    CancellationRequested,
    CancelOrder,
    ConfirmOrder,
    OrderCancelled,
    OrderConfirmed,
    OrderNotCancellable,
    OrderPlaced,
    OrderRef,
    OrderUnpaid,
    OrderView,
    ReturnLines,
    Taken,
)
from serai.contexts.orders.model import Back, Draft, PlaceOrder
from serai.contexts.orders.ports import OrderBook
from serai.contexts.shipping.contract import ShipmentDispatched
from serai.kernel.changes import describe
from serai.kernel.db import Tx
from serai.kernel.events import Cause, Delivery
from serai.kernel.failure import NotFound, Refused, find_stale


class RequestCancellation(msgspec.Struct, frozen=True):
    """Asks that an order be undone; with a version, only if that is the current one.

    With an owner, only if it is hers; an order of someone else is not there for her.
    """

    tenant_id: UUID
    order_id: UUID
    cause: Cause
    version: int | None = None
    owner: UUID | None = None


async def place_orders(
    commands: Sequence[PlaceOrder],
    *,
    tx: Tx,
    now: datetime,
    book: OrderBook,
    prices: Prices,
    quotas: Quotas | None = None,
) -> list[OrderView | Refused]:
    """Accepts orders at the catalog's prices: one quote for the batch, one insert of each kind."""
    wanted = list(
        {
            (c.tenant_id, line.sku, c.currency): Wanted(c.tenant_id, line.sku, c.currency)
            for c in commands
            for line in c.lines
        }.values()
    )
    quotes = {
        (w.tenant_id, w.currency, w.sku): quote
        for w, quote in zip(wanted, await prices.quote(wanted, tx=tx), strict=True)
    }
    decided: list[Draft | Refused] = []
    for command in commands:
        own = {
            line.sku: quotes[command.tenant_id, command.currency, line.sku]
            for line in command.lines
        }
        decided.append(model.place(command, own))
    if quotas is not None:
        decided = await _take_quotas(commands, decided, tx=tx, now=now, quotas=quotas)
    drafts: list[Draft] = []
    outcomes: list[OrderView | Refused] = []
    for command, draft in zip(commands, decided, strict=True):
        if isinstance(draft, Refused):
            outcomes.append(draft)
            continue
        drafts.append(draft)
        outcomes.append(draft.view(now))
        _announce_placed(command, draft, tx=tx)
    if drafts:
        await book.insert_orders(drafts, tx=tx, now=now)
    return outcomes


async def _take_quotas(
    commands: Sequence[PlaceOrder],
    decided: Sequence[Draft | Refused],
    *,
    tx: Tx,
    now: datetime,
    quotas: Quotas,
) -> list[Draft | Refused]:
    """The same, without the orders that their tenants' plans do not allow: those that came last."""
    sound = Counter(
        c.tenant_id for c, d in zip(commands, decided, strict=True) if isinstance(d, Draft)
    )
    granted = dict(await quotas.take_orders(sound, tx=tx, now=now)) if sound else {}
    left = {tenant_id: one.count for tenant_id, one in granted.items()}
    outcomes: list[Draft | Refused] = []
    for command, draft in zip(commands, decided, strict=True):
        one = granted.get(command.tenant_id)
        if isinstance(draft, Refused) or one is None or one.refusal is None:
            outcomes.append(draft)
        elif left[command.tenant_id] > 0:
            left[command.tenant_id] -= 1
            outcomes.append(draft)
        else:
            outcomes.append(one.refusal)
    return outcomes


def _announce_placed(command: PlaceOrder, draft: Draft, *, tx: Tx) -> None:
    tx.announce(
        command.tenant_id,
        OrderPlaced(
            command.order_id, command.currency, draft.total_minor, command.card,
            command.is_capture_manual, draft.goods,
        ),
        command.cause,
    )  # fmt: skip
    placed = {
        "currency": command.currency, "total_minor": draft.total_minor,
        "lines": len(command.lines),
    }  # fmt: skip
    subject = ("order", command.order_id)
    tx.record(
        command.tenant_id,
        describe("orders.order_placed", subject, command.cause, after=placed),
    )


async def confirm_orders(
    commands: Sequence[ConfirmOrder], *, tx: Tx, now: datetime, book: OrderBook
) -> set[UUID]:
    """Confirms placed orders and tells everyone what is to be shipped."""
    if not commands:
        return set()
    confirmed = await book.confirm_orders(commands, tx=tx, now=now)
    for command in commands:
        if command.order_id in confirmed:
            currency, total, email, goods = confirmed[command.order_id]
            tx.announce(
                command.tenant_id,
                OrderConfirmed(command.order_id, currency, total, email, goods),
                command.cause,
            )
    return set(confirmed)


async def cancel_orders(
    commands: Sequence[CancelOrder], *, tx: Tx, now: datetime, book: OrderBook
) -> set[UUID]:
    """Ends orders for a reason, and says so."""
    if not commands:
        return set()
    cancelled = await book.cancel_orders(commands, tx=tx, now=now)
    for command in commands:
        if command.order_id in cancelled:
            currency, total, email = cancelled[command.order_id]
            tx.announce(
                command.tenant_id,
                OrderCancelled(command.order_id, command.reason, email, currency, total),
                command.cause,
            )
    return set(cancelled)


async def mark_unpaid(refs: Sequence[OrderRef], *, tx: Tx, book: OrderBook) -> None:
    """Marks orders whose money will not come, and says so, of each order once."""
    if not refs:
        return
    marked = await book.mark_unpaid([(r.tenant_id, r.order_id) for r in refs], tx=tx)
    for ref in refs:
        if ref.order_id in marked:
            currency, total = marked.pop(ref.order_id)
            tx.announce(ref.tenant_id, OrderUnpaid(ref.order_id, currency, total), ref.cause)


async def request_cancellations(
    commands: Sequence[RequestCancellation], *, tx: Tx, now: datetime, book: OrderBook
) -> list[OrderView | Refused]:
    """Notes the wish to cancel; the cancellation flow carries it out."""
    del now
    keys = [(c.tenant_id, c.order_id) for c in commands]
    orders = await book.lock_orders(keys, tx=tx)
    lines = await book.list_lines(keys, tx=tx)
    outcomes: list[OrderView | Refused] = []
    wanted: set[tuple[UUID, UUID]] = set()
    for command, key in zip(commands, keys, strict=True):
        order = orders.get(key)
        if order is not None and not model.is_hers(order, command.owner):
            order = None
        stale = None if order is None else find_stale(command.version, order.version)
        refusal = stale or model.may_cancel(order, lines.get(key, ()))
        if refusal is None and key in wanted:
            refusal = OrderNotCancellable("the order is being cancelled already")
        if refusal is not None or order is None:
            outcomes.append(refusal or NotFound("there is no such order"))
            continue
        wanted.add(key)
        was_confirmed = order.status == "confirmed"
        tx.announce(
            command.tenant_id, CancellationRequested(command.order_id, was_confirmed), command.cause
        )
        change = describe(
            "orders.cancellation_requested", ("order", command.order_id), command.cause,
            before={"is_cancellation_requested": False, "status": order.status},
            after={"is_cancellation_requested": True, "status": order.status},
        )  # fmt: skip
        tx.record(command.tenant_id, change)
        outcomes.append(msgspec.structs.replace(order, version=order.version + 1).view())
    if wanted:
        await book.request_cancellations(sorted(wanted), tx=tx)
    return outcomes


async def return_lines(
    commands: Sequence[ReturnLines], *, tx: Tx, now: datetime, book: OrderBook
) -> list[Taken | Refused]:
    """Takes units back into the order's book, all lines of a command or none."""
    del now
    keys = [(c.tenant_id, c.order_id) for c in commands]
    orders = await book.lock_orders(keys, tx=tx)
    lines = await book.list_lines(keys, tx=tx)
    outcomes: list[Taken | Refused] = []
    back: dict[tuple[UUID, UUID, int], Back] = {}
    for command, key in zip(commands, keys, strict=True):
        taken = model.take_back(command, orders.get(key), lines.get(key, ()))
        outcomes.append(taken)
        if isinstance(taken, Refused):
            continue
        for piece in taken.lines:
            total = back.setdefault((*key, piece.line_no), Back())
            total.quantity += piece.quantity
            total.refund_minor += piece.refund_minor
    if back:
        await book.return_lines(back, tx=tx)
    return outcomes


async def weigh_returns(
    commands: Sequence[ReturnLines], *, tx: Tx, book: OrderBook
) -> list[Taken | Refused]:
    """Decides as `return_lines` does and writes nothing; the orders stay locked."""
    keys = [(c.tenant_id, c.order_id) for c in commands]
    orders = await book.lock_orders(keys, tx=tx)
    outcomes: list[Taken | Refused] = []
    lines = await book.list_lines(keys, tx=tx)
    for command, key in zip(commands, keys, strict=True):
        # Each on its own: the decision notes in the lines what it took.
        fresh = [msgspec.structs.replace(line) for line in lines.get(key, ())]
        outcomes.append(model.take_back(command, orders.get(key), fresh))
    return outcomes


async def hear_shipment_dispatched(
    deliveries: Sequence[Delivery], *, tx: Tx, now: datetime, book: OrderBook
) -> None:
    """Counts the units that have left."""
    del now
    units: list[tuple[UUID, UUID, int, int]] = []
    for delivery in deliveries:
        event: ShipmentDispatched = delivery.decode()
        units.extend(
            (delivery.tenant_id, event.order_id, line.line_no, line.quantity)
            for line in event.lines
        )
    if units:
        await book.ship_lines(units, tx=tx)
