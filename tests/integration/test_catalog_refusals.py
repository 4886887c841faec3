"""What the catalog refuses over HTTP, and what stays true when many ask at once."""

import asyncio
import itertools
from typing import Any
from uuid import UUID

import httpx
import msgspec

from serai.kernel import ids
from serai.kernel.db import Database
from serai.kernel.tenant import POOLED
from tests.integration.catalog_house import FULL, CatalogHouse, create, keyed, post, product

BAD_BODIES = [
    b"",
    b"{",
    b"[]",
    b'{"title":1}',
    b'{"title":"a","colour":"red"}',
    b'{"title":"a","title":"b"}',
    b'{"title":"\xff"}',
    b'{"title":"\\ud800"}',
    b'{"title":"a\\u0000b"}',
    b'{"title":"a","status":"sold"}',
    b'{"title":"a","variants":[{"sku":"A","prices":[{"currency":"USD","amount_minor":1.5}]}]}',
    b'{"title":"a","variants":[{"sku":"A","prices":[{"currency":"USD","amount_minor":NaN}]}]}',
    b'{"title":"a","variants":[{"sku":"A","prices":[{"currency":"USD","amount_minor":1e30}]}]}',
    b'{"title":"a","variants":[{"sku":"A","prices":[{"currency":"USD","amount_minor":-1}]}]}',
    b'{"title":"a","variants":[{"sku":"A","prices":[{"currency":"USD","amount_minor":1,"x":1}]}]}',
    b'{"title":"a","variants":[{"sku":"A","stock":1}]}',
]


async def test_a_body_that_does_not_fit_leaves_no_trace(database: Database, tenant: UUID) -> None:
    house = CatalogHouse(database)
    async with house.client(tenant) as client:
        for body, path in itertools.product(BAD_BODIES, ("/v1/products", "/v1/products:batch")):
            content = body if path == "/v1/products" else b'{"products":[' + body + b"]}"
            answer = await client.post(path, content=content, headers=keyed())
            if answer.status_code == 200:
                assert answer.json()["refused"] == 1, body
            else:
                assert answer.status_code == 400, body
                assert answer.json()["code"] in {"invalid", "duplicate_key"}, body
    assert await count_rows(database, tenant) == 0


async def test_only_the_right_key_may_write(database: Database, tenant: UUID) -> None:
    house = CatalogHouse(database)
    async with house.client(tenant) as client, house.client(tenant, "r") as shopper:
        made = await create(client, FULL)
        variant = made["variants"][0]["id"]
        writes = [
            ("POST", "/v1/products"), ("POST", "/v1/products:batch"),
            ("PATCH", f"/v1/products/{made['id']}"), ("POST", f"/v1/products/{made['id']}/publish"),
            ("POST", f"/v1/products/{made['id']}/variants"), ("PATCH", f"/v1/variants/{variant}"),
            ("PUT", f"/v1/variants/{variant}/prices"), ("POST", "/v1/categories"),
            ("POST", "/v1/imports?currency=USD"),
        ]  # fmt: skip
        for method, path in writes:
            answer = await shopper.request(method, path, content=b"{}", headers=keyed())
            assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope"), path
            answer = await shopper.request(
                method, path, content=b"{}", headers=keyed(authorization="Bearer x")
            )
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated"), path
        assert (await shopper.get(f"/v1/products/{made['id']}")).json() == made


async def test_what_is_another_tenant_s_is_not_there(database: Database, tenant: UUID) -> None:
    house = CatalogHouse(database)
    async with house.client(tenant) as client, house.client(ids.new_id()) as stranger:
        made = await create(client, FULL)
        variant = made["variants"][0]["id"]
        seen = {"if-match": '"1"'}
        requests: list[tuple[str, str, Any]] = [
            ("GET", f"/v1/products/{made['id']}", None),
            ("GET", f"/v1/variants/{variant}", None),
            ("PATCH", f"/v1/products/{made['id']}", {"title": "Mine"}),
            ("POST", f"/v1/products/{made['id']}/archive", None),
            ("POST", f"/v1/products/{made['id']}/variants", {"sku": "X", "options": {"Size": "X"}}),
            ("PATCH", f"/v1/variants/{variant}", {"barcode": "1"}),
            ("PUT", f"/v1/variants/{variant}/prices", {"prices": []}),
        ]
        for method, path, body in requests:
            content = b"" if body is None else msgspec.json.encode(body)
            theirs = await stranger.request(method, path, content=content, headers=keyed(**seen))
            nowhere = path.replace(made["id"], str(ids.new_id())).replace(
                variant, str(ids.new_id())
            )
            absent = await stranger.request(method, nowhere, content=content, headers=keyed(**seen))
            assert (theirs.status_code, theirs.json()["code"]) == (404, "not_found"), path
            assert told(theirs) == told(absent)
        for path in (
            "/v1/products?status=all",
            "/v1/variants",
            "/v1/categories",
            "/v1/products?q=tent",
        ):
            assert (await stranger.get(path)).json()["items"] == []
        await create(stranger, FULL)
        assert (await client.get(f"/v1/products/{made['id']}")).json() == made
    assert await house.check(tenant) == []


def told(answer: httpx.Response) -> dict[str, Any]:
    """What a problem tells, but for the request that it was told to."""
    return {key: value for key, value in answer.json().items() if key != "request_id"}


async def test_a_batch_is_bounded_in_variants_and_in_bytes(
    database: Database, tenant: UUID
) -> None:
    house = CatalogHouse(database)
    async with house.client(tenant) as client:
        many = [{"sku": f"S{n}"} for n in range(500)]
        refused = await post(client, "/v1/products:batch", {
            "products": [{"title": f"T{n}", "variants": many} for n in range(9)],
        })  # fmt: skip
        assert (refused.status_code, refused.json()["code"]) == (400, "invalid")
        large = await client.post(
            "/v1/products:batch", content=b" " * (2 * 1024 * 1024 + 1), headers=keyed()
        )
        assert (large.status_code, large.json()["code"]) == (413, "body_too_large")
    assert await count_rows(database, tenant) == 0


async def test_a_repeated_request_has_one_effect_and_one_answer(
    database: Database, tenant: UUID
) -> None:
    house = CatalogHouse(database)
    async with house.client(tenant) as client:
        body, headers = msgspec.json.encode(FULL), keyed()
        answers = await asyncio.gather(
            *(client.post("/v1/products", content=body, headers=headers) for _ in range(8))
        )
        assert {(a.status_code, a.content) for a in answers} == {(201, answers[0].content)}
        other = await client.post("/v1/products", content=b'{"title":"x"}', headers=headers)
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
        bare = await client.post("/v1/products", content=body)
        assert (bare.status_code, bare.json()["code"]) == (400, "idempotency_key_missing")
        batch, headers = b'{"products":[{"title":"Lamp"}]}', keyed()
        first = await client.post("/v1/products:batch", content=batch, headers=headers)
        other = await client.post("/v1/products:batch?mode=upsert", content=batch, headers=headers)
        assert (first.status_code, other.status_code) == (200, 422)
        assert len((await client.get("/v1/products?status=all")).json()["items"]) == 2


async def test_one_sku_goes_to_one_of_many(database: Database, tenant: UUID) -> None:
    """Forty products want one SKU at the same instant, in batches and alone."""
    house = CatalogHouse(database)
    async with house.client(tenant) as client:
        alone = [post(client, "/v1/products", product(f"T{n}", sku="ONE")) for n in range(20)]
        batched = [
            post(client, "/v1/products:batch?mode=upsert", {
                "products": [product(f"B{n}", sku="ONE"), product(f"F{n}")],
            })
            for n in range(20)
        ]  # fmt: skip
        answers = await asyncio.gather(*alone, *batched)
        made = [a for a in answers[:20] if a.status_code == 201]
        refused = [a.json()["code"] for a in answers[:20] if a.status_code != 201]
        items = [item for a in answers[20:] for item in a.json()["items"]]
        taken = [i for i in items if i["handle"].startswith("b") and i["status"] == "created"]
        assert len(made) + len(taken) == 1
        assert set(refused) == {"sku_taken"}
        assert [i["status"] for i in items if i["handle"].startswith("f")] == ["created"] * 20
        assert len((await client.get("/v1/variants?sku=ONE")).json()["items"]) == 1
    assert await house.check(tenant) == []


async def test_one_product_changed_by_many_keeps_every_change(
    database: Database, tenant: UUID
) -> None:
    house = CatalogHouse(database)
    async with house.client(tenant) as client:
        made = await create(client, {"title": "Tent", "option_names": ["Size"]})
        path = f"/v1/products/{made['id']}/variants"
        adding = [
            post(client, path, {"sku": f"S{n}", "options": {"Size": str(n)}}) for n in range(20)
        ]
        merging = [
            post(client, "/v1/products:batch?mode=upsert", {"products": [{
                "title": "Tent", "variants": [{"sku": f"U{n}", "options": {"Size": f"u{n}"}}],
            }]})
            for n in range(20)
        ]  # fmt: skip
        answers = await asyncio.gather(*adding, *merging)
        assert {a.status_code for a in answers} == {200, 201}
        read = (await client.get(f"/v1/products/{made['id']}")).json()
        assert {v["sku"] for v in read["variants"]} == {f"{k}{n}" for k in "SU" for n in range(20)}
        assert read["version"] == 41
    assert await house.check(tenant) == []


async def count_rows(database: Database, tenant: UUID) -> int:
    """How many rows the tenant has in the catalog's tables."""
    tables = ("products", "variants", "prices", "categories", "shelves", "facets", "words")
    async with database.transaction(POOLED, (tenant,), is_read_only=True) as tx:
        counts = [
            await tx.connection.fetchval(f"SELECT count(*) FROM catalog.{name}") for name in tables
        ]
    return sum(counts)
