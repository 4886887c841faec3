"""Counts what the log tells of one shop, and remembers its last orders."""

from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from serai.cli.demo.scene import Counts, OrderRow
from serai.contexts.orders.contract import (
    CancellationRequested,
    OrderCancelled,
    OrderConfirmed,
    OrderPlaced,
)
from serai.contexts.returns.contract import ReturnAccepted
from serai.contexts.shipping.contract import ShipmentDispatched
from serai.kernel.events import Delivery

HEARD: Final = (
    OrderPlaced,
    OrderConfirmed,
    OrderCancelled,
    CancellationRequested,
    ShipmentDispatched,
    ReturnAccepted,
)
ORDERS_SHOWN_MAX: Final = 80
A_MOMENT: Final = timedelta(seconds=1)
IN_FLIGHT: Final = "placed"
UNDOING_MAX: Final = 10_000
"""Confirmed orders that are being cancelled and remembered as such."""


class Tally:
    """The figures of one tenant since the tally began; events of others pass it by."""

    def __init__(self, tenant_id: UUID, titles: Mapping[str, str]) -> None:
        self._tenant_id = tenant_id
        self._titles = titles
        self._orders: OrderedDict[UUID, OrderRow] = OrderedDict()
        self._undoing: OrderedDict[UUID, None] = OrderedDict()
        self.reasons: Counter[str] = Counter()
        self.placed = 0
        self.confirmed = 0
        self.undone = 0
        """Orders that were confirmed and then cancelled: they are in both figures."""
        self.shipped = 0
        self.returned = 0

    @property
    def standing(self) -> Counts:
        """How the orders stand: one that was confirmed and then cancelled is a cancelled one."""
        return Counts(self.placed, self.confirmed - self.undone, self.reasons.total())

    def last_orders(self, now: datetime) -> tuple[OrderRow, ...]:
        """The last orders, newest first; what came just now has a moment to settle."""
        young = now - A_MOMENT
        return tuple(
            row
            for row in reversed(self._orders.values())
            if row.fate != IN_FLIGHT or row.placed_at < young
        )

    def hear(self, deliveries: Sequence[Delivery]) -> None:
        """Takes in events, in the order of the log."""
        for delivery in deliveries:
            if delivery.tenant_id == self._tenant_id:
                self._take(delivery, delivery.decode())

    def _take(self, delivery: Delivery, event: Any) -> None:
        match event:
            case OrderPlaced():
                self.placed += 1
                self._orders[event.order_id] = OrderRow(
                    event.order_id,
                    delivery.occurred_at,
                    self._name_goods(event),
                    event.total_minor,
                    event.currency,
                    IN_FLIGHT,
                )
                if len(self._orders) > ORDERS_SHOWN_MAX:
                    self._orders.popitem(last=False)
            case OrderConfirmed():
                self.confirmed += 1
                self._settle(event.order_id, "confirmed")
            case CancellationRequested(was_confirmed=True):
                self._undoing[event.order_id] = None
                if len(self._undoing) > UNDOING_MAX:
                    self._undoing.popitem(last=False)
            case OrderCancelled():
                self.reasons[event.reason] += 1
                if event.order_id in self._undoing:
                    del self._undoing[event.order_id]
                    self.undone += 1
                self._settle(event.order_id, event.reason)
            case ShipmentDispatched():
                self.shipped += 1
                self._settle(event.order_id, "shipped")
            case ReturnAccepted():
                self.returned += 1
                self._settle(event.order_id, "returned")

    def _settle(self, order_id: UUID, fate: str) -> None:
        row = self._orders.get(order_id)
        if row is not None:
            self._orders[order_id] = msgspec.structs.replace(row, fate=fate)

    def _name_goods(self, event: OrderPlaced) -> str:
        """The goods in words; SKUs of one product are named once."""
        named: Counter[str] = Counter()
        for line in event.lines:
            named[self._titles.get(line.sku, line.sku)] += line.quantity
        return ", ".join(
            title if units == 1 else f"{units}x {title}" for title, units in named.items()
        )


def plus(base: Counts, now: Counts, then: Counts) -> Counts:
    """What stood at `then`, and what has come since."""
    return Counts(
        base.placed + now.placed - then.placed,
        base.confirmed + now.confirmed - then.confirmed,
        base.cancelled + now.cancelled - then.cancelled,
    )
