"""Plants the fault that ATTACK_FAULT names into this process: what attacks are there to find.

Python imports a module of this name at its start. Only tests put this folder on the path.
"""

import os
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from serai.contexts.catalog.model import products
from serai.contexts.catalog.store import prices as catalog_prices
from serai.contexts.inventory import handlers as stock_handlers
from serai.contexts.inventory import model as stock_model
from serai.contexts.inventory.store import PostgresStock
from serai.contexts.orders import model as order_model
from serai.contexts.orders import routes as order_routes
from serai.contexts.orders.store import PostgresOrders
from serai.contexts.payments import model as payment_model
from serai.contexts.payments import module as payment_module
from serai.contexts.shipping import model as shipping_model
from serai.contexts.tenancy.gateways import keyring
from serai.kernel import idempotency
from serai.kernel.failure import Refused


def _as_it(owner: Any, name: str, change: Callable[[Any], Any]) -> Callable[[], None]:
    """Replaces a function by one that is made from it."""

    def plant() -> None:
        setattr(owner, name, change(getattr(owner, name)))

    return plant


async def _nothing(*_args: Any, **_more: Any) -> None:
    """Does nothing where something was to be written."""


def _partial(_reserve: Any) -> Any:
    def reserve(levels: Any, requests: Any) -> list[Any]:
        outcomes = []
        for request in requests:
            allocations = []
            for want in request.wants:
                for level in levels.get((request.tenant_id, want.sku), ()):
                    units = min(want.quantity, level.available)
                    level.available -= units
                    if units:
                        allocations.append(
                            stock_model.Allocation(
                                request.tenant_id, request.order_id, want.sku, level.location,
                                units, request.expires_at,
                            )
                        )  # fmt: skip
            outcomes.append(allocations)
        return outcomes

    return reserve


def _with(position: int, **fields: Any) -> Callable[[Any], Any]:
    """Calls a decision with another state than the true one."""

    def change(decide: Any) -> Any:
        def decide_wrongly(*args: Any, **more: Any) -> Any:
            known = list(args)
            if known[position] is not None:
                known[position] = msgspec.structs.replace(known[position], **fields)
            return decide(*known, **more)

        return decide_wrongly

    return change


def _forgetting_returns(take_back: Any) -> Any:
    def decide(command: Any, order: Any, lines: Any) -> Any:
        for line in lines:
            line.returned = 0
        return take_back(command, order, lines)

    return decide


def _keeping_money(_withdraw: Any) -> Any:
    def withdraw(intent: Any, _now: datetime) -> Any:
        return payment_model.Step(intent)

    return withdraw


def _one_more(place: Any) -> Any:
    def decide(*args: Any, **more: Any) -> Any:
        draft = place(*args, **more)
        if isinstance(draft, order_model.Draft):
            return msgspec.structs.replace(draft, total_minor=draft.total_minor + 1)
        return draft

    return decide


def _cancelling_all(_cancel: Any) -> Any:
    def cancel(shipments: Any) -> Any:
        return [
            msgspec.structs.replace(shipment, status="cancelled", dispatched_at=None)
            for shipment in shipments
        ]

    return cancel


def _leaving_all(divide: Any) -> Any:
    def divide_wrongly(lines: Any, units: Any) -> Any:
        divided = divide(lines, units)
        return divided if isinstance(divided, Refused) else (divided[0], lines)

    return divide_wrongly


def _always_published(quote: Any) -> Any:
    async def read(*args: Any, **more: Any) -> Any:
        quotes = await quote(*args, **more)
        return [q and msgspec.structs.replace(q, status="published") for q in quotes]

    return read


def _release_anything(_release: Any) -> Any:
    async def lock(_stock: Any, reservations: Any, *, tx: Any) -> Any:
        del tx
        return set(reservations)

    return lock


def _first_come(authenticate: Any) -> Any:
    seen: list[Any] = []

    async def remember(*args: Any, **more: Any) -> Any:
        seen.append(await authenticate(*args, **more))
        return seen[0]

    return remember


def _keys_not_claimed() -> None:
    def claim_of(*_args: Any, **_more: Any) -> None:
        """No request is ever known."""

    vars(order_routes)["claim_of"] = claim_of


FAULTS: dict[str, Callable[[], None]] = {
    "stock_not_written": _as_it(PostgresStock, "change_levels", lambda _: _nothing),
    "part_of_an_order_is_enough": _as_it(stock_model, "reserve", _partial),
    "anything_is_released": _as_it(PostgresStock, "lock_limited", _release_anything),
    "restock_skipped": _as_it(stock_handlers, "restock", lambda _: _nothing),
    "returns_forgotten": _as_it(order_model, "take_back", _forgetting_returns),
    "cancelled_again": _as_it(order_model, "may_cancel", _with(0, is_cancelling=False)),
    "refunds_under_way_forgotten": _as_it(payment_model, "refund", _with(0, refunding_minor=0)),
    "captured_again": _as_it(payment_model, "capture", _with(0, capture_asked_minor=None)),
    "captures_unrecorded": _as_it(PostgresOrders, "record_captures", lambda _: _nothing),
    "paid_again": _as_it(payment_model, "pay", _with(0, status="awaiting")),
    "money_kept": _as_it(payment_model, "withdraw", _keeping_money),
    "cancelled_on_the_road": _as_it(shipping_model, "cancel", _cancelling_all),
    "sent_units_wait_on": _as_it(shipping_model, "_divide", _leaving_all),
    "signature_not_looked_at": _as_it(
        payment_module, "verify_signature", lambda _: lambda *_args: True
    ),
    "versions_not_compared": _as_it(products, "require_version", lambda _: lambda *_args: None),
    "keys_not_claimed": _keys_not_claimed,
    "bodies_not_compared": _as_it(idempotency, "fingerprint", lambda _: lambda *_args: b"same"),
    "a_cent_more_is_asked": _as_it(order_model, "place", _one_more),
    "archived_is_sold": _as_it(catalog_prices.PostgresPrices, "quote", _always_published),
    "keys_mixed_up": _as_it(keyring.Keyring, "authenticate", _first_come),
}

if named := os.environ.get("ATTACK_FAULT"):
    FAULTS[named]()
