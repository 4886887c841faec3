"""The figures that a replay must end with, as a plan has them and as a file of them has them."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from serai.cli.replay import fit
from serai.cli.replay.plan import Plan
from serai.cli.replay.reader import FileFault

TOP_SKUS: Final = 5
EXPECTATIONS_BYTES_MAX: Final = 1 << 20


class Returned(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What became of the lines of C invoices."""

    full: int
    partial: int
    unmatched: int
    without_customer: int
    units_returned: int
    refund_minor: int


class Figures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a faithful replay ends with; the layout of a file of expectations."""

    skus: int
    orders: int
    order_lines: int
    customers: int
    guest_orders: int
    units_sold: int
    revenue_minor: int
    received_units: int
    written_off_units: int
    skipped_rows: int
    returns: Returned
    top_skus: list[tuple[str, int]]
    movements_sha256: str

    def flat(self) -> dict[str, Any]:
        """Each figure by its name, those of returns with the prefix `returns.`."""
        values = msgspec.structs.asdict(self)
        returned = msgspec.structs.asdict(values.pop("returns"))
        return values | {f"returns.{name}": value for name, value in returned.items()}


class Moved(msgspec.Struct):
    """Units of a stock code that moved."""

    sold: int = 0
    returned: int = 0
    received: int = 0
    written_off: int = 0


def read_expectations(path: Path) -> Figures:
    """The figures of a JSON file; FileFault where it is not one of ours."""
    try:
        with path.open("rb") as file:
            found = msgspec.json.decode(file.read(EXPECTATIONS_BYTES_MAX + 1), type=Figures)
    except OSError as error:
        raise FileFault(f"{path} cannot be read: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise FileFault(f"{path} does not hold the figures of a replay: {error}") from error
    # What was never sold is no top; a file with few goods may fill its list up with such.
    top = [(sku, units) for sku, units in found.top_skus if units]
    return msgspec.structs.replace(found, top_skus=top)


def figures_of(plan: Plan) -> Figures:
    """What the plan itself expects."""
    moved = {
        goods.sku: Moved(
            goods.sold, goods.returned - goods.resold, goods.received, goods.written_off
        )
        for goods in plan.goods.values()
    }
    bought = [order for order in plan.orders if not order.is_resale]
    resold = [order for order in plan.orders if order.is_resale]
    covered = [(c.wanted, sum(piece.quantity for piece in c.pieces)) for c in plan.comebacks]
    full = sum(wanted == units for wanted, units in covered)
    unsent = plan.unsent
    return Figures(
        skus=len(plan.goods),
        orders=len({order.invoice for order in bought}),
        order_lines=sum(order.rows for order in bought),
        customers=len({order.customer for order in bought if order.customer}),
        guest_orders=len({order.invoice for order in bought if not order.customer}),
        units_sold=sum(m.sold for m in moved.values()),
        revenue_minor=sum(order.total_minor for order in bought),
        received_units=sum(m.received for m in moved.values()),
        written_off_units=sum(m.written_off for m in moved.values()),
        skipped_rows=unsent.skipped_rows,
        returns=Returned(
            full=full + unsent.full_of_nothing + sum(order.rows for order in resold),
            partial=len(covered) - full,
            unmatched=unsent.unmatched,
            without_customer=unsent.without_customer,
            units_returned=sum(m.returned for m in moved.values()),
            refund_minor=plan.refund_minor - sum(order.total_minor for order in resold),
        ),
        top_skus=top_skus(moved),
        movements_sha256=digest_of_movements(moved),
    )


def top_skus(moved: Mapping[str, Moved]) -> list[tuple[str, int]]:
    """The stock codes most sold, with their units; by code where they sold alike."""
    sold = ((fit.read_sku(sku), units.sold) for sku, units in moved.items() if units.sold)
    return sorted(sold, key=lambda item: (-item[1], item[0]))[:TOP_SKUS]


def digest_of_movements(moved: Mapping[str, Moved]) -> str:
    """The SHA-256 of all that moved: `code:sold:returned:received:written_off` lines by code."""
    lines = "\n".join(
        f"{code}:{m.sold}:{m.returned}:{m.received}:{m.written_off}"
        for code, m in sorted((fit.read_sku(sku), m) for sku, m in moved.items())
        if m.sold or m.returned or m.received or m.written_off
    )
    return hashlib.sha256(lines.encode()).hexdigest()
