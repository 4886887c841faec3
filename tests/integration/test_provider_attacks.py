"""What is tried against the provider, each refused, and nothing of it left behind."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from serai.contexts.identity.model.apps import CODE, DEVICE, OWN, REFRESH
from serai.contexts.identity.model.grants import DEVICES_MAX, USER_CODES_OF_ACCOUNT
from serai.kernel.db import Database
from tests.integration.provider_shop import (
    CALLED,
    EMAIL,
    ISSUER,
    Ground,
    answered,
    authorize_url,
    error_of,
    forms_of,
    open_ground,
)

VERIFIER = "v" * 43


@pytest.fixture
async def ground(database: Database, tmp_path: Path) -> AsyncIterator[Ground]:
    async with open_ground(database, tmp_path) as opened:
        yield opened


UNFIT: list[tuple[dict[str, str], str]] = [
    ({"code_challenge": ""}, "invalid_request"),
    ({"code_challenge_method": ""}, "invalid_request"),
    ({"code_challenge": VERIFIER, "code_challenge_method": "plain"}, "invalid_request"),
    ({"code_challenge": "short"}, "invalid_request"),
    ({"response_type": "token"}, "unsupported_response_type"),
    ({"response_type": "code id_token"}, "unsupported_response_type"),
    ({"response_mode": "fragment"}, "invalid_request"),
    ({"scope": "openid identity:write"}, "invalid_scope"),
    ({"scope": "openid identity:self"}, "invalid_scope"),
    ({"scope": ""}, "invalid_scope"),
    ({"prompt": "none login"}, "invalid_request"),
    ({"prompt": "none"}, "login_required"),
    ({"max_age": "-1"}, "invalid_request"),
    ({"request": "eyJhbGciOiJub25lIn0.e30."}, "request_not_supported"),
    ({"request_uri": "https://evil.example/r"}, "request_uri_not_supported"),
]


async def test_a_request_that_does_not_fit_is_told_to_the_app_and_she_is_not_asked(
    ground: Ground,
) -> None:
    app = await ground.make()
    for changed, error in UNFIT:
        answer = await ground.shop.http.get(authorize_url(app, VERIFIER, **changed))
        told = answered(answer)
        assert set(told) == {"error", "error_description", "state", "iss"}
        assert (told["error"], told["state"], told["iss"]) == (error, "s-1", ISSUER)


UNNAMED = [
    "", f"{CALLED}/more", f"{CALLED}x", f"{CALLED}?x=1", f"{CALLED}#x", "https://app.example/",
    "https://app.example:8443/cb", "http://app.example/cb", "https://APP.example/cb",
    "https://app.example.evil.example/cb", "https://evil.example/cb",
    "https://app.example@evil.example/cb", "https://app.example/cb/../x", "//app.example/cb",
    "javascript:alert(1)",
]  # fmt: skip


async def test_nobody_is_sent_to_an_address_that_the_app_has_not_named_to_the_letter(
    ground: Ground,
) -> None:
    app = await ground.make()
    for redirect_uri in UNNAMED:
        answer = await ground.shop.http.get(authorize_url(app, VERIFIER, redirect_uri=redirect_uri))
        assert answer.status_code == 400
        assert "location" not in answer.headers
        assert forms_of(answer) == []


async def test_a_parameter_that_stands_twice_is_refused(ground: Ground) -> None:
    app = await ground.make()
    url = authorize_url(app, VERIFIER) + "&redirect_uri=https://evil.example/cb"
    assert (await ground.shop.http.get(url)).status_code == 400
    body = f"grant_type={OWN}&grant_type={CODE}"
    answer = await ground.shop.http.post(
        "/t/acme/oauth/token", content=body,
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )  # fmt: skip
    assert error_of(answer) == (400, "invalid_request")


async def test_an_unknown_app_or_another_tenant_s_or_a_disabled_one_is_not_let_in(
    ground: Ground,
) -> None:
    await ground.shop.add_tenant("other")
    stranger = await ground.make(tenant="other")
    app = await ground.make()
    given = await ground.tokens(app)
    alone = (await ground.ask("token", app, grant_type=OWN)).json()["access_token"]
    assert await ground.use(alone, "/v1/products") == 200
    here = stranger._replace(tenant="acme")
    made_up = stranger._replace(tenant="acme", id="no-id")
    assert (await ground.change(app, is_disabled=True)).status_code == 200
    for one in (here, made_up, app):
        page = await ground.shop.http.get(authorize_url(one, VERIFIER))
        assert page.status_code == 401
        assert "location" not in page.headers
        for path, fields in (
            ("token", {"grant_type": OWN}),
            ("token", {"grant_type": REFRESH, "refresh_token": given["refresh_token"]}),
            ("device_authorization", {"scope": "openid"}),
            ("introspect", {"token": given["access_token"]}),
            ("revoke", {"token": given["refresh_token"]}),
        ):
            answer = await ground.ask(path, one, **fields)
            assert error_of(answer) == (401, "invalid_client"), (one, path)
            assert answer.headers["www-authenticate"] == 'Basic realm="serai"'
    assert await ground.use(given["access_token"]) == 401, "a disabled app's tokens are out"
    assert await ground.use(alone, "/v1/products") == 401
    assert (await ground.change(app, is_disabled=False)).status_code == 200
    again = await ground.ask("token", app, grant_type=REFRESH, refresh_token=given["refresh_token"])
    assert again.status_code == 200, "nothing of it was revoked"


async def test_a_wrong_secret_none_and_one_of_a_public_app_are_refused(ground: Ground) -> None:
    app, public = await ground.make(), await ground.make_public()
    for one in (
        app._replace(secret="wrong"), app._replace(secret=None), public._replace(secret="any")
    ):  # fmt: skip
        answer = await ground.ask("token", one, grant_type=REFRESH, refresh_token="x")
        assert error_of(answer) == (401, "invalid_client")
    both = await ground.shop.http.post(
        "/t/acme/oauth/token", auth=(app.id, str(app.secret)),
        data={"grant_type": OWN, "client_secret": str(app.secret)},
    )  # fmt: skip
    assert error_of(both) == (400, "invalid_request")


async def test_a_code_is_bound_to_its_app_its_address_and_its_verifier(ground: Ground) -> None:
    app, public = await ground.make(), await ground.make_public()
    second = await ground.make(redirect_uris=[CALLED, "https://app.example/two"])
    async with ground.browser() as browser:
        for one in (app, public):
            code, verifier = await ground.allow(one, browser=browser)
            other = "https://app.example/two"
            for thief, changed in (
                (second, {}),
                (one, {"code_verifier": VERIFIER}),
                (one, {"code_verifier": ""}),
                (one, {"redirect_uri": other}),
                (one, {"redirect_uri": ""}),
            ):
                answer = await ground.redeem(thief, code, verifier, **changed)
                assert error_of(answer) == (400, "invalid_grant"), changed
            made_up = await ground.redeem(one, secrets.token_urlsafe(32), verifier)
            assert error_of(made_up) == (400, "invalid_grant")
            assert (await ground.redeem(one, code, verifier)).status_code == 200


async def test_a_code_that_comes_again_ends_what_came_of_it(ground: Ground) -> None:
    app = await ground.make_public()
    async with ground.browser() as browser:
        code, verifier = await ground.allow(app, browser=browser)
    given = (await ground.redeem(app, code, verifier)).json()
    assert await ground.use(given["access_token"]) == 200
    thief = await ground.redeem(app, code, VERIFIER)
    assert error_of(thief) == (400, "invalid_grant")
    assert await ground.use(given["access_token"]) == 401
    answer = await ground.ask(
        "token", app, grant_type=REFRESH, refresh_token=given["refresh_token"]
    )
    assert error_of(answer) == (400, "invalid_grant")
    actions = [change["action"] for change in await ground.changes()]
    assert actions.count("identity.sessions_ended") == 1


async def test_a_code_is_over_after_a_minute(ground: Ground) -> None:
    app = await ground.make()
    async with ground.browser() as browser:
        code, verifier = await ground.allow(app, browser=browser)
    (row,) = await ground.rows("SELECT expires_at - now() AS left FROM identity.codes")
    assert 50 < row["left"].total_seconds() <= 60
    await ground.change_rows("UPDATE identity.codes SET expires_at = now() - interval '1 s'")
    assert error_of(await ground.redeem(app, code, verifier)) == (400, "invalid_grant")


async def test_a_code_that_is_on_its_way_when_she_takes_it_back_is_over(ground: Ground) -> None:
    app = await ground.make()
    begun = (await ground.ask("device_authorization", app, scope="orders:own")).json()
    async with ground.browser() as browser:
        code, verifier = await ground.allow(app, browser=browser)
        page = await browser.open("/t/acme/device")
        page = await browser.submit(page, user_code=begun["user_code"])
        assert "is let in" in (await browser.submit(page, decision="allow")).text
    hers = (await ground.shop.sign_in(EMAIL))["access_token"]
    assert (await ground.shop.call("DELETE", f"/v1/me/apps/{app.id}", hers)).is_success
    assert error_of(await ground.redeem(app, code, verifier)) == (400, "invalid_grant")
    poll = await ground.ask("token", app, grant_type=DEVICE, device_code=begun["device_code"])
    assert error_of(poll) == (400, "invalid_grant")


@pytest.mark.parametrize("is_public", [True, False])
async def test_a_refresh_token_that_comes_again_ends_the_family(
    ground: Ground, *, is_public: bool
) -> None:
    app = await (ground.make_public() if is_public else ground.make())
    other = await ground.make()
    given = await ground.tokens(app)
    first = given["refresh_token"]
    theft = await ground.ask("token", other, grant_type=REFRESH, refresh_token=first)
    assert error_of(theft) == (400, "invalid_grant"), "not the other app's, and nothing ends"
    following = (await ground.ask("token", app, grant_type=REFRESH, refresh_token=first)).json()
    assert await ground.use(following["access_token"]) == 200
    again = await ground.ask("token", app, grant_type=REFRESH, refresh_token=first)
    assert error_of(again) == (400, "invalid_grant")
    assert await ground.use(following["access_token"]) == 401
    last = await ground.ask(
        "token", app, grant_type=REFRESH, refresh_token=following["refresh_token"]
    )
    assert error_of(last) == (400, "invalid_grant")
    assert len(await ground.shop.events("session_reused")) == 1


async def test_an_app_s_refresh_token_is_none_of_the_shop_s_own_and_the_other_way_round(
    ground: Ground,
) -> None:
    app = await ground.make()
    given = await ground.tokens(app)
    front = await ground.shop.post(
        "/v1/sessions/refresh", {"refresh_token": given["refresh_token"]}
    )
    assert (front.status_code, front.json()["code"]) == (401, "session_over")
    hers = (await ground.shop.sign_in(EMAIL))["refresh_token"]
    answer = await ground.ask("token", app, grant_type=REFRESH, refresh_token=hers)
    assert error_of(answer) == (400, "invalid_grant")
    assert await ground.use(given["access_token"]) == 200, "neither has ended"
    assert (await ground.shop.post("/v1/sessions/refresh", {"refresh_token": hers})).is_success


async def test_the_cookie_of_the_pages_is_no_refresh_token(ground: Ground) -> None:
    app = await ground.make()
    async with ground.browser() as browser:
        await ground.allow(app, browser=browser)
        (cookie,) = [value for name, value in browser.http.cookies.items() if name]
    front = await ground.shop.post("/v1/sessions/refresh", {"refresh_token": cookie})
    assert front.status_code == 401
    answer = await ground.ask("token", app, grant_type=REFRESH, refresh_token=cookie)
    assert error_of(answer) == (400, "invalid_grant")


async def test_scopes_are_what_she_the_app_and_both_together_may(ground: Ground) -> None:
    app = await ground.make(scopes=["openid", "offline_access", "orders:own", "orders:read"])
    given = await ground.tokens(app, scope="openid offline_access orders:own orders:read")
    assert given["scope"] == "openid offline_access orders:own", "she may not read all orders"
    refresh = {"grant_type": REFRESH, "refresh_token": given["refresh_token"]}
    more = await ground.ask("token", app, **refresh, scope="openid orders:read")
    assert error_of(more) == (400, "invalid_scope")
    less = (await ground.ask("token", app, **refresh, scope="openid")).json()
    assert less["scope"] == "openid"
    assert await ground.use(less["access_token"]) == 403
    assert await ground.use(given["access_token"]) == 200
    alone = await ground.ask("token", app, grant_type=OWN, scope="orders:own")
    assert error_of(alone) == (400, "invalid_scope"), "an app has no orders of its own"
    assert (await ground.change(app, scopes=["openid", "offline_access"])).status_code == 200
    assert await ground.use(given["access_token"]) == 403, "what the app lost holds at once"
    (row,) = await ground.rows("SELECT id FROM identity.accounts")
    suspended = await ground.shop.call(
        "PATCH", f"/v1/customers/{row['id']}", ground.shop.keys["acme"], {"is_suspended": True}
    )
    assert suspended.status_code == 200
    assert await ground.use(given["access_token"]) == 401


async def test_a_grant_that_the_app_has_not_is_not_given(ground: Ground) -> None:
    app = await ground.make(grants=[OWN], scopes=["catalog:read"])
    for grant in (CODE, REFRESH, DEVICE):
        answer = await ground.ask("token", app, grant_type=grant, code="x", refresh_token="x")
        assert error_of(answer) == (400, "unauthorized_client")
    for grant in ("password", "implicit", "urn:ietf:params:oauth:grant-type:token-exchange"):
        answer = await ground.ask("token", app, grant_type=grant, username=EMAIL, password="x")
        assert error_of(answer) == (400, "unsupported_grant_type")
    answer = await ground.ask("device_authorization", app, scope="catalog:read")
    assert error_of(answer) == (400, "unauthorized_client")
    told = answered(await ground.shop.http.get(authorize_url(app, VERIFIER)))
    assert told["error"] == "unauthorized_client"


async def test_codes_of_devices_cannot_be_guessed(ground: Ground) -> None:
    app = await ground.make_public()
    begun = (await ground.ask("device_authorization", app, scope="orders:own")).json()
    async with ground.browser() as browser:
        page = await browser.sign_in(await browser.open("/t/acme/device"))
        for number in range(USER_CODES_OF_ACCOUNT.tries):
            guess = f"BBBB-BBB{'BCDFGHJKLM'[number]}"
            answer = await browser.submit(page, user_code=guess)
            assert answer.status_code == 422
        answer = await browser.submit(page, user_code=begun["user_code"])
        assert answer.status_code == 429, "not even the right one"
        assert int(answer.headers["retry-after"]) <= 60
    poll = await ground.ask("token", app, grant_type=DEVICE, device_code=begun["device_code"])
    assert error_of(poll) == (400, "authorization_pending")


async def test_devices_that_wait_are_bounded_and_over_in_time(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert DEVICES_MAX == 500
    monkeypatch.setattr("serai.contexts.identity.model.grants.DEVICES_MAX", 2)
    app, other = await ground.make_public(), await ground.make()
    begun = [(await ground.ask("device_authorization", app, scope="openid")) for _ in range(3)]
    assert [one.status_code for one in begun] == [200, 200, 429]
    assert begun[2].json()["error"] == "temporarily_unavailable"
    code = begun[0].json()["device_code"]
    theft = await ground.ask("token", other, grant_type=DEVICE, device_code=code)
    assert error_of(theft) == (400, "invalid_grant")
    await ground.change_rows("UPDATE identity.devices SET expires_at = now() - interval '1 s'")
    late = await ground.ask("token", app, grant_type=DEVICE, device_code=code)
    assert error_of(late) == (400, "expired_token")
