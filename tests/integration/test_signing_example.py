"""The client of docs/howto/sign-requests.md, as it stands there, and the API on a real socket."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import serialization

from serai.kernel import express
from serai.kernel.db import Database
from serai.roles.server import serve_app
from tests.e2e.processes import free_ports
from tests.integration.signing_shop import ORDER, SigningShop, open_signing_shop

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "sign-requests.md"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
ANSWERS_WITHIN_S = 10


@pytest.fixture
async def shop(database: Database, tmp_path: Path) -> AsyncIterator[SigningShop]:
    async for opened in open_signing_shop(database, tmp_path):
        # The example takes the time from its machine, as clients do.
        opened.house.clock.advance(datetime.now(UTC) - opened.now)
        yield opened


@pytest.fixture
async def address(shop: SigningShop) -> AsyncIterator[str]:
    """Where the API listens while a test runs."""
    (port,) = free_ports(1)
    stop = asyncio.Event()
    app = express.shorten(shop.app, body_bytes_max=1 << 20)
    serving = asyncio.create_task(serve_app(app, host="127.0.0.1", port=port, stop=stop))
    try:
        async with httpx.AsyncClient() as http, asyncio.timeout(ANSWERS_WITHIN_S):
            while True:
                try:
                    await http.get(f"http://127.0.0.1:{port}/livez")
                except httpx.TransportError:
                    await asyncio.sleep(0.05)
                    continue
                break
        yield f"http://127.0.0.1:{port}"
    finally:
        stop.set()
        await serving


def example() -> dict[str, Any]:
    """What the page's code defines."""
    defined: dict[str, Any] = {}
    for block in re.findall(
        r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL
    ):
        exec(block, defined)  # noqa: S102 - the page is ours
    return defined


async def test_the_client_of_the_page_is_let_in(shop: SigningShop, address: str) -> None:
    private = shop.one.private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )  # fmt: skip

    def ask() -> list[httpx.Response]:
        with example()["open_client"](address, shop.one.key, shop.one.key_id, private) as client:
            json = {"Content-Type": "application/json"}
            return [
                client.get("/v1/orders", params={"limit": 5, "customer": "Ö ~/?#[é"}),
                client.get("/v1/orders?limit=5&cursor="),
                client.get("/v1/%6Frders"),
                client.post("/v1/orders", content=ORDER, headers={**json, "Idempotency-Key": "a"}),
                client.post("/v1/orders", content=ORDER, headers={**json, "Idempotency-Key": "a"}),
                client.post("/v1/api-keys", json={"scopes": ["orders:read"], "label": "Käse"}),
                client.get("/v1/orders", headers={"Authorization": "ignored"}),
            ]

    answers = await asyncio.to_thread(ask)
    assert [a.json().get("code") for a in answers if a.status_code == 401] == []
    assert answers[0].request.headers["signature-input"]
    assert [a.status_code for a in answers[3:]] == [201, 201, 201, 200], answers[3].text
    assert answers[3].json() == answers[4].json()


async def test_a_signed_request_is_good_once_on_a_socket_too(
    shop: SigningShop, address: str
) -> None:
    request = httpx.Request("GET", f"{address}/v1/orders?a=%2F&b=+c", headers={
        "authorization": f"Bearer {shop.one.key}"
    })  # fmt: skip
    shop.one.sign(request, at=shop.now)
    async with httpx.AsyncClient() as http:
        first = await http.send(request)
        again = await http.send(request)
        request.headers["host"] = "other.example"
        elsewhere = await http.send(request)
    assert first.status_code == 200, first.text
    codes = [answer.json()["code"] for answer in (again, elsewhere)]
    assert codes == ["signature_replayed", "signature_invalid"]
