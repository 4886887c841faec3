"""How PostgreSQL goes about the catalog's statements: by the right index, on a new database too."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import pytest

from serai.contexts.catalog.store.products import SQL
from serai.kernel import ids
from serai.kernel.db import Database
from serai.kernel.embedded import EmbeddedPostgres
from serai.kernel.pool import session_settings
from serai.kernel.queries import Statement
from tests.integration.catalog_house import CatalogHouse, post, product

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

# What each statement reads by, in any order. A statement that is not here is no hot one.
INDEXES = {
    "quote_skus": {"variants_sku", "products_pkey", "prices_pkey"},
    "lock_products": {"products_pkey"},
    "find_handle_owners": {"products_handle"},
    "find_sku_owners": {"variants_sku"},
    "find_variant_owners": {"variants_pkey"},
    "load_products": {"products_pkey", "variants_product", "prices_pkey"},
    "update_products": {"products_pkey"},
    "update_variants": {"variants_pkey"},
    "delete_prices": {"prices_pkey"},
    "clear_price_ranges": {"price_ranges_pkey"},
    "clear_shelves": {"shelves_pkey"},
    "clear_facets": {"facets_product"},
    "clear_words": {"words_product"},
    "find_terms": {"words_pkey", "vocabulary_pkey", "trigrams_pkey"},
    "walk_newest": {"products_newest"},
    "walk_titles": {"products_title"},
    "walk_shelf": {"shelves_pkey", "products_newest"},
    "walk_prices_up": {"price_ranges_up", "products_newest"},
    "walk_prices_down": {"price_ranges_down", "products_newest"},
    "find_handle": {"products_handle"},
    "list_summaries": {"products_pkey", "variants_product", "price_ranges_pkey"},
    "list_product_variants": {"variants_product", "prices_pkey"},
    "find_variants": {"variants_sku", "variants_pkey", "products_newest", "prices_pkey"},
    "list_variants": {"variants_sku", "products_newest", "prices_pkey"},
    "list_categories": {"categories_pkey"},
    "list_subcategories": {"categories_parent"},
}
# The search gathers from several sources, of which each call uses one; the tenant leads them all.
GATHERING = {
    "words_pkey", "shelves_pkey", "facets_pkey", "facets_product", "price_ranges_pkey",
    "price_ranges_up", "price_ranges_down", "products_pkey", "products_newest", "prices_pkey",
}  # fmt: skip


@pytest.fixture
async def connection(postgres: EmbeddedPostgres, database_name: str) -> AsyncIterator[Connection]:
    """A session as the application has it, that plans every statement for any arguments."""
    opened = await asyncpg.connect(
        postgres.app_url(database_name),
        server_settings={**session_settings(), "plan_cache_mode": "force_generic_plan"},
    )
    yield opened
    await opened.close()


def nodes(plan: Any) -> Iterator[dict[str, Any]]:
    """Every node of a plan, the subplans' too."""
    yield plan
    for below in plan.get("Plans", []):
        yield from nodes(below)


async def explain(
    connection: Connection,
    statement: Statement,
    *arguments: str,
    options: str = "",
) -> list[dict[str, Any]]:
    """The nodes of the statement's generic plan; without arguments they are all NULL."""
    text = statement.text("")
    count = max(int(number) for number in re.findall(r"\$(\d+)", text))
    given = ", ".join(arguments or ["NULL"] * count)
    await connection.execute(f"PREPARE hot AS {text}")
    try:
        found = await connection.fetchval(f"EXPLAIN (FORMAT JSON{options}) EXECUTE hot({given})")
    finally:
        await connection.execute("DEALLOCATE hot")
    return list(nodes(json.loads(found)[0]["Plan"]))


def indexes_of(plan: list[dict[str, Any]]) -> set[str]:
    return {node["Index Name"] for node in plan if "Index Name" in node}


def faults(plan: list[dict[str, Any]]) -> list[str]:
    """The nodes that read a table, or an index without saying where to begin and end."""
    return [
        f"{node['Node Type']} on {node.get('Relation Name')}"
        for node in plan
        if node["Node Type"] == "Seq Scan" or ("Index Name" in node and "Index Cond" not in node)
    ]


async def test_a_new_database_is_read_by_the_right_indexes(
    connection: Connection,
) -> None:
    """Without statistics all indexes look alike; here a wrong one reads all of a tenant's rows."""
    for name, expected in INDEXES.items():
        plan = await explain(connection, SQL.statements[name])
        assert (indexes_of(plan), faults(plan)) == (expected, []), name
    plan = await explain(connection, SQL.search_products)
    assert indexes_of(plan) <= GATHERING
    assert faults(plan) == []


async def test_a_lookup_without_its_index_is_noticed(
    connection: Connection,
) -> None:
    planted = Statement(
        "planted", "Planted.", "SELECT 1 FROM {catalog}.variants WHERE barcode = $1"
    )
    assert faults(await explain(connection, planted)) == ["Seq Scan on variants"]


async def test_a_quote_costs_three_probes_a_row(
    database: Database, tenant: UUID, connection: Connection
) -> None:
    house = CatalogHouse(database)
    async with house.client(tenant) as client:
        for start in range(0, 1500, 500):
            goods = [product(f"T {n}", sku=f"S{n}") for n in range(start, start + 500)]
            answer = await post(client, "/v1/products:batch", {"products": goods})
            assert answer.json()["created"] == 500
    await connection.execute(f"SET serai.tenants = '{{{tenant}}}'")
    wanted = 1000
    plan = await explain(
        connection,
        SQL.quote_skus,
        f"array_fill('{tenant}'::uuid, ARRAY[{wanted}])",
        "'{" + ",".join(f"S{n}" for n in range(wanted)) + "}'",
        f"array_fill('USD'::text, ARRAY[{wanted}])",
        options=", ANALYZE, COSTS OFF, TIMING OFF",
    )
    probes = {n["Index Name"]: n["Actual Loops"] for n in plan if "Index Name" in n}
    assert probes == {"variants_sku": wanted, "products_pkey": wanted, "prices_pkey": wanted}
    assert faults(plan) == []
    assert [n["Rows Removed by Filter"] for n in plan if n.get("Rows Removed by Filter")] == []


async def test_every_row_of_another_tenant_is_left_unread(
    database: Database, connection: Connection
) -> None:
    """Two tenants have the same goods; a search of one touches the rows of one."""
    house = CatalogHouse(database)
    tenants = [ids.new_id(), ids.new_id()]
    goods = [product(f"Tall tent {n}", sku=f"S{n}") for n in range(100)]
    for each in tenants:
        async with house.client(each) as client:
            await post(client, "/v1/products:batch", {"products": goods})
    await connection.execute(f"SET serai.tenants = '{{{tenants[0]}}}'")
    plan = await explain(
        connection,
        SQL.search_products,
        f"'{tenants[0]}'", "'{published}'", "'words'", "'{0}'", "'{tent}'", "'{12}'", "NULL",
        "'{}'", "'{}'", "NULL", "0", "9223372036854775807", "'relevance'", "-99999999999", "''",
        "'ffffffff-ffff-ffff-ffff-ffffffffffff'", "true", "51", "50", "1000",
        options=", ANALYZE, COSTS OFF, TIMING OFF",
    )  # fmt: skip
    read = {
        n["Index Name"]: n["Actual Rows"] * n["Actual Loops"] for n in plan if "Index Name" in n
    }
    assert read["words_pkey"] == 100
    assert read["products_pkey"] == 100
