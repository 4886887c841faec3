"""What orders ask the catalog: state, title and price of many SKUs of many tenants at once."""

from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx

from serai.contexts.catalog.contract import Prices, Quote, Wanted
from serai.kernel import ids
from serai.kernel.db import Database, Record, Tx
from serai.kernel.queries import Statement
from serai.kernel.tenant import POOLED
from tests.integration.catalog_house import CatalogHouse, create, keyed, post, product

PRICES = [
    {"currency": "USD", "amount_minor": 1250},
    {"currency": "JPY", "amount_minor": 1900},
    {"currency": "KWD", "amount_minor": 3999},
    {"currency": "EUR", "amount_minor": 0},
]


class CountingTx(Tx):
    """A transaction that knows how many statements it has run."""

    count = 0

    async def fetch(self, statement: Statement, *args: Any) -> list[Record]:
        CountingTx.count += 1
        return await super().fetch(statement, *args)


async def quote(house: CatalogHouse, *wanted: Wanted) -> list[Quote | None]:
    """Quotes in one transaction that sees just the tenants that ask."""
    prices: Prices = house.module.offers
    tenants = {want.tenant_id for want in wanted}
    async with house.database.transaction(POOLED, tenants) as tx:
        counting = CountingTx(tx.connection, tx.home, tx.now)
        CountingTx.count = 0
        quotes = await prices.quote(wanted, tx=counting)
        assert CountingTx.count == min(1, len(wanted))
    return quotes


async def move(client: httpx.AsyncClient, product_id: str, step: str) -> None:
    answer = await client.post(f"/v1/products/{product_id}/{step}", headers=keyed())
    assert answer.status_code == 200


async def test_a_quote_says_state_title_and_price_in_the_order_asked(
    database: Database, tenant: UUID
) -> None:
    house = CatalogHouse(database)
    async with house.client(tenant) as client:
        made = await create(client, product("Tent", variants=[{"sku": "85123A", "prices": PRICES}]))
        await create(client, product("Small a", sku="85123a", status="draft"))
        wanted = [
            Wanted(tenant, "85123A", currency)
            for currency in ("USD", "JPY", "KWD", "EUR", "GBP", "XXX")
        ]
        assert await quote(house, *wanted) == [
            Quote("published", "Tent", Decimal(price) if price else None)
            for price in ("12.50", "1900", "3.999", "0.00", None, None)
        ]
        others = [Wanted(tenant, sku, "USD") for sku in ("85123a", "gone", "", "85123A ", "85123A")]
        assert await quote(house, *others) == [
            Quote("draft", "Small a", Decimal("12.50")),
            None,
            None,
            None,
            Quote("published", "Tent", Decimal("12.50")),
        ]
        await move(client, made["id"], "archive")
        assert await quote(house, wanted[0]) == [Quote("archived", "Tent", Decimal("12.50"))]
        assert await quote(house) == []


async def test_a_quote_is_each_tenant_s_own(database: Database) -> None:
    house = CatalogHouse(database)
    tenants = [ids.new_id() for _ in range(3)]
    for number, tenant in enumerate(tenants[:2], start=1):
        async with house.client(tenant) as client:
            await create(client, product(f"Tent {number}", sku="A", price=100 * number))
    wanted = [Wanted(tenant, "A", "USD") for tenant in tenants]
    assert await quote(house, *wanted) == [
        Quote("published", "Tent 1", Decimal("1.00")),
        Quote("published", "Tent 2", Decimal("2.00")),
        None,
    ]
    prices: Prices = house.module.offers
    async with database.transaction(POOLED, (tenants[0],)) as tx:
        assert await prices.quote(wanted, tx=tx) == [
            Quote("published", "Tent 1", Decimal("1.00")), None, None,
        ]  # fmt: skip


async def test_a_large_order_is_quoted_in_one_statement(database: Database, tenant: UUID) -> None:
    house = CatalogHouse(database)
    async with house.client(tenant) as client:
        for start in (0, 500):
            goods = [product(f"T {n}", sku=f"S{n}", price=n) for n in range(start, start + 500)]
            await post(client, "/v1/products:batch", {"products": goods})
    order = [n * 7 % 1000 for n in range(1114)]
    quotes = await quote(house, *(Wanted(tenant, f"S{n}", "USD") for n in order))
    assert quotes == [Quote("published", f"T {n}", Decimal(n).scaleb(-2)) for n in order]
