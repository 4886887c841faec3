"""Reads single cells: each function gives a checked value or refuses the cell with what to do."""

import re
from collections.abc import Iterable
from typing import Final

from serai.contexts.catalog.contract import (
    CATEGORY_CHARS_MAX,
    CONTROL,
    DESCRIPTION_CHARS_MAX,
    FACET_CHARS_MAX,
    HANDLE_CHARS_MAX,
    PRICE_MINOR_MAX,
    URL_CHARS_MAX,
)
from serai.contexts.catalog.gateways.product_rows import STOCK_UNITS_MAX, PriceRow
from serai.contexts.catalog.model.fields import HANDLE, is_media_address, tidy_path
from serai.contexts.catalog.model.text import make_handle
from serai.kernel.money import exponent

_DECIMAL: Final = re.compile(r"(?P<sign>-?)(?P<whole>[0-9]{1,30})(?:\.(?P<part>[0-9]{1,30}))?")
_YES: Final = frozenset({"true", "yes", "1"})
_NO: Final = frozenset({"false", "no", "0"})


class CellRefused(Exception):
    """A cell that cannot be taken; the reader turns it into the problem of its row."""

    def __init__(self, column: str | None, code: str, detail: str) -> None:
        super().__init__(f"{column}: {code}: {detail}")
        self.column = column
        self.code = code
        self.detail = detail


def read_line(text: str, *, column: str, chars_max: int) -> str:
    """One line of text without blanks around it; may be empty."""
    line = text.strip()
    _keep_bound(line, column=column, chars_max=chars_max)
    if CONTROL.search(line):
        raise CellRefused(
            column, "control_character", "Remove the line break or control character inside it."
        )
    return line


def read_description(text: str, *, column: str) -> str:
    """Text of any lines, kept as it is."""
    _keep_bound(text, column=column, chars_max=DESCRIPTION_CHARS_MAX)
    return text


def read_required(text: str, *, column: str, chars_max: int) -> str:
    """One line of text that must not be empty; its absence is `missing_<column>`."""
    line = read_line(text, column=column, chars_max=chars_max)
    if not line:
        raise CellRefused(column, f"missing_{column}", "Fill this cell.")
    return line


def read_handle(text: str, *, title: str, column: str) -> str:
    """The product's handle, or one made from its title when the cell is empty."""
    handle = read_line(text, column=column, chars_max=HANDLE_CHARS_MAX).lower()
    if not handle:
        handle = make_handle(title)
        if not handle:
            raise CellRefused(
                column,
                "missing_handle",
                "No handle can be made from the title. Write one of a-z, 0-9 and hyphens.",
            )
    if HANDLE.fullmatch(handle) is None:
        raise CellRefused(
            column, "bad_handle", "Use a-z and 0-9, with single words joined by hyphens."
        )
    return handle


def read_price(text: str, *, currency: str, column: str) -> PriceRow | None:
    """An exact price in minor units, or None when the cell is empty. Never goes through a float."""
    if not text.strip():
        return None
    match = _DECIMAL.fullmatch(text.strip())
    if match is None:
        raise CellRefused(
            column,
            "bad_price",
            "Write a plain decimal number such as 1299.00, without a currency sign or commas.",
        )
    digits = exponent(currency)
    part = (match["part"] or "").rstrip("0")
    if len(part) > digits:
        raise CellRefused(
            column, "fractional_price", f"{currency} has {digits} digits after the point at most."
        )
    amount = int(match["whole"]) * 10**digits + int(part.ljust(digits, "0") or "0")
    if match["sign"] and amount:
        raise CellRefused(column, "negative_price", "A price is zero or more.")
    if amount > PRICE_MINOR_MAX:
        raise CellRefused(
            column, "price_too_large", f"A price is {PRICE_MINOR_MAX:,} minor units at most."
        )
    return PriceRow(currency, amount)


def read_stock(text: str, *, column: str) -> int | None:
    """A whole number of units, or None when the cell is empty."""
    if not text.strip():
        return None
    match = _DECIMAL.fullmatch(text.strip())
    if match is None:
        raise CellRefused(column, "bad_stock", "Write a whole number of units such as 12.")
    if (match["part"] or "").rstrip("0"):
        raise CellRefused(column, "fractional_stock", "Stock is counted in whole units.")
    units = int(match["whole"])
    if match["sign"] and units:
        raise CellRefused(
            column, "negative_stock", "Stock is zero or more. Write 0 for what is not there."
        )
    if units > STOCK_UNITS_MAX:
        raise CellRefused(column, "stock_too_large", f"Stock is {STOCK_UNITS_MAX:,} at most.")
    return units


def read_truth(text: str, *, column: str, default: bool) -> bool:
    """TRUE or FALSE in the spellings that spreadsheets write."""
    word = text.strip().lower()
    if word in _YES or word in _NO:
        return word in _YES
    if word:
        raise CellRefused(column, "bad_truth", "Write TRUE or FALSE.")
    return default


def is_web_address(text: str) -> bool:
    """Whether the text says that it is an http or https address, be it a good one or not."""
    return text.strip().lower().startswith(("http://", "https://"))


def read_url(text: str, *, column: str) -> str:
    """One http or https address with a host, in the characters that RFC 3986 allows."""
    url = text.strip()
    _keep_bound(url, column=column, chars_max=URL_CHARS_MAX)
    if not is_media_address(url):
        raise CellRefused(
            column,
            "bad_url",
            "Give a whole http:// or https:// address, other characters percent-encoded.",
        )
    return url


def read_urls(texts: Iterable[str], *, column: str, count_max: int) -> tuple[str, ...]:
    """Addresses in their order, each once; empty entries are passed over."""
    urls = tuple(dict.fromkeys(read_url(text, column=column) for text in texts if text.strip()))
    if len(urls) > count_max:
        raise CellRefused(column, "too_many_media", f"Give {count_max} addresses at most.")
    return urls


def read_category(text: str, *, column: str) -> str:
    """A category's path from the root, such as `Camp > Light > Lanterns`."""
    path = tidy_path(read_line(text, column=column, chars_max=CATEGORY_CHARS_MAX))
    if not path:
        raise CellRefused(column, "bad_category", "Write a path such as Camp > Light.")
    _keep_bound(path, column=column, chars_max=CATEGORY_CHARS_MAX)
    return path


def read_facet(name: str, value: str, *, column: str) -> tuple[str, str]:
    """A facet and its value, such as colour and indigo."""
    name = read_line(name, column=column, chars_max=FACET_CHARS_MAX)
    value = read_line(value, column=column, chars_max=FACET_CHARS_MAX)
    if not (name and value):
        raise CellRefused(column, "bad_facet", "Write facet:value, such as colour:indigo.")
    return name, value


def _keep_bound(text: str, *, column: str, chars_max: int) -> None:
    if len(text) > chars_max:
        raise CellRefused(
            column, "field_too_long", f"It has {len(text):,} characters; {chars_max:,} fit."
        )
