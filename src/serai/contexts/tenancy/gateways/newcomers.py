"""What tenancy offers to sign-up: tenants that open nothing until their owner is proven."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from serai.contexts.tenancy import handlers, model
from serai.contexts.tenancy.contract import OpenTenant, TenantView
from serai.contexts.tenancy.ports import Tenants
from serai.kernel.db import Database, Tx
from serai.kernel.events import Cause
from serai.kernel.failure import Refused
from serai.kernel.tenant import DIRECTORY, POOLED


class DirectoryNewcomers:
    """The contract's Protocol Newcomers."""

    def __init__(self, database: Database, tenants: Tenants) -> None:
        self._database = database
        self._tenants = tenants

    def check_name(self, name: str) -> None:
        model.check_name(name)

    async def open_tenants(
        self, commands: Sequence[OpenTenant], *, tx: Tx, now: datetime
    ) -> list[TenantView | Refused]:
        return await handlers.open_tenants(commands, tx=tx, now=now, tenants=self._tenants)

    async def prove_tenants(self, tenant_ids: Sequence[UUID], cause: Cause, *, tx: Tx) -> None:
        await handlers.prove_tenants(tenant_ids, cause, tx=tx, tenants=self._tenants)

    async def expire_tenants(self, tenant_ids: Sequence[UUID], *, tx: Tx) -> None:
        await self._tenants.expire(tx, tenant_ids)

    async def list_expired(self, *, limit: int) -> list[UUID]:
        async with self._database.transaction(
            POOLED, (), is_transport=True, is_read_only=True
        ) as tx:
            return await self._tenants.list_expired(tx, limit)

    async def delete_expired(self, tenant_id: UUID) -> None:
        async with self._database.transaction(DIRECTORY, (tenant_id,)) as tx:
            await self._tenants.delete_expired(tx, tenant_id)
