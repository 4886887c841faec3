"""Routes that read the catalog."""

from typing import Annotated, Any, Final
from uuid import UUID

from litestar import Request, Response, get
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, QueryParameter

from serai.contexts.catalog.contract import (
    CategoryView,
    ProductPage,
    ProductSummary,
    ProductView,
    VariantView,
)
from serai.contexts.catalog.model import products, search
from serai.contexts.catalog.model.search import Wish
from serai.contexts.catalog.ports import Found, Position, Showcase
from serai.contexts.catalog.routes.bodies import READ, statuses_in_sight, statuses_listed
from serai.kernel.db import Database, Tx
from serai.kernel.failure import Invalid, NotFound
from serai.kernel.web import (
    Page,
    Principal,
    decode_cursor,
    encode_cursor,
    page_size,
    principal_of,
    requires,
    send_view,
)

TAGS = ["catalog"]
SKUS_MAX: Final = 200
PAGE_WITH_VARIANTS_MAX: Final = 50
"""Products of one page when their variants come along: a product may have 500 of them."""


def product_routes(database: Database, showcase: Showcase) -> list[Any]:
    """Products: one, and lists by any filter."""

    @get("/v1/products/{product_id:uuid}", guards=[requires(READ)], tags=TAGS,
         responses={200: ResponseSpec(data_container=ProductView)},
         summary="Read a product")  # fmt: skip
    async def read_product(
        request: Request[Any, Any, Any], product_id: FromPath[UUID]
    ) -> Response[bytes]:
        """A product with its variants; its version is the ETag."""
        who = principal_of(request)
        async with database.transaction(who.home, (who.tenant_id,), is_read_only=True) as tx:
            product = await showcase.find_product(tx, who.tenant_id, product_id)
        if product is None or product.status not in statuses_in_sight(request):
            raise NotFound("there is no such product")
        return send_view(products.view_of(product), version=product.version)

    @get("/v1/products", guards=[requires(READ)], tags=TAGS,
         responses={200: ResponseSpec(data_container=ProductPage)},
         summary="List and search products")  # fmt: skip
    async def list_products(
        request: Request[Any, Any, Any],
        *,
        q: FromQuery[str | None] = None,
        status: FromQuery[str | None] = None,
        category: FromQuery[str | None] = None,
        facet: FromQuery[list[str] | None] = None,
        currency: FromQuery[str | None] = None,
        price_min_minor: FromQuery[int | None] = None,
        price_max_minor: FromQuery[int | None] = None,
        handle: FromQuery[str | None] = None,
        sort: FromQuery[str | None] = None,
        include: FromQuery[str | None] = None,
        facets: FromQuery[bool] = False,
        cursor: FromQuery[str | None] = None,
        limit: FromQuery[int | None] = None,
    ) -> Response[bytes]:
        """What is for sale, or with `status` what is in another state.

        `q` finds words by their stems, their beginnings and, where nothing else meets, in spite of
        a slip of the pen. `facet=material:wool` may be repeated: values of one facet are
        alternatives, different facets add up. With `facets=true` the answer counts them.
        """
        wish = search.make_wish(
            statuses=statuses_listed(request, status), q=q, category=category,
            facets=facet or [], currency=currency, price_min_minor=price_min_minor,
            price_max_minor=price_max_minor, sort=sort, is_counted=facets,
        )  # fmt: skip
        has_variants = _has_variants(include)
        size = page_size(limit)
        if has_variants and size > PAGE_WITH_VARIANTS_MAX:
            raise Invalid(f"with variants `limit` is {PAGE_WITH_VARIANTS_MAX} at most")
        after = _decode_position(cursor, wish)
        who = principal_of(request)
        async with database.transaction(who.home, (who.tenant_id,), is_read_only=True) as tx:
            if handle is not None:
                found = await _find_handle(tx, showcase, who, wish, handle)
            else:
                found = await _find(tx, showcase, who, wish, after=after, limit=size + 1)
            page = found.positions[:size]
            items = await showcase.list_summaries(
                tx, who.tenant_id, [p.product_id for p in page], has_variants=has_variants
            )
        following = _encode_position(page[-1], wish) if len(found.positions) > size else None
        return send_view(_page(items, following, found, wish))

    return [read_product, list_products]


def variant_routes(database: Database, showcase: Showcase) -> list[Any]:
    """Variants: one, some by their SKUs, or all."""

    @get("/v1/variants/{variant_id:uuid}", guards=[requires(READ)], tags=TAGS,
         responses={200: ResponseSpec(data_container=VariantView)},
         summary="Read a variant")  # fmt: skip
    async def read_variant(
        request: Request[Any, Any, Any], variant_id: FromPath[UUID]
    ) -> Response[bytes]:
        """A variant with its prices; its version is the ETag."""
        who = principal_of(request)
        async with database.transaction(who.home, (who.tenant_id,), is_read_only=True) as tx:
            found = await showcase.find_variants(
                tx, who.tenant_id, statuses_in_sight(request), variant_ids=[variant_id]
            )
        if not found:
            raise NotFound("there is no such variant")
        return send_view(found[0], version=found[0].version)

    @get("/v1/variants", guards=[requires(READ)], tags=TAGS,
         responses={200: ResponseSpec(data_container=Page[VariantView])},
         summary="List variants")  # fmt: skip
    async def list_variants(
        request: Request[Any, Any, Any],
        sku: Annotated[list[str] | None, QueryParameter(max_items=SKUS_MAX)] = None,
        cursor: FromQuery[str | None] = None,
        limit: FromQuery[int | None] = None,
    ) -> Response[bytes]:
        """By SKU; `sku` may be repeated to ask for some."""
        who, size = principal_of(request), page_size(limit)
        after = decode_cursor(cursor, tuple[str])
        statuses = statuses_in_sight(request)
        async with database.transaction(who.home, (who.tenant_id,), is_read_only=True) as tx:
            if sku is not None:
                wanted = [each for each in sku if "\0" not in each]
                found = await showcase.find_variants(tx, who.tenant_id, statuses, skus=wanted)
                return send_view(Page(found, None))
            found = await showcase.list_variants(
                tx, who.tenant_id, statuses, after_sku=_clean(after), limit=size + 1
            )
        more = encode_cursor([found[size - 1].sku]) if len(found) > size else None
        return send_view(Page(found[:size], more))

    return [read_variant, list_variants]


def category_routes(database: Database, showcase: Showcase) -> list[Any]:
    """Categories."""

    @get("/v1/categories", guards=[requires(READ)], tags=TAGS,
         responses={200: ResponseSpec(data_container=Page[CategoryView])},
         summary="List categories")  # fmt: skip
    async def list_categories(
        request: Request[Any, Any, Any],
        parent: FromQuery[str | None] = None,
        cursor: FromQuery[str | None] = None,
        limit: FromQuery[int | None] = None,
    ) -> Response[bytes]:
        """By path; with `parent` those right below it, with an empty one the roots."""
        who, size = principal_of(request), page_size(limit)
        after = _clean(decode_cursor(cursor, tuple[str]))
        if parent is not None and "\0" in parent:
            raise Invalid("`parent` is a path such as Camp > Light")
        async with database.transaction(who.home, (who.tenant_id,), is_read_only=True) as tx:
            found = await showcase.list_categories(
                tx, who.tenant_id, parent=parent, after_path=after, limit=size + 1
            )
        more = encode_cursor([found[size - 1].path]) if len(found) > size else None
        return send_view(Page(found[:size], more))

    return [list_categories]


async def _find(
    tx: Tx, showcase: Showcase, who: Principal, wish: Wish, *, after: Position | None, limit: int
) -> Found:
    """What a wish finds. A word that nothing meets ends it before any product is looked at."""
    hunts: list[search.Hunt] = []
    if wish.words is not None:
        terms = await showcase.find_terms(tx, who.tenant_id, wish.words) if wish.words else []
        planned = search.plan_hunt(terms)
        if planned is None:
            return Found([], 0, [])
        hunts = planned
    return await showcase.find_products(
        tx, who.tenant_id, wish, hunts=hunts, after=after, limit=limit
    )


async def _find_handle(
    tx: Tx, showcase: Showcase, who: Principal, wish: Wish, handle: str
) -> Found:
    if wish.is_filtered or wish.is_counted:
        raise Invalid("`handle` names one product; it goes with `status` and `include` only")
    if "\0" in handle:
        return Found([], 0, [])
    position = await showcase.find_by_handle(tx, who.tenant_id, handle, wish.statuses)
    return Found([] if position is None else [position], 0, [])


def _page(
    items: list[ProductSummary], following: str | None, found: Found, wish: Wish
) -> ProductPage:
    if wish.is_counted:
        return ProductPage(items, following, found.count, found.facets)
    return ProductPage(items, following)


def _has_variants(include: str | None) -> bool:
    if include not in {None, "variants"}:
        raise Invalid("`include` is variants or nothing")
    return include is not None


def _encode_position(position: Position, wish: Wish) -> str:
    return encode_cursor([wish.sort, position.number, position.text, position.product_id])


def _decode_position(cursor: str | None, wish: Wish) -> Position | None:
    """A cursor leads on only in the order in which it was made."""
    parts = decode_cursor(cursor, tuple[str, int, str, UUID])
    if parts is None:
        return None
    sort, number, text, product_id = parts
    if sort != wish.sort or abs(number) >= search.NUMBER_BOUND or "\0" in text:
        raise Invalid("this cursor belongs to another list; begin again without it")
    return Position(number, text, product_id)


def _clean(after: Any) -> str:
    """The text of a cursor; PostgreSQL could not read one with a zero byte."""
    text: str = after[0] if after else ""
    if "\0" in text:
        raise Invalid("this cursor is not one of ours; begin again without it")
    return text
