"""Changes of the installation itself, which stand in the audit trail of every tenant.

A key that signs or seals for all of them is of concern to each, and each reads its own trail only.
"""

from typing import Any
from uuid import UUID

from serai.kernel import departures, ids
from serai.kernel.actor import operator
from serai.kernel.changes import describe
from serai.kernel.db import Tx
from serai.kernel.events import Cause
from serai.kernel.tenant import Homes


async def list_everybody(homes: Homes) -> list[UUID]:
    """Every tenant, wherever it lives."""
    found = [await homes.tenants_of(home) for home in await homes.all_homes()]
    return sorted({tenant_id for tenants in found for tenant_id in tenants})


async def record_everywhere(
    action: str, subject: tuple[str, UUID | str], after: Any, *, tenants: list[UUID], tx: Tx
) -> None:
    """Records what the operator did for all; the transaction is the transport's, in the directory.

    From there it is sent on to those who live elsewhere.
    """
    await departures.refuse_leaving(tenants, tx=tx)
    change = describe(action, subject, Cause(ids.new_id(), actor=operator()), after=after)
    for tenant_id in tenants:
        tx.record(tenant_id, change)
