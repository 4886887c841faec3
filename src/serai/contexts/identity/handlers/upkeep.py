"""Takes away what has been over for long enough."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from serai.contexts.identity.ports import OldRows
from serai.kernel.clock import Clock
from serai.kernel.db import Database
from serai.kernel.tenant import Home, Homes

KEPT: Final = timedelta(days=7)
"""How long a session or a mailed token is kept after its end, for who asks what happened."""
PRUNE_CHUNK: Final = 2_000
TENANTS_MAX: Final = 200
"""Tenants that one transaction looks at."""


async def prune_old(
    database: Database, home: Home, clock: Clock, *, homes: Homes, rows: Sequence[OldRows]
) -> int:
    """Deletes a chunk of what is over, and buckets that are full; how many at most at once."""
    tenants = sorted(await homes.tenants_of(home))
    most = 0
    for start in range(0, len(tenants), TENANTS_MAX):
        chunk = tenants[start : start + TENANTS_MAX]
        now = clock.now()
        async with database.transaction(home, chunk) as tx:
            for one in rows:
                gone = await one.prune(chunk, before=now - KEPT, now=now, limit=PRUNE_CHUNK, tx=tx)
                most = max(most, gone)
    return most
