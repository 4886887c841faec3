"""Checkout: the life of an order from placed to confirmed or undone.

    placed ── reserve ──► paying ── captured or authorised ──► confirmed
                │            ├── declined ─────► declined      release
                │            └── deadline ─────► expired       release, withdraw the payment
                └── refused ─► refused

    confirmed ── declined after all ─► declined    stop the shipments, release
                                   └─► confirmed   with goods on the road: marked as unpaid

A move is a compare-and-set, so the event that comes second finds the instance moved. Money that
arrives for an order that has ended otherwise goes back: `withdraw_payments` sees to it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from serai.contexts.inventory.contract import Inventory, ReserveStock, StockRef, Want
from serai.contexts.orders.contract import (
    CancelOrder,
    ConfirmOrder,
    OrderPlaced,
    OrderRef,
    Orders,
    Reason,
    RefundRecord,
)
from serai.contexts.payments.contract import (
    ExpectPayment,
    PaymentAuthorised,
    PaymentCaptured,
    PaymentDeclined,
    PaymentRef,
    Payments,
    RequestPayment,
)
from serai.contexts.shipping.contract import ShipmentRef, Shipping
from serai.kernel import ids
from serai.kernel.db import Tx
from serai.kernel.events import Cause, Delivery
from serai.kernel.failure import Refused
from serai.kernel.flow import Flow, Instance, Start
from serai.kernel.module import Check, Consumer, Finding, Module, Surroundings, Timer

ENDED_WITHIN = timedelta(minutes=10)
"""How long the end of a payment may be on its way to its order before that is a finding."""
ENDED_PAGE = 2_000
FINDINGS_MAX = 100
FLOW = Flow("checkout", ends=("confirmed", "refused", "declined", "expired", "cancelled"))

Placed = tuple[Delivery, OrderPlaced]


class Checkout:
    """The steps of the flow, each over a batch, each within one transaction."""

    def __init__(
        self,
        orders: Orders,
        inventory: Inventory,
        payments: Payments,
        shipping: Shipping,
        deadline: timedelta,
    ) -> None:
        self._orders = orders
        self._inventory = inventory
        self._payments = payments
        self._shipping = shipping
        self._deadline = deadline

    async def on_order_placed(
        self, deliveries: Sequence[Delivery], *, tx: Tx, now: datetime
    ) -> None:
        """Starts the flow: reserves the goods and asks for the money, or refuses the order."""
        started = await FLOW.start(
            [Start(d.tenant_id, d.key, "paying", now + self._deadline) for d in deliveries],
            tx=tx,
            now=now,
        )
        fresh: list[Placed] = [(d, d.decode()) for d in deliveries if d.key in started]
        outcomes = await self._inventory.reserve_stock(
            [
                ReserveStock(d.tenant_id, d.key, wants_of(placed), None, d.cause)
                for d, placed in fresh
            ],
            tx=tx,
            now=now,
        )
        reserved: list[Placed] = []
        refused: list[Delivery] = []
        for (delivery, placed), outcome in zip(fresh, outcomes, strict=True):
            if isinstance(outcome, Refused):
                refused.append(delivery)
            else:
                reserved.append((delivery, placed))
        if refused:
            keys = [(d.tenant_id, d.key) for d in refused]
            await FLOW.move(keys, states=("paying",), to="refused", tx=tx, now=now)
            await self._cancel(refused, "out_of_stock", tx=tx, now=now)
        await self._ask_for_money(reserved, tx=tx, now=now)

    async def _ask_for_money(self, reserved: Sequence[Placed], *, tx: Tx, now: datetime) -> None:
        free = [(d, 0) for d, placed in reserved if placed.total_minor == 0]
        if free:
            await self._confirm(free, tx=tx, now=now)
        carded = [
            RequestPayment(
                d.tenant_id, d.key, placed.total_minor, placed.currency, placed.card,
                placed.is_capture_manual, d.cause,
            )
            for d, placed in reserved
            if placed.total_minor and placed.card is not None
        ]  # fmt: skip
        if carded:
            await self._payments.request_payments(carded, tx=tx, now=now)
        waiting = [
            ExpectPayment(
                d.tenant_id,
                d.key,
                placed.total_minor,
                placed.currency,
                d.cause,
                placed.is_capture_manual,
            )
            for d, placed in reserved
            if placed.total_minor and placed.card is None
        ]
        if waiting:
            await self._payments.expect_payments(waiting, tx=tx, now=now)

    async def on_payment_captured(
        self, deliveries: Sequence[Delivery], *, tx: Tx, now: datetime
    ) -> None:
        """The money is there: the order is confirmed; too late, the money goes back."""
        amounts = [(d, int(d.decode().amount_minor)) for d in deliveries]
        confirmed = await self._confirm(amounts, tx=tx, now=now)
        rest = [(d, amount) for d, amount in amounts if d.key not in confirmed]
        if not rest:
            return
        # Captured by hand after an authorisation had confirmed the order, or after its end.
        states = await FLOW.find([(d.tenant_id, d.key) for d, _ in rest], tx=tx)
        await self._orders.record_captures(
            [
                RefundRecord(d.tenant_id, d.key, amount)
                for d, amount in rest
                if states.get(d.key) == "confirmed"
            ],
            tx=tx,
            now=now,
        )
        late = [d for d, _ in rest if states.get(d.key) != "confirmed"]
        if late:
            await self._payments.withdraw_payments(payment_refs(late), tx=tx, now=now)

    async def on_payment_authorised(
        self, deliveries: Sequence[Delivery], *, tx: Tx, now: datetime
    ) -> None:
        """The money is held for us: the order is confirmed, and captured by hand later."""
        confirmed = await self._confirm([(d, 0) for d in deliveries], tx=tx, now=now)
        rest = [d for d in deliveries if d.key not in confirmed]
        states = await FLOW.find([(d.tenant_id, d.key) for d in rest], tx=tx)
        late = [d for d in rest if states.get(d.key) != "confirmed"]
        if late:
            await self._payments.withdraw_payments(payment_refs(late), tx=tx, now=now)

    async def on_payment_declined(
        self, deliveries: Sequence[Delivery], *, tx: Tx, now: datetime
    ) -> None:
        """No money: the goods are free again and the order is cancelled.

        It comes after the confirmation too, where money that was held is gone when it is captured.
        """
        keys = [(d.tenant_id, d.key) for d in deliveries]
        moved = await FLOW.move(keys, states=("paying",), to="declined", tx=tx, now=now)
        rest = [d for d in deliveries if d.key not in moved]
        stopped = await self._stop_confirmed(rest, tx=tx, now=now)
        undone = [d for d in deliveries if d.key in moved | stopped]
        await self._inventory.release_stock(stock_refs(undone), tx=tx, now=now)
        await self._cancel(undone, "payment_declined", tx=tx, now=now)

    async def _stop_confirmed(
        self, deliveries: Sequence[Delivery], *, tx: Tx, now: datetime
    ) -> set[UUID]:
        """Takes confirmed orders back of which nothing has left; the others are marked unpaid."""
        states = await FLOW.find([(d.tenant_id, d.key) for d in deliveries], tx=tx)
        confirmed = [d for d in deliveries if states.get(d.key) == "confirmed"]
        if not confirmed:
            return set()
        stopped = await self._shipping.cancel_shipments(
            [ShipmentRef(d.tenant_id, d.key, d.cause) for d in confirmed], tx=tx, now=now
        )
        kept = [d for d in confirmed if d.key not in stopped]
        await self._orders.mark_unpaid(
            [OrderRef(d.tenant_id, d.key, d.cause) for d in kept], tx=tx, now=now
        )
        keys = [(d.tenant_id, d.key) for d in confirmed if d.key in stopped]
        return await FLOW.move(keys, states=("confirmed",), to="declined", tx=tx, now=now)

    async def ring(self, due: Sequence[Instance], *, tx: Tx, now: datetime) -> None:
        """The deadline has passed: the goods are free again, and no money will be kept."""
        cause = Cause(ids.new_id())
        keys = [(instance.tenant_id, instance.key) for instance in due]
        moved = await FLOW.move(keys, states=("paying",), to="expired", tx=tx, now=now)
        undone = [(tenant, key) for tenant, key in keys if key in moved]
        if not undone:
            return
        await self._inventory.release_stock(
            [StockRef(tenant, key, cause) for tenant, key in undone], tx=tx, now=now
        )
        await self._payments.withdraw_payments(
            [PaymentRef(tenant, key, cause) for tenant, key in undone], tx=tx, now=now
        )
        await self._orders.cancel_orders(
            [CancelOrder(tenant, key, "expired", cause) for tenant, key in undone], tx=tx, now=now
        )

    async def check_paid(self, tx: Tx, tenant_id: UUID) -> list[Finding]:
        """Confirmed orders whose payment ended without money and that nobody was told of."""
        found: list[Finding] = []
        after = UUID(int=0)
        while len(found) < FINDINGS_MAX:
            ended = await self._payments.list_ended(
                tenant_id, before=tx.now - ENDED_WITHIN, after=after, limit=ENDED_PAGE, tx=tx
            )
            trusting = await self._orders.list_trusting(tenant_id, ended, tx=tx) if ended else []
            found += [Finding("checkout.paid", f"order_id={order_id}") for order_id in trusting]
            if len(ended) < ENDED_PAGE:
                break
            after = ended[-1]
        return found[:FINDINGS_MAX]

    async def _confirm(
        self, paid: Sequence[tuple[Delivery, int]], *, tx: Tx, now: datetime
    ) -> set[UUID]:
        keys = [(d.tenant_id, d.key) for d, _ in paid]
        moved = await FLOW.move(keys, states=("paying",), to="confirmed", tx=tx, now=now)
        mine = [(d, amount) for d, amount in paid if d.key in moved]
        await self._inventory.commit_stock(stock_refs([d for d, _ in mine]), tx=tx, now=now)
        await self._orders.confirm_orders(
            [ConfirmOrder(d.tenant_id, d.key, amount, d.cause) for d, amount in mine],
            tx=tx,
            now=now,
        )
        return moved

    async def _cancel(
        self, deliveries: Sequence[Delivery], reason: Reason, *, tx: Tx, now: datetime
    ) -> None:
        await self._orders.cancel_orders(
            [CancelOrder(d.tenant_id, d.key, reason, d.cause) for d in deliveries], tx=tx, now=now
        )


def wants_of(placed: OrderPlaced) -> tuple[Want, ...]:
    """The units of each SKU that an order needs; a SKU that stands on two lines is one want."""
    wants: dict[str, int] = {}
    for line in placed.lines:
        wants[line.sku] = wants.get(line.sku, 0) + line.quantity
    return tuple(Want(sku, quantity) for sku, quantity in wants.items())


def stock_refs(deliveries: Sequence[Delivery]) -> list[StockRef]:
    """What is held for the orders that deliveries are about."""
    return [StockRef(d.tenant_id, d.key, d.cause) for d in deliveries]


def payment_refs(deliveries: Sequence[Delivery]) -> list[PaymentRef]:
    """The payments of the orders that deliveries are about."""
    return [PaymentRef(d.tenant_id, d.key, d.cause) for d in deliveries]


def build(
    s: Surroundings,
    *,
    orders: Orders,
    inventory: Inventory,
    payments: Payments,
    shipping: Shipping,
) -> Module:
    """The checkout flow over the contexts it leads."""
    deadline = timedelta(seconds=s.settings.payment_deadline_s)
    checkout = Checkout(orders, inventory, payments, shipping, deadline)
    return Module(
        name="checkout",
        consumers=[
            Consumer(
                "checkout",
                {
                    OrderPlaced: checkout.on_order_placed,
                    PaymentCaptured: checkout.on_payment_captured,
                    PaymentAuthorised: checkout.on_payment_authorised,
                    PaymentDeclined: checkout.on_payment_declined,
                },
            )
        ],
        timers=[Timer(FLOW.name, checkout.ring)],
        checks=[
            Check(
                "checkout.paid",
                "No order stays confirmed whose payment ended without money, unless it is marked.",
                checkout.check_paid,
            )
        ],
    )
