"""What the catalog needs of the world: a place for products, lists of them, and file readers."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec

from serai.contexts.catalog.contract import (
    CategoryView,
    FacetCounts,
    LayoutName,
    ProductInput,
    ProductStatus,
    ProductSummary,
    RowProblem,
    VariantView,
)
from serai.contexts.catalog.model.products import Change, Product
from serai.contexts.catalog.model.search import Hunt, Term, Wish
from serai.kernel.db import Tx

ProductKey = tuple[UUID, UUID]
"""Tenant and product."""
HandleKey = tuple[UUID, str]
"""Tenant and handle."""
VariantKey = tuple[UUID, UUID]
"""Tenant and variant."""
SkuKey = tuple[UUID, str]
"""Tenant and SKU."""
CategoryKey = tuple[UUID, str]
"""Tenant and path."""


class Position(msgspec.Struct, frozen=True):
    """Where a page ended: the number and the text that the list is sorted by, and the product."""

    number: int
    text: str
    product_id: UUID


class Found(msgspec.Struct, frozen=True):
    """The products that a wish finds, in order, with what is counted when it was asked for."""

    positions: list[Position]
    count: int
    facets: list[FacetCounts]


class Products(Protocol):
    """Keeps products. What is locked stays as it was read until the transaction ends."""

    async def lock_products(
        self, keys: Sequence[ProductKey], *, tx: Tx
    ) -> Mapping[ProductKey, Product]:
        """Those that exist."""
        ...

    async def lock_by_handle(
        self, keys: Sequence[HandleKey], *, tx: Tx
    ) -> Mapping[HandleKey, Product]:
        """Those that exist, by their handles."""
        ...

    async def lock_by_variant(
        self, keys: Sequence[VariantKey], *, tx: Tx
    ) -> Mapping[VariantKey, Product]:
        """The products of the variants that exist."""
        ...

    async def find_sku_owners(self, keys: Sequence[SkuKey], *, tx: Tx) -> Mapping[SkuKey, UUID]:
        """The products that have these SKUs."""
        ...

    async def lock_skus(self, tenant_ids: Collection[UUID], *, tx: Tx) -> None:
        """Keeps tenants from getting SKUs of anyone else who counts them, before any product."""
        ...

    async def count_skus(self, tenant_ids: Collection[UUID], *, tx: Tx) -> dict[UUID, int]:
        """How many SKUs tenants have, whatever the state of their products."""
        ...

    async def save_products(self, changes: Sequence[Change], *, tx: Tx) -> None:
        """Writes what differs; each product once. Raises Conflicted where another came first."""
        ...

    async def insert_categories(
        self, keys: Sequence[CategoryKey], *, tx: Tx, now: datetime
    ) -> set[CategoryKey]:
        """Adds categories with all above them; those of the given ones that were not there."""
        ...


class Showcase(Protocol):
    """Reads products for lists and pages. Nothing is locked."""

    async def find_product(self, tx: Tx, tenant_id: UUID, product_id: UUID) -> Product | None:
        """One product with its variants."""
        ...

    async def find_terms(self, tx: Tx, tenant_id: UUID, words: Sequence[str]) -> list[Term]:
        """What the index knows of words, in order."""
        ...

    async def find_products(
        self,
        tx: Tx,
        tenant_id: UUID,
        wish: Wish,
        *,
        hunts: Sequence[Hunt],
        after: Position | None,
        limit: int,
    ) -> Found:
        """The products that a wish finds, from after a position on."""
        ...

    async def find_by_handle(
        self, tx: Tx, tenant_id: UUID, handle: str, statuses: Sequence[ProductStatus]
    ) -> Position | None:
        """Where the product with this handle stands, as a page of its own."""
        ...

    async def list_summaries(
        self, tx: Tx, tenant_id: UUID, product_ids: Sequence[UUID], *, has_variants: bool
    ) -> list[ProductSummary]:
        """Products as a list shows them, in the order given."""
        ...

    async def list_variants(
        self,
        tx: Tx,
        tenant_id: UUID,
        statuses: Sequence[ProductStatus],
        *,
        after_sku: str,
        limit: int,
    ) -> list[VariantView]:
        """Variants of products in these states, by SKU."""
        ...

    async def find_variants(
        self,
        tx: Tx,
        tenant_id: UUID,
        statuses: Sequence[ProductStatus],
        *,
        skus: Sequence[str] = (),
        variant_ids: Sequence[UUID] = (),
    ) -> list[VariantView]:
        """The variants with these SKUs or ids, by SKU."""
        ...

    async def list_categories(
        self, tx: Tx, tenant_id: UUID, *, parent: str | None, after_path: str, limit: int
    ) -> list[CategoryView]:
        """Categories by path: all, or those right below `parent` (empty: the roots)."""
        ...


class FileProduct(msgspec.Struct, frozen=True, kw_only=True):
    """A product of a file, with the rows that it and its variants stand on and their stock."""

    row: int
    body: ProductInput
    variant_rows: tuple[int, ...]
    stock: tuple[int | None, ...]


class FileReading(msgspec.Struct, frozen=True):
    """All that was found in a file; `notes` are about what was left out without harm."""

    products: list[FileProduct]
    problems: list[RowProblem]
    notes: list[RowProblem]


class ReadFile(Protocol):
    """Reads a product file that is held in memory; a bad row is a problem, never an exception."""

    def __call__(self, data: bytes, *, layout: LayoutName | None, currency: str) -> FileReading: ...
