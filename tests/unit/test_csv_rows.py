"""Every row of a file has one end, and a bad row costs no more than the reference says."""

import ast
import gzip
import io
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serai.contexts.catalog.gateways import csv_lines, csv_rows
from serai.contexts.catalog.gateways.csv_rows import (
    LayoutName,
    ProductRow,
    RowProblem,
    detect_layout,
    read_products,
)

REFERENCE = Path(__file__).parents[2] / "docs/reference/csv-import.md"
GATEWAYS = Path(csv_rows.__file__).parent

HEADER = (
    b"handle,title,status,categories,facets,media,option_names,option:Size,sku,price:USD,stock\n"
)
COLUMNS = HEADER.decode().strip().split(",")
VENDURE = b"name,slug,optionGroups,optionValues,sku,price,trackInventory\n"

Found = list[ProductRow | RowProblem]


def read(
    data: bytes, layout: Literal["auto"] | LayoutName = "auto", currency: str = "USD"
) -> Found:
    return list(read_products(io.BytesIO(data), layout=layout, default_currency=currency))


def row(**cells: str) -> bytes:
    """One row of the Serai layout above."""
    named = {name.replace(":", "_"): cell for name, cell in cells.items()}
    return (",".join(named.pop(c.replace(":", "_"), "") for c in COLUMNS) + "\n").encode()


def good(name: str, **cells: str) -> bytes:
    return row(
        **{"handle": name, "title": name.title(), "sku": f"SKU-{name}", "price_USD": "5"} | cells
    )


def more(sku: str, **cells: str) -> bytes:
    return row(**{"sku": sku, "price_USD": "5"} | cells)


def ends(found: Found) -> list[tuple[int, str]]:
    """Each row with its SKU, or with the code of its problem, in the order of the file."""
    skus = [(v.row, v.sku) for p in found if isinstance(p, ProductRow) for v in p.variants]
    return sorted(skus + [(p.row, p.code) for p in found if isinstance(p, RowProblem)])


PROBLEMS: dict[str, bytes] = {
    "empty_file": b"",
    "unknown_layout": b"colour,weight\n",
    "wrong_delimiter": b"handle;title;sku;price\n",
    "missing_column": b"handle,title,sku\n",
    "duplicate_column": b"handle,title,sku,price,SKU\n",
    "too_many_columns": HEADER.strip() + b",x" * 500 + b"\n",
    "unknown_column": b"handle,title,sku,price,colour\n",
    "truncated_file": gzip.compress(HEADER + good("a"))[:-9],
    "corrupt_file": gzip.compress(HEADER + good("a")) + b"rubbish",
    "invalid_utf8": HEADER + b"a,A,\xff,,,,,,S,5,\n",
    "nul_byte": HEADER + good("a\0"),
    "unbalanced_quote": HEADER + good('a"'),
    "row_too_long": HEADER + good("x" * csv_lines.RECORD_BYTES_MAX),
    "wrong_column_count": HEADER + b"a,A,,,,,,,S,5\n",
    "product_row_refused": HEADER + good("a", status="sold") + more("S"),
    "conflicting_cell": HEADER + good("a", option_Size="S") + more("S", status="draft"),
    "missing_title": HEADER + more("S"),
    "missing_handle": HEADER + row(title="!", sku="S", price_USD="5"),
    "bad_handle": HEADER + good("a b"),
    "duplicate_handle": HEADER + good("a") + good("b") + good("a", sku="T"),
    "bad_status": HEADER + good("a", status="sold"),
    "bad_category": HEADER + good("a", categories="Camp >"),
    "too_many_categories": HEADER + good("a", categories="|".join(map(str, range(21)))),
    "bad_facet": HEADER + good("a", facets="colour"),
    "too_many_facets": HEADER + good("a", facets="|".join(f"f:{n}" for n in range(251))),
    "bad_option_name": HEADER + good("a", option_names="Size|Size"),
    "unknown_option": HEADER + good("a", option_names="Colour"),
    "too_many_options": HEADER + good("a", option_names="A|B|C|D|E|F"),
    "missing_sku": HEADER + good("a", sku=" "),
    "duplicate_sku": HEADER + good("a") + good("b", sku="SKU-a"),
    "duplicate_options": HEADER + good("a") + more("S"),
    "missing_option_value": HEADER + good("a", option_names="Size"),
    "unexpected_option_value": HEADER + good("a") + more("S", option_Size="M"),
    "wrong_option_count": VENDURE + b"A,a,size,,S,5,\n",
    "too_many_variants": HEADER
    + good("a", option_Size="0")
    + b"".join(more(f"S{n}", option_Size=str(n)) for n in range(1, 501)),
    "missing_price": HEADER + good("a", price_USD=""),
    "bad_price": HEADER + good("a", price_USD="NaN"),
    "fractional_price": HEADER + good("a", price_USD="0.001"),
    "negative_price": HEADER + good("a", price_USD="-1"),
    "price_too_large": HEADER + good("a", price_USD="1" + "0" * 20),
    "bad_stock": HEADER + good("a", stock="many"),
    "fractional_stock": HEADER + good("a", stock="1.5"),
    "negative_stock": HEADER + good("a", stock="-1"),
    "stock_too_large": HEADER + good("a", stock="1000000001"),
    "bad_truth": VENDURE + b"A,a,,,S,5,perhaps\n",
    "bad_url": HEADER + good("a", media="picture.jpg"),
    "too_many_media": HEADER + good("a", media="|".join(f"http://m/{n}" for n in range(101))),
    "field_too_long": HEADER + good("a", title="x" * 256),
    "control_character": HEADER + good("a", title="x\x07y"),
}

# Reached by making the bound small: a file that long would be a slow test.
BOUNDED = {"too_many_rows": (csv_rows, "ROWS_MAX"), "file_too_large": (csv_lines, "FILE_BYTES_MAX")}


@pytest.mark.parametrize("code", sorted(PROBLEMS))
def test_each_problem_has_its_code_and_says_what_to_do(code: str) -> None:
    problems = [found for found in read(PROBLEMS[code]) if isinstance(found, RowProblem)]
    last = problems[-1]
    assert last.code == code
    assert last.detail.endswith(".")
    assert len(problems) == (2 if code == "product_row_refused" else 1)


@pytest.mark.parametrize("code", sorted(BOUNDED))
def test_each_bound_of_a_file_has_its_code(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = HEADER + good("a") + good("b")
    module, bound = BOUNDED[code]
    monkeypatch.setattr(module, bound, 1)
    found = read(data)
    assert isinstance(found[-1], RowProblem)
    assert found[-1].code == code


def test_no_code_is_without_an_example() -> None:
    place_of_code = {"CellRefused": 1, "RowProblem": 2, "Fault": 0}
    codes = set()
    for path in GATEWAYS.glob("csv_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                place = place_of_code.get(node.func.id)
                code = node.args[place] if place is not None else None
                if isinstance(code, ast.Constant):
                    codes.add(code.value)
    assert {"duplicate_sku", "nul_byte", "empty_file"} <= codes
    assert codes - {*PROBLEMS, *BOUNDED} == {"asset_without_address"}


def test_a_bad_variant_costs_its_row_only() -> None:
    data = HEADER + good("a", option_Size="S") + more("B", option_Size="M", price_USD="-1")
    data += more("C", option_Size="L") + good("d")
    found = read(data)
    assert ends(found) == [(2, "SKU-a"), (3, "negative_price"), (4, "C"), (5, "SKU-d")]


def test_a_bad_variant_on_the_first_row_leaves_the_product_to_the_others() -> None:
    found = read(HEADER + good("a", option_Size="S", stock="-1") + more("B", option_Size="M"))
    assert ends(found) == [(2, "negative_stock"), (3, "B")]
    (product,) = (row for row in found if isinstance(row, ProductRow))
    assert (product.row, product.title) == (2, "A")


def test_a_bad_product_costs_its_rows_each_listed_once_and_no_other() -> None:
    data = HEADER + good("a") + good("b", media="x", option_Size="S")
    data += more("B", option_Size="M") + row(handle="b", sku="C", price_USD="5") + good("d")
    refused = "product_row_refused"
    assert ends(read(data)) == [
        (2, "SKU-a"),
        (3, "bad_url"),
        (4, refused),
        (5, refused),
        (6, "SKU-d"),
    ]


def test_a_product_without_a_good_variant_is_not_given_and_frees_its_handle_and_sku() -> None:
    found = read(HEADER + good("a", price_USD="x") + good("b") + good("a"))
    assert ends(found) == [(2, "bad_price"), (3, "SKU-b"), (4, "SKU-a")]
    assert [p.handle for p in found if isinstance(p, ProductRow)] == ["b", "a"]


def test_rows_of_one_product_stand_together_under_one_title() -> None:
    data = HEADER + good("a", option_Size="S")
    data += row(handle="A", title="A", sku="T", price_USD="5", option_Size="M")
    data += (
        row(handle="a", title="Other", sku="U", price_USD="5")
        + good("b")
        + row(handle="a", sku="V", price_USD="5", option_Size="L")
    )
    assert ends(read(data)) == [
        (2, "SKU-a"),
        (3, "T"),
        (4, "duplicate_handle"),
        (5, "SKU-b"),
        (6, "missing_title"),
    ]


def test_a_row_may_name_the_handle_that_was_made_from_the_title() -> None:
    data = HEADER + row(title="Dune tent", sku="S", price_USD="5", option_Size="S")
    data += row(handle="dune-tent", sku="T", price_USD="5", option_Size="M")
    (product,) = read(data)
    assert isinstance(product, ProductRow)
    assert (product.handle, len(product.variants)) == ("dune-tent", 2)


def test_a_price_is_asked_of_published_products_only() -> None:
    found = read(HEADER + good("a", price_USD="", status="draft") + good("b", price_USD=""))
    assert ends(found) == [(2, "SKU-a"), (3, "missing_price")]


def test_skus_differ_by_case() -> None:
    assert ends(read(HEADER + good("a", sku="85123A") + good("b", sku="85123a"))) == [
        (2, "85123A"),
        (3, "85123a"),
    ]


def test_nothing_of_a_file_is_given_that_is_cut_off_or_damaged() -> None:
    rows = [good(f"p{n}", stock=str(n * 7919 % 9973)) for n in range(2_000)]
    packed = gzip.compress(HEADER + b"".join(rows))
    [cut] = read(packed[: len(packed) // 2])
    assert isinstance(cut, RowProblem)
    assert (cut.code, cut.column) == ("truncated_file", None)
    assert 500 < cut.row < 1_500
    [corrupt] = read(packed + b"rubbish")
    assert isinstance(corrupt, RowProblem)
    assert (corrupt.code, corrupt.row) == ("corrupt_file", 2_001)
    assert len(read(packed)) == 2_000


def test_unknown_columns_of_other_shops_are_reported_and_passed_over() -> None:
    found = read(b"name,slug,sku,price,optionGroups,weight\nA,a,S,5,,9\n")
    assert ends(found) == [(1, "unknown_column"), (2, "S")]
    found = read(b"Handle,Title,Variant SKU,Variant Price,Mood\na,A,S,5,good\n")
    assert ends(found) == [(1, "unknown_column"), (2, "S")]


def test_several_problems_of_a_header_are_told_together() -> None:
    found = read(b"handle,title,handle,colour\n", layout="serai")
    assert [(p.column, p.code) for p in found if isinstance(p, RowProblem)] == [
        ("handle", "duplicate_column"),
        ("sku", "missing_column"),
        (None, "missing_column"),
        ("colour", "unknown_column"),
    ]


@pytest.mark.parametrize(
    ("header", "layout"),
    [
        ("handle,title,sku,price:USD", "serai"),
        ("SKU, Title ,Handle,option:Size", "serai"),
        ("name,slug,description,assets,sku,price,stockOnHand", "vendure"),
        ("name,slug,sku,price", "vendure"),
        ("Handle,Title,Body (HTML),Variant Price", "shopify"),
        ("Title,URL handle,SKU,Price", "shopify"),
        ("Title,SKU,Price", "shopify"),
        ("name,price", None),
        ("", None),
    ],
)
def test_a_layout_is_told_by_its_header(header: str, layout: str | None) -> None:
    assert detect_layout(header.split(",")) == layout


def test_a_file_is_read_by_its_path_and_closed(tmp_path: Path) -> None:
    path = tmp_path / "products.csv.gz"
    path.write_bytes(gzip.compress(HEADER + good("a")))
    assert ends(list(read_products(path, layout="auto", default_currency="USD"))) == [(2, "SKU-a")]
    assert ends(list(read_products(str(path), layout="serai", default_currency="USD"))) == [
        (2, "SKU-a")
    ]


def test_a_wrong_default_currency_is_our_mistake_and_told_at_once() -> None:
    with pytest.raises(ValueError, match="ISO 4217"):
        read_products(io.BytesIO(), layout="auto", default_currency="usd")


GOOD_ROWS = [good(f"p{n}", stock=str(n)) for n in range(6)]


@given(
    st.integers(0, 5),
    st.integers(0, 40),
    st.sampled_from([b"\xff", b"\0", b'"', b'"""', b",", b'",', b',"', b"\n", b"\r", b"|", b"\\"]),
)
def test_damage_inside_one_row_costs_that_row_only(number: int, at: int, rubbish: bytes) -> None:
    line = GOOD_ROWS[number][:-1]
    at = min(at, len(line))
    damaged = line[:at] + rubbish + line[at:] + b"\n"
    data = HEADER + b"".join([*GOOD_ROWS[:number], damaged, *GOOD_ROWS[number + 1 :]])
    skus = {v.sku for p in read(data) if isinstance(p, ProductRow) for v in p.variants}
    assert skus >= {f"SKU-p{n}" for n in range(6) if n != number}


SPLICE = st.tuples(st.integers(0, 10_000), st.integers(0, 30), st.binary(max_size=6))
VARIED = HEADER + b"".join(
    [
        good("a", option_Size="S"),
        more("M", option_Size="M"),
        b'b,"B ""b""",draft,X > Y,c:d,http://m/1,,"long\nvalue",B,1,2\n',
        more("L", option_Size="L"),
        *GOOD_ROWS,
    ]
)


@given(st.lists(SPLICE, max_size=5))
def test_whatever_the_bytes_every_row_has_exactly_one_end(
    splices: list[tuple[int, int, bytes]],
) -> None:
    data = VARIED[len(HEADER) :]
    for place, cut, rubbish in splices:
        at = place % (len(data) + 1)
        data = data[:at] + rubbish + data[at + cut :]
    data = HEADER + data
    rows = [
        record.row
        for record in csv_lines.read_records(io.BytesIO(data))
        if record.fault or any(record.cells)
    ]
    found = read(data)
    assert [at for at, _ in ends(found)] == rows[1:]
    given_skus = [v.sku for p in found if isinstance(p, ProductRow) for v in p.variants]
    assert len(given_skus) == len(set(given_skus))


@given(st.binary(max_size=200), st.sampled_from(["auto", "serai", "vendure", "shopify"]))
def test_no_bytes_make_it_fail(data: bytes, layout: Literal["auto"] | LayoutName) -> None:
    found = read(data, layout)
    assert found
    assert all(isinstance(row, RowProblem) for row in found)
