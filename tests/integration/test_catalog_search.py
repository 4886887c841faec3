"""Lists and searches on a real PostgreSQL: what is found, in which order, page by page."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest

from serai.kernel import ids
from serai.kernel.db import Database
from tests.integration.catalog_house import CatalogHouse, create, keyed, leaf, post, product

GOODS = [
    product("Storm lantern", sku="LIGHT-STORM", price=4200, categories=["Camp > Light"],
            facets={"material": ["brass", "glass"], "colour": ["gold"]},
            description="Burns all night in the wind."),
    product("Paper lantern", sku="LIGHT-PAPER", price=300, categories=["Camp > Light", "Party"],
            facets={"material": ["paper"], "colour": ["red", "white"]}),
    product("Lantern wick", sku="WICK-1", price=150, categories=["Camp > Light"],
            facets={"material": ["cotton"], "colour": ["white"]}),
    product("Woollen blanket", sku="BED-WOOL", price=8800, categories=["Camp > Bedding"],
            facets={"material": ["wool"], "colour": ["red", "grey"]},
            description="As warm as a lantern is bright."),
    product("Felt bedroll", sku="BED-ROLL", price=9600, categories=["Camp > Bedding"],
            facets={"material": ["wool", "leather"], "colour": ["grey"]}),
    product("Crème brûlée bowl", sku="85123A", price=1250, categories=["Kitchen"],
            facets={"material": ["clay"], "colour": ["white"]}),
]  # fmt: skip


@pytest.fixture
async def client(database: Database, tenant: UUID) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a shop that has the goods."""
    house = CatalogHouse(database)
    async with house.client(tenant) as client:
        answer = await post(client, "/v1/products:batch", {"products": GOODS})
        assert answer.json()["created"] == len(GOODS)
        yield client
    assert await house.check(tenant) == []


async def titles(client: httpx.AsyncClient, **query: Any) -> list[str]:
    answer = await client.get("/v1/products", params=query)
    assert answer.status_code == 200, answer.text
    return [item["title"] for item in answer.json()["items"]]


LANTERNS = ["Lantern wick", "Paper lantern", "Storm lantern", "Woollen blanket"]
SEARCHES = [
    ("lantern", LANTERNS),
    ("LANTERNS", LANTERNS),
    ("latern", LANTERNS),
    ("lantren", LANTERNS),
    ("lanterrn", LANTERNS),
    ("lant", LANTERNS),
    ("red lantern", ["Paper lantern", "Woollen blanket"]),
    ("wollen", ["Woollen blanket"]),
    ("blankets wool", ["Woollen blanket"]),
    ("creme brulee", ["Crème brûlée bowl"]),
    ("CRÈME", ["Crème brûlée bowl"]),
    ("85123a", ["Crème brûlée bowl"]),
    ("85123", ["Crème brûlée bowl"]),
    ("85123b", []),
    ("bed-roll", ["Felt bedroll"]),
    ("the lantern in the wind", ["Storm lantern"]),
    ("lantern xyzzy", []),
    ("!!", []),
    # A word that only fills sentences is in no index.
    ("a", []),
]


async def test_words_are_found_as_people_write_them(client: httpx.AsyncClient) -> None:
    for q, found in SEARCHES:
        assert sorted(await titles(client, q=q)) == found, q


async def test_a_title_weighs_more_than_a_description(client: httpx.AsyncClient) -> None:
    *first, last = await titles(client, q="lantern")
    assert sorted(first) == ["Lantern wick", "Paper lantern", "Storm lantern"]
    assert last == "Woollen blanket"


async def test_a_search_goes_with_the_times(client: httpx.AsyncClient) -> None:
    [item] = (await client.get("/v1/products?q=bedroll")).json()["items"]
    changed = await client.patch(
        f"/v1/products/{item['id']}", content=b'{"title":"Hammock"}', headers={"if-match": '"1"'}
    )
    assert changed.status_code == 200
    assert await titles(client, q="bedroll") == []
    assert await titles(client, q="hamock") == ["Hammock"]
    await client.post(f"/v1/products/{item['id']}/archive", headers=keyed())
    assert await titles(client, q="hammock") == []
    assert await titles(client, q="hammock", status="archived") == ["Hammock"]


FILTERS: list[tuple[dict[str, Any], int]] = [
    ({"category": "Camp"}, 5),
    ({"category": "Camp>Light"}, 3),
    ({"category": "Light"}, 0),
    ({"facet": "material:wool"}, 2),
    ({"facet": ["material:wool", "material:paper"]}, 3),
    ({"facet": ["material:wool", "colour:red"]}, 1),
    ({"facet": ["material:wool", "colour:white"]}, 0),
    ({"facet": "material:Wool"}, 0),
    ({"category": "Camp > Light", "facet": "colour:white"}, 2),
    ({"q": "lantern", "facet": "colour:white"}, 2),
    ({"q": "lantern", "category": "Party"}, 1),
    ({"currency": "USD", "price_min_minor": 1250}, 4),
    ({"currency": "USD", "price_max_minor": 1249}, 2),
    ({"currency": "USD", "price_min_minor": 300, "price_max_minor": 4200}, 3),
    ({"currency": "EUR", "price_min_minor": 0}, 0),
    ({"currency": "EUR"}, 6),
    ({"q": "lantern", "currency": "USD", "price_max_minor": 300}, 2),
    (
        {
            "category": "Camp",
            "facet": "colour:grey",
            "currency": "USD",
            "price_min_minor": 9000,
        },
        1,
    ),
    ({"handle": "felt-bedroll"}, 1),
    ({"handle": "felt"}, 0),
]


async def test_filters_are_met_together(client: httpx.AsyncClient) -> None:
    for query, found in FILTERS:
        assert len(await titles(client, **query)) == found, query
        if "handle" not in query:
            counted = await client.get("/v1/products", params={**query, "facets": "true"})
            assert (counted.json()["count"], len(counted.json()["items"])) == (found, found), query


async def test_a_price_of_any_variant_is_what_counts(client: httpx.AsyncClient) -> None:
    variants = [
        {"sku": f"TENT-{price}", "options": {"Size": str(price)},
         "prices": [{"currency": "GBP", "amount_minor": price}]}
        for price in (100, 900)
    ]  # fmt: skip
    await create(client, {"title": "Tent", "status": "published", "variants": variants})
    for low, high, count in ((90, 110, 1), (300, 500, 0), (900, 900, 1), (901, 999, 0)):
        query = {"currency": "GBP", "price_min_minor": low, "price_max_minor": high}
        assert len(await titles(client, **query)) == count


BY_PRICE = [
    "Lantern wick", "Paper lantern", "Crème brûlée bowl", "Storm lantern", "Woollen blanket",
    "Felt bedroll",
]  # fmt: skip
ORDERS = {
    "newest": [good["title"] for good in reversed(GOODS)],
    "title": sorted(good["title"] for good in GOODS),
    "price": BY_PRICE,
    "-price": BY_PRICE[::-1],
}


async def test_a_list_has_the_order_that_was_asked_for(client: httpx.AsyncClient) -> None:
    for sort, found in ORDERS.items():
        assert await titles(client, sort=sort, currency="USD") == found
        within_camp = [title for title in found if title != "Crème brûlée bowl"]
        assert await titles(client, sort=sort, currency="USD", category="Camp") == within_camp
        assert await titles(client, sort=sort, currency="USD", price_min_minor=0) == found


async def test_facets_are_counted_over_what_is_found(client: httpx.AsyncClient) -> None:
    async def counts(**query: Any) -> dict[str, dict[str, int]]:
        answer = await client.get("/v1/products", params={"facets": "true", **query})
        return {
            facet["name"]: {value["value"]: value["count"] for value in facet["values"]}
            for facet in answer.json()["facets"]
        }

    everything = await counts()
    assert everything == {
        "colour": {"white": 3, "grey": 2, "red": 2, "gold": 1},
        "material": {
            "wool": 2, "brass": 1, "clay": 1, "cotton": 1, "glass": 1, "leather": 1, "paper": 1,
        },
    }  # fmt: skip
    assert list(everything["colour"]) == ["white", "grey", "red", "gold"]
    assert (await counts(category="Kitchen")) == {"colour": {"white": 1}, "material": {"clay": 1}}
    # A facet that is filtered by is counted without itself: what could be chosen instead.
    assert await counts(facet="material:wool") == {
        "colour": {"grey": 2, "red": 1}, "material": everything["material"],
    }  # fmt: skip
    assert await counts(facet=["material:wool", "colour:red"]) == {
        "colour": {"grey": 2, "red": 1}, "material": {"paper": 1, "wool": 1},
    }  # fmt: skip


QUERIES: list[dict[str, str]] = [
    {"sort": "newest"},
    {"sort": "title"},
    {"sort": "price", "currency": "USD"},
    {"sort": "-price", "currency": "USD"},
    {"category": "Camp"},
    {"category": "Camp", "sort": "title"},
    {"facet": "kind:even"},
    {"q": "lantern"},
    {"q": "lantern", "sort": "price", "currency": "USD"},
    {"currency": "USD", "price_min_minor": "2"},
    {"status": "all"},
    {"status": "all", "sort": "title"},
]


async def test_pages_hold_each_product_once_while_others_come(database: Database) -> None:
    house = CatalogHouse(database)
    for query in QUERIES:
        await leaf_through(house, ids.new_id(), query)


async def leaf_through(house: CatalogHouse, tenant: UUID, query: dict[str, str]) -> None:
    """What was there at the beginning is seen exactly once, whatever is added between pages."""
    chance = random.Random(7)  # noqa: S311 - the same goods each time

    def good(n: int) -> dict[str, Any]:
        title = f"{chance.choice(['Lantern', 'Tall lantern', 'lantern'])} {n % 5}"
        return product(
            title, handle=f"h{n}", sku=f"S{n}", price=chance.randrange(1, 6), categories=["Camp"],
            facets={"kind": ["even" if n % 2 == 0 else "odd"]},
        )  # fmt: skip

    async with house.client(tenant) as client:
        await post(client, "/v1/products:batch", {"products": [good(n) for n in range(40)]})
        whole = await client.get("/v1/products", params={**query, "limit": "200"})
        expected = [item["id"] for item in whole.json()["items"]]
        assert len(expected) >= 19, query
        seen: list[str] = []
        cursor: str | None = None
        added = 40
        while True:
            more = {} if cursor is None else {"cursor": cursor}
            page = (await client.get("/v1/products", params={**query, "limit": "7", **more})).json()
            seen += [item["id"] for item in page["items"]]
            cursor = page["next"]
            if cursor is None:
                break
            assert len(page["items"]) == 7
            await post(
                client,
                "/v1/products:batch",
                {"products": [good(n) for n in range(added, added + 3)]},
            )
            added += 3
        assert len(seen) == len(set(seen))
        assert [each for each in seen if each in set(expected)] == expected, query


async def test_a_cursor_belongs_to_its_list(client: httpx.AsyncClient) -> None:
    cursor = (await client.get("/v1/products?limit=2")).json()["next"]
    for query in (
        f"cursor={cursor}&sort=title",
        "cursor=x",
        "cursor=WzFd",
        f"cursor={cursor[:-4]}",
        "limit=0",
        "limit=201",
        "limit=51&include=variants",
        "include=stock",
        "handle=x&q=y",
        "facet=x",
        "sort=price",
        "q=" + "x" * 201,
    ):
        answer = await client.get(f"/v1/products?{query}")
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid"), query
    for path in ("/v1/variants", "/v1/categories"):
        answer = await client.get(f"{path}?cursor=WyJcdTAwMDAiXQ")
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid")


async def test_variants_are_listed_by_sku_page_by_page(client: httpx.AsyncClient) -> None:
    found = [item["sku"] for item in await leaf(client, "/v1/variants", limit="4")]
    assert found == ["85123A", "BED-ROLL", "BED-WOOL", "LIGHT-PAPER", "LIGHT-STORM", "WICK-1"]


async def test_words_that_two_learn_at_once_are_learnt(database: Database) -> None:
    """Batches of two tenants and of one bring the same new words in another order."""
    house = CatalogHouse(database)
    tenants = [ids.new_id(), ids.new_id()]
    words = [f"{a}{b}ling" for a in "bcdfghklmn" for b in "aeiou"]

    async def fill(tenant: UUID, n: int) -> int:
        chance = random.Random(n)  # noqa: S311 - the same order each time
        goods = [product(w, handle=f"{w}-{n}", sku=f"{w}-{n}") for w in words]
        chance.shuffle(goods)
        async with house.client(tenant) as client:
            answer = await post(client, "/v1/products:batch", {"products": goods})
        return int(answer.json()["created"])

    counts = await asyncio.gather(*(fill(tenant, n) for n in range(3) for tenant in tenants))
    assert counts == [50] * 6
    async with house.client(tenants[0]) as client:
        assert len(await titles(client, q="baling", limit=200)) == 3
        assert len(await titles(client, q="gulling", limit=200)) == 3
