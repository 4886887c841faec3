"""Products are saved whole or not at all: decisions, seen through commands."""

from typing import Any

import pytest

from serai.contexts.catalog.contract import (
    PRICE_MINOR_MAX,
    Fault,
    Price,
    ProductChanged,
    ProductInput,
    ProductView,
    SavedBatch,
    SavedItem,
    VariantInput,
)
from serai.contexts.catalog.handlers.commands import SaveProducts
from serai.contexts.catalog.handlers.saving import create_products, save_products
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
    open_tx,
    product,
    save,
    variant,
)


async def created(store: MemoryProducts, body: ProductInput) -> ProductView:
    [view] = await create_products([create(body)], tx=open_tx(), now=NOW, store=store)
    assert isinstance(view, ProductView)
    return view


async def refused(store: MemoryProducts, *bodies: ProductInput) -> Refused:
    """The refusal of the last of several products that are created in one batch."""
    tx = open_tx()
    *_, last = await create_products([create(b) for b in bodies], tx=tx, now=NOW, store=store)
    assert isinstance(last, Refused)
    assert len(tx.announced) == len(bodies) - 1
    return last


async def saved(store: MemoryProducts, *bodies: ProductInput, mode: Any = "upsert") -> SavedBatch:
    [report] = await save_products([save(*bodies, mode=mode)], tx=open_tx(), now=LATER, store=store)
    assert isinstance(report, SavedBatch)
    return report


async def test_a_product_is_a_draft_with_a_handle_from_its_title() -> None:
    store, tx = MemoryProducts(), open_tx()
    command = create(product(" Crème brûlée set ", "CB-1"))
    [view] = await create_products([command], tx=tx, now=NOW, store=store)
    assert isinstance(view, ProductView)
    assert (view.title, view.handle, view.status) == (
        "Crème brûlée set",
        "creme-brulee-set",
        "draft",
    )
    assert (view.version, view.created_at, view.published_at) == (1, NOW, None)
    assert [v.sku for v in view.variants] == ["CB-1"]
    assert view.variants[0].prices == [Price("USD", 1250)]
    assert view.id == command.new.product_id
    assert announced(tx) == [ProductChanged(view.id, "creme-brulee-set", "draft", 1, 1)]


async def test_a_published_product_tells_since_when() -> None:
    view = await created(MemoryProducts(), product("Tent", "T", status="published"))
    assert (view.status, view.published_at) == ("published", NOW)


async def test_options_are_named_by_the_first_variant_where_nobody_names_them() -> None:
    body = ProductInput(
        title="Tent",
        variants=[
            variant("T-S", options={"Size": "Small", "Colour": "Sand"}),
            variant("T-L", options={"Colour": "Sand", "Size": "Large"}),
        ],
    )
    view = await created(MemoryProducts(), body)
    assert view.option_names == ["Size", "Colour"]


async def test_categories_are_written_one_way_and_stand_with_all_above_them() -> None:
    store = MemoryProducts()
    view = await created(store, product("Lamp", "L", categories=["Camp>Light", "Camp > Light"]))
    assert view.categories == ["Camp > Light"]
    assert store.categories == {(TENANT, "Camp"), (TENANT, "Camp > Light")}


async def test_a_taken_handle_is_refused() -> None:
    store = MemoryProducts()
    await created(store, product("Dune tent", "A"))
    refusal = await refused(store, product("Dune tent", "B"))
    assert (refusal.code, refusal.status, refusal.facts) == (
        "handle_taken", 409, {"handle": "dune-tent"},
    )  # fmt: skip
    assert len(store.products) == 1


async def test_a_taken_sku_is_refused_and_upper_case_is_another() -> None:
    store = MemoryProducts()
    await created(store, product("One", "85123A"))
    await created(store, product("Two", "85123a"))
    refusal = await refused(store, product("Three", "85123A"))
    assert (refusal.code, refusal.status) == ("sku_taken", 409)
    assert len(store.products) == 2


async def test_a_sku_that_another_command_of_the_same_batch_takes_is_taken() -> None:
    store = MemoryProducts()
    refusal = await refused(store, product("One", "A"), product("Two", "A"))
    assert (refusal.code, refusal.facts) == ("sku_taken", {"field": "variants[0].sku"})
    assert [p.title for p in store.products.values()] == ["One"]


async def test_another_tenant_has_handles_and_skus_of_its_own() -> None:
    store = MemoryProducts()
    await created(store, product("Tent", "A"))
    command = create(product("Tent", "A"), OTHER_TENANT)
    [view] = await create_products([command], tx=open_tx(), now=NOW, store=store)
    assert isinstance(view, ProductView)


@pytest.mark.parametrize("variants", [[], [variant("A", usd=None)]])
async def test_what_has_no_price_is_not_published(variants: list[VariantInput]) -> None:
    store = MemoryProducts()
    body = ProductInput(title="Tent", status="published", variants=variants)
    refusal = await refused(store, body)
    assert (refusal.code, refusal.status) == ("nothing_to_sell", 422)
    assert store.products == {}


BAD_PRODUCTS: list[tuple[dict[str, Any], tuple[str, str]]] = [
    ({"title": ""}, ("title", "empty_field")),
    ({"title": "  "}, ("title", "empty_field")),
    ({"title": "x" * 256}, ("title", "field_too_long")),
    ({"title": "a\0b"}, ("title", "control_character")),
    ({"title": "a\nb"}, ("title", "control_character")),
    ({"title": "帳篷"}, ("handle", "missing_handle")),
    ({"handle": ""}, ("handle", "bad_handle")),
    ({"handle": "Dune Tent"}, ("handle", "bad_handle")),
    ({"handle": "x" * 121}, ("handle", "field_too_long")),
    ({"description": "a\0b"}, ("description", "nul_byte")),
    ({"description": "x" * 65_537}, ("description", "field_too_long")),
    ({"categories": ["Camp > "]}, ("categories", "bad_category")),
    ({"categories": [""]}, ("categories", "empty_field")),
    ({"categories": ["a>" * 127 + "b"]}, ("categories", "field_too_long")),
    ({"categories": [f"c{n}" for n in range(21)]}, ("categories", "too_many_categories")),
    ({"facets": {"": ["x"]}}, ("facets", "empty_field")),
    ({"facets": {"colour": [""]}}, ("facets", "empty_field")),
    ({"facets": {"colour": [str(n) for n in range(251)]}}, ("facets", "too_many_facets")),
    ({"media": ["ftp://x.example/a.png"]}, ("media[0]", "bad_url")),
    ({"media": ["https://u:p@x.example/a.png"]}, ("media[0]", "bad_url")),
    ({"media": ["javascript:alert(1)"]}, ("media[0]", "bad_url")),
    ({"media": ["https://x.example/a b.png"]}, ("media[0]", "bad_url")),
    ({"media": ["https://x.example/"] * 101}, ("media", "too_many_media")),
    ({"option_names": ["Size", "Size"]}, ("option_names", "bad_option_name")),
    ({"option_names": list("abcdef")}, ("option_names", "too_many_options")),
    ({"variants": [variant("")]}, ("variants[0].sku", "empty_field")),
    ({"variants": [variant(" A")]}, ("variants[0].sku", "padded_sku")),
    ({"variants": [variant("x" * 65)]}, ("variants[0].sku", "field_too_long")),
    ({"variants": [variant("a\0")]}, ("variants[0].sku", "control_character")),
    (
        {"variants": [variant("A", usd=-1)]},
        ("variants[0].prices[0].amount_minor", "negative_price"),
    ),
    (
        {"variants": [variant("A", usd=PRICE_MINOR_MAX + 1)]},
        ("variants[0].prices[0].amount_minor", "price_too_large"),
    ),
    (
        {"variants": [variant("A", prices=[Price("XXX", 1)])]},
        ("variants[0].prices[0].currency", "bad_currency"),
    ),
    (
        {"variants": [variant("A", prices=[Price("USD", 1), Price("USD", 1)])]},
        ("variants[0].prices[1].currency", "duplicate_currency"),
    ),
    ({"variants": [variant("A", barcode="a\tb")]}, ("variants[0].barcode", "control_character")),
    ({"variants": [variant("A", media=["x"])]}, ("variants[0].media[0]", "bad_url")),
    (
        {"variants": [variant("A", options={"a": "1"}), variant("A", options={"a": "2"})]},
        ("variants[1].sku", "duplicate_sku"),
    ),
    (
        {"variants": [variant("A", options={"a": "1"}), variant("B", options={"a": "1"})]},
        ("variants[1].options", "duplicate_options"),
    ),
    (
        {"variants": [variant("A", options={"a": "1"}), variant("B", options={"b": "1"})]},
        ("variants[1].options", "wrong_options"),
    ),
    (
        {"option_names": ["Size"], "variants": [variant("A")]},
        ("variants[0].options", "wrong_options"),
    ),
    ({"variants": [variant(f"S{n}") for n in range(501)]}, ("variants", "too_many_variants")),
]


@pytest.mark.parametrize(("said", "found"), BAD_PRODUCTS)
async def test_what_does_not_fit_is_refused_with_its_place(
    said: dict[str, Any], found: tuple[str, str]
) -> None:
    store = MemoryProducts()
    refusal = await refused(store, ProductInput(**{"title": "Tent", **said}))
    assert (refusal.code, refusal.status) == ("invalid", 400)
    assert [(e["field"], e["code"]) for e in refusal.facts["errors"]] == [found]
    assert store.writes == 0


async def test_all_that_does_not_fit_is_told_at_once() -> None:
    body = ProductInput(title="", handle="a", media=["x"], variants=[variant("", usd=-1)])
    refusal = await refused(MemoryProducts(), body)
    assert [e["code"] for e in refusal.facts["errors"]] == [
        "empty_field", "bad_url", "empty_field", "negative_price",
    ]  # fmt: skip


async def test_each_product_of_a_batch_has_its_own_end() -> None:
    store = MemoryProducts()
    await created(store, product("One", "A"))
    report = await saved(
        store,
        product("One", "A2"),
        product("Two", "B"),
        product("", "C"),
        product("Three", "A"),
        product("Two", "B2"),
        mode="create",
    )
    assert (report.created, report.updated, report.unchanged, report.refused) == (1, 0, 0, 4)
    assert [(item.handle, item.status) for item in report.items] == [
        ("one", "refused"),
        ("two", "created"),
        ("", "refused"),
        ("three", "refused"),
        ("two", "refused"),
    ]
    assert [[fault.code for fault in item.errors] for item in report.items] == [
        ["handle_taken"], [], ["empty_field"], ["sku_taken"], ["handle_taken"],
    ]  # fmt: skip
    assert report.items[3].errors[0].field == "variants[0].sku"
    assert sorted(v.sku for p in store.products.values() for v in p.variants) == ["A", "B"]


async def test_a_product_that_was_never_decoded_keeps_its_place() -> None:
    broken = SavedItem(handle="", status="refused", errors=[Fault("", "invalid", "no title")])
    good = save(product("Two", "B")).items[0]
    command = SaveProducts(TENANT, "create", (broken, good, broken), CAUSE)
    [report] = await save_products([command], tx=open_tx(), now=NOW, store=MemoryProducts())
    assert isinstance(report, SavedBatch)
    assert [item.status for item in report.items] == ["refused", "created", "refused"]


async def test_an_upsert_that_changes_nothing_writes_nothing() -> None:
    store, tx = MemoryProducts(), open_tx()
    body = product("Tent", "A", categories=["Camp"], facets={"colour": ["sand"]})
    await saved(store, body)
    writes = store.writes
    [report] = await save_products([save(body)], tx=tx, now=LATER, store=store)
    assert isinstance(report, SavedBatch)
    assert (report.unchanged, report.items[0].version) == (1, 1)
    assert store.writes == writes
    assert tx.announced == []


async def test_an_upsert_leaves_what_it_does_not_name() -> None:
    store = MemoryProducts()
    before = await created(
        store,
        ProductInput(
            title="Tent", status="published", description="Old", categories=["Camp"],
            facets={"colour": ["sand"]}, media=["https://x.example/a.png"],
            variants=[
                variant("S", options={"Size": "S"}, prices=[Price("USD", 100), Price("EUR", 90)]),
                variant("L", options={"Size": "L"}, barcode="123"),
            ],
        ),
    )  # fmt: skip
    report = await saved(
        store,
        ProductInput(
            title="Tent",
            variants=[
                variant("S", options={"Size": "S"}, prices=[Price("USD", 110), Price("GBP", 80)]),
                variant("M", options={"Size": "M"}),
            ],
        ),
    )
    assert (report.updated, report.items[0].version, report.items[0].variants) == (1, 2, 2)
    after = store.products[TENANT, before.id]
    assert (after.status, after.description) == ("published", "Old")
    assert (after.categories, after.facets) == (("Camp",), {"colour": ("sand",)})
    assert [(v.sku, v.prices, v.version) for v in after.variants] == [
        ("S", {"USD": 110, "EUR": 90, "GBP": 80}, 2),
        ("L", {"USD": 1250}, 1),
        ("M", {"USD": 1250}, 1),
    ]
    assert after.variants[1].barcode == "123"
    assert (after.created_at, after.updated_at) == (NOW, LATER)


async def test_two_items_of_one_product_are_saved_one_after_the_other() -> None:
    store = MemoryProducts()
    report = await saved(store, product("Tent", "A"), product("Tent", "A", description="New"))
    assert [(item.status, item.version) for item in report.items] == [
        ("created", 1),
        ("updated", 2),
    ]
    [kept] = store.products.values()
    assert (kept.description, kept.version) == ("New", 2)


async def test_an_upsert_takes_only_the_steps_that_a_product_can_take() -> None:
    store = MemoryProducts()
    await created(store, product("Tent", "A", status="archived"))
    report = await saved(store, product("Tent", "A", status="published", description="New"))
    assert [fault.code for fault in report.items[0].errors] == ["illegal_state"]
    [kept] = store.products.values()
    assert (kept.status, kept.description, kept.version) == ("archived", "", 1)


async def test_an_upsert_may_not_take_the_sku_of_another_product() -> None:
    store = MemoryProducts()
    await created(store, product("One", "A"))
    await created(store, product("Two", "B"))
    report = await saved(store, product("Two", "A"))
    assert [(f.field, f.code) for f in report.items[0].errors] == [("variants[0].sku", "sku_taken")]
    assert [v.sku for p in store.products.values() for v in p.variants] == ["A", "B"]
