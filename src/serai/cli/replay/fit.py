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
_QUOTE: Final = "'"
_FINEST: Final = Decimal(1).scaleb(-PRICE_DIGITS_MAX)


def find_fault(row: Row) -> RowProblem | None:
    """Why no shop could hold a row, whatever it is."""
    if len(write_sku(row.sku)) > SKU_CHARS_MAX:
        return RowProblem(
            row.line, "StockCode", "field_too_long", f"{SKU_CHARS_MAX} characters fit"
        )
    if CONTROL.search(row.sku):
        return _has_control(row, "StockCode")
    for column, text in (("InvoiceNo", row.invoice), ("CustomerID", row.customer)):
        if len(text) > REFERENCE_CHARS_MAX:
            return RowProblem(row.line, column, "field_too_long", _fits(REFERENCE_CHARS_MAX))
        if CONTROL.search(text):
            return _has_control(row, column)
    return None


def find_price_fault(row: Row) -> RowProblem | None:
    """Why nothing can be sold at a row's price."""
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


def write_sku(code: str) -> str:
    """The SKU of a stock code: as it is written, in quotes where a catalog would not take it so.

    A code that stands in quotes itself gets a second pair, so that no two codes are one SKU.
    """
    is_quoted = len(code) > 1 and code[0] == code[-1] == _QUOTE
    is_blank = not code or code != code.strip()
    return f"{_QUOTE}{code}{_QUOTE}" if is_quoted or is_blank else code


def read_sku(sku: str) -> str:
    """The stock code of an SKU."""
    return sku[1:-1] if len(sku) > 1 and sku[0] == sku[-1] == _QUOTE else sku


def split_units(quantity: int) -> list[int]:
    """The units of a row by order line: all are full but the last."""
    full, rest = divmod(quantity, QUANTITY_MAX)
    return [QUANTITY_MAX] * full + ([rest] if rest else [])


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
