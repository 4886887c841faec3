"""How a statement that locks or changes several rows goes about it, one row after the other.

What matches is seen first, in the statement's snapshot. Then each row is locked, which may wait for
another transaction, and is looked at anew: what no longer matches by then is left alone.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from tests.simulation.rows import Key, Row
from tests.simulation.storage import Session

Given = TypeVar("Given")


def by_key(keys: Iterable[Key], given: Iterable[Given]) -> dict[Key, Given]:
    """What is given for each key; an UPDATE heeds only the first of those that name a row."""
    wanted: dict[Key, Given] = {}
    for key, one in zip(keys, given, strict=True):
        wanted.setdefault(key, one)
    return wanted


def in_order(wanted: Mapping[Key, Given]) -> dict[Key, Given]:
    """The same, by key: the order in which a statement with a sorted side locks."""
    return {key: wanted[key] for key in sorted(wanted)}


def keys_of(*named: Sequence[Any]) -> list[Key]:
    """The keys in columns side by side, as unnest makes rows of arrays."""
    return list(zip(*named, strict=True))


async def lock_each(
    session: Session,
    table: str,
    keys: Iterable[Key],
    holds: Callable[[Row], bool] = lambda _row: True,
    *,
    skip_locked: bool = False,
) -> list[Row]:
    """SELECT … FOR UPDATE of the rows under the keys, in the order of these."""
    seen = [key for key in keys if (row := session.get(table, key)) is not None and holds(row)]
    locked = []
    for key in seen:
        row = await session.lock(table, key, skip_locked=skip_locked)
        if row is not None and holds(row):
            locked.append(row)
    return locked


async def change_each(
    session: Session,
    table: str,
    wanted: Mapping[Key, Given],
    change: Callable[[Row, Given], dict[str, Any] | None],
) -> list[tuple[Row, Given]]:
    """UPDATE … FROM: `change` tells what becomes of a row, None where WHERE does not hold.

    Returns the rows as they are then, each with what was given for it.
    """
    return await change_seen(session, table, see(session, table, wanted), wanted, change)


def see(session: Session, table: str, keys: Iterable[Key]) -> dict[Key, Row]:
    """The rows under the keys as the statement's snapshot has them."""
    return {key: row for key in keys if (row := session.get(table, key)) is not None}


async def change_seen(
    session: Session,
    table: str,
    snapshot: Mapping[Key, Row],
    wanted: Mapping[Key, Given],
    change: Callable[[Row, Given], dict[str, Any] | None],
) -> list[tuple[Row, Given]]:
    """The same for a statement that has seen the rows before it waited for others.

    PostgreSQL first makes the new row from the one it has seen, and that must already keep the
    CHECKs; only when it writes does it find a newer one, and makes it anew from that.
    """
    seen = [
        (key, given, snapshot[key], changes)
        for key, given in wanted.items()
        if key in snapshot and (changes := change(snapshot[key], given)) is not None
    ]
    changed = []
    for key, given, before, first in seen:
        after = {**before, **first}
        session.check(table, after)
        row = await session.lock(table, key)
        if row is None:
            continue
        if row is not before:
            # A row is never changed in place: another one was written in the meantime.
            anew = change(row, given)
            if anew is None:
                continue
            after = {**row, **anew}
            session.check(table, after)
        session.write(table, key, after)
        changed.append((after, given))
    return changed


async def delete_each(session: Session, table: str, keys: Iterable[Key]) -> int:
    """DELETE … USING: how many rows are gone."""
    seen = [key for key in dict.fromkeys(keys) if session.get(table, key) is not None]
    return sum([await session.delete(table, key) for key in seen])
