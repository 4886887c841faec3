"""The demo shop's goods and pictures: whole, unique, the same every time."""

import io
from collections import Counter
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serai.cli.demo import goods, pictures
from serai.cli.demo.goods import demo_products
from serai.cli.demo.pictures import PICTURE_BYTES_MAX, picture
from serai.contexts.catalog.gateways.csv_rows import (
    PriceRow,
    ProductRow,
    RowProblem,
    read_products,
    write_products,
)

ROOT = "http://127.0.0.1:8000"
PRODUCTS = demo_products(ROOT)
VARIANTS = [variant for product in PRODUCTS for variant in product.variants]
SVG = "{http://www.w3.org/2000/svg}"


def picture_of(product: ProductRow) -> bytes:
    return picture(
        product.handle,
        title=product.title,
        category=product.categories[0],
        colours=product.facets["colour"],
    )


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
    assert kettle.prices == (
        PriceRow("USD", 10_200),
        PriceRow("EUR", 9_400),
        PriceRow("GBP", 8_050),
        PriceRow("JPY", 15_300),
    )


def test_stock_is_plenty_but_for_what_is_scarce() -> None:
    stock = [variant.stock for variant in VARIANTS]
    scarce = [units for units in stock if units is not None and units <= goods.SCARCE_UNITS_MAX]
    assert None not in stock
    assert min(scarce) >= goods.SCARCE_UNITS_MIN
    assert len(scarce) == 12
    plenty = [units for units in stock if units is not None and units > goods.SCARCE_UNITS_MAX]
    assert min(plenty) >= goods.PLENTY_UNITS_MIN
    assert max(plenty) <= goods.PLENTY_UNITS_MAX


def test_products_are_filed_and_filtered() -> None:
    categories = Counter(path for product in PRODUCTS for path in product.categories)
    assert len(categories) == 14
    for product in PRODUCTS:
        assert list(product.facets) == ["material", "colour", "origin"]
        assert all(values for values in product.facets.values())
        assert product.status == "published"
        assert all(set(v.options) == set(product.option_names) for v in product.variants)
        assert product.media == (f"{ROOT}/media/demo/{product.handle}.svg",)


def test_the_goods_would_pass_the_shops_own_import() -> None:
    stream = io.BytesIO()
    write_products(PRODUCTS, stream)
    stream.seek(0)
    again = list(read_products(stream, layout="auto", default_currency="USD"))
    assert [row for row in again if isinstance(row, RowProblem)] == []
    assert [row.handle for row in again if isinstance(row, ProductRow)] == [
        product.handle for product in PRODUCTS
    ]


def test_goods_and_pictures_are_the_same_every_time() -> None:
    assert demo_products(ROOT) == PRODUCTS
    assert [picture_of(product) for product in PRODUCTS] == list(map(picture_of, PRODUCTS))


@pytest.mark.parametrize("product", PRODUCTS, ids=lambda product: product.handle)
def test_every_picture_is_a_small_whole_svg_that_names_its_product(product: ProductRow) -> None:
    data = picture_of(product)
    assert len(data) < PICTURE_BYTES_MAX
    root = ET.fromstring(data)  # noqa: S314 - our own picture
    assert root.tag == f"{SVG}svg"
    assert root[0].tag == f"{SVG}title"
    assert root[0].text == product.title
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {
        *("svg", "title", "g", "path", "rect", "circle", "ellipse"),
    }


def test_every_picture_is_its_own() -> None:
    assert len({picture_of(product) for product in PRODUCTS}) == 62


def test_every_drawing_is_used_by_some_product() -> None:
    used = {pictures.drawing_for(p.handle, p.categories[0]) for p in PRODUCTS}
    assert used == pictures.DRAWINGS


@given(st.text(max_size=20), st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_any_product_has_a_picture(handle: str, title: str) -> None:
    root = ET.fromstring(picture(handle, title=title, colours=("plaid",)))  # noqa: S314
    name = root[0].text or ""
    assert len(name) == len(title)
    assert [a for a, b in zip(name, title, strict=True) if a not in {b, " "}] == []
