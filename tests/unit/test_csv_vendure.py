"""Vendure's layout, on a hand-made file and on the real one."""

import io
from pathlib import Path

import pytest

from serai.contexts.catalog.gateways.csv_rows import (
    PriceRow,
    ProductRow,
    RowProblem,
    VariantRow,
    read_products,
)

REAL_FILE = Path(__file__).parents[3] / "shared/data/catalogs/vendure/products.csv"

HAND_MADE = """\
name     , slug  , description                ,assets               ,facets                                ,optionGroups,optionValues,sku ,price ,taxCategory,stockOnHand,trackInventory,variantAssets ,variantFacets, product:note
Lamp     ,lamp   ,"Brass, with a ""lid""."    ,http://m/1|lamp.jpg  ,category:Light|category:Gifts|brand:Anvar,size|glass  ,S|clear     ,L-S ,10.50 ,standard   ,4          ,true          ,http://m/s    ,colour:brass ,x
         ,       ,                            ,                     ,                                      ,            ,L|amber     ,L-L ,12    ,standard   ,9          ,false         ,l.jpg         ,colour:iron  ,
Oil      ,       ,                            ,                     ,                                      ,            ,            ,OIL ,3.00  ,standard   ,           ,inherit       ,              ,             ,
"""  # noqa: E501 - rows of a file


def read(text: str) -> list[ProductRow | RowProblem]:
    return list(read_products(io.BytesIO(text.encode()), layout="vendure", default_currency="GBP"))


def problem_of(header: str, row: str) -> tuple[str | None, str]:
    (problem,) = (p for p in read(f"{header}\n{row}\n") if isinstance(p, RowProblem))
    assert problem.row == 2
    return problem.column, problem.code


def test_a_hand_made_file_is_read_cell_by_cell() -> None:
    lamp, oil = read(HAND_MADE)
    assert isinstance(lamp, ProductRow)
    assert [(note.row, note.column, note.code) for note in lamp.notes] == [
        (2, "assets", "asset_without_address"),
        (3, "variantAssets", "asset_without_address"),
    ]
    assert lamp == ProductRow(
        row=2,
        handle="lamp",
        title="Lamp",
        description='Brass, with a "lid".',
        categories=("Light", "Gifts"),
        facets={"brand": ("Anvar",), "colour": ("brass", "iron")},
        media=("http://m/1",),
        option_names=("size", "glass"),
        variants=(
            VariantRow(
                row=2,
                sku="L-S",
                options={"size": "S", "glass": "clear"},
                prices=(PriceRow("GBP", 1050),),
                stock=4,
                media=("http://m/s",),
            ),
            VariantRow(
                row=3,
                sku="L-L",
                options={"size": "L", "glass": "amber"},
                prices=(PriceRow("GBP", 1200),),
                stock=None,
            ),
        ),
        notes=lamp.notes,
    )
    assert oil == ProductRow(
        row=4,
        handle="oil",
        title="Oil",
        variants=(VariantRow(row=4, sku="OIL", prices=(PriceRow("GBP", 300),)),),
    )


def test_vendures_own_rules_have_their_codes() -> None:
    header = "name,slug,facets,optionGroups,optionValues,sku,price,trackInventory,assets"
    assert problem_of(header, "A,a,,size,,S,1,,") == ("optionValues", "wrong_option_count")
    assert problem_of(header, "A,a,,size,S|M,S,1,,") == ("optionValues", "wrong_option_count")
    assert problem_of(header, "A,a,,size|glass,S|,S,1,,") == (
        "optionValues",
        "missing_option_value",
    )
    assert problem_of(header, "A,a,,size|size,S|M,S,1,,") == ("optionGroups", "bad_option_name")
    assert problem_of(header, "A,a,brand,,,S,1,,") == ("facets", "bad_facet")
    assert problem_of(header, "A,a,category:A > ,,,S,1,,") == ("facets", "bad_category")
    assert problem_of(header, "A,a,,,,S,1,perhaps,") == ("trackInventory", "bad_truth")
    assert problem_of(header, "A,a,,,,S,1,,http://") == ("assets", "bad_url")
    assert problem_of(header, ",a,,,,S,1,,") == ("name", "missing_title")


def test_the_real_file_has_its_products_and_its_two_repeated_skus() -> None:
    if not REAL_FILE.exists():
        pytest.skip("../shared/data/catalogs/vendure is absent: the real file cannot be tried")
    found = list(read_products(REAL_FILE, layout="auto", default_currency="USD"))
    products = [row for row in found if isinstance(row, ProductRow)]
    problems = [row for row in found if isinstance(row, RowProblem)]
    variants = [variant for product in products for variant in product.variants]
    assert len(products) == 54
    assert len(variants) + len(problems) == 88
    assert [(p.row, p.column, p.code) for p in problems] == [
        (88, "sku", "duplicate_sku"),
        (89, "sku", "duplicate_sku"),
    ]
    assert len({variant.sku for variant in variants}) == 86
    assert sum(variant.prices[0].amount_minor for variant in variants) == 3_018_965
    assert {variant.stock for variant in variants} == {100}
    assert [note.code for product in products for note in product.notes] == [
        "asset_without_address"
    ] * 54
    assert sorted({path for product in products for path in product.categories}) == [
        "Computers",
        "Electronics",
        "Equipment",
        "Footwear",
        "Furniture",
        "Home & Garden",
        "Photo",
        "Plants",
        "Sports & Outdoor",
    ]
    assert products[0].option_names == ("screen size", "RAM")
    assert products[-1].facets == {"color": ("yellow",)}
