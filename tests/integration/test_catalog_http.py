"""Products over HTTP on a real PostgreSQL: written, read, changed."""

from typing import Any
from uuid import UUID

import msgspec

from serai.kernel.db import Database
from serai.kernel.tenant import POOLED
from tests.integration.catalog_house import FULL, CatalogHouse, create, keyed, leaf, post, product


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
        bad: list[Any] = [{"products": []}, {"products": [product("x")] * 501}, {}]
        for wrong in bad:
            refused = await post(client, "/v1/products:batch", wrong)
            assert (refused.status_code, refused.json()["code"]) == (400, "invalid")
        assert (await post(client, "/v1/products:batch?mode=merge", body)).status_code == 400
    assert await house.check(tenant) == []


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
        found = [item["path"] for item in await leaf(client, "/v1/categories", limit="2")]
        assert found == ["Camp", "Camp > Light", "Camp > Light > Lanterns", "Camp > Tents"]


async def test_what_happens_is_announced_with_it(database: Database, tenant: UUID) -> None:
    house = CatalogHouse(database)
    async with house.client(tenant) as client:
        made = await create(client, product("Tent"))
        await client.post(f"/v1/products/{made['id']}/archive", headers=keyed())
        await post(client, "/v1/products", product("Tent"))
    async with database.transaction(POOLED, (tenant,)) as tx:
        rows = await tx.connection.fetch(
            "SELECT type, key, data FROM kernel.outbox WHERE topic <> 'audit' ORDER BY xid, seq"
        )
    assert [(r["type"], r["key"], msgspec.json.decode(r["data"])) for r in rows] == [
        ("catalog.product_changed.v1", UUID(made["id"]), {
            "product_id": made["id"], "handle": "tent", "status": status, "version": version,
            "variants_added": added,
        })
        for status, version, added in (("published", 1, 1), ("archived", 2, 0))
    ]  # fmt: skip
