"""Records out of bytes: what a damaged row costs, and what it must not cost."""

import csv
import gzip
import io
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serai.contexts.catalog.gateways import csv_lines
from serai.contexts.catalog.gateways.csv_lines import Record, read_records, split_cells

CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
TABLE = st.lists(st.lists(CELL, min_size=2, max_size=4), min_size=1, max_size=8)


class Drip(io.RawIOBase):
    """A stream that gives one byte at a time, as a slow socket may."""

    def __init__(self, data: bytes) -> None:
        self._inner = io.BytesIO(data)

    def read(self, size: int = -1, /) -> bytes:
        return self._inner.read(min(size, 1))


def records_of(data: bytes) -> list[Record]:
    return list(read_records(io.BytesIO(data)))


def rows_of(data: bytes) -> list[tuple[int, str | list[str]]]:
    """Each record's row with its fault's code, or its cells if it has none."""
    return [(r.row, r.fault.code if r.fault else r.cells) for r in records_of(data)]


@given(TABLE, st.sampled_from(["\n", "\r\n"]))
def test_quoted_cells_are_read_as_the_csv_module_reads_them(
    table: list[list[str]], line_end: str
) -> None:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator=line_end).writerows(table)
    records = records_of(text.getvalue().encode())
    assert [record.fault for record in records] == [None] * len(table)
    reference = list(csv.reader(io.StringIO(text.getvalue(), newline="")))
    assert [record.cells for record in records] == reference == table


@given(TABLE)
def test_sparsely_quoted_cells_are_read_as_the_csv_module_reads_them_but_for_padding(
    table: list[list[str]],
) -> None:
    text = io.StringIO()
    csv.writer(text).writerows(table)
    reference = list(csv.reader(io.StringIO(text.getvalue(), newline="")))
    kept = [[cell.strip() for cell in row] for row in reference]
    read = [
        [cell.strip() for cell in record.cells] for record in records_of(text.getvalue().encode())
    ]
    assert read == kept


@given(TABLE)
def test_a_stream_that_drips_and_a_gzip_stream_give_the_same_records(
    table: list[list[str]],
) -> None:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(table)
    data = text.getvalue().encode()
    plain = records_of(data)
    assert list(read_records(Drip(data))) == plain  # type: ignore[arg-type]
    packed = gzip.compress(data)
    assert records_of(packed) == plain
    assert list(read_records(Drip(packed))) == plain  # type: ignore[arg-type]


def test_a_record_stands_on_the_line_it_begins_on() -> None:
    data = b'a,b\n"one\n\ntwo",x\n\n  \nlast,y'
    assert rows_of(data) == [(1, ["a", "b"]), (2, ["one\n\ntwo", "x"]), (7, ["last", "y"])]


def test_padding_goes_outside_quotes_and_stays_inside() -> None:
    assert split_cells(' a  ,  " b "  ,c ,') == ["a", " b ", "c", ""]
    assert split_cells('"say ""hi""",""') == ['say "hi"', ""]


@pytest.mark.parametrize("text", ['a"b,c', '"a"b,c', '"a', 'a,"', '"a" "b"', '""a,b'])
def test_quotes_that_do_not_stand_around_a_field_are_no_cells(text: str) -> None:
    assert split_cells(text) is None


def test_a_byte_order_mark_is_not_part_of_the_first_name() -> None:
    assert rows_of(b"\xef\xbb\xbfa,b\n") == [(1, ["a", "b"])]
    assert rows_of(b"\xef\xbb\xbf") == []


def test_utf_16_is_told_at_once() -> None:
    assert rows_of("a,b\n1,2\n".encode("utf-16")) == [(1, "invalid_utf8")]


def test_invalid_utf8_costs_its_row_only() -> None:
    assert rows_of(b"a,b\n1,\xff2\n3,4\n") == [
        (1, ["a", "b"]),
        (2, "invalid_utf8"),
        (3, ["3", "4"]),
    ]


def test_a_zero_byte_costs_its_row_only() -> None:
    assert rows_of(b"a,b\n1,\x002\n3,4\n") == [(1, ["a", "b"]), (2, "nul_byte"), (3, ["3", "4"])]


@pytest.mark.parametrize(
    ("data", "codes"),
    [
        (b'a,"b\nc,d\ne,f\n', [(1, "unbalanced_quote"), (2, ["c", "d"]), (3, ["e", "f"])]),
        (b'a,b"\nc,d\n', [(1, "unbalanced_quote"), (2, ["c", "d"])]),
        (b'"a,b\n"c",d\n', [(1, "unbalanced_quote"), (2, ["c", "d"])]),
        (b'a,"b\nc,"d\n', [(1, "unbalanced_quote"), (2, "unbalanced_quote")]),
    ],
)
def test_a_quote_that_never_closes_costs_its_row_only(
    data: bytes, codes: list[tuple[int, str | list[str]]]
) -> None:
    assert rows_of(data) == codes


def test_a_line_over_the_bound_costs_its_row_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_lines, "RECORD_BYTES_MAX", 40)
    long = b"x" * 41
    for data in (b"a,b\n" + long + b"\n3,4\n", b"a,b\n" + long + b"," + long + b"\n3,4\n"):
        assert rows_of(data) == [(1, ["a", "b"]), (2, "row_too_long"), (3, ["3", "4"])]
    assert rows_of(b"a,b\n" + long) == [(1, ["a", "b"]), (2, "row_too_long")]


def test_a_line_over_the_bound_is_told_across_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_lines, "RECORD_BYTES_MAX", 40)
    monkeypatch.setattr(csv_lines, "PIECE_BYTES", 16)
    data = b"a,b\n" + b"x" * 200 + b"\n3,4\n"
    assert rows_of(data) == [(1, ["a", "b"]), (2, "row_too_long"), (3, ["3", "4"])]
    assert rows_of(data[:-5]) == [(1, ["a", "b"]), (2, "row_too_long")]


def test_a_quoted_record_over_the_bound_gives_its_later_lines_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(csv_lines, "RECORD_BYTES_MAX", 20)
    data = b'a,"b\n' + b"1234567,8\n" * 3
    assert rows_of(data) == [(1, "unbalanced_quote")] + [(n, ["1234567", "8"]) for n in (2, 3, 4)]


def test_many_open_quotes_cost_a_row_each_and_no_long_search() -> None:
    lines = 20_000
    data = b'a","\n' * lines
    assert len(records_of(data)) == lines


def test_a_cut_gzip_gives_its_whole_rows_and_then_says_so() -> None:
    body = b"a,b\n" + b"".join(b"%d,%d\n" % (n, n * 7919 % 1000) for n in range(5_000))
    packed = gzip.compress(body)
    for size in (len(packed) - 1, len(packed) - 9, len(packed) // 2):
        records = records_of(packed[:size])
        fault = records[-1].fault
        assert fault is not None
        assert (fault.code, fault.is_end) == ("truncated_file", True)
        whole = [record.cells for record in records[:-1]]
        assert whole == [line.split(",") for line in body.decode().splitlines()][: len(whole)]
        assert records[-1].row == records[-2].row == len(whole)


def test_every_cut_of_a_small_gzip_is_told() -> None:
    packed = gzip.compress(b"a,b\n1,2\n")
    for size in range(2, len(packed)):
        assert [r.fault.code for r in records_of(packed[:size]) if r.fault] == ["truncated_file"]


def test_a_gzip_with_a_wrong_checksum_or_rubbish_after_it_is_corrupt() -> None:
    packed = bytearray(gzip.compress(b"a,b\n1,2\n"))
    assert rows_of(bytes(packed) + b"rubbish")[-1] == (2, "corrupt_file")
    packed[-8] ^= 1
    assert rows_of(bytes(packed))[-1][1] == "corrupt_file"


def test_gzip_members_and_padding_are_one_file() -> None:
    packed = gzip.compress(b"a,b\n1,") + b"\0" * 70_000 + gzip.compress(b"2\n3,4\n") + b"\0\0"
    assert rows_of(packed) == [(1, ["a", "b"]), (2, ["1", "2"]), (3, ["3", "4"])]


def test_a_small_gzip_that_grows_enormous_meets_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_lines, "FILE_BYTES_MAX", 200_000)
    packed = zlib.compress(b"1,2\n" * 1_000_000, wbits=31)
    records = records_of(packed)
    assert len(packed) < 20_000
    assert len(records) < 60_000
    assert records[-1].fault is not None
    assert records[-1].fault.code == "file_too_large"
