"""Products over HTTP on a real PostgreSQL: written, read, changed, refused."""

import asyncio
import itertools
from typing import Any
from uuid import UUID

import httpx
import msgspec

from serai.kernel import ids
from serai.kernel.db import Database
from serai.kernel.tenant import POOLED
from tests.integration.catalog_house import CatalogHouse, create, keyed, post, product

FULL: dict[str, Any] = {
    "title": "Dune tent",
    "handle": "dune-tent",
    "description": "Two poles, no fuss.",
    "status": "published",
    "categories": ["Camp > Tents"],
    "facets": {"colour": ["sand", "indigo"], "material": ["canvas"]},
    "media": ["https://x.example/tent.png"],
    "option_names": ["Size"],
    "variants": [
        {
            "sku": "TENT S/1",
            "options": {"Size": "Small"},
            "prices": [
                {"currency": "USD", "amount_minor": 12900},
                {"currency": "JPY", "amount_minor": 19000},
            ],
            "barcode": "4006381333931",
            "media": ["https://x.example/small.png"],
        },
        {"sku": "TENT-L", "options": {"Size": "Large"}},
    ],
}  # fmt: skip


async def test_a_product_is_created_and_read_back(database: Database, tenant: UUID) -> None:
    house = CatalogHouse(database)
    async with house.client(tenant) as client:
        answer = await post(client, "/v1/products", FULL)
        made = answer.json()
        assert (answer.status_code, answer.headers["etag"]) == (201, '"1"')
        assert answer.headers["location"] == f"/v1/products/{made['id']}"
        small, large = made.pop("variants")
        assert made == {
            "id": made["id"], "handle": "dune-tent", "title": "Dune tent",
            "description": "Two poles, no fuss.", "status": "published",
            "categories": ["Camp > Tents"],
            "facets": {"colour": ["sand", "indigo"], "material": ["canvas"]},
            "media": ["https://x.example/tent.png"], "option_names": ["Size"], "version": 1,
            "created_at": "2026-11-21T12:00:00Z", "updated_at": "2026-11-21T12:00:00Z",
            "published_at": "2026-11-21T12:00:00Z",
        }  # fmt: skip
        assert small == {
            "id": small["id"], "product_id": made["id"], "sku": "TENT S/1",
            "options": {"Size": "Small"},
            "prices": FULL["variants"][0]["prices"][::-1],
            "barcode": "4006381333931", "media": ["https://x.example/small.png"], "version": 1,
        }  # fmt: skip
        assert (large["prices"], large["barcode"], large["media"]) == ([], None, [])
        read = await client.get(answer.headers["location"])
        assert (read.status_code, read.headers["etag"]) == (200, '"1"')
        assert read.content == answer.content
        one = await client.get(f"/v1/variants/{small['id']}")
        assert (one.json(), one.headers["etag"]) == (small, '"1"')
        listed = await client.get("/v1/variants", params={"sku": ["TENT S/1", "GONE"]})
        assert listed.json() == {"items": [small], "next": None}
        by_handle = await client.get("/v1/products?handle=dune-tent&include=variants")
        [item] = by_handle.json()["items"]
        assert item["variants"] == [small, large]
        assert (item["picture"], item["variant_count"]) == ("https://x.example/tent.png", 2)
        assert item["prices"] == [
            {"currency": "JPY", "low_minor": 19000, "high_minor": 19000},
            {"currency": "USD", "low_minor": 12900, "high_minor": 12900},
        ]
    assert await house.check(tenant) == []


async def test_a_product_is_changed_by_who_has_seen_it(database: Database, tenant: UUID) -> None:
    house = CatalogHouse(database)
    async with house.client(tenant) as client:
        made = await create(client, FULL)
        path = f"/v1/products/{made['id']}"
        patch = b'{"title":"Dune tent for two","facets":{"colour":["sand"]}}'
        unseen = await client.patch(path, content=patch)
        assert (unseen.status_code, unseen.json()["code"]) == (428, "version_required")
        anyhow = await client.patch(path, content=patch, headers={"if-match": "*"})
        assert anyhow.status_code == 428
        stale = await client.patch(path, content=patch, headers={"if-match": '"2"'})
        assert (stale.status_code, stale.json()["code"]) == (412, "stale_version")
        assert (await client.get(path)).json() == made
        changed = await client.patch(path, content=patch, headers={"if-match": '"1"'})
        assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
        assert changed.json() == {
            **made, "title": "Dune tent for two", "facets": {"colour": ["sand"]}, "version": 2,
        }  # fmt: skip
        again = await client.patch(path, content=patch, headers={"if-match": '"1"'})
        assert again.status_code == 412
    assert await house.check(tenant) == []


async def test_variants_and_prices_are_changed_under_their_own_version(
    database: Database, tenant: UUID
) -> None:
    house = CatalogHouse(database)
    async with house.client(tenant) as client:
        made = await create(client, FULL)
        small, large = made["variants"]
        first = {"if-match": '"1"'}
        answer = await client.put(
            f"/v1/variants/{large['id']}/prices",
            content=b'{"prices":[{"currency":"USD","amount_minor":16900}]}',
            headers=first,
        )
        assert (answer.status_code, answer.headers["etag"]) == (200, '"2"')
        assert answer.json()["prices"] == [{"currency": "USD", "amount_minor": 16900}]
        answer = await client.patch(
            f"/v1/variants/{small['id']}", content=b'{"barcode":null,"media":[]}', headers=first
        )
        assert answer.json() == {**small, "barcode": None, "media": [], "version": 2}
        for content, code in (
            (b'{"sku":"X"}', "invalid"),
            (b'{"options":{"Size":"Large"}}', "invalid"),
        ):
            refused = await client.patch(
                f"/v1/variants/{small['id']}", content=content, headers={"if-match": '"2"'}
            )
            assert (refused.status_code, refused.json()["code"]) == (400, code)
        emptied = await client.put(
            f"/v1/variants/{small['id']}/prices", content=b'{"prices":[]}',
            headers={"if-match": '"2"'},
        )  # fmt: skip
        assert emptied.json()["prices"] == []
        last = await client.put(
            f"/v1/variants/{large['id']}/prices", content=b'{"prices":[]}',
            headers={"if-match": '"2"'},
        )  # fmt: skip
        assert (last.status_code, last.json()["code"]) == (422, "nothing_to_sell")
        unseen = await client.put(f"/v1/variants/{large['id']}/prices", content=b'{"prices":[]}')
        assert unseen.status_code == 428
        read = (await client.get(f"/v1/products/{made['id']}")).json()
        assert (read["version"], [v["version"] for v in read["variants"]]) == (4, [3, 2])
        added = await post(
            client,
            f"/v1/products/{made['id']}/variants",
            {"sku": "TENT-M", "options": {"Size": "M"}},
        )
        assert (added.status_code, added.headers["location"]) == (
            201, f"/v1/variants/{added.json()['id']}",
        )  # fmt: skip
        taken = await post(
            client,
            f"/v1/products/{made['id']}/variants",
            {"sku": "TENT-L", "options": {"Size": "N"}},
        )
        assert (taken.status_code, taken.json()["code"]) == (409, "sku_taken")
    assert await house.check(tenant) == []


async def test_a_product_goes_through_its_states(database: Database, tenant: UUID) -> None:
    house = CatalogHouse(database)
    async with house.client(tenant) as client, house.client(tenant, "r") as shopper:
        made = await create(client, {**FULL, "status": "draft"})
        path = f"/v1/products/{made['id']}"

        async def step(word: str, version: int | None = None) -> tuple[int, str]:
            headers = keyed() if version is None else keyed(**{"if-match": f'"{version}"'})
            answer = await client.post(f"{path}/{word}", headers=headers)
            body = answer.json()
            return answer.status_code, body.get("code", body["status"])

        async def seen() -> tuple[int, list[str]]:
            listed = (await shopper.get("/v1/products")).json()["items"]
            skus = (await shopper.get("/v1/variants?sku=TENT-L")).json()["items"]
            assert len(listed) == len(skus)
            return (await shopper.get(path)).status_code, [item["handle"] for item in listed]

        assert await seen() == (404, [])
        assert await step("publish", 2) == (412, "stale_version")
        assert await step("publish", 1) == (200, "published")
        assert await seen() == (200, ["dune-tent"])
        assert await step("publish") == (409, "illegal_state")
        assert await step("archive") == (200, "archived")
        assert await seen() == (404, [])
        assert await step("publish") == (409, "illegal_state")
        assert await step("draft") == (200, "draft")
        assert await step("archive") == (200, "archived")
        for status, count in (("all", 1), ("archived", 1), ("draft", 0), ("published", 0)):
            listed = await client.get(f"/v1/products?status={status}")
            assert len(listed.json()["items"]) == count
        hidden = await shopper.get("/v1/products?status=archived")
        assert (hidden.status_code, hidden.json()["code"]) == (403, "missing_scope")
        wrong = await client.get("/v1/products?status=sold")
        assert (wrong.status_code, wrong.json()["code"]) == (400, "invalid")


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


async def test_a_batch_says_what_became_of_each_product(database: Database, tenant: UUID) -> None:
    house = CatalogHouse(database)
    async with house.client(tenant) as client:
        await create(client, product("Lamp"))
        body = {
            "products": [
                product("Tent"),
                {"titel": "Tent"},
                product("Lamp"),
                product("Rope", sku="LAMP"),
                product("Kettle", variants=[]),
            ]
        }
        answer = await post(client, "/v1/products:batch", body)
        report = answer.json()
        assert answer.status_code == 200
        assert [report[k] for k in ("created", "updated", "unchanged", "refused")] == [1, 0, 0, 4]
        assert [item["status"] for item in report["items"]] == ["created"] + ["refused"] * 4
        assert [[e["code"] for e in item["errors"]] for item in report["items"]] == [
            [], ["invalid"], ["handle_taken"], ["sku_taken"], ["nothing_to_sell"],
        ]  # fmt: skip
        again = (await post(client, "/v1/products:batch?mode=upsert", body)).json()
        assert [item["status"] for item in again["items"]] == [
            "unchanged", "refused", "unchanged", "refused", "refused",
        ]  # fmt: skip
        assert again["items"][0]["id"] == report["items"][0]["id"]
        for wrong in ({"products": []}, {"products": [product("x")] * 501}, {}):
            refused = await post(client, "/v1/products:batch", wrong)
            assert (refused.status_code, refused.json()["code"]) == (400, "invalid")
        assert (await post(client, "/v1/products:batch?mode=merge", body)).status_code == 400
    assert await house.check(tenant) == []


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


async def test_categories_are_a_tree_of_paths(database: Database, tenant: UUID) -> None:
    house = CatalogHouse(database)
    async with house.client(tenant) as client:
        answer = await post(client, "/v1/categories", {"path": "Camp>Light > Lanterns"})
        assert (answer.status_code, answer.json()) == (201, {
            "path": "Camp > Light > Lanterns", "name": "Lanterns", "parent": "Camp > Light",
            "created_at": "2026-11-21T12:00:00Z",
        })  # fmt: skip
        again = await post(client, "/v1/categories", {"path": "Camp > Light"})
        assert (again.status_code, again.json()["code"]) == (409, "category_exists")
        await create(client, product("Tent", categories=["Camp > Tents"]))

        async def paths(query: str) -> list[str]:
            return [
                c["path"] for c in (await client.get(f"/v1/categories?{query}")).json()["items"]
            ]

        assert await paths("parent=") == ["Camp"]
        assert await paths("parent=Camp") == ["Camp > Light", "Camp > Tents"]
        found, cursor = [], ""
        while cursor is not None:
            page = (
                await client.get(f"/v1/categories?limit=2{cursor and '&cursor='}{cursor}")
            ).json()
            found += [c["path"] for c in page["items"]]
            cursor = page["next"]
        assert found == ["Camp", "Camp > Light", "Camp > Light > Lanterns", "Camp > Tents"]


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


async def test_what_happens_is_announced_with_it(database: Database, tenant: UUID) -> None:
    house = CatalogHouse(database)
    async with house.client(tenant) as client:
        made = await create(client, product("Tent"))
        await client.post(f"/v1/products/{made['id']}/archive", headers=keyed())
        await post(client, "/v1/products", product("Tent"))
    async with database.transaction(POOLED, (tenant,)) as tx:
        rows = await tx.connection.fetch(
            "SELECT type, key, data FROM kernel.outbox ORDER BY xid, seq"
        )
    assert [(r["type"], r["key"], msgspec.json.decode(r["data"])) for r in rows] == [
        ("catalog.product_changed.v1", UUID(made["id"]), {
            "product_id": made["id"], "handle": "tent", "status": status, "version": version,
        })
        for status, version in (("published", 1), ("archived", 2))
    ]  # fmt: skip


async def count_rows(database: Database, tenant: UUID) -> int:
    """How many rows the tenant has in the catalog's tables."""
    tables = ("products", "variants", "prices", "categories", "shelves", "facets", "words")
    async with database.transaction(POOLED, (tenant,), is_read_only=True) as tx:
        counts = [
            await tx.connection.fetchval(f"SELECT count(*) FROM catalog.{name}") for name in tables
        ]
    return sum(counts)
