"""Returns over HTTP and on tables: accepted, listed, settled and failed."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest

from serai.contexts.orders.contract import ReturnNotPossible
from serai.contexts.returns import module as returns
from serai.contexts.returns import store
from serai.contexts.returns.contract import ReturnAccepted, ReturnedUnits, ReturnRef
from serai.kernel import ids
from serai.kernel.db import Database
from serai.kernel.embedded import EmbeddedPostgres
from serai.kernel.failure import NotFound
from serai.kernel.module import Module
from serai.kernel.tenant import POOLED
from tests.integration.fulfilment_shop import (
    Client,
    assert_plans,
    code_of,
    open_client,
    outbox,
    surroundings,
)
from tests.unit.fulfilment_fakes import OrderDesk


@pytest.fixture
def desk() -> OrderDesk:
    return OrderDesk()


@pytest.fixture
def module(database: Database, desk: OrderDesk) -> Module:
    return returns.build(surroundings(database), orders=desk, owners=desk)  # type: ignore[arg-type]


@pytest.fixture
async def http(module: Module) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(module) as client:
        yield client


@pytest.fixture
def shop(http: httpx.AsyncClient, tenant: UUID) -> Client:
    return Client(http, tenant)


def body_of(order_id: UUID, /, **changes: Any) -> dict[str, Any]:
    lines = [{"line_no": 1, "quantity": 2}, {"line_no": 3, "quantity": 1}]
    return {"order_id": str(order_id), "lines": lines} | changes


async def test_a_return_is_accepted_once_and_told_of(
    database: Database, tenant: UUID, shop: Client, desk: OrderDesk
) -> None:
    order_id = ids.new_id()
    body = body_of(order_id, reason="cracked", restock=False)
    answer = await shop.post("/v1/returns", body, key="once")
    assert answer.status_code == 201
    assert (await shop.post("/v1/returns", body, key="once")).content == answer.content
    shown = answer.json()
    assert answer.headers["Location"] == f"/v1/returns/{shown['id']}"
    created_at = shown["created_at"]
    assert shown == {
        "id": shown["id"], "order_id": str(order_id), "status": "accepted", "reason": "cracked",
        "currency": "GBP", "refund_minor": 3, "is_restocked": False, "created_at": created_at,
        "settled_at": None,
        "lines": [
            {"line_no": 1, "sku": "SKU-1", "quantity": 2, "refund_minor": 2},
            {"line_no": 3, "sku": "SKU-3", "quantity": 1, "refund_minor": 1},
        ],
    }  # fmt: skip
    assert (await shop.get(answer.headers["Location"])).json() == shown
    units = (ReturnedUnits(1, "SKU-1", 2, 2), ReturnedUnits(3, "SKU-3", 1, 1))
    assert await outbox(database, tenant) == [
        ReturnAccepted(order_id, UUID(shown["id"]), "GBP", 3, is_restocked=False, lines=units)
    ]
    assert len(desk.asked) == 1


REFUSED: list[tuple[dict[str, Any], tuple[int, str]]] = [
    ({"lines": []}, (400, "invalid")),
    ({"lines": [{"line_no": 1, "quantity": 0}]}, (400, "invalid")),
    ({"lines": [{"line_no": 1, "quantity": 0.5}]}, (400, "invalid")),
    ({"lines": [{"line_no": 1, "quantity": 10**9}]}, (400, "invalid")),
    ({"lines": [{"line_no": 1, "quantity": 1}] * 2}, (400, "invalid")),
    ({"lines": [{"line_no": n, "quantity": 1} for n in range(1, 10_002)]}, (400, "invalid")),
    ({"lines": [{"sku": "MUG", "quantity": 1}]}, (400, "invalid")),
    ({"reason": "x" * 201}, (400, "invalid")),
    ({"reason": "a\x00b"}, (400, "invalid")),
    ({"restock": "yes"}, (400, "invalid")),
    ({"order_id": "1"}, (400, "invalid")),
    ({"refund_minor": 5}, (400, "invalid")),
]


async def test_what_cannot_be_returned_is_refused_and_nothing_changes(
    database: Database, tenant: UUID, http: httpx.AsyncClient, desk: OrderDesk
) -> None:
    shop, order_id, strange = Client(http, tenant), ids.new_id(), ids.new_id()
    for changes, refusal in REFUSED:
        refused = await shop.post("/v1/returns", body_of(order_id, **changes))
        assert code_of(refused) == refusal, changes
    assert desk.asked == []
    desk.refusals = {order_id: ReturnNotPossible("too many"), strange: NotFound("no such order")}
    assert code_of(await shop.post("/v1/returns", body_of(order_id))) == (
        422,
        "return_not_possible",
    )
    assert code_of(await shop.post("/v1/returns", body_of(strange))) == (404, "not_found")
    keyless = await shop.post_keyless("/v1/returns", body_of(ids.new_id()))
    assert code_of(keyless) == (400, "idempotency_key_missing")
    reader = Client(http, f"{tenant} returns:read")
    assert code_of(await reader.post("/v1/returns", body_of(order_id))) == (403, "missing_scope")
    assert (await reader.get("/v1/returns")).json() == {"items": [], "next": None}
    assert await outbox(database, tenant) == []


async def test_returns_are_listed_newest_first_and_only_the_tenant_s_own(
    tenant: UUID, http: httpx.AsyncClient
) -> None:
    shop, orders = Client(http, tenant), [ids.new_id(), ids.new_id()]
    made = [(await shop.post("/v1/returns", body_of(orders[n % 2]))).json()["id"] for n in range(5)]
    first = (await shop.get("/v1/returns", limit=3)).json()
    second = (await shop.get("/v1/returns", limit=3, cursor=first["next"])).json()
    assert [item["id"] for item in first["items"] + second["items"]] == made[::-1]
    assert second["next"] is None
    of_order = (await shop.get("/v1/returns", order_id=orders[1])).json()
    assert [item["id"] for item in of_order["items"]] == [made[3], made[1]]
    stranger = Client(http, ids.new_id())
    assert (await stranger.get("/v1/returns", order_id=orders[1])).json()["items"] == []
    assert code_of(await stranger.get(f"/v1/returns/{made[0]}")) == (404, "not_found")
    assert code_of(await shop.get("/v1/returns", cursor="x" * 600)) == (400, "invalid")


async def test_refunds_move_returns_and_the_check_finds_false_sums(
    module: Module, database: Database, tenant: UUID, shop: Client
) -> None:
    made = [
        UUID((await shop.post("/v1/returns", body_of(ids.new_id()))).json()["id"]) for _ in range(3)
    ]
    refs = [ReturnRef(tenant, return_id) for return_id in [*made, ids.new_id()]]
    async with database.transaction(POOLED, (tenant,)) as tx:
        await module.offers.fail_returns(refs[1:], tx=tx, now=tx.now)
        await module.offers.settle_returns(refs[:2], tx=tx, now=tx.now)
        await module.offers.fail_returns(refs[:2], tx=tx, now=tx.now)
    shown = [(await shop.get(f"/v1/returns/{return_id}")).json() for return_id in made]
    assert [one["status"] for one in shown] == ["refunded", "refunded", "refund_failed"]
    assert [one["settled_at"] is None for one in shown] == [False, False, True]
    sums, settled = module.checks
    late = UUID((await shop.post("/v1/returns", body_of(ids.new_id()))).json()["id"])
    async with database.transaction(POOLED, (tenant,)) as tx:
        assert await sums.run(tx, tenant) == await settled.run(tx, tenant) == []
        await tx.connection.execute(
            "UPDATE returns.returns SET refund_minor = 4 WHERE id = $1", made[1]
        )
        (finding,) = await sums.run(tx, tenant)
        await tx.connection.execute(
            "UPDATE returns.returns SET created_at = created_at - interval '61 minutes'"
        )
        (waiting,) = await settled.run(tx, tenant)
    assert (finding.check, finding.detail) == (
        "returns.sums", f"id={made[1]}, refund_minor=4, lines_minor=3",
    )  # fmt: skip
    assert (waiting.check, waiting.detail.split(",")[0]) == ("returns.settled", f"id={late}")


async def test_every_statement_of_returns_goes_by_an_index(
    postgres: EmbeddedPostgres, database_name: str
) -> None:
    await assert_plans(
        postgres.app_url(database_name),
        store.SQL,
        {
            "insert_returns": [],
            "move_returns": ["((tenant_id = w.tenant_id) AND (id = w.id))"],
            "find_return": ["((tenant_id = $1) AND (id = $2))"],
            "list_returns": ["((tenant_id = $1) AND (id < $2))"],
            "list_returns_of_order": ["((tenant_id = $1) AND (order_id = $4) AND (id < $2))"],
            "check_returns": ["((tenant_id = $1) AND (id > $2))"],
        },
    )
