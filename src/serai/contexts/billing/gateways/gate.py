"""Knows tenants' plans out of memory nearly always, and lets requests and orders pass by them.

What a look-up says holds for `VALID_S`, in every process; so long may a tenant go on by its old
plan. No request waits for a look-up: one whose plan is not known yet passes meanwhile.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

from serai.contexts.billing import model
from serai.contexts.billing.contract import Granted
from serai.contexts.billing.model import Terms
from serai.contexts.billing.ports import Meters
from serai.kernel.db import Database, Tx
from serai.kernel.failure import Unavailable
from serai.kernel.web import Principal

VALID_S: Final = 5.0
KEPT_MAX: Final = 20_000
LOOK_UPS_MAX: Final = 2
LOOKING_MAX: Final = 1_000
"""Tenants whose plan may wait to be read; the requests of others pass unmeasured meanwhile."""


class Bucket:
    """The requests that a tenant has left in this process: a second's worth, filling evenly."""

    __slots__ = ("_at", "_left", "_per_s")

    def __init__(self, per_s: int, now: float) -> None:
        self._per_s = per_s
        self._left = float(per_s)
        self._at = now

    def take(self, per_s: int, now: float) -> float:
        """Takes one; 0.0, or the seconds until there is one."""
        self._per_s = per_s
        self._left = min(float(per_s), self._left + (now - self._at) * per_s)
        self._at = now
        if self._left >= 1.0:
            self._left -= 1.0
            return 0.0
        return (1.0 - self._left) / per_s


class PlanGate:
    """The contract's Protocol Quotas, and the kernel's Gate."""

    def __init__(
        self, database: Database, meters: Meters, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._meters = meters
        self._now = now
        self._terms: dict[UUID, tuple[Terms | None, float]] = {}
        self._buckets: dict[UUID, Bucket] = {}
        self._looking: dict[UUID, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(LOOK_UPS_MAX)

    def admit(self, principal: Principal) -> None:
        """Lets a request pass, or refuses it where the tenant's second is full."""
        now = self._now()
        kept = self._terms.get(principal.tenant_id)
        if kept is None or kept[1] <= now:
            self._look(principal)
        if kept is None or kept[0] is None or kept[0].plan.requests_per_second is None:
            return
        plan, per_s = kept[0].plan, kept[0].plan.requests_per_second
        bucket = self._buckets.get(principal.tenant_id)
        if bucket is None:
            if len(self._buckets) >= KEPT_MAX:
                self._buckets.clear()
            bucket = self._buckets[principal.tenant_id] = Bucket(per_s, now)
        wait_s = bucket.take(per_s, now)
        if wait_s:
            raise model.refuse_rate(plan, wait_s)

    async def take_orders(
        self, wanted: Mapping[UUID, int], *, tx: Tx, now: datetime
    ) -> Mapping[UUID, Granted]:
        terms = await self._terms_of(list(wanted), tx=tx)
        limited: dict[UUID, tuple[Terms, int]] = {
            tenant_id: (one, one.plan.orders_per_month)
            for tenant_id, one in terms.items()
            if one.plan.orders_per_month is not None
        }
        if not limited:
            return {}
        granted = await self._meters.take(
            {
                tenant_id: (model.month_of(model.today(now, one.zone)), most, wanted[tenant_id])
                for tenant_id, (one, most) in limited.items()
            },
            tx=tx,
        )
        return {
            tenant_id: model.judge_orders(
                one, wanted=wanted[tenant_id], granted=granted[tenant_id], now=now
            )
            for tenant_id, (one, _) in limited.items()
        }

    def forget(self, tenant_id: UUID) -> None:
        """Drops what this process remembers of a tenant whose plan has changed."""
        self._terms.pop(tenant_id, None)
        self._buckets.pop(tenant_id, None)

    async def _terms_of(self, tenant_ids: list[UUID], *, tx: Tx) -> dict[UUID, Terms]:
        """The plans of these, of which one statement reads those that are not in memory."""
        now = self._now()
        unknown = [t for t in tenant_ids if (kept := self._terms.get(t)) is None or kept[1] <= now]
        if unknown:
            self._keep(unknown, await self._meters.list_terms(unknown, tx=tx), now)
        found = {tenant_id: self._terms[tenant_id][0] for tenant_id in tenant_ids}
        return {tenant_id: one for tenant_id, one in found.items() if one is not None}

    def _keep(self, tenant_ids: list[UUID], found: Mapping[UUID, Terms], now: float) -> None:
        if len(self._terms) + len(tenant_ids) > KEPT_MAX:
            self._terms.clear()
        for tenant_id in tenant_ids:
            self._terms[tenant_id] = (found.get(tenant_id), now + VALID_S)

    def _look(self, principal: Principal) -> None:
        tenant_id = principal.tenant_id
        if tenant_id in self._looking or len(self._looking) >= LOOKING_MAX:
            return
        task = asyncio.get_running_loop().create_task(self._read(principal))
        self._looking[tenant_id] = task
        task.add_done_callback(lambda _: self._looking.pop(tenant_id, None))

    async def _read(self, principal: Principal) -> None:
        tenant_id, began = principal.tenant_id, self._now()
        try:
            async with (
                self._slots,
                self._database.transaction(principal.home, (tenant_id,), is_read_only=True) as tx,
            ):
                found = await self._meters.list_terms([tenant_id], tx=tx)
        except Unavailable:
            return
        self._keep([tenant_id], found, began)
