"""The register of twins: for a named statement, the function that answers it from memory."""

from collections.abc import Awaitable, Callable
from typing import Any

from serai.kernel import queries
from serai.kernel.tenant import POOLED
from tests.simulation.storage import Row, Session

Answer = list[Row] | int
Twin = Callable[..., Awaitable[Answer]]

_twins: dict[str, tuple[str, Twin]] = {}
"""By the statement's text in the pooled home: its full name and its twin."""


def twin(package: str, name: str) -> Callable[[Twin], Twin]:
    """Registers `async def name(session, *args)` as the twin of a named statement.

    It answers with the statement's rows, or for a statement without rows with how many it touched.
    """
    text = queries.load(package).statements[name].text(POOLED.prefix)

    def register(function: Twin) -> Twin:
        if text in _twins:
            raise ValueError(f"{package}.{name} has two twins")
        _twins[text] = (f"{package}.{name}", function)
        return function

    return register


class NoTwin(Exception):
    """A history uses a statement that nobody has written a twin of."""


async def answer(session: Session, text: str, args: tuple[Any, ...]) -> Answer:
    """What the statement with this text answers."""
    entry = _twins.get(text)
    if entry is None:
        raise NoTwin(text.partition("*/")[0].strip("/* "))
    return await entry[1](session, *args)


def name_of(text: str) -> str:
    """The full name of the statement with this text."""
    return _twins[text][0] if text in _twins else text


def all_twins() -> dict[str, Twin]:
    """Every registered twin by its statement's full name."""
    return dict(_twins.values())
