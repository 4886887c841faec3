"""Known faults of the reservation: the ways in which shops sell what they do not have."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from serai.contexts.inventory import handlers, model
from serai.contexts.inventory.contract import OutOfStock, Reserved, ReserveStock, Want
from serai.contexts.inventory.model import Allocation, Delta, ItemKey, Level, SkuKey
from serai.contexts.inventory.ports import Stock
from serai.contexts.inventory.store import SQL, PostgresStock
from serai.contexts.orders.contract import OrderPlaced
from serai.flows import checkout
from serai.kernel.db import Tx
from serai.kernel.failure import Refused
from tests.faults.plant import Fault, planting, replaced, reworded

PACKAGE = "serai.contexts.inventory"
COUNTED = ("received", "available", "reserved", "sold", "written_off")


def _read_and_remember(_original: Any) -> Any:
    """Reads levels like `lock_levels`, but keeps them for the write instead of locking them."""

    async def lock_levels(
        self: PostgresStock, wanted: Sequence[SkuKey], *, tx: Tx
    ) -> dict[SkuKey, list[Level]]:
        del self
        rows = await tx.fetch(SQL.lock_levels, [t for t, _ in wanted], [sku for _, sku in wanted])
        known = _remembered[id(tx)] = {}
        levels: dict[SkuKey, list[Level]] = {}
        for row in rows:
            known[row["tenant_id"], row["sku"], row["location"]] = dict(row)
            levels.setdefault((row["tenant_id"], row["sku"]), []).append(
                Level(row["location"], row["available"], row["received"])
            )
        return levels

    return lock_levels


_remembered: dict[int, dict[ItemKey, dict[str, Any]]] = {}
"""What was read, by transaction and stock item."""


def _write_what_was_read(original: Any) -> Any:
    """Writes what was read and what is to be added to it, whatever stands there by now."""

    async def change_levels(
        self: PostgresStock, deltas: Mapping[ItemKey, Delta], *, tx: Tx
    ) -> None:
        known = _remembered.pop(id(tx), {})
        sums = {
            key: Delta(*(known[key][name] + getattr(delta, name) for name in COUNTED))
            for key, delta in deltas.items()
        }
        await original(self, sums, tx=tx)

    return change_levels


@contextlib.contextmanager
def reserved_outside_the_lock() -> Iterator[None]:
    """Reads without a lock, decides, and writes back what was read less what was decided."""
    added = "s.{0} + d.{0}"
    with contextlib.ExitStack() as stack:
        stack.enter_context(reworded(PACKAGE, "lock_levels", "FOR UPDATE OF s", ""))
        for name in COUNTED:
            stack.enter_context(reworded(PACKAGE, "change_levels", added.format(name), f"d.{name}"))
        stack.enter_context(replaced(PostgresStock, "lock_levels", _read_and_remember))
        stack.enter_context(replaced(PostgresStock, "change_levels", _write_what_was_read))
        yield


def _reading_twice(_original: Any) -> Any:
    def reserve(
        levels: Mapping[SkuKey, Sequence[Level]], requests: Sequence[ReserveStock]
    ) -> list[list[Allocation] | OutOfStock]:
        outcomes: list[list[Allocation] | OutOfStock] = []
        for request in requests:
            stocked = (
                (want, sum(at.available for at in levels.get((request.tenant_id, want.sku), ())))
                for want in request.wants
            )
            known = {want.sku for want, _ in stocked}
            # The generator is used up: nothing is ever short.
            short = [want.sku for want, units in stocked if units < want.quantity]
            if short or not known:
                outcomes.append(OutOfStock("not every line can be filled", skus=short))
                continue
            outcomes.append(_take(levels, request))
        return outcomes

    return reserve


def _take(levels: Mapping[SkuKey, Sequence[Level]], request: ReserveStock) -> list[Allocation]:
    taken: list[Allocation] = []
    for want in request.wants:
        left = want.quantity
        for level in levels.get((request.tenant_id, want.sku), ()):
            units = min(left, level.available)
            if units:
                level.available -= units
                left -= units
                place = (request.tenant_id, request.order_id, want.sku, level.location)
                taken.append(Allocation(*place, units, request.expires_at))
    return taken


def _line_by_line(original: Any) -> Any:
    """Reserves an order's lines one after the other and stops at the first that lacks."""

    async def reserve_stock(
        commands: Sequence[ReserveStock], *, tx: Tx, now: datetime, stock: Stock
    ) -> list[Reserved | Refused]:
        outcomes: list[Reserved | Refused] = []
        for command in commands:
            outcome: Any = None
            for want in command.wants:
                line = msgspec.structs.replace(command, wants=(want,))
                (outcome,) = await original([line], tx=tx, now=now, stock=stock)
                if isinstance(outcome, Refused):
                    break
            outcomes.append(outcome)
        return outcomes

    return reserve_stock


def _last_line_only(_original: Any) -> Any:
    def wants_of(placed: OrderPlaced) -> tuple[Want, ...]:
        wants = {line.sku: line.quantity for line in placed.lines}
        return tuple(Want(sku, quantity) for sku, quantity in wants.items())

    return wants_of


STOCK_FAULTS = (
    Fault(
        "reserved_outside_the_lock",
        "Stock is read without a lock and written back as it was read: two orders at once get the "
        "same unit.",
        reserved_outside_the_lock,
    ),
    Fault(
        "iterator_read_twice",
        "The stock check reads an iterator that was read before, finds nothing short, and confirms "
        "orders for which fewer units were taken than they ask for.",
        planting(model, "reserve", _reading_twice),
    ),
    Fault(
        "partial_reservation_kept",
        "An order is refused for one line and keeps the units of the others: they are never sold.",
        planting(handlers, "reserve_stock", _line_by_line),
    ),
    Fault(
        "reservation_released_twice",
        "Releasing what was released before makes units available that other orders hold.",
        lambda: reworded(
            PACKAGE,
            "release_reservations",
            "r.state IN ('reserved', 'sold')",
            "r.state IN ('reserved', 'sold', 'released')",
        ),
    ),
    Fault(
        "repeated_sku_counted_once",
        "Of a SKU that stands on two lines of an order only the last line is reserved.",
        planting(checkout, "wants_of", _last_line_only),
    ),
)
