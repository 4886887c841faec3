"""Reservations over HTTP and on tables: all or none, and apart from what orders hold."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest

from serai.contexts.inventory import module as inventory
from serai.contexts.inventory.contract import ReserveStock, StockRef, Want
from serai.kernel import ids
from serai.kernel.db import Database
from serai.kernel.events import Cause
from serai.kernel.module import Module
from serai.kernel.tenant import POOLED
from tests.integration.fulfilment_shop import Client, code_of, open_client, surroundings


@pytest.fixture
def module(database: Database) -> Module:
    return inventory.build(surroundings(database))


@pytest.fixture
async def http(module: Module) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(module) as client:
        yield client


@pytest.fixture
async def shop(http: httpx.AsyncClient, tenant: UUID) -> Client:
    """A shop with three tents."""
    opened = Client(http, tenant)
    answer = await opened.post("/v1/stock-receipts", {"moves": [{"sku": "tent", "quantity": 3}]})
    assert answer.status_code == 201, answer.text
    return opened


async def stock(shop: Client) -> dict[str, int]:
    (item,) = (await shop.get("/v1/stock-items", sku="tent")).json()["items"]
    return {name: item[name] for name in ("available", "reserved", "sold")}


async def order_tents(
    database: Database, module: Module, tenant: UUID, units: int, *, is_sold: bool
) -> UUID:
    """Units that an order holds, as the checkout flow has them reserved and sold."""
    order_id, cause = ids.new_id(), Cause(ids.new_id())
    async with database.transaction(POOLED, (tenant,)) as tx:
        wants = (Want("tent", units),)
        command = ReserveStock(tenant, order_id, wants, None, cause)
        await module.offers.reserve_stock([command], tx=tx, now=tx.now)
        if is_sold:
            ref = StockRef(tenant, order_id, cause)
            await module.offers.commit_stock([ref], tx=tx, now=tx.now)
    return order_id


async def test_units_are_held_shown_and_given_up(shop: Client, http: httpx.AsyncClient) -> None:
    made = await shop.post("/v1/reservations", {"wants": [{"sku": "tent", "quantity": 2}]})
    assert made.status_code == 201, made.text
    view = made.json()
    assert view["wants"] == [{"sku": "tent", "quantity": 2}]
    path = made.headers["location"]
    assert (await shop.get(path)).json() == view
    assert await stock(shop) == {"available": 1, "reserved": 2, "sold": 0}
    assert (await shop.delete(path)).status_code == 200
    assert await stock(shop) == {"available": 3, "reserved": 0, "sold": 0}
    assert code_of(await shop.delete(path)) == (404, "reservation_not_found")
    assert code_of(await shop.get(path)) == (404, "reservation_not_found")


async def test_a_sku_that_is_named_twice_is_wanted_with_both(shop: Client) -> None:
    twice = [{"sku": "tent", "quantity": 2}, {"sku": "tent", "quantity": 2}]
    assert code_of(await shop.post("/v1/reservations", {"wants": twice})) == (409, "out_of_stock")
    assert await stock(shop) == {"available": 3, "reserved": 0, "sold": 0}
    twice[1]["quantity"] = 1
    made = await shop.post("/v1/reservations", {"wants": twice})
    assert made.status_code == 201, made.text
    assert await stock(shop) == {"available": 0, "reserved": 3, "sold": 0}


@pytest.mark.parametrize(
    "want",
    [
        {"sku": "tent", "quantity": 0},
        {"sku": "tent", "quantity": -2},
        {"sku": "tent", "quantity": 10**19},
        {"sku": "te\x00nt", "quantity": 1},
        {"sku": "", "quantity": 1},
        {"sku": "tent", "quantity": 1, "colour": "red"},
    ],
)
async def test_a_reservation_of_no_sense_is_refused(shop: Client, want: dict[str, Any]) -> None:
    assert code_of(await shop.post("/v1/reservations", {"wants": [want]})) == (400, "invalid")
    assert await stock(shop) == {"available": 3, "reserved": 0, "sold": 0}


@pytest.mark.parametrize("is_sold", [False, True])
async def test_what_an_order_holds_is_no_reservation(
    shop: Client, database: Database, module: Module, tenant: UUID, *, is_sold: bool
) -> None:
    order_id = await order_tents(database, module, tenant, 2, is_sold=is_sold)
    before = await stock(shop)
    path = f"/v1/reservations/{order_id}"
    assert code_of(await shop.delete(path)) == (404, "reservation_not_found")
    assert code_of(await shop.get(path)) == (404, "reservation_not_found")
    assert await stock(shop) == before


async def items(shop: Client) -> dict[tuple[str, str], int]:
    found = (await shop.get("/v1/stock-items")).json()["items"]
    return {(item["sku"], item["location"]): item["available"] for item in found}


def transfer(units: int, *, to: str, come_from: str = "main") -> dict[str, Any]:
    return {"sku": "tent", "quantity": units, "from_location": come_from, "to_location": to}


async def test_units_come_only_to_places_that_there_are(shop: Client) -> None:
    before = await items(shop)
    refused = [
        ("/v1/stock-receipts", {"moves": [{"sku": "tent", "quantity": 1},
                                          {"sku": "tent", "quantity": 1, "location": "shop"}]},
         (422, "unknown_location")),
        ("/v1/stock-transfers", transfer(1, to="shop"), (422, "unknown_location")),
        ("/v1/stock-transfers", transfer(1, to="main"), (422, "same_location")),
        ("/v1/stock-transfers", transfer(1, to="main", come_from="shop"),
         (409, "not_enough_stock")),
        ("/v1/stock-write-offs", {"moves": [{"sku": "lamp", "quantity": 1}]},
         (409, "not_enough_stock")),
    ]  # fmt: skip
    for path, body, answer in refused:
        assert code_of(await shop.post(path, body)) == answer
    # Not even an empty stock item is left of a place or a SKU that was a slip of the pen.
    assert await items(shop) == before == {("tent", "main"): 3}
    made = await shop.post_keyless("/v1/locations", {"code": "shop", "name": "Shop"})
    assert made.is_success, made.text
    for path, body, _ in refused[:2]:
        assert (await shop.post(path, body)).status_code == 201
    assert await items(shop) == {("tent", "main"): 3, ("tent", "shop"): 2}


async def test_another_tenant_s_place_is_none_of_mine(
    shop: Client, http: httpx.AsyncClient, tenant: UUID
) -> None:
    stranger = Client(http, ids.new_id())
    await stranger.post_keyless("/v1/locations", {"code": "shop", "name": "Shop"})
    answer = await shop.post("/v1/stock-transfers", transfer(1, to="shop"))
    assert code_of(answer) == (422, "unknown_location")
