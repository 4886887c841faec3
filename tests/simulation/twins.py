"""The register of twins: for a named statement, the function that answers it from memory."""

import contextlib
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import asyncpg

from serai.kernel import queries
from serai.kernel.tenant import POOLED
from tests.simulation.rows import Row
from tests.simulation.storage import Session

Answer = list[Row] | int
Twin = Callable[..., Awaitable[Answer]]

_twins: dict[str, tuple[str, Twin]] = {}
"""By the statement's text in the pooled home: its full name and its twin."""
_WRITES = re.compile(r"\b(INSERT INTO|DELETE FROM|UPDATE)\b")
_writing: set[str] = set()
"""The texts of those that write or lock, which PostgreSQL refuses where nothing may be written."""


def twin(package: str, name: str) -> Callable[[Twin], Twin]:
    """Registers `async def name(session, *args)` as the twin of a named statement.

    It answers with the statement's rows, or for a statement without rows with how many it touched.
    """
    text = queries.load(package).statements[name].text(POOLED.prefix)

    def register(function: Twin) -> Twin:
        if text in _twins:
            raise ValueError(f"{package}.{name} has two twins")
        _twins[text] = (f"{package}.{name}", function)
        if _WRITES.search(text):
            _writing.add(text)
        return function

    return register


class NoTwin(Exception):
    """A history uses a statement that nobody has written a twin of."""


async def answer(session: Session, text: str, args: tuple[Any, ...]) -> Answer:
    """What the statement with this text answers."""
    entry = _twins.get(text)
    if entry is None:
        raise NoTwin(text.partition("*/")[0].strip("/* "))
    if _has_zero(args):
        raise asyncpg.CharacterNotInRepertoireError(
            'invalid byte sequence for encoding "UTF8": 0x00'
        )
    if session.is_read_only and text in _writing:
        raise asyncpg.ReadOnlySQLTransactionError(f"cannot execute {entry[0]} when read-only")
    return await entry[1](session, *args)


def _has_zero(args: Sequence[Any]) -> bool:
    """Whether a text holds what no text in PostgreSQL can hold; the whole statement fails by it."""
    for arg in args:
        for one in arg if isinstance(arg, list) else (arg,):
            if type(one) is str:
                if "\0" in one:
                    return True
            elif one is not None:
                break
    return False


def name_of(text: str) -> str:
    """The full name of the statement with this text."""
    return _twins[text][0] if text in _twins else text


def all_twins() -> dict[str, Twin]:
    """Every registered twin by its statement's full name."""
    return dict(_twins.values())


@contextlib.contextmanager
def replaced(full_name: str, function: Twin) -> Iterator[Twin]:
    """Puts another function in a twin's place for a while; yields the one that it stands for."""
    (text,) = (text for text, (name, _) in _twins.items() if name == full_name)
    before = _twins[text]
    _twins[text] = (full_name, function)
    try:
        yield before[1]
    finally:
        _twins[text] = before
