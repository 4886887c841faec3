"""The end-session endpoint: who is signed out, who is asked first, and where she is sent."""

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest

from serai.kernel.db import Database
from tests.integration.provider_shop import (
    BASE,
    ISSUER,
    AnApp,
    Browser,
    Ground,
    authorize_url,
    forms_of,
    open_ground,
)
from tests.integration.test_provider_tokens import forge_id

VERIFIER = "v" * 43
AFTER = "https://app.example/bye?from=serai"


@pytest.fixture
async def ground(database: Database, tmp_path: Path) -> AsyncIterator[Ground]:
    async with open_ground(database, tmp_path) as opened:
        yield opened


async def make(ground: Ground, *, tenant: str = "acme") -> AnApp:
    return await ground.make(tenant=tenant, post_logout_redirect_uris=[AFTER])


async def sign_in(ground: Ground, app: AnApp, browser: Browser) -> str:
    """The ID token of who is signed in in a browser now."""
    code, verifier = await ground.allow(app, browser=browser)
    given = (await ground.redeem(app, code, verifier)).json()
    return str(given["id_token"])


def leave_url(**fields: str) -> str:
    return f"/t/acme/oauth/logout?{urlencode(fields)}"


async def is_in(app: AnApp, browser: Browser) -> bool:
    """Whether the pages know her."""
    answer = await browser.open(authorize_url(app, VERIFIER, prompt="none"))
    return "login_required" not in answer.headers["location"]


def sent_to(answer: httpx.Response) -> str:
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


async def test_discovery_names_it(ground: Ground) -> None:
    found = await ground.shop.http.get("/t/acme/.well-known/openid-configuration")
    assert found.json()["end_session_endpoint"] == f"{ISSUER}/oauth/logout"


async def test_her_own_id_token_signs_her_out_and_sends_her_on(ground: Ground) -> None:
    app = await make(ground)
    async with ground.browser() as browser:
        hint = await sign_in(ground, app, browser)
        (cookie,) = browser.http.cookies.values()
        # Its time is over by now; that it was ours is enough.
        old = await forge_id(ground, hint, exp=1)
        url = leave_url(id_token_hint=old, post_logout_redirect_uri=AFTER, state="s p&c")
        assert sent_to(await browser.open(url)) == f"{AFTER}&state=s+p%26c"
        assert not browser.http.cookies
        browser.http.cookies.set("serai-acme", cookie)
        assert not await is_in(app, browser), "the session itself has ended"
        again = leave_url(client_id=app.id, post_logout_redirect_uri=AFTER)
        assert sent_to(await browser.open(again)) == AFTER, "who is out already goes on"
        shown = await browser.open(leave_url())
        assert (shown.status_code, "You are signed out" in shown.text) == (200, True)


async def test_who_is_not_named_by_an_id_token_is_asked(ground: Ground) -> None:
    app = await make(ground)
    await ground.shop.register("other@example.com")
    async with ground.browser() as browser, ground.browser() as stranger:
        hint = await sign_in(ground, app, browser)
        page = await stranger.open(authorize_url(app, VERIFIER, scope="openid"))
        assert (await stranger.sign_in(page, "other@example.com")).status_code == 200
        theirs = leave_url(id_token_hint=hint, post_logout_redirect_uri=AFTER)
        for fields in ({}, {"client_id": app.id}, {"id_token_hint": hint[:-6] + "AAAAAA"}):
            page = await browser.open(leave_url(**fields))
            assert (page.status_code, "Sign out of acme?" in page.text) == (200, True)
        page = await stranger.open(theirs)
        assert "Sign out of acme?" in page.text, "hers is no other's"
        assert "form-action 'self' https://app.example;" in page.headers["content-security-policy"]
        stays = await stranger.submit(page, decision="stay")
        assert "You stay signed in" in stays.text
        assert sent_to(await stranger.submit(page, decision="leave")) == AFTER
        assert await is_in(app, browser)


async def test_no_other_page_signs_her_out(ground: Ground) -> None:
    app = await make(ground)
    async with ground.browser() as browser:
        await sign_in(ground, app, browser)
        page = await browser.open(leave_url())
        evil = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
        assert (await browser.submit(page, headers=evil, decision="leave")).status_code == 403
        planted = await browser.submit(page, form="0" * 64, decision="leave")
        assert planted.status_code == 403
        posted = await browser.http.post(forms_of(page)[0].action, data={"decision": "leave"})
        assert "Sign out of acme?" in posted.text
        assert await is_in(app, browser)


async def test_she_is_sent_nowhere_but_where_the_app_has_named(ground: Ground) -> None:
    app, other = await make(ground), await ground.make()
    await ground.shop.add_tenant("elsewhere")
    foreign = await make(ground, tenant="elsewhere")
    async with ground.browser() as browser:
        hint = await sign_in(ground, app, browser)
        for fields in (
            {"post_logout_redirect_uri": AFTER},
            {"post_logout_redirect_uri": AFTER, "client_id": other.id},
            {"post_logout_redirect_uri": AFTER, "client_id": foreign.id},
            {"post_logout_redirect_uri": AFTER, "client_id": other.id, "id_token_hint": hint},
            {"post_logout_redirect_uri": f"{AFTER}&x", "id_token_hint": hint},
            {"post_logout_redirect_uri": "https://app.example/cb", "id_token_hint": hint},
            {
                "post_logout_redirect_uri": AFTER,
                "id_token_hint": await forge_id(ground, hint, iss=f"{BASE}/t/elsewhere"),
            },
        ):
            answer = await browser.open(leave_url(**fields))
            assert answer.status_code in {400, 401}, fields
            assert "location" not in answer.headers
        access = (await ground.tokens(app))["access_token"]
        url = leave_url(post_logout_redirect_uri=AFTER, id_token_hint=access)
        assert (await browser.open(url)).status_code == 400, "an access token is no ID token"
        assert await is_in(app, browser)
    for uris in (["http://evil.example"], ["https://a.example/#x"], ["javascript:alert(1)"]):
        refused = await ground.change(app, post_logout_redirect_uris=uris)
        assert refused.json()["code"] == "redirect_uri_unfit"
    changed = await ground.change(app, post_logout_redirect_uris=[])
    assert changed.json()["post_logout_redirect_uris"] == []
