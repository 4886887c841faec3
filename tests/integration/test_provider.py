"""Apps sign customers in and act for them: Authlib's client against the running application."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from serai.contexts.identity.handlers import apps
from serai.contexts.identity.model.apps import DEVICE, OWN
from serai.contexts.identity.model.protocol import at_hash
from serai.kernel.db import Database
from tests.integration.provider_shop import (
    CALLED,
    EMAIL,
    ISSUER,
    SCOPE,
    AnApp,
    Ground,
    answered,
    authorize_url,
    error_of,
    forms_of,
    open_ground,
)


@pytest.fixture
async def ground(database: Database, tmp_path: Path) -> AsyncIterator[Ground]:
    async with open_ground(database, tmp_path) as opened:
        yield opened


async def discover(ground: Ground) -> dict[str, Any]:
    answer = await ground.shop.http.get("/t/acme/.well-known/openid-configuration")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


async def sign_in_with(ground: Ground, client: Any, found: dict[str, Any], nonce: str) -> Any:
    """What an app and its customer do, from the first address to the tokens."""
    verifier = secrets.token_urlsafe(48)
    url, state = client.create_authorization_url(
        found["authorization_endpoint"], code_verifier=verifier, nonce=nonce
    )
    async with ground.browser() as browser:
        page = await browser.sign_in(await browser.open(url))
        called = await browser.submit(page, decision="allow")
    answer = answered(called)
    assert (answer["state"], answer["iss"]) == (state, ISSUER)
    return await client.fetch_token(
        found["token_endpoint"], authorization_response=called.headers["location"],
        code_verifier=verifier, state=state,
    )  # fmt: skip


@pytest.mark.parametrize("is_public", [False, True])
async def test_a_customer_signs_in_to_an_app_and_it_acts_for_her(
    ground: Ground, *, is_public: bool
) -> None:
    app = await (ground.make_public() if is_public else ground.make())
    found = await discover(ground)
    async with ground.client(app) as client:
        given = await sign_in_with(ground, client, found, "n-1")
        assert given["scope"] == SCOPE
        assert given["token_type"] == "Bearer"
        keys = KeySet.import_key_set((await ground.shop.http.get(found["jwks_uri"])).json())
        identity = jwt.decode(given["id_token"], keys, algorithms=["Ed25519"])
        assert identity.header["typ"] == "JWT"
        claims = identity.claims
        assert (claims["iss"], claims["aud"], claims["nonce"]) == (ISSUER, app.id, "n-1")
        assert claims["at_hash"] == at_hash(given["access_token"])
        assert claims["iat"] - 60 < claims["auth_time"] <= claims["iat"] < claims["exp"]
        user = (await client.get(found["userinfo_endpoint"])).json()
        assert user == {
            "sub": claims["sub"], "name": "A Buyer", "email": EMAIL, "email_verified": True
        }  # fmt: skip
        assert (await client.get("http://shop.test/v1/orders")).status_code == 200
        assert await ground.use(given["access_token"], "/v1/products") == 200
        for path in ("/v1/me", "/v1/sessions", "/v1/me/apps", "/v1/staff", "/v1/apps"):
            assert await ground.use(given["access_token"], path) == 403, path
        following = await client.refresh_token(found["token_endpoint"])
        assert await ground.use(following["access_token"]) == 200
        assert following["refresh_token"] != given["refresh_token"]
        answer = await client.revoke_token(found["revocation_endpoint"], following["refresh_token"])
        assert answer.status_code == 200
        assert await ground.use(following["access_token"]) == 401
        assert await ground.use(given["access_token"]) == 401


async def test_an_app_comes_by_itself_and_may_do_what_it_was_given(ground: Ground) -> None:
    app = await ground.make(grants=[OWN], redirect_uris=[], scopes=["orders:read", "catalog:read"])
    found = await discover(ground)
    async with ground.client(app) as client:
        given = await client.fetch_token(
            found["token_endpoint"], grant_type=OWN, scope="orders:read"
        )
        assert "refresh_token" not in given
        assert "id_token" not in given
        assert (await client.get("http://shop.test/v1/orders")).status_code == 200
        assert (await client.get("http://shop.test/v1/products")).status_code == 403
        who = await ground.shop.house.authenticator.authenticate(given["access_token"])
        assert (who.actor.kind, str(who.actor.id)) == ("app", app.id)
        assert who.scopes == {"orders:read"}
        whole = await client.fetch_token(found["token_endpoint"], grant_type=OWN, scope=None)
        assert whole["scope"] == "catalog:read orders:read"


async def test_what_an_app_does_by_itself_stands_in_the_trail_under_its_id(ground: Ground) -> None:
    app = await ground.make(
        grants=[OWN], redirect_uris=[], scopes=["catalog:write", "catalog:read"]
    )
    token = (await ground.ask("token", app, grant_type=OWN)).json()["access_token"]
    answer = await ground.shop.http.post(
        "/v1/categories", json={"path": "tents"},
        headers={"Authorization": f"Bearer {token}", "Idempotency-Key": "k-1"},
    )  # fmt: skip
    assert answer.status_code == 201, answer.text
    recorded = await ground.changes()
    assert {"kind": "app", "id": app.id} == {k: recorded[-1]["actor"][k] for k in ("kind", "id")}


async def test_a_device_is_let_in_by_who_reads_its_code(ground: Ground) -> None:
    app = await ground.make_public()
    begun = (await ground.ask("device_authorization", app, scope="openid orders:own")).json()
    assert begun["verification_uri"] == f"{ISSUER}/device"
    assert (begun["interval"], begun["expires_in"]) == (5, 600)

    async def poll() -> Any:
        return await ground.ask("token", app, grant_type=DEVICE, device_code=begun["device_code"])

    assert error_of(await poll()) == (400, "authorization_pending")
    assert error_of(await poll()) == (400, "slow_down")
    async with ground.browser() as browser:
        page = await browser.open(begun["verification_uri_complete"])
        page = await browser.sign_in(page)
        assert forms_of(page)[0].fields["user_code"] == begun["user_code"]
        page = await browser.submit(page, user_code=begun["user_code"].lower().replace("-", " "))
        assert "Picnic planner" in page.text
        assert "is let in" in (await browser.submit(page, decision="allow")).text
        again = await browser.open(f"/t/acme/device?user_code={begun['user_code']}")
        again = await browser.submit(again)
        assert again.status_code == 422, "it was answered"
    given = (await poll()).json()
    assert given["scope"] == "openid orders:own"
    assert "id_token" in given
    assert "refresh_token" not in given, "she did not let it stay"
    assert await ground.use(given["access_token"]) == 200
    assert error_of(await poll()) == (400, "invalid_grant")


async def test_a_device_that_she_does_not_allow_is_told_so(ground: Ground) -> None:
    app = await ground.make_public()
    begun = (await ground.ask("device_authorization", app, scope="orders:own")).json()
    async with ground.browser() as browser:
        page = await browser.sign_in(await browser.open("/t/acme/device"))
        page = await browser.submit(page, user_code=begun["user_code"])
        assert "is not let in" in (await browser.submit(page, decision="deny")).text
    code = begun["device_code"]
    answer = await ground.ask("token", app, grant_type=DEVICE, device_code=code)
    assert error_of(answer) == (400, "access_denied")


async def test_an_app_looks_at_its_own_tokens(ground: Ground) -> None:
    app = await ground.make()
    given = await ground.tokens(app)
    access = (await ground.ask("introspect", app, token=given["access_token"])).json()
    assert (access["active"], access["client_id"], access["scope"]) == (True, app.id, SCOPE)
    assert (access["iss"], access["aud"]) == (ISSUER, "serai-api")
    refresh = (await ground.ask("introspect", app, token=given["refresh_token"])).json()
    assert (refresh["active"], refresh["sub"]) == (True, access["sub"])
    for token in ("", "nonsense", given["id_token"], given["access_token"][:-3] + "AAA"):
        if token:
            answer = await ground.ask("introspect", app, token=token)
            assert answer.json() == {"active": False}, token


async def test_what_she_allowed_is_remembered_listed_and_taken_back(ground: Ground) -> None:
    app = await ground.make()
    async with ground.browser() as browser:
        await ground.allow(app, browser=browser, scope="openid orders:own offline_access")
        silent = await browser.open(authorize_url(app, "v" * 43, scope="openid", prompt="none"))
        assert set(answered(silent)) == {"code", "state", "iss"}
        more = await browser.open(authorize_url(app, "v" * 43, scope="openid email"))
        assert "know your e-mail address" in more.text
        asked = await browser.open(authorize_url(app, "v" * 43, scope="openid", prompt="consent"))
        assert asked.status_code == 200
        code, verifier = await ground.allow(
            app, browser=browser, scope="openid orders:own offline_access"
        )
        given = (await ground.redeem(app, code, verifier)).json()
        hers = (await ground.shop.sign_in(EMAIL))["access_token"]
        listed = (await ground.shop.call("GET", "/v1/me/apps", hers)).json()["items"]
        assert [(c["app_id"], c["name"], c["scopes"]) for c in listed] == [
            (app.id, "Picnic planner", ["openid", "offline_access", "orders:own"])
        ]
        assert await ground.use(given["access_token"]) == 200
        taken = await ground.shop.call("DELETE", f"/v1/me/apps/{app.id}", hers)
        assert taken.status_code == 204
        assert await ground.use(given["access_token"]) == 401
        answer = await ground.ask(
            "token", app, grant_type="refresh_token", refresh_token=given["refresh_token"]
        )
        assert error_of(answer) == (400, "invalid_grant")
        asked = await browser.open(authorize_url(app, "v" * 43, scope="openid", prompt="none"))
        assert answered(asked)["error"] == "consent_required"
    gone = await ground.shop.call("DELETE", f"/v1/me/apps/{app.id}", hers)
    assert gone.status_code == 404


async def test_an_app_may_not_do_what_her_role_gives_only_with_a_second_factor(
    ground: Ground,
) -> None:
    app = await ground.make()
    async with ground.browser() as browser:
        code, verifier = await ground.allow(app, browser=browser, scope="openid orders:own")
        given = (await ground.redeem(app, code, verifier)).json()
    assert await ground.use(given["access_token"]) == 200
    owner = await ground.shop.hire("owner@example.com", "owner")
    body = {"roles": ["customer"]}
    told = await ground.shop.call("PUT", "/v1/second-factor-roles", owner, body)
    assert told.status_code == 200, told.text
    assert await ground.use(given["access_token"]) == 403


async def test_signing_out_everywhere_ends_apps_and_the_pages_too(ground: Ground) -> None:
    app = await ground.make()
    async with ground.browser() as browser:
        code, verifier = await ground.allow(app, browser=browser)
        given = (await ground.redeem(app, code, verifier)).json()
        hers = (await ground.shop.sign_in(EMAIL))["access_token"]
        shown = (await ground.shop.call("GET", "/v1/sessions", hers)).json()["items"]
        assert len(shown) == 1, "those of apps are shown as consents"
        assert (await ground.shop.call("DELETE", "/v1/sessions", hers)).status_code == 204
        assert await ground.use(given["access_token"]) == 401
        page = await browser.open(authorize_url(app, "v" * 43, prompt="none"))
        assert answered(page)["error"] == "login_required"


async def test_discovery_says_what_there_is_for_each_tenant(ground: Ground) -> None:
    found = await discover(ground)
    assert found["issuer"] == ISSUER
    assert found["code_challenge_methods_supported"] == ["S256"]
    assert found["response_types_supported"] == ["code"]
    assert found["authorization_response_iss_parameter_supported"] is True
    other = await ground.shop.http.get("/.well-known/oauth-authorization-server/t/acme")
    assert other.json() == found
    assert other.headers["cache-control"] == "public, max-age=300"
    routes = {route.path for route in ground.transport.app.routes}  # type: ignore[attr-defined]
    for name, address in found.items():
        if name.endswith("_endpoint"):
            path = urlsplit(address).path.replace("/t/acme/", "/t/{tenant:str}/")
            assert path in routes, name
    missing = await ground.shop.http.get("/t/nobody/.well-known/openid-configuration")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")


async def test_an_app_is_managed_by_who_may_and_its_secret_is_kept_as_a_digest(
    ground: Ground, database: Database
) -> None:
    app = await ground.make()
    assert app.secret is not None
    key, path = ground.shop.keys["acme"], f"/v1/apps/{app.id}"
    shown = await ground.shop.call("GET", path, key)
    assert app.secret not in shown.text
    listed = (await ground.shop.call("GET", "/v1/apps", key)).json()["items"]
    assert [one["id"] for one in listed] == [app.id]
    rows = await ground.rows("SELECT a::text AS line FROM identity.apps a")
    assert app.secret not in rows[0]["line"]
    support = await ground.shop.hire("support@example.com", "support")
    assert (await ground.shop.call("GET", path, support)).status_code == 200
    assert (await ground.shop.call("PATCH", path, support, {"name": "x"})).status_code == 403
    rotated = await ground.shop.call("POST", f"{path}/secrets", key, {"keep_old_s": 60})
    fresh = AnApp(app.id, rotated.json()["secret"])
    for one in (app, fresh):
        assert (await ground.ask("token", one, grant_type=OWN)).status_code == 200
    await ground.change_rows("UPDATE identity.apps SET old_secret_until = now() - interval '1 s'")
    assert error_of(await ground.ask("token", app, grant_type=OWN)) == (401, "invalid_client")
    assert (await ground.shop.call("POST", f"{path}/secrets", key, {"keep_old_s": 0})).is_success
    assert error_of(await ground.ask("token", fresh, grant_type=OWN)) == (401, "invalid_client")
    told = "\n".join(str(change) for change in await ground.changes())
    for action in ("app_created", "app_secret_rotated"):
        assert f"identity.{action}" in told
    for secret in (app.secret, fresh.secret):
        assert str(secret) not in told


UNFIT: list[tuple[dict[str, Any], str]] = [
    ({"redirect_uris": ["http://app.example/cb"]}, "redirect_uri_unfit"),
    ({"redirect_uris": ["https://app.example/cb#x"]}, "redirect_uri_unfit"),
    ({"redirect_uris": ["https://*.example/cb"]}, "redirect_uri_unfit"),
    ({"redirect_uris": ["https://me@app.example/cb"]}, "redirect_uri_unfit"),
    ({"redirect_uris": ["javascript:alert(1)"]}, "redirect_uri_unfit"),
    ({"redirect_uris": ["https:///cb"]}, "redirect_uri_unfit"),
    ({"redirect_uris": ["https://app.example/;'unsafe-inline'"]}, "redirect_uri_unfit"),
    ({"redirect_uris": [CALLED, CALLED]}, "redirect_uri_unfit"),
    ({"redirect_uris": []}, "app_unfit"),
    ({"is_public": True}, "app_unfit"),
    ({"grants": [OWN]}, "app_unfit"),
    ({"grants": ["refresh_token"], "scopes": ["openid"]}, "app_unfit"),
    ({"scopes": ["everything"]}, "unknown_scope"),
    ({"scopes": ["identity:self"]}, "unknown_scope"),
]


async def test_an_app_that_does_not_fit_is_not_made(ground: Ground) -> None:
    for body, code in UNFIT:
        whole = {
            "name": "x", "grants": ["authorization_code", "refresh_token", OWN],
            "redirect_uris": [CALLED], "scopes": ["openid", "offline_access"], **body,
        }  # fmt: skip
        answer = await ground.shop.call("POST", "/v1/apps", ground.shop.keys["acme"], whole)
        assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert await ground.rows("SELECT id FROM identity.apps") == []


async def test_nobody_gives_an_app_more_than_she_holds(ground: Ground) -> None:
    shop = ground.shop
    role = {"scopes": ["identity:write", "identity:read", "orders:read"]}
    put = await shop.call("PUT", "/v1/roles/clerk", shop.keys["acme"], role)
    assert put.status_code == 200
    clerk = await shop.hire("clerk@example.com", "clerk")
    body = {"name": "x", "grants": [OWN], "scopes": ["orders:read", "orders:write"]}
    refused = await shop.call("POST", "/v1/apps", clerk, body)
    assert (refused.status_code, refused.json()["code"]) == (403, "more_powerful")
    strong = await ground.make(scopes=["orders:write"], grants=[OWN], redirect_uris=[])
    for path, change in ((f"/v1/apps/{strong.id}/secrets", {"keep_old_s": 0}),):
        assert (await shop.call("POST", path, clerk, change)).status_code == 403
    answer = await shop.call("PATCH", f"/v1/apps/{strong.id}", clerk, {"is_disabled": True})
    assert answer.status_code == 403
    body["scopes"] = ["orders:read"]
    assert (await shop.call("POST", "/v1/apps", clerk, body)).status_code == 201


async def test_an_app_that_is_disabled_is_deleted_with_what_it_was_allowed(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, key = ground.shop, ground.shop.keys["acme"]
    monkeypatch.setattr(apps, "APPS_MAX", 2)
    monkeypatch.setattr(apps, "CONSENTS_CHUNK", 1)
    app, other = await ground.make(), await ground.make()
    body = {"name": "x", "grants": [OWN], "redirect_uris": [], "scopes": ["orders:read"]}
    refused = await shop.call("POST", "/v1/apps", key, body)
    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_apps")
    await ground.tokens(other)
    tokens = await ground.tokens(app)
    await ground.change_rows(
        "INSERT INTO identity.consents (tenant_id, account_id, app_id, scopes, given_at) "
        "SELECT tenant_id, gen_random_uuid(), app_id, scopes, given_at FROM identity.consents"
    )
    path = f"/v1/apps/{app.id}"
    in_use = await shop.call("DELETE", path, key)
    assert (in_use.status_code, in_use.json()["code"]) == (409, "illegal_state")
    assert await ground.use(tokens["access_token"]) == 200
    await ground.change(app, is_disabled=True)
    assert (await shop.call("POST", "/v1/apps", key, body)).status_code == 409
    assert (await shop.call("DELETE", path, key)).status_code == 204
    assert (await shop.call("DELETE", path, key)).status_code == 404
    assert await ground.use(tokens["access_token"]) == 401
    renewed = await ground.ask(
        "token", app, grant_type="refresh_token", refresh_token=tokens["refresh_token"]
    )
    assert error_of(renewed) == (401, "invalid_client")
    left = await ground.rows("SELECT app_id::text AS app FROM identity.consents")
    assert [row["app"] for row in left] == [other.id, other.id]
    assert (await shop.call("POST", "/v1/apps", key, body)).status_code == 201


async def test_what_is_over_goes_when_nobody_asks_any_more(ground: Ground) -> None:
    app = await ground.make()
    async with ground.browser() as browser:
        await ground.allow(app, browser=browser)
    await ground.ask("device_authorization", app, scope="orders:own")
    job = next(job for job in ground.shop.house.jobs if job.name == "identity.prune_apps")
    (home,) = await ground.shop.house.homes.all_homes()
    assert await job.run(ground.shop.house.database, home, ground.shop.house.clock) == 0
    for table in ("codes", "devices"):
        await ground.change_rows(
            f"UPDATE identity.{table} SET expires_at = expires_at - interval '8 days'"
        )
    assert await job.run(ground.shop.house.database, home, ground.shop.house.clock) == 1
    for table in ("codes", "devices"):
        assert await ground.rows(f"SELECT 1 FROM identity.{table}") == []


async def test_of_two_that_redeem_one_code_at_once_none_keeps_tokens(ground: Ground) -> None:
    app = await ground.make()
    async with ground.browser() as browser:
        code, verifier = await ground.allow(app, browser=browser)
    answers = await asyncio.gather(*(ground.redeem(app, code, verifier) for _ in range(2)))
    assert sorted(a.status_code for a in answers) == [200, 400]
    (given,) = (a.json() for a in answers if a.status_code == 200)
    assert await ground.use(given["access_token"]) == 401
