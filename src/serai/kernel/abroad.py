"""What is announced in the directory for tenants who live elsewhere is sent on to where they live.

The directory lies in the pooled home, and so do the events of what is changed there. Each group
that meets one sends it on; the first does, and in the tenant's home every group hears it.
"""

from typing import Final

from serai.kernel import inbox, queries
from serai.kernel.db import Database
from serai.kernel.events import Delivery
from serai.kernel.failure import Unavailable
from serai.kernel.tenant import Homes

SENT_ON: Final = "kernel.sent_on"
"""Under this name such an event is marked in the home that it was sent on to."""
_SQL = queries.load("serai.kernel")


async def send_on(delivery: Delivery, database: Database, homes: Homes | None) -> None:
    """Announces an event in the home of its tenant, as it is; harmless twice."""
    if homes is None:
        raise Unavailable("nobody has told where tenants live")
    home = await homes.home_of(delivery.tenant_id)
    async with database.transaction(home, (delivery.tenant_id,)) as tx:
        if await inbox.admit(SENT_ON, [delivery], tx=tx, now=tx.now):
            await tx.fetch(
                _SQL.send_on,
                delivery.type.topic,
                delivery.partition,
                delivery.tenant_id,
                delivery.event_id,
                delivery.type.name,
                delivery.key,
                delivery.occurred_at,
                delivery.correlation_id,
                delivery.traceparent,
                delivery.data,
                tx.prefix,
            )
