"""What is there is changed by those who saw it as it is: decisions, seen through commands."""

from typing import Any
from uuid import UUID

import pytest
from msgspec import UNSET

from serai.contexts.catalog.contract import (
    CategoryView,
    Price,
    ProductChanged,
    ProductInput,
    ProductPatch,
    ProductStatus,
    ProductView,
    VariantInput,
    VariantPatch,
    VariantView,
)
from serai.contexts.catalog.handlers.changing import (
    add_variants,
    create_categories,
    move_products,
    revise_products,
    revise_variants,
    set_prices,
)
from serai.contexts.catalog.handlers.commands import (
    AddVariant,
    CreateCategory,
    MoveProduct,
    ReviseProduct,
    ReviseVariant,
    SetPrices,
)
from serai.contexts.catalog.handlers.saving import create_products
from serai.kernel import ids
from serai.kernel.events import Cause
from serai.kernel.failure import Refused
from tests.unit.catalog_memory import (
    CAUSE,
    LATER,
    NOW,
    OTHER_TENANT,
    TENANT,
    MemoryProducts,
    announced,
    create,
    fresh_id,
    open_tx,
    product,
    variant,
)


async def there(store: MemoryProducts, body: ProductInput) -> ProductView:
    """A product that is there when the test begins."""
    [view] = await create_products([create(body)], tx=open_tx(), now=NOW, store=store)
    assert isinstance(view, ProductView)
    store.writes = 0
    return view


def code_of(result: object) -> str:
    assert isinstance(result, Refused)
    return result.code


async def move(
    store: MemoryProducts, product_id: UUID, status: ProductStatus, version: int | None = None
) -> ProductView | Refused:
    command = MoveProduct(TENANT, product_id, version, status, CAUSE)
    [result] = await move_products([command], tx=open_tx(LATER), now=LATER, store=store)
    return result


async def revise(
    store: MemoryProducts, product_id: UUID, version: int, **said: Any
) -> ProductView | Refused:
    command = ReviseProduct(TENANT, product_id, version, ProductPatch(**said), CAUSE)
    [result] = await revise_products([command], tx=open_tx(LATER), now=LATER, store=store)
    return result


async def add(
    store: MemoryProducts, product_id: UUID, *bodies: VariantInput
) -> list[VariantView | Refused]:
    commands = [AddVariant(TENANT, product_id, None, fresh_id(), body, CAUSE) for body in bodies]
    return await add_variants(commands, tx=open_tx(LATER), now=LATER, store=store)


async def price(
    store: MemoryProducts, variant_id: UUID, version: int, *prices: Price
) -> VariantView | Refused:
    command = SetPrices(TENANT, variant_id, version, prices, CAUSE)
    [result] = await set_prices([command], tx=open_tx(LATER), now=LATER, store=store)
    return result


STEPS: list[tuple[ProductStatus, ProductStatus, bool]] = [
    ("draft", "draft", False),
    ("draft", "published", True),
    ("draft", "archived", True),
    ("published", "draft", True),
    ("published", "published", False),
    ("published", "archived", True),
    ("archived", "draft", True),
    ("archived", "published", False),
    ("archived", "archived", False),
]


@pytest.mark.parametrize(("before", "after", "is_legal"), STEPS)
async def test_a_product_takes_the_steps_of_its_state_and_no_others(
    before: ProductStatus, after: ProductStatus, *, is_legal: bool
) -> None:
    store = MemoryProducts()
    view = await there(store, product("Tent", "A", status=before))
    result = await move(store, view.id, after)
    kept = store.products[TENANT, view.id]
    if is_legal:
        assert isinstance(result, ProductView)
        assert (result.status, result.version, result.updated_at) == (after, 2, LATER)
        assert kept.status == after
    else:
        assert code_of(result) == "illegal_state"
        assert (kept.status, kept.version, store.writes) == (before, 1, 0)


async def test_the_first_day_of_sale_is_remembered() -> None:
    store = MemoryProducts()
    view = await there(store, product("Tent", "A"))
    assert store.products[TENANT, view.id].published_at is None
    await move(store, view.id, "published")
    await move(store, view.id, "draft")
    assert store.products[TENANT, view.id].published_at == LATER


async def test_a_draft_without_a_price_is_not_published() -> None:
    store = MemoryProducts()
    view = await there(store, ProductInput(title="Tent", variants=[variant("A", usd=None)]))
    assert code_of(await move(store, view.id, "published")) == "nothing_to_sell"
    assert store.writes == 0


async def test_commands_of_one_batch_see_what_those_before_them_did() -> None:
    store, tx = MemoryProducts(), open_tx(LATER)
    view = await there(store, product("Tent", "A"))
    steps: list[ProductStatus] = ["published", "published", "archived"]
    commands = [MoveProduct(TENANT, view.id, None, step, CAUSE) for step in steps]
    results = await move_products(commands, tx=tx, now=LATER, store=store)
    assert [getattr(r, "code", "moved") for r in results] == ["moved", "illegal_state", "moved"]
    assert announced(tx) == [
        ProductChanged(view.id, "tent", "published", 2),
        ProductChanged(view.id, "tent", "archived", 3),
    ]
    assert (store.products[TENANT, view.id].status, store.writes) == ("archived", 1)


async def test_a_stale_version_changes_nothing() -> None:
    store = MemoryProducts()
    view = await there(store, product("Tent", "A"))
    for result in (
        await move(store, view.id, "published", version=2),
        await revise(store, view.id, 2, title="New"),
        await price(store, view.variants[0].id, 7, Price("USD", 1)),
    ):
        assert isinstance(result, Refused)
        assert (result.code, result.status) == ("stale_version", 412)
        assert result.facts == {"current_version": 1}
    assert store.writes == 0


async def test_only_what_is_named_is_revised() -> None:
    store = MemoryProducts()
    view = await there(store, product("Tent", "A", description="Old", facets={"colour": ["sand"]}))
    result = await revise(store, view.id, 1, title="Dune tent", categories=["Camp"])
    assert isinstance(result, ProductView)
    assert (result.title, result.handle, result.description) == ("Dune tent", "tent", "Old")
    assert (result.categories, result.facets) == (["Camp"], {"colour": ["sand"]})
    assert (result.version, result.updated_at) == (2, LATER)


async def test_a_change_that_changes_nothing_is_no_new_version() -> None:
    store, tx = MemoryProducts(), open_tx(LATER)
    view = await there(store, product("Tent", "A"))
    command = ReviseProduct(TENANT, view.id, 1, ProductPatch(title="Tent"), CAUSE)
    [result] = await revise_products([command], tx=tx, now=LATER, store=store)
    assert result == view
    assert (store.writes, tx.announced) == (0, [])


async def test_a_change_that_does_not_fit_is_refused() -> None:
    store = MemoryProducts()
    view = await there(store, product("Tent", "A"))
    result = await revise(store, view.id, 1, title=" ", media=["ftp://x"])
    assert isinstance(result, Refused)
    assert [e["code"] for e in result.facts["errors"]] == ["empty_field", "bad_url"]
    assert store.writes == 0


async def test_what_belongs_to_another_tenant_is_not_there() -> None:
    store = MemoryProducts()
    view = await there(store, product("Tent", "A"))
    tx = open_tx()
    moved = await move_products(
        [MoveProduct(OTHER_TENANT, view.id, None, "published", CAUSE)], tx=tx, now=NOW, store=store
    )
    priced = await set_prices(
        [SetPrices(OTHER_TENANT, view.variants[0].id, 1, (), CAUSE)], tx=tx, now=NOW, store=store
    )
    gone = await move_products(
        [MoveProduct(TENANT, fresh_id(), None, "published", CAUSE)], tx=tx, now=NOW, store=store
    )
    for result in (*moved, *priced, *gone):
        assert isinstance(result, Refused)
        assert (result.code, result.detail) == (
            "not_found", "there is no such product or variant",
        )  # fmt: skip
    assert store.writes == 0


async def test_a_variant_is_added_at_the_end() -> None:
    store = MemoryProducts()
    view = await there(store, ProductInput(title="Tent", option_names=["Size"]))
    small, large = (variant(sku, options={"Size": sku}) for sku in ("S", "L"))
    first, second = await add(store, view.id, small, large)
    assert isinstance(first, VariantView)
    assert isinstance(second, VariantView)
    assert (first.sku, first.version, second.sku) == ("S", 1, "L")
    kept = store.products[TENANT, view.id]
    assert [(v.sku, v.variant_id) for v in kept.variants] == [("S", first.id), ("L", second.id)]
    assert kept.version == 3


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (variant("A"), "sku_taken"),
        (variant("B", options={"Size": "S"}), "invalid"),
        (variant("C", options={"Colour": "Sand"}), "invalid"),
        (variant(""), "invalid"),
    ],
)
async def test_a_variant_that_does_not_fit_is_refused(body: VariantInput, code: str) -> None:
    store = MemoryProducts()
    view = await there(
        store, ProductInput(title="Tent", variants=[variant("A", options={"Size": "S"})])
    )
    [result] = await add(store, view.id, body)
    assert code_of(result) == code
    assert store.writes == 0


async def test_a_sku_is_given_once_in_a_batch_too() -> None:
    store = MemoryProducts()
    view = await there(store, ProductInput(title="Tent", option_names=["Size"]))
    results = await add(
        store, view.id, *(variant("A", options={"Size": size}) for size in ("S", "L"))
    )
    assert isinstance(results[0], VariantView)
    assert code_of(results[1]) == "sku_taken"


async def test_a_variant_is_revised_and_its_product_is_another_version() -> None:
    store = MemoryProducts()
    view = await there(store, ProductInput(title="Tent", variants=[variant("A", barcode="1")]))
    target = view.variants[0].id
    commands = [
        ReviseVariant(TENANT, target, 1, VariantPatch(media=["https://x.example/a.png"]), CAUSE),
        ReviseVariant(TENANT, target, 2, VariantPatch(barcode=None), CAUSE),
        ReviseVariant(TENANT, target, 3, VariantPatch(options={"Size": "S"}), CAUSE),
        ReviseVariant(TENANT, target, 3, VariantPatch(media=["x"]), CAUSE),
    ]
    first, second, *rest = await revise_variants(commands, tx=open_tx(), now=LATER, store=store)
    assert isinstance(first, VariantView)
    assert isinstance(second, VariantView)
    assert (first.barcode, first.media, first.version) == ("1", ["https://x.example/a.png"], 2)
    assert (second.barcode, second.media, second.version) == (None, first.media, 3)
    assert [code_of(each) for each in rest] == ["invalid", "invalid"]
    assert store.products[TENANT, view.id].version == 3


async def test_prices_are_replaced_as_a_whole() -> None:
    store = MemoryProducts()
    view = await there(store, product("Tent", "A", status="published"))
    result = await price(store, view.variants[0].id, 1, Price("JPY", 1900), Price("EUR", 1150))
    assert isinstance(result, VariantView)
    assert result.prices == [Price("EUR", 1150), Price("JPY", 1900)]
    assert (result.version, store.products[TENANT, view.id].version) == (2, 2)


@pytest.mark.parametrize(
    ("status", "prices", "code"),
    [
        ("published", (), "nothing_to_sell"),
        ("published", (Price("USD", -1),), "invalid"),
        ("published", (Price("usd", 1),), "invalid"),
        ("draft", (), None),
        ("archived", (), None),
    ],
)
async def test_what_is_for_sale_keeps_a_price(
    status: ProductStatus, prices: tuple[Price, ...], code: str | None
) -> None:
    store = MemoryProducts()
    view = await there(store, product("Tent", "A", status=status))
    result = await price(store, view.variants[0].id, 1, *prices)
    assert getattr(result, "code", None) == code
    assert store.products[TENANT, view.id].variants[0].prices == (
        {} if code is None else {"USD": 1250}
    )


async def test_a_category_is_added_once_with_those_above_it() -> None:
    store = MemoryProducts()
    commands = [
        CreateCategory(TENANT, path, Cause(ids.new_id()))
        for path in ("Camp>Light", "Camp > Light", "Camp", "Road", "Camp > ", "x\0")
    ]
    results = await create_categories(commands, tx=open_tx(), now=NOW, store=store)
    assert results[0] == CategoryView("Camp > Light", "Light", "Camp", NOW)
    assert results[3] == CategoryView("Road", "Road", None, NOW)
    assert [code_of(results[n]) for n in (1, 4, 5)] == ["category_exists", "invalid", "invalid"]
    assert {path for _, path in store.categories} == {"Camp", "Camp > Light", "Road"}
    again = await create_categories([commands[0]], tx=open_tx(), now=NOW, store=store)
    assert [code_of(each) for each in again] == ["category_exists"]


def test_a_patch_of_nothing_names_nothing() -> None:
    assert ProductPatch() == ProductPatch(title=UNSET, description=UNSET)
