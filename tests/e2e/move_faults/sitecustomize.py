"""Kills the command that moves a tenant at the point that MOVE_KILL names, as kill -9 does.

Python imports a module of this name at its start. Only tests put this folder on the path.
"""

import os
from typing import Any

from serai.cli.tenant.moving import Move
from serai.kernel.db import Tx
from serai.kernel.moving.mover import Mover
from tests.e2e.dying import die, die_after

POINTS: dict[str, tuple[type, str]] = {
    "prepared": (Mover, "watch"),
    "copying": (Mover, "_put"),
    "following": (Mover, "follow"),
    "compared": (Mover, "_compare_rest"),
    "switched": (Move, "_tell_directory"),
    "cleaning": (Mover, "unwatch"),
}


def _between_the_commits() -> None:
    """The old home has let it go, and nothing is committed in the new one."""
    fetchval = Tx.fetchval

    async def dying(self: Tx, statement: Any, *args: Any) -> Any:
        result = await fetchval(self, statement, *args)
        if statement.name == "leave_for_good":
            die()
        return result

    Tx.fetchval = dying  # type: ignore[method-assign]


if (point := os.environ.get("MOVE_KILL")) == "left":
    _between_the_commits()
elif point:
    die_after(*POINTS[point])
