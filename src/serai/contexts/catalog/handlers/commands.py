"""The commands of the catalog; ids in them were made at the edge."""

from uuid import UUID

import msgspec

from serai.contexts.catalog.contract import (
    Price,
    ProductInput,
    ProductPatch,
    ProductStatus,
    SavedItem,
    SaveMode,
    VariantInput,
    VariantPatch,
)
from serai.contexts.catalog.model.products import NewIds
from serai.kernel.events import Cause


class CreateProduct(msgspec.Struct, frozen=True):
    """Adds a product with its variants."""

    tenant_id: UUID
    new: NewIds
    body: ProductInput
    cause: Cause


class SaveProducts(msgspec.Struct, frozen=True):
    """Adds many products, or with `upsert` updates those whose handle is there; each by itself."""

    tenant_id: UUID
    mode: SaveMode
    items: tuple[tuple[NewIds, ProductInput] | SavedItem, ...]
    """An item that could not even be decoded is here already as what became of it."""
    cause: Cause


class ReviseProduct(msgspec.Struct, frozen=True):
    """Changes what a product says of itself."""

    tenant_id: UUID
    product_id: UUID
    version: int | None
    patch: ProductPatch
    cause: Cause


class MoveProduct(msgspec.Struct, frozen=True):
    """Publishes, archives or drafts a product."""

    tenant_id: UUID
    product_id: UUID
    version: int | None
    status: ProductStatus
    cause: Cause


class AddVariant(msgspec.Struct, frozen=True):
    """Adds a variant to a product."""

    tenant_id: UUID
    product_id: UUID
    version: int | None
    variant_id: UUID
    body: VariantInput
    cause: Cause


class ReviseVariant(msgspec.Struct, frozen=True):
    """Changes what a variant says of itself."""

    tenant_id: UUID
    variant_id: UUID
    version: int | None
    patch: VariantPatch
    cause: Cause


class SetPrices(msgspec.Struct, frozen=True):
    """Gives a variant these prices and no others."""

    tenant_id: UUID
    variant_id: UUID
    version: int | None
    prices: tuple[Price, ...]
    cause: Cause


class CreateCategory(msgspec.Struct, frozen=True):
    """Adds a category, and those above it that are not there."""

    tenant_id: UUID
    path: str
    cause: Cause
