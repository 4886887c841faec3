"""SKUs, staff and devices up to what a plan allows, and not one more, whoever comes at once."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from serai.contexts.catalog.store.products import PostgresProducts
from serai.contexts.identity.model.apps import DEVICE
from serai.contexts.identity.store.accounts import PostgresRoles
from serai.contexts.identity.store.apps import PostgresHandovers
from serai.kernel import ids
from serai.kernel.db import Database
from serai.kernel.embedded import EmbeddedPostgres
from serai.kernel.failure import Refused
from serai.kernel.tenant import POOLED
from tests.integration.identity_shop import code_of, open_shop
from tests.integration.provider_shop import BASE, AnApp, Ground, forms_of, open_ground

PLANS: Final = b"""[
 {"name": "few", "currency": "USD", "monthly_minor": 100, "skus": 4, "staff": 2, "devices": 1},
 {"name": "more", "currency": "USD", "monthly_minor": 200, "skus": 5, "staff": 3, "devices": 2}
]"""
ROUNDS: Final = 6
FULL: Final = (402, "quota_exceeded")

Ask = Callable[[httpx.AsyncClient, int], Coroutine[Any, Any, httpx.Response]]


class Market:
    """Two processes of one installation, whose tenant is on a plan."""

    def __init__(self, ground: Ground, there: httpx.AsyncClient) -> None:
        self.ground = ground
        self.processes = (ground.shop.http, there)
        self.tenant = ground.shop.tenants["acme"]
        self.bearer = {"authorization": f"Bearer {ground.shop.keys['acme']}"}

    async def assign(self, plan: str | None) -> None:
        await self.ground.shop.house.billing.assign_plan(self.tenant, POOLED, plan=plan, zone=None)

    async def post(
        self, path: str, body: Any, http: httpx.AsyncClient | None = None
    ) -> httpx.Response:
        headers = {**self.bearer, "idempotency-key": ids.new_id().hex}
        return await (http or self.processes[0]).post(path, json=body, headers=headers)

    async def usage(self) -> dict[str, Any]:
        answer = await self.processes[0].get("/v1/billing/subscription", headers=self.bearer)
        found: dict[str, Any] = answer.json()["usage"]
        return found

    async def count(self, query: str) -> int:
        return len(await self.ground.rows(query))

    async def allowed_device(self, app: AnApp) -> str:
        """The code of a device that its owner has let in, and that has not come for its tokens."""
        ask = self.ground.ask
        await self.ground.change_rows("DELETE FROM identity.throttles")
        begun = (await ask("device_authorization", app, scope="orders:own offline_access")).json()
        async with self.ground.browser() as browser:
            page = await browser.sign_in(await browser.open("/t/acme/device"))
            page = await browser.submit(page, user_code=begun["user_code"])
            assert forms_of(page), page.text
            assert "is let in" in (await browser.submit(page, decision="allow")).text
        code: str = begun["device_code"]
        return code

    async def come(
        self, app: AnApp, code: str, http: httpx.AsyncClient | None = None
    ) -> httpx.Response:
        """A device comes for its tokens."""
        data = {"client_id": app.id, "grant_type": DEVICE, "device_code": code}
        return await (http or self.processes[0]).post("/t/acme/oauth/token", data=data)


@pytest.fixture
async def market(
    postgres: EmbeddedPostgres, database: Database, database_name: str, tmp_path: Path
) -> AsyncIterator[Market]:
    plans = tmp_path / "plans.json"
    plans.write_bytes(PLANS)
    given: dict[str, Any] = {"plans": str(plans), "public_url": BASE, "logins_per_address": 0}
    async with contextlib.AsyncExitStack() as stack:
        ground = await stack.enter_async_context(open_ground(database, tmp_path, **given))
        pool = Database(postgres.app_url(database_name), pool_max=8)
        await pool.open()
        stack.push_async_callback(pool.close)
        there = await stack.enter_async_context(open_shop(pool, tmp_path, **given))
        yield Market(ground, there.http)


def product(title: str, *skus: str) -> dict[str, Any]:
    variants = [{"sku": sku, "options": {"Size": sku}} for sku in skus]
    return {"title": title, "variants": variants}


def staff(number: int) -> dict[str, Any]:
    return {"email": f"m{number}@example.com", "roles": ["support"]}


async def race(market: Market, ask: Ask) -> list[httpx.Response]:
    """One request in each process, at the same instant."""
    return list(await asyncio.gather(*(ask(http, n) for n, http in enumerate(market.processes))))


async def test_without_a_plan_nothing_is_limited(market: Market) -> None:
    assert (await market.post("/v1/products", product("Tents", *"abcdef"))).status_code == 201
    for number in range(4):
        assert (await market.post("/v1/staff", staff(number))).status_code == 201


async def test_skus_beyond_the_plan_are_refused_and_leave_no_trace(market: Market) -> None:
    await market.assign("few")
    made = await market.post("/v1/products", product("Tents", *"abc"))
    assert made.status_code == 201
    refused = await market.post("/v1/products", product("Lamps", "x", "y"))
    assert code_of(refused) == FULL
    assert refused.json()["facts"] == {
        "meter": "skus", "used": 3, "limit": 4, "plan": "few", "fields": ["variants[1].sku"],
    }  # fmt: skip
    assert "take a larger plan" in refused.json()["detail"]
    assert await market.count("SELECT 1 FROM catalog.products") == 1
    path = f"/v1/products/{made.json()['id']}/variants"
    assert (await market.post(path, {"sku": "d", "options": {"Size": "d"}})).status_code == 201
    refused = await market.post(path, {"sku": "e", "options": {"Size": "e"}})
    assert code_of(refused) == FULL
    assert refused.json()["facts"]["fields"] == ["sku"]
    # What is there may change, however full the plan is.
    saved = await market.post(
        "/v1/products:batch?mode=upsert",
        {"products": [{**product("Tents", *"abcd"), "description": "Dry."}, product("Oil", "o")]},
    )
    statuses = [
        (one["status"], [e["code"] for e in one["errors"]]) for one in saved.json()["items"]
    ]
    assert statuses == [("updated", []), ("refused", ["quota_exceeded"])]
    assert (await market.usage())["skus"] == {"used": 4, "limit": 4, "added_metered": 0}
    await market.assign("more")
    assert (await market.post("/v1/products", product("Oil", "o"))).status_code == 201


async def test_an_import_says_of_each_row_beyond_the_plan_why(market: Market) -> None:
    await market.assign("few")
    file = (
        "handle,title,sku,option:Size,price:USD\n"
        "tent,Tent,t1,S,10.00\n"
        ",,t2,M,10.00\n"
        ",,t3,L,10.00\n"
        "lamp,Lamp,l1,S,10.00\n"
        ",,l2,M,10.00\n"
        ",,l3,L,10.00\n"
        "rope,Rope,r1,S,10.00\n"
        "oil,Oil,o1,S,10.00\n"
    )
    # The lamp finds one place and needs three; the rope takes it. Another time there is none left.
    for created, unchanged, of_the_lamp in ((2, 0, "product_refused"), (0, 2, "quota_exceeded")):
        headers = {**market.bearer, "content-type": "text/csv", "idempotency-key": ids.new_id().hex}
        answer = await market.processes[0].post(
            "/v1/imports?currency=USD", content=file, headers=headers
        )
        assert answer.status_code == 200, answer.text
        report = answer.json()
        told = (report["created"], report["unchanged"], report["refused"])
        assert told == (created, unchanged, 2), report
        assert [(p["row"], p["code"]) for p in report["problems"]] == [
            (5, of_the_lamp), (6, "quota_exceeded"), (7, "quota_exceeded"), (9, "quota_exceeded"),
        ]  # fmt: skip
    assert all("take a larger plan" in problem["detail"] for problem in report["problems"])
    skus = await market.ground.rows("SELECT sku FROM catalog.variants ORDER BY sku")
    assert [row["sku"] for row in skus] == ["r1", "t1", "t2", "t3"]


async def test_staff_beyond_the_plan_are_refused_and_leave_no_trace(market: Market) -> None:
    await market.assign("few")
    made = [await market.post("/v1/staff", staff(number)) for number in range(3)]
    assert [m.status_code for m in made] == [201, 201, 402]
    assert made[2].json()["facts"] == {"meter": "staff", "used": 2, "limit": 2, "plan": "few"}
    assert "suspend one" in made[2].json()["detail"]
    assert await market.count("SELECT 1 FROM identity.accounts WHERE kind = 'staff'") == 2
    # Who is there already is told first, and has her seat whatever her roles become.
    assert code_of(await market.post("/v1/staff", staff(0))) == (409, "account_exists")
    call, key = market.ground.shop.call, market.ground.shop.keys["acme"]
    path = f"/v1/staff/{made[0].json()['id']}"
    assert (await call("PATCH", path, key, {"roles": ["auditor"]})).status_code == 200
    # A seat that is given up is another's; to come back takes one again.
    assert (await call("PATCH", path, key, {"is_suspended": True})).status_code == 200
    assert (await market.post("/v1/staff", staff(2))).status_code == 201
    assert code_of(await call("PATCH", path, key, {"is_suspended": False})) == FULL
    with pytest.raises(Refused) as refused:
        await market.ground.shop.house.identity.invite_staff(
            market.tenant, email=staff(0)["email"], name="", roles=("support",)
        )
    assert refused.value.code == "quota_exceeded"
    await market.assign("more")
    assert (await call("PATCH", path, key, {"is_suspended": False})).status_code == 200
    assert (await market.usage())["staff"]["used"] == 3


async def test_devices_beyond_the_plan_are_let_in_when_another_has_gone(market: Market) -> None:
    app = await market.ground.make_public()
    await market.assign("few")
    first, second = [await market.allowed_device(app) for _ in range(2)]
    given = (await market.come(app, first)).json()
    refused = await market.come(app, second)
    assert code_of(refused) == FULL
    assert refused.json()["facts"] == {"meter": "devices", "used": 1, "limit": 1, "plan": "few"}
    assert "sign one out" in refused.json()["detail"]
    # People in browsers and by codes are no devices.
    await market.ground.tokens(app)
    assert (await market.usage())["devices"]["used"] == 1
    revoked = await market.ground.ask("revoke", app, token=given["refresh_token"])
    assert revoked.status_code == 200
    assert (await market.come(app, second)).status_code == 200
    # It is kept, and counted, for as long as its session may be; not the ten minutes of its code.
    assert await market.count(
        "SELECT 1 FROM identity.devices WHERE expires_at > now() + interval '179 days'"
    ) == 2  # fmt: skip
    await market.ground.change(app, is_disabled=True)
    assert (await market.usage())["devices"]["used"] == 0


async def race_for_skus(market: Market) -> list[int]:
    """How often one of two got the last place, by round."""
    found = []
    for number in range(ROUNDS):
        async with market.ground.shop.house.database.transaction(POOLED, (market.tenant,)) as tx:
            for table in ("variants", "products"):
                await tx.connection.execute(f"DELETE FROM catalog.{table}")
        taken = product("Three", *(f"{number}{letter}" for letter in "abc"))
        assert (await market.post("/v1/products", taken)).status_code == 201

        async def ask(http: httpx.AsyncClient, n: int, number: int = number) -> httpx.Response:
            return await market.post("/v1/products", product(f"Last {n}", f"{number}-{n}"), http)

        answers = await race(market, ask)
        assert {a.status_code for a in answers} <= {201, 402}
        found.append([a.status_code for a in answers].count(201))
    return found


async def race_for_seats(market: Market) -> list[int]:
    found = []
    for number in range(ROUNDS):
        await market.ground.change_rows("DELETE FROM identity.accounts WHERE kind = 'staff'")
        assert (await market.post("/v1/staff", staff(3 * number))).status_code == 201

        async def ask(http: httpx.AsyncClient, n: int, number: int = number) -> httpx.Response:
            return await market.post("/v1/staff", staff(3 * number + n + 1), http)

        answers = await race(market, ask)
        assert {a.status_code for a in answers} <= {201, 402}
        found.append([a.status_code for a in answers].count(201))
    return found


async def race_for_devices(market: Market) -> list[int]:
    app, found = await market.ground.make_public(), []
    for _ in range(ROUNDS):
        await market.ground.change_rows("DELETE FROM identity.devices")
        codes = [await market.allowed_device(app) for _ in range(2)]

        async def ask(http: httpx.AsyncClient, n: int, codes: list[str] = codes) -> httpx.Response:
            return await market.come(app, codes[n], http)

        answers = await race(market, ask)
        assert {a.status_code for a in answers} <= {200, 402}
        found.append([a.status_code for a in answers].count(200))
    return found


RACES: Final[list[tuple[Callable[[Market], Coroutine[Any, Any, list[int]]], type, str]]] = [
    (race_for_skus, PostgresProducts, "lock_skus"),
    (race_for_seats, PostgresRoles, "lock_all"),
    (race_for_devices, PostgresHandovers, "lock_admitted"),
]
NAMES: Final = ["skus", "seats", "devices"]


@pytest.mark.parametrize(("run", "_store", "_lock"), RACES, ids=NAMES)
async def test_of_two_at_the_last_place_at_once_one_has_it(
    market: Market,
    run: Callable[[Market], Coroutine[Any, Any, list[int]]],
    _store: type,
    _lock: str,
) -> None:
    await market.assign("few")
    assert await run(market) == [1] * ROUNDS


@pytest.mark.parametrize(("run", "store", "lock"), RACES, ids=NAMES)
async def test_without_the_lock_both_would_have_it(
    market: Market, monkeypatch: pytest.MonkeyPatch, store: type, lock: str,
    run: Callable[[Market], Coroutine[Any, Any, list[int]]],
) -> None:  # fmt: skip
    """The planted fault: what is counted is not kept from the other."""

    async def keep_nobody(*_args: Any, **_given: Any) -> None:
        pass

    monkeypatch.setattr(store, lock, keep_nobody)
    await market.assign("few")
    assert 2 in await run(market)
