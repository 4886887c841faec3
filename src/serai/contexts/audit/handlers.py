"""What the audit trail does with what it hears: one more entry for each change, in their order."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from serai.contexts.audit import model
from serai.contexts.audit.model import Linked
from serai.contexts.audit.ports import Entries
from serai.kernel.changes import Change, ChangesRecorded
from serai.kernel.db import Tx
from serai.kernel.events import Delivery


async def hear_changes_recorded(
    deliveries: Sequence[Delivery], *, tx: Tx, now: datetime, entries: Entries
) -> None:
    """Links changes to the chains of their tenants.

    A tenant's changes come through one partition, whose fence this transaction holds: nobody else
    writes to its chain meanwhile.
    """
    del now
    told: dict[UUID, list[tuple[UUID, datetime, Sequence[Change]]]] = {}
    for delivery in deliveries:
        event: ChangesRecorded = delivery.decode()
        told.setdefault(delivery.tenant_id, []).append(
            (delivery.event_id, delivery.occurred_at, event.changes)
        )
    heads = await entries.find_heads(sorted(told), tx=tx)
    linked: list[Linked] = []
    for tenant_id in sorted(told):
        head = heads.get(tenant_id, model.START)
        linked += model.link(head, tenant_id, told[tenant_id])
    await entries.append(linked, tx=tx)
