"""Turns a file of bytes into CSV records and loses no row to its neighbour's damage.

Plain or gzip (told by its first bytes), read in pieces, so that a file of any length needs little
memory. The quoting of RFC 4180 is kept strictly: a quote stands only around a whole field. That
makes the number of quotes on a line tell whether the record goes on, and it lets the reader step
back after a quote that never closes and go on with the very next line, in linear time.
"""

import re
import zlib
from collections import deque
from collections.abc import Iterator
from typing import BinaryIO, Final

import msgspec

PIECE_BYTES: Final = 65_536
RECORD_BYTES_MAX: Final = 1_048_576
FILE_BYTES_MAX: Final = 4 * 1_073_741_824
GUESS_BYTES_MAX: Final = 4_096

_GZIP_MAGIC: Final = b"\x1f\x8b"
_ZLIB_READS_GZIP: Final = 31
_UTF8_MARK: Final = b"\xef\xbb\xbf"
_UTF16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")

# Possessive quantifiers: a long field that is never closed is given up at once, not retried.
_FIELD: Final = re.compile(
    r'[ \t]*+"(?P<quoted>(?:[^"]++|"")*+)"[ \t]*+(?P<after>,|\Z)|(?P<bare>[^",]*+)(?P<then>,|\Z)'
)


class Fault(msgspec.Struct, frozen=True):
    """Why a record could not be read; `is_end` when nothing after it can be read either."""

    code: str
    detail: str
    is_end: bool = False


class Record(msgspec.Struct, frozen=True):
    """One record and the line it begins on. With a fault, the cells are only a best guess."""

    row: int
    cells: list[str]
    fault: Fault | None = None


class _Line(msgspec.Struct, frozen=True):
    row: int
    data: bytes
    is_too_long: bool = False


_INVALID_UTF8 = Fault("invalid_utf8", "The row is not valid UTF-8. Save the file as UTF-8.")
_UTF16_FILE = Fault("invalid_utf8", "The file is UTF-16. Save it as UTF-8.", is_end=True)
_NUL_BYTE = Fault("nul_byte", "The row holds a zero byte, which text cannot hold. Remove it.")
_UNBALANCED_QUOTE = Fault(
    "unbalanced_quote",
    'A quote does not stand around a whole field. Write "..." around the field and double each '
    "quote inside it.",
)
_ROW_TOO_LONG = Fault(
    "row_too_long", f"The row is longer than {RECORD_BYTES_MAX:,} bytes. Shorten its fields."
)
_TRUNCATED = Fault(
    "truncated_file",
    "The compressed file stops in the middle, and nothing of it was taken. Send the whole file.",
    is_end=True,
)
_CORRUPT = Fault(
    "corrupt_file",
    "The compressed file is damaged from here on, and nothing of it was taken. Compress it again.",
    is_end=True,
)


def _too_large(bytes_max: int) -> Fault:
    detail = f"The file holds more than {bytes_max:,} bytes. Split it into several files."
    return Fault("file_too_large", detail, is_end=True)


def find_damage(stream: BinaryIO, *, bytes_max: int | None = None) -> Record | None:
    """Reads a file to its end: why it is not whole, and the row on which that shows.

    Whoever does not look here first has acted on the rows before the damage when it shows.
    """
    row = 1
    for piece in _read_pieces(stream, FILE_BYTES_MAX if bytes_max is None else bytes_max):
        if isinstance(piece, Fault):
            return Record(max(1, row - 1), [], piece)
        row += piece.count(b"\n")
    return None


def read_records(stream: BinaryIO, *, bytes_max: int | None = None) -> Iterator[Record]:
    """Every record of the file in order, the header first; blank lines are passed over.

    A fault with `is_end` comes last, after every whole record before it. `bytes_max` bounds the
    file as it is unpacked; without it FILE_BYTES_MAX does.
    """
    lines = _PushableLines(stream, FILE_BYTES_MAX if bytes_max is None else bytes_max)
    row = 1
    while (item := lines.take()) is not None:
        if isinstance(item, _Line) and item.row == 1:
            item = _without_mark(item)
        if isinstance(item, Fault):
            yield Record(row, [], item)
            return
        if not item.is_too_long and not item.data.strip():
            continue
        row = item.row
        yield _read_record(item, lines)


def split_cells(text: str) -> list[str] | None:
    """The fields of one record, or None when its quotes do not stand around whole fields.

    Blanks around an unquoted field are padding and go; inside quotes everything is kept.
    """
    if '"' not in text:
        return [cell.strip() for cell in text.split(",")]
    cells: list[str] = []
    position = 0
    while (match := _FIELD.match(text, position)) is not None:
        quoted = match["quoted"]
        cells.append(match["bare"].strip() if quoted is None else quoted.replace('""', '"'))
        if not (match["then"] if quoted is None else match["after"]):
            return cells
        position = match.end()
    return None


class _PushableLines:
    """The lines of the file, with a way to hand back those that a broken quote had taken in."""

    def __init__(self, stream: BinaryIO, bytes_max: int) -> None:
        self._source = _read_lines(stream, bytes_max)
        self._returned: deque[_Line | Fault] = deque()

    def take(self) -> _Line | Fault | None:
        if self._returned:
            return self._returned.popleft()
        return next(self._source, None)

    def give_back(self, lines: list[_Line | Fault]) -> None:
        self._returned.extendleft(reversed(lines))


def _without_mark(line: _Line) -> _Line | Fault:
    if line.data.startswith(_UTF16_MARKS):
        return _UTF16_FILE
    return _Line(line.row, line.data.removeprefix(_UTF8_MARK), line.is_too_long)


def _read_record(first: _Line, lines: _PushableLines) -> Record:
    if first.is_too_long:
        return Record(first.row, _guess_cells(first.data), _ROW_TOO_LONG)
    gathered: list[_Line | Fault] = []
    parts = [first.data]
    size, quotes = len(first.data), first.data.count(b'"')
    while quotes % 2:
        more = lines.take()
        if more is None:
            break
        gathered.append(more)
        if isinstance(more, Fault) or more.is_too_long or size + len(more.data) > RECORD_BYTES_MAX:
            break
        parts.append(more.data)
        size += len(more.data)
        quotes += more.data.count(b'"')
    data = b"".join(parts).removesuffix(b"\n").removesuffix(b"\r")
    fault = None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("utf-8", "replace")
        fault = _INVALID_UTF8
    cells = None if quotes % 2 else split_cells(text)
    if cells is None:
        lines.give_back(gathered)
        return Record(first.row, _guess_cells(first.data), _UNBALANCED_QUOTE)
    if fault is None and "\0" in text:
        fault = _NUL_BYTE
    return Record(first.row, cells, fault)


def _guess_cells(data: bytes) -> list[str]:
    """Enough of a broken row to tell whether it began a product: never used as its content."""
    text = data[:GUESS_BYTES_MAX].decode("utf-8", "replace")
    return [cell.strip(' \t\r\n"') for cell in text.split(",")]


def _read_lines(stream: BinaryIO, bytes_max: int) -> Iterator[_Line | Fault]:
    """Lines with their line feed; a line that a cut file left unfinished is not a line."""
    row = 1
    tail = b""
    is_skipping = False
    for piece in _read_pieces(stream, bytes_max):
        if isinstance(piece, Fault):
            yield piece
            return
        *whole, tail = (tail + piece).split(b"\n")
        for data in whole:
            if is_skipping:
                is_skipping = False
            elif len(data) >= RECORD_BYTES_MAX:
                yield _Line(row, data[:GUESS_BYTES_MAX], is_too_long=True)
            else:
                yield _Line(row, data + b"\n")
            row += 1
        if is_skipping:
            tail = b""
        elif len(tail) >= RECORD_BYTES_MAX:
            yield _Line(row, tail[:GUESS_BYTES_MAX], is_too_long=True)
            tail, is_skipping = b"", True
    if tail and not is_skipping:
        yield _Line(row, tail)


def _read_pieces(stream: BinaryIO, bytes_max: int) -> Iterator[bytes | Fault]:
    """Pieces of the plain file, whichever way it came; never more than the file's bound."""
    head = b""
    while len(head) < len(_GZIP_MAGIC) and (read := stream.read(PIECE_BYTES)):
        head += read
    pieces: Iterator[bytes | Fault] = (
        _inflate(head, stream) if head.startswith(_GZIP_MAGIC) else _read_plain(head, stream)
    )
    size = 0
    for piece in pieces:
        size += 0 if isinstance(piece, Fault) else len(piece)
        if size > bytes_max:
            yield _too_large(bytes_max)
            return
        yield piece


def _read_plain(head: bytes, stream: BinaryIO) -> Iterator[bytes]:
    data = head
    while data:
        yield data
        data = stream.read(PIECE_BYTES)


def _inflate(head: bytes, stream: BinaryIO) -> Iterator[bytes | Fault]:
    """Unpacks one gzip member after another; zero bytes between or after them are padding.

    What can be unpacked of a cut file is given before the fault. At most one piece is unpacked at
    a time, so a small file that grows enormous meets the file's bound, not the machine's memory.
    """
    inflate = zlib.decompressobj(_ZLIB_READS_GZIP)
    data = head
    while True:
        try:
            plain = inflate.decompress(data, PIECE_BYTES)
        except zlib.error:
            yield _CORRUPT
            return
        if plain:
            yield plain
        data = inflate.unused_data if inflate.eof else inflate.unconsumed_tail
        if inflate.eof:
            while not (data := data.lstrip(b"\0")):
                if not (data := stream.read(PIECE_BYTES)):
                    return
            inflate = zlib.decompressobj(_ZLIB_READS_GZIP)
        elif not data and len(plain) < PIECE_BYTES and not (data := stream.read(PIECE_BYTES)):
            yield _TRUNCATED
            return
