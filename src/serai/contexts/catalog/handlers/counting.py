"""Holds tenants to the SKUs that their plans allow."""

from collections.abc import Collection, Sequence
from uuid import UUID

from serai.contexts.billing.contract import Ceiling, Quotas
from serai.contexts.catalog.ports import Products
from serai.kernel.db import Tx


class Shelves:
    """How many SKUs the limited tenants of a transaction have, and how many more may come.

    Nobody else adds to them while it lasts; of a tenant that is not limited it knows nothing.
    """

    def __init__(
        self, ceilings: dict[UUID, Ceiling], used: dict[UUID, int], quotas: Quotas | None
    ) -> None:
        self._ceilings = ceilings
        self._used = used
        self._quotas = quotas

    def add(self, tenant_id: UUID, fields: Sequence[str]) -> None:
        """Takes room for new SKUs, whose places in what was sent are `fields`, or refuses all."""
        ceiling = self._ceilings.get(tenant_id)
        if ceiling is None or self._quotas is None or not fields:
            return
        used = self._used[tenant_id]
        refusal = self._quotas.judge(ceiling, used=used, wanted=len(fields))
        if refusal is not None:
            refusal.facts["fields"] = list(fields[max(ceiling.limit - used, 0) :])
            raise refusal
        self._used[tenant_id] = used + len(fields)


async def open_shelves(
    tenant_ids: Collection[UUID], *, tx: Tx, store: Products, quotas: Quotas | None
) -> Shelves:
    """Counts what there is, under a lock; the first thing that a transaction does."""
    ceilings = {}
    if quotas is not None and tenant_ids:
        ceilings = dict(await quotas.find_ceilings("skus", set(tenant_ids), tx=tx))
    if not ceilings:
        return Shelves({}, {}, None)
    await store.lock_skus(ceilings, tx=tx)
    return Shelves(ceilings, await store.count_skus(ceilings, tx=tx), quotas)
