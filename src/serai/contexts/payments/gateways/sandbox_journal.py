"""The sandbox's journal: what happened to its book, one JSON line each, so that it survives a kill.

A record is appended and handed to the operating system before the answer that depends on it is
given, so killing the process loses nothing that was promised. It is not forced to the disk: the
sandbox holds play money, and a power cut may cost its last moments.
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from serai.contexts.payments.ports import Charge, Refund

LINE_BYTES_MAX = 64 * 1024


class Opened(msgspec.Struct, frozen=True, gc=False, tag_field="did", tag="opened"):
    """A charge was accepted; it is decided at `due_at` if that is set and `is_pending`."""

    charge: Charge
    capture: bool
    due_at: float | None
    is_pending: bool
    at: float


class Taken(msgspec.Struct, frozen=True, gc=False, tag_field="did", tag="taken"):
    """Held money was captured."""

    key: str
    amount_minor: int
    at: float


class Voided(msgspec.Struct, frozen=True, gc=False, tag_field="did", tag="voided"):
    """A key was closed for good."""

    key: str
    at: float


class Repaid(msgspec.Struct, frozen=True, gc=False, tag_field="did", tag="repaid"):
    """Captured money was given back."""

    refund: Refund
    at: float


class Told(msgspec.Struct, frozen=True, gc=False, tag_field="did", tag="told"):
    """The callbacks of a charge were delivered and need not be sent again."""

    key: str
    at: float


Record = Opened | Taken | Voided | Repaid | Told


class JournalInUseError(Exception):
    """Another process writes this journal; two books over one journal would contradict each other.

    Stop the other sandbox or name another file.
    """


class JournalBrokenError(Exception):
    """A line before the last cannot be read. The file was changed by something else."""


class Journal:
    """An append-only file of records that one process at a time may hold."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._encoder = msgspec.json.Encoder()
        self._file = path.open("a+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            message = f"{path} is held by another process"
            raise JournalInUseError(message) from error

    def read(self) -> Iterator[Record]:
        """Every record, oldest first. A last line cut short by a crash is removed from the file.

        Nothing was ever answered on the strength of such a line, so removing it breaks no promise.
        """
        decoder = msgspec.json.Decoder(Record)
        self._file.seek(0)
        whole_bytes = 0
        number = 0
        while line := self._file.readline(LINE_BYTES_MAX):
            number += 1
            if not line.endswith(b"\n") and len(line) < LINE_BYTES_MAX:
                self._file.truncate(whole_bytes)
                break
            try:
                record = decoder.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                message = f"{self._path}, line {number}: {error}"
                raise JournalBrokenError(message) from error
            whole_bytes += len(line)
            yield record
        self._file.seek(0, os.SEEK_END)

    def append(self, records: Sequence[Record]) -> None:
        """Write the records and hand them to the operating system before returning.

        The write goes to the page cache and takes microseconds, which is why it is done in the
        caller's thread even under an event loop.
        """
        self._file.write(self._encoder.encode_lines(records))
        self._file.flush()

    def close(self) -> None:
        """Give the file back; another process may hold it from here on."""
        self._file.close()
