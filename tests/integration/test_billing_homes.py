"""Tenants in shared tables, in schemas and in databases of their own: limited and billed alike."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from serai.contexts.payments.gateways import sandbox_cards as cards
from serai.kernel import ids
from serai.kernel.clock import ManualClock
from serai.kernel.consumer import GroupRunner
from serai.kernel.embedded import EmbeddedPostgres
from serai.kernel.events import type_of
from serai.kernel.leases import Membership
from serai.kernel.log.postgres import Wake
from serai.kernel.tenant import Home
from serai.roles.api import build_app
from tests.integration.test_homes import TIERS, Installation, Resident

PLANS: Final = b"""[
 {"name": "small", "currency": "USD", "monthly_minor": 3000, "orders_per_month": 2, "skus": 2,
  "staff": 1, "devices": 1, "per_order_minor": 7}
]"""
GROUP: Final = "billing"


class Estate:
    """An installation with a tenant in each tier, all on the same plan."""

    def __init__(self, place: Installation, clock: ManualClock, http: httpx.AsyncClient) -> None:
        self.place = place
        self.clock = clock
        self.http = http
        self._runners: dict[Home, GroupRunner] = {}

    def go_to(self, *moment: int) -> None:
        self.clock.advance(datetime(*moment, tzinfo=UTC) - self.clock.now())  # type: ignore[arg-type, misc]

    async def call(self, who: Resident, method: str, path: str, body: Any = None) -> httpx.Response:
        headers = {"authorization": f"Bearer {who.key}", "idempotency-key": ids.new_id().hex}
        return await self.http.request(method, path, json=body, headers=headers)

    async def meter(self, home: Home) -> None:
        """Lets billing hear all that has happened in a home."""
        if home not in self._runners:
            self._runners[home] = await self._join(home)
        while (await self._runners[home].step())[0]:
            pass

    async def _join(self, home: Home) -> GroupRunner:
        (consumer,) = [one for one in self.place.house.consumers if one.group == GROUP]
        database, worker = self.place.database, ids.new_id()
        topics = sorted({type_of(model).topic for model in consumer.hears})
        membership = Membership(database, home, worker, {GROUP: topics})
        await membership.ensure()
        await membership.beat()
        return GroupRunner(
            consumer, database=database, home=home, worker=worker, membership=membership,
            wake=Wake(database),
        )  # fmt: skip

    async def run(self, name: str) -> list[int]:
        """What the scheduler does, in every home in turn."""
        (job,) = [one for one in self.place.house.jobs if one.name == name]
        homes = await self.place.house.homes.all_homes()
        return [await job.run(self.place.database, home, self.clock) for home in homes]


@pytest.fixture
async def grounds(
    postgres: EmbeddedPostgres, database_name: str, template: str, tmp_path: Path
) -> AsyncIterator[Estate]:
    plans = tmp_path / "plans.json"
    plans.write_bytes(PLANS)
    clock = ManualClock(datetime(2026, 11, 11, 12, tzinfo=UTC))
    place = Installation(postgres, database_name, template, tmp_path, clock=clock, plans=str(plans))
    await place.database.open()
    app: Any = build_app(place.house.surroundings.settings, place.house)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://homes.test") as http:
        yield Estate(place, clock, http)
    await place.house.close()
    await place.database.close()


def plain(invoice: dict[str, Any]) -> dict[str, Any]:
    """An invoice without what tells two apart."""
    return {name: value for name, value in invoice.items() if name != "id"}


async def test_every_tier_is_limited_metered_billed_and_paid_alike(grounds: Estate) -> None:
    place = grounds.place
    residents = [await place.settle(tier) for tier in TIERS]
    for who in residents:
        # Each has placed an order and has a SKU already; that counts from the first.
        await grounds.meter(who.home)
        await place.house.billing.assign_plan(who.id, who.home, plan="small", zone="Europe/Berlin")
    grounds.go_to(2026, 11, 21, 12)
    told = []
    for who in residents:
        order = {"currency": "USD", "lines": [{"sku": who.sku, "quantity": 1}]}
        goods = [{"title": f"Lamp {n}", "variants": [{"sku": f"lamp-{n}"}]} for n in range(2)]
        people = [{"email": f"m{n}@example.com", "roles": ["support"]} for n in range(2)]
        asked = (
            *(("/v1/orders", order) for _ in range(2)), *(("/v1/products", one) for one in goods),
            *(("/v1/staff", one) for one in people),
        )  # fmt: skip
        answers = [(await grounds.call(who, "POST", path, body)) for path, body in asked]
        assert [a.status_code for a in answers] == [201, 402] * 3, who.home
        await grounds.meter(who.home)
        usage = (await grounds.call(who, "GET", "/v1/billing/subscription")).json()["usage"]
        told.append(usage)
        card = await grounds.call(who, "PUT", "/v1/billing/card", {"card": cards.APPROVED})
        assert card.status_code == 204
    assert told[0]["orders_metered"] == told[0]["orders_taken"] == 2
    assert told[0]["skus"] == {"used": 2, "limit": 2, "added_metered": 2}
    assert told[0]["staff"] == {"used": 1, "limit": 1, "added_metered": 1}
    assert told == [told[0]] * len(TIERS)

    grounds.go_to(2026, 12, 2, 0)
    assert await grounds.run("billing.close") == [1] * len(TIERS)
    assert await grounds.run("billing.collect") == [1] * len(TIERS)
    assert await grounds.run("billing.close") == [0] * len(TIERS)
    invoices = []
    for who in residents:
        [invoice] = (await grounds.call(who, "GET", "/v1/billing/invoices")).json()["items"]
        invoices.append(plain(invoice))
    first = invoices[0]
    assert [line["amount_minor"] for line in first["lines"]] == [2000, 14]
    assert (first["total_minor"], first["status"]) == (2014, "paid")
    assert invoices == [first] * len(TIERS)
    for who in residents:
        for _, check in place.house.checks():
            if check.name.startswith("billing"):
                async with place.database.transaction(who.home, (who.id,), is_report=True) as tx:
                    assert await check.run(tx, who.id) == []
