"""Orders over HTTP: what is shown of them can be sent back, and what is stale is refused."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from serai.contexts.tenancy.contract import SCOPES
from serai.kernel.db import Database
from serai.roles.api import build_app
from serai.settings import Settings
from tests.integration.fulfilment_shop import Client
from tests.integration.house import House


@pytest.fixture
async def house(database: Database, tmp_path: Path) -> AsyncIterator[House]:
    opened = await House(database, tmp_path).open()
    await opened.offer("tent")
    await opened.receive(tent=100)
    yield opened
    await opened.composition.close()


@pytest.fixture
async def client(house: House) -> AsyncIterator[Client]:
    issued = await house.composition.tenancy.create_key(house.tenant, label="", scopes=SCOPES)
    app: Any = build_app(Settings(), house.composition)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as http:
        yield Client(http, issued.key)


@pytest.mark.parametrize(
    ("sent", "shown"),
    [("10", "10.00"), ("10.00", "10.00"), ("10.50", "10.50"), ("0", "0.00"),
     ("100000", "100000.00"), ("0.000001", "0.000001"), ("1.2345", "1.2345"),
     ("9999999999999.99", "9999999999999.99")],
)  # fmt: skip
async def test_a_price_is_shown_as_plain_text_and_taken_as_it_is_shown(
    client: Client, sent: str, shown: str
) -> None:
    for price in (sent, shown):
        line = {"sku": "tent", "quantity": 1, "unit_price": price}
        answer = await client.post("/v1/orders", {"currency": "USD", "lines": [line]})
        assert answer.status_code == 201, answer.text
        order = (await client.get(f"/v1/orders/{answer.json()['id']}")).json()
        assert order["lines"][0]["unit_price"] == shown


async def test_a_price_of_the_catalog_is_shown_in_the_digits_of_its_currency(
    client: Client,
) -> None:
    line = {"sku": "tent", "quantity": 2}
    placed = await client.post("/v1/orders", {"currency": "USD", "lines": [line]})
    order = (await client.get(f"/v1/orders/{placed.json()['id']}")).json()
    assert order["lines"][0]["unit_price"] == "10.00"
