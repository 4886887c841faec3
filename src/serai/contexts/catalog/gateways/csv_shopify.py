"""Reads Shopify's product CSV, in the header spellings up to 2024 and in those since.

Rows of one product share their handle. The option `Title` with the value `Default Title` is
Shopify's way to say that a product has no options. Vendor, type and tags become facets; the
product category becomes a category. A row that has nothing but a picture adds it to its product.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from serai.contexts.catalog.contract import (
    BARCODE_CHARS_MAX,
    MEDIA_PER_PRODUCT_MAX,
    MEDIA_PER_VARIANT_MAX,
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
    read_truth,
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
from serai.contexts.catalog.gateways.product_rows import VariantRow

POSITION_DIGITS_MAX: Final = 9

_OPTION_NUMBERS: Final = (1, 2, 3)
_KEYS: Final = {
    "handle": "handle",
    "url handle": "handle",
    "title": "title",
    "body (html)": "description",
    "body html": "description",
    "description": "description",
    "vendor": "vendor",
    "product category": "category",
    "standardized product type": "category",
    "standard product type": "category",
    "type": "type",
    "custom product type": "type",
    "tags": "tags",
    "published": "is_published",
    "published on online store": "is_published",
    "status": "status",
    "variant sku": "sku",
    "sku": "sku",
    "variant price": "price",
    "price": "price",
    "variant inventory tracker": "tracker",
    "inventory tracker": "tracker",
    "variant inventory qty": "stock",
    "inventory quantity": "stock",
    "variant barcode": "barcode",
    "barcode": "barcode",
    "image src": "image",
    "product image url": "image",
    "image position": "image_position",
    "variant image": "variant_media",
    "variant image url": "variant_media",
} | {
    f"option{number} {part}": f"option{number}_{part}"
    for number in _OPTION_NUMBERS
    for part in ("name", "value")
}
_PASSED_OVER: Final = frozenset(
    {
        "collection",
        "template suffix",
        "published scope",
        "option1 linked to",
        "option2 linked to",
        "option3 linked to",
        "variant grams",
        "variant weight unit",
        "weight value (grams)",
        "weight unit for display",
        "variant inventory policy",
        "continue selling when out of stock",
        "variant fulfillment service",
        "fulfillment service",
        "variant compare at price",
        "compare-at price",
        "variant requires shipping",
        "requires shipping",
        "variant taxable",
        "charge tax",
        "variant tax code",
        "tax code",
        "image alt text",
        "image width",
        "image height",
        "gift card",
        "seo title",
        "seo description",
        "cost per item",
        "total inventory qty",
    }
)
_PASSED_OVER_STARTS: Final = (
    "google shopping / ",
    "unit price ",
    "variant unit price ",
    "price / ",
    "compare at price / ",
    "compare-at price / ",
    "included / ",
)
_METAFIELD: Final = ".metafields."
_STATUSES: Final[dict[str, ProductStatus]] = {
    "": "published",
    "active": "published",
    "draft": "draft",
    "unlisted": "draft",
    "archived": "archived",
}
_PRODUCT_KEYS: Final = frozenset(
    {"title", "description", "vendor", "category", "type", "tags", "is_published", "status"}
    | {f"option{number}_name" for number in _OPTION_NUMBERS}
)
_VARIANT_KEYS: Final = (
    "sku",
    "price",
    "barcode",
    "option1_value",
    "option2_value",
    "option3_value",
)


class ShopifyLayout:
    """Columns Title, and any other of Shopify's; those that Serai has no place for are passed over.

    `required` holds what a product with a price needs; Shopify itself asks for the title alone.
    """

    required: Mapping[str, str] = {"title": "Title", "sku": "SKU", "price": "Price"}
    product_keys = _PRODUCT_KEYS
    is_closed = False

    def __init__(self, default_currency: str) -> None:
        self._currency = default_currency

    def key_of(self, column: str) -> str | None:
        name = column.strip().lower()
        is_passed = (
            name in _PASSED_OVER or name.startswith(_PASSED_OVER_STARTS) or _METAFIELD in name
        )
        return "" if is_passed else _KEYS.get(name)

    def check(self, keys: Iterable[str]) -> None:
        present = set(keys)
        for number in _OPTION_NUMBERS:
            if (f"option{number}_name" in present) != (f"option{number}_value" in present):
                raise CellRefused(
                    None,
                    "missing_column",
                    f"Option{number} needs both its name column and its value column.",
                )

    def read_product(self, row: int, cells: Cells) -> ProductDraft:
        title = read_required(cells["title"], column="title", chars_max=TITLE_CHARS_MAX)
        category = cells.get("category", "").strip()
        product = ProductDraft(
            row=row,
            cells=cells,
            handle=read_handle(cells.get("handle", ""), title=title, column="handle"),
            title=title,
            description=read_description(cells.get("description", ""), column="description"),
            status=_read_status(cells),
            option_names=_read_option_names(cells),
            categories=keep_category_bound(
                [read_category(category, column="category")] if category else [],
                column="category",
            ),
        )
        for column, name in (("vendor", "vendor"), ("type", "type"), ("tags", "tag")):
            cell = cells.get(column, "")
            entries = cell.split(",") if column == "tags" else [cell]
            product.add_facets(
                [read_facet(name, entry, column=column) for entry in entries if entry.strip()],
                column=column,
            )
        product.media = _read_picture(cells)
        return product

    def read_variant(self, row: int, cells: Cells, product: ProductDraft) -> VariantReading:
        media = _read_picture(cells) if row != product.row else []
        if media and not any(cells.get(key, "") for key in _VARIANT_KEYS):
            return VariantReading(variant=None, media=media)
        price = read_price(cells["price"], currency=self._currency, column="price")
        stock = read_stock(cells.get("stock", ""), column="stock")
        is_tracked = bool(cells.get("tracker", "tracked").strip())
        barcode = read_line(cells.get("barcode", ""), column="barcode", chars_max=BARCODE_CHARS_MAX)
        return VariantReading(
            variant=VariantRow(
                row=row,
                sku=read_required(cells["sku"], column="sku", chars_max=SKU_CHARS_MAX),
                options=_read_options(cells, product.option_names),
                prices=() if price is None else (price,),
                stock=stock if is_tracked else None,
                # Spreadsheets take a leading apostrophe as "this is text"; Shopify writes it.
                barcode=barcode.removeprefix("'") or None,
                media=read_urls(
                    [cells.get("variant_media", "")],
                    column="variant_media",
                    count_max=MEDIA_PER_VARIANT_MAX,
                ),
            ),
            media=media,
        )


def _read_status(cells: Cells) -> ProductStatus:
    status = _STATUSES.get(cells.get("status", "").strip().lower())
    if status is None:
        raise CellRefused("status", "bad_status", "Write active, draft, unlisted or archived.")
    is_published = read_truth(cells.get("is_published", ""), column="is_published", default=True)
    return "draft" if status == "published" and not is_published else status


def _read_option_names(cells: Cells) -> tuple[str, ...]:
    names = [cells.get(f"option{number}_name", "").strip() for number in _OPTION_NUMBERS]
    while names and not names[-1]:
        names.pop()
    is_plain = names == ["Title"] and cells["option1_value"].strip() in {"", "Default Title"}
    return () if is_plain else read_option_names(names, column="option1_name")


def _read_options(cells: Cells, names: tuple[str, ...]) -> dict[str, str]:
    for number in _OPTION_NUMBERS[len(names) :]:
        value = cells.get(f"option{number}_value", "").strip()
        if value and (names or value != "Default Title"):
            column = f"option{number}_value"
            raise CellRefused(
                column,
                "unexpected_option_value",
                "Name this option on the product's first row, or empty the cell.",
            )
    return {
        name: read_option_value(
            cells[f"option{number}_value"], name=name, column=f"option{number}_value"
        )
        for number, name in zip(_OPTION_NUMBERS, names, strict=False)
    }


def _read_picture(cells: Cells) -> list[tuple[int, str]]:
    urls = read_urls([cells.get("image", "")], column="image", count_max=MEDIA_PER_PRODUCT_MAX)
    return [(_position(cells), url) for url in urls]


def _position(cells: Cells) -> int:
    """The picture's place among its product's; one without a place keeps the file's order."""
    position = cells.get("image_position", "").strip()
    is_number = position.isascii() and position.isdecimal() and len(position) <= POSITION_DIGITS_MAX
    return int(position) if is_number else 0
