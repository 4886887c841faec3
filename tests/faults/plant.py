"""How a known fault is planted into the loaded product, and dug out again.

The product knows nothing of any of this: a function, a method, a number or the text of a named
statement is replaced while a test runs, and put back behind it.
"""

import contextlib
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import msgspec

from serai.kernel import queries

Make = Callable[[Any], Any]
"""Makes the replacement from the original."""
Plant = Callable[[], AbstractContextManager[None]]

_NAMESPACES = ("serai", "tests")


class Fault(msgspec.Struct, frozen=True):
    """A bug that somebody could well write, and what it would do to a shop."""

    name: str
    sentence: str
    """What it breaks."""
    plant: Plant
    """Plants it for as long as the context is open: for PostgreSQL, real or simulated."""
    plant_schema: Plant | None = None
    """Plants it into the migrations instead, for a fault that lies in the schema."""


@contextlib.contextmanager
def replaced(owner: Any, name: str, make: Make) -> Iterator[None]:
    """Replaces an attribute of a class or of a module.

    What other modules have imported by name from a module is replaced there too, so that a fault
    does not depend on how its function is reached.
    """
    original = owner.__dict__[name]
    replacement = make(original)
    for holder in _holders(owner, name, original):
        setattr(holder, name, replacement)
    try:
        yield
    finally:
        # Looked for again: a module that was first imported meanwhile holds the replacement.
        for holder in _holders(owner, name, replacement):
            setattr(holder, name, original)


def planting(owner: Any, name: str, make: Make) -> Plant:
    """The plant of a fault that is one replaced attribute."""
    return lambda: replaced(owner, name, make)


def _holders(owner: Any, name: str, value: Any) -> list[Any]:
    """Who holds the value under this name: the class, or the module and all its importers."""
    if isinstance(owner, type):
        return [owner]
    return [
        module
        for path, module in list(sys.modules.items())
        if path.split(".")[0] in _NAMESPACES and vars(module).get(name) is value
    ]


@contextlib.contextmanager
def reworded(package: str, statement: str, before: str, after: str) -> Iterator[None]:
    """Replaces words of a named statement; the words must be there, so that no plant is in vain."""
    own = queries.load(package).statements
    original = own[statement]
    if before not in original.template:
        raise AssertionError(f"{package}.{statement} does not say {before!r}")
    template = original.template.replace(before, after)
    changed = queries.Statement(original.name, original.sentence, template)
    own[statement] = changed
    try:
        yield
    finally:
        own[statement] = original


@contextlib.contextmanager
def side_by_side(*plants: AbstractContextManager[None]) -> Iterator[None]:
    """Plants several changes as one."""
    with contextlib.ExitStack() as stack:
        for plant in plants:
            stack.enter_context(plant)
        yield


@contextlib.contextmanager
def nothing() -> Iterator[None]:
    """Plants nothing into the code."""
    yield
