import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple
from uuid import UUID

import httpx
import pytest
from litestar import Litestar
from litestar.datastructures import State

from serai.contexts.tenancy import handlers, model
from serai.contexts.tenancy.contract import (
    KEYS_MAX,
    SCOPES,
    CreateKey,
    CreateTenant,
    IssuedTenant,
    KeyView,
    NewKey,
    TenantCreated,
    TenantExists,
    TenantNameUnfit,
    TenantView,
    TooManyKeys,
    UnknownScope,
)
from serai.contexts.tenancy.module import build, build_homes
from serai.contexts.tenancy.store import PostgresTenants
from serai.kernel import ids
from serai.kernel.clock import SystemClock
from serai.kernel.db import Database
from serai.kernel.embedded import EmbeddedPostgres
from serai.kernel.events import Cause
from serai.kernel.failure import NotFound
from serai.kernel.module import Surroundings
from serai.kernel.problems import EXCEPTION_HANDLERS
from serai.kernel.tenant import POOLED, Homes
from serai.settings import Settings

CAUSE = Cause(ids.new_id())


class Shop(NamedTuple):
    """Tenancy alone, as an application, with what it offers."""

    client: httpx.AsyncClient
    tenancy: Any
    homes: Homes
    database: Database


@pytest.fixture
async def shop(database: Database) -> AsyncIterator[Shop]:
    homes = build_homes(database)
    module = build(Surroundings(database, homes, SystemClock(), Settings()))
    app = Litestar(
        route_handlers=list(module.routes),
        exception_handlers=EXCEPTION_HANDLERS,
        state=State({"authenticator": module.offers.authenticator}),
        logging_config=None,
    )
    transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        yield Shop(client, module.offers, homes, database)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def create(shop: Shop, name: str, *scopes: str) -> IssuedTenant:
    issued: IssuedTenant = await shop.tenancy.create_tenant(name, scopes=scopes or SCOPES)
    return issued


async def test_who_am_i_tells_tenant_key_and_scopes(shop: Shop) -> None:
    made = await create(shop, "acme", "tenancy:read", "orders:read")
    answer = await shop.client.get("/v1/tenant", headers=bearer(made.key.key))
    assert answer.status_code == 200
    assert answer.json() == {
        "tenant": {
            "id": str(made.tenant.id),
            "name": "acme",
            "home": "pooled",
            "created_at": made.tenant.created_at.isoformat().replace("+00:00", "Z"),
        },
        "key_id": str(made.key.id),
        "scopes": ["orders:read", "tenancy:read"],
    }


async def test_no_key_and_wrong_keys_are_refused_alike(shop: Shop) -> None:
    made = await create(shop, "acme")
    other = await create(shop, "other")
    foreign = other.key.key[: other.key.key.rindex("_")] + made.key.key[made.key.key.rindex("_") :]
    for headers in (
        {},
        {"Authorization": made.key.key},
        {"Authorization": f"Basic {made.key.key}"},
        bearer("nonsense"),
        bearer(made.key.key[:-1]),
        bearer(made.key.key[:-2] + "zz"),
        bearer(foreign),
        bearer(model.write_key(ids.new_id(), ids.new_id(), "x" * 43)),
    ):
        answer = await shop.client.get("/v1/tenant", headers=headers)
        assert answer.status_code == 401, headers
        assert answer.json()["code"] == "unauthenticated"
        assert answer.headers["www-authenticate"] == 'Bearer realm="serai"'


async def test_a_key_without_the_scope_is_told_which_it_lacks(shop: Shop) -> None:
    made = await create(shop, "acme", "orders:read")
    answer = await shop.client.get("/v1/tenant", headers=bearer(made.key.key))
    assert answer.status_code == 403
    assert answer.json()["code"] == "missing_scope"
    assert answer.json()["facts"] == {"scope": "tenancy:read"}


async def test_a_new_key_works_is_shown_once_and_only_its_digest_is_kept(
    shop: Shop, postgres: EmbeddedPostgres, database_name: str
) -> None:
    made = await create(shop, "acme")
    answer = await shop.client.post(
        "/v1/api-keys",
        headers=bearer(made.key.key),
        json={"scopes": ["tenancy:read"], "label": "till"},
    )
    assert answer.status_code == 201
    issued = answer.json()
    assert answer.headers["location"] == f"/v1/api-keys/{issued['id']}"
    assert issued["scopes"] == ["tenancy:read"]
    assert issued["label"] == "till"
    works = await shop.client.get("/v1/tenant", headers=bearer(issued["key"]))
    assert works.json()["scopes"] == ["tenancy:read"]

    listed = await shop.client.get("/v1/api-keys", headers=bearer(made.key.key))
    assert [item["id"] for item in listed.json()["items"]] == [issued["id"], str(made.key.id)]
    assert "key" not in listed.json()["items"][0]
    async with shop.database.transaction(POOLED, (made.tenant.id,)) as tx:
        kept = await tx.connection.fetch("SELECT t::text FROM tenancy.api_keys t")
    assert not any(issued["key"][-43:] in row["t"] for row in kept)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"scopes": ["orders:write"]}, 403, "scope_not_held"),
        ({"scopes": ["orders:eat"]}, 422, "unknown_scope"),
        ({"scopes": []}, 400, "invalid"),
        ({}, 400, "invalid"),
        ({"scopes": ["tenancy:read"], "extra": 1}, 400, "invalid"),
        ({"scopes": ["tenancy:read"], "label": "x" * 65}, 400, "invalid"),
        ({"scopes": ["tenancy:read"], "label": "a\0b"}, 400, "invalid"),
    ],
)
async def test_a_key_that_may_not_be_made_is_not_made(
    shop: Shop, body: dict[str, Any], status: int, code: str
) -> None:
    made = await create(shop, "acme", "tenancy:read", "tenancy:write")
    answer = await shop.client.post("/v1/api-keys", headers=bearer(made.key.key), json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    listed = await shop.client.get("/v1/api-keys", headers=bearer(made.key.key))
    assert len(listed.json()["items"]) == 1


async def test_a_revoked_key_is_refused_at_once_and_revoking_is_harmless_twice(shop: Shop) -> None:
    made = await create(shop, "acme")
    second = await shop.tenancy.create_key(made.tenant.id, label="", scopes=["tenancy:read"])
    assert (await shop.client.get("/v1/tenant", headers=bearer(second.key))).status_code == 200
    address = f"/v1/api-keys/{second.id}"
    for _ in range(2):
        answer = await shop.client.delete(address, headers=bearer(made.key.key))
        assert (answer.status_code, answer.content) == (204, b"")
        refused = await shop.client.get("/v1/tenant", headers=bearer(second.key))
        assert refused.status_code == 401
    listed = await shop.client.get("/v1/api-keys", headers=bearer(made.key.key))
    assert [item["revoked_at"] is None for item in listed.json()["items"]] == [False, True]


async def test_a_key_ends_no_stronger_one(shop: Shop) -> None:
    made = await create(shop, "acme")
    weak = await shop.tenancy.create_key(made.tenant.id, label="", scopes=["tenancy:write"])
    equal = await shop.tenancy.create_key(made.tenant.id, label="", scopes=["tenancy:write"])
    refused = await shop.client.delete(f"/v1/api-keys/{made.key.id}", headers=bearer(weak.key))
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_not_held")
    assert "tenancy:read" in refused.json()["facts"]["missing"]
    assert (await shop.client.get("/v1/tenant", headers=bearer(made.key.key))).status_code == 200
    for key in (equal, weak):
        ended = await shop.client.delete(f"/v1/api-keys/{key.id}", headers=bearer(weak.key))
        assert ended.status_code == 204


async def test_another_tenants_key_cannot_be_revoked_nor_seen(shop: Shop) -> None:
    mine, other = await create(shop, "acme"), await create(shop, "other")
    answer = await shop.client.delete(f"/v1/api-keys/{other.key.id}", headers=bearer(mine.key.key))
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    listed = await shop.client.get("/v1/api-keys", headers=bearer(mine.key.key))
    assert [item["id"] for item in listed.json()["items"]] == [str(mine.key.id)]
    assert (await shop.client.get("/v1/tenant", headers=bearer(other.key.key))).status_code == 200


async def test_keys_are_listed_a_page_at_a_time_each_once(shop: Shop) -> None:
    made = await create(shop, "acme")
    wanted = [made.key.id]
    for _ in range(4):
        key = await shop.tenancy.create_key(made.tenant.id, label="", scopes=["orders:read"])
        wanted.insert(0, key.id)
    seen: list[str] = []
    cursor: str | None = None
    while True:
        query = {"limit": "2", **({"cursor": cursor} if cursor else {})}
        page = (
            await shop.client.get("/v1/api-keys", params=query, headers=bearer(made.key.key))
        ).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == [str(key_id) for key_id in wanted]
    for query in ({"limit": "0"}, {"limit": "201"}, {"cursor": "nonsense"}):
        answer = await shop.client.get("/v1/api-keys", params=query, headers=bearer(made.key.key))
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid")


async def test_a_tenant_is_made_whole_or_not_at_all(shop: Shop) -> None:
    made = await create(shop, "acme")
    with pytest.raises(TenantExists):
        await create(shop, "acme")
    with pytest.raises(TenantNameUnfit):
        await create(shop, "Acme!")
    with pytest.raises(UnknownScope):
        await create(shop, "third", "orders:eat")
    listed: list[TenantView] = await shop.tenancy.list_tenants(after="", limit=10)
    assert listed == [made.tenant]
    assert await shop.tenancy.find_tenant("acme") == made.tenant
    assert await shop.tenancy.find_tenant("third") is None
    async with shop.database.transaction(POOLED, (), is_transport=True) as tx:
        rows = await tx.connection.fetch("SELECT type, key, data FROM kernel.outbox")
    assert [(row["type"], row["key"]) for row in rows] == [
        ("tenancy.tenant_created.v1", made.tenant.id),
        ("audit.changes_recorded.v1", made.tenant.id),
    ]
    assert json.loads(rows[0]["data"]) == {"tenant_id": str(made.tenant.id), "name": "acme"}


async def test_of_many_that_want_one_name_at_once_one_gets_it(shop: Shop) -> None:
    results = await asyncio.gather(
        *(create(shop, "acme") for _ in range(8)), return_exceptions=True
    )
    assert sum(isinstance(result, IssuedTenant) for result in results) == 1
    assert sum(isinstance(result, TenantExists) for result in results) == 7


async def test_in_a_mixed_batch_only_the_taken_name_is_refused(database: Database) -> None:
    commands = [
        CreateTenant(ids.new_id(), name, POOLED, new_key(), Cause(ids.new_id()))
        for name in ("one", "two", "one")
    ]
    async with database.transaction(POOLED, {c.tenant_id for c in commands}) as tx:
        results = await handlers.create_tenants(
            commands, tx=tx, now=tx.now, tenants=PostgresTenants()
        )
        events = [a.event for a in tx.announced]
    assert [type(result) for result in results] == [TenantView, TenantView, TenantExists]
    assert events == [TenantCreated(c.tenant_id, c.name) for c in commands[:2]]


async def test_the_bound_of_keys_is_exact_even_in_one_batch(shop: Shop) -> None:
    made, other = await create(shop, "acme"), await create(shop, "other")
    commands = [CreateKey(made.tenant.id, new_key(), CAUSE) for _ in range(KEYS_MAX)]
    commands += [
        CreateKey(other.tenant.id, new_key(), CAUSE),
        CreateKey(ids.new_id(), new_key(), CAUSE),
    ]
    async with shop.database.transaction(POOLED, {c.tenant_id for c in commands}) as tx:
        results = await handlers.create_keys(commands, tx=tx, now=tx.now, tenants=PostgresTenants())
    kinds = [type(result) for result in results]
    assert kinds == [KeyView] * (KEYS_MAX - 1) + [TooManyKeys, KeyView, NotFound]
    answer = await shop.client.post(
        "/v1/api-keys", headers=bearer(made.key.key), json={"scopes": ["orders:read"]}
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_keys")
    await shop.client.delete(f"/v1/api-keys/{results[0].id}", headers=bearer(made.key.key))  # type: ignore[union-attr]
    answer = await shop.client.post(
        "/v1/api-keys", headers=bearer(made.key.key), json={"scopes": ["orders:read"]}
    )
    assert answer.status_code == 201


async def test_the_directory_tells_homes_and_residents(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(await shop.homes.all_homes()) == [POOLED]
    monkeypatch.setattr("serai.contexts.tenancy.gateways.directory.PAGE", 2)
    made = [(await create(shop, name)).tenant.id for name in ("c", "b", "a", "d", "e")]
    assert list(await shop.homes.all_homes()) == [POOLED]
    assert list(await shop.homes.tenants_of(POOLED)) == made, "ids grow with time"
    assert await shop.homes.home_of(made[0]) == POOLED
    before = shop.database.transactions
    await shop.homes.home_of(made[0])
    assert shop.database.transactions == before, "a home is remembered"
    with pytest.raises(NotFound):
        await shop.homes.home_of(ids.new_id())


async def test_tenants_are_listed_by_name_a_page_at_a_time(shop: Shop) -> None:
    for name in ("c", "b", "a"):
        await create(shop, name)
    first = await shop.tenancy.list_tenants(after="", limit=2)
    rest = await shop.tenancy.list_tenants(after=first[-1].name, limit=2)
    assert [tenant.name for tenant in first + rest] == ["a", "b", "c"]


def new_key(key_id: Callable[[], UUID] = ids.new_id) -> NewKey:
    return NewKey(key_id(), "", b"d" * 32, ("orders:read",))
