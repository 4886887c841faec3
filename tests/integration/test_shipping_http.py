"""Shipping over HTTP: what is answered, what is refused, and that a refusal changes nothing."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from serai.contexts.orders.contract import OrderConfirmed, OrderedLine
from serai.contexts.shipping import model
from serai.contexts.shipping import module as shipping
from serai.contexts.shipping.contract import (
    ShipmentCreated,
    ShipmentDelivered,
    ShipmentDispatched,
    ShipmentRef,
    ShippedLine,
)
from serai.kernel import ids
from serai.kernel.db import Database
from serai.kernel.module import Module
from serai.kernel.tenant import POOLED
from tests.integration.fulfilment_shop import (
    Client,
    code_of,
    hear,
    open_client,
    outbox,
    surroundings,
)
from tests.unit.fulfilment_fakes import OrderDesk, delivery_of

MUG, TEA = (
    {"line_no": n, "sku": sku, "quantity": q} for n, sku, q in [(1, "MUG", 5), (2, "TEA", 2)]
)


@pytest.fixture
def desk() -> OrderDesk:
    return OrderDesk()


@pytest.fixture
def module(database: Database, desk: OrderDesk) -> Module:
    return shipping.build(surroundings(database), orders=desk, owners=desk)


@pytest.fixture
async def http(module: Module) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(module) as client:
        yield client


@pytest.fixture
def shop(http: httpx.AsyncClient, tenant: UUID) -> Client:
    return Client(http, tenant)


async def confirm(
    module: Module, database: Database, tenant: UUID, order_id: UUID | None = None
) -> tuple[UUID, UUID]:
    """The ids of a confirmed order and of its shipment."""
    order_id = order_id or ids.new_id()
    lines = (OrderedLine(1, "MUG", 5), OrderedLine(2, "TEA", 2))
    delivery = delivery_of(tenant, OrderConfirmed(order_id, "GBP", 900, None, lines))
    made = model.first_id(delivery.event_id)
    announced = await hear(module, database, delivery)
    assert announced == [ShipmentCreated(order_id, made)]
    return order_id, made


async def state_of(shop: Client, shipment_id: UUID) -> Any:
    response = await shop.get(f"/v1/shipments/{shipment_id}")
    assert response.status_code == 200
    return response.json()


async def test_a_confirmed_order_s_shipment_is_dispatched_in_parts_and_arrives(
    module: Module, database: Database, tenant: UUID, shop: Client
) -> None:
    order_id, first = await confirm(module, database, tenant)
    shown = await shop.get(f"/v1/shipments/{first}")
    assert shown.headers["ETag"] == '"1"'
    created_at = shown.json().pop("created_at")
    assert shown.json() == {
        "id": str(first), "order_id": str(order_id), "status": "pending", "carrier": None,
        "tracking_number": None, "lines": [MUG, TEA], "created_at": created_at,
        "dispatched_at": None, "delivered_at": None, "version": 1, "tracking": [],
    }  # fmt: skip
    part = {"lines": [{"line_no": 1, "quantity": 3}], "carrier": "Post", "tracking_number": "T1"}
    sent = await shop.post(f"/v1/shipments/{first}/dispatch", part)
    assert (sent.status_code, sent.headers["ETag"]) == (200, '"2"')
    assert {k: sent.json()[k] for k in ("id", "status", "carrier", "tracking_number", "lines")} == {
        "id": str(first), "status": "dispatched", "carrier": "Post", "tracking_number": "T1",
        "lines": [{**MUG, "quantity": 3}],
    }  # fmt: skip
    rest = await shop.post(f"/v1/orders/{order_id}/dispatch", {})
    assert rest.json()["lines"] == [{**MUG, "quantity": 2}, TEA]
    assert (rest.json()["carrier"], rest.json()["tracking_number"]) == ("manual", None)
    happened = (await state_of(shop, first))["dispatched_at"]
    news = {"status": "delivered", "detail": "At the door", "occurred_at": happened}
    noted = await shop.post(f"/v1/shipments/{first}/tracking-events", news)
    assert (noted.status_code, noted.headers["Location"]) == (201, f"/v1/shipments/{first}")
    assert noted.json() == news
    arrived = await state_of(shop, first)
    assert (arrived["status"], arrived["delivered_at"]) == ("delivered", happened)
    assert (arrived["tracking"], arrived["version"]) == ([news], 3)
    second = UUID(rest.json()["id"])
    assert await outbox(database, tenant) == [
        ShipmentCreated(order_id, first),
        ShipmentDispatched(order_id, first, "Post", "T1", (ShippedLine(1, "MUG", 3),)),
        ShipmentDispatched(
            order_id, second, "manual", None, (ShippedLine(1, "MUG", 2), ShippedLine(2, "TEA", 2))
        ),
        ShipmentDelivered(order_id, first),
    ]


async def test_the_same_request_is_carried_out_once(
    module: Module, database: Database, tenant: UUID, shop: Client
) -> None:
    order_id, first = await confirm(module, database, tenant)
    part = {"lines": [{"line_no": 1, "quantity": 1}]}
    path = f"/v1/orders/{order_id}/dispatch"
    answers = [await shop.post(path, part, key="once") for _ in range(2)]
    assert [a.status_code for a in answers] == [200, 200]
    assert answers[0].content == answers[1].content
    other = {"lines": [{"line_no": 1, "quantity": 2}]}
    assert code_of(await shop.post(path, other, key="once")) == (422, "idempotency_key_reused")
    assert code_of(await shop.post_keyless(path, part)) == (400, "idempotency_key_missing")
    assert (await state_of(shop, first))["lines"] == [{**MUG, "quantity": 1}]
    assert len((await shop.get("/v1/shipments", order_id=order_id)).json()["items"]) == 2


NOT_TO_DISPATCH: list[tuple[Any, tuple[int, str]]] = [
    ({"lines": [{"line_no": 1, "quantity": 6}]}, (422, "nothing_to_ship")),
    ({"lines": [{"line_no": 7, "quantity": 1}]}, (422, "nothing_to_ship")),
    ({"lines": [{"line_no": 1, "quantity": 1}] * 2}, (400, "invalid")),
    ({"lines": [{"line_no": 1, "quantity": 0}]}, (400, "invalid")),
    ({"lines": [{"line_no": 1, "quantity": -1}]}, (400, "invalid")),
    ({"lines": [{"line_no": 1, "quantity": 1.5}]}, (400, "invalid")),
    ({"lines": [{"line_no": 1, "quantity": 10**30}]}, (400, "invalid")),
    ({"lines": [{"line_no": 0, "quantity": 1}]}, (400, "invalid")),
    ({"lines": [{"line_no": n, "quantity": 1} for n in range(1, 10_002)]}, (400, "invalid")),
    ({"lines": []}, (400, "invalid")),
    ({"lines": [{"line_no": 1, "quantity": 1, "sku": "MUG"}]}, (400, "invalid")),
    ({"line": []}, (400, "invalid")),
    ({"carrier": ""}, (400, "invalid")),
    ({"carrier": "x" * 65}, (400, "invalid")),
    ({"tracking_number": "T\x001"}, (400, "invalid")),
    ({"tracking_number": "T\r\nX: 1"}, (400, "invalid")),
    (b'{"carrier": "\xff"}', (400, "invalid")),
    (b'{"carrier": "a", "carrier": "b"}', (400, "duplicate_key")),
    (b'{"lines": [{"line_no": 1, "quantity": NaN}]}', (400, "invalid")),
    (b"", (400, "invalid")),
]


async def test_what_cannot_be_dispatched_is_refused_and_nothing_changes(
    module: Module, database: Database, tenant: UUID, shop: Client
) -> None:
    order_id, first = await confirm(module, database, tenant)
    before = await state_of(shop, first)
    for body, refusal in NOT_TO_DISPATCH:
        for path in (f"/v1/shipments/{first}/dispatch", f"/v1/orders/{order_id}/dispatch"):
            assert code_of(await shop.post(path, body)) == refusal, body
    assert await state_of(shop, first) == before
    assert len(await outbox(database, tenant)) == 1


NO_NEWS: list[dict[str, Any]] = [
    {"status": "In Transit"},
    {"status": ""},
    {"detail": "x" * 501},
    {"detail": "a\x00"},
    {"occurred_at": "2026-03-01T12:00:00"},
    {"occurred_at": "yesterday"},
    {"occurred_at": "1999-01-01T00:00:00Z"},
    {"occurred_at": "9999-12-31T23:59:59-14:00"},
    {"occurred_at": "0001-01-01T00:00:00+14:00"},
    {"place": "Kew"},
]


async def test_news_that_cannot_be_is_refused_and_nothing_changes(
    module: Module, database: Database, tenant: UUID, shop: Client
) -> None:
    _, first = await confirm(module, database, tenant)
    await shop.post(f"/v1/shipments/{first}/dispatch", {})
    before = await state_of(shop, first)
    for changes in NO_NEWS:
        news = {"status": "in_transit", "occurred_at": before["dispatched_at"], **changes}
        refused = await shop.post(f"/v1/shipments/{first}/tracking-events", news)
        assert code_of(refused) == (400, "invalid"), changes
    assert await state_of(shop, first) == before


async def test_illegal_steps_are_refused_and_nothing_changes(
    module: Module, database: Database, tenant: UUID, shop: Client
) -> None:
    order_id, first = await confirm(module, database, tenant)
    news = {"status": "in_transit", "occurred_at": "2026-01-01T00:00:00Z"}
    tracking = f"/v1/shipments/{first}/tracking-events"
    assert code_of(await shop.post(tracking, news)) == (409, "illegal_state")
    await shop.post(f"/v1/shipments/{first}/dispatch", {})
    before, announced = await state_of(shop, first), await outbox(database, tenant)
    for path in (f"/v1/shipments/{first}/dispatch", f"/v1/orders/{order_id}/dispatch"):
        assert code_of(await shop.post(path, {})) == (409, "illegal_state")
    assert (await state_of(shop, first), await outbox(database, tenant)) == (before, announced)


async def test_a_cancelled_order_is_not_shipped(
    module: Module, database: Database, tenant: UUID, shop: Client
) -> None:
    order_id, first = await confirm(module, database, tenant)
    cause = delivery_of(tenant, ShipmentCreated(order_id, first)).cause
    async with database.transaction(POOLED, (tenant,)) as tx:
        ref = ShipmentRef(tenant, order_id, cause)
        undone = await module.offers.cancel_shipments([ref], tx=tx, now=tx.now)
    assert undone == {order_id}
    for path in (f"/v1/shipments/{first}/dispatch", f"/v1/orders/{order_id}/dispatch"):
        assert code_of(await shop.post(path, {})) == (409, "illegal_state")
    assert (await state_of(shop, first))["status"] == "cancelled"


async def test_an_order_without_a_shipment_is_told_by_its_status(
    shop: Client, desk: OrderDesk
) -> None:
    answers = {}
    for status in ("placed", "cancelled", "confirmed", None):
        order_id = ids.new_id()
        if status is not None:
            desk.statuses[order_id] = status
        answers[status] = code_of(await shop.post(f"/v1/orders/{order_id}/dispatch", {}))
    assert answers == {
        "placed": (409, "illegal_state"), "cancelled": (409, "illegal_state"),
        "confirmed": (409, "shipment_not_ready"), None: (404, "not_found"),
    }  # fmt: skip


async def test_another_tenant_s_shipments_are_absent(
    module: Module, database: Database, tenant: UUID, http: httpx.AsyncClient
) -> None:
    order_id, first = await confirm(module, database, tenant)
    stranger, nobody = Client(http, ids.new_id()), ids.new_id()
    news = {"status": "delivered", "occurred_at": "2026-03-01T12:00:00Z"}
    for real, absent in (
        (
            await stranger.get(f"/v1/shipments/{first}"),
            await stranger.get(f"/v1/shipments/{nobody}"),
        ),
        (
            await stranger.post(f"/v1/shipments/{first}/dispatch", {}),
            await stranger.post(f"/v1/shipments/{nobody}/dispatch", {}),
        ),
        (
            await stranger.post(f"/v1/orders/{order_id}/dispatch", {}),
            await stranger.post(f"/v1/orders/{nobody}/dispatch", {}),
        ),
        (
            await stranger.post(f"/v1/shipments/{first}/tracking-events", news),
            await stranger.post(f"/v1/shipments/{nobody}/tracking-events", news),
        ),
    ):
        assert code_of(real) == code_of(absent) == (404, "not_found")
        assert real.json()["detail"] == absent.json()["detail"]
    assert (await stranger.get("/v1/shipments")).json() == {"items": [], "next": None}
    assert (await state_of(Client(http, tenant), first))["status"] == "pending"


async def test_keys_must_fit(
    module: Module, database: Database, tenant: UUID, http: httpx.AsyncClient
) -> None:
    order_id, first = await confirm(module, database, tenant)
    reader, writer = (Client(http, f"{tenant} shipping:{may}") for may in ("read", "write"))
    assert (await reader.get("/v1/shipments")).status_code == 200
    assert code_of(await reader.post(f"/v1/shipments/{first}/dispatch", {})) == (
        403,
        "missing_scope",
    )
    assert code_of(await reader.post(f"/v1/orders/{order_id}/dispatch", {})) == (
        403,
        "missing_scope",
    )
    assert code_of(await writer.get("/v1/shipments")) == (403, "missing_scope")
    assert code_of(await Client(http, "nonsense").get("/v1/shipments")) == (401, "unauthenticated")


async def test_shipments_are_listed_newest_first_a_page_at_a_time(
    module: Module, database: Database, tenant: UUID, shop: Client
) -> None:
    made = [await confirm(module, database, tenant) for _ in range(5)]
    await shop.post(f"/v1/shipments/{made[3][1]}/dispatch", {})
    seen: list[str] = []
    cursor: str | None = None
    while True:
        query = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = (await shop.get("/v1/shipments", **query)).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == [str(shipment) for _, shipment in reversed(made)]
    one = (await shop.get("/v1/shipments", status="dispatched")).json()
    assert [item["id"] for item in one["items"]] == [str(made[3][1])]
    assert "tracking" in one["items"][0]
    of_order = (await shop.get("/v1/shipments", order_id=made[0][0], status="pending")).json()
    assert [item["id"] for item in of_order["items"]] == [str(made[0][1])]
    for bad in (
        {"limit": 0},
        {"limit": 201},
        {"cursor": "?"},
        {"status": "lost"},
        {"order_id": "x"},
    ):
        assert code_of(await shop.get("/v1/shipments", **bad)) == (400, "invalid")


async def test_the_checks_find_what_must_not_be(
    module: Module, database: Database, tenant: UUID, shop: Client
) -> None:
    made = [await confirm(module, database, tenant) for _ in range(3)]
    for _, shipment in made:
        part = {"lines": [{"line_no": 1, "quantity": 1}]}
        await shop.post(f"/v1/shipments/{shipment}/dispatch", part)

    async def findings() -> dict[str, int]:
        async with database.transaction(POOLED, (tenant,), is_read_only=True) as tx:
            found = {c.name: await c.run(tx, tenant) for c in module.checks}
            assert all(f.check == name for name, found_ones in found.items() for f in found_ones)
            return {name: len(found_ones) for name, found_ones in found.items()}

    sound = {"shipping.cancelled": 0, "shipping.waiting": 0, "shipping.delivered": 0}
    assert await findings() == sound
    async with database.transaction(POOLED, (tenant,)) as tx:
        await tx.connection.execute(
            "UPDATE shipping.shipments SET status = 'cancelled' WHERE number = 2 AND order_id = $1",
            made[0][0],
        )
        await tx.connection.execute(
            "UPDATE shipping.shipments SET status = 'pending', dispatched_at = NULL "
            "WHERE number = 1 AND order_id = $1",
            made[1][0],
        )
        await tx.connection.execute(
            "UPDATE shipping.shipments SET status = 'delivered', delivered_at = $2 "
            "WHERE number = 1 AND order_id = $1",
            made[2][0], tx.now + timedelta(hours=1),
        )  # fmt: skip
    assert await findings() == dict.fromkeys(sound, 1)
