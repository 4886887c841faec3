"""Known faults of the flows: orders that end in two ways, or in none."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from serai.flows.cancellation import Cancellation
from serai.flows.checkout import FLOW, Checkout
from serai.kernel.db import Tx
from serai.kernel.events import Delivery
from serai.kernel.flow import Flow, Instance
from serai.kernel.tenant import Home
from serai.kernel.workers import Workers
from tests.faults.plant import Fault, planting

STATES = ("paying", "confirmed", "refused", "declined", "expired", "cancelled")


def _move_from_anywhere(original: Any) -> Any:
    async def move(
        self: Flow, refs: Sequence[tuple[UUID, UUID]], *, states: Sequence[str], **others: Any
    ) -> set[UUID]:
        del states
        moved: set[UUID] = await original(self, refs, states=STATES, **others)
        return moved

    return move


def _only_cancel(_original: Any) -> Any:
    async def on_payment_declined(
        self: Checkout, deliveries: Sequence[Delivery], *, tx: Tx, now: datetime
    ) -> None:
        keys = [(d.tenant_id, d.key) for d in deliveries]
        moved = await FLOW.move(keys, states=("paying",), to="declined", tx=tx, now=now)
        undone = [d for d in deliveries if d.key in moved]
        await self._cancel(undone, "payment_declined", tx=tx, now=now)

    return on_payment_declined


def _find_nothing(_original: Any) -> Any:
    async def find_due(self: Workers, home: Home) -> list[Instance]:
        del self, home
        return []

    return find_due


class _Keeps:
    """Payments that are never told to give money back."""

    async def withdraw_payments(self, refs: Any, *, tx: Tx, now: datetime) -> None:
        del refs, tx, now


def _keep_the_money(original: Any) -> Any:
    def init(
        self: Cancellation, orders: Any, inventory: Any, _payments: Any, shipping: Any
    ) -> None:
        original(self, orders, inventory, _Keeps(), shipping)

    return init


FLOW_FAULTS = (
    Fault(
        "move_without_comparing",
        "A flow moves whatever state it stands in: an order ends twice, cancelled and shipped.",
        planting(Flow, "move", _move_from_anywhere),
    ),
    Fault(
        "compensation_skipped",
        "A declined order keeps its units: they are promised to nobody and sold to nobody.",
        planting(Checkout, "on_payment_declined", _only_cancel),
    ),
    Fault(
        "deadline_ignored",
        "Orders that are never paid hold their units for ever.",
        planting(Workers, "find_due", _find_nothing),
    ),
    Fault(
        "cancellation_keeps_the_payment",
        "A cancelled order gives its goods back and keeps its buyer's money.",
        planting(Cancellation, "__init__", _keep_the_money),
    ),
)
