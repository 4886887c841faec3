"""What requests carry, and how it becomes commands."""

from typing import Annotated, Any, Final

import msgspec
from litestar import Request

from serai.contexts.catalog.contract import (
    PRICES_PER_VARIANT_MAX,
    PRODUCTS_PER_BATCH_MAX,
    VARIANTS_PER_BATCH_MAX,
    Fault,
    Price,
    ProductInput,
    ProductStatus,
    SavedItem,
)
from serai.contexts.catalog.model.products import NewIds
from serai.kernel import ids
from serai.kernel.failure import Invalid, Refused, VersionRequired
from serai.kernel.web import MissingScope, expected_version, holds

WRITE: Final = "catalog:write"
READ: Final = "catalog:read"
ALL_STATUSES: Final[tuple[ProductStatus, ...]] = ("draft", "published", "archived")

_decode_product: Final = msgspec.json.Decoder(ProductInput).decode


class UnsupportedMediaType(Refused):
    """The body is of a kind that this address does not read."""

    status = 415


class BatchBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Up to 500 products, each as in `POST /v1/products`."""

    products: Annotated[
        list[msgspec.Raw], msgspec.Meta(min_length=1, max_length=PRODUCTS_PER_BATCH_MAX)
    ]


class PricesBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All the prices that a variant shall have, one a currency."""

    prices: Annotated[list[Price], msgspec.Meta(max_length=PRICES_PER_VARIANT_MAX)]


class CategoryBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A category by its path from the root, such as `Camp > Light`."""

    path: str


def new_ids(body: ProductInput) -> NewIds:
    """Ids for a product and its variants, in the order in which they were sent."""
    return NewIds(ids.new_id(), tuple(ids.new_id() for _ in body.variants))


def decode_items(body: BatchBody) -> tuple[tuple[NewIds, ProductInput] | SavedItem, ...]:
    """Each product of a batch by itself: one of the wrong form is refused and the others go on."""
    items: list[tuple[NewIds, ProductInput] | SavedItem] = []
    variants = 0
    for raw in body.products:
        try:
            product = _decode_product(raw)
        except msgspec.ValidationError as error:
            fault = Fault("", "invalid", str(error))
            items.append(SavedItem(handle="", status="refused", errors=[fault]))
            continue
        variants += len(product.variants)
        items.append((new_ids(product), product))
    if variants > VARIANTS_PER_BATCH_MAX:
        raise Invalid(f"a batch has {VARIANTS_PER_BATCH_MAX} variants at most; this has {variants}")
    return tuple(items)


def get_version(request: Request[Any, Any, Any]) -> int:
    """The version that `If-Match` names; `*` will not do where a change overwrites."""
    version = expected_version(request)
    if version is None:
        raise VersionRequired("send the ETag that you read in `If-Match`")
    return version


def may_write(request: Request[Any, Any, Any]) -> bool:
    """Whether the key may change the catalog; others see what is published and no more."""
    return holds(request, WRITE)


def statuses_in_sight(request: Request[Any, Any, Any]) -> tuple[ProductStatus, ...]:
    """The states whose products the key may see when it names one of them."""
    return ALL_STATUSES if may_write(request) else ("published",)


def statuses_listed(
    request: Request[Any, Any, Any], status: str | None
) -> tuple[ProductStatus, ...]:
    """The states that a list was asked for; without a word those that are for sale."""
    if status is None or status == "published":
        return ("published",)
    wanted = ALL_STATUSES if status == "all" else tuple(s for s in ALL_STATUSES if s == status)
    if not wanted:
        raise Invalid("`status` is draft, published, archived or all")
    if not may_write(request):
        raise MissingScope(f"only a key with the scope {WRITE} sees what is not for sale")
    return wanted
