"""Known faults of the walls between tenants."""

import contextlib
from collections.abc import Iterator
from typing import Any

import msgspec

from serai.kernel import migrate
from serai.kernel.migrate import Migration
from tests.faults.plant import Fault, nothing, replaced

WALL = "SELECT {kernel}.wall('{returns}.returns');"
GRANT = "GRANT SELECT, INSERT, UPDATE, DELETE ON {returns}.returns TO serai_app;"


def _leave_one_open(original: Any) -> Any:
    def find_migrations(packages: Any) -> list[Migration]:
        return [
            msgspec.structs.replace(m, text=m.text.replace(WALL, GRANT)) for m in original(packages)
        ]

    return find_migrations


@contextlib.contextmanager
def without_a_wall() -> Iterator[None]:
    """Migrates the table of returns without its row-level security."""
    with replaced(migrate, "find_migrations", _leave_one_open):
        yield


WALL_FAULTS = (
    Fault(
        "wall_missing_on_one_table",
        "One table is without row-level security: a statement that forgets the tenant shows one "
        "shop the returns of another.",
        nothing,
        without_a_wall,
    ),
)
