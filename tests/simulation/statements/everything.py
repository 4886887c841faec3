"""Registers every twin, and lays down what a shop has before its history begins."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID, uuid5

from serai.kernel.tenant import POOLED
from tests.simulation.rows import Row
from tests.simulation.statements import (
    audit,
    directory,
    inventory,
    inventory_views,
    kernel_checks,
    kernel_departures,
    kernel_flows,
    kernel_leases,
    kernel_log,
    kernel_messages,
    kernel_seals,
    notifications,
    orders,
    orders_views,
    payments,
    payments_views,
    returns,
    shipping,
)
from tests.simulation.storage import Storage

MODULES = (
    audit, directory, inventory, inventory_views, kernel_checks, kernel_departures, kernel_flows,
    kernel_leases, kernel_log, kernel_messages, kernel_seals, notifications, orders, orders_views,
    payments, payments_views, returns, shipping,
)  # fmt: skip


def found(
    storage: Storage, tenants: Sequence[UUID], prices_minor: Mapping[str, int], *, now: datetime
) -> None:
    """Tenants in the pooled home, each with a published product and a price for every SKU."""
    for number, tenant_id in enumerate(tenants):
        _put(
            storage,
            directory.TENANTS,
            {
                "tenant_id": tenant_id, "name": f"shop-{number}", "home": POOLED.name,
                "home_database": POOLED.database, "home_prefix": POOLED.prefix, "created_at": now,
                "state": "active",
            },
        )  # fmt: skip
        for sku, price_minor in prices_minor.items():
            _offer(storage, tenant_id, sku, price_minor, now)


def _offer(storage: Storage, tenant_id: UUID, sku: str, price_minor: int, now: datetime) -> None:
    product_id, variant_id = uuid5(tenant_id, sku), uuid5(tenant_id, f"{sku} variant")
    _put(
        storage,
        directory.PRODUCTS,
        {
            "tenant_id": tenant_id, "product_id": product_id, "handle": sku.lower(), "title": sku,
            "title_key": sku.lower(), "description": "", "status": "published",
            "categories": b"[]", "facets": b"{}", "media": b"[]", "option_names": b"[]",
            "version": 1, "created_at": now, "updated_at": now, "published_at": now,
        },
    )  # fmt: skip
    _put(
        storage,
        directory.VARIANTS,
        {
            "tenant_id": tenant_id, "variant_id": variant_id, "product_id": product_id,
            "sku": sku, "options": b"{}", "barcode": None, "media": b"[]", "version": 1,
        },
    )  # fmt: skip
    _put(
        storage,
        directory.PRICES,
        {
            "tenant_id": tenant_id, "product_id": product_id, "variant_id": variant_id,
            "currency": "EUR", "amount_minor": price_minor,
        },
    )  # fmt: skip


def _put(storage: Storage, table: str, row: Row) -> None:
    storage.committed[table].put(storage.tables[table].key_of(row), row)
