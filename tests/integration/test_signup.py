"""A shop comes to be by itself: signed up, proven by a mail, filled if wanted, or swept away."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from serai.flows import samples
from serai.flows.signup import PROVEN_WITHIN
from serai.kernel import ids
from serai.kernel.db import Database
from serai.kernel.tenant import POOLED
from serai.roles.api import build_app
from serai.roles.schemas import SCHEMAS
from tests.integration.house import House
from tests.integration.identity_shop import PASSWORD, code_of

EMAIL = "owner@example.com"
QUICK: dict[str, Any] = {"argon2_memory_kib": 8192, "argon2_passes": 1}


class Door:
    """An installation that takes sign-ups, over HTTP."""

    def __init__(self, house: House, http: httpx.AsyncClient) -> None:
        self.house = house
        self.http = http

    async def sign_up(self, name: str, email: str = EMAIL, key: str = "", **more: Any) -> Any:
        headers = {"idempotency-key": key or ids.new_id().hex}
        body = {"name": name, "email": email, **more}
        return await self.http.post("/v1/sign-ups", json=body, headers=headers)

    async def choose_password(self, name: str, token: str | None) -> httpx.Response:
        path, headers = "/v1/password-resets/confirmations", {"Serai-Tenant": name}
        body = {"token": token, "password": PASSWORD}
        return await self.http.post(path, json=body, headers=headers)

    async def sign_in(self, name: str) -> httpx.Response:
        body = {"email": EMAIL, "password": PASSWORD, "kind": "staff"}
        return await self.http.post("/v1/sessions", json=body, headers={"Serai-Tenant": name})

    async def token_of(self, tenant_id: UUID) -> str | None:
        found: str | None = await self.house.composition.identity.find_mail_token(tenant_id, EMAIL)
        return found

    async def rows_of(self, tenant_id: UUID) -> dict[str, int]:
        """How many rows each table has of a tenant, those of the audit trail aside."""
        found: dict[str, int] = {}
        async with self.house.database.transaction(POOLED, (tenant_id,), is_report=True) as tx:
            tables = await tx.connection.fetch(
                "SELECT c.oid::regclass::text AS name FROM pg_class c "
                "JOIN pg_namespace n ON n.oid = c.relnamespace "
                "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' "
                "WHERE n.nspname = ANY ($1) AND c.relkind = 'r' ORDER BY 1",
                list(SCHEMAS),
            )
            for name in (row["name"] for row in tables):
                count = await tx.connection.fetchval(
                    f"SELECT count(*) FROM {name} WHERE tenant_id = $1", tenant_id
                )
                if count and not name.startswith("audit.") and name != "kernel.erasures":
                    found[name] = count
        return found


async def open_door(database: Database, folder: Path, **given: Any) -> AsyncIterator[Door]:
    house = await House(database, folder, **QUICK, **given).open()
    app: Any = build_app(house.composition.surroundings.settings, house.composition)
    transport = httpx.ASGITransport(app, client=("192.0.2.7", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://door.test") as http:
        yield Door(house, http)
    await house.composition.close()


@pytest.fixture
async def door(database: Database, tmp_path: Path) -> AsyncIterator[Door]:
    async for opened in open_door(database, tmp_path, sign_up=True):
        yield opened


async def sweep(door: Door) -> int:
    (job,) = [job for job in door.house.composition.jobs if job.name == "signup.sweep"]
    return await job.run(door.house.database, POOLED, door.house.clock)


async def test_sign_up_is_closed_unless_it_is_opened(database: Database, tmp_path: Path) -> None:
    async for door in open_door(database, tmp_path):
        assert code_of(await door.sign_up("my-shop")) == (403, "sign_up_closed")
        assert await door.house.composition.tenancy.find_tenant("my-shop") is None


async def test_a_shop_opens_when_its_owner_has_followed_the_mail(door: Door) -> None:
    answer = await door.sign_up("my-shop", sample_data=True)
    assert answer.status_code == 202, answer.text
    made = answer.json()
    tenant_id = UUID(made["tenant_id"])
    assert made["name"] == "my-shop"
    assert made["state"] == "unproven"
    await door.house.rest()

    # Nothing opens before: not the owner's door, and not even a key that the operator makes.
    tenancy = door.house.composition.tenancy
    key = await tenancy.create_key(tenant_id, label="", scopes=("orders:write", "tenancy:read"))
    bearer = {"authorization": f"Bearer {key.key}"}
    order = {"currency": "USD", "lines": [{"sku": "SAMPLE-TEA", "quantity": 1}]}
    with_key = {**bearer, "idempotency-key": "one"}
    refused = await door.http.post("/v1/orders", json=order, headers=with_key)
    assert code_of(refused) == (403, "tenant_unproven")
    assert code_of(await door.sign_in("my-shop")) == (403, "tenant_unproven")
    assert "catalog.products" not in await door.rows_of(tenant_id)

    token = await door.token_of(tenant_id)
    assert (await door.choose_password("my-shop", token)).status_code == 204
    await door.house.rest()
    session = await door.sign_in("my-shop")
    assert session.status_code == 201, session.text
    owner = {"authorization": f"Bearer {session.json()['access_token']}"}
    goods = (await door.http.get("/v1/products", headers=owner)).json()["items"]
    assert len(goods) == len(samples.PRODUCTS)
    placed = await door.http.post("/v1/orders", json=order, headers=with_key)
    assert placed.status_code == 201, placed.text
    trail = await door.http.get("/v1/audit-entries", headers=owner)
    actions = {entry["action"] for entry in trail.json()["items"]}
    assert {"tenancy.tenant_created", "identity.staff_invited"} <= actions


async def test_a_mail_that_was_lost_is_sent_again_and_proves_too(door: Door) -> None:
    made = (await door.sign_up("my-shop")).json()
    first = await door.token_of(UUID(made["tenant_id"]))
    asked = await door.http.post(
        "/v1/password-resets", json={"email": EMAIL, "kind": "staff"},
        headers={"Serai-Tenant": "my-shop"},
    )  # fmt: skip
    assert asked.status_code == 202
    second = await door.token_of(UUID(made["tenant_id"]))
    assert second not in {None, first}
    assert (await door.choose_password("my-shop", second)).status_code == 204
    await door.house.rest()
    assert (await door.sign_in("my-shop")).status_code == 201
    assert await door.house.rows("SELECT 1 FROM catalog.products") == []


async def test_the_same_request_makes_one_shop(door: Door) -> None:
    answers = await asyncio.gather(*(door.sign_up("my-shop", key="one") for _ in range(2)))
    again = await door.sign_up("my-shop", key="one")
    assert {a.status_code for a in answers} == {202}
    assert {a.content for a in (*answers, again)} == {answers[0].content}
    assert again.headers["idempotency-replayed"] == "true"
    tenant_id = UUID(again.json()["tenant_id"])
    assert (await door.rows_of(tenant_id))["identity.accounts"] == 1


async def test_a_key_that_two_have_chosen_alike_is_each_ones_own(door: Door) -> None:
    mine = await door.sign_up("my-shop", key="1")
    reused = await door.sign_up("other-shop", key="1")
    assert code_of(reused) == (422, "idempotency_key_reused")
    other = await door.sign_up("other-shop", email="someone@example.com", key="1")
    assert other.status_code == 202
    assert other.json()["tenant_id"] != mine.json()["tenant_id"]


async def test_a_taken_name_is_refused_and_nothing_of_it_is_kept(door: Door) -> None:
    await door.sign_up("my-shop")
    key = "second"
    for _ in range(2):
        refused = await door.sign_up("my-shop", email="someone@example.com", key=key)
        assert code_of(refused) == (409, "tenant_exists")
    assert code_of(await door.sign_up("My Shop")) == (422, "tenant_name_unfit")
    async with door.house.database.transaction(POOLED, (), is_transport=True) as tx:
        events = await tx.connection.fetchval(
            "SELECT count(*) FROM kernel.outbox WHERE type = 'identity.staff_invited.v1'"
        )
    assert events == 1


async def test_few_may_try(door: Door) -> None:
    codes = [
        code_of(await door.sign_up(f"shop-{n}", email=f"o{n}@example.com"))[0] for n in range(7)
    ]
    assert codes == [202] * 5 + [429] * 2
    late = await door.sign_up("shop-9", email="o9@example.com")
    assert int(late.headers["retry-after"]) > 0
    door.house.clock.advance(timedelta(minutes=13))
    assert (await door.sign_up("shop-9", email="o9@example.com")).status_code == 202


async def test_one_address_of_mail_gets_few_mails(database: Database, tmp_path: Path) -> None:
    async for door in open_door(database, tmp_path, sign_up=True, logins_per_address=0):
        codes = [code_of(await door.sign_up(f"shop-{n}"))[0] for n in range(4)]
        assert codes == [202] * 3 + [429]


async def test_a_shop_that_nobody_proves_leaves_nothing_and_its_name_is_free(door: Door) -> None:
    made = (await door.sign_up("my-shop", sample_data=True)).json()
    tenant_id = UUID(made["tenant_id"])
    await door.house.rest()
    token = await door.token_of(tenant_id)
    assert await sweep(door) == 0
    door.house.clock.advance(PROVEN_WITHIN + timedelta(seconds=1))
    await door.house.ring()
    assert code_of(await door.choose_password("my-shop", token)) == (403, "tenant_unproven")
    assert (await door.rows_of(tenant_id))["identity.accounts"] == 1
    assert await sweep(door) == 1
    assert await door.rows_of(tenant_id) == {}
    assert (await door.sign_up("my-shop", email="someone@example.com")).status_code == 202


async def test_a_proven_shop_outlives_its_deadline(door: Door) -> None:
    made = (await door.sign_up("my-shop")).json()
    token = await door.token_of(UUID(made["tenant_id"]))
    assert (await door.choose_password("my-shop", token)).status_code == 204
    await door.house.rest()
    door.house.clock.advance(PROVEN_WITHIN + timedelta(days=1))
    await door.house.ring()
    assert await sweep(door) == 0
    assert (await door.sign_in("my-shop")).status_code == 201
