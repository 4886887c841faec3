"""The shapes that a product file is read into and written from; their bounds are the contract's."""

from typing import Final

import msgspec

from serai.contexts.catalog.contract import ProductStatus, RowProblem

STOCK_UNITS_MAX: Final = 1_000_000_000


class PriceRow(msgspec.Struct, frozen=True):
    """A price in the minor units of its currency: cents for USD, yen for JPY."""

    currency: str
    amount_minor: int


class VariantRow(msgspec.Struct, frozen=True, kw_only=True):
    """What one row says of one SKU. `stock` is None when the file sets no stock for it."""

    row: int
    sku: str
    options: dict[str, str] = {}
    prices: tuple[PriceRow, ...] = ()
    stock: int | None = None
    barcode: str | None = None
    media: tuple[str, ...] = ()


class ProductRow(msgspec.Struct, frozen=True, kw_only=True):
    """A product and its variants as the file gives them; the handle is unique in the file.

    `notes` are about what was left out without harm, such as a picture that has a file name and
    no address; they do not make a row bad.
    """

    row: int
    handle: str
    title: str
    description: str = ""
    status: ProductStatus = "published"
    categories: tuple[str, ...] = ()
    facets: dict[str, tuple[str, ...]] = {}
    media: tuple[str, ...] = ()
    option_names: tuple[str, ...] = ()
    variants: tuple[VariantRow, ...] = ()
    notes: tuple[RowProblem, ...] = ()
