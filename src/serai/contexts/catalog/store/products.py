"""Keeps products: loads them whole, and writes only what differs."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec

from serai.contexts.catalog.model import fields, search, text
from serai.contexts.catalog.model.products import Change, Product, Variant, price_ranges, shelves
from serai.contexts.catalog.ports import (
    CategoryKey,
    HandleKey,
    ProductKey,
    SkuKey,
    VariantKey,
)
from serai.kernel import queries
from serai.kernel.db import Conflicted, Record, Tx
from serai.kernel.queries import Statement

SQL = queries.load("serai.contexts.catalog")

K = TypeVar("K", str, UUID)

_encode: Final = msgspec.json.Encoder().encode
_decode_variant: Final = msgspec.json.Decoder(Variant).decode
_decode_texts: Final = msgspec.json.Decoder(tuple[str, ...]).decode
_decode_facets: Final = msgspec.json.Decoder(dict[str, tuple[str, ...]]).decode


class PostgresProducts:
    """`Products` over PostgreSQL."""

    async def lock_products(
        self, keys: Sequence[ProductKey], *, tx: Tx
    ) -> Mapping[ProductKey, Product]:
        await tx.fetch(SQL.lock_products, *_columns(keys, 2))
        return await load_products(tx, keys)

    async def lock_by_handle(
        self, keys: Sequence[HandleKey], *, tx: Tx
    ) -> Mapping[HandleKey, Product]:
        rows = await tx.fetch(SQL.find_handle_owners, *_columns(keys, 2)) if keys else []
        owners = {(row["tenant_id"], row["handle"]): row["product_id"] for row in rows}
        return await self._lock_owners(owners, tx=tx)

    async def lock_by_variant(
        self, keys: Sequence[VariantKey], *, tx: Tx
    ) -> Mapping[VariantKey, Product]:
        rows = await tx.fetch(SQL.find_variant_owners, *_columns(keys, 2))
        owners = {(row["tenant_id"], row["variant_id"]): row["product_id"] for row in rows}
        return await self._lock_owners(owners, tx=tx)

    async def _lock_owners(
        self, owners: Mapping[tuple[UUID, K], UUID], *, tx: Tx
    ) -> dict[tuple[UUID, K], Product]:
        if not owners:
            return {}
        wanted = dict.fromkeys((tenant, product) for (tenant, _), product in owners.items())
        found = await self.lock_products(list(wanted), tx=tx)
        return {key: found[key[0], product] for key, product in owners.items()}

    async def find_sku_owners(self, keys: Sequence[SkuKey], *, tx: Tx) -> Mapping[SkuKey, UUID]:
        rows = await tx.fetch(SQL.find_sku_owners, *_columns(keys, 2))
        return {(row["tenant_id"], row["sku"]): row["product_id"] for row in rows}

    async def lock_skus(self, tenant_ids: Collection[UUID], *, tx: Tx) -> None:
        await tx.execute(SQL.lock_skus, list(tenant_ids))

    async def count_skus(self, tenant_ids: Collection[UUID], *, tx: Tx) -> dict[UUID, int]:
        rows = await tx.fetch(SQL.count_skus, list(tenant_ids))
        return {row["tenant_id"]: row["counted"] for row in rows}

    async def save_products(self, changes: Sequence[Change], *, tx: Tx) -> None:
        await _write_products(changes, tx=tx)
        await _write_variants(changes, tx=tx)
        await _write_prices(changes, tx=tx)
        await self._put_categories(changes, tx=tx)
        for part in _PARTS:
            await _write_part(part, changes, tx=tx)

    async def insert_categories(
        self, keys: Sequence[CategoryKey], *, tx: Tx, now: datetime
    ) -> set[CategoryKey]:
        wanted = {(tenant, step) for tenant, path in keys for step in fields.list_ancestors(path)}
        rows = [(tenant, path, *reversed(_split_path(path))) for tenant, path in sorted(wanted)]
        added = await tx.fetch(SQL.insert_categories, *_columns(rows, 4), now)
        return {(row["tenant_id"], row["path"]) for row in added}

    async def _put_categories(self, changes: Sequence[Change], *, tx: Tx) -> None:
        keys = {
            (change.new.tenant_id, path)
            for change in changes
            if change.old is None or change.old.categories != change.new.categories
            for path in change.new.categories
        }
        if keys:
            await self.insert_categories(list(keys), tx=tx, now=tx.now)


async def load_products(tx: Tx, keys: Sequence[ProductKey]) -> dict[ProductKey, Product]:
    """The products that exist, whole."""
    rows = await tx.fetch(SQL.load_products, *_columns(keys, 2)) if keys else []
    return {(row["tenant_id"], row["product_id"]): _read_product(row) for row in rows}


async def _write_products(changes: Sequence[Change], *, tx: Tx) -> None:
    new = [change.new for change in changes if change.old is None]
    if new:
        rows = [
            (p.tenant_id, p.product_id, p.handle, *_describe(p), p.version, p.created_at,
             p.updated_at, p.published_at)
            for p in new
        ]  # fmt: skip
        _require(await tx.execute(SQL.insert_products, *_columns(rows, 15)), len(rows), "handle")
    kept = [change.new for change in changes if change.old is not None]
    if kept:
        rows = [
            (p.tenant_id, p.product_id, *_describe(p), p.version, p.updated_at, p.published_at)
            for p in kept
        ]
        await tx.execute(SQL.update_products, *_columns(rows, 13))


def _describe(p: Product) -> tuple[Any, ...]:
    return (
        p.title,
        text.make_title_key(p.title),
        p.description,
        p.status,
        _encode(p.categories),
        _encode(p.facets),
        _encode(p.media),
        _encode(p.option_names),
    )


async def _write_variants(changes: Sequence[Change], *, tx: Tx) -> None:
    added: list[tuple[Any, ...]] = []
    changed: list[tuple[Any, ...]] = []
    for change in changes:
        tenant_id, product_id = change.new.tenant_id, change.new.product_id
        before = _variants_of(change.old)
        for v in change.new.variants:
            details = (_encode(v.options), v.barcode, _encode(v.media), v.version)
            if v.variant_id not in before:
                added.append((tenant_id, v.variant_id, product_id, v.sku, *details))
            elif before[v.variant_id] != v:
                changed.append((tenant_id, v.variant_id, *details))
    if added:
        _require(await tx.execute(SQL.insert_variants, *_columns(added, 8)), len(added), "SKU")
    if changed:
        await tx.execute(SQL.update_variants, *_columns(changed, 6))


async def _write_prices(changes: Sequence[Change], *, tx: Tx) -> None:
    gone: list[tuple[Any, ...]] = []
    put: list[tuple[Any, ...]] = []
    for change in changes:
        owner = (change.new.tenant_id, change.new.product_id)
        before = _variants_of(change.old)
        for v in change.new.variants:
            known = before[v.variant_id].prices if v.variant_id in before else {}
            gone += [(*owner, v.variant_id, currency) for currency in known.keys() - v.prices]
            put += [
                (*owner, v.variant_id, currency, amount)
                for currency, amount in v.prices.items()
                if known.get(currency) != amount
            ]
    if gone:
        await tx.execute(SQL.delete_prices, *_columns(gone, 4))
    if put:
        await tx.execute(SQL.put_prices, *_columns(put, 5))


class _Part(msgspec.Struct, frozen=True):
    """An index of the search: what it says of a product, and how that is replaced."""

    read: Callable[[Product], Sequence[tuple[Any, ...]]]
    clear: Statement
    fill: Statement
    columns: int
    is_cleared_by_row: bool = False
    """Whether it is cleared of rows by their keys, or of all that is said of a product."""


_PARTS: Final = (
    _Part(
        lambda p: [(r.currency, r.low_minor, r.high_minor) for r in price_ranges(p)],
        SQL.clear_price_ranges,
        SQL.fill_price_ranges,
        5,
    ),
    _Part(
        lambda p: [(path,) for path in shelves(p)],
        SQL.clear_shelves,
        SQL.fill_shelves,
        3,
        is_cleared_by_row=True,
    ),
    _Part(
        lambda p: [(name, value) for name, values in p.facets.items() for value in values],
        SQL.clear_facets,
        SQL.fill_facets,
        4,
    ),
    _Part(lambda p: list(search.weigh_words(p).items()), SQL.clear_words, SQL.fill_words, 4),
)


async def _write_part(part: _Part, changes: Sequence[Change], *, tx: Tx) -> None:
    stale: list[tuple[Any, ...]] = []
    fresh: list[tuple[Any, ...]] = []
    for change in changes:
        key = (change.new.tenant_id, change.new.product_id)
        wanted = part.read(change.new)
        present = part.read(change.old) if change.old is not None else []
        if wanted == present:
            continue
        if present:
            stale += [(*key, *row) for row in present] if part.is_cleared_by_row else [key]
        fresh += [(*key, *row) for row in wanted]
    if stale:
        await tx.execute(part.clear, *_columns(stale, len(stale[0])))
    if fresh:
        await tx.execute(part.fill, *_columns(fresh, part.columns))


def _read_product(row: Record) -> Product:
    return Product(
        tenant_id=row["tenant_id"],
        product_id=row["product_id"],
        handle=row["handle"],
        title=row["title"],
        description=row["description"],
        status=row["status"],
        categories=_decode_texts(row["categories"]),
        facets=_decode_facets(row["facets"]),
        media=_decode_texts(row["media"]),
        option_names=_decode_texts(row["option_names"]),
        variants=tuple(_decode_variant(variant) for variant in row["variants"]),
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        published_at=row["published_at"],
    )


def _variants_of(product: Product | None) -> dict[UUID, Variant]:
    return {} if product is None else {v.variant_id: v for v in product.variants}


def _split_path(path: str) -> tuple[str, str]:
    """The path above, empty for a root, and the last step."""
    parent, _, name = path.rpartition(" > ")
    return parent, name


def _require(written: int, wanted: int, what: str) -> None:
    if written != wanted:
        # It was free a moment ago. Done again, the same work sees who has it and refuses its own.
        raise Conflicted(f"another transaction took the {what} first")


def _columns(rows: Iterable[Sequence[Any]], count: int) -> list[list[Any]]:
    """Rows as the columns that a statement unnests."""
    columns = [list(column) for column in zip(*rows, strict=True)]
    return columns or [[] for _ in range(count)]
