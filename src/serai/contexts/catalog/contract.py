"""What others may know of the catalog: its bounds, inputs, refusals, events, views and prices."""

import re
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Final, Literal, Protocol
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from serai.kernel.db import Tx
from serai.kernel.events import Cause, event
from serai.kernel.failure import Refused, Unprocessable
from serai.kernel.text import CONTROL_CHARS, Line

ProductStatus = Literal["draft", "published", "archived"]
SaveMode = Literal["create", "upsert"]
LayoutName = Literal["serai", "vendure", "shopify"]

CONTROL: Final = re.compile(rf"[{CONTROL_CHARS}]")
"""What a line of text may not hold: a title, a SKU, the name of an option."""
TITLE_CHARS_MAX: Final = 255
HANDLE_CHARS_MAX: Final = 120
DESCRIPTION_CHARS_MAX: Final = 65_536
SKU_CHARS_MAX: Final = 64
BARCODE_CHARS_MAX: Final = 64
OPTION_NAME_CHARS_MAX: Final = 64
OPTION_VALUE_CHARS_MAX: Final = 255
CATEGORY_CHARS_MAX: Final = 255
FACET_CHARS_MAX: Final = 100
URL_CHARS_MAX: Final = 2_048
OPTIONS_PER_PRODUCT_MAX: Final = 5
VARIANTS_PER_PRODUCT_MAX: Final = 500
CATEGORIES_PER_PRODUCT_MAX: Final = 20
FACET_VALUES_PER_PRODUCT_MAX: Final = 250
MEDIA_PER_PRODUCT_MAX: Final = 100
MEDIA_PER_VARIANT_MAX: Final = 20
PRICES_PER_VARIANT_MAX: Final = 50
PRICE_MINOR_MAX: Final = 1_000_000_000_000
PRODUCTS_PER_BATCH_MAX: Final = 500
VARIANTS_PER_BATCH_MAX: Final = 4_000

Sku = Annotated[Line, msgspec.Meta(min_length=1, max_length=SKU_CHARS_MAX)]
"""The SKU of a variant, as others name it."""


class HandleTaken(Refused):
    """Another product of the tenant has this handle."""


class SkuTaken(Refused):
    """Another variant of the tenant has this SKU."""


class NothingToSell(Unprocessable):
    """A published product needs at least one variant with a price."""


class CategoryExists(Refused):
    """A category with this path is already there."""


class TruncatedFile(Unprocessable):
    """The compressed file stops in the middle; nothing of it was taken."""


class CorruptFile(Unprocessable):
    """The compressed file is damaged; nothing of it was taken."""


class FileTooLarge(Refused):
    """The file holds more than an upload may, once it is unpacked; nothing of it was taken."""

    status = 413


class Fault(msgspec.Struct, frozen=True):
    """One thing that does not fit in what was sent: where, a stable code, and what to do."""

    field: str
    code: str
    detail: str


class RowProblem(msgspec.Struct, frozen=True):
    """One thing wrong with one row of a file.

    `row` is the line of the file, counted from 1, on which the record begins; the header is 1.
    """

    row: int
    column: str | None
    code: str
    detail: str


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A price in the minor units of its currency: cents for USD, yen for JPY."""

    currency: str
    amount_minor: int


class VariantInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A variant as it is sent: a SKU with one value for each option of its product."""

    sku: str
    options: dict[str, str] = {}
    prices: list[Price] = []
    barcode: str | UnsetType | None = UNSET
    media: list[str] | UnsetType = UNSET


class ProductInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A product as it is sent. Without a handle one is made from the title.

    When it updates a product that is there, what is left out stays as it is: also variants, and
    prices in currencies that are not named.
    """

    title: str
    handle: str | None = None
    description: str | UnsetType = UNSET
    status: ProductStatus | UnsetType = UNSET
    categories: list[str] | UnsetType = UNSET
    facets: dict[str, list[str]] | UnsetType = UNSET
    media: list[str] | UnsetType = UNSET
    option_names: list[str] | UnsetType = UNSET
    variants: list[VariantInput] = []


class ProductPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What changes of a product; what is left out stays."""

    title: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    categories: list[str] | UnsetType = UNSET
    facets: dict[str, list[str]] | UnsetType = UNSET
    media: list[str] | UnsetType = UNSET


class VariantPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What changes of a variant; what is left out stays. A SKU never changes."""

    options: dict[str, str] | UnsetType = UNSET
    barcode: str | UnsetType | None = UNSET
    media: list[str] | UnsetType = UNSET


@event(topic="catalog", key="product_id")
class ProductChanged(msgspec.Struct, frozen=True):
    """A product, or one of its variants or prices, is no longer what it was."""

    product_id: UUID
    handle: str
    status: ProductStatus
    version: int


class VariantView(msgspec.Struct, frozen=True):
    """A variant as the API shows it."""

    id: UUID
    product_id: UUID
    sku: str
    options: dict[str, str]
    prices: list[Price]
    barcode: str | None
    media: list[str]
    version: int


class ProductView(msgspec.Struct, frozen=True):
    """A product as the API shows it, with all its variants."""

    id: UUID
    handle: str
    title: str
    description: str
    status: ProductStatus
    categories: list[str]
    facets: dict[str, list[str]]
    media: list[str]
    option_names: list[str]
    variants: list[VariantView]
    version: int
    created_at: datetime
    updated_at: datetime
    published_at: datetime | None


class PriceRange(msgspec.Struct, frozen=True):
    """The lowest and the highest price of a product's variants in a currency."""

    currency: str
    low_minor: int
    high_minor: int


class ProductSummary(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A product in a list. Its variants are there when they were asked for."""

    id: UUID
    handle: str
    title: str
    status: ProductStatus
    categories: list[str]
    picture: str | None
    prices: list[PriceRange]
    variant_count: int
    version: int
    created_at: datetime
    published_at: datetime | None
    variants: list[VariantView] | UnsetType = UNSET


class FacetValue(msgspec.Struct, frozen=True):
    """How many of the products found have a value of a facet."""

    value: str
    count: int


class FacetCounts(msgspec.Struct, frozen=True):
    """A facet's values, the commonest first. A facet that is filtered by is counted without it."""

    name: str
    values: list[FacetValue]


class ProductPage(msgspec.Struct, frozen=True):
    """A page of a list of products; `count` and `facets` when they were asked for."""

    items: list[ProductSummary]
    next: str | None
    count: int | UnsetType = UNSET
    facets: list[FacetCounts] | UnsetType = UNSET


class CategoryView(msgspec.Struct, frozen=True):
    """A category: its path from the root is what it is known by."""

    path: str
    name: str
    parent: str | None
    created_at: datetime


class SavedItem(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one product of a batch; with `refused` nothing of it was written."""

    handle: str
    status: Literal["created", "updated", "unchanged", "refused"]
    id: UUID | None = None
    version: int | None = None
    variants: int = 0
    errors: list[Fault] = []


class SavedBatch(msgspec.Struct, frozen=True):
    """What became of the products of a batch, in the order in which they were sent."""

    created: int
    updated: int
    unchanged: int
    refused: int
    items: list[SavedItem]


class ImportView(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a file's rows. `problems_left_out` counts what the lists had no room for."""

    created: int
    updated: int
    unchanged: int
    refused: int
    variants: int
    problems: list[RowProblem]
    notes: list[RowProblem]
    problems_left_out: int
    stock_rows_passed_over: int


class Wanted(msgspec.Struct, frozen=True):
    """A SKU of a tenant and the currency it is to be paid in."""

    tenant_id: UUID
    sku: str
    currency: str


class Quote(msgspec.Struct, frozen=True):
    """What the catalog says of a SKU.

    `unit_price` is in major units; None without a price in the currency.
    """

    status: ProductStatus
    title: str
    unit_price: Decimal | None


class Goods(Protocol):
    """What the catalog offers to sign-up; the call is part of the caller's transaction."""

    async def add_products(
        self,
        tenant_id: UUID,
        products: Sequence[ProductInput],
        cause: Cause,
        *,
        tx: Tx,
        now: datetime,
    ) -> None:
        """Adds products; one whose handle or SKU is taken is left out."""
        ...


class Prices(Protocol):
    """What the catalog offers to orders; the call is part of the caller's transaction."""

    async def quote(self, wanted: Sequence[Wanted], *, tx: Tx) -> list[Quote | None]:
        """A quote for each, in order; None for a SKU that is not there. One statement."""
        ...
