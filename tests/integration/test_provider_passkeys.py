"""Passkeys on the provider's pages: made on one, shown to come in, refused without a word."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from serai.contexts.identity.contract.passkeys import FRESH_S, PASSKEYS_MAX
from serai.contexts.identity.routes import oauth_pages
from serai.kernel.db import Database
from tests.integration.identity_shop import PASSWORD
from tests.integration.provider_shop import (
    BASE,
    EMAIL,
    Browser,
    Ground,
    answered,
    authorize_url,
    forms_of,
    open_ground,
)
from tests.integration.soft_authenticator import SoftAuthenticator

VERIFIER = "v" * 43
ACCOUNT = "/t/acme/account"
ASKS = "/t/acme/oauth/passkey-challenges"
OURS = {"Origin": BASE, "Sec-Fetch-Site": "same-origin"}


@pytest.fixture
async def ground(database: Database, tmp_path: Path) -> AsyncIterator[Ground]:
    async with open_ground(database, tmp_path) as opened:
        yield opened


def form_at(page: httpx.Response, end: str) -> int:
    """Which form of a page the script fills in."""
    forms = forms_of(page)
    (found,) = [
        n for n, f in enumerate(forms) if f.action.endswith(end) and "credential" in f.fields
    ]
    return found


async def ask(browser: Browser, page: httpx.Response, **fields: str) -> dict[str, Any]:
    """A challenge, as the script asks for it."""
    token = forms_of(page)[0].fields["form"]
    answer = await browser.http.post(ASKS, data={"form": token, **fields}, headers=OURS)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    asked: dict[str, Any] = answer.json()
    return asked


async def make(browser: Browser, page: httpx.Response, name: str = "My phone") -> Any:
    """A device with a passkey that was made on the page; the page that came of it."""
    asked = await ask(browser, page, makes="yes")
    device = SoftAuthenticator(BASE)
    credential = json.dumps(device.make(asked["public_key"]))
    page = await browser.submit(
        page, form_at(page, "/account/passkeys"), challenge_id=asked["challenge_id"],
        credential=credential, name=name,
    )  # fmt: skip
    return device, page


async def show(browser: Browser, page: httpx.Response, device: SoftAuthenticator) -> Any:
    """What a device says to a page on which one signs in."""
    asked = await ask(browser, page)
    credential = json.dumps(device.sign(asked["public_key"]))
    return await browser.submit(
        page, form_at(page, "/oauth/sign-in"), challenge_id=asked["challenge_id"],
        credential=credential,
    )  # fmt: skip


async def test_one_made_on_a_page_signs_in_on_a_page(ground: Ground) -> None:
    app = await ground.make()
    async with ground.browser() as browser:
        page = await browser.sign_in(await browser.open(ACCOUNT))
        assert "You have no passkey yet" in page.text
        device, page = await make(browser, page, "<b>My phone")
        assert "<strong>&lt;b&gt;My phone</strong>, for shop.test" in page.text
    async with ground.browser() as browser:
        page = await browser.open(authorize_url(app, VERIFIER))
        by_password = await browser.sign_in(page)
        assert by_password.status_code == 401
        assert "Use your passkey" in by_password.text
        (before,) = browser.http.cookies.values()
        page = await show(browser, page, device)
        assert "Allow Picnic planner" in page.text
        assert browser.http.cookies["serai-acme"] != before
        told = answered(await browser.submit(page, decision="allow"))
        given = (await ground.redeem(app, told["code"], VERIFIER)).json()
        assert await ground.use(given["access_token"]) == 200
    signed_in = [c for c in await ground.changes() if c["action"] == "identity.signed_in"]
    assert [c["after"]["by"] for c in signed_in] == ["password", "passkey"]
    # The API takes what the page took, and the other way round: it is the same passkey.
    asked = (await ground.shop.post("/v1/sessions/passkey-challenges", {"origin": BASE})).json()
    body = {"challenge_id": asked["challenge_id"], "credential": device.sign(asked["public_key"])}
    assert (await ground.shop.post("/v1/sessions/passkeys", body)).status_code == 201


async def test_whatever_is_wrong_the_answer_is_the_same_and_nobody_is_in(ground: Ground) -> None:
    await ground.shop.add_tenant("other")
    app, stranger = await ground.make(), SoftAuthenticator(BASE)
    async with ground.browser() as browser, ground.browser() as next_door:
        page = await browser.sign_in(await browser.open(ACCOUNT))
        device, page = await make(browser, page)
        await browser.submit(page, len(forms_of(page)) - 1)
        page = await browser.open(authorize_url(app, VERIFIER))
        number = form_at(page, "/oauth/sign-in")
        asked = await ask(browser, page)
        elsewhere = await next_door.open("/t/other/account")
        theirs = (await next_door.http.post(
            "/t/other/oauth/passkey-challenges", headers=OURS,
            data={"form": forms_of(elsewhere)[0].fields["form"]},
        )).json()  # fmt: skip
        good = device.sign(asked["public_key"])
        for challenge_id, credential in (
            (asked["challenge_id"], stranger.sign(asked["public_key"])),
            (asked["challenge_id"], good),  # used up by the one before
            (theirs["challenge_id"], device.sign(theirs["public_key"])),
            ("no-id", good),
            ("", good),
            (asked["challenge_id"], {}),
            (asked["challenge_id"], []),
        ):
            answer = await browser.submit(
                page, number, challenge_id=challenge_id, credential=json.dumps(credential)
            )
            assert answer.status_code == 401
            assert 'role="alert"' in answer.text
            assert "password" in answer.text
        asked = await ask(browser, page)
        for lies in ({"origin": "https://evil.example"}, {"rp_id": "evil.example"}, {"flags": 1}):
            answer = await browser.submit(
                page, number, challenge_id=asked["challenge_id"],
                credential=json.dumps(device.sign(asked["public_key"], **lies)),
            )  # fmt: skip
            assert answer.status_code == 401
            asked = await ask(browser, page)
        await ground.change_rows("UPDATE identity.passkey_challenges SET expires_at = now()")
        late = await browser.submit(
            page, number, challenge_id=asked["challenge_id"],
            credential=json.dumps(device.sign(asked["public_key"])),
        )  # fmt: skip
        assert late.status_code == 401
        assert "Allow Picnic" in (await show(browser, page, device)).text
    assert len(await ground.rows("SELECT 1 FROM identity.sessions WHERE ended_at IS NULL")) == 1


async def test_no_other_page_asks_for_a_passkey_makes_one_or_takes_one_away(
    ground: Ground,
) -> None:
    async with ground.browser() as browser, ground.browser() as nobody:
        page = await browser.sign_in(await browser.open(ACCOUNT))
        _, page = await make(browser, page)
        token = forms_of(page)[0].fields["form"]
        for headers, form in (
            ({}, token),
            ({"Origin": "https://evil.example"}, token),
            ({"Origin": BASE, "Sec-Fetch-Site": "cross-site"}, token),
            (OURS, "0" * 64),
        ):
            for path in (ASKS, f"{ACCOUNT}/passkeys", f"{ACCOUNT}/passkeys/removals"):
                answer = await browser.http.post(path, data={"form": form}, headers=headers)
                assert answer.status_code == 403, (headers, path)
        page = await nobody.open(ACCOUNT)
        data = {"form": forms_of(page)[0].fields["form"], "makes": "yes"}
        answer = await nobody.http.post(ASKS, data=data, headers=OURS)
        assert answer.status_code == 403, "only who is signed in makes one"
    assert len(await ground.rows("SELECT 1 FROM identity.passkeys")) == 1
    assert await ground.rows("SELECT 1 FROM identity.passkey_challenges") == []


async def test_a_session_of_long_ago_changes_nothing(ground: Ground) -> None:
    async with ground.browser() as browser:
        page = await browser.sign_in(await browser.open(ACCOUNT))
        asked = await ask(browser, page, makes="yes")
        device, page = await make(browser, page)
        age = f"created_at - interval '{FRESH_S + 1} seconds'"
        await ground.change_rows(f"UPDATE identity.sessions SET created_at = {age}")
        data = {"form": forms_of(page)[0].fields["form"], "makes": "yes"}
        answer = await browser.http.post(ASKS, data=data, headers=OURS)
        assert (answer.status_code, answer.json()["code"]) == (403, "sign_in_too_long_ago")
        removed = await browser.submit(page, 0)
        made = await browser.submit(
            page, form_at(page, "/account/passkeys"), challenge_id=asked["challenge_id"],
            credential=json.dumps(SoftAuthenticator(BASE).make(asked["public_key"])), name="Late",
        )  # fmt: skip
        for one in (removed, made, await browser.open(ACCOUNT)):
            assert 'autocomplete="current-password"' in one.text
        assert len(await ground.rows("SELECT 1 FROM identity.passkeys")) == 1
        page = await show(browser, await browser.open(ACCOUNT), device)
        gone = await browser.submit(page, 0)
        assert "You have no passkey yet" in gone.text
    assert await ground.rows("SELECT 1 FROM identity.passkeys") == []


async def test_what_cannot_be_made_is_told_on_the_page(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ground.browser() as browser:
        page = await browser.sign_in(await browser.open(ACCOUNT))
        asked = await ask(browser, page, makes="yes")
        made = json.dumps(SoftAuthenticator(BASE).make(asked["public_key"]))
        number = form_at(page, "/account/passkeys")
        for fields, status in (
            ({"name": "x" * 65}, 400),
            ({"name": "a\x07b"}, 400),
            ({"credential": "{}"}, 400),
            ({"challenge_id": "x"}, 422),
            ({}, 200),
            ({}, 422),  # used up
        ):
            given = {"challenge_id": asked["challenge_id"], "credential": made, "name": "Mine"}
            answer = await browser.submit(page, number, **{**given, **fields})
            assert answer.status_code == status, answer.text
            assert ('role="alert"' in answer.text) is (status != 200)
        monkeypatch.setattr("serai.contexts.identity.handlers.passkeys.PASSKEYS_MAX", 1)
        data = {"form": forms_of(page)[0].fields["form"], "makes": "yes"}
        full = await browser.http.post(ASKS, data=data, headers=OURS)
        assert (full.status_code, full.json()["code"]) == (409, "too_many_passkeys")
    assert PASSKEYS_MAX > 1


async def test_the_script_has_an_address_of_its_own_and_is_kept(ground: Ground) -> None:
    answer = await ground.shop.http.get(oauth_pages.SCRIPT_PATH)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/javascript")
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.text == oauth_pages.SCRIPT
    other = await ground.shop.http.get(f"{oauth_pages.SCRIPTS}/passkeys-0123456789abcdef.js")
    assert (other.status_code, "immutable" in str(other.headers)) == (404, False)
    for word in ("innerHTML", "eval(", "document.write", "outerHTML"):
        assert word not in answer.text
    assert EMAIL not in answer.text
    assert PASSWORD not in answer.text


async def test_the_pages_are_of_the_topmost_domain_that_the_tenant_names(
    database: Database, tmp_path: Path
) -> None:
    own = "https://id.shop.example"
    async with open_ground(database, tmp_path, public_url=own) as ground:

        async def site_of(origin: str) -> str:
            asked = await ground.shop.post("/v1/sessions/passkey-challenges", {"origin": origin})
            told = asked.json()
            return str(told["public_key"]["rpId"] if asked.is_success else told["code"])

        assert await site_of(own) == "id.shop.example"
        body = {"origins": ["https://shop.example"]}
        key = ground.shop.keys["acme"]
        assert (await ground.shop.call("PUT", "/v1/tenant/origins", key, body)).is_success
        assert await site_of(own) == "shop.example"
        assert await site_of("https://shop.example") == "shop.example"
        for other in ("https://www.shop.example", "http://id.shop.example", f"{own}:8443"):
            assert await site_of(other) == "origin_unknown"
