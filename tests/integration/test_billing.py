"""Plans, quotas and invoices, on a real PostgreSQL: nothing is counted twice, no penny is lost."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serai.contexts.billing import model
from serai.contexts.billing.contract import CurrencyFixed, Plan, UnknownPlan, UnknownZone
from serai.contexts.billing.gateways.gate import Bucket
from serai.contexts.billing.model import Segment
from serai.contexts.payments.gateways import sandbox_cards as cards
from serai.contexts.tenancy.contract import SCOPES
from serai.kernel import ids
from serai.kernel.db import Database
from serai.kernel.tenant import POOLED
from serai.roles.api import build_app
from tests.integration.house import House

PLANS = b"""[
 {"name": "three", "currency": "USD", "monthly_minor": 3000, "orders_per_month": 3},
 {"name": "dear", "currency": "USD", "monthly_minor": 9100, "per_order_minor": 7},
 {"name": "slow", "currency": "USD", "monthly_minor": 100, "requests_per_second": 2},
 {"name": "euro", "currency": "EUR", "monthly_minor": 100}
]"""


class Office:
    """A house whose tenants may be put on plans, over HTTP."""

    def __init__(self, house: House, http: httpx.AsyncClient, key: str) -> None:
        self.house = house
        self.http = http
        self.headers = {"authorization": f"Bearer {key}"}

    async def assign(self, plan: str | None, zone: str | None = None) -> Any:
        billing = self.house.composition.billing
        return await billing.assign_plan(self.house.tenant, POOLED, plan=plan, zone=zone)

    async def order(self, key: str = "") -> httpx.Response:
        headers = {**self.headers, "idempotency-key": key or ids.new_id().hex}
        body = {"currency": "USD", "lines": [{"sku": "tent", "quantity": 1}]}
        return await self.http.post("/v1/orders", json=body, headers=headers)

    async def post(self, path: str, body: Any) -> httpx.Response:
        headers = {**self.headers, "idempotency-key": ids.new_id().hex}
        answer = await self.http.post(path, json=body, headers=headers)
        assert answer.is_success, answer.text
        return answer

    async def get(self, path: str) -> Any:
        answer = await self.http.get(path, headers=self.headers)
        assert answer.is_success, answer.text
        return answer.json()

    async def run(self, name: str) -> int:
        (job,) = [job for job in self.house.composition.jobs if job.name == name]
        return await job.run(self.house.database, POOLED, self.house.clock)

    async def close(self) -> list[Any]:
        while await self.run("billing.close"):
            pass
        found: list[Any] = (await self.get("/v1/billing/invoices"))["items"]
        return found

    def go_to(self, *moment: int) -> None:
        clock = self.house.clock
        clock.advance(datetime(*moment, tzinfo=UTC) - clock.now())  # type: ignore[arg-type, misc]


@pytest.fixture
async def office(database: Database, tmp_path: Path) -> AsyncIterator[Office]:
    plans = tmp_path / "plans.json"
    plans.write_bytes(PLANS)
    house = House(database, tmp_path, plans=str(plans))
    house.clock.advance(datetime(2026, 11, 11, 12, tzinfo=UTC) - house.clock.now())
    await house.open()
    await house.offer("tent")
    await house.receive(tent=100)
    key = await house.composition.tenancy.create_key(house.tenant, label="", scopes=SCOPES)
    app: Any = build_app(house.composition.surroundings.settings, house.composition)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://office.test") as http:
        yield Office(house, http, key.key)
    await house.composition.close()


async def test_a_tenant_without_a_plan_is_not_limited(office: Office) -> None:
    answers = [await office.order() for _ in range(5)]
    assert {a.status_code for a in answers} == {201}
    refused = await office.http.get("/v1/billing/subscription", headers=office.headers)
    assert (refused.status_code, refused.json()["code"]) == (404, "no_plan")


async def test_a_quota_lets_in_as_many_as_it_says_and_not_one_more(office: Office) -> None:
    await office.assign("three", "Europe/Berlin")
    answers = await asyncio.gather(*(office.order(f"k{n}") for n in range(5)))
    assert sorted(a.status_code for a in answers) == [201, 201, 201, 402, 402]
    refused = next(a for a in answers if a.status_code == 402).json()
    assert refused["code"] == "quota_exceeded"
    assert refused["facts"] == {
        "meter": "orders", "used": 3, "limit": 3, "resets_at": "2026-11-30T23:00:00Z",
        "plan": "three",
    }  # fmt: skip
    # What was answered before is answered again, however full the month is.
    placed = next(n for n, a in enumerate(answers) if a.status_code == 201)
    assert (await office.order(f"k{placed}")).content == answers[placed].content
    assert len(await office.house.rows("SELECT 1 FROM orders.orders")) == 3
    await office.house.rest()
    usage = (await office.get("/v1/billing/subscription"))["usage"]
    assert (usage["orders_metered"], usage["orders_taken"]) == (3, 3)
    office.go_to(2026, 11, 30, 22, 59, 59)
    assert (await office.order()).status_code == 402
    office.go_to(2026, 11, 30, 23)
    assert (await office.order()).status_code == 201


async def test_what_was_placed_before_a_plan_counts_against_it(office: Office) -> None:
    for _ in range(2):
        await office.order()
    await office.house.rest()
    await office.assign("three")
    codes = [(await office.order()).status_code for _ in range(2)]
    assert codes == [201, 402]


async def test_usage_is_counted_once_however_often_it_is_told(office: Office) -> None:
    await office.assign("dear")
    for _ in range(3):
        await office.order()
    await office.house.rest()
    async with office.house.database.transaction(POOLED, (), is_transport=True) as tx:
        await tx.connection.execute(
            "UPDATE kernel.positions SET xid = '0', seq = 0 WHERE group_name = 'billing'"
        )
    # A worker that has just started knows no more than what is written there.
    runner = office.house._runners[POOLED, "billing"]  # noqa: SLF001
    runner._fences = {}  # noqa: SLF001
    handled, *_ = await runner.step()
    assert handled == 4
    await office.house.rest()
    usage = await office.house.rows("SELECT meter, counted FROM billing.usage ORDER BY meter")
    assert [tuple(row.values()) for row in usage] == [("orders", 3), ("skus", 1)]


async def test_what_is_added_is_metered_from_the_log(office: Office) -> None:
    await office.assign("dear")
    variants = [{"sku": f"lamp-{n}", "options": {"Size": str(n)}} for n in range(3)]
    body: dict[str, Any] = {"title": "Lamp", "handle": "lamp", "variants": variants}
    lamp = (await office.post("/v1/products", body)).json()
    # A change that adds nothing is heard and counts nothing.
    await office.post(
        "/v1/products:batch?mode=upsert", {"products": [{**body, "title": "Lantern"}]}
    )
    await office.post(
        f"/v1/products/{lamp['id']}/variants", {"sku": "lamp-9", "options": {"Size": "9"}}
    )
    member = {"email": "m@example.com", "roles": ["support"]}
    path = f"/v1/staff/{(await office.post('/v1/staff', member)).json()['id']}"
    for is_suspended in (True, False, False):
        change = {"is_suspended": is_suspended}
        assert (await office.http.patch(path, json=change, headers=office.headers)).is_success
    usage = (await office.get("/v1/billing/subscription"))["usage"]
    assert usage["skus"] == {"used": 5, "limit": None, "added_metered": 0}
    await office.house.rest()
    usage = (await office.get("/v1/billing/subscription"))["usage"]
    # The tent that was there before the plan came this month, too; a seat was taken twice.
    assert usage["skus"] == {"used": 5, "limit": None, "added_metered": 5}
    assert usage["staff"] == {"used": 1, "limit": None, "added_metered": 2}
    assert usage["devices"] == {"used": 0, "limit": None, "added_metered": 0}


async def test_a_month_is_billed_by_the_days_of_its_plans(office: Office) -> None:
    await office.assign("three")
    office.go_to(2026, 11, 21, 12)
    await office.order()
    await office.assign("dear")
    await office.order()
    await office.house.rest()
    office.go_to(2026, 12, 1, 0, 59, 59)
    assert await office.close() == []
    office.go_to(2026, 12, 1, 1)
    [invoice] = await office.close()
    # Ten days of thirty at 3000, ten at 9100 by the running sum, and the orders of its days.
    assert invoice["lines"] == [
        {"kind": "plan", "plan": "three", "since": "2026-11-11", "until": "2026-11-21",
         "quantity": 10, "amount_minor": 1000},
        {"kind": "plan", "plan": "dear", "since": "2026-11-21", "until": "2026-12-01",
         "quantity": 10, "amount_minor": 3034},
        {"kind": "orders", "plan": "dear", "since": "2026-11-21", "until": "2026-12-01",
         "quantity": 2, "amount_minor": 14},
    ]  # fmt: skip
    assert (invoice["total_minor"], invoice["status"]) == (4048, "open")
    assert await office.close() == [invoice]
    assert await office.get(f"/v1/billing/invoices/{invoice['id']}") == invoice

    # Two more months pass before a job runs: each gets its own, whole; then the plan ends.
    office.go_to(2027, 2, 1, 12)
    await office.assign(None)
    office.go_to(2027, 4, 2, 0)
    invoices = await office.close()
    assert [(i["period"], i["total_minor"]) for i in invoices] == [
        ("2027-01-01", 9100), ("2026-12-01", 9100), ("2026-11-01", 4048),
    ]  # fmt: skip
    found = await office.house.findings()
    assert [one for one in found if one.check.startswith("billing")] == []


async def test_two_who_close_at_once_close_once(office: Office) -> None:
    await office.assign("dear")
    office.go_to(2026, 12, 2, 0)
    await asyncio.gather(*(office.run("billing.close") for _ in range(3)))
    assert len(await office.close()) == 1


async def test_an_invoice_is_paid_once_and_a_declined_one_again_by_another_card(
    office: Office,
) -> None:
    await office.assign("dear")
    office.go_to(2026, 12, 2, 0)
    await office.close()
    assert await office.run("billing.collect") == 0
    for card, status in ((cards.NO_FUNDS, "open"), (cards.APPROVED, "paid")):
        body = {"card": card}
        put = await office.http.put("/v1/billing/card", json=body, headers=office.headers)
        assert put.status_code == 204, put.text
        await asyncio.gather(*(office.run("billing.collect") for _ in range(2)))
        [invoice] = (await office.get("/v1/billing/invoices"))["items"]
        assert invoice["status"] == status
        office.go_to(2026, 12, 6, 0)
        await office.run("billing.collect")
    [invoice] = (await office.get("/v1/billing/invoices"))["items"]
    assert (invoice["status"], invoice["reason"]) == ("paid", None)


async def test_a_plan_that_does_not_fit_is_refused(office: Office) -> None:
    with pytest.raises(UnknownPlan):
        await office.assign("none")
    with pytest.raises(UnknownZone):
        await office.assign("three", "Middle/Earth")
    await office.assign("three")
    with pytest.raises(CurrencyFixed):
        await office.assign("euro")


async def test_more_requests_than_the_plan_allows_are_told_when_to_come_again(
    office: Office,
) -> None:
    await office.assign("slow")
    await office.get("/v1/billing/plans")
    await asyncio.sleep(0.2)
    answers = [
        await office.http.get("/v1/billing/plans", headers=office.headers) for _ in range(12)
    ]
    refused = [a for a in answers if a.status_code == 429]
    assert refused
    assert refused[0].json()["code"] == "rate_exceeded"
    assert refused[0].headers["retry-after"] == "1"
    assert refused[0].json()["facts"]["limit"] == 2


def test_a_bucket_gives_what_a_second_has() -> None:
    bucket = Bucket(2, 0.0)
    assert [bucket.take(2, 0.0) for _ in range(3)] == [0.0, 0.0, 0.5]
    assert [bucket.take(2, 0.5) for _ in range(2)] == [0.0, 0.5]


@given(
    price=st.integers(0, 10**9),
    month=st.dates(date(2024, 1, 1), date(2032, 12, 31)),
    cuts=st.sets(st.integers(1, 30)),
)
def test_parts_of_a_month_add_up_to_the_whole(price: int, month: date, cuts: set[int]) -> None:
    period = model.month_of(month)
    end = model.next_month(period)
    days = (end - period).days
    edges = [0, *sorted(cut for cut in cuts if cut < days), days]
    plan = Plan(name="p", currency="USD", monthly_minor=price)
    segments = [
        Segment(n, plan, period + timedelta(first), period + timedelta(last))
        for n, (first, last) in enumerate(itertools.pairwise(edges), 1)
    ]
    lines = [line for _, line in model.charge_days(segments, period)]
    assert sum(line.amount_minor for line in lines) == price
    assert sum(line.quantity for line in lines) == days
    for line in lines:
        assert abs(line.amount_minor - price * line.quantity / days) <= 1


def test_a_day_begins_at_local_midnight_also_where_clocks_change() -> None:
    berlin = "Europe/Berlin"
    assert model.start_of(date(2026, 11, 1), berlin) == datetime(2026, 10, 31, 23, tzinfo=UTC)
    assert model.start_of(date(2026, 4, 1), berlin) == datetime(2026, 3, 31, 22, tzinfo=UTC)
    assert model.slot_of(datetime(2026, 1, 1, 5, 44, 59, tzinfo=UTC)).minute == 30
    assert model.start_of(date(2026, 1, 1), "Asia/Kathmandu").minute == 15
