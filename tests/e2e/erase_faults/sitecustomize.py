"""Kills the command that erases a tenant at the point that ERASE_KILL names, as kill -9 does.

Python imports a module of this name at its start. Only tests put this folder on the path.
"""

import os
from pathlib import Path
from typing import Any

from serai.cli.tenant import estate
from serai.contexts.tenancy.gateways.register import Register
from serai.kernel.db import Tx
from tests.e2e.dying import die, die_after

POINT = os.environ.get("ERASE_KILL", "")
_calls: dict[str, int] = {}


def _within_a_table(wanted: str, number: int) -> None:
    """A chunk of a table's rows is deleted and counted, and nothing of that is committed."""
    fetchval = Tx.fetchval

    async def dying(self: Tx, statement: Any, *args: Any) -> Any:
        result = await fetchval(self, statement, *args)
        if statement.name == "erase_rows" and str(args[0]).endswith(wanted):
            _calls[wanted] = _calls.get(wanted, 0) + 1
            if _calls[wanted] == number:
                die()
        return result

    Tx.fetchval = dying  # type: ignore[method-assign]


def _around_the_certificate() -> None:
    write = estate._write  # noqa: SLF001 - between it and the directory is where it must not fail

    def dying(place: Path, text: bytes) -> None:
        if POINT == "certified":
            write(place, text)
        elif POINT == "writing":
            place.with_name(f"{place.name}.new").write_bytes(text[:9])
        die()

    estate._write = dying  # noqa: SLF001


# Nobody else writes while a test erases.
estate.SETTLE_S = 0.1  # type: ignore[misc]
if POINT == "begun":
    die_after(Register, "change_state")
elif POINT == "deleted":
    die_after(Register, "delete_tenant")
elif POINT in {"certifying", "writing", "certified"}:
    _around_the_certificate()
elif POINT:
    table, _, at = POINT.partition("#")
    _within_a_table(table, int(at))
