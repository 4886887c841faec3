"""Rows as asyncpg hands them out: reached by name or place, unpacked in the statement's order."""

from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import Any

from tests.simulation.rows import Row


class Record(dict[str, Any]):
    """One row of an answer; iterates over its values, as asyncpg's Record does."""

    __slots__ = ()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.values())

    def __missing__(self, place: int) -> Any:
        if isinstance(place, int):
            return list(self.values())[place]
        raise KeyError(place)


def columns(names: str) -> Callable[[Row], Row]:
    """What takes the named columns of a row, in this order, as a SELECT's list does."""
    wanted = tuple(names.replace(",", " ").split())
    if len(wanted) == 1:
        (only,) = wanted
        return lambda row: Record({only: row[only]})
    values = itemgetter(*wanted)
    return lambda row: Record(zip(wanted, values(row), strict=True))
