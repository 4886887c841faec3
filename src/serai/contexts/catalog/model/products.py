"""Products: made, merged, changed and moved between draft, published and archived."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, TypeVar
from uuid import UUID

import msgspec
from msgspec import UnsetType

from serai.contexts.catalog.contract import (
    VARIANTS_PER_PRODUCT_MAX,
    Fault,
    NothingToSell,
    Price,
    PriceRange,
    ProductInput,
    ProductPatch,
    ProductStatus,
    ProductView,
    VariantInput,
    VariantPatch,
    VariantView,
)
from serai.contexts.catalog.model import fields, text
from serai.kernel.failure import IllegalState, Invalid, NotFound, Refused, find_stale

T = TypeVar("T")

# From where to where; a step that is not here is refused.
_STEPS: Final[Mapping[ProductStatus, frozenset[ProductStatus]]] = {
    "draft": frozenset({"published", "archived"}),
    "published": frozenset({"draft", "archived"}),
    "archived": frozenset({"draft"}),
}


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """A variant of a product. `prices` are minor units by currency."""

    variant_id: UUID
    sku: str
    options: dict[str, str]
    prices: dict[str, int]
    barcode: str | None
    media: tuple[str, ...]
    version: int


class Product(msgspec.Struct, frozen=True, kw_only=True):
    """A product with all its variants: what is decided about together and saved together."""

    tenant_id: UUID
    product_id: UUID
    handle: str
    title: str
    description: str
    status: ProductStatus
    categories: tuple[str, ...]
    facets: dict[str, tuple[str, ...]]
    media: tuple[str, ...]
    option_names: tuple[str, ...]
    variants: tuple[Variant, ...]
    version: int
    created_at: datetime
    updated_at: datetime
    published_at: datetime | None


class Change(msgspec.Struct, frozen=True):
    """A product as it was, None where it is new, and as it shall be."""

    old: Product | None
    new: Product


class NewIds(msgspec.Struct, frozen=True):
    """Ids made at the edge for a product and, in order, for each variant that was sent."""

    product_id: UUID
    variant_ids: tuple[UUID, ...]


def handle_of(body: ProductInput) -> str:
    """The handle that was sent, or the one made from the title."""
    return body.handle if body.handle is not None else text.make_handle(body.title)


def refuse_faults(faults: Sequence[Fault], *, what: str) -> Refused:
    """The refusal that tells everything that does not fit."""
    errors = [{"field": f.field, "code": f.code, "detail": f.detail} for f in faults]
    return Invalid(f"the {what} does not fit; see errors", errors=errors)


def make_product(body: ProductInput, new: NewIds, tenant_id: UUID, now: datetime) -> Product:
    """A product out of what was sent; raises Refused where it cannot be one."""
    status: ProductStatus = "draft" if isinstance(body.status, UnsetType) else body.status
    names = _tuple(body.option_names)
    if isinstance(body.option_names, UnsetType) and body.variants:
        names = tuple(body.variants[0].options)
    product = Product(
        tenant_id=tenant_id,
        product_id=new.product_id,
        handle=handle_of(body),
        title=body.title.strip(),
        description="" if isinstance(body.description, UnsetType) else body.description,
        status=status,
        categories=_categories(body.categories),
        facets=_facets(body.facets),
        media=tuple(dict.fromkeys(_tuple(body.media))),
        option_names=names,
        variants=tuple(
            _make_variant(variant, variant_id)
            for variant, variant_id in zip(body.variants, new.variant_ids, strict=True)
        ),
        version=1,
        created_at=now,
        updated_at=now,
        published_at=now if status == "published" else None,
    )
    return _sound(product)


def merge_product(product: Product, body: ProductInput, new: NewIds, now: datetime) -> Product:
    """The product with what was sent put in; the very same one where that changes nothing."""
    merged = msgspec.structs.replace(
        product,
        title=body.title.strip(),
        description=_or(body.description, product.description),
        categories=_categories(body.categories, product.categories),
        facets=_facets(body.facets, product.facets),
        media=tuple(dict.fromkeys(_tuple(body.media, product.media))),
        option_names=_tuple(body.option_names, product.option_names),
        variants=_merge_variants(product, body, new),
    )
    if not isinstance(body.status, UnsetType) and body.status != product.status:
        merged = _step(merged, body.status, now)
    return _next_version(product, _sound(merged), now)


def move_product(
    product: Product, status: ProductStatus, *, version: int | None, now: datetime
) -> Product:
    """The product in another state; refuses a step that its state does not lead to."""
    require_version(product.version, version)
    return _next_version(product, _sound(_step(product, status, now)), now)


def revise_product(
    product: Product, patch: ProductPatch, *, version: int | None, now: datetime
) -> Product:
    """The product with the patch put in."""
    require_version(product.version, version)
    revised = msgspec.structs.replace(
        product,
        title=_or(patch.title, product.title).strip(),
        description=_or(patch.description, product.description),
        categories=_categories(patch.categories, product.categories),
        facets=_facets(patch.facets, product.facets),
        media=tuple(dict.fromkeys(_tuple(patch.media, product.media))),
    )
    return _next_version(product, revised, now)


def add_variant(
    product: Product, body: VariantInput, variant_id: UUID, *, version: int | None, now: datetime
) -> Product:
    """The product with one variant more, the last of its list."""
    require_version(product.version, version)
    variant = _make_variant(body, variant_id)
    names = product.option_names if product.variants else tuple(variant.options)
    larger = msgspec.structs.replace(
        product, option_names=names, variants=(*product.variants, variant)
    )
    return _next_version(product, _sound(larger), now)


def revise_variant(
    product: Product, variant_id: UUID, patch: VariantPatch, *, version: int | None, now: datetime
) -> Product:
    """The product with the patch put into one of its variants."""
    variant = get_variant(product, variant_id)
    require_version(variant.version, version)
    revised = msgspec.structs.replace(
        variant,
        options=_or(patch.options, variant.options),
        barcode=_or(patch.barcode, variant.barcode),
        media=tuple(dict.fromkeys(_tuple(patch.media, variant.media))),
    )
    return _next_version(product, _sound(_with_variant(product, variant, revised)), now)


def set_prices(
    product: Product,
    variant_id: UUID,
    prices: Sequence[Price],
    *,
    version: int | None,
    now: datetime,
) -> Product:
    """The product with these and no other prices at one of its variants."""
    variant = get_variant(product, variant_id)
    require_version(variant.version, version)
    priced = msgspec.structs.replace(variant, prices=_prices(prices))
    return _next_version(product, _sound(_with_variant(product, variant, priced)), now)


def get_variant(product: Product, variant_id: UUID) -> Variant:
    """The variant with this id; refuses where the product has none such."""
    for variant in product.variants:
        if variant.variant_id == variant_id:
            return variant
    raise NotFound("there is no such variant")


def require_version(current: int, wanted: int | None) -> None:
    """Refuses a change that was made against another version than the current one."""
    stale = find_stale(wanted, current)
    if stale is not None:
        raise stale


def price_ranges(product: Product) -> list[PriceRange]:
    """The lowest and highest price of the variants, by currency."""
    amounts: dict[str, list[int]] = {}
    for variant in product.variants:
        for currency, amount_minor in variant.prices.items():
            amounts.setdefault(currency, []).append(amount_minor)
    return [
        PriceRange(currency, min(found), max(found)) for currency, found in sorted(amounts.items())
    ]


def shelves(product: Product) -> list[str]:
    """Every category that the product is found in: its own and all above them."""
    paths = (step for path in product.categories for step in fields.list_ancestors(path))
    return list(dict.fromkeys(paths))


def view_of(product: Product) -> ProductView:
    """The product as the API shows it."""
    return ProductView(
        id=product.product_id,
        handle=product.handle,
        title=product.title,
        description=product.description,
        status=product.status,
        categories=list(product.categories),
        facets={name: list(values) for name, values in product.facets.items()},
        media=list(product.media),
        option_names=list(product.option_names),
        variants=[view_variant(product.product_id, variant) for variant in product.variants],
        version=product.version,
        created_at=product.created_at,
        updated_at=product.updated_at,
        published_at=product.published_at,
    )


def view_variant(product_id: UUID, variant: Variant) -> VariantView:
    """A variant as the API shows it."""
    return VariantView(
        id=variant.variant_id,
        product_id=product_id,
        sku=variant.sku,
        options=variant.options,
        prices=[Price(currency, amount) for currency, amount in sorted(variant.prices.items())],
        barcode=variant.barcode,
        media=list(variant.media),
        version=variant.version,
    )


def _step(product: Product, status: ProductStatus, now: datetime) -> Product:
    if status not in _STEPS[product.status]:
        hint = "; make it a draft first" if product.status == "archived" else ""
        raise IllegalState(
            f"a product that is {product.status} cannot become {status}{hint}",
            status=product.status,
        )
    is_first = status == "published" and product.published_at is None
    published_at = now if is_first else product.published_at
    return msgspec.structs.replace(product, status=status, published_at=published_at)


def _sound(product: Product) -> Product:
    """The product, if its parts fit each other."""
    faults = []
    if len(product.variants) > VARIANTS_PER_PRODUCT_MAX:
        detail = f"A product has {VARIANTS_PER_PRODUCT_MAX} at most."
        faults.append(Fault("variants", "too_many_variants", detail))
    wanted = set(product.option_names)
    seen: set[frozenset[tuple[str, str]]] = set()
    for index, variant in enumerate(product.variants):
        field = f"variants[{index}].options"
        choice = frozenset(variant.options.items())
        if variant.options.keys() != wanted:
            names = ", ".join(product.option_names) or "none"
            detail = f"Give one value for each option of the product: {names}."
            faults.append(Fault(field, "wrong_options", detail))
        elif choice in seen:
            detail = "Another variant of this product has the same options."
            faults.append(Fault(field, "duplicate_options", detail))
        seen.add(choice)
    if faults:
        raise refuse_faults(faults, what="product")
    if product.status == "published" and not any(v.prices for v in product.variants):
        raise NothingToSell("a published product needs a variant with a price")
    return product


def _next_version(old: Product, new: Product, now: datetime) -> Product:
    """`new` under its next version, or `old` itself where they are the same."""
    if new == old:
        return old
    before = {variant.variant_id: variant for variant in old.variants}
    variants = tuple(
        variant
        if (known := before.get(variant.variant_id)) is None or known == variant
        else msgspec.structs.replace(variant, version=known.version + 1)
        for variant in new.variants
    )
    return msgspec.structs.replace(new, variants=variants, version=old.version + 1, updated_at=now)


def _make_variant(body: VariantInput, variant_id: UUID) -> Variant:
    return Variant(
        variant_id=variant_id,
        sku=body.sku,
        options=body.options,
        prices=_prices(body.prices),
        barcode=_or(body.barcode, None),
        media=tuple(dict.fromkeys(_tuple(body.media))),
        version=1,
    )


def _merge_variants(product: Product, body: ProductInput, new: NewIds) -> tuple[Variant, ...]:
    merged = {variant.sku: variant for variant in product.variants}
    for sent, variant_id in zip(body.variants, new.variant_ids, strict=True):
        known = merged.get(sent.sku)
        if known is None:
            merged[sent.sku] = _make_variant(sent, variant_id)
            continue
        merged[sent.sku] = msgspec.structs.replace(
            known,
            options=sent.options,
            prices=known.prices | _prices(sent.prices),
            barcode=_or(sent.barcode, known.barcode),
            media=tuple(dict.fromkeys(_tuple(sent.media, known.media))),
        )
    return tuple(merged.values())


def _with_variant(product: Product, old: Variant, new: Variant) -> Product:
    variants = tuple(new if variant is old else variant for variant in product.variants)
    return msgspec.structs.replace(product, variants=variants)


def _prices(prices: Sequence[Price]) -> dict[str, int]:
    return {price.currency: price.amount_minor for price in prices}


def _categories(
    paths: Sequence[str] | UnsetType, otherwise: tuple[str, ...] = ()
) -> tuple[str, ...]:
    return otherwise if isinstance(paths, UnsetType) else fields.tidy_categories(paths)


def _facets(
    facets: Mapping[str, Sequence[str]] | UnsetType,
    otherwise: dict[str, tuple[str, ...]] | None = None,
) -> dict[str, tuple[str, ...]]:
    if isinstance(facets, UnsetType):
        return otherwise or {}
    return {name: tuple(dict.fromkeys(values)) for name, values in facets.items() if values}


def _tuple(values: Sequence[str] | UnsetType, otherwise: tuple[str, ...] = ()) -> tuple[str, ...]:
    return otherwise if isinstance(values, UnsetType) else tuple(values)


def _or(value: T | UnsetType, otherwise: T) -> T:
    return otherwise if isinstance(value, UnsetType) else value
