"""Decides what a retail file asks of a shop: goods, stock, orders, write-offs and returns. Pure.

The rules, in file order: a line of a `C...` invoice takes units back from that customer's earlier
order lines of the same stock code, oldest first. Any other invoice that begins with a letter, and a
negative price, is skipped. On a plain invoice a quantity of zero or less is a write-off, a price of
zero without a customer a receipt, and everything else an order line; the order lines of an invoice
of one customer are one order, or as many as it takes.

A line of a `C...` invoice with a quantity above zero takes units of what was bought once more, at
the price of the oldest line that is left: by the rule a return of less than nothing. Nothing comes
back then; it goes out, as an order under the number of the `C...` invoice: a resale.
"""

import collections
from decimal import Decimal
from typing import Final

import msgspec

from serai.cli.replay import fit
from serai.cli.replay.reader import Row
from serai.contexts.catalog.contract import RowProblem
from serai.contexts.inventory.contract import UNITS_MAX
from serai.contexts.orders.contract import LINES_MAX
from serai.kernel.money import AMOUNT_MINOR_MAX, extend

CURRENCY: Final = "GBP"


class Goods(msgspec.Struct):
    """A stock code: what it is called, what it costs, and how many units of it move."""

    sku: str
    title: str = ""
    is_title_sold: bool = False
    price_minor: int | None = None
    sold: int = 0
    resold: int = 0
    returned: int = 0
    received: int = 0
    written_off: int = 0

    @property
    def asked(self) -> int:
        """Units that sales and write-offs ask for."""
        return self.sold + self.resold + self.written_off


class Line(msgspec.Struct, frozen=True, gc=False):
    """An order line at the price of the file, as the API takes it."""

    sku: str
    quantity: int
    unit_price: str


class Order(msgspec.Struct):
    """Order lines of one invoice and one customer; `rows` are those of the file."""

    invoice: str
    customer: str
    lines: list[Line] = []
    total_minor: int = 0
    rows: int = 0

    @property
    def is_resale(self) -> bool:
        """Whether it is of a C invoice."""
        return self.invoice[0] == "C"


class Move(msgspec.Struct, frozen=True, gc=False):
    """Units of a stock code that are received or written off."""

    sku: str
    quantity: int


class Piece(msgspec.Struct, frozen=True, gc=False):
    """Units of an order line that come back."""

    order: int
    """The place of the order in the plan."""
    line_no: int
    quantity: int


class Comeback(msgspec.Struct, frozen=True, gc=False):
    """A line of a C invoice of which at least one unit can come back; `number` counts from 1."""

    invoice: str
    number: int
    wanted: int
    pieces: tuple[Piece, ...]


class Unsent(msgspec.Struct):
    """Rows that are counted and leave no trace in a shop: there is nothing to send for them."""

    skipped_rows: int = 0
    unmatched: int = 0
    without_customer: int = 0
    full_of_nothing: int = 0
    """C lines of zero units: by the rule fully covered, with nothing to take back."""


class Plan(msgspec.Struct):
    """Everything that a file asks for, in file order, and the rows that cannot be carried out."""

    goods: dict[str, Goods] = {}
    orders: list[Order] = []
    receipts: list[Move] = []
    write_offs: list[Move] = []
    comebacks: list[Comeback] = []
    unsent: Unsent = msgspec.field(default_factory=Unsent)
    problems: list[RowProblem] = []
    refund_minor: int = 0
    rows: int = 0


class _Bought(msgspec.Struct, gc=False):
    """What a customer has left of an order line."""

    order: int
    line_no: int
    left: int
    price: Decimal


class Planner:
    """Takes the rows of a file one by one and keeps what they come to."""

    def __init__(self) -> None:
        self.plan = Plan()
        self._orders: dict[tuple[str, str], int] = {}
        # Lists, not deques: most hold one line, and an empty deque is larger than ten lists.
        self._bought: dict[tuple[str, str], list[_Bought]] = {}
        self._c_lines: collections.Counter[str] = collections.Counter()

    def take(self, row: Row | RowProblem) -> None:
        """Plans one row, or notes why it cannot be carried out."""
        self.plan.rows += 1
        if isinstance(row, RowProblem):
            self.plan.problems.append(row)
            return
        sku = fit.write_sku(row.sku)
        if sku != row.sku:
            row = msgspec.structs.replace(row, sku=sku)
        problem = fit.find_fault(row) or self._plan(row)
        if problem is not None:
            self.plan.problems.append(problem)
            return
        goods = self._goods(row.sku)
        is_sold = bool(row.price > 0 and row.quantity > 0)
        if row.description and (not goods.title or (is_sold and not goods.is_title_sold)):
            goods.title = fit.tidy_title(row.description)
            goods.is_title_sold = is_sold and bool(goods.title)
        if goods.price_minor is None and is_sold:
            goods.price_minor = fit.list_price_minor(row.price)

    def _goods(self, sku: str) -> Goods:
        goods = self.plan.goods.get(sku)
        if goods is None:
            goods = self.plan.goods[sku] = Goods(sku)
        return goods

    def _plan(self, row: Row) -> RowProblem | None:
        """Decides what a row is. What it cannot be is said before anything is noted."""
        if row.invoice[0] == "C":
            return self._plan_comeback(row)
        if not row.invoice[0].isdigit() or row.price < 0:
            self.plan.unsent.skipped_rows += 1
            return None
        if row.quantity > 0 and (row.price != 0 or row.customer):
            return self._plan_sale(row)
        units = abs(row.quantity)
        goods = self.plan.goods.get(row.sku) or Goods(row.sku)
        if goods.asked + goods.received + units > UNITS_MAX:
            return fit.too_many_units(row)
        goods = self._goods(row.sku)
        if row.quantity > 0:
            goods.received += units
            self.plan.receipts.append(Move(goods.sku, units))
        elif units:
            goods.written_off += units
            self.plan.write_offs.append(Move(goods.sku, units))
        return None

    def _plan_sale(self, row: Row) -> RowProblem | None:
        placed = fit.find_price_fault(row) or self._order_lines(row, row.price)
        if isinstance(placed, RowProblem):
            return placed
        self._goods(row.sku).sold += row.quantity
        if row.customer:
            self._bought.setdefault((row.customer, row.sku), []).extend(placed)
        return None

    def _order_lines(self, row: Row, price: Decimal) -> list[_Bought] | RowProblem:
        """Puts a row's units into an order of its invoice and customer: the lines they came to."""
        goods = self.plan.goods.get(row.sku) or Goods(row.sku)
        if goods.asked + goods.received + row.quantity > UNITS_MAX:
            return fit.too_many_units(row)
        # A full line at a price of six decimal places is a whole number of pence, so the lines of a
        # row cost together what the row does.
        amount = extend(price, row.quantity, CURRENCY)
        if amount > AMOUNT_MINOR_MAX:
            detail = f"an order may cost at most {AMOUNT_MINOR_MAX} pence"
            return RowProblem(row.line, "UnitPrice", "amount_too_large", detail)
        units = fit.split_units(row.quantity)
        key = (row.invoice, row.customer)
        place = self._orders.get(key)
        if place is None or not _has_room(self.plan.orders[place], len(units), amount):
            place = self._orders[key] = len(self.plan.orders)
            self.plan.orders.append(Order(row.invoice, row.customer))
        order = self.plan.orders[place]
        sku, text = self._goods(row.sku).sku, fit.write_price(price)
        order.lines += [Line(sku, piece, text) for piece in units]
        order.total_minor += amount
        order.rows += 1
        first = len(order.lines) - len(units) + 1
        return [_Bought(place, first + n, piece, price) for n, piece in enumerate(units)]

    def _plan_comeback(self, row: Row) -> RowProblem | None:
        pool = self._bought.get((row.customer, row.sku))
        if row.quantity > 0 and row.customer and pool:
            resold = self._order_lines(row, pool[0].price)
            if isinstance(resold, RowProblem):
                return resold
            self._goods(row.sku).resold += row.quantity
            # It is more of what the oldest line left, so it comes back before any other.
            pool[1:1] = resold
        self._c_lines[row.invoice] += 1
        if not row.customer:
            self.plan.unsent.without_customer += 1
        elif row.quantity == 0:
            self.plan.unsent.full_of_nothing += 1
        elif not pool:
            self.plan.unsent.unmatched += 1
        elif row.quantity < 0:
            self._take_back(row, pool)
        return None

    def _take_back(self, row: Row, pool: list[_Bought]) -> None:
        left = -row.quantity
        pieces: list[Piece] = []
        while left and pool:
            bought = pool[0]
            units = min(left, bought.left)
            pieces.append(Piece(bought.order, bought.line_no, units))
            self.plan.refund_minor += extend(bought.price, units, CURRENCY)
            bought.left -= units
            left -= units
            if not bought.left:
                pool.pop(0)
        self._goods(row.sku).returned += -row.quantity - left
        self.plan.comebacks.append(
            Comeback(row.invoice, self._c_lines[row.invoice], -row.quantity, tuple(pieces))
        )


def _has_room(order: Order, lines: int, amount_minor: int) -> bool:
    return (
        len(order.lines) + lines <= LINES_MAX
        and order.total_minor + amount_minor <= AMOUNT_MINOR_MAX
    )
