"""What payments offer to the command line: matters that were given up, and their second chance."""

from typing import Final
from uuid import UUID

from serai.contexts.payments.contract import GivenUp
from serai.contexts.payments.handlers.books import GivenUpLooks
from serai.kernel import ids
from serai.kernel.actor import operator
from serai.kernel.changes import describe
from serai.kernel.db import Database
from serai.kernel.events import Cause
from serai.kernel.tenant import Homes

RETRIED_MAX: Final = 1_000
"""Matters that one transaction makes due again."""

SUBJECTS: Final = {"intent": "payment", "refund": "refund"}
"""What each kind of matter is called in the audit trail."""


class OperatedLookUps:
    """`LookUps` over the database of the installation."""

    def __init__(self, database: Database, homes: Homes, looks: GivenUpLooks) -> None:
        self._database = database
        self._homes = homes
        self._looks = looks

    async def list_given_up(
        self, tenant_id: UUID, *, after: UUID | None, limit: int
    ) -> list[GivenUp]:
        home = await self._homes.home_of(tenant_id)
        async with self._database.transaction(home, (tenant_id,), is_read_only=True) as tx:
            return await self._looks.list_given_up(tenant_id, after=after, limit=limit, tx=tx)

    async def retry_given_up(self, tenant_id: UUID, *, order_id: UUID | None) -> int:
        home = await self._homes.home_of(tenant_id)
        cause = Cause(ids.new_id(), actor=operator())
        count = 0
        while True:
            async with self._database.transaction(home, (tenant_id,)) as tx:
                done = await self._looks.retry_looks(
                    tenant_id, order_id=order_id, due_at=tx.now, limit=RETRIED_MAX, tx=tx
                )
                for kind, thing_id in done:
                    subject = (SUBJECTS[kind], thing_id)
                    tx.record(tenant_id, describe("payments.look_up_retried", subject, cause))
            count += len(done)
            if len(done) < RETRIED_MAX:
                return count
