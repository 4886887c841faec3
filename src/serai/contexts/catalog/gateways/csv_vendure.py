"""Reads Vendure's product CSV: padded cells, `|` between entries, `facet:value`.

The facet `category` becomes Serai's categories, since Vendure builds its collections from it. A
variant's facets join its product's, so that a search finds the product by any of them. Assets are
names of files on the exporting machine: only http(s) addresses are kept, the others are noted.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from serai.contexts.catalog.contract import (
    MEDIA_PER_PRODUCT_MAX,
    MEDIA_PER_VARIANT_MAX,
    SKU_CHARS_MAX,
    TITLE_CHARS_MAX,
    RowProblem,
)
from serai.contexts.catalog.gateways.csv_cells import (
    CellRefused,
    is_web_address,
    read_category,
    read_description,
    read_facet,
    read_handle,
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

_KEYS: Final = {
    "name": "title",
    "slug": "handle",
    "description": "description",
    "assets": "media",
    "facets": "facets",
    "optiongroups": "option_names",
    "optionvalues": "option_values",
    "sku": "sku",
    "price": "price",
    "taxcategory": "",
    "stockonhand": "stock",
    "trackinventory": "tracks_stock",
    "variantassets": "variant_media",
    "variantfacets": "variant_facets",
}
_CUSTOM_FIELDS: Final = ("product:", "variant:")
_CATEGORY_FACET: Final = "category"
_ASSET_COLUMNS: Final = {"media": "assets", "variant_media": "variantAssets"}


class VendureLayout:
    """Columns name, sku, price, and any other of Vendure's; its custom fields are passed over."""

    required: Mapping[str, str] = {"title": "name", "sku": "sku", "price": "price"}
    product_keys = frozenset({"title", "handle", "description", "media", "facets", "option_names"})
    is_closed = False

    def __init__(self, default_currency: str) -> None:
        self._currency = default_currency

    def key_of(self, column: str) -> str | None:
        name = column.strip().lower()
        return "" if name.startswith(_CUSTOM_FIELDS) else _KEYS.get(name)

    def check(self, keys: Iterable[str]) -> None:
        """Nothing beyond the required columns."""

    def read_product(self, row: int, cells: Cells) -> ProductDraft:
        title = read_required(cells["title"], column="title", chars_max=TITLE_CHARS_MAX)
        pairs = _read_facets(cells.get("facets", ""), column="facets")
        media, notes = _read_assets(row, cells, column="media", count_max=MEDIA_PER_PRODUCT_MAX)
        product = ProductDraft(
            row=row,
            cells=cells,
            handle=read_handle(cells.get("handle", ""), title=title, column="handle"),
            title=title,
            description=read_description(cells.get("description", ""), column="description"),
            option_names=read_option_names(
                _split(cells.get("option_names", "")), column="option_names"
            ),
            categories=keep_category_bound(
                (
                    read_category(value, column="facets")
                    for name, value in pairs
                    if name == _CATEGORY_FACET
                ),
                column="facets",
            ),
            media=[(0, url) for url in media],
            notes=notes,
        )
        product.add_facets((pair for pair in pairs if pair[0] != _CATEGORY_FACET), column="facets")
        return product

    def read_variant(self, row: int, cells: Cells, product: ProductDraft) -> VariantReading:
        values = _split(cells.get("option_values", ""))
        if len(values) != len(product.option_names):
            raise CellRefused(
                "option_values",
                "wrong_option_count",
                f"{len(values)} values do not fit {len(product.option_names)} options.",
            )
        options = {
            name: read_option_value(value, name=name, column="option_values")
            for name, value in zip(product.option_names, values, strict=True)
        }
        price = read_price(cells["price"], currency=self._currency, column="price")
        stock = read_stock(cells.get("stock", ""), column="stock")
        track = cells.get("tracks_stock", "").strip().lower()
        is_tracked = track == "inherit" or read_truth(track, column="tracks_stock", default=True)
        media, notes = _read_assets(
            row, cells, column="variant_media", count_max=MEDIA_PER_VARIANT_MAX
        )
        return VariantReading(
            variant=VariantRow(
                row=row,
                sku=read_required(cells["sku"], column="sku", chars_max=SKU_CHARS_MAX),
                options=options,
                prices=() if price is None else (price,),
                stock=stock if is_tracked else None,
                media=media,
            ),
            facets=_read_facets(cells.get("variant_facets", ""), column="variant_facets"),
            notes=notes,
        )


def _split(cell: str) -> list[str]:
    return [entry.strip() for entry in cell.split("|")] if cell.strip() else []


def _read_facets(cell: str, *, column: str) -> list[tuple[str, str]]:
    entries = (entry.partition(":") for entry in _split(cell) if entry)
    return [read_facet(name, value, column=column) for name, _, value in entries]


def _read_assets(
    row: int, cells: Cells, *, column: str, count_max: int
) -> tuple[tuple[str, ...], list[RowProblem]]:
    names = [name for name in _split(cells.get(column, "")) if name]
    urls = read_urls(filter(is_web_address, names), column=column, count_max=count_max)
    notes = [
        RowProblem(
            row,
            _ASSET_COLUMNS[column],
            "asset_without_address",
            f"{name[:200]!r} is not an http(s) address and was left out. Add the picture later.",
        )
        for name in names
        if not is_web_address(name)
    ]
    return urls, notes[:count_max]
