"""Records of odd files, beside a plain reader that is made of Python's csv module alone."""

import csv
import gzip
import io

from hypothesis import given
from hypothesis import strategies as st

from serai.contexts.catalog.gateways.csv_lines import read_records

MARK = b"\xef\xbb\xbf"
"""The byte order mark that spreadsheets put before UTF-8."""
CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=10)
ROW = st.lists(CELL, min_size=2, max_size=4)
ENDS = st.sampled_from(["\n", "\r\n"])
ENCODINGS = st.sampled_from(["utf-8", "latin-1", "cp1252"])


def write_row(cells: list[str], line_end: str) -> str:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator=line_end).writerow(cells)
    return text.getvalue()


def reference(rows: list[bytes]) -> list[list[str] | None]:
    """The cells of each row by itself; None for one that is no UTF-8."""
    found: list[list[str] | None] = []
    for row in rows:
        try:
            (cells,) = csv.reader(io.StringIO(row.decode("utf-8"), newline=""))
        except UnicodeDecodeError:
            found.append(None)
        else:
            found.append(cells)
    return found


@given(
    st.lists(st.tuples(ROW, ENDS), min_size=1, max_size=6), st.tuples(st.booleans(), st.booleans())
)
def test_marks_line_ends_and_compression_change_nothing(
    rows: list[tuple[list[str], str]], ways: tuple[bool, bool]
) -> None:
    written = [write_row(cells, end).encode() for cells, end in rows]
    has_mark, is_packed = ways
    data = (MARK if has_mark else b"") + b"".join(written)
    records = list(read_records(io.BytesIO(gzip.compress(data) if is_packed else data)))
    assert [record.cells for record in records] == reference(written)
    assert not any(record.fault for record in records)


@given(st.lists(st.tuples(ROW, ENDS, ENCODINGS), min_size=1, max_size=6))
def test_a_row_in_another_encoding_is_refused_and_its_neighbours_are_read(
    rows: list[tuple[list[str], str, str]],
) -> None:
    written = [write_row(cells, end).encode(encoding, "replace") for cells, end, encoding in rows]
    records = list(read_records(io.BytesIO(b"".join(written))))
    expected = reference(written)
    assert len(records) == len(expected)
    for record, cells in zip(records, expected, strict=True):
        if cells is None:
            assert record.fault is not None
            assert record.fault.code == "invalid_utf8"
        else:
            assert (record.cells, record.fault) == (cells, None)
