"""Sign-in by a real OpenID Connect provider, the npm package `oidc-provider` in its own process."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pyotp
import pytest

from serai.contexts.identity.model import providers as model
from serai.kernel.clock import SystemClock
from serai.kernel.db import Database
from serai.kernel.tenant import POOLED
from tests.integration.identity_shop import PASSWORD, Shop, code_of, open_shop
from tests.integration.openid_house import BACK, CLIENT, PAGE, SECRET, run_provider, visit

PEOPLE = {
    "anna": {"email": "anna@shop.example", "email_verified": True, "name": "Anna"},
    "berta": {"email": "berta@elsewhere.example", "email_verified": True, "name": "Berta"},
    "unverified": {"email": "anna@shop.example", "email_verified": False},
    "mailless": {},
    "owner": {"email": "owner@shop.example", "email_verified": True},
}


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with run_provider(PEOPLE) as running:
        yield running


@pytest.fixture
async def shop(database: Database, tmp_path: Path) -> AsyncIterator[Shop]:
    async with open_shop(database, tmp_path, providers_at_home=True) as opened:
        for name in ("acme", "other"):
            await opened.add_tenant(name)
            body = {"origins": [PAGE]}
            await opened.call("PUT", "/v1/tenant/origins", opened.keys[name], body)
        yield opened


async def add_provider(shop: Shop, issuer: str, *, tenant: str = "acme", **more: Any) -> str:
    """A provider of the tenant; its id."""
    body = {"kind": "customer", "name": "The provider", "issuer": issuer, "client_id": CLIENT}
    body |= {"client_secret": SECRET} | more
    added = await shop.call("POST", "/v1/identity-providers", shop.keys[tenant], body)
    assert added.status_code == 201, added.text
    assert SECRET not in added.text
    return str(added.json()["id"])


async def begin(shop: Shop, provider_id: str, *, tenant: str = "acme") -> dict[str, Any]:
    body = {"provider_id": provider_id, "redirect_uri": BACK}
    begun = await shop.post("/v1/sessions/provider-sign-ins", body, tenant=tenant)
    assert begun.status_code == 201, begun.text
    view: dict[str, Any] = begun.json()
    return view


async def end(
    shop: Shop, begun: dict[str, Any], brought: dict[str, str], *, tenant: str = "acme", **more: Any
) -> httpx.Response:
    brought = {name: brought[name] for name in ("state", "code", "iss") if name in brought}
    body = {"binding": begun["binding"], **brought, **more}
    return await shop.post("/v1/sessions/providers", body, tenant=tenant)


async def come_in(shop: Shop, provider_id: str, who: str, **more: Any) -> httpx.Response:
    begun = await begin(shop, provider_id)
    return await end(shop, begun, await visit(begun["authorization_url"], as_who=who), **more)


async def me(shop: Shop, given: httpx.Response) -> dict[str, Any]:
    assert given.status_code == 201, given.text
    answer = await shop.call("GET", "/v1/me", given.json()["access_token"])
    account: dict[str, Any] = answer.json()["account"]
    return account


async def test_who_is_new_becomes_a_customer_and_is_the_same_the_next_time(
    shop: Shop, issuer: str
) -> None:
    provider_id = await add_provider(shop, issuer)
    listed = await shop.http.get("/v1/sign-in-providers", headers={"Serai-Tenant": "acme"})
    assert listed.json()["items"] == [
        {"id": provider_id, "kind": "customer", "name": "The provider"}
    ]
    begun = await begin(shop, provider_id)
    for part in ("code_challenge_method=S256", "nonce=", "scope=openid+email+profile"):
        assert part in begun["authorization_url"]
    assert begun["binding"] not in begun["authorization_url"]
    given = await end(shop, begun, await visit(begun["authorization_url"], as_who="anna"))
    first = await me(shop, given)
    assert (first["email"], first["name"]) == ("anna@shop.example", "Anna")
    assert (first["roles"], first["has_password"]) == (["customer"], False)
    assert (await me(shop, await come_in(shop, provider_id, "anna")))["id"] == first["id"]
    renewed = {"refresh_token": given.json()["refresh_token"]}
    assert (await shop.post("/v1/sessions/refresh", renewed)).status_code == 201
    (event,) = await shop.events("customer_registered")
    assert event["account_id"] == first["id"]
    assert "anna" not in str(event).lower(), "an event names nobody in clear"
    # The other tenant has no such provider, and no such customer.
    body = {"provider_id": provider_id, "redirect_uri": BACK}
    foreign = await shop.post("/v1/sessions/provider-sign-ins", body, tenant="other")
    assert code_of(foreign) == (404, "not_found")


async def test_an_account_is_opened_by_an_address_only_where_the_domain_is_the_provider_s(
    shop: Shop, issuer: str
) -> None:
    there = await shop.register("anna@shop.example")
    provider_id = await add_provider(shop, issuer)
    refused = await come_in(shop, provider_id, "anna")
    assert code_of(refused) == (403, "account_not_linked")
    for who in ("unverified", "mailless"):
        refused = await come_in(shop, provider_id, who)
        assert code_of(refused) == (403, "email_not_allowed")
    path = f"/v1/identity-providers/{provider_id}"
    body: dict[str, Any] = {"email_domains": ["Shop.Example"]}
    changed = await shop.call("PATCH", path, shop.keys["acme"], body)
    assert changed.json()["email_domains"] == ["shop.example"]
    assert code_of(await come_in(shop, provider_id, "berta")) == (403, "email_not_allowed")
    assert (await me(shop, await come_in(shop, provider_id, "anna")))["id"] == there["id"]
    # From then on it is the subject that counts, whatever the tenant says of domains.
    await shop.call("PATCH", path, shop.keys["acme"], {"email_domains": []})
    assert (await me(shop, await come_in(shop, provider_id, "anna")))["id"] == there["id"]
    body = {"is_enabled": False}
    assert (await shop.call("PATCH", path, shop.keys["acme"], body)).status_code == 200
    asked = {"provider_id": provider_id, "redirect_uri": BACK}
    gone = await shop.post("/v1/sessions/provider-sign-ins", asked)
    assert code_of(gone) == (404, "not_found")


async def test_staff_come_in_only_where_they_were_invited(shop: Shop, issuer: str) -> None:
    domains = ["shop.example"]
    provider_id = await add_provider(shop, issuer, kind="staff", email_domains=domains)
    assert code_of(await come_in(shop, provider_id, "anna")) == (403, "not_invited")
    invited = await shop.house.identity.invite_staff(
        shop.tenants["acme"], email="anna@shop.example", name="Anna", roles=("support",)
    )
    account = await me(shop, await come_in(shop, provider_id, "anna"))
    assert (account["id"], account["kind"]) == (str(invited.account.id), "staff")
    await shop.house.identity.invite_staff(
        shop.tenants["acme"], email="owner@shop.example", name="O", roles=("owner",)
    )
    given = await come_in(shop, provider_id, "owner")
    assert (await me(shop, given))["roles"] == ["owner"]
    # Whoever is suspended is out, whatever the provider says.
    path = f"/v1/staff/{invited.account.id}"
    token = given.json()["access_token"]
    assert (await shop.call("PATCH", path, token, {"is_suspended": True})).status_code == 200
    assert code_of(await come_in(shop, provider_id, "anna")) == (401, "sign_in_unfit")


async def test_a_second_factor_is_asked_for_after_the_provider_too(shop: Shop, issuer: str) -> None:
    await shop.register("anna@shop.example")
    provider_id = await add_provider(shop, issuer, email_domains=["shop.example"])
    token = (await shop.sign_in("anna@shop.example"))["access_token"]
    begun = await shop.call("POST", "/v1/me/totp", token, {"current_password": PASSWORD})
    code = pyotp.TOTP(begun.json()["secret"]).at(SystemClock().now())
    done = await shop.call("POST", "/v1/me/totp/confirmations", token, {"code": code})
    spare = done.json()["spare_codes"][0]
    assert code_of(await come_in(shop, provider_id, "anna")) == (401, "second_factor_required")
    wrong = await come_in(shop, provider_id, "anna", factor_code="000000x")
    assert code_of(wrong) == (401, "wrong_credentials")
    assert (await come_in(shop, provider_id, "anna", factor_code=spare)).status_code == 201


async def test_a_state_is_good_once_for_the_browser_that_began_and_not_for_long(
    shop: Shop, issuer: str
) -> None:
    provider_id = await add_provider(shop, issuer)
    unfit = (401, "sign_in_unfit")
    mine, hers = await begin(shop, provider_id), await begin(shop, provider_id)
    brought = await visit(mine["authorization_url"], as_who="anna")
    # An attacker's answer, in the browser of someone else: login CSRF.
    assert code_of(await end(shop, hers, brought)) == unfit
    assert code_of(await end(shop, mine, brought)) == unfit, "it was used up by that"
    mine = await begin(shop, provider_id)
    brought = await visit(mine["authorization_url"], as_who="anna")
    wrong = await end(shop, mine, brought | {"state": "x" * 43})
    foreign = await end(shop, mine, brought, tenant="other")
    assert (code_of(wrong), code_of(foreign)) == (unfit, unfit)
    answers = await asyncio.gather(*(end(shop, mine, brought) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [201, 401, 401]
    # The code of an answer that was used, with a state that was not.
    other = await begin(shop, provider_id)
    again = await end(shop, other, brought | {"state": other["state"]})
    assert code_of(again) == (401, "provider_answer_unfit")
    late = await begin(shop, provider_id)
    brought = await visit(late["authorization_url"], as_who="anna")
    async with shop.house.database.transaction(POOLED, (shop.tenants["acme"],)) as tx:
        await tx.connection.execute("UPDATE identity.provider_tries SET expires_at = now()")
    assert code_of(await end(shop, late, brought)) == unfit


async def test_what_is_changed_on_the_way_to_the_provider_or_back_is_refused(
    shop: Shop, issuer: str
) -> None:
    provider_id = await add_provider(shop, issuer)
    unfit = (401, "provider_answer_unfit")
    for changed in ({"nonce": "another"}, {"code_challenge": "x" * 43}, {"client_id": "another"}):
        begun = await begin(shop, provider_id)
        brought = await visit(begun["authorization_url"], as_who="anna", **changed)
        assert code_of(await end(shop, begun, brought)) == unfit, changed
    # Mix-up: the answer says that it is another provider's, or does not say whose it is.
    for iss in ("https://evil.example", None):
        begun = await begin(shop, provider_id)
        brought = await visit(begun["authorization_url"], as_who="anna")
        assert brought["iss"] == issuer
        brought.pop("iss")
        said = {} if iss is None else {"iss": iss}
        assert code_of(await end(shop, begun, brought | said)) == unfit
    begun = await begin(shop, provider_id)
    declined = await visit(begun["authorization_url"], as_who="nobody")
    assert declined["error"] == "access_denied"
    assert code_of(await end(shop, begun, declined)) == (401, "provider_declined")
    assert (await come_in(shop, provider_id, "anna")).status_code == 201


async def test_a_way_back_to_a_page_that_the_tenant_does_not_name_is_refused(
    shop: Shop, issuer: str
) -> None:
    provider_id = await add_provider(shop, issuer)
    for uri in ("https://evil.example/back", f"{PAGE}.evil.example/", f"{PAGE}@evil.example/"):
        body = {"provider_id": provider_id, "redirect_uri": uri}
        refused = await shop.post("/v1/sessions/provider-sign-ins", body)
        assert code_of(refused) == (422, "origin_unknown")


async def test_who_sets_up_a_provider_for_staff_may_do_all_that_staff_may(
    shop: Shop, issuer: str
) -> None:
    acme, path = shop.keys["acme"], "/v1/identity-providers"
    helper = {"scopes": ["identity:read", "identity:write"]}
    await shop.call("PUT", "/v1/roles/helper", acme, helper)
    token = await shop.hire("helper@shop.example", "helper")
    body: dict[str, Any] = {"kind": "staff", "name": "x", "issuer": issuer, "client_id": CLIENT}
    body |= {"email_domains": ["shop.example"]}
    refused = await shop.call("POST", path, token, body)
    assert code_of(refused) == (403, "more_powerful")
    provider_id = await add_provider(shop, issuer, kind="staff", email_domains=["shop.example"])
    for method, change in (("PATCH", {"client_id": "mine"}), ("DELETE", None)):
        refused = await shop.call(method, f"{path}/{provider_id}", token, change)
        assert code_of(refused) == (403, "more_powerful")
        foreign = await shop.call(method, f"{path}/{provider_id}", shop.keys["other"], change)
        assert code_of(foreign) == (404, "not_found")
    nobody = await shop.call("POST", path, acme, body | {"email_domains": []})
    assert code_of(nobody) == (422, "provider_unfit")
    twice = await shop.call("POST", path, acme, body)
    assert code_of(twice) == (409, "provider_exists")
    async with shop.house.database.transaction(POOLED, (shop.tenants["acme"],)) as tx:
        stored = await tx.connection.fetchval("SELECT p::text FROM identity.providers p")
        told = await tx.connection.fetch("SELECT data::text AS data FROM kernel.outbox")
    assert SECRET not in stored
    assert not any(SECRET in row["data"] for row in told)
    assert (await shop.call("DELETE", f"{path}/{provider_id}", acme)).status_code == 204
    assert (await shop.call("GET", path, acme)).json()["items"] == []


async def test_sign_ins_under_way_have_a_bound(
    shop: Shop, issuer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "TRIES_MAX", 2)
    provider_id = await add_provider(shop, issuer)
    first = await begin(shop, provider_id)
    brought = await visit(first["authorization_url"], as_who="anna")
    for _ in range(2):
        last = await begin(shop, provider_id)
    assert code_of(await end(shop, first, brought)) == (401, "sign_in_unfit")
    brought = await visit(last["authorization_url"], as_who="anna")
    assert (await end(shop, last, brought)).status_code == 201
