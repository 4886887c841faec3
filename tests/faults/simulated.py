"""The faults as they are planted into a simulated history.

Most are planted in the code and need nothing else. Where a statement's words are the fault, the
simulation answers the changed words by a twin that has the same fault.
"""

import collections
import contextlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from tests.faults.registry import planted
from tests.simulation import twins
from tests.simulation.rows import Key, Row
from tests.simulation.statements import inventory as true
from tests.simulation.statements.changing import by_key, change_each, keys_of, lock_each
from tests.simulation.statements.inventory import ITEMS, RESERVATIONS
from tests.simulation.statements.records import columns
from tests.simulation.storage import Session

COUNTED = ("received", "available", "reserved", "sold", "written_off")
_level = columns("tenant_id, sku, location, received, available, reserved, sold, written_off")


@contextlib.contextmanager
def planted_in_simulation(name: str) -> Iterator[None]:
    """Plants a fault by its name for simulated histories, until the context is left."""
    with planted(name), contextlib.ExitStack() as stack:
        # Entered one after the other: a twin is registered for the words as they stand by then.
        for statement, function in _TWINS.get(name, {}).items():
            stack.enter_context(_answered(statement, function))
        yield


@contextlib.contextmanager
def _answered(statement: str, function: twins.Twin) -> Iterator[None]:
    """Registers a twin of a statement's present words, which a fault has changed."""
    before = dict(twins._twins)  # noqa: SLF001 - a register has no way to forget
    twins.twin(true.HERE, statement)(function)
    try:
        yield
    finally:
        twins._twins.clear()  # noqa: SLF001 - as above
        twins._twins.update(before)  # noqa: SLF001 - as above


async def read_levels(
    session: Session, tenant_ids: Sequence[UUID], skus: Sequence[str]
) -> list[Row]:
    """`lock_levels` without its lock."""
    return [
        _level(row)
        for wanted in sorted(set(keys_of(tenant_ids, skus)))
        for row in session.find(ITEMS, ("tenant_id", "sku"), wanted, order=_place_of)
    ]


async def write_levels(
    session: Session,
    tenant_ids: Sequence[UUID],
    skus: Sequence[str],
    locations: Sequence[str],
    *sums: Sequence[int],
) -> int:
    """`change_levels` that writes sums over what stands there."""

    def put(_row: Row, given: Key) -> dict[str, Any]:
        return dict(zip(COUNTED, given, strict=True))

    wanted = by_key(keys_of(tenant_ids, skus, locations), keys_of(*sums))
    return len(await change_each(session, ITEMS, wanted, put))


async def release_again(
    session: Session, tenant_ids: Sequence[UUID], order_ids: Sequence[UUID], now: datetime
) -> list[Row]:
    """`release_reservations` that also releases what is released."""
    again = await lock_each(
        session,
        RESERVATIONS,
        [
            (row["tenant_id"], row["order_id"], row["sku"], row["location"])
            for order in sorted(set(keys_of(tenant_ids, order_ids)))
            for row in session.find(
                RESERVATIONS,
                ("tenant_id", "order_id"),
                order,
                where=lambda row: row["state"] == "released",
                order=lambda row: (row["sku"], row["location"]),
            )
        ],
    )
    sums: collections.Counter[Key] = collections.Counter()
    for row in again:
        sums[row["tenant_id"], row["sku"], row["location"]] += row["quantity"]

    def free(row: Row, units: int) -> dict[str, Any]:
        return {"available": row["available"] + units, "reserved": row["reserved"] - units}

    await change_each(session, ITEMS, {key: sums[key] for key in sorted(sums)}, free)
    held = await true.release_reservations(session, tenant_ids, order_ids, now)
    assert isinstance(held, list)
    order = columns("tenant_id, order_id")
    return [*held, *(order(row) for row in again)]


def _place_of(row: Row) -> Key:
    return row["tenant_id"], row["sku"], row["location"]


_TWINS: dict[str, dict[str, twins.Twin]] = {
    "reserved_outside_the_lock": {"lock_levels": read_levels, "change_levels": write_levels},
    "reservation_released_twice": {"release_reservations": release_again},
}
"""By fault and statement: the twin that has the same fault."""
