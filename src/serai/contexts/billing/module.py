"""Wiring of billing."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfoNotFoundError

import msgspec

from serai.contexts.billing import handlers, model
from serai.contexts.billing.contract import (
    ZONE_CHARS_MAX,
    NoPlan,
    Plan,
    SubscriptionView,
    UnknownZone,
)
from serai.contexts.billing.gateways.gate import PlanGate
from serai.contexts.billing.gateways.plan_file import read_plans
from serai.contexts.billing.routes import invoice_routes, plan_routes
from serai.contexts.billing.store import PostgresBooks, PostgresMeters
from serai.contexts.orders.contract import OrderPlaced
from serai.contexts.payments.contract import Till
from serai.kernel import ids
from serai.kernel.actor import operator
from serai.kernel.clock import Clock
from serai.kernel.db import Database, Tx
from serai.kernel.events import Cause
from serai.kernel.module import (
    Check,
    Consumer,
    Finding,
    Hear,
    Job,
    Module,
    Outside,
    Surroundings,
)
from serai.kernel.tenant import Home

FINDINGS_MAX: Final = 100
CLOSE_EVERY: Final = timedelta(minutes=5)
COLLECT_EVERY: Final = timedelta(minutes=1)


def build_gate(s: Surroundings) -> PlanGate | None:
    """What contexts ask whose things are counted, hence apart; None where there are no plans."""
    if not s.settings.plans:
        return None
    return PlanGate(s.database, PostgresMeters())


def build(s: Surroundings, *, till: Till, gate: PlanGate | None) -> Module:
    """Billing over PostgreSQL. Without plans nothing is counted, and no job is done."""
    books, meters = PostgresBooks(), PostgresMeters()
    plans = read_plans(s.settings.plans)

    async def close(database: Database, home: Home, clock: Clock) -> int:
        return await handlers.close_months(database, home, clock, books=books, meters=meters)

    async def collect(database: Database, home: Home, clock: Clock) -> int:
        return await handlers.collect(database, home, clock, books=books, till=till)

    hears: dict[type[msgspec.Struct], Hear | Outside] = {
        OrderPlaced: partial(handlers.hear_order_placed, meters=meters)
    }
    jobs = [
        Job("billing.close", CLOSE_EVERY, close, chunk=handlers.DUE_MAX),
        Job("billing.collect", COLLECT_EVERY, collect, chunk=handlers.DUE_MAX),
    ]
    return Module(
        name="billing",
        routes=[
            *plan_routes(s.database, books, meters, plans),
            *invoice_routes(s.database, books),
        ],
        consumers=[Consumer("billing", hears)] if plans else [],
        jobs=jobs if plans else [],
        checks=[
            Check(
                "billing.sums",
                "The lines of every invoice add up to its total.",
                partial(_check_sums, books),
            )
        ]
        if plans
        else [],
        operated=Operated(s.database, books, meters, plans=plans, gate=gate),
    )


async def _check_sums(books: PostgresBooks, tx: Tx, tenant_id: UUID) -> list[Finding]:
    return [
        Finding("billing.sums", f"id={id_}, total_minor={total}")
        for id_, total in await books.check_invoices(tenant_id, FINDINGS_MAX, tx=tx)
    ]


class Operated:
    """The contract's Protocol Billing."""

    def __init__(
        self,
        database: Database,
        books: PostgresBooks,
        meters: PostgresMeters,
        *,
        plans: tuple[Plan, ...],
        gate: PlanGate | None,
    ) -> None:
        self._database = database
        self._books = books
        self._meters = meters
        self._plans = plans
        self._gate = gate

    @property
    def plans(self) -> Sequence[Plan]:
        return self._plans

    async def assign_plan(
        self, tenant_id: UUID, home: Home, *, plan: str | None, zone: str | None
    ) -> SubscriptionView | None:
        chosen = None if plan is None else model.find_plan(self._plans, plan)
        if zone is not None:
            check_zone(zone)
        async with self._database.transaction(home, (tenant_id,)) as tx:
            await handlers.assign_plan(
                tenant_id, chosen, zone, Cause(ids.new_id(), actor=operator()),
                tx=tx, books=self._books, meters=self._meters,
            )  # fmt: skip
        if self._gate is not None:
            self._gate.forget(tenant_id)
        return await self.find_subscription(tenant_id, home)

    async def find_subscription(self, tenant_id: UUID, home: Home) -> SubscriptionView | None:
        async with self._database.transaction(home, (tenant_id,), is_read_only=True) as tx:
            try:
                return await handlers.find_subscription(
                    tenant_id, tx=tx, books=self._books, meters=self._meters
                )
            except NoPlan:
                return None


def check_zone(zone: str) -> None:
    """Refuses a time zone that nobody knows."""
    try:
        model.zone_of(zone if len(zone) <= ZONE_CHARS_MAX else "")
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UnknownZone(f"there is no time zone {zone}; one is Europe/Berlin") from error
