"""Twins of what placing and serving orders needs of tenancy and catalog."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from tests.simulation.rows import Row
from tests.simulation.statements.changing import keys_of
from tests.simulation.statements.records import columns
from tests.simulation.storage import Session
from tests.simulation.twins import twin

TENANCY, CATALOG = "serai.contexts.tenancy", "serai.contexts.catalog"
TENANTS = "tenancy.tenants"
PRODUCTS, VARIANTS, PRICES = "catalog.products", "catalog.variants", "catalog.prices"

_tenant = columns("tenant_id, name, home, home_database, home_prefix, state, created_at")
_tenant_id = columns("tenant_id")
_home = columns("home, home_database, home_prefix")
_quote = columns("status, title, amount_minor")


@twin(TENANCY, "insert_tenants")
async def insert_tenants(
    session: Session,
    tenant_ids: Sequence[UUID],
    names: Sequence[str],
    homes: Sequence[str],
    databases: Sequence[str],
    prefixes: Sequence[str],
    now: datetime,
) -> list[Row]:
    inserted = []
    given = keys_of(tenant_ids, names, homes, databases, prefixes)
    for tenant_id, name, home, database, prefix in sorted(given, key=lambda values: values[1]):
        row = {
            "tenant_id": tenant_id, "name": name, "home": home, "home_database": database,
            "home_prefix": prefix, "created_at": now, "state": "active",
        }  # fmt: skip
        if await session.insert(TENANTS, row):
            inserted.append(_tenant_id(row))
    return inserted


@twin(TENANCY, "find_tenant")
async def find_tenant(session: Session, tenant_id: UUID) -> list[Row]:
    row = session.get(TENANTS, (tenant_id,))
    return [] if row is None else [_tenant(row)]


@twin(TENANCY, "find_named_tenant")
async def find_named_tenant(session: Session, name: str) -> list[Row]:
    return [_tenant(row) for row in session.scan(TENANTS, where=lambda row: row["name"] == name)]


@twin(TENANCY, "list_tenants")
async def list_tenants(session: Session, after: str, limit: int) -> list[Row]:
    found = session.scan(
        TENANTS,
        where=lambda row: row["name"] > after,
        order=lambda row: row["name"],
        limit=limit,
    )
    return [_tenant(row) for row in found]


@twin(TENANCY, "find_home")
async def find_home(session: Session, tenant_id: UUID) -> list[Row]:
    row = session.get(TENANTS, (tenant_id,))
    return [] if row is None else [_home(row)]


@twin(TENANCY, "list_homes")
async def list_homes(session: Session) -> list[Row]:
    homes = {tuple(_home(row)): row for row in session.scan(TENANTS)}
    return [_home(homes[home]) for home in sorted(homes)]


@twin(TENANCY, "list_residents")
async def list_residents(session: Session, home: str, after: UUID | None, limit: int) -> list[Row]:
    found = session.find(
        TENANTS,
        ("home",),
        (home,),
        where=lambda row: after is None or row["tenant_id"] > after,
        order=lambda row: row["tenant_id"],
        limit=limit,
    )
    return [_tenant_id(row) for row in found]


@twin(CATALOG, "quote_skus")
async def quote_skus(
    session: Session,
    tenant_ids: Sequence[UUID],
    skus: Sequence[str],
    currencies: Sequence[str],
) -> list[Row]:
    quotes = []
    for tenant_id, sku, currency in zip(tenant_ids, skus, currencies, strict=True):
        variants = session.find(VARIANTS, ("tenant_id", "sku"), (tenant_id, sku))
        quote: Row = {"status": None, "title": None, "amount_minor": None}
        for variant in variants:
            product = session.get(PRODUCTS, (tenant_id, variant["product_id"]))
            key = (tenant_id, variant["product_id"], variant["variant_id"], currency)
            price = session.get(PRICES, key)
            if product is not None:
                quote |= {"status": product["status"], "title": product["title"]}
            if price is not None:
                quote["amount_minor"] = price["amount_minor"]
        quotes.append(_quote(quote))
    return quotes
