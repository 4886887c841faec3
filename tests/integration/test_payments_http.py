"""Payments over HTTP: what is answered, what is refused, and that a refusal changes nothing."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest

from serai.contexts.payments import module as payments
from serai.contexts.payments.contract import ExpectPayment, RequestPayment
from serai.contexts.payments.gateways import sandbox_cards as cards
from serai.contexts.payments.gateways.sandbox_callbacks import sign
from serai.contexts.payments.gateways.sandbox_wire import Callback
from serai.contexts.payments.model import key_of
from serai.kernel import ids
from serai.kernel.db import Database
from serai.kernel.events import Cause
from serai.kernel.module import Module, Outside
from serai.kernel.tenant import POOLED
from serai.settings import Settings
from tests.integration.fulfilment_shop import (
    NOW,
    Client,
    code_of,
    open_client,
    outbox,
    surroundings,
)
from tests.unit.fulfilment_fakes import OrderDesk
from tests.unit.payments_memory import delivery_of

WHY = Cause(ids.new_id())
CALLBACKS = "/v1/payment-callbacks/sandbox"


class Shop:
    """One tenant's payments, whose consumer is driven by hand."""

    def __init__(self, module: Module, database: Database, tenant: UUID, client: Client) -> None:
        self.module = module
        self.database = database
        self.tenant = tenant
        self.get, self.post = client.get, client.post

    async def request(self, *, is_manual: bool = False) -> UUID:
        """A payment of 500 that is asked for and answered."""
        order = ids.new_id()
        command = RequestPayment(
            self.tenant, order, 500, "EUR", cards.APPROVED, is_capture_manual=is_manual, cause=WHY
        )
        async with self.database.transaction(POOLED, (self.tenant,)) as tx:
            await self.module.offers.request_payments([command], tx=tx, now=tx.now)
        await self.consume()
        return order

    async def expect(self) -> UUID:
        order = ids.new_id()
        command = ExpectPayment(self.tenant, order, 500, "EUR", WHY)
        async with self.database.transaction(POOLED, (self.tenant,)) as tx:
            await self.module.offers.expect_payments([command], tx=tx, now=tx.now)
        return order

    async def consume(self) -> None:
        """Hands every event to the consumer again: what was handled settles nothing twice."""
        (consumer,) = self.module.consumers
        seen: set[str] = set()
        while True:
            fresh = [e for e in await outbox(self.database, self.tenant) if repr(e) not in seen]
            if not fresh:
                return
            for event in fresh:
                seen.add(repr(event))
                hear = consumer.hears.get(type(event))
                if isinstance(hear, Outside):
                    await self._carry(hear, event)

    async def _carry(self, hear: Outside, event: msgspec.Struct) -> None:
        async with self.database.transaction(POOLED, (self.tenant,)) as tx:
            tx.announce(self.tenant, event, WHY)
            delivery = delivery_of(tx.announced[0], tx.now)
            tx.announced.clear()  # type: ignore[attr-defined]
        said = await hear.ask([delivery], POOLED)
        async with self.database.transaction(POOLED, (self.tenant,)) as tx:
            await hear.record([delivery], said, tx=tx, now=tx.now)

    async def read(self, order: UUID) -> dict[str, Any]:
        response = await self.get(f"/v1/payments/{order}")
        assert response.status_code == 200, response.text
        body: dict[str, Any] = response.json()
        assert response.headers["ETag"] == f'"{body["version"]}"'
        return body


@pytest.fixture
async def module(database: Database, tenant: UUID, tmp_path: Path) -> AsyncIterator[Module]:
    settings = Settings(data_dir=str(tmp_path))
    built = payments.build(
        surroundings(database, tenants=[tenant], settings=settings), orders=OrderDesk()
    )
    database.clock = surroundings(database).clock
    yield built
    assert built.close is not None
    await built.close()


@pytest.fixture
async def http(module: Module) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(module) as client:
        yield client


@pytest.fixture
def shop(module: Module, database: Database, tenant: UUID, http: httpx.AsyncClient) -> Shop:
    return Shop(module, database, tenant, Client(http, tenant))


async def test_a_payment_is_shown_with_its_refunds(shop: Shop) -> None:
    order = await shop.request()
    body = {"amount_minor": 200, "reason": "came late"}
    made = await shop.post(f"/v1/payments/{order}/refunds", body)
    assert (made.status_code, made.headers["Location"]) == (201, f"/v1/payments/{order}")
    refund = {
        "id": made.json()["id"], "payment_id": str(order), "order_id": str(order),
        "status": "requested", "amount_minor": 200, "currency": "EUR", "reason": "came late",
        "failure": None, "created_at": "2026-03-01T12:00:00Z", "settled_at": None,
    }  # fmt: skip
    assert made.json() == refund
    await shop.consume()
    refund |= {"status": "settled", "settled_at": "2026-03-01T12:00:00Z"}
    assert await shop.read(order) == {
        "id": str(order), "order_id": str(order), "status": "captured", "amount_minor": 500,
        "currency": "EUR", "captured_minor": 500, "refunding_minor": 0, "refunded_minor": 200,
        "is_capture_manual": False, "provider_ref": "ch_000000001", "reason": None,
        "created_at": "2026-03-01T12:00:00Z", "settled_at": "2026-03-01T12:00:00Z", "version": 4,
        "refunds": [refund],
    }  # fmt: skip


async def test_held_money_is_captured_in_part(shop: Shop) -> None:
    order = await shop.request(is_manual=True)
    accepted = await shop.post(f"/v1/payments/{order}/captures", {"amount_minor": 120})
    assert accepted.status_code == 202
    assert accepted.headers["Location"] == f"/v1/payments/{order}"
    assert accepted.json()["status"] == "authorised"
    await shop.consume()
    after = await shop.read(order)
    assert (after["status"], after["captured_minor"]) == ("captured", 120)
    again = await shop.post(f"/v1/payments/{order}/captures", {})
    assert code_of(again) == (422, "payment_not_capturable")
    assert await shop.read(order) == after


async def test_all_that_is_held_is_captured_when_no_amount_is_given(shop: Shop) -> None:
    order = await shop.request(is_manual=True)
    assert (await shop.post(f"/v1/payments/{order}/captures", {})).status_code == 202
    await shop.consume()
    assert (await shop.read(order))["captured_minor"] == 500


async def test_an_order_without_a_card_is_paid_once(shop: Shop) -> None:
    order = await shop.expect()
    body = {"card": cards.APPROVED}
    accepted = await shop.post(f"/v1/orders/{order}/payment", body, key="k")
    assert (accepted.status_code, accepted.json()["status"]) == (202, "requested")
    assert "card" not in accepted.json()
    assert (await shop.post(f"/v1/orders/{order}/payment", body, key="k")).content == (
        accepted.content
    )
    second = await shop.post(f"/v1/orders/{order}/payment", body)
    assert code_of(second) == (409, "illegal_state")
    await shop.consume()
    assert (await shop.read(order))["status"] == "captured"


async def test_payments_are_listed_newest_first_by_order_and_by_status(shop: Shop) -> None:
    orders = [str(await shop.request(is_manual=n == 1)) for n in range(3)]
    page = (await shop.get("/v1/payments", limit=2)).json()
    assert [item["id"] for item in page["items"]] == [orders[2], orders[1]]
    rest = (await shop.get("/v1/payments", limit=2, cursor=page["next"])).json()
    assert ([item["id"] for item in rest["items"]], rest["next"]) == ([orders[0]], None)
    held = (await shop.get("/v1/payments", status="authorised")).json()
    assert ([item["id"] for item in held["items"]], held["next"]) == ([orders[1]], None)
    one = (await shop.get("/v1/payments", order_id=orders[0])).json()
    assert [item["id"] for item in one["items"]] == [orders[0]]
    none = await shop.get("/v1/payments", order_id=orders[0], status="declined")
    assert none.json() == {"items": [], "next": None}


@pytest.mark.parametrize(
    "query", [{"status": "paid"}, {"limit": 0}, {"limit": 201}, {"cursor": "x"}, {"order_id": "1"}]
)
async def test_a_list_that_cannot_be_is_refused(shop: Shop, query: dict[str, Any]) -> None:
    assert code_of(await shop.get("/v1/payments", **query)) == (400, "invalid")


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("refunds", {"amount_minor": 501}, (422, "refund_too_large")),
        ("refunds", {"amount_minor": 0}, (400, "invalid")),
        ("refunds", {"amount_minor": -5}, (400, "invalid")),
        ("refunds", {"amount_minor": 1.5}, (400, "invalid")),
        ("refunds", {"amount_minor": "5"}, (400, "invalid")),
        ("refunds", {"amount_minor": 10**15 + 1}, (400, "invalid")),
        ("refunds", {"amount_minor": 5, "reason": "a\0b"}, (400, "invalid")),
        ("refunds", {"amount_minor": 5, "reason": "x" * 201}, (400, "invalid")),
        ("refunds", {"amount_minor": 5, "extra": 1}, (400, "invalid")),
        ("refunds", b'{"amount_minor": 5, "amount_minor": 6}', (400, "invalid")),
        ("refunds", {}, (400, "invalid")),
        ("captures", {}, (422, "payment_not_capturable")),
        ("captures", {"amount_minor": 0}, (400, "invalid")),
    ],
    ids=str,
)
async def test_what_is_refused_changes_nothing(
    shop: Shop, path: str, body: Any, expected: tuple[int, str]
) -> None:
    order = await shop.request()
    before = (await shop.read(order), await outbox(shop.database, shop.tenant))
    refused = await shop.post(f"/v1/payments/{order}/{path}", body)
    assert code_of(refused)[0] == expected[0]
    if expected[1] != "invalid" or isinstance(body, dict):
        assert code_of(refused) == expected
    assert (await shop.read(order), await outbox(shop.database, shop.tenant)) == before


@pytest.mark.parametrize("card", ["", "4" * 33, "4000\0", "kärte", 4000, None])
async def test_a_card_that_cannot_be_is_refused(shop: Shop, card: object) -> None:
    order = await shop.expect()
    refused = await shop.post(f"/v1/orders/{order}/payment", {"card": card})
    assert code_of(refused) == (400, "invalid")
    assert (await shop.read(order))["status"] == "awaiting"


async def test_another_tenant_s_payment_is_as_if_absent(
    shop: Shop, http: httpx.AsyncClient
) -> None:
    order, waiting = await shop.request(), await shop.expect()
    stranger = Client(http, ids.new_id())
    assert code_of(await stranger.get(f"/v1/payments/{order}")) == (404, "not_found")
    for path, body in [
        (f"/v1/payments/{order}/refunds", {"amount_minor": 1}),
        (f"/v1/payments/{order}/captures", {}),
        (f"/v1/orders/{waiting}/payment", {"card": cards.APPROVED}),
    ]:
        mine = (await stranger.post(path, body)).json()
        absent = (
            await stranger.post(path.replace(path.split("/")[3], str(ids.new_id())), body)
        ).json()
        assert (mine["status"], mine["detail"]) == (404, absent["detail"])
    assert (await stranger.get("/v1/payments")).json() == {"items": [], "next": None}
    assert (await shop.read(order))["refunding_minor"] == 0


async def test_scopes_and_keys_are_asked_for(shop: Shop, http: httpx.AsyncClient) -> None:
    order = await shop.request()
    reader = Client(http, f"{shop.tenant} payments:read")
    writer = Client(http, f"{shop.tenant} payments:write")
    refund = (f"/v1/payments/{order}/refunds", {"amount_minor": 1})
    assert (await reader.get(f"/v1/payments/{order}")).status_code == 200
    assert code_of(await reader.post(*refund)) == (403, "missing_scope")
    assert code_of(await writer.get("/v1/payments")) == (403, "missing_scope")
    assert code_of(await writer.post_keyless(*refund)) == (400, "idempotency_key_missing")
    assert code_of(await http.get("/v1/payments")) == (401, "unauthenticated")


# ------------------------------------------------------------------------------------- callbacks


def news(key: str, status: Any = "captured", amount: int = 500) -> bytes:
    told = Callback(
        id="cb_1", key=key, reference="r", status=status, sequence=2, provider_ref="ch_9",
        reason=None, amount_minor=amount, decided_at=0.0,
    )  # fmt: skip
    return msgspec.json.encode(told)


async def call_back(
    http: httpx.AsyncClient, body: bytes, *, secret: str = "", age_s: float = 0.0
) -> httpx.Response:
    secret = secret or Settings().callback_secret
    header = sign(secret, body, at=NOW.timestamp() - age_s)
    return await http.post(CALLBACKS, content=body, headers={"Sandbox-Signature": header})


async def test_a_callback_settles_once_however_often_it_comes(
    shop: Shop, http: httpx.AsyncClient
) -> None:
    order = await shop.expect()
    await shop.post(f"/v1/orders/{order}/payment", {"card": cards.LATE_APPROVED})
    await shop.consume()
    assert (await shop.read(order))["status"] == "unknown"
    body = news(key_of(shop.tenant, order))
    for _ in range(3):
        taken = await call_back(http, body)
        assert (taken.status_code, taken.content) == (204, b"")
    after = await shop.read(order)
    assert (after["status"], after["captured_minor"]) == ("captured", 500)
    told = [type(event).__name__ for event in await outbox(shop.database, shop.tenant)]
    assert told == ["PaymentRequested", "PaymentUnknown", "PaymentCaptured"]


async def test_news_that_is_not_signed_is_refused(shop: Shop, http: httpx.AsyncClient) -> None:
    order = await shop.expect()
    await shop.post(f"/v1/orders/{order}/payment", {"card": cards.LATE_APPROVED})
    body = news(key_of(shop.tenant, order))
    unsigned = await http.post(CALLBACKS, content=body)
    tampered = await http.post(
        CALLBACKS,
        content=body.replace(b"500", b"501"),
        headers={"Sandbox-Signature": sign(Settings().callback_secret, body, at=NOW.timestamp())},
    )
    forged = await call_back(http, body, secret="guessed")
    recorded = await call_back(http, body, age_s=payments.CALLBACK_TOLERANCE_S + 1)
    for refused in (unsigned, tampered, forged, recorded):
        assert code_of(refused) == (401, "bad_signature")
    assert (await shop.read(order))["status"] == "requested"


async def test_news_of_what_we_do_not_know_is_refused_so_that_it_comes_again(
    shop: Shop, http: httpx.AsyncClient
) -> None:
    for key in (key_of(shop.tenant, ids.new_id()), "some-key", ""):
        assert code_of(await call_back(http, news(key))) == (404, "not_found")
    assert code_of(await call_back(http, b"{}")) == (400, "invalid")
    assert code_of(await call_back(http, b"\xff")) == (400, "invalid")
