"""A shop's page on an origin of its own: its script registers, signs in and orders over the API."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser

from serai.contexts.identity.contract import TENANT_HEADER
from serai.kernel.db import Database
from serai.kernel.embedded import EmbeddedPostgres
from tests.browser.windows import App, Window, needs_chromium, open_browser, open_window
from tests.e2e.shop import Shop
from tests.integration import identity_shop

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="module")]

EMAIL = "buyer@example.com"
PASSWORD = "seven brass lanterns"
CALL = """async ([url, method, headers, body]) => {
  const answer = await fetch(url, {method, headers, body: body && JSON.stringify(body)})
  const told = Object.fromEntries(answer.headers.entries())
  const text = await answer.text()
  return {status: answer.status, headers: told, body: text && JSON.parse(text)}
}"""


class Front:
    """Processes of a shop, and a page elsewhere that a tenant names."""

    def __init__(self, shop: Shop, made: identity_shop.Shop, page: App) -> None:
        self.shop, self.made, self.page = shop, made, page
        self.api = f"http://localhost:{shop.api_port}"

    async def ask(
        self, window: Window, method: str, path: str, body: Any = None, **headers: str
    ) -> dict[str, Any]:
        """What the page's script is answered."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            given["Content-Type"] = "application/json"
        answer: dict[str, Any] = await window.page.evaluate(
            CALL, [f"{self.api}{path}", method, given, body]
        )
        return answer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def front(
    postgres: EmbeddedPostgres, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Front]:
    folder: Path = tmp_path_factory.mktemp("front")
    name = "test_other_origin"
    postgres.create_database(name, template=template)
    shop = Shop(folder, owner_url=postgres.owner_url(name), app_url=postgres.app_url(name))
    shop.settings |= {"argon2_memory_kib": "8192", "argon2_passes": "1"}
    database = Database(postgres.app_url(name), pool_max=4)
    await database.open()
    async with identity_shop.open_shop(database, folder / "data", is_watching=False) as made:
        for tenant in ("acme", "rival"):
            await made.add_tenant(tenant)
        shop.start("api")
        try:
            with App().serve() as page:
                yield Front(shop, made, page)
        finally:
            shop.stop()
    await database.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with open_browser() as opened:
        yield opened


async def test_a_page_of_another_origin_registers_signs_in_and_orders(
    front: Front, browser: Browser
) -> None:
    headers = {"Authorization": f"Bearer {front.made.keys['acme']}"}
    product = {
        "title": "Tent", "status": "published",
        "variants": [{"sku": "tent", "prices": [{"currency": "USD", "amount_minor": 1000}]}],
    }  # fmt: skip
    async with httpx.AsyncClient(base_url=front.api, headers=headers) as staff:
        keyed = {"Idempotency-Key": "tent"}
        made = await staff.post("/v1/products", json=product, headers=keyed)
        assert made.status_code == 201, made.text
        named = await staff.put("/v1/tenant/origins", json={"origins": [front.page.base]})
        assert named.status_code == 200, named.text
    acme: dict[str, str] = {TENANT_HEADER: "acme"}
    async with open_window(browser) as window:
        await window.open(front.page.base)
        body = {"email": EMAIL, "password": PASSWORD, "name": "A Buyer"}
        asked = await front.ask(window, "POST", "/v1/customers", body, **acme)
        assert asked["status"] == 202
        token = {"token": await front.made.mailed("registration_requested"), "password": PASSWORD}
        shown = await front.ask(window, "POST", "/v1/customers/verifications", token, **acme)
        assert shown["status"] == 201
        known = {"email": EMAIL, "password": PASSWORD}
        opened = await front.ask(window, "POST", "/v1/sessions", known, **acme)
        assert opened["status"] == 201
        bearer = f"Bearer {opened['body']['access_token']}"
        order = {"currency": "USD", "lines": [{"sku": "tent", "quantity": 1}]}
        placed = await front.ask(
            window, "POST", "/v1/orders", order, Authorization=bearer, Idempotency_Key="one",
            Prefer="wait=0", Traceparent=f"00-{'a' * 32}-{'b' * 16}-01",
        )  # fmt: skip
        assert placed["status"] in (201, 202), placed
        assert {"location", "x-request-id"} <= placed["headers"].keys()
        again = await front.ask(
            window, "POST", "/v1/orders", order, Authorization=bearer, Idempotency_Key="one"
        )
        assert again["headers"]["idempotency-replayed"] == "true"
        path = placed["headers"]["location"]
        seen = await front.ask(window, "GET", path, Authorization=bearer)
        assert seen["body"]["id"] == placed["body"]["id"]
        cancelled = await front.ask(
            window, "POST", f"{path}/cancel", {}, Authorization=bearer, Idempotency_Key="two",
            If_Match=seen["headers"]["etag"],
        )  # fmt: skip
        assert cancelled["status"] in (200, 202), cancelled


async def test_a_page_reads_nothing_of_a_tenant_that_does_not_name_it(
    front: Front, browser: Browser
) -> None:
    async with open_window(browser) as window:
        await window.open(front.page.base)
        known = {"email": EMAIL, "password": PASSWORD}
        with pytest.raises(Exception, match="Failed to fetch"):
            await front.ask(window, "POST", "/v1/sessions", known, **{TENANT_HEADER: "rival"})
        # The browser says so on its console, which is what is wanted here.
        window.faults.clear()
