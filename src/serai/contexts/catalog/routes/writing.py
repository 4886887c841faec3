"""Routes that change the catalog."""

from typing import Any, Literal
from uuid import UUID

import msgspec
from litestar import Request, Response, patch, post, put
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody

from serai.contexts.catalog.contract import (
    CategoryView,
    ProductInput,
    ProductPatch,
    ProductStatus,
    ProductView,
    SavedBatch,
    SaveMode,
    VariantInput,
    VariantPatch,
    VariantView,
)
from serai.contexts.catalog.handlers.commands import (
    AddVariant,
    CreateCategory,
    CreateProduct,
    MoveProduct,
    ReviseProduct,
    ReviseVariant,
    SaveProducts,
    SetPrices,
)
from serai.contexts.catalog.routes.bodies import (
    WRITE,
    BatchBody,
    CategoryBody,
    PricesBody,
    decode_items,
    get_version,
    new_ids,
)
from serai.kernel import ids
from serai.kernel.batch import Batch
from serai.kernel.web import (
    METERED,
    VERSION_OPTIONAL,
    VERSION_REQUIRED,
    carry_out,
    cause_of,
    claim_of,
    expected_version,
    json_body,
    principal_of,
    requires,
    send,
)

TAGS = ["catalog"]


class Writers(msgspec.Struct, frozen=True):
    """The queues that the catalog's commands go through."""

    create: Batch[CreateProduct, ProductView]
    save: Batch[SaveProducts, SavedBatch]
    revise: Batch[ReviseProduct, ProductView]
    move: Batch[MoveProduct, ProductView]
    add_variant: Batch[AddVariant, VariantView]
    revise_variant: Batch[ReviseVariant, VariantView]
    set_prices: Batch[SetPrices, VariantView]
    create_category: Batch[CreateCategory, CategoryView]


def product_routes(writers: Writers) -> list[Any]:
    """Products: one, many, and their changes."""
    guards = [requires(WRITE)]
    one = {201: ResponseSpec(data_container=ProductView)}
    changed = {200: ResponseSpec(data_container=ProductView)}

    @post("/v1/products", guards=guards, dto=json_body(ProductInput), return_dto=None, tags=TAGS,
          responses=one, opt={METERED: True}, summary="Create a product")  # fmt: skip
    async def create_product(
        request: Request[Any, Any, Any], data: JSONBody[ProductInput]
    ) -> Response[bytes]:
        """Adds a product with its variants; a draft unless `status` says otherwise."""
        tenant_id = principal_of(request).tenant_id
        command = CreateProduct(tenant_id, new_ids(data), data, cause_of(request))
        return await carry_out(request, writers.create, command)

    @post("/v1/products:batch", guards=guards, dto=json_body(BatchBody), return_dto=None, tags=TAGS,
          status_code=200, responses={200: ResponseSpec(data_container=SavedBatch)},
          summary="Create or update many products")  # fmt: skip
    async def save_products(
        request: Request[Any, Any, Any],
        data: JSONBody[BatchBody],
        mode: FromQuery[SaveMode] = "create",
    ) -> Response[bytes]:
        """Saves up to 500 products, each whole or not at all.

        With `mode=upsert` a product whose handle is there is updated: what the item leaves out
        stays, variants are told by their SKUs and prices by their currencies.
        """
        who = principal_of(request)
        command = SaveProducts(who.tenant_id, mode, decode_items(data), cause_of(request))
        claim = claim_of(request, await request.body())
        return send(await writers.save.submit(command, home=who.home, claim=claim))

    @patch("/v1/products/{product_id:uuid}", guards=guards, dto=json_body(ProductPatch),
           return_dto=None, tags=TAGS, opt=VERSION_REQUIRED, responses=changed,
           summary="Change a product")  # fmt: skip
    async def revise_product(
        request: Request[Any, Any, Any], product_id: FromPath[UUID], data: JSONBody[ProductPatch]
    ) -> Response[bytes]:
        """Changes what is named; needs `If-Match`."""
        command = ReviseProduct(
            principal_of(request).tenant_id, product_id, get_version(request), data,
            cause_of(request),
        )  # fmt: skip
        return await carry_out(request, writers.revise, command, is_keyed=False)

    return [create_product, save_products, revise_product]


def step_routes(writers: Writers) -> list[Any]:
    """The steps of a product between draft, published and archived."""

    async def move(
        request: Request[Any, Any, Any], product_id: UUID, status: ProductStatus
    ) -> Response[bytes]:
        command = MoveProduct(
            principal_of(request).tenant_id, product_id, expected_version(request), status,
            cause_of(request),
        )  # fmt: skip
        return await carry_out(request, writers.move, command)

    def step(word: Literal["publish", "archive", "draft"], status: ProductStatus, why: str) -> Any:
        @post(f"/v1/products/{{product_id:uuid}}/{word}", guards=[requires(WRITE)], tags=TAGS,
              status_code=200, responses={200: ResponseSpec(data_container=ProductView)},
              summary=f"{word.capitalize()} a product", description=why,
              operation_id=f"{word}_product", opt=VERSION_OPTIONAL)  # fmt: skip
        async def take_step(
            request: Request[Any, Any, Any], product_id: FromPath[UUID]
        ) -> Response[bytes]:
            return await move(request, product_id, status)

        return take_step

    return [
        step("publish", "published", "Puts a draft with a priced variant up for sale."),
        step("archive", "archived", "Takes a product out of sale; it can be drafted again."),
        step("draft", "draft", "Takes a product out of sale to work on it."),
    ]


def variant_routes(writers: Writers) -> list[Any]:
    """Variants and their prices."""
    guards = [requires(WRITE)]
    changed = {200: ResponseSpec(data_container=VariantView)}

    @post("/v1/products/{product_id:uuid}/variants", guards=guards, dto=json_body(VariantInput),
          return_dto=None, tags=TAGS, responses={201: ResponseSpec(data_container=VariantView)},
          opt={**VERSION_OPTIONAL, METERED: True}, summary="Add a variant")  # fmt: skip
    async def add_variant(
        request: Request[Any, Any, Any], product_id: FromPath[UUID], data: JSONBody[VariantInput]
    ) -> Response[bytes]:
        """Adds a variant with a SKU of its own and one value for each option of the product."""
        command = AddVariant(
            principal_of(request).tenant_id, product_id, expected_version(request), ids.new_id(),
            data, cause_of(request),
        )  # fmt: skip
        return await carry_out(request, writers.add_variant, command)

    @patch("/v1/variants/{variant_id:uuid}", guards=guards, dto=json_body(VariantPatch),
           return_dto=None, tags=TAGS, opt=VERSION_REQUIRED, responses=changed,
           summary="Change a variant")  # fmt: skip
    async def revise_variant(
        request: Request[Any, Any, Any], variant_id: FromPath[UUID], data: JSONBody[VariantPatch]
    ) -> Response[bytes]:
        """Changes what is named; needs `If-Match`. A SKU never changes."""
        command = ReviseVariant(
            principal_of(request).tenant_id, variant_id, get_version(request), data,
            cause_of(request),
        )  # fmt: skip
        return await carry_out(request, writers.revise_variant, command, is_keyed=False)

    @put("/v1/variants/{variant_id:uuid}/prices", guards=guards, dto=json_body(PricesBody),
         return_dto=None, tags=TAGS, opt=VERSION_REQUIRED, responses=changed,
         summary="Set prices")  # fmt: skip
    async def set_prices(
        request: Request[Any, Any, Any], variant_id: FromPath[UUID], data: JSONBody[PricesBody]
    ) -> Response[bytes]:
        """Gives the variant these prices and no others; needs `If-Match`."""
        command = SetPrices(
            principal_of(request).tenant_id, variant_id, get_version(request),
            tuple(data.prices), cause_of(request),
        )  # fmt: skip
        return await carry_out(request, writers.set_prices, command, is_keyed=False)

    return [add_variant, revise_variant, set_prices]


def category_routes(writers: Writers) -> list[Any]:
    """Categories."""

    @post("/v1/categories", guards=[requires(WRITE)], dto=json_body(CategoryBody), return_dto=None,
          tags=TAGS, responses={201: ResponseSpec(data_container=CategoryView)},
          summary="Create a category")  # fmt: skip
    async def create_category(
        request: Request[Any, Any, Any], data: JSONBody[CategoryBody]
    ) -> Response[bytes]:
        """Adds a category, and those above it that are not there."""
        command = CreateCategory(principal_of(request).tenant_id, data.path, cause_of(request))
        return await carry_out(request, writers.create_category, command)

    return [create_category]
