"""The provider's pages in a real browser: by keyboard, at a desk and on a phone, with passkeys."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import asyncpg
import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Route

from serai.kernel.db import Database
from serai.kernel.embedded import EmbeddedPostgres
from tests.browser.windows import (
    DESKTOP,
    PHONE,
    App,
    Window,
    answered,
    needs_chromium,
    open_browser,
    open_window,
)
from tests.e2e.shop import Shop
from tests.integration import identity_shop
from tests.integration.provider_shop import challenge_of

# One browser for all: it takes a second to start.
pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="module")]

EMAIL = "buyer@example.com"
PASSWORD = "seven brass lanterns"
SCOPE = "openid email orders:own"


class Ground:
    """A shop of real processes with an app, and customers as they are needed."""

    def __init__(self, shop: Shop, app: App, admin_url: str) -> None:
        self.shop, self.app = shop, app
        self.admin_url = admin_url
        self.base = f"http://localhost:{shop.api_port}"
        self.called = f"{app.base}/cb"
        self.left = f"{app.base}/left"
        with shop.client() as http:
            body = {
                "name": "Picnic planner", "is_public": True, "grants": ["authorization_code"],
                "redirect_uris": [self.called], "scopes": SCOPE.split(),
                "post_logout_redirect_uris": [self.left],
            }  # fmt: skip
            answer = http.post("/v1/apps", json=body)
            assert answer.status_code == 201, answer.text
            self.app_id = answer.json()["app"]["id"]

    def authorize_url(self, verifier: str) -> str:
        """Where the app sends her."""
        fields = {
            "client_id": self.app_id, "redirect_uri": self.called, "response_type": "code",
            "scope": SCOPE, "state": "s-1", "code_challenge": challenge_of(verifier),
            "code_challenge_method": "S256",
        }  # fmt: skip
        return f"{self.base}/t/acme/oauth/authorize?{urlencode(fields)}"

    def redeem(self, code: str, verifier: str) -> dict[str, Any]:
        """The tokens for a code."""
        fields = {
            "grant_type": "authorization_code", "client_id": self.app_id, "code": code,
            "code_verifier": verifier, "redirect_uri": self.called,
        }  # fmt: skip
        answer = httpx.post(f"{self.base}/t/acme/oauth/token", data=fields)
        assert answer.status_code == 200, answer.text
        tokens: dict[str, Any] = answer.json()
        return tokens

    def count_orders(self, token: str) -> int:
        """How many orders a token opens."""
        headers = {"Authorization": f"Bearer {token}"}
        answer = httpx.get(f"{self.base}/v1/orders", headers=headers)
        assert answer.status_code == 200, answer.text
        return len(answer.json()["items"])

    async def change_rows(self, statement: str) -> str:
        """Changes what is kept, as time would."""
        connection = await asyncpg.connect(self.admin_url)
        try:
            return str(await connection.execute(statement))
        finally:
            await connection.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def open_ground(
    postgres: EmbeddedPostgres, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Ground]:
    folder: Path = tmp_path_factory.mktemp("shop")
    name = "test_browser"
    postgres.create_database(name, template=template)
    shop = Shop(folder, owner_url=postgres.owner_url(name), app_url=postgres.app_url(name))
    shop.settings |= {
        "argon2_memory_kib": "8192", "argon2_passes": "1", "logins_per_address": "0",
        "public_url": f"http://localhost:{shop.api_port}",
    }  # fmt: skip
    database = Database(postgres.app_url(name), pool_max=4)
    await database.open()
    # Made without a process: a command takes two seconds to start.
    async with identity_shop.open_shop(database, folder / "data", is_watching=False) as made:
        await made.add_tenant("acme")
        await made.register(EMAIL, PASSWORD)
        shop.key = made.keys["acme"]
    await database.close()
    shop.start("api")
    try:
        with App().serve() as app:
            yield Ground(shop, app, postgres.admin_url(name))
    finally:
        shop.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def ground(open_ground: Ground) -> Ground:
    """The shop with a customer who has a password only, and has allowed nothing."""
    await open_ground.change_rows("DELETE FROM identity.consents")
    await open_ground.change_rows("DELETE FROM identity.passkeys")
    await open_ground.change_rows("DELETE FROM identity.passkey_challenges")
    return open_ground


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with open_browser() as opened:
        yield opened


async def sign_in(window: Window) -> None:
    """By what stands on the page, from where the focus is when it opens."""
    assert await window.heading() == "Sign in"
    assert await window.focused() == "E-mail address"
    await window.type(EMAIL)
    await window.press("Tab")
    assert await window.focused() == "Password"
    await window.type(PASSWORD)
    await window.go()


async def decide(window: Window, name: str) -> dict[str, str]:
    """What the app is called back with after a decision."""
    assert await window.heading() == "Allow Picnic planner?"
    await window.tab_to(name)
    await window.go()
    assert await window.page.title() == "The app"
    return answered(window.page.url)


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
async def test_by_keyboard_she_allows_an_app_and_leaves_again(
    ground: Ground, browser: Browser, viewport: dict[str, int]
) -> None:
    verifier = secrets.token_urlsafe(48)
    async with open_window(browser, viewport=viewport) as window:
        await window.open(ground.authorize_url(verifier))
        await window.check_layout()
        await sign_in(window)
        await window.check_layout()
        asked = await window.page.get_by_role("listitem").all_inner_texts()
        assert asked == [
            "know you again by a number of yours", "know your e-mail address",
            "see, place, pay and cancel orders of yours",
        ]  # fmt: skip
        told = await decide(window, "Allow")
        assert (told["state"], told["iss"]) == ("s-1", f"{ground.base}/t/acme")
        tokens = ground.redeem(told["code"], verifier)
        assert ground.count_orders(tokens["access_token"]) == 0
        # She is known now. An app at no address of its own asks each time all the same.
        await window.open(ground.authorize_url(verifier))
        assert await window.heading() == "Allow Picnic planner?"
        end = f"{ground.base}/t/acme/oauth/logout"
        await window.open(f"{end}?{urlencode({'client_id': ground.app_id})}")
        assert await window.heading() == "Sign out of acme?"
        await window.check_layout()
        fields = {
            "id_token_hint": tokens["id_token"], "post_logout_redirect_uri": ground.left,
            "state": "bye",
        }  # fmt: skip
        await window.open(f"{end}?{urlencode(fields)}")
        assert window.page.url == f"{ground.left}?state=bye"
        await window.open(ground.authorize_url(verifier))
        assert await window.heading() == "Sign in"


async def test_who_does_not_allow_it_is_sent_back_with_that(
    ground: Ground, browser: Browser
) -> None:
    async with open_window(browser, viewport=PHONE) as window:
        await window.open(ground.authorize_url("v" * 43))
        await sign_in(window)
        told = await decide(window, "Do not allow")
        assert (told["error"], told["state"]) == ("access_denied", "s-1")
        assert "code" not in told


async def test_a_wrong_password_is_told_where_she_types_it_again(
    ground: Ground, browser: Browser
) -> None:
    async with open_window(browser, viewport=PHONE) as window:
        await window.open(ground.authorize_url("v" * 43))
        await window.type(EMAIL)
        await window.press("Tab")
        await window.type("not this one")
        await window.go()
        assert await window.alert() == "The address or the password is wrong."
        assert await window.page.title() == "Error: Sign in"
        assert await window.focused() == "Password"
        field = window.page.get_by_label("Password")
        assert await field.get_attribute("aria-invalid") == "true"
        assert await field.get_attribute("aria-describedby") == "error"
        assert await field.input_value() == ""
        assert await window.page.get_by_label("E-mail address").input_value() == EMAIL
        await window.check_layout()
        await window.type(PASSWORD)
        await window.go()
        assert await window.heading() == "Allow Picnic planner?"


async def test_without_a_script_the_password_is_all_there_is_and_is_enough(
    ground: Ground, browser: Browser
) -> None:
    async with open_window(browser, java_script_enabled=False) as window:
        await window.open(ground.authorize_url("v" * 43))
        assert await window.page.get_by_text("Sign in with a passkey").is_visible() is False
        await window.page.get_by_label("E-mail address").fill(EMAIL)
        await window.page.get_by_label("Password").fill(PASSWORD)
        async with window.page.expect_navigation():
            await window.page.get_by_label("Password").press("Enter")
        async with window.page.expect_navigation():
            await window.page.get_by_role("button", name="Allow", exact=True).press("Enter")
        assert "code" in answered(window.page.url)


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
async def test_a_passkey_is_made_by_keyboard_and_signs_her_in(
    ground: Ground, browser: Browser, viewport: dict[str, int]
) -> None:
    verifier = secrets.token_urlsafe(48)
    async with open_window(browser, viewport=viewport) as window:
        session, device = await window.add_authenticator()
        await window.open(f"{ground.base}/t/acme/account")
        await sign_in(window)
        assert await window.heading() == "Your passkeys"
        await window.check_layout()
        await window.tab_to("A name for a new passkey, such as My phone")
        await window.type("My phone")
        await window.go()
        assert "My phone, for localhost" in await window.page.get_by_role("listitem").inner_text()
        await window.check_layout()
        kept = await session.send("WebAuthn.getCredentials", {"authenticatorId": device})
        assert [one["rpId"] for one in kept["credentials"]] == ["localhost"]
        await window.tab_to("Sign out")
        await window.go()
        # The password alone is not enough any more, and it is said what is.
        await sign_in(window)
        assert "Use your passkey" in await window.alert()
        await window.open(ground.authorize_url(verifier))
        await window.tab_to("Sign in with a passkey")
        await window.go()
        told = await decide(window, "Allow")
        assert ground.redeem(told["code"], verifier)["token_type"] == "Bearer"
        await window.open(f"{ground.base}/t/acme/account")
        await window.tab_to("Take away My phone")
        await window.go()
        assert await window.page.get_by_text("You have no passkey yet").is_visible()


async def test_what_a_device_answers_too_late_lets_nobody_in(
    ground: Ground, browser: Browser
) -> None:
    async with open_window(browser) as window:
        session, device = await window.add_authenticator()
        await window.open(f"{ground.base}/t/acme/account")
        await sign_in(window)
        await window.tab_to("A name for a new passkey, such as My phone")
        await window.type("Mine")
        await window.go()
        await window.tab_to("Sign out")
        await window.go()

        async def be_late(route: Route) -> None:
            changed = "UPDATE identity.passkey_challenges SET expires_at = now()"
            assert await ground.change_rows(changed) == "UPDATE 1"
            await route.continue_()

        await window.page.route("**/oauth/sign-in", be_late)
        await window.tab_to("Sign in with a passkey")
        await window.go()
        assert "was not accepted" in await window.alert()
        assert await window.heading() == "Sign in"
        # A device that does not know who holds it says so, and the page with it.
        await session.send(
            "WebAuthn.setUserVerified", {"authenticatorId": device, "isUserVerified": False}
        )
        await window.tab_to("Sign in with a passkey")
        await window.press("Enter")
        status = window.page.get_by_role("status")
        await status.get_by_text("No passkey was used").wait_for()
        assert await window.focused() == "Sign in with a passkey"
