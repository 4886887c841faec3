"""The shop of `audited_shop.py` in a home of each tier, and all that a shop can have."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg

from serai.contexts.tenancy.contract import Tier
from serai.kernel import estate, ids, migrate
from serai.kernel.db import Database
from serai.kernel.embedded import EmbeddedPostgres
from serai.kernel.tenant import MAIN, POOLED, Home
from serai.roles.connection import Addresses
from serai.roles.schemas import SCHEMAS, find_migrations
from tests.integration import audited_people, audited_shop
from tests.integration.audited_shop import AuditedShop, open_shop
from tests.integration.test_walls import TENANTLESS, plant_row

TIERS: tuple[Tier, ...] = ("pooled", "schema", "database")
FURNISHING = (
    audited_shop.post_variant,
    audited_shop.put_prices,
    audited_shop.post_transfer,
    audited_shop.post_reservation,
    audited_shop.post_return,
    audited_shop.put_template,
    audited_people.post_app,
    audited_people.post_factor_confirmation,
    audited_people.post_consent,
    audited_people.put_card,
)
"""What a shop is asked for so that it has products, orders, returns, people, apps and a card."""
UNFURNISHED = ("tenancy.", "kernel.departures", "kernel.erasures")
"""Tables that are the directory's, or of tenants who are on their way out."""
opened = contextlib.asynccontextmanager(open_shop)


class Ground:
    """A server with a main database, on which homes are made."""

    def __init__(
        self, postgres: EmbeddedPostgres, database_name: str, template: str, folder: Path
    ) -> None:
        self._postgres = postgres
        self._name = database_name
        self._template = template
        self.folder = folder

    def admin_url(self, home: Home) -> str:
        return self._postgres.admin_url(self._name if home.database == MAIN else home.database)

    async def make_home(self, tier: Tier) -> Home:
        """An empty home of a tier."""
        if tier == "pooled":
            return POOLED
        mark = ids.new_id().hex[-12:]
        if tier == "schema":
            home = Home(f"schema:{mark}", prefix=f"h_{mark}_")
            migrations = await asyncio.to_thread(find_migrations)
            await migrate.apply(self._postgres.owner_url(self._name), home, migrations)
            return home
        home = Home(f"database:{mark}", f"serai_{mark}")
        make = self._postgres.create_database
        await asyncio.to_thread(make, home.database, template=self._template)
        return home

    @contextlib.asynccontextmanager
    async def open_shop(self, tier: Tier) -> AsyncIterator[AuditedShop]:
        """A shop of that tier with goods on its shelves."""
        url = self._postgres.app_url(self._name)
        database = Database(url, pool_max=8, address_of=Addresses(url, "", is_owner=False).url_of)
        await database.open()
        try:
            home = await self.make_home(tier)
            async with opened(database, self.folder, home) as shop:
                yield shop
        finally:
            await database.close()

    async def furnish(self, shop: AuditedShop) -> None:
        """Asks for something of each kind, and fills the tables that are empty then."""
        for ask in FURNISHING:
            path, body, headers = await ask(shop)
            answer = await shop.send(ask.__name__.split("_")[0].upper(), path, body, **headers)
            assert answer.is_success, f"{path}: {answer.text}"
        await shop.rest()
        home, tenant = shop.house.home, shop.house.tenant
        admin = await asyncpg.connect(self.admin_url(home))
        try:
            await admin.execute("SET session_replication_role = replica")
            for table in await estate.list_tables(shop.house.database, home, SCHEMAS):
                count = f"SELECT count(*) FROM {home.prefix}{table} WHERE tenant_id = $1"
                if table in TENANTLESS or table.startswith(UNFURNISHED):
                    continue
                if not await admin.fetchval(count, tenant):
                    await plant_row(admin, home.prefix + table, tenant)
        finally:
            await admin.close()
