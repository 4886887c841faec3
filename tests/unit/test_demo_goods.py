"""The demo shop's goods and pictures: whole, unique, the same every time."""

from collections import Counter
from xml.etree import ElementTree as ET

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serai.cli.demo import pictures
from serai.cli.demo.goods import (
    PLENTY_UNITS_MAX,
    PLENTY_UNITS_MIN,
    SCARCE_UNITS_MAX,
    SCARCE_UNITS_MIN,
    Goods,
    demo_goods,
    is_scarce,
)
from serai.cli.demo.pictures import PICTURE_BYTES_MAX, picture
from serai.contexts.catalog.contract import Price, ProductInput
from serai.contexts.catalog.model.fields import find_product_faults
from serai.contexts.catalog.model.text import make_handle

ROOT = "http://127.0.0.1:8000"
GOODS = demo_goods(ROOT)
PRODUCTS = [goods.product for goods in GOODS]
VARIANTS = [variant for product in PRODUCTS for variant in product.variants]
STOCK = {sku: units for goods in GOODS for sku, units in goods.stock.items()}
SVG = "{http://www.w3.org/2000/svg}"


def picture_of(goods: Goods) -> bytes:
    return picture(goods.handle, title=goods.title, category=goods.category, colours=goods.colours)


def test_the_shop_has_62_products_and_119_skus_all_different() -> None:
    assert len(PRODUCTS) == 62
    assert len(VARIANTS) == 119
    assert len({product.handle for product in PRODUCTS}) == 62
    assert len({product.title for product in PRODUCTS}) == 62
    assert len({product.description for product in PRODUCTS}) == 62
    assert len({variant.sku for variant in VARIANTS}) == 119


def test_every_variant_is_priced_above_nothing_in_four_currencies() -> None:
    for variant in VARIANTS:
        assert [price.currency for price in variant.prices] == ["USD", "EUR", "GBP", "JPY"]
        assert min(price.amount_minor for price in variant.prices) > 0


def test_list_prices_are_in_the_minor_units_of_each_currency() -> None:
    kettle = next(variant for variant in VARIANTS if variant.sku == "POT-KETTLE-TWO-LITRES")
    assert kettle.prices == [
        Price("USD", 10_200),
        Price("EUR", 9_400),
        Price("GBP", 8_050),
        Price("JPY", 15_300),
    ]


def test_every_sku_has_stock_which_is_plenty_but_for_what_is_scarce() -> None:
    assert list(STOCK) == [variant.sku for variant in VARIANTS]
    scarce = [units for units in STOCK.values() if is_scarce(units)]
    assert min(scarce) >= SCARCE_UNITS_MIN
    assert max(scarce) <= SCARCE_UNITS_MAX
    assert len(scarce) == 12
    plenty = [units for units in STOCK.values() if not is_scarce(units)]
    assert min(plenty) >= PLENTY_UNITS_MIN
    assert max(plenty) <= PLENTY_UNITS_MAX


def test_products_are_filed_and_filtered() -> None:
    categories = Counter(goods.category for goods in GOODS)
    assert len(categories) == 14
    for goods in GOODS:
        product = goods.product
        assert (product.handle, product.title) == (goods.handle, goods.title)
        assert product.categories == [goods.category]
        assert isinstance(product.facets, dict)
        assert list(product.facets) == ["material", "colour", "origin"]
        assert all(product.facets.values())
        assert product.status == "published"
        assert all(set(v.options) == set(product.option_names or ()) for v in product.variants)
        assert product.media == [f"{ROOT}/media/demo/{goods.handle}.svg"]


@pytest.mark.parametrize("product", PRODUCTS, ids=lambda product: product.handle)
def test_the_catalog_finds_no_fault_in_what_it_is_sent(product: ProductInput) -> None:
    assert find_product_faults(product) == []
    assert make_handle(product.title) == product.handle
    assert msgspec.json.decode(msgspec.json.encode(product), type=ProductInput) == product


def test_goods_and_pictures_are_the_same_every_time() -> None:
    assert demo_goods(ROOT) == GOODS
    assert [picture_of(goods) for goods in GOODS] == list(map(picture_of, GOODS))


@pytest.mark.parametrize("goods", GOODS, ids=lambda goods: goods.handle)
def test_every_picture_is_a_small_whole_svg_that_names_its_product(goods: Goods) -> None:
    data = picture_of(goods)
    assert len(data) < PICTURE_BYTES_MAX
    root = ET.fromstring(data)  # noqa: S314 - our own picture
    assert root.tag == f"{SVG}svg"
    assert root[0].tag == f"{SVG}title"
    assert root[0].text == goods.title
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {
        *("svg", "title", "g", "path", "rect", "circle", "ellipse"),
    }


def test_every_picture_is_its_own() -> None:
    assert len({picture_of(goods) for goods in GOODS}) == 62


def test_every_drawing_is_used_by_some_product() -> None:
    used = {pictures.drawing_for(goods.handle, goods.category) for goods in GOODS}
    assert used == pictures.DRAWINGS


@given(st.text(max_size=20), st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_any_product_has_a_picture(handle: str, title: str) -> None:
    root = ET.fromstring(picture(handle, title=title, colours=("plaid",)))  # noqa: S314
    name = root[0].text or ""
    assert len(name) == len(title)
    assert [a for a, b in zip(name, title, strict=True) if a not in {b, " "}] == []
