"""What of a retail file a shop can hold: bounds, texts and prices. Pure.

The API would refuse the same; told by row and before anything is sent, it can be mended.
"""

import functools
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from serai.cli.replay.reader import Row
from serai.contexts.catalog.contract import (
    CONTROL,
    PRICE_MINOR_MAX,
    SKU_CHARS_MAX,
    TITLE_CHARS_MAX,
    RowProblem,
)
from serai.contexts.inventory.contract import UNITS_MAX
from serai.contexts.orders.contract import QUANTITY_MAX, REFERENCE_CHARS_MAX
from serai.kernel.money import AMOUNT_MINOR_MAX, PRICE_DIGITS_MAX

PRICE_MAX: Final = Decimal(AMOUNT_MINOR_MAX).scaleb(-2)
PRICES_REMEMBERED_MAX: Final = 16_384
_FINEST: Final = Decimal(1).scaleb(-PRICE_DIGITS_MAX)


def find_fault(row: Row) -> RowProblem | None:
    """Why no shop could hold a row, whatever it is."""
    if len(row.sku) > SKU_CHARS_MAX:
        return RowProblem(
            row.line, "StockCode", "field_too_long", f"{SKU_CHARS_MAX} characters fit"
        )
    if row.sku != row.sku.strip():
        return RowProblem(row.line, "StockCode", "padded_sku", "there are blanks around it")
    if CONTROL.search(row.sku):
        return _has_control(row, "StockCode")
    for column, text in (("InvoiceNo", row.invoice), ("CustomerID", row.customer)):
        if len(text) > REFERENCE_CHARS_MAX:
            return RowProblem(row.line, column, "field_too_long", _fits(REFERENCE_CHARS_MAX))
        if CONTROL.search(text):
            return _has_control(row, column)
    return None


def find_sale_fault(row: Row) -> RowProblem | None:
    """Why a row cannot be an order line."""
    if row.quantity > QUANTITY_MAX:
        detail = f"an order line has at most {QUANTITY_MAX} units"
        return RowProblem(row.line, "Quantity", "quantity_too_large", detail)
    # Looked at by its exponent first: written out, 1e999999 would fill the memory.
    if row.price.adjusted() > PRICE_MAX.adjusted() or row.price > PRICE_MAX:
        return RowProblem(row.line, "UnitPrice", "price_too_large", f"{PRICE_MAX:f} is the most")
    if row.price and (row.price.adjusted() < -PRICE_DIGITS_MAX or row.price % _FINEST):
        detail = f"a price has at most {PRICE_DIGITS_MAX} decimal places"
        return RowProblem(row.line, "UnitPrice", "price_too_fine", detail)
    return None


def too_many_units(row: Row) -> RowProblem:
    """That a stock code would move more units than a stock item may ever have received."""
    detail = f"a stock code may move at most {UNITS_MAX} units"
    return RowProblem(row.line, "Quantity", "too_many_units", detail)


@functools.lru_cache(maxsize=PRICES_REMEMBERED_MAX)
def write_price(price: Decimal) -> str:
    """A price as the API reads it: plain decimal text in major units."""
    return f"{price.normalize():f}" if price else "0"


def list_price_minor(price: Decimal) -> int:
    """The price that the catalog shows, in pence; orders bring their own, which may be finer."""
    return min(int((price * 100).to_integral_value(ROUND_HALF_UP)), PRICE_MINOR_MAX)


def tidy_title(description: str) -> str:
    """A description as one line of text; what is not UTF-8 in it is shown as a replacement mark."""
    text = description.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return " ".join(CONTROL.sub(" ", text).split())[:TITLE_CHARS_MAX].strip()


def _has_control(row: Row, column: str) -> RowProblem:
    return RowProblem(row.line, column, "control_character", "there is a control character in it")


def _fits(chars_max: int) -> str:
    return f"{chars_max} characters fit"
