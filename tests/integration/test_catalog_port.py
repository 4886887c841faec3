"""One suite for `Products`, run on what keeps them in memory and on PostgreSQL."""

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any
from uuid import UUID

import msgspec
import pytest

from serai.contexts.catalog.contract import Price, ProductInput
from serai.contexts.catalog.model import products
from serai.contexts.catalog.model.products import Change, Product, make_product
from serai.contexts.catalog.ports import Products
from serai.contexts.catalog.routes.bodies import new_ids
from serai.contexts.catalog.store.products import PostgresProducts
from serai.kernel.clock import ManualClock
from serai.kernel.db import Conflicted, Database, Tx
from serai.kernel.tenant import POOLED
from tests.unit.catalog_memory import LATER, NOW, MemoryProducts, fresh_id, open_tx, variant

Begin = Callable[[], AbstractAsyncContextManager[Tx]]
FULL = ProductInput(
    title="Dune tent",
    description="Zwei Stangen,\nneun Heringe.",
    status="published",
    categories=["Camp > Tents", "New"],
    facets={"zip": ["yes"], "colour": ["sand", "indigo"]},
    media=["https://x.example/b.png", "https://x.example/a.png"],
    option_names=["Size"],
    variants=[
        variant("TENT-L", options={"Size": "Large"}, prices=[Price("USD", 1), Price("EUR", 2)]),
        variant(
            "TENT-S",
            options={"Size": "Small"},
            barcode="4006381",
            media=["https://x.example/s.png"],
        ),
        variant("tent-s", options={"Size": "small"}, usd=None),
    ],
)


@pytest.fixture(params=["memory", "postgres"])
async def ports(request: pytest.FixtureRequest, database: Database) -> tuple[Products, Begin]:
    """A place for products, and how a transaction is begun there."""
    if request.param == "memory":

        @contextlib.asynccontextmanager
        async def begin_nothing() -> AsyncIterator[Tx]:
            yield open_tx()

        return MemoryProducts(), begin_nothing
    database.clock = ManualClock(NOW)
    return PostgresProducts(), lambda: database.transaction(POOLED, (A, B))


A, B = fresh_id(), fresh_id()


def made(body: ProductInput = FULL, tenant: UUID = A, **more: Any) -> Product:
    product = make_product(body, new_ids(body), tenant, NOW)
    return msgspec.structs.replace(product, **more)


async def saved(store: Products, begin: Begin, *changes: Change) -> None:
    async with begin() as tx:
        await store.save_products(changes, tx=tx)


async def test_a_product_comes_back_as_it_was_saved(ports: tuple[Products, Begin]) -> None:
    store, begin = ports
    product, other = made(), made(tenant=B)
    await saved(store, begin, Change(None, product), Change(None, other))
    async with begin() as tx:
        key = (A, product.product_id)
        found = await store.lock_products([key, (A, fresh_id()), (B, product.product_id)], tx=tx)
        assert dict(found) == {key: product}
        by_handle = await store.lock_by_handle([(A, "dune-tent"), (A, "gone")], tx=tx)
        assert dict(by_handle) == {(A, "dune-tent"): product}
        wanted = [(A, variant.variant_id) for variant in product.variants]
        by_variant = await store.lock_by_variant([*wanted, (B, wanted[0][1])], tx=tx)
        assert dict(by_variant) == dict.fromkeys(wanted, product)
        owners = await store.find_sku_owners([(A, "tent-s"), (B, "tent-s"), (A, "TENT-s")], tx=tx)
        assert dict(owners) == {
            (A, "tent-s"): product.product_id, (B, "tent-s"): other.product_id,
        }  # fmt: skip


async def test_every_part_of_a_product_can_change(ports: tuple[Products, Begin]) -> None:
    store, begin = ports
    product = made()
    await saved(store, begin, Change(None, product))
    body = ProductInput(
        title="Winter tent",
        description="",
        status="draft",
        categories=["Camp > Winter"],
        facets={"colour": ["white"]},
        media=[],
        variants=[
            variant("TENT-L", options={"Size": "XL"}, prices=[Price("EUR", 3)], barcode="1"),
            variant("TENT-M", options={"Size": "Medium"}),
        ],
    )
    changed = products.merge_product(product, body, new_ids(body), LATER)
    priced = products.set_prices(
        changed, changed.variants[0].variant_id, [Price("GBP", 9)], version=2, now=LATER
    )
    await saved(store, begin, Change(product, priced))
    async with begin() as tx:
        key = (A, product.product_id)
        assert dict(await store.lock_products([key], tx=tx)) == {key: priced}
    assert priced.version == 3
    assert [v.sku for v in priced.variants] == ["TENT-L", "TENT-S", "tent-s", "TENT-M"]


async def test_nothing_is_found_for_no_keys(ports: tuple[Products, Begin]) -> None:
    store, begin = ports
    async with begin() as tx:
        assert dict(await store.lock_by_handle([], tx=tx)) == {}
        assert dict(await store.lock_products([], tx=tx)) == {}


@pytest.mark.parametrize(
    "second",
    [
        ProductInput(title="Dune tent", variants=[variant("OTHER")]),
        ProductInput(title="Other", variants=[variant("TENT-S")]),
    ],
)
async def test_who_comes_second_is_told_to_look_again(
    ports: tuple[Products, Begin], second: ProductInput
) -> None:
    store, begin = ports
    first = made()
    await saved(store, begin, Change(None, first))
    with pytest.raises(Conflicted, match="took the"):
        await saved(store, begin, Change(None, made(second)))
    async with begin() as tx:
        owners = await store.find_sku_owners([(A, "OTHER"), (A, "TENT-S")], tx=tx)
        assert dict(owners) == {(A, "TENT-S"): first.product_id}


async def test_categories_are_added_once(ports: tuple[Products, Begin]) -> None:
    store, begin = ports
    async with begin() as tx:
        added = await store.insert_categories([(A, "Camp > Light"), (B, "Road")], tx=tx, now=NOW)
        assert added == {(A, "Camp"), (A, "Camp > Light"), (B, "Road")}
    await saved(store, begin, Change(None, made()))
    async with begin() as tx:
        paths = [(A, "Camp"), (A, "Camp > Tents"), (A, "New"), (A, "Fresh"), (B, "Camp")]
        assert await store.insert_categories(paths, tx=tx, now=NOW) == {(A, "Fresh"), (B, "Camp")}
