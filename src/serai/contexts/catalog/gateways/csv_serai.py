"""Serai's own CSV layout, read and written: what is written is read back as the same products.

One row per variant; a row whose title is blank continues the product above it. Lists are written
with `|` between entries; a `|`, `:` in a facet's name, or backslash of the text itself is written
with a backslash before it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import BinaryIO, Final

from serai.contexts.catalog.contract import (
    BARCODE_CHARS_MAX,
    MEDIA_PER_PRODUCT_MAX,
    MEDIA_PER_VARIANT_MAX,
    OPTION_NAME_CHARS_MAX,
    SKU_CHARS_MAX,
    TITLE_CHARS_MAX,
    ProductStatus,
)
from serai.contexts.catalog.gateways.csv_cells import (
    CellRefused,
    read_category,
    read_description,
    read_facet,
    read_handle,
    read_line,
    read_price,
    read_required,
    read_stock,
    read_urls,
)
from serai.contexts.catalog.gateways.csv_layout import (
    Cells,
    ProductDraft,
    VariantReading,
    keep_category_bound,
    read_option_names,
    read_option_value,
)
from serai.contexts.catalog.gateways.product_rows import PriceRow, ProductRow, VariantRow
from serai.kernel.money import exponent, is_currency

_PRODUCT_KEYS: Final = (
    "handle",
    "title",
    "description",
    "status",
    "categories",
    "facets",
    "media",
    "option_names",
)
_VARIANT_KEYS: Final = ("sku", "stock", "barcode", "variant_media")
_STATUSES: Final[dict[str, ProductStatus]] = {
    "": "published",
    "draft": "draft",
    "published": "published",
    "archived": "archived",
}
_ENTRY: Final = re.compile(r"((?:[^|\\]++|\\.|\\\Z)*+)(\||\Z)", re.DOTALL)
_FACET: Final = re.compile(r"((?:[^:\\]++|\\.)*+):(.*)", re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)


class SeraiLayout:
    """Columns handle, title, sku, at least one price, and any of the others."""

    required: Mapping[str, str] = {"handle": "handle", "title": "title", "sku": "sku"}
    product_keys = frozenset(_PRODUCT_KEYS)
    is_closed = True

    def __init__(self, default_currency: str) -> None:
        self._default_currency = default_currency

    def key_of(self, column: str) -> str | None:
        kind, colon, name = column.partition(":")
        kind, name = kind.strip().lower(), name.strip()
        if not colon:
            if kind == "price":
                return f"price:{self._default_currency}"
            return kind if kind in _PRODUCT_KEYS or kind in _VARIANT_KEYS else None
        if kind == "price" and is_currency(name.upper()):
            return f"price:{name.upper()}"
        if kind == "option" and 0 < len(name) <= OPTION_NAME_CHARS_MAX:
            return f"option:{name}"
        return None

    def check(self, keys: Iterable[str]) -> None:
        if not any(key.startswith("price:") for key in keys):
            raise CellRefused(
                None,
                "missing_column",
                f"Add a price column, such as price:{self._default_currency}.",
            )

    def read_product(self, row: int, cells: Cells) -> ProductDraft:
        title = read_required(cells["title"], column="title", chars_max=TITLE_CHARS_MAX)
        status = _STATUSES.get(cells.get("status", "").strip().lower())
        if status is None:
            raise CellRefused("status", "bad_status", "Write draft, published or archived.")
        product = ProductDraft(
            row=row,
            cells=cells,
            handle=read_handle(cells["handle"], title=title, column="handle"),
            title=title,
            description=read_description(cells.get("description", ""), column="description"),
            status=status,
            option_names=_read_option_names(cells),
            categories=keep_category_bound(
                (
                    read_category(_plain(entry), column="categories")
                    for entry in _split(cells.get("categories", ""))
                ),
                column="categories",
            ),
        )
        pairs = [_read_facet(entry) for entry in _split(cells.get("facets", ""))]
        product.add_facets(pairs, column="facets")
        media = read_urls(
            _split(cells.get("media", "")), column="media", count_max=MEDIA_PER_PRODUCT_MAX
        )
        product.media = [(0, url) for url in media]
        return product

    def read_variant(self, row: int, cells: Cells, product: ProductDraft) -> VariantReading:
        options: dict[str, str] = {}
        for name in product.option_names:
            key = f"option:{name}"
            options[name] = read_option_value(cells[key], name=name, column=key)
        for key in cells:
            if key.startswith("option:") and key[7:] not in options and cells[key].strip():
                raise CellRefused(
                    key,
                    "unexpected_option_value",
                    "The product has no such option. Fill it on the product's first row too.",
                )
        prices = (
            read_price(cells[key], currency=key[6:], column=key)
            for key in cells
            if key.startswith("price:")
        )
        media = read_urls(
            _split(cells.get("variant_media", "")),
            column="variant_media",
            count_max=MEDIA_PER_VARIANT_MAX,
        )
        barcode = read_line(cells.get("barcode", ""), column="barcode", chars_max=BARCODE_CHARS_MAX)
        return VariantReading(
            variant=VariantRow(
                row=row,
                sku=read_required(cells["sku"], column="sku", chars_max=SKU_CHARS_MAX),
                options=options,
                prices=tuple(price for price in prices if price is not None),
                stock=read_stock(cells.get("stock", ""), column="stock"),
                barcode=barcode or None,
                media=media,
            )
        )


def write_products(products: Sequence[ProductRow], stream: BinaryIO) -> None:
    """Writes the products in Serai's layout, UTF-8 with CRLF.

    A product without variants has no row to stand on and is left out.
    """
    currencies = dict.fromkeys(
        price.currency
        for product in products
        for variant in product.variants
        for price in variant.prices
    )
    options = dict.fromkeys(name for product in products for name in product.option_names)
    header = [
        *_PRODUCT_KEYS,
        *(f"option:{name}" for name in options),
        *_VARIANT_KEYS,
        *(f"price:{currency}" for currency in currencies or ("USD",)),
    ]
    _write_row(header, stream)
    for product in products:
        own = _product_cells(product)
        for variant in product.variants:
            cells = own | _variant_cells(variant)
            own = {}
            _write_row([cells.get(column, "") for column in header], stream)


def _read_option_names(cells: Cells) -> tuple[str, ...]:
    """As `option_names` says, else the option columns that the first row fills, in their order."""
    entries = _split(cells.get("option_names", ""))
    if not entries:
        filled = (key[7:] for key in cells if key.startswith("option:") and cells[key].strip())
        return read_option_names(filled, column="option_names")
    names = read_option_names(map(_plain, entries), column="option_names")
    for name in names:
        if f"option:{name}" not in cells:
            raise CellRefused(
                "option_names", "unknown_option", f"The file has no column option:{name}. Add it."
            )
    return names


def _read_facet(entry: str) -> tuple[str, str]:
    match = _FACET.fullmatch(entry)
    name, value = (match[1], match[2]) if match else ("", "")
    return read_facet(_plain(name), _plain(value), column="facets")


def _split(cell: str) -> list[str]:
    """The entries of a list, still escaped, blank ones left out."""
    entries = (match[1].strip() for match in _ENTRY.finditer(cell))
    return [entry for entry in entries if entry]


def _plain(entry: str) -> str:
    return _ESCAPED.sub(r"\1", entry)


def _escape(text: str, marks: str) -> str:
    return "".join(f"\\{char}" if char in marks else char for char in text)


def _product_cells(product: ProductRow) -> dict[str, str]:
    return {
        "handle": product.handle,
        "title": product.title,
        "description": product.description,
        "status": product.status,
        "categories": "|".join(_escape(path, "|\\") for path in product.categories),
        "facets": "|".join(
            f"{_escape(name, '|:' + chr(92))}:{_escape(value, '|' + chr(92))}"
            for name, values in product.facets.items()
            for value in values
        ),
        "media": "|".join(product.media),
        "option_names": "|".join(_escape(name, "|\\") for name in product.option_names),
    }


def _variant_cells(variant: VariantRow) -> dict[str, str]:
    return {
        "sku": variant.sku,
        "stock": "" if variant.stock is None else str(variant.stock),
        "barcode": variant.barcode or "",
        "variant_media": "|".join(variant.media),
        **{f"option:{name}": value for name, value in variant.options.items()},
        **{f"price:{price.currency}": _decimal(price) for price in variant.prices},
    }


def _decimal(price: PriceRow) -> str:
    digits = exponent(price.currency)
    if not digits:
        return str(price.amount_minor)
    whole, part = divmod(price.amount_minor, 10**digits)
    return f"{whole}.{part:0{digits}}"


def _write_row(cells: Sequence[str], stream: BinaryIO) -> None:
    stream.write((",".join(map(_quoted, cells)) + "\r\n").encode("utf-8"))


def _quoted(cell: str) -> str:
    """Quoted where the text would else be split, trimmed or taken for the end of a line."""
    if cell == cell.strip() and not any(mark in cell for mark in ',"\r\n'):
        return cell
    return '"' + cell.replace('"', '""') + '"'
