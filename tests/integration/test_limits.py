"""Limits of a role at the door: judged before the route, or by it under its lock; else refused."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from serai.contexts.tenancy.contract import SCOPES
from serai.kernel import ids
from serai.kernel.actor import Actor
from serai.kernel.conditions import Limit, Way
from serai.kernel.db import Database
from serai.kernel.tenant import POOLED
from serai.kernel.web import Principal
from serai.roles.api import build_app
from serai.settings import Settings
from tests.integration.fulfilment_shop import Client, code_of
from tests.integration.house import House, at_once

ACTOR = Actor("staff", ids.new_id())
"""As a guard finds her: where she calls from is not in her token."""
PROXY, OFFICE, ELSEWHERE = "192.0.2.7", "10.1.2.3", "203.0.113.9"
UTC = {"zone": "UTC"}
AMOUNT = Limit("payments:write", "amount_up_to", {"USD": 1000})
DAY = Limit("payments:write", "within_hours", {**UTC, "begin": "09:00", "end": "17:00"})

EVENING = Limit("payments:write", "within_hours", {**UTC, "begin": "17:00", "end": "22:00"})
"""The house's clock stands at noon."""


class Staff:
    """One member of the staff, who may everything within her limits."""

    def __init__(self) -> None:
        self.limits: Way = ()
        self.house: House

    async def authenticate(self, _token: str) -> Principal:
        limits = {limit.scope: (self.limits,) for limit in self.limits}
        return Principal(self.house.tenant, POOLED, ACTOR, frozenset(SCOPES), limits)


@pytest.fixture
def staff() -> Staff:
    return Staff()


@pytest.fixture
async def house(staff: Staff, database: Database, tmp_path: Path) -> AsyncIterator[House]:
    opened = await House(database, tmp_path).open()
    staff.house = opened
    await opened.offer("tent")
    await opened.receive(tent=100)
    yield opened
    await opened.rest()
    assert await opened.findings() == []
    await opened.composition.close()


@pytest.fixture
async def client(staff: Staff, house: House) -> AsyncIterator[Client]:
    app: Any = build_app(Settings(), house.composition)
    app.state["authenticator"] = staff
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as http:
        yield Client(http, "anyone")


async def pay(house: House) -> str:
    order_id = await house.place(("tent", 3))
    await house.rest()
    return f"/v1/payments/{order_id}/refunds"


async def test_refunds_of_a_payment_stay_within_the_limit_however_they_are_cut(
    house: House, client: Client, staff: Staff
) -> None:
    path = await pay(house)
    staff.limits = (AMOUNT,)
    assert code_of(await client.post(path, {"amount_minor": 1001})) == (403, "condition_not_met")
    assert (await client.post(path, {"amount_minor": 600})).status_code == 201
    assert code_of(await client.post(path, {"amount_minor": 401})) == (403, "condition_not_met")
    await house.rest()
    assert code_of(await client.post(path, {"amount_minor": 401})) == (403, "condition_not_met")
    answers = await at_once(*(client.post(path, {"amount_minor": 200}) for _ in range(6)))
    assert sorted(one.status_code for one in answers) == [201] * 2 + [403] * 4
    staff.limits = ()
    assert (await client.post(path, {"amount_minor": 1500})).status_code == 201


async def test_a_limit_of_another_currency_allows_nothing(
    house: House, client: Client, staff: Staff
) -> None:
    path = await pay(house)
    staff.limits = (Limit("payments:write", "amount_up_to", {"EUR": 5000}),)
    assert code_of(await client.post(path, {"amount_minor": 1})) == (403, "condition_not_met")


async def test_a_route_that_does_not_know_the_amount_refuses_who_is_limited_by_it(
    house: House, client: Client, staff: Staff
) -> None:
    path = await pay(house)
    staff.limits = (AMOUNT,)
    capture = path.replace("refunds", "captures")
    assert code_of(await client.post(capture, {})) == (403, "condition_not_met")
    # The limit is of one scope, and of no other.
    assert (await client.get("/v1/payments")).status_code == 200


async def test_networks_are_those_that_she_calls_from_and_not_those_that_she_says(
    house: House, staff: Staff
) -> None:
    staff.limits = (Limit("payments:read", "from_networks", ["10.1.0.0/16"]),)
    app: Any = build_app(Settings(trusted_proxies=PROXY), house.composition)

    async def ask(peer: str, **headers: str) -> int:
        transport = httpx.ASGITransport(app=app, client=(peer, 40_000))
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as http:
            told = {"Authorization": "Bearer anyone", **headers}
            return (await http.get("/v1/payments", headers=told)).status_code

    app.state["authenticator"] = staff
    assert await ask(OFFICE) == 200
    assert await ask(f"::ffff:{OFFICE}") == 200
    assert await ask(ELSEWHERE) == 403
    # Behind a proxy of ours it is the caller that counts; nobody else is believed.
    assert await ask(PROXY, **{"X-Forwarded-For": OFFICE}) == 200
    assert await ask(PROXY, **{"X-Forwarded-For": ELSEWHERE}) == 403
    assert await ask(PROXY) == 403
    assert await ask(ELSEWHERE, **{"X-Forwarded-For": OFFICE}) == 403


async def test_hours_and_unknown_conditions_are_judged_at_the_door(
    house: House, client: Client, staff: Staff
) -> None:
    path = await pay(house)
    staff.limits = (DAY,)
    assert (await client.post(path, {"amount_minor": 1})).status_code == 201
    staff.limits = (EVENING,)
    assert code_of(await client.post(path, {"amount_minor": 1})) == (403, "condition_not_met")
    for unfit in ("no_such_condition", "within_hours"):
        staff.limits = (Limit("payments:write", unfit, {}),)
        refused = await client.post(path, {"amount_minor": 1})
        assert code_of(refused) == (403, "condition_not_met")
        assert refused.json()["facts"] == {"scope": "payments:write", "condition": unfit}
