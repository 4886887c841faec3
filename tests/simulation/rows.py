"""Tables in memory: their definitions, and what is committed of them, with indexes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

Row = dict[str, Any]
Key = tuple[Any, ...]


class Table:
    """A table's definition: its key, what must be unique in it, what must hold, who may see it."""

    def __init__(
        self,
        name: str,
        key: Sequence[str],
        *,
        is_walled: bool = True,
        is_transport: bool = False,
        unique: Mapping[str, Sequence[str]] | None = None,
        checks: Mapping[str, Callable[[Row], bool]] | None = None,
        indexes: Sequence[Sequence[str]] = (),
    ) -> None:
        self.name = name
        self.key = tuple(key)
        self.is_walled = is_walled
        self.is_transport = is_transport
        self.unique = {label: tuple(columns) for label, columns in (unique or {}).items()}
        self.checks = dict(checks or {})
        self.indexes = [tuple(columns) for columns in indexes]

    def key_of(self, row: Row) -> Key:
        """The values of a row's key."""
        return tuple([row[column] for column in self.key])


class Rows:
    """What is committed of one table, with its indexes and unique keys."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.rows: dict[Key, Row] = {}
        self.indexes: dict[tuple[str, ...], dict[Key, dict[Key, Row]]] = {
            columns: {} for columns in table.indexes
        }
        self.unique: dict[str, dict[Key, Key]] = {label: {} for label in table.unique}
        self._indexes = [(_values(columns), self.indexes[columns]) for columns in table.indexes]
        self._unique = [
            (_values(columns), self.unique[label]) for label, columns in table.unique.items()
        ]

    def put(self, key: Key, row: Row | None) -> None:
        """Makes a version the newest committed one; None takes the row away."""
        before = self.rows.get(key)
        if row is None:
            self.rows.pop(key, None)
        else:
            self.rows[key] = row
        for values_of, index in self._indexes:
            old = None if before is None else values_of(before)
            new = None if row is None else values_of(row)
            if old is not None and old != new:
                del index[old][key]
            if row is not None and new is not None:
                found = index.get(new)
                if found is None:
                    found = index[new] = {}
                found[key] = row
        for values_of, owners in self._unique:
            if before is not None:
                owners.pop(values_of(before), None)
            if row is not None and None not in (values := values_of(row)):
                owners[values] = key


def _values(columns: Sequence[str]) -> Callable[[Row], Key]:
    """What takes the values of columns, as a key, also where there is one column only."""
    if len(columns) == 1:
        (only,) = columns
        return lambda row: (row[only],)
    return itemgetter(*columns)


def merged(found: Mapping[Key, Row], own: Mapping[Key, Row | None]) -> Iterator[Row]:
    """The committed rows with a transaction's own versions in their place."""
    for key, row in found.items():
        mine = own.get(key, row)
        if mine is not None:
            yield mine
    for key, mine in own.items():
        if mine is not None and key not in found:
            yield mine
