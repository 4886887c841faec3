import csv
import gzip
import hashlib
import io
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serai.cli.replay.reader import Content, FileFault, Row, examine, read_rows
from serai.contexts.catalog.contract import RowProblem

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
GOOD = "536365,85123A,LANTERN,6,2010-12-01 08:26:00,2.55,17850,United Kingdom"
DAY = "2010-12-01 08:26:00"


def write(folder: Path, *lines: str, header: str = HEADER) -> Path:
    path = folder / "retail.csv"
    path.write_text("\n".join((header, *lines)) + "\n", "utf-8", newline="")
    return path


def read(path: Path) -> list[Row | RowProblem]:
    return list(read_rows(path))


def codes(found: list[Row | RowProblem]) -> list[tuple[int, str]]:
    return [
        (item.row, item.code) if isinstance(item, RowProblem) else (item.line, "") for item in found
    ]


def test_a_row_is_read_as_the_file_has_it(tmp_path: Path) -> None:
    assert read(write(tmp_path, GOOD)) == [
        Row(2, "536365", "85123A", "LANTERN", 6, Decimal("2.55"), "17850")
    ]


def test_a_stock_code_keeps_its_case_and_the_spaces_inside(tmp_path: Path) -> None:
    lines = [f"1,{sku},x,1,{DAY},1,,France" for sku in ("85123A", "85123a", "BANK CHARGES")]
    assert [row.sku for row in read(write(tmp_path, *lines)) if isinstance(row, Row)] == [
        "85123A",
        "85123a",
        "BANK CHARGES",
    ]


@pytest.mark.parametrize("name", ["retail.csv", "retail.csv.gz", "retail.dat"])
def test_a_gzip_file_is_known_by_its_content_and_not_by_its_name(tmp_path: Path, name: str) -> None:
    content = f"{HEADER}\n{GOOD}\n".encode()
    path = tmp_path / name
    path.write_bytes(gzip.compress(content))
    assert codes(read(path)) == [(2, "")]
    assert examine(path) == Content(hashlib.sha256(content).hexdigest(), 2)
    path.write_bytes(content)
    assert codes(read(path)) == [(2, "")]
    assert examine(path) == Content(hashlib.sha256(content).hexdigest(), 2)


def test_a_truncated_gzip_is_refused_before_a_row_is_read(tmp_path: Path) -> None:
    path = tmp_path / "retail.csv.gz"
    path.write_bytes(gzip.compress(f"{HEADER}\n{GOOD}\n".encode() * 50)[:-20])
    with pytest.raises(FileFault, match="cut off before its end"):
        examine(path)


def test_a_damaged_gzip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "retail.csv.gz"
    packed = bytearray(gzip.compress(f"{HEADER}\n{GOOD}\n".encode()))
    packed[-6] ^= 1
    path.write_bytes(bytes(packed))
    with pytest.raises(FileFault, match="damaged gzip file"):
        examine(path)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileFault, match="there is no file"):
        examine(tmp_path / "gone.csv")
    with pytest.raises(FileFault, match="is no file"):
        examine(tmp_path)
    (tmp_path / "empty.csv").touch()
    with pytest.raises(FileFault, match="is empty"):
        examine(tmp_path / "empty.csv")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("InvoiceNo,StockCode,Description,Quantity,CustomerID", "the header lacks UnitPrice; it"),
        (HEADER.replace(",", ";"), "the header lacks InvoiceNo, StockCode, Description, Quantity"),
        (GOOD, "the header lacks InvoiceNo"),
        (f"{HEADER},Quantity", "the header names Quantity more than once"),
    ],
)
def test_a_wrong_header_is_refused(tmp_path: Path, header: str, message: str) -> None:
    with pytest.raises(FileFault, match=message):
        read(write(tmp_path, GOOD, header=header))


def test_columns_are_found_by_name_and_others_are_passed_over(tmp_path: Path) -> None:
    header = "\ufeffCustomerID,UnitPrice,Extra,Quantity,Description,StockCode,InvoiceNo"
    path = write(tmp_path, "7,1.5,?,2,LAMP,A,1", header=header)
    assert read(path) == [Row(2, "1", "A", "LAMP", 2, Decimal("1.5"), "7")]


@pytest.mark.parametrize(
    ("line", "column", "code"),
    [
        (f"1,A,x,six,{DAY},1,,UK", "Quantity", "bad_quantity"),
        (f"1,A,x,,{DAY},1,,UK", "Quantity", "bad_quantity"),
        (f"1,A,x,1.5,{DAY},1,,UK", "Quantity", "bad_quantity"),
        (f"1,A,x,1,{DAY},one,,UK", "UnitPrice", "bad_price"),
        (f"1,A,x,1,{DAY},,,UK", "UnitPrice", "bad_price"),
        (f"1,A,x,1,{DAY},NaN,,UK", "UnitPrice", "bad_price"),
        (f"1,A,x,1,{DAY},Infinity,,UK", "UnitPrice", "bad_price"),
        (f",A,x,1,{DAY},1,,UK", "InvoiceNo", "empty_field"),
        ("1,A,x", None, "wrong_number_of_fields"),
        (f"1,A,x,1,{DAY},1,,UK,more", None, "wrong_number_of_fields"),
        (f"1,A,WHITE, HANGING,1,{DAY},1,,UK", None, "wrong_number_of_fields"),
    ],
)
def test_a_broken_row_is_told_by_line_and_reason_and_the_others_are_read(
    tmp_path: Path, line: str, column: str | None, code: str
) -> None:
    found = read(write(tmp_path, GOOD, line, GOOD))
    assert codes(found) == [(2, ""), (3, code), (4, "")]
    assert isinstance(found[1], RowProblem)
    assert found[1].column == column


def test_empty_fields_beyond_the_header_do_no_harm(tmp_path: Path) -> None:
    assert codes(read(write(tmp_path, f"{GOOD},,"))) == [(2, "")]


def test_blank_lines_are_no_rows(tmp_path: Path) -> None:
    assert codes(read(write(tmp_path, "", GOOD, "", "", GOOD))) == [(3, ""), (6, "")]


def test_a_field_may_hold_commas_quotes_and_line_breaks(tmp_path: Path) -> None:
    found = read(write(tmp_path, f'1,A,"A ""BIG"", RED\nLAMP",1,{DAY},1,,UK', GOOD))
    assert [item.description for item in found if isinstance(item, Row)] == [
        'A "BIG", RED\nLAMP',
        "LANTERN",
    ]
    assert codes(found) == [(2, ""), (4, "")]


def test_a_quote_left_open_takes_only_its_own_line(tmp_path: Path) -> None:
    stray = f'1,A,"WHITE HANGING,6,{DAY},1,,UK'
    found = read(write(tmp_path, GOOD, stray, *[GOOD] * 1_000, stray, GOOD, GOOD))
    assert [item for item in codes(found) if item[1]] == [
        (3, "unreadable_row"),
        (1004, "unreadable_row"),
    ]
    assert len(found) == 1_005


def test_a_quote_left_open_before_a_long_rest_takes_only_its_own_line(tmp_path: Path) -> None:
    found = read(write(tmp_path, f'1,A,"OPEN,6,{DAY},1,,UK', *[GOOD] * 3_000))
    assert codes(found)[0] == (2, "unreadable_row")
    assert {code for _, code in codes(found)[1:]} == {""}
    assert len(found) == 3_001


def test_bytes_that_are_not_utf8_break_a_code_and_not_a_description(tmp_path: Path) -> None:
    path = tmp_path / "retail.csv"
    lines = [b"1,A,VOUCHER \xa3 40,1,d,1,,UK", b"1,A\xa3,x,1,d,1,,UK", b"1,A,x,1,d,1,\xff,UK"]
    path.write_bytes(b"\n".join([HEADER.encode(), *lines]))
    assert codes(read(path)) == [(2, ""), (3, "not_utf8"), (4, "not_utf8")]


def test_line_ends_of_any_kind_are_read(tmp_path: Path) -> None:
    for end in ("\n", "\r\n", "\r"):
        path = tmp_path / "retail.csv"
        path.write_bytes(end.join((HEADER, GOOD, GOOD)).encode())
        assert codes(read(path)) == [(2, ""), (3, "")]


@given(
    rows=st.lists(
        st.tuples(
            st.text("C12", min_size=1, max_size=4),
            st.text(min_size=1, max_size=6).filter(lambda text: bool(text.strip())),
            st.text(max_size=20),
            st.integers(-(10**6), 10**6),
            st.decimals(-9, 99, places=3),
            st.sampled_from(["", "17850", "é"]),
        ),
        max_size=8,
    )
)
def test_whatever_csv_writes_is_read_back(
    rows: list[tuple[str, str, str, int, Decimal, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
    writer.writerow(HEADER.split(","))
    writer.writerows((i, s, d, q, DAY, p, c, "France") for i, s, d, q, p, c in rows)
    path = tmp_path_factory.mktemp("retail") / "retail.csv"
    path.write_bytes(out.getvalue().encode("utf-8"))
    assert [
        (row.invoice, row.sku, row.description, row.quantity, row.price, row.customer)
        for row in read(path)
        if isinstance(row, Row)
    ] == rows
