"""The provider's pages: whose form a form is, what a page may do, and who is signed in."""

import re
from collections.abc import AsyncIterator
from itertools import product
from pathlib import Path

import httpx
import pyotp
import pytest

from serai.contexts.identity.model.apps import APP_SCOPES
from serai.contexts.identity.routes import oauth_pages
from serai.kernel.db import Database
from tests.integration.identity_shop import PASSWORD
from tests.integration.provider_shop import (
    BASE,
    CALLED,
    EMAIL,
    Browser,
    Ground,
    answered,
    authorize_url,
    forms_of,
    open_ground,
)

VERIFIER = "v" * 43


@pytest.fixture
async def ground(database: Database, tmp_path: Path) -> AsyncIterator[Ground]:
    async with open_ground(database, tmp_path) as opened:
        yield opened


FOREIGN: list[dict[str, str]] = [
    {},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://shop.test.evil.example"},
    {"Origin": "https://shop.test"},
    {"Origin": BASE, "Sec-Fetch-Site": "cross-site"},
    {"Origin": BASE, "Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "none"},
]


async def pages_of(ground: Ground, browser: Browser) -> list[httpx.Response]:
    """Each page with a form: to sign in, to allow an app, to type a device's code."""
    app = await ground.make()
    to_sign_in = await browser.open(authorize_url(app, VERIFIER))
    to_allow = await browser.sign_in(to_sign_in)
    to_type = await browser.open("/t/acme/device")
    return [to_sign_in, to_allow, to_type]


async def test_a_form_that_another_page_sends_changes_nothing(ground: Ground) -> None:
    async with ground.browser() as browser:
        for page in (await pages_of(ground, browser))[1:]:
            for number, headers in product(range(len(forms_of(page))), FOREIGN):
                answer = await browser.submit(page, number, headers=headers, decision="allow")
                assert answer.status_code == 403, headers
                assert "location" not in answer.headers
    assert await ground.rows("SELECT 1 FROM identity.codes") == []
    assert await ground.rows("SELECT 1 FROM identity.consents") == []


async def test_a_form_without_the_token_of_this_browser_changes_nothing(ground: Ground) -> None:
    async with ground.browser() as browser, ground.browser() as evil:
        page = (await pages_of(ground, browser))[1]
        theirs = await evil.open(authorize_url(await ground.make(), VERIFIER))
        planted = forms_of(theirs)[0].fields["form"]
        for token in ("", "0" * 64, planted):
            answer = await browser.submit(page, form=token, decision="allow")
            assert answer.status_code == 403
        # A form to sign in is guarded too: nobody is signed in as another without knowing it.
        answer = await evil.submit(theirs, form="0" * 64, email=EMAIL, password=PASSWORD)
        assert answer.status_code == 403
        bare = {"Origin": BASE, "Sec-Fetch-Site": "same-origin"}
        evil.http.cookies.clear()
        answer = await evil.submit(theirs, headers=bare, email=EMAIL, password=PASSWORD)
        assert answer.status_code == 403
    assert await ground.rows("SELECT 1 FROM identity.codes") == []


async def test_the_cookie_changes_with_signing_in(ground: Ground) -> None:
    async with ground.browser() as browser:
        page = await browser.open(authorize_url(await ground.make(), VERIFIER))
        (before,) = browser.http.cookies.values()
        page = await browser.sign_in(page)
        (after,) = browser.http.cookies.values()
        assert before != after
        assert forms_of(page)[0].fields["form"] not in {before, after}


async def test_no_page_stands_in_a_frame_runs_a_script_or_is_kept(ground: Ground) -> None:
    async with ground.browser() as browser:
        pages = await pages_of(ground, browser)
        pages.append(await browser.open("/t/acme/oauth/authorize"))
        pages.append(await browser.submit(pages[2], user_code="BBBB-BBBB"))
    for page in pages:
        headers = page.headers
        policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert policy["frame-ancestors"] == "'none'"
        assert policy["base-uri"] == "'none'"
        assert "script-src" not in policy
        assert re.fullmatch(r"'sha256-[A-Za-z0-9+/]{43}='", policy["style-src"])
        assert headers["x-frame-options"] == "DENY"
        assert headers["cache-control"] == "no-store"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "<script" not in page.text
        assert " style=" not in page.text
        assert not re.search(r'(src|href)="', page.text), "nothing is fetched from anywhere"
    for page in pages[:2]:
        assert "form-action 'self' https://app.example;" in page.headers["content-security-policy"]


async def test_every_field_has_a_label_and_every_page_a_heading(ground: Ground) -> None:
    async with ground.browser() as browser:
        pages = await pages_of(ground, browser)
        wrong = await browser.submit(pages[2], user_code="nothing")
    assert 'role="alert"' in wrong.text
    for page in (*pages, wrong):
        assert '<html lang="en">' in page.text
        assert page.text.count("<h1>") == 1
        assert "<main>" in page.text
        labelled = set(re.findall(r'<label for="(\w+)"', page.text))
        fields = set(re.findall(r'<input id="(\w+)"', page.text))
        assert fields == labelled
    shown = pages[0].text
    for word in ("username", "current-password", "one-time-code"):
        assert f'autocomplete="{word}"' in shown


async def test_cookies_are_for_this_host_over_tls_and_for_no_script(
    database: Database, tmp_path: Path
) -> None:
    async with open_ground(database, tmp_path, public_url="https://shop.test") as ground:
        app = await ground.make()
        answer = await ground.shop.http.get(authorize_url(app, VERIFIER))
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-serai-acme=")
        parts = {part.strip().lower() for part in cookie.split(";")[1:]}
        assert {"secure", "httponly", "samesite=lax", "path=/"} <= parts
        assert not any(part.startswith("domain") for part in parts)


async def test_what_is_put_into_a_page_is_escaped(ground: Ground) -> None:
    hostile = "<script>alert(1)</script>\"'&"
    app = await ground.make(name=hostile)
    async with ground.browser() as browser:
        page = await browser.open(authorize_url(app, VERIFIER, state=hostile))
        assert "<script" not in page.text
        wrong = await browser.submit(page, email=hostile, password="wrong")
        assert wrong.status_code == 401
        assert "<script" not in wrong.text
        page = await browser.sign_in(wrong)
        assert "<script" not in page.text
        assert "&lt;script&gt;" in page.text
        told = answered(await browser.submit(page, decision="deny"))
        assert (told["error"], told["state"]) == ("access_denied", hostile)
        typed = await browser.open("/t/acme/device?user_code=%22%3E%3Cscript%3E")
        assert "<script" not in typed.text


async def test_a_wrong_password_is_told_and_tries_run_out(ground: Ground) -> None:
    app = await ground.make()
    async with ground.browser() as browser:
        page = await browser.open(authorize_url(app, VERIFIER))
        for _ in range(10):
            page = await browser.submit(page, email=EMAIL, password="not the one")
            assert (page.status_code, "is wrong" in page.text) == (401, True)
            assert "not the one" not in page.text
        page = await browser.sign_in(page)
        assert (page.status_code, "Too many tries" in page.text) == (429, True)
    staff = await ground.shop.hire("me@example.com", "owner")
    assert staff
    async with ground.browser() as browser:
        page = await browser.open(authorize_url(app, VERIFIER))
        page = await browser.sign_in(page, "me@example.com")
        assert page.status_code == 401, "the pages are for customers"


async def test_who_has_a_second_factor_is_asked_for_it(ground: Ground) -> None:
    app, shop = await ground.make(), ground.shop
    hers = (await shop.sign_in(EMAIL))["access_token"]
    begun = await shop.call("POST", "/v1/me/totp", hers, {"current_password": PASSWORD})
    totp = pyotp.TOTP(begun.json()["secret"])
    code = {"code": totp.now()}
    assert (await shop.call("POST", "/v1/me/totp/confirmations", hers, code)).is_success
    async with ground.browser() as browser:
        page = await browser.open(authorize_url(app, VERIFIER))
        page = await browser.sign_in(page)
        assert (page.status_code, "code of your authenticator too" in page.text) == (401, True)
        page = await browser.sign_in(page, code=totp.at(shop.house.clock.now(), counter_offset=1))
        assert "Allow Picnic planner" in page.text


async def test_prompt_and_max_age_make_her_sign_in_again(ground: Ground) -> None:
    app = await ground.make()
    async with ground.browser() as browser:
        await ground.allow(app, browser=browser)
        for changed in ({"prompt": "login"}, {"prompt": "select_account"}, {"max_age": "0"}):
            page = await browser.open(authorize_url(app, VERIFIER, **changed))
            assert "Sign in" in page.text
            page = await browser.sign_in(page)
            assert "code" in answered(page), "and then goes on"
        await ground.change_rows(
            "UPDATE identity.sessions SET created_at = created_at - interval '1 hour' "
            "WHERE app_id = '00000000-0000-0000-0000-000000000000'"
        )
        page = await browser.open(authorize_url(app, VERIFIER, max_age="600", prompt="none"))
        assert answered(page)["error"] == "login_required"
        page = await browser.open(authorize_url(app, VERIFIER, max_age="7200"))
        assert "code" in answered(page)


async def test_a_public_app_at_no_address_of_its_own_is_always_asked_for(ground: Ground) -> None:
    called = "com.example.app:/cb"
    app = await ground.make_public(redirect_uris=[called])
    async with ground.browser() as browser:
        for _ in range(2):
            page = await browser.open(authorize_url(app, VERIFIER, redirect_uri=called))
            page = await browser.sign_in(page) if "password" in page.text else page
            assert "form-action 'self' com.example.app:;" in page.headers["content-security-policy"]
            told = answered(await browser.submit(page, decision="allow"), called)
            assert "code" in told


async def test_who_is_someone_else_signs_out_on_the_page(ground: Ground) -> None:
    app = await ground.make()
    async with ground.browser() as browser:
        page = await browser.sign_in(await browser.open(authorize_url(app, VERIFIER)))
        (cookie,) = browser.http.cookies.values()
        page = await browser.submit(page, 1)
        assert 'autocomplete="current-password"' in page.text
        browser.http.cookies.clear()
        browser.http.cookies.set("serai-acme", cookie)
        page = await browser.open(authorize_url(app, VERIFIER, prompt="none"))
        assert answered(page)["error"] == "login_required", "the session itself has ended"


async def test_her_session_with_one_tenant_is_none_with_another(ground: Ground) -> None:
    await ground.shop.add_tenant("other")
    app = await ground.make()
    stranger = await ground.make(tenant="other")
    async with ground.browser() as browser:
        await ground.allow(app, browser=browser)
        browser.http.cookies.set("serai-other", browser.http.cookies["serai-acme"])
        page = await browser.open(authorize_url(stranger, VERIFIER, prompt="none"))
        assert answered(page)["error"] == "login_required"


def test_every_scope_has_a_meaning_for_whoever_is_asked() -> None:
    assert set(oauth_pages.MEANINGS) <= set(APP_SCOPES)
    assert all(scope in oauth_pages.meaning_of(scope) or scope in oauth_pages.MEANINGS
               for scope in APP_SCOPES)  # fmt: skip
    assert CALLED.startswith("https:")
