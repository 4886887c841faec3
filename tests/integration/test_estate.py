"""Everything that a tenant has goes at its erasure, in each tier, and nothing of anyone else's."""

from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from serai.cli.tenant import estate
from serai.contexts.tenancy.contract import SCOPES, Tier
from serai.kernel import estate as rows_of
from serai.kernel.db import Database
from serai.kernel.embedded import EmbeddedPostgres
from serai.kernel.tenant import POOLED, Home
from serai.roles.schemas import SCHEMAS
from tests.integration.audited_shop import AuditedShop
from tests.integration.tiered_shop import TIERS, UNFURNISHED, Ground

KEPT = {"audit.anchors", "audit.entries", "kernel.erasures"}
AT_HOME_ONLY = {"kernel.departures"}


@pytest.fixture(autouse=True)
def _settle_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estate, "SETTLE_S", 0.0)


@pytest.fixture
def ground(postgres: EmbeddedPostgres, database_name: str, template: str, tmp_path: Path) -> Ground:
    return Ground(postgres, database_name, template, tmp_path)


async def counts(ground: Ground, shop: AuditedShop) -> dict[str, int]:
    """How many rows the tenant has in each table of its home and of the directory."""
    found: dict[str, int] = {}
    for home in dict.fromkeys((POOLED, shop.house.home)):
        admin = await asyncpg.connect(ground.admin_url(home))
        for table in await rows_of.list_tables(shop.house.database, home, SCHEMAS):
            count = f"SELECT count(*) FROM {home.prefix}{table} WHERE tenant_id = $1"
            found[table] = found.get(table, 0) + await admin.fetchval(count, shop.house.tenant)
        await admin.close()
    return found


async def erase(shop: AuditedShop, place: Path) -> estate.Certificate:
    house = shop.house.composition
    tenant = await house.tenancy.find_standing("house")
    assert tenant is not None
    return await estate.erase(house, tenant, place, is_quiet=True)


@pytest.mark.parametrize("tier", TIERS)
async def test_a_shop_that_has_everything_is_erased(ground: Ground, tier: Tier) -> None:
    async with ground.open_shop(tier) as shop:
        await ground.furnish(shop)
        neighbour = await shop.house.composition.tenancy.create_tenant("neighbour", scopes=SCOPES)
        before = await counts(ground, shop)
        assert [t for t, n in before.items() if not n and not t.startswith(UNFURNISHED)] == []
        certificate = await erase(shop, ground.folder / "done.json")
        left = {table: count for table, count in (await counts(ground, shop)).items() if count}
        assert set(left) <= KEPT | AT_HOME_ONLY, left
        told = msgspec.json.decode((ground.folder / "done.json").read_bytes())
        assert told["tables"] == certificate.tables
        for table in ("catalog.products", "catalog.prices", "orders.orders", "returns.returns",
                      "identity.accounts", "identity.apps", "billing.invoices"):  # fmt: skip
            assert certificate.tables[table] == before[table], table
        tenancy = shop.house.composition.tenancy
        assert [t.name for t in await tenancy.list_tenants(after="", limit=9)] == ["neighbour"]
        assert await tenancy.find_tenant("neighbour") == neighbour.tenant


async def test_an_erasure_that_was_killed_between_tables_is_gone_on_with(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(Exception):
        pass

    erased: list[str] = []
    erase_table = rows_of.erase_table

    async def die_before_products(
        database: Database, home: Home, tenant_id: Any, table: str
    ) -> int:
        if table == "catalog.products":
            raise KilledError
        erased.append(table)
        return await erase_table(database, home, tenant_id, table)

    async with ground.open_shop("pooled") as shop:
        before = await counts(ground, shop)
        with monkeypatch.context() as patched:
            patched.setattr(rows_of, "erase_table", die_before_products)
            with pytest.raises(KilledError):
                await erase(shop, ground.folder / "done.json")
        assert "catalog.variants" in erased
        standing = await shop.house.composition.tenancy.find_standing("house")
        assert standing is not None
        assert standing.state == "erasing"
        certificate = await erase(shop, ground.folder / "done.json")
        assert certificate.tables["catalog.variants"] == before["catalog.variants"] == 2
        assert certificate.tables["catalog.products"] == 2


async def test_a_row_that_is_written_under_one_that_goes_is_taken_by_the_next_pass(
    ground: Ground,
) -> None:
    async with ground.open_shop("pooled") as shop:
        database, tenant = shop.house.database, shop.house.tenant
        # Its variants are still there, as if they had been written just now.
        assert await rows_of.erase_table(database, POOLED, tenant, "catalog.products") == 1
        await erase(shop, ground.folder / "done.json")
        assert (await counts(ground, shop))["catalog.products"] == 0


async def test_what_others_refer_to_comes_first_and_is_erased_last(ground: Ground) -> None:
    async with ground.open_shop("pooled") as shop:
        tables = await rows_of.list_tables(shop.house.database, POOLED, SCHEMAS)
        order = rows_of.in_order_of_erasure(tables)
        chain = ["catalog.products", "catalog.variants", "catalog.prices"]
        assert [t for t in tables if t in chain] == chain
        assert [t for t in order if t in chain] == chain[::-1]
        assert set(order[:3]) == set(rows_of.FIRST)
        assert not set(order) & {*rows_of.SPARED, "audit.entries", "audit.anchors"}
