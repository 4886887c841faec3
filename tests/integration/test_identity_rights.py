"""Who may do what: roles and scopes, other tenants, and what nobody can give herself."""

import statistics
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from serai.contexts.identity.gateways import hashing as hashing_module
from serai.contexts.identity.gateways.hashing import HASHES_WAITING_MAX, ArgonHashing
from serai.contexts.identity.model.roles import READY_MADE
from serai.contexts.tenancy.contract import SCOPES
from serai.kernel import ids
from serai.kernel.db import Database
from serai.kernel.failure import Unavailable
from serai.kernel.tenant import POOLED
from tests.integration.house import at_once
from tests.integration.identity_shop import (
    Shop,
    code_of,
    open_shop,
)

EMAIL = "buyer@example.com"


@pytest.fixture
async def shop(database: Database, tmp_path: Path) -> AsyncIterator[Shop]:
    async with open_shop(database, tmp_path) as opened:
        await opened.add_tenant("acme")
        await opened.add_tenant("rival")
        yield opened


@pytest.mark.parametrize("role", [role for role in READY_MADE if role != "customer"])
async def test_each_ready_made_role_may_do_what_it_says_and_no_more(shop: Shop, role: str) -> None:
    token = await shop.hire("staff@example.com", role)
    me = (await shop.call("GET", "/v1/me", token)).json()
    assert me["scopes"] == sorted({*READY_MADE[role], "identity:self"})
    reads = {
        "/v1/products": "catalog:read", "/v1/orders": "orders:read",
        "/v1/notifications": "notifications:read", "/v1/customers": "identity:read",
        "/v1/api-keys": "tenancy:read",
    }  # fmt: skip
    for path, scope in reads.items():
        answer = await shop.call("GET", path, token)
        assert answer.status_code == (200 if scope in READY_MADE[role] else 403), path
    body = {"email": "new@example.com", "roles": ["auditor"]}
    invited = await shop.call("POST", "/v1/staff", token, body)
    assert invited.status_code == (201 if role == "owner" else 403)


async def test_a_customer_may_do_nothing_of_the_staff_s(shop: Shop) -> None:
    await shop.register(EMAIL)
    token = (await shop.sign_in(EMAIL))["access_token"]
    for method, path in (
        ("GET", "/v1/customers"), ("GET", "/v1/staff"), ("GET", "/v1/roles"),
        ("GET", "/v1/api-keys"), ("POST", "/v1/staff"), ("PUT", "/v1/roles/mine"),
    ):  # fmt: skip
        body = {"email": "x@example.com", "roles": ["owner"]} if method == "POST" else None
        body = {"scopes": list(SCOPES)} if method == "PUT" else body
        answer = await shop.call(method, path, token, body)
        assert code_of(answer) == (403, "missing_scope"), path


async def test_an_api_key_is_nobody(shop: Shop) -> None:
    assert code_of(await shop.call("GET", "/v1/me", shop.keys["acme"])) == (403, "missing_scope")
    assert code_of(await shop.call("DELETE", "/v1/sessions", shop.keys["acme"]))[0] == 403


async def test_what_is_another_tenant_s_is_not_there(shop: Shop) -> None:
    account = await shop.register(EMAIL)
    await shop.call("PUT", "/v1/roles/clerk", shop.keys["acme"], {"scopes": ["orders:read"]})
    stranger = await shop.hire("boss@example.com", "owner", tenant="rival")
    path = f"/v1/customers/{account['id']}"
    absent = f"/v1/customers/{ids.new_id()}"
    for method, suffix, body in (
        ("GET", "", None), ("PATCH", "", {"is_suspended": True}), ("DELETE", "/sessions", None),
    ):  # fmt: skip
        answers = [await shop.call(method, p + suffix, stranger, body) for p in (path, absent)]
        assert [code_of(a) for a in answers] == [(404, "not_found")] * 2
        assert answers[0].json()["detail"] == answers[1].json()["detail"]
    assert (await shop.call("GET", "/v1/customers", stranger)).json()["items"] == []
    listed = (await shop.call("GET", "/v1/roles", stranger)).json()["items"]
    assert [role["name"] for role in listed] == list(READY_MADE)
    assert code_of(await shop.call("DELETE", "/v1/roles/clerk", stranger)) == (404, "not_found")
    await shop.sign_in(EMAIL)


async def test_nobody_gives_or_takes_what_she_may_not_do_herself(shop: Shop) -> None:
    key = shop.keys["acme"]
    await shop.call(
        "PUT", "/v1/roles/recruiter", key,
        {"scopes": ["identity:read", "identity:write", "orders:read"]},
    )  # fmt: skip
    recruiter = await shop.hire("recruiter@example.com", "recruiter")
    await shop.hire("boss@example.com", "owner")
    staff = (await shop.call("GET", "/v1/staff", recruiter)).json()["items"]
    boss = next(s["id"] for s in staff if s["email"] == "boss@example.com")
    me = next(s["id"] for s in staff if s["email"] == "recruiter@example.com")
    refused = [
        await shop.call("POST", "/v1/staff", recruiter, {"email": "a@b.de", "roles": ["manager"]}),
        await shop.call("PATCH", f"/v1/staff/{me}", recruiter, {"roles": ["owner"]}),
        await shop.call("PATCH", f"/v1/staff/{boss}", recruiter, {"is_suspended": True}),
        await shop.call("PATCH", f"/v1/staff/{boss}", recruiter, {"roles": ["recruiter"]}),
        await shop.call("DELETE", f"/v1/staff/{boss}/sessions", recruiter),
        await shop.call("PUT", "/v1/roles/recruiter", recruiter, {"scopes": list(SCOPES)}),
    ]
    assert [code_of(answer) for answer in refused] == [(403, "more_powerful")] * len(refused)
    allowed = await shop.call(
        "POST", "/v1/staff", recruiter, {"email": "a@b.de", "roles": ["recruiter"]}
    )
    assert allowed.status_code == 201


async def test_the_last_owner_stays(shop: Shop) -> None:
    token = await shop.hire("boss@example.com", "owner")
    boss = (await shop.call("GET", "/v1/me", token)).json()["account"]["id"]
    path = f"/v1/staff/{boss}"
    for body in ({"roles": ["auditor"]}, {"is_suspended": True}):
        answer = await shop.call("PATCH", path, token, body)
        assert code_of(answer) == (409, "last_owner")
    await shop.hire("second@example.com", "owner")
    assert (await shop.call("PATCH", path, token, {"roles": ["auditor"]})).status_code == 200


async def test_two_owners_cannot_put_each_other_out_at_the_same_time(shop: Shop) -> None:
    tokens = [await shop.hire(f"boss{n}@example.com", "owner") for n in (1, 2)]
    owners = [(await shop.call("GET", "/v1/me", t)).json()["account"]["id"] for t in tokens]
    # Connections are open before, so that the two do not come one after the other.
    await at_once(*(shop.call("GET", "/v1/staff", shop.keys["acme"]) for _ in range(4)))
    answers = await at_once(
        *(shop.call("PATCH", f"/v1/staff/{id_}", shop.keys["acme"], {"is_suspended": True})
          for id_ in owners)
    )  # fmt: skip
    assert sorted(answer.status_code for answer in answers) == [200, 409]


async def test_roles_of_one_s_own(shop: Shop) -> None:
    key = shop.keys["acme"]
    made = await shop.call(
        "PUT", "/v1/roles/clerk", key, {"scopes": ["orders:write", "orders:read"]}
    )
    assert made.json() == {
        "name": "clerk", "scopes": ["orders:read", "orders:write"], "is_ready_made": False,
        "version": 1, "conditions": {},
    }  # fmt: skip
    for name, body, code in (
        ("owner", {"scopes": ["orders:read"]}, (409, "ready_made_role")),
        ("No-Slug", {"scopes": ["orders:read"]}, (422, "role_name_unfit")),
        ("spy", {"scopes": ["everything"]}, (422, "unknown_scope")),
        ("spy", {"scopes": ["identity:self"]}, (422, "unknown_scope")),
    ):
        assert code_of(await shop.call("PUT", f"/v1/roles/{name}", key, body)) == code
    await shop.hire("clerk@example.com", "clerk")
    assert code_of(await shop.call("DELETE", "/v1/roles/clerk", key)) == (409, "role_in_use")
    unknown = await shop.call("POST", "/v1/staff", key, {"email": "a@b.de", "roles": ["ghost"]})
    assert code_of(unknown) == (422, "unknown_role")
    customer = await shop.call("POST", "/v1/staff", key, {"email": "a@b.de", "roles": ["customer"]})
    assert code_of(customer) == (422, "unknown_role")
    await shop.call("PUT", "/v1/roles/spare", key, {"scopes": ["orders:read"]})
    assert (await shop.call("DELETE", "/v1/roles/spare", key)).status_code == 204


async def test_a_change_heeds_the_version_that_was_seen(shop: Shop) -> None:
    account = await shop.register(EMAIL)
    path, key = f"/v1/customers/{account['id']}", shop.keys["acme"]
    seen = (await shop.call("GET", path, key)).headers["etag"]
    headers = {"Authorization": f"Bearer {key}", "If-Match": seen}
    body = {"is_suspended": True}
    answers = [await shop.http.patch(path, json=body, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 412]


async def test_customers_are_listed_a_page_at_a_time(shop: Shop) -> None:
    for number in range(3):
        await shop.register(f"c{number}@example.com")
    await shop.hire("staff@example.com", "support")
    seen: list[str] = []
    cursor = ""
    for _ in range(3):
        path = f"/v1/customers?limit=2{cursor}"
        page = (await shop.call("GET", path, shop.keys["acme"])).json()
        seen += [item["email"] for item in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert seen == ["c2@example.com", "c1@example.com", "c0@example.com"]


async def test_logins_beyond_the_bound_are_told_to_come_again() -> None:
    hashing = ArgonHashing(memory_kib=8192, passes=1, lanes=1, at_once=1)
    wanted = 1 + HASHES_WAITING_MAX
    answers = await at_once(*(hashing.hash("x") for _ in range(wanted + 3)))
    refused = [answer for answer in answers if isinstance(answer, Unavailable)]
    assert len(refused) == 3
    assert {answer.retry_after_s for answer in refused} == {hashing_module.RETRY_AFTER_S}
    assert await hashing.verify(await hashing.hash("x"), "x")
    assert not await hashing.verify(None, "x")
    assert not await hashing.verify("no hash", "x")
    hashing.close()


async def test_a_login_takes_as_long_for_an_address_that_is_there_as_for_one_that_is_not(
    database: Database, tmp_path: Path
) -> None:
    """Medians of many tries in turn, on a hash that takes far longer than all the rest.

    In processor time of all our threads: what others do on this machine at the time is not in it.
    """
    slow: Any = {"argon2_memory_kib": 16_384, "argon2_passes": 2, "logins_per_address": 0}
    async with open_shop(database, tmp_path, **slow) as shop:
        tenant = await shop.add_tenant("acme")
        await shop.register(EMAIL)
        took: dict[str, list[float]] = {EMAIL: [], "nobody@example.com": []}
        for _ in range(24):
            for email, times in took.items():
                began = time.process_time()
                answer = await shop.post("/v1/sessions", {"email": email, "password": "wrong one!"})
                times.append(time.process_time() - began)
                assert answer.status_code == 401
            async with database.transaction(POOLED, (tenant,)) as tx:
                await tx.connection.execute("DELETE FROM identity.throttles")
    known, unknown = took.values()
    assert 0.75 < statistics.median(known) / statistics.median(unknown) < 1.33
    assert min(known) < statistics.median(unknown) < max(known)
    assert min(unknown) < statistics.median(known) < max(unknown)
