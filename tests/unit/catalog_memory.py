"""The catalog's products kept in memory, and short ways to say commands, for its unit tests."""

# ruff: noqa: ARG002 - what is kept in memory needs no transaction

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from serai.contexts.catalog.contract import Price, ProductChanged, ProductInput, VariantInput
from serai.contexts.catalog.handlers.commands import CreateProduct, SaveProducts
from serai.contexts.catalog.model import fields
from serai.contexts.catalog.model.products import Change, Product
from serai.contexts.catalog.ports import (
    CategoryKey,
    HandleKey,
    ProductKey,
    SkuKey,
    VariantKey,
)
from serai.contexts.catalog.routes.bodies import new_ids
from serai.kernel import ids
from serai.kernel.db import Conflicted, Tx
from serai.kernel.events import Cause
from serai.kernel.tenant import POOLED

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
LATER = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
TENANT = UUID("019a0000-0000-7000-8000-000000000001")
OTHER_TENANT = UUID("019a0000-0000-7000-8000-000000000002")
CAUSE = Cause(UUID("019a0000-0000-7000-8000-0000000000ff"))


class MemoryProducts:
    """`Products` in a dictionary."""

    def __init__(self) -> None:
        self.products: dict[ProductKey, Product] = {}
        self.categories: set[CategoryKey] = set()
        self.writes = 0

    async def lock_products(
        self, keys: Sequence[ProductKey], *, tx: Tx
    ) -> Mapping[ProductKey, Product]:
        return {key: self.products[key] for key in keys if key in self.products}

    async def lock_by_handle(
        self, keys: Sequence[HandleKey], *, tx: Tx
    ) -> Mapping[HandleKey, Product]:
        found = {(p.tenant_id, p.handle): p for p in self.products.values()}
        return {key: found[key] for key in keys if key in found}

    async def lock_by_variant(
        self, keys: Sequence[VariantKey], *, tx: Tx
    ) -> Mapping[VariantKey, Product]:
        found = {(p.tenant_id, v.variant_id): p for p in self.products.values() for v in p.variants}
        return {key: found[key] for key in keys if key in found}

    async def find_sku_owners(self, keys: Sequence[SkuKey], *, tx: Tx) -> Mapping[SkuKey, UUID]:
        found = {
            (p.tenant_id, v.sku): p.product_id for p in self.products.values() for v in p.variants
        }
        return {key: found[key] for key in keys if key in found}

    async def lock_skus(self, tenant_ids: Collection[UUID], *, tx: Tx) -> None:
        pass

    async def count_skus(self, tenant_ids: Collection[UUID], *, tx: Tx) -> dict[UUID, int]:
        counts = dict.fromkeys(tenant_ids, 0)
        for product in self.products.values():
            if product.tenant_id in counts:
                counts[product.tenant_id] += len(product.variants)
        return counts

    async def save_products(self, changes: Sequence[Change], *, tx: Tx) -> None:
        self.writes += 1
        after = dict(self.products)
        for change in changes:
            after[change.new.tenant_id, change.new.product_id] = change.new
        handles = [(p.tenant_id, p.handle) for p in after.values()]
        skus = [(p.tenant_id, v.sku) for p in after.values() for v in p.variants]
        if len(set(handles)) < len(handles) or len(set(skus)) < len(skus):
            raise Conflicted("another transaction took the handle or SKU first")
        self.products = after
        paths = [(c.new.tenant_id, path) for c in changes for path in c.new.categories]
        self._add_categories(paths)

    async def insert_categories(
        self, keys: Sequence[CategoryKey], *, tx: Tx, now: datetime
    ) -> set[CategoryKey]:
        self.writes += bool(keys)
        return self._add_categories(keys)

    def _add_categories(self, keys: Sequence[CategoryKey]) -> set[CategoryKey]:
        wanted = {(tenant, step) for tenant, path in keys for step in fields.list_ancestors(path)}
        added = wanted - self.categories
        self.categories |= added
        return added


def open_tx(now: datetime = NOW) -> Tx:
    """A transaction that only collects what is announced."""
    return Tx(None, POOLED, now)


def announced(tx: Tx) -> list[ProductChanged]:
    """The events of a transaction, whose type is the one that the catalog has."""
    return [msgspec.convert(a.event, ProductChanged, from_attributes=True) for a in tx.announced]


def variant(sku: str, *, usd: int | None = 1250, **more: Any) -> VariantInput:
    """A variant with one price in USD, or none."""
    prices = [] if usd is None else [Price("USD", usd)]
    return VariantInput(sku=sku, prices=more.pop("prices", prices), **more)


def product(title: str = "Dune tent", *skus: str, **more: Any) -> ProductInput:
    """A product with a variant for each SKU, of which at most one may come without options."""
    return ProductInput(title=title, variants=[variant(sku) for sku in skus], **more)


def create(body: ProductInput, tenant: UUID = TENANT) -> CreateProduct:
    """The command to create a product, with ids made for it."""
    return CreateProduct(tenant, new_ids(body), body, CAUSE)


def save(*bodies: ProductInput, mode: Any = "upsert") -> SaveProducts:
    """The command to save products."""
    return SaveProducts(TENANT, mode, tuple((new_ids(body), body) for body in bodies), CAUSE)


def fresh_id() -> UUID:
    """An id that nothing has."""
    return ids.new_id()
