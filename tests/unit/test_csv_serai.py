"""Serai's own layout: what is written is read back as the same products."""

import base64
import csv
import io
import json
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serai.contexts.catalog.contract import ProductStatus
from serai.contexts.catalog.gateways.csv_rows import (
    PriceRow,
    ProductRow,
    RowProblem,
    VariantRow,
    read_products,
    write_products,
)

NAUGHTY_STRINGS = (
    Path(__file__).parents[3] / "shared/data/security/big-list-of-naughty-strings/blns.base64.json"
)

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
LINE = (
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)
    .map(str.strip)
    .filter(bool)
)
CATEGORY = LINE.filter(lambda line: ">" not in line)
STATUSES: tuple[ProductStatus, ...] = ("draft", "published", "archived")
CURRENCIES = ("USD", "EUR", "JPY", "KWD")
URL = st.integers(0, 30).map("https://cdn.example.com/{}.png?a=1,2".format)


@st.composite
def variants(
    draw: st.DrawFn, options: list[dict[str, str]], skus: list[str], status: str
) -> list[VariantRow]:
    rows = []
    for option, sku in zip(options, skus, strict=True):
        currencies = draw(
            st.lists(st.sampled_from(CURRENCIES), unique=True, min_size=int(status == "published"))
        )
        rows.append(
            VariantRow(
                row=0,
                sku=sku,
                options=option,
                prices=tuple(
                    PriceRow(currency, draw(st.integers(0, 10**12))) for currency in currencies
                ),
                stock=draw(st.none() | st.integers(0, 10**9)),
                barcode=draw(st.none() | LINE),
                media=tuple(draw(st.lists(URL, unique=True, max_size=2))),
            )
        )
    return rows


@st.composite
def catalogs(draw: st.DrawFn) -> list[ProductRow]:
    handles = draw(st.lists(st.from_regex(r"\A[a-z0-9]{1,8}\Z"), unique=True, max_size=4))
    skus = draw(st.lists(LINE, unique=True, min_size=4 * len(handles), max_size=4 * len(handles)))
    products = []
    for handle in handles:
        names = draw(st.lists(LINE, unique=True, max_size=3))
        values = draw(
            st.lists(st.tuples(*[LINE for _ in names]), unique=True, min_size=1, max_size=4)
        )
        options = [dict(zip(names, value, strict=True)) for value in values]
        own, skus = skus[: len(options)], skus[len(options) :]
        status = draw(st.sampled_from(STATUSES))
        facets = draw(
            st.dictionaries(LINE, st.lists(LINE, unique=True, min_size=1, max_size=3), max_size=3)
        )
        paths = st.lists(CATEGORY, min_size=1, max_size=3).map(" > ".join)
        products.append(
            ProductRow(
                row=0,
                handle=handle,
                title=draw(LINE),
                description=draw(TEXT),
                status=status,
                categories=tuple(draw(st.lists(paths, unique=True, max_size=2))),
                facets={name: tuple(facet_values) for name, facet_values in facets.items()},
                media=tuple(draw(st.lists(URL, unique=True, max_size=3))),
                option_names=tuple(names),
                variants=tuple(draw(variants(options, own, status))),
            )
        )
    return products


def written(products: list[ProductRow]) -> bytes:
    stream = io.BytesIO()
    write_products(products, stream)
    return stream.getvalue()


def read(data: bytes) -> list[ProductRow | RowProblem]:
    return list(read_products(io.BytesIO(data), layout="serai", default_currency="USD"))


def in_order(product: ProductRow) -> ProductRow:
    """The product without its rows' places, prices in the order of their currencies' names."""
    rows = tuple(
        msgspec.structs.replace(
            variant, row=0, prices=tuple(sorted(variant.prices, key=lambda price: price.currency))
        )
        for variant in product.variants
    )
    return msgspec.structs.replace(product, row=0, variants=rows)


@given(catalogs())
def test_what_is_written_is_read_back(products: list[ProductRow]) -> None:
    again = read(written(products))
    assert [row for row in again if isinstance(row, RowProblem)] == []
    assert [in_order(row) for row in again if isinstance(row, ProductRow)] == [
        in_order(product) for product in products
    ]


@given(catalogs())
def test_a_plain_reader_finds_the_same_figures(products: list[ProductRow]) -> None:
    """The reference: the csv module, and a group begins where a title stands."""
    found: list[tuple[str, str, dict[str, Decimal], str]] = []
    handle = ""
    for cells in csv.DictReader(io.StringIO(written(products).decode(), newline="")):
        handle = cells["handle"] or handle
        prices = {
            column[6:]: Decimal(cell)
            for column, cell in cells.items()
            if column.startswith("price:") and cell
        }
        found.append((handle, cells["sku"], prices, cells["stock"]))
    digits = {"USD": 2, "EUR": 2, "JPY": 0, "KWD": 3}
    assert found == [
        (
            product.handle,
            variant.sku,
            {
                p.currency: Decimal(p.amount_minor).scaleb(-digits[p.currency])
                for p in variant.prices
            },
            "" if variant.stock is None else str(variant.stock),
        )
        for product in products
        for variant in product.variants
    ]


def test_naughty_strings_survive_as_descriptions() -> None:
    if not NAUGHTY_STRINGS.exists():
        pytest.skip("../shared/data/security is absent: the naughty strings cannot be tried")
    texts = [base64.b64decode(text).decode() for text in json.loads(NAUGHTY_STRINGS.read_bytes())]
    assert len(texts) > 400
    products = [
        ProductRow(
            row=0,
            handle=f"naughty-{number}",
            title=f"Naughty {number}",
            description=text,
            variants=(VariantRow(row=0, sku=f"N-{number}", prices=(PriceRow("USD", 100),)),),
        )
        for number, text in enumerate(texts)
    ]
    again = read(written(products))
    assert [row.description for row in again if isinstance(row, ProductRow)] == texts
    assert len(again) == len(texts)


HAND_MADE = """\
handle,title,description,status,categories,facets,media,option:Size,Option:Colour,sku,price:USD,price:jpy,stock,barcode,variant_media
dune-tent,Dune tent,"Two poles,
no ""fuss"".",draft,Camp > Tents|Gifts,colour:sand|colour:indigo|note\\:1:a\\|b:c,http://m/1|http://m/2,S,Sand,T-S,129.00,19000,8,401234,http://m/s
,,,,,,,L,Sand,T-L,169,,,,
tea,Tea,,,,,,,,TEA,4.5,600,0,,
Dune-Rug,Dune rug,,archived,,,,,Red,R-R,50,,1,,
dune-rug,,,,,,,,Blue,R-B,50,,1,,
"""


def test_a_hand_made_file_is_read_cell_by_cell() -> None:
    tent = ProductRow(
        row=2,
        handle="dune-tent",
        title="Dune tent",
        description='Two poles,\nno "fuss".',
        status="draft",
        categories=("Camp > Tents", "Gifts"),
        facets={"colour": ("sand", "indigo"), "note:1": ("a|b:c",)},
        media=("http://m/1", "http://m/2"),
        option_names=("Size", "Colour"),
        variants=(
            VariantRow(
                row=2,
                sku="T-S",
                options={"Size": "S", "Colour": "Sand"},
                prices=(PriceRow("USD", 12900), PriceRow("JPY", 19000)),
                stock=8,
                barcode="401234",
                media=("http://m/s",),
            ),
            VariantRow(
                row=4,
                sku="T-L",
                options={"Size": "L", "Colour": "Sand"},
                prices=(PriceRow("USD", 16900),),
            ),
        ),
    )
    tea = ProductRow(
        row=5,
        handle="tea",
        title="Tea",
        variants=(
            VariantRow(
                row=5, sku="TEA", prices=(PriceRow("USD", 450), PriceRow("JPY", 600)), stock=0
            ),
        ),
    )
    again = read(HAND_MADE.encode())
    assert again[:2] == [tent, tea]
    rug = again[2]
    assert isinstance(rug, ProductRow)
    assert (rug.handle, rug.status) == ("dune-rug", "archived")
    assert [variant.sku for variant in rug.variants] == ["R-R", "R-B"]


def test_option_names_give_the_order_and_need_their_columns() -> None:
    header = "handle,title,option_names,option:A,option:B,sku,price\n"
    product, problem, other = read(
        (header + "x,X,B|A,1,2,S,1\ny,Y,B|C,1,2,T,1\nz,Z,,,2,U,1\n").encode()
    )
    assert isinstance(product, ProductRow)
    assert product.option_names == ("B", "A")
    assert product.variants[0].options == {"B": "2", "A": "1"}
    assert isinstance(problem, RowProblem)
    assert (problem.row, problem.column, problem.code) == (3, "option_names", "unknown_option")
    assert isinstance(other, ProductRow)
    assert other.option_names == ("B",)


def test_an_empty_catalog_is_a_header() -> None:
    assert read(written([])) == []
    assert written([]).startswith(b"handle,title,")
