"""Tenants that have left a home or are about to: what would write for one is refused there.

The database refuses it where the rows are, as the transaction begins: so it makes no difference how
old a process's memory of the directory is, or how long the process was paused (ADR 0024).
"""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from serai.kernel import queries
from serai.kernel.failure import Unavailable
from serai.kernel.tenant import DIRECTORY, Home

STATE: Final = "SR001"
"""The SQLSTATE that the kernel's function `admit` raises."""
_SQL = queries.load("serai.kernel")


class TenantMoving(Unavailable):
    """A tenant is on its way to another home, or has left the one where it was looked for."""

    code = "tenant_moving"

    def __init__(self, home: Home, leaving: frozenset[UUID], away: dict[UUID, int]) -> None:
        super().__init__("this tenant is moving to another home; try again in a second")
        self.home = home
        self.leaving = leaving
        self.away = away
        """Those who have left, each with the transaction by which it did."""

    def concerns(self, tenant_id: UUID) -> bool:
        """Whether it is because of this tenant."""
        return tenant_id in self.leaving or tenant_id in self.away


def ask_admission(wall: str, home: Home) -> str:
    """What a transaction that writes says at its beginning; `wall` is ids with commas between."""
    is_directory = "true" if home == DIRECTORY else "false"
    return f"SELECT {home.prefix}kernel.admit('{{{wall}}}', {is_directory})"


def ask_pace(wall: str, home: Home) -> str:
    """What one from outside says before it: while a tenant moves, its mover may hold it up."""
    return f"SELECT {home.prefix}kernel.hold_up('{{{wall}}}')"


def read_refusal(error: Any, home: Home) -> TenantMoving | None:
    """What `admit` has raised; None for any other error."""
    if error.sqlstate != STATE:
        return None
    told = [part.split(" ") for part in str(error.detail).split(",")]
    leaving = frozenset(UUID(tenant) for state, tenant, _ in told if state == "leaving")
    return TenantMoving(home, leaving, {UUID(t): int(xid) for s, t, xid in told if s == "away"})


async def mark_away(tenant_id: UUID, *, tx: Any) -> None:
    """Notes in a home that a tenant lives elsewhere; what is announced for it here is sent on."""
    await tx.execute(_SQL.mark_away, tenant_id)


async def refuse_departed(tenants: Sequence[UUID], *, tx: Any) -> None:
    """The same refusal for a transaction that finds out late for whom it writes."""
    await tx.fetch(_SQL.admit_tenants, list(tenants), False)  # noqa: FBT003 - the function's order


async def refuse_leaving(tenants: Sequence[UUID], *, tx: Any) -> None:
    """Refuses while one of them is leaving; who lives elsewhere has what is announced sent on."""
    await tx.fetch(_SQL.admit_tenants, list(tenants), True)  # noqa: FBT003 - the function's order


async def list_departed(*, tx: Any) -> frozenset[UUID]:
    """Who has left a home or is leaving it; the transaction is the transport's."""
    return frozenset(row["tenant_id"] for row in await tx.fetch(_SQL.list_departed))
