"""What is a customer's own: her orders with all that hangs on them, and nothing of anyone else."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import httpx
import pytest
from litestar import Litestar

from serai.contexts.tenancy.contract import SCOPES
from serai.kernel import express, ids
from serai.kernel.actor import Actor
from serai.kernel.db import Database
from serai.kernel.tenant import POOLED
from serai.kernel.web import Authenticator, Principal
from serai.roles.api import build_app
from serai.roles.permissions import Permission, list_permissions
from serai.settings import Settings
from tests.integration.fulfilment_shop import Client, code_of
from tests.integration.house import House, at_once

OWN = frozenset({"orders:own"})
CARD = "4000009901000003"


class People:
    """Tokens `customer <id>` of one tenant, and everybody else's real API keys."""

    def __init__(self, tenant: UUID, keys: Authenticator) -> None:
        self._tenant = tenant
        self._keys = keys

    async def authenticate(self, token: str) -> Principal:
        kind, _, name = token.partition(" ")
        if kind != "customer":
            return await self._keys.authenticate(token)
        return Principal(self._tenant, POOLED, Actor("customer", UUID(name)), OWN)


class Shop(NamedTuple):
    house: House
    app: Litestar
    http: httpx.AsyncClient
    staff: Client
    anna: Client
    berta: Client
    anna_id: UUID
    berta_id: UUID


@pytest.fixture
async def shop(database: Database, tmp_path: Path) -> AsyncIterator[Shop]:
    house = await House(database, tmp_path).open()
    await house.offer("tent", "lamp")
    await house.receive(tent=100, lamp=100)
    key = await house.composition.tenancy.create_key(house.tenant, label="", scopes=SCOPES)
    app = build_app(Settings(), house.composition)
    app.state["authenticator"] = People(house.tenant, house.composition.tenancy.authenticator)
    short: Any = express.shorten(app, body_bytes_max=1 << 20)
    transport = httpx.ASGITransport(app=short, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as http:
        anna, berta = ids.new_id(), ids.new_id()
        yield Shop(
            house, app, http, Client(http, key.key), Client(http, f"customer {anna}"),
            Client(http, f"customer {berta}"), anna, berta,
        )  # fmt: skip
    assert await house.findings() == []
    await house.composition.close()


def order_of(sku: str = "tent", quantity: int = 2, **more: Any) -> dict[str, Any]:
    lines = [{"sku": sku, "quantity": quantity}]
    return {"currency": "USD", "lines": lines, "payment": {"card": CARD}} | more


async def place(shop: Shop, client: Client, **more: Any) -> str:
    """An order that was paid and waits to be sent."""
    answer = await client.post("/v1/orders", order_of(**more))
    assert answer.status_code == 201, answer.text
    await shop.house.rest()
    return str(answer.json()["id"])


async def send_out(shop: Shop, order_id: str) -> str:
    """Its one shipment, dispatched."""
    sent = await shop.staff.post(f"/v1/orders/{order_id}/dispatch", {})
    assert sent.status_code == 200, sent.text
    await shop.house.rest()
    return str(sent.json()["id"])


async def test_a_customer_s_order_bears_her_id_and_is_hers(shop: Shop) -> None:
    order_id = await place(shop, shop.anna)
    order = (await shop.anna.get(f"/v1/orders/{order_id}")).json()
    assert order["customer"] == str(shop.anna_id)
    assert order["lines"][0]["unit_price"] == "10.00"
    named = await place(shop, shop.anna, customer=str(shop.anna_id))
    for_her = await place(shop, shop.staff, customer=str(shop.anna_id))
    listed = (await shop.anna.get("/v1/orders")).json()["items"]
    assert [one["id"] for one in listed] == [for_her, named, order_id]
    assert (await shop.berta.get("/v1/orders")).json() == {"items": [], "next": None}


@pytest.mark.parametrize(
    "more",
    [
        {"customer": "someone"},
        {"customer": str(ids.new_id())},
        {"lines": [{"sku": "tent", "quantity": 1, "unit_price": "0.01"}]},
        {"payment": {"card": CARD, "capture": "manual"}},
    ],
)
async def test_a_customer_sets_no_other_name_no_price_and_no_way_of_payment(
    shop: Shop, more: dict[str, Any]
) -> None:
    refused = await shop.anna.post("/v1/orders", order_of() | more)
    assert code_of(refused) == (403, "missing_scope")
    assert (await shop.staff.get("/v1/orders")).json()["items"] == []


async def test_staff_and_keys_keep_what_they_have(shop: Shop) -> None:
    line = {"sku": "tent", "quantity": 1, "unit_price": "3.00"}
    order_id = await place(shop, shop.staff, lines=[line], customer="crm-17")
    hers = await place(shop, shop.anna)
    for one in (order_id, hers):
        assert (await shop.staff.get(f"/v1/orders/{one}")).status_code == 200
        assert len((await shop.staff.get("/v1/payments", order_id=one)).json()["items"]) == 1
    assert len((await shop.staff.get("/v1/orders")).json()["items"]) == 2
    assert (await shop.staff.get("/v1/orders", customer="crm-17")).json()["items"][0][
        "id"
    ] == order_id


def words_of(answer: httpx.Response) -> tuple[int, Any]:
    """What an answer says but for the id of its request."""
    said = answer.json()
    said.pop("request_id", None)
    return answer.status_code, said


def path_of(one: Permission, order: str, shipment: str, returned: str) -> str:
    return (
        one.path.replace("{order_id}", order).replace("{intent_id}", order)
        .replace("{shipment_id}", shipment).replace("{return_id}", returned)
    )  # fmt: skip


BODIES: dict[str, Any] = {"/v1/orders/{order_id}/payment": {"card": CARD}}


def own_routes(app: Litestar) -> list[Permission]:
    return [one for one in list_permissions(app) if one.own == "orders:own"]


async def test_what_is_another_s_is_answered_on_every_route_as_if_it_were_absent(
    shop: Shop,
) -> None:
    hers = await place(shop, shop.anna)
    shipment = await send_out(shop, hers)
    line = {"order_id": hers, "lines": [{"line_no": 1, "quantity": 1}]}
    returned = (await shop.anna.post("/v1/returns", line)).json()["id"]
    nothing = str(ids.new_id())
    before = await seen_by_staff(shop, hers, shipment, returned)
    tried = 0
    for one in own_routes(shop.app):
        for etag in ({}, {"If-Match": '"1"'}, {"If-Match": '"9"'}):
            answers = []
            for found in ((hers, shipment, returned), (nothing, nothing, nothing)):
                path = path_of(one, *found)
                if one.method == "GET":
                    asked: dict[str, str] = {} if "{" in one.path else {"order_id": found[0]}
                    if one.path == "/v1/orders":
                        asked = {"customer": str(shop.anna_id) if found[0] == hers else found[0]}
                    answers.append(await shop.berta.get(path, **asked))
                elif one.path == "/v1/returns":
                    answers.append(await shop.berta.post(path, line | {"order_id": found[0]}))
                elif one.path != "/v1/orders":
                    answers.append(await shop.berta.post(path, BODIES.get(one.path), **etag))
            if not answers:
                continue
            assert words_of(answers[0]) == words_of(answers[1]), one
            is_list = one.method == "GET" and "{" not in one.path
            assert answers[0].status_code == (200 if is_list else 404), one
            assert not is_list or answers[0].json() == {"items": [], "next": None}
            tried += 1
    assert tried == 3 * (len(own_routes(shop.app)) - 1) == 33
    await shop.house.rest()
    assert await seen_by_staff(shop, hers, shipment, returned) == before


async def seen_by_staff(shop: Shop, order: str, shipment: str, returned: str) -> list[Any]:
    paths = [f"/v1/orders/{order}", f"/v1/payments/{order}", f"/v1/shipments/{shipment}",
             f"/v1/returns/{returned}"]  # fmt: skip
    answers = [await shop.staff.get(path) for path in paths]
    assert [one.status_code for one in answers] == [200] * 4
    return [one.json() for one in answers]


async def test_what_is_hers_she_sees_on_every_route(shop: Shop) -> None:
    hers = await place(shop, shop.anna)
    shipment = await send_out(shop, hers)
    line = {"order_id": hers, "lines": [{"line_no": 1, "quantity": 1}]}
    returned = (await shop.anna.post("/v1/returns", line)).json()["id"]
    for one in own_routes(shop.app):
        if one.method == "GET":
            path = path_of(one, hers, shipment, returned)
            asked = {} if "{" in path or one.path == "/v1/orders" else {"order_id": hers}
            answer = await shop.anna.get(path, **({} if "{" in one.path else asked))
            assert answer.status_code == 200, one
            assert "{" in one.path or len(answer.json()["items"]) == 1, one
    for path in ("/v1/payments", "/v1/shipments", "/v1/returns"):
        assert code_of(await shop.anna.get(path)) == (400, "invalid")


async def test_every_other_route_is_shut_to_her(shop: Shop) -> None:
    somewhere = str(ids.new_id())
    shut = [one for one in list_permissions(shop.app) if one.scope and not one.own]
    for one in shut:
        path = one.path.replace("{kind}", "order_confirmed").replace("{seq}", "1")
        path = "/".join(somewhere if part.startswith("{") else part for part in path.split("/"))
        headers = {"Authorization": f"Bearer customer {shop.anna_id}"}
        answer = await shop.http.request(one.method, path, headers=headers)
        assert code_of(answer) == (403, "missing_scope"), one
    assert len(shut) > 40


async def test_she_cancels_and_pays_her_own(shop: Shop) -> None:
    answer = await shop.anna.post(
        "/v1/orders", {k: v for k, v in order_of().items() if k != "payment"}
    )
    await shop.house.rest()
    order_id = answer.json()["id"]
    paid = await shop.anna.post(f"/v1/orders/{order_id}/payment", {"card": CARD})
    assert paid.status_code == 202, paid.text
    await shop.house.rest()
    assert (await shop.anna.get(f"/v1/orders/{order_id}")).json()["status"] == "confirmed"
    assert (await shop.anna.post(f"/v1/orders/{order_id}/cancel")).status_code == 202
    await shop.house.rest()
    order = (await shop.anna.get(f"/v1/orders/{order_id}")).json()
    assert (order["status"], order["reason"]) == ("cancelled", "requested")


async def test_a_mixed_batch_of_cancellations_leaves_each_to_its_owner(shop: Shop) -> None:
    hers, other = await place(shop, shop.anna), await place(shop, shop.berta)
    shut = await shop.anna.post(f"/v1/orders/{other}/cancel", key="same")
    done = await shop.berta.post(f"/v1/orders/{other}/cancel", key="same")
    assert code_of(shut) == (404, "not_found")
    assert done.status_code == 202
    await shop.house.rest()
    assert (await shop.anna.get(f"/v1/orders/{hers}")).json()["status"] == "confirmed"


async def test_a_page_of_hers_holds_hers_only_whatever_the_cursor_and_the_filter(
    shop: Shop,
) -> None:
    mine: list[str] = []
    for number in range(3):
        mine.append(await place(shop, shop.anna, reference=f"r-{number}"))
        await place(shop, shop.berta, reference=f"r-{number}")
    foreign = (await shop.berta.get("/v1/orders", limit=1)).json()["next"]
    everybody = (await shop.staff.get("/v1/orders", limit=1)).json()["next"]
    for cursor in (foreign, everybody):
        page = (await shop.anna.get("/v1/orders", cursor=cursor)).json()["items"]
        assert {one["id"] for one in page} <= set(mine)
        assert {one["customer"] for one in page} == {str(shop.anna_id)}
    for asked in ({"reference": "r-1"}, {"customer": str(shop.anna_id)}, {"status": "confirmed"}):
        page = (await shop.anna.get("/v1/orders", **asked)).json()["items"]
        assert [one["id"] for one in page] == ([mine[1]] if "reference" in asked else mine[::-1])
    assert (await shop.anna.get("/v1/orders", unpaid="true")).json()["items"] == []
    first = (await shop.anna.get("/v1/orders", limit=2)).json()
    rest = (await shop.anna.get("/v1/orders", limit=2, cursor=first["next"])).json()
    assert [one["id"] for one in first["items"] + rest["items"]] == mine[::-1]
    assert rest["next"] is None


async def test_an_idempotency_key_of_hers_tells_another_nothing(shop: Shop) -> None:
    body = order_of()
    first = await shop.anna.post("/v1/orders", body, key="basket-1")
    other = await shop.berta.post("/v1/orders", body, key="basket-1")
    again = await shop.anna.post("/v1/orders", body, key="basket-1")
    assert other.status_code == 201
    assert "idempotency-replayed" not in other.headers
    assert other.json()["customer"] == str(shop.berta_id)
    assert other.json()["id"] != first.json()["id"]
    assert again.content == first.content
    assert again.headers["idempotency-replayed"] == "true"
    # Nor whether a key was used: neither a key of the staff nor another body tells.
    staff = await shop.staff.post("/v1/orders", body, key="basket-1")
    assert (staff.status_code, staff.json()["customer"]) == (201, None)
    changed = await shop.berta.post("/v1/orders", order_of("lamp"), key="basket-1")
    assert code_of(changed) == (422, "idempotency_key_reused"), "her own"
    fresh = Client(shop.http, f"customer {ids.new_id()}")
    assert (await fresh.post("/v1/orders", order_of("lamp"), key="basket-1")).status_code == 201


@pytest.mark.parametrize("key", ["{}\x1fbasket", "{}\\x1fbasket"])
async def test_no_key_that_is_sent_reaches_hers(shop: Shop, key: str) -> None:
    await shop.anna.post("/v1/orders", order_of(), key="basket")
    headers = {"Idempotency-Key": key.format(shop.anna_id.hex)}
    answer = await shop.staff.post("/v1/orders", order_of(), **headers)
    assert answer.status_code in {400, 201}
    assert "idempotency-replayed" not in answer.headers


async def test_a_return_that_she_asks_for_moves_nothing_until_it_is_accepted(shop: Shop) -> None:
    order_id = await place(shop, shop.anna)
    body = {"order_id": order_id, "lines": [{"line_no": 1, "quantity": 1}], "reason": "too big"}
    early = await shop.anna.post("/v1/returns", body)
    assert code_of(early) == (422, "return_not_possible"), "nothing has left yet"
    await send_out(shop, order_id)
    before = await shop.house.stock("tent")
    asked = await shop.anna.post("/v1/returns", body, key="back")
    assert (asked.status_code, asked.json()["status"]) == (201, "requested")
    assert (await shop.anna.post("/v1/returns", body, key="back")).content == asked.content
    assert code_of(await shop.anna.post("/v1/returns", body)) == (409, "return_asked")
    await shop.house.rest()
    order = (await shop.anna.get(f"/v1/orders/{order_id}")).json()
    assert (order["refunded_minor"], order["lines"][0]["returned"]) == (0, 0)
    assert await shop.house.stock("tent") == before
    path = f"/v1/returns/{asked.json()['id']}"
    for step in ("accept", "decline"):
        answer = await shop.anna.post(f"{path}/{step}", {})
        assert code_of(answer) == (403, "missing_scope")
    waiting = (await shop.staff.get("/v1/returns", status="requested")).json()["items"]
    assert [one["id"] for one in waiting] == [asked.json()["id"]]
    taken = await shop.staff.post(f"{path}/accept", {"restock": True})
    assert (taken.status_code, taken.json()["status"]) == (200, "accepted")
    await shop.house.rest()
    assert (await shop.anna.get(path)).json()["status"] == "refunded"
    order = (await shop.anna.get(f"/v1/orders/{order_id}")).json()
    assert (order["refunded_minor"], order["lines"][0]["returned"]) == (1000, 1)
    assert code_of(await shop.staff.post(f"{path}/accept", {})) == (409, "illegal_state")
    assert (await shop.staff.get("/v1/returns", status="requested")).json()["items"] == []


async def test_a_return_that_is_declined_may_be_asked_for_again(shop: Shop) -> None:
    order_id = await place(shop, shop.anna)
    await send_out(shop, order_id)
    body = {"order_id": order_id, "lines": [{"line_no": 1, "quantity": 2}]}
    first = (await shop.anna.post("/v1/returns", body)).json()
    declined = await shop.staff.post(f"/v1/returns/{first['id']}/decline")
    assert (declined.status_code, declined.json()["status"]) == (200, "declined")
    assert (await shop.anna.post("/v1/returns", body)).status_code == 201
    assert code_of(await shop.staff.post(f"/v1/returns/{ids.new_id()}/accept", {}))[0] == 404


async def test_two_at_once_decide_a_request_once(shop: Shop) -> None:
    order_id = await place(shop, shop.anna)
    await send_out(shop, order_id)
    body = {"order_id": order_id, "lines": [{"line_no": 1, "quantity": 1}]}
    asked = (await shop.anna.post("/v1/returns", body)).json()
    path = f"/v1/returns/{asked['id']}"
    answers = await at_once(*(shop.staff.post(f"{path}/accept", {}) for _ in range(5)))
    assert sorted(one.status_code for one in answers) == [200] + [409] * 4
    await shop.house.rest()
    order = (await shop.anna.get(f"/v1/orders/{order_id}")).json()
    assert (order["refunded_minor"], order["lines"][0]["returned"]) == (1000, 1)
