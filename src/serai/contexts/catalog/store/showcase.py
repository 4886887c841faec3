"""Reads products for lists, pages and searches."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from serai.contexts.catalog.contract import (
    CategoryView,
    FacetCounts,
    FacetValue,
    Price,
    PriceRange,
    ProductStatus,
    ProductSummary,
    VariantView,
)
from serai.contexts.catalog.model.products import Product
from serai.contexts.catalog.model.search import NUMBER_BOUND, Hunt, Term, Wish
from serai.contexts.catalog.ports import Found, Position
from serai.contexts.catalog.store.products import load_products
from serai.kernel import queries
from serai.kernel.db import Record, Tx

SQL = queries.load("serai.contexts.catalog")

BEGUN_CHARS_MIN: Final = 3
"""Letters from which on the beginning of a word stands for the word."""
BEGUN_WORDS_MAX: Final = 64
NEAR_WORDS_MAX: Final = 24
VALUES_PER_FACET_MAX: Final = 50
FACET_ROWS_MAX: Final = 1_000

_BIGINT_MAX: Final = 2**63 - 1
_LAST_ID: Final = UUID(int=2**128 - 1)
START: Final = Position(-NUMBER_BOUND, "", _LAST_ID)

_decode_range: Final = msgspec.json.Decoder(PriceRange).decode
_decode_texts: Final = msgspec.json.Decoder(list[str]).decode
_decode_options: Final = msgspec.json.Decoder(dict[str, str]).decode
_decode_amounts: Final = msgspec.json.Decoder(dict[str, int]).decode


class PostgresShowcase:
    """`Showcase` over PostgreSQL."""

    async def find_product(self, tx: Tx, tenant_id: UUID, product_id: UUID) -> Product | None:
        key = (tenant_id, product_id)
        return (await load_products(tx, [key])).get(key)

    async def find_terms(self, tx: Tx, tenant_id: UUID, words: Sequence[str]) -> list[Term]:
        rows = await tx.fetch(
            SQL.find_terms, tenant_id, list(words), BEGUN_CHARS_MIN, BEGUN_WORDS_MAX, NEAR_WORDS_MAX
        )
        return [
            Term(
                word=row["word"],
                stem=row["stem"],
                is_stop=row["is_stop"],
                is_known=row["is_known"],
                begun=tuple(row["begun"]),
                near=tuple(zip(row["near"], row["near_stems"], strict=True)),
            )
            for row in rows
        ]

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
        start = after or START
        if wish.is_plain and (wish.category is None or wish.sort == "newest"):
            rows = await self._walk(tx, tenant_id, wish, start, limit)
            return Found([_position(row) for row in rows], 0, [])
        return await self._search(tx, tenant_id, wish, hunts=hunts, start=start, limit=limit)

    async def _walk(
        self, tx: Tx, tenant_id: UUID, wish: Wish, start: Position, limit: int
    ) -> list[Record]:
        """A list that an index holds in the order that is wanted: only the page itself is read."""
        statuses, last = list(wish.statuses), start.product_id
        if wish.category is not None:
            return await tx.fetch(SQL.walk_shelf, tenant_id, statuses, wish.category, last, limit)
        if wish.sort in {"price", "-price"}:
            walk = SQL.walk_prices_up if wish.sort == "price" else SQL.walk_prices_down
            return await tx.fetch(
                walk, tenant_id, statuses, wish.currency, start.number, last, limit
            )
        if wish.sort == "title":
            return await tx.fetch(SQL.walk_titles, tenant_id, statuses, start.text, last, limit)
        return await tx.fetch(SQL.walk_newest, tenant_id, statuses, last, limit)

    async def _search(
        self,
        tx: Tx,
        tenant_id: UUID,
        wish: Wish,
        *,
        hunts: Sequence[Hunt],
        start: Position,
        limit: int,
    ) -> Found:
        pairs = [(name, value) for name, values in wish.facets.items() for value in values]
        rows = await tx.fetch(
            SQL.search_products,
            tenant_id,
            list(wish.statuses),
            wish.source,
            [hunt.term for hunt in hunts],
            [hunt.stem for hunt in hunts],
            [hunt.factor for hunt in hunts],
            wish.category,
            [name for name, _ in pairs],
            [value for _, value in pairs],
            wish.currency,
            wish.price_min_minor or 0,
            _BIGINT_MAX if wish.price_max_minor is None else wish.price_max_minor,
            wish.sort,
            start.number,
            start.text,
            start.product_id,
            wish.is_counted,
            limit,
            VALUES_PER_FACET_MAX,
            FACET_ROWS_MAX,
        )
        return _gather(rows)

    async def find_by_handle(
        self, tx: Tx, tenant_id: UUID, handle: str, statuses: Sequence[ProductStatus]
    ) -> Position | None:
        product_id = await tx.fetchval(SQL.find_handle, tenant_id, handle, list(statuses))
        return None if product_id is None else Position(0, "", product_id)

    async def list_summaries(
        self, tx: Tx, tenant_id: UUID, product_ids: Sequence[UUID], *, has_variants: bool
    ) -> list[ProductSummary]:
        ids = list(product_ids)
        rows = await tx.fetch(SQL.list_summaries, tenant_id, ids) if ids else []
        found: dict[UUID, list[VariantView]] = {}
        if has_variants and ids:
            for row in await tx.fetch(SQL.list_product_variants, tenant_id, ids):
                found.setdefault(row["product_id"], []).append(_variant(row))
        return [
            ProductSummary(
                id=row["product_id"],
                handle=row["handle"],
                title=row["title"],
                status=row["status"],
                categories=_decode_texts(row["categories"]),
                picture=row["picture"],
                prices=[_decode_range(range_) for range_ in row["prices"]],
                variant_count=row["variant_count"],
                version=row["version"],
                created_at=row["created_at"],
                published_at=row["published_at"],
                variants=found.get(row["product_id"], []) if has_variants else msgspec.UNSET,
            )
            for row in rows
        ]

    async def list_variants(
        self,
        tx: Tx,
        tenant_id: UUID,
        statuses: Sequence[ProductStatus],
        *,
        after_sku: str,
        limit: int,
    ) -> list[VariantView]:
        rows = await tx.fetch(SQL.list_variants, tenant_id, list(statuses), after_sku, limit)
        return [_variant(row) for row in rows]

    async def find_variants(
        self,
        tx: Tx,
        tenant_id: UUID,
        statuses: Sequence[ProductStatus],
        *,
        skus: Sequence[str] = (),
        variant_ids: Sequence[UUID] = (),
    ) -> list[VariantView]:
        rows = await tx.fetch(
            SQL.find_variants, tenant_id, list(statuses), list(skus), list(variant_ids)
        )
        return [_variant(row) for row in rows]

    async def list_categories(
        self, tx: Tx, tenant_id: UUID, *, parent: str | None, after_path: str, limit: int
    ) -> list[CategoryView]:
        if parent is None:
            rows = await tx.fetch(SQL.list_categories, tenant_id, after_path, limit)
        else:
            rows = await tx.fetch(SQL.list_subcategories, tenant_id, parent, after_path, limit)
        return [
            CategoryView(row["path"], row["name"], row["parent"] or None, row["created_at"])
            for row in rows
        ]


def _position(row: Record) -> Position:
    return Position(row["number"], row["text"], row["product_id"])


def _gather(rows: Sequence[Record]) -> Found:
    """Tells the three kinds of rows apart: products, values of facets, and the one count."""
    positions: list[Position] = []
    facets: dict[str, list[FacetValue]] = {}
    count = 0
    for row in rows:
        if row["product_id"] is not None:
            positions.append(_position(row))
        elif row["name"] is not None:
            facets.setdefault(row["name"], []).append(FacetValue(row["value"], row["count"]))
        else:
            count = row["count"]
    return Found(positions, count, [FacetCounts(name, found) for name, found in facets.items()])


def _variant(row: Record) -> VariantView:
    amounts = _decode_amounts(row["prices"])
    return VariantView(
        id=row["variant_id"],
        product_id=row["product_id"],
        sku=row["sku"],
        options=_decode_options(row["options"]),
        prices=[Price(currency, amount) for currency, amount in sorted(amounts.items())],
        barcode=row["barcode"],
        media=_decode_texts(row["media"]),
        version=row["version"],
    )
