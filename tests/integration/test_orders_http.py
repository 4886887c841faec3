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
from tests.integration.fulfilment_shop import Client, code_of, outbox
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


async def step(client: Client, path: str, body: Any, etag: str, **more: str) -> httpx.Response:
    return await client.post(path, body, **{"If-Match": etag}, **more)


@pytest.mark.parametrize(
    "what", ["cancel", "dispatch", "shipment", "tracking", "capture", "refund"]
)
async def test_a_step_on_a_version_that_is_no_longer_current_is_refused_and_changes_nothing(
    house: House, database: Database, client: Client, what: str
) -> None:
    order_id = await house.place(("tent", 2), is_capture_manual=what == "capture")
    await house.rest()
    shipments = (await client.get("/v1/shipments", order_id=str(order_id))).json()["items"]
    shipment = f"/v1/shipments/{shipments[0]['id']}" if shipments else ""
    if what == "tracking":
        assert (await client.post(f"{shipment}/dispatch", {})).status_code == 200
        await house.rest()
    order, payment = f"/v1/orders/{order_id}", f"/v1/payments/{order_id}"
    shown, path, body = {
        "cancel": (order, f"{order}/cancel", None),
        "dispatch": (order, f"{order}/dispatch", {}),
        "shipment": (shipment, f"{shipment}/dispatch", {}),
        "tracking": (
            shipment, f"{shipment}/tracking-events",
            {"status": "seen", "occurred_at": "2026-11-21T12:00:00Z"},
        ),
        "capture": (payment, f"{payment}/captures", {}),
        "refund": (payment, f"{payment}/refunds", {"amount_minor": 1}),
    }[what]  # fmt: skip
    before, told = await client.get(shown), await outbox(database, house.tenant)
    current = before.headers["etag"]
    for stale in ('"99"', f'"{int(current.strip(chr(34))) - 1}"', "nonsense"):
        assert code_of(await step(client, path, body, stale)) == (412, "stale_version")
    assert (await client.get(shown)).content == before.content
    assert await outbox(database, house.tenant) == told
    taken = await step(client, path, body, current, key="once")
    assert taken.is_success, taken.text
    # A repetition is answered as before, although the version has moved on since.
    assert (await step(client, path, body, current, key="once")).content == taken.content
    assert len(await outbox(database, house.tenant)) >= len(told)


async def test_an_answer_that_was_given_before_says_so(client: Client) -> None:
    body = {"currency": "USD", "lines": [{"sku": "tent", "quantity": 1}]}
    first = await client.post("/v1/orders", body, key="once")
    again = await client.post("/v1/orders", body, key="once")
    assert again.content == first.content
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["location"] == first.headers["location"]
