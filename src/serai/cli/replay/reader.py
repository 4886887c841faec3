"""Reads a retail file: rows that can be carried out, and what is wrong with each of the others.

The layout is that of the UCI Online Retail data: comma-separated with a header, in UTF-8, plain
or gzipped. The file is read twice: once to see that it is whole and to know it by its content, and
once for its rows. So a truncated file is refused before anything is sent.
"""

import collections
import csv
import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import msgspec

from serai.contexts.catalog.contract import RowProblem

COLUMNS: Final = (
    "InvoiceNo", "StockCode", "Description", "Quantity", "UnitPrice", "CustomerID",
)  # fmt: skip
"""What is read; columns beside these are passed over."""
CONTENT_BYTES_MAX: Final = 4 * 1024**3
CHUNK_BYTES: Final = 1 << 20
LINE_CHARS_MAX: Final = 1 << 20
"""A longer line is read in pieces, each of which proves broken by itself."""
RECORD_LINES_MAX: Final = 100
SHOWN_CHARS_MAX: Final = 40
_GZIP_MAGIC: Final = b"\x1f\x8b"


class FileFault(Exception):
    """The file as a whole cannot be replayed; nothing was sent. The message says why."""


class Row(msgspec.Struct, frozen=True, gc=False):
    """One row as the file has it; `line` is the line, counted from 1, on which it begins."""

    line: int
    invoice: str
    sku: str
    description: str
    quantity: int
    price: Decimal
    customer: str


class Content(NamedTuple):
    """What a file holds, unpacked: its SHA-256, and how many lines."""

    sha256: str
    lines: int


def examine(path: Path) -> Content:
    """Reads a file once to its end; FileFault unless that can be done."""
    digest = hashlib.sha256()
    size = lines = 0
    with _opened(path) as file:
        while chunk := _read(file, path):
            digest.update(chunk)
            size += len(chunk)
            lines += chunk.count(b"\n")
            if size > CONTENT_BYTES_MAX:
                raise FileFault(f"{path} holds more than {CONTENT_BYTES_MAX >> 30} GiB")
    if not size:
        raise FileFault(f"{path} is empty")
    return Content(digest.hexdigest(), lines)


def read_rows(path: Path) -> Iterator[Row | RowProblem]:
    """Each row in file order, or what is wrong with it; FileFault where the header is not ours."""
    with (
        _opened(path) as file,
        io.TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline="") as text,
    ):
        records = _Records(text)
        header = next((record for record in records if record), None)
        places = _find_columns(header if isinstance(header, list) else [])
        width = len(header or ())
        cells = _Cells(places, width)
        for record in records:
            if isinstance(record, str):
                yield RowProblem(records.line, None, "unreadable_row", record)
                continue
            if not record:
                continue
            row = cells.parse(records.line, record)
            if isinstance(row, RowProblem):
                records.step_back()
            yield row


class _Records:
    """The records of a CSV file, from which a quote that was never closed takes one line only.

    Such a quote makes one record of all lines to the next quote. A record of several lines is
    therefore believed only if it is strictly well-formed; one that is broken in any way is given up
    with its first line, and its other lines are read again as rows of their own.
    """

    def __init__(self, source: IO[str]) -> None:
        self._source = source
        self._again: collections.deque[str] = collections.deque()
        self._taken: list[str] = []
        self._next_line = 1
        self._reader = csv.reader(self._lines())
        self.line = 0

    def __iter__(self) -> Iterator[list[str] | str]:
        """Each record, or why one cannot be read."""
        while True:
            self._next_line += len(self._taken)
            self._taken.clear()
            self.line = self._next_line
            try:
                record = next(self._reader)
                if len(self._taken) > 1:
                    self._check_strictly()
            except StopIteration:
                return
            except csv.Error as error:
                self.step_back()
                yield f"{error}; is a quote left open?"
            else:
                yield record

    def step_back(self) -> None:
        """Gives back all lines of the last record but its first."""
        self._again.extendleft(reversed(self._taken[1:]))
        del self._taken[1:]
        # A new one: the old may stand inside of a quote, or at the end of what it reads.
        self._reader = csv.reader(self._lines())

    def _check_strictly(self) -> None:
        if len(self._taken) > RECORD_LINES_MAX:
            raise csv.Error(f"a row goes on for more than {RECORD_LINES_MAX} lines")
        for _record in csv.reader(self._taken, strict=True):
            pass

    def _lines(self) -> Iterator[str]:
        while True:
            line = self._again.popleft() if self._again else self._source.readline(LINE_CHARS_MAX)
            if not line:
                return
            self._taken.append(line)
            yield line


class _Cells:
    """Turns records into rows; remembers prices, of which a shop has few."""

    def __init__(self, places: Sequence[int], width: int) -> None:
        self._places = places
        self._width = width
        self._prices: dict[str, Decimal | None] = {}

    def parse(self, line: int, record: Sequence[str]) -> Row | RowProblem:
        """The row of a record, or what is wrong with it."""
        if len(record) != self._width and (len(record) < self._width or any(record[self._width :])):
            detail = f"it has {len(record)} fields, the header {self._width}"
            return RowProblem(line, None, "wrong_number_of_fields", detail)
        invoice, sku, description, quantity_text, price_text, customer = (
            record[place] for place in self._places
        )
        if not invoice:
            return RowProblem(line, "InvoiceNo", "empty_field", "it has no invoice number")
        for column, text in (("InvoiceNo", invoice), ("StockCode", sku), ("CustomerID", customer)):
            if not text.isascii() and not _is_unicode(text):
                return RowProblem(line, column, "not_utf8", f"{_show(text)} is not UTF-8")
        try:
            quantity = int(quantity_text)
        except ValueError:
            detail = f"{_show(quantity_text)} is not a whole number"
            return RowProblem(line, "Quantity", "bad_quantity", detail)
        price = self._price(price_text)
        if price is None:
            detail = f"{_show(price_text)} is not a decimal number"
            return RowProblem(line, "UnitPrice", "bad_price", detail)
        return Row(line, invoice, sku, description, quantity, price, customer)

    def _price(self, text: str) -> Decimal | None:
        if text not in self._prices:
            try:
                price = Decimal(text)
            except InvalidOperation:
                self._prices[text] = None
            else:
                self._prices[text] = price if price.is_finite() else None
        return self._prices[text]


def _find_columns(header: Sequence[str]) -> list[int]:
    names = [name.strip() for name in header]
    missing = [column for column in COLUMNS if column not in names]
    if missing:
        raise FileFault(
            f"the header lacks {', '.join(missing)}; it has "
            f"{', '.join(_show(name) for name in names[:20]) or 'nothing'}"
        )
    twice = [column for column in COLUMNS if names.count(column) > 1]
    if twice:
        raise FileFault(f"the header names {', '.join(twice)} more than once")
    return [names.index(column) for column in COLUMNS]


def _opened(path: Path) -> IO[bytes]:
    """The content as bytes. What a file is tells its first two bytes, not its name."""
    try:
        if not path.is_file():
            raise FileFault(f"{path} is no file" if path.exists() else f"there is no file {path}")
        with path.open("rb") as file:
            is_packed = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
        opened: Any = gzip.open(path) if is_packed else path.open("rb")  # noqa: SIM115 - the caller closes it
    except OSError as error:
        raise FileFault(f"{path} cannot be opened: {error.strerror}") from error
    content: IO[bytes] = opened
    return content


def _read(file: IO[bytes], path: Path) -> bytes:
    try:
        return file.read(CHUNK_BYTES)
    except EOFError as error:
        raise FileFault(f"{path} is a gzip file that was cut off before its end") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise FileFault(f"{path} is a damaged gzip file: {error}") from error
    except OSError as error:
        raise FileFault(f"{path} cannot be read: {error.strerror or error}") from error


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _show(text: str) -> str:
    short = text if len(text) <= SHOWN_CHARS_MAX else f"{text[:SHOWN_CHARS_MAX]}…"
    return ascii(short) if not short.isprintable() or not _is_unicode(short) else repr(short)
