"""Two tenants in each of the three tiers: nothing of one is read, written or told to the other."""

import asyncio
import random
import re
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import httpx
import pytest

from serai.contexts.catalog.contract import Price, ProductInput, VariantInput
from serai.contexts.catalog.handlers.commands import CreateProduct
from serai.contexts.catalog.model.products import NewIds
from serai.contexts.inventory.handlers import MoveStock
from serai.contexts.inventory.model import Move
from serai.contexts.orders.model import PlaceLine, PlaceOrder
from serai.contexts.payments.gateways import sandbox_cards
from serai.contexts.tenancy.contract import SCOPES, Tier
from serai.kernel import estate, ids, migrate
from serai.kernel.clock import Clock
from serai.kernel.db import Database
from serai.kernel.embedded import EmbeddedPostgres
from serai.kernel.events import Cause
from serai.kernel.failure import Unavailable
from serai.kernel.idempotency import Claim
from serai.kernel.tenant import POOLED, Home
from serai.kernel.workers import Workers
from serai.roles.api import build_app
from serai.roles.composition import Composition, compose
from serai.roles.connection import Addresses
from serai.roles.schemas import PACKAGES, find_migrations
from serai.settings import Settings
from tests.integration.test_walls import TENANTLESS, plant_row, tables

TIERS: tuple[Tier, ...] = ("pooled", "schema", "database")
SCHEMAS = [package.rsplit(".", 1)[-1] for package in PACKAGES]
UUIDS = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
PARAMETER = re.compile(r"\{(\w+):(\w+)\}")
IDS_A_ROUTE = 10
TOLD_BY_ID = re.compile(r'"(request_id|instance)":"[^"]*"')


class Resident(NamedTuple):
    """A tenant with a product, stock and an order of its own."""

    id: UUID
    home: Home
    key: str
    sku: str


class Installation:
    """A main database, and homes in it and beside it."""

    def __init__(
        self, postgres: EmbeddedPostgres, name: str, template: str, folder: Path, *,
        clock: Clock | None = None, **given: Any,
    ) -> None:  # fmt: skip
        self._postgres = postgres
        self._template = template
        self.name = name
        url = postgres.app_url(name)
        self.database = Database(
            url, pool_max=4, address_of=Addresses(url, "", is_owner=False).url_of, clock=clock
        )
        self.house: Composition = compose(
            Settings(data_dir=str(folder), **given), self.database, clock=clock
        )
        self.batches = {batch.name: batch for batch in self.house.batches}

    def admin_url(self, home: Home) -> str:
        return self._postgres.admin_url(self.name if home.database == "main" else home.database)

    async def settle(self, tier: Tier) -> Resident:
        """Makes a tenant of that tier with a home, and gives it goods and an order."""
        name = f"{tier}-{ids.new_id().hex[-8:]}"
        home: Home = self.house.tenancy.home_for(name, tier)
        if tier == "database":
            await asyncio.to_thread(
                self._postgres.create_database, home.database, template=self._template
            )
        elif tier == "schema":
            migrations = await asyncio.to_thread(find_migrations)
            await migrate.apply(self._postgres.owner_url(self.name), home, migrations)
        made = await self.house.tenancy.create_tenant(name, scopes=SCOPES, home=home)
        resident = Resident(made.tenant.id, home, made.key.key, f"only-{name}")
        await self._furnish(resident)
        return resident

    async def _furnish(self, who: Resident) -> None:
        cause = Cause(ids.new_id())
        body = ProductInput(
            title=who.sku, status="published",
            variants=[VariantInput(sku=who.sku, prices=[Price("USD", 1000)])],
        )  # fmt: skip
        product = CreateProduct(who.id, NewIds(ids.new_id(), (ids.new_id(),)), body, cause)
        await self.batches["catalog.create_products"].submit(product, home=who.home)
        moves = (Move("receipt", who.sku, "main", 5, "receipt"),)
        await self.batches["inventory.move_stock"].submit(
            MoveStock(who.id, moves, cause), home=who.home
        )
        await self.order(who)

    async def order(self, who: Resident) -> None:
        """Places an order for one unit, of which there are five."""
        order_id = ids.new_id()
        order = PlaceOrder(
            who.id, order_id, "USD", (PlaceLine(who.sku, 1, Decimal("10.00")),),
            sandbox_cards.APPROVED, False,  # noqa: FBT003 - the struct's order
            "buyer@example.com", None, None, Cause(ids.new_id()),
        )  # fmt: skip
        claim = Claim(order_id.hex, order_id.bytes)
        await self.batches["orders.place_orders"].submit(order, home=who.home, claim=claim)

    async def everything(self, who: Resident) -> list[str]:
        """Every row of a tenant, as its export has them."""
        return [
            f"{table} {row}"
            for home in dict.fromkeys((POOLED, who.home))
            for table in await estate.list_tables(self.database, home, SCHEMAS)
            async for row in estate.read_rows(self.database, home, who.id, table)
        ]


@pytest.fixture
async def place(
    postgres: EmbeddedPostgres, database_name: str, template: str, tmp_path: Path
) -> AsyncIterator[Installation]:
    installation = Installation(postgres, database_name, template, tmp_path)
    await installation.database.open()
    yield installation
    await installation.house.close()
    await installation.database.close()


MAY = "SELECT has_table_privilege('serai_app', $1::text, $2::text)"


@pytest.mark.parametrize("tier", TIERS)
async def test_the_wall_of_one_shows_no_row_of_another_in_any_table(
    place: Installation, tier: Tier
) -> None:
    a, b = await place.settle(tier), await place.settle(tier)
    admin = await asyncpg.connect(place.admin_url(b.home))
    try:
        mine = [b.home.prefix + schema for schema in SCHEMAS]
        names = [
            row["name"]
            for row in await tables(admin)
            if row["name"].split(".")[0] in mine
            and row["name"].removeprefix(b.home.prefix) not in TENANTLESS
        ]
        assert len(names) > 25
        await admin.execute("SET session_replication_role = replica")
        stranger = ids.new_id()
        for name in names:
            await plant_row(admin, name, stranger)
        async with place.database.transaction(b.home, (a.id,)) as tx:
            for name in names:
                if tier == "pooled":
                    count = f"SELECT count(*) FROM {name} WHERE tenant_id <> $1"
                    assert await tx.connection.fetchval(count, a.id) == 0, name
                else:
                    assert await tx.connection.fetchval(f"SELECT count(*) FROM {name}") == 0, name
                # What the role may do to no row at all (the audit trail), it need not be asked.
                change = f"UPDATE {name} SET tenant_id = $1 WHERE tenant_id <> $1"
                if await admin.fetchval(MAY, name, "UPDATE"):
                    assert await tx.connection.execute(change, a.id) == "UPDATE 0", name
                delete = f"DELETE FROM {name} WHERE tenant_id <> $1"
                if await admin.fetchval(MAY, name, "DELETE"):
                    assert await tx.connection.execute(delete, a.id) == "DELETE 0", name
    finally:
        await admin.close()


SMUGGLED = [
    "SELECT set_config('serai.tenants', '{{{b}}}', true), count(*) FROM {table} WHERE $1::int = 1",
    "WITH x AS MATERIALIZED (SELECT pg_catalog.set_config('serai.tenants', '{{{b}}}', true)) "
    "SELECT count(*) FROM x, {table} WHERE $1::int = 1",
    "SELECT set_config('role', 'serai_owner', false), $1::int",
    "SELECT set_config('row_security', 'off', false), $1::int",
    "SELECT $1::int; SET LOCAL serai.tenants = '{{{b}}}'",
    "SELECT $1::int; SET ROLE serai_owner",
    "SELECT query_to_xml('SET LOCAL serai.tenants = ''{{{b}}}''', true, true, ''), $1::int",
    "SELECT query_to_xml('SELECT set_config(''serai.tenants'', ''{{{b}}}'', true)', "
    "true, true, ''), $1::int",
    "UPDATE pg_settings SET setting = '{{{b}}}' WHERE name = 'serai.tenants' AND $1::int = 1",
    "UPDATE pg_settings SET setting = 'off' WHERE name = 'row_security' AND $1::int = 1",
    "SELECT pg_read_file('PG_VERSION'), $1::int",
    "SELECT lo_import('/etc/passwd'), $1::int",
]
"""What someone might write who can put SQL into one statement: `{b}` is whom he wants to see."""


@pytest.mark.parametrize("smuggled", SMUGGLED)
async def test_sql_smuggled_into_one_statement_does_not_move_the_wall(
    place: Installation, smuggled: str
) -> None:
    a, b = await place.settle("pooled"), await place.settle("schema")
    neighbour = await place.settle("pooled")
    for table, whose in (("orders.orders", neighbour), (f"{b.home.prefix}orders.orders", b)):
        text = smuggled.format(b=whose.id, table=table)
        async with place.database.transaction(POOLED, (a.id,)) as tx:
            await tx.connection.execute("SAVEPOINT smuggled")
            refused = None
            try:
                await tx.connection.fetch(text, 1)
            except asyncpg.PostgresError as error:
                refused = error
            if refused is not None:
                await tx.connection.execute("ROLLBACK TO SAVEPOINT smuggled")
            else:
                assert smuggled.startswith("UPDATE pg_settings"), "it was carried out"
            count = f"SELECT count(*) FROM {table} WHERE tenant_id = $1"
            seen = await tx.connection.fetchval(count, whose.id)
            assert seen == 0
            assert await tx.connection.fetchval("SHOW row_security") == "on"
            assert await tx.connection.fetchval("SELECT current_user") == "serai_app"


async def test_the_wall_could_be_moved_if_the_function_were_there(place: Installation) -> None:
    """The planted fault: with `set_config` back, the same smuggled SQL shows the neighbour."""
    a, b = await place.settle("pooled"), await place.settle("pooled")
    admin = await asyncpg.connect(place.admin_url(POOLED))
    try:
        await admin.execute(
            "GRANT EXECUTE ON FUNCTION set_config(text, text, boolean) TO serai_app"
        )
    finally:
        await admin.close()
    text = SMUGGLED[1].format(b=b.id, table="orders.orders")
    async with place.database.transaction(POOLED, (a.id,)) as tx:
        assert await tx.connection.fetchval(text, 1) == 1


async def test_the_application_s_role_cannot_become_another(place: Installation) -> None:
    for role in ("serai_owner", "postgres", "pg_read_all_data"):
        async with place.database.session() as connection:
            with pytest.raises(asyncpg.PostgresError):
                await connection.execute(f"SET ROLE {role}")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute("ALTER ROLE serai_app BYPASSRLS")


@pytest.mark.parametrize("tier", TIERS)
async def test_every_route_answers_foreign_ids_as_absent_ones(
    place: Installation, tier: Tier
) -> None:
    """Every route with an id in its path, with ids of another tenant and with made-up ones.

    Without a body, so that routes that need one refuse that first; with real bodies every writing
    route, it is `test_foreign_bodies.py` that asks.
    """
    a, b = await place.settle(tier), await place.settle(tier)
    before = await place.everything(b)
    foreign = sorted(set(UUIDS.findall("\n".join(before))) - {str(b.id), str(a.id)})
    app: Any = build_app(Settings(), place.house)
    chance = random.Random(4)  # noqa: S311 - which ids are tried
    calls = 0
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as http:

        async def call(method: str, path: str, name: str) -> tuple[int, str]:
            headers = {
                "Authorization": f"Bearer {a.key}", "Idempotency-Key": ids.new_id().hex,
                "If-Match": '"1"',
            }  # fmt: skip
            answer = await http.request(method, path, headers=headers, json={})
            return answer.status_code, TOLD_BY_ID.sub("", answer.text.replace(name, "ID"))

        for method, path in routes_with_ids(app):
            for known in chance.sample(foreign, min(IDS_A_ROUTE, len(foreign))):
                absent = str(ids.new_id())
                with_known = fill(path, known, b.sku)
                without = fill(path, absent, "nothing-here")
                got = await call(method, with_known, known)
                told = await call(method, without, absent)
                assert got[0] == told[0], (method, path, got, told)
                if got[0] >= 400:
                    assert got[1].replace(b.sku, "X") == told[1].replace("nothing-here", "X")
                assert b.sku not in got[1] or b.sku in with_known, (method, path, got)
                calls += 2
    assert calls > 1000
    assert await place.everything(b) == before, "nothing of the other was written"


def fill(path: str, uuid: str, text: str) -> str:
    """A path with its parameters filled in, by their kind."""
    return PARAMETER.sub(lambda match: uuid if match[2] == "uuid" else text, path)


def routes_with_ids(app: Any) -> list[tuple[str, str]]:
    """Every route of a tenant that has a parameter in its path."""
    return sorted(
        (method, path)
        for route in app.routes
        for handler in getattr(route, "route_handlers", ())
        if "is_open" not in handler.opt
        for path in handler.paths
        if PARAMETER.search(path)
        for method in handler.http_methods - {"OPTIONS"}
    )


async def test_a_worker_serves_homes_that_are_made_while_it_runs(
    place: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serai.kernel.hosting.HOMES_LOOK_S", 0.2)
    workers = Workers(
        database=place.database, homes=place.house.homes, consumers=place.house.consumers,
        timers=place.house.timers,
    )  # fmt: skip
    stop = asyncio.Event()
    running = asyncio.create_task(workers.run(stop))
    try:
        await asyncio.wait_for(workers.is_ready.wait(), 20)
        for tier in ("schema", "database"):
            who = await place.settle(tier)
            async with asyncio.timeout(30):
                while await status(place, who) != ["confirmed"]:
                    await asyncio.sleep(0.1)
    finally:
        stop.set()
        await asyncio.wait_for(running, 20)


async def status(place: Installation, who: Resident) -> list[str]:
    async with place.database.transaction(who.home, (who.id,)) as tx:
        text = f"SELECT status FROM {who.home.prefix}orders.orders"
        return [row["status"] for row in await tx.connection.fetch(text)]


async def test_a_suspended_tenant_is_answered_403_until_it_is_resumed(place: Installation) -> None:
    who = await place.settle("pooled")
    app: Any = build_app(Settings(), place.house)
    news = asyncio.create_task(place.house.tenancy.watch_keys())
    transport = httpx.ASGITransport(app=app)
    headers = {"Authorization": f"Bearer {who.key}"}
    try:
        await asyncio.wait_for(place.house.tenancy.watching.wait(), 5)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as http:

            async def answers(code: int) -> httpx.Response:
                async with asyncio.timeout(1):
                    while (
                        got := await http.get("/v1/tenant", headers=headers)
                    ).status_code != code:
                        await asyncio.sleep(0.01)
                return got

            await answers(200)
            assert await place.house.tenancy.access_home(who.id) == who.home
            await place.house.tenancy.change_state(who.id, "suspended")
            assert (await answers(403)).json()["code"] == "tenant_suspended"
            with pytest.raises(Exception, match="suspended"):
                await place.house.tenancy.access_home(who.id)
            await place.house.tenancy.change_state(who.id, "active")
            await answers(200)
    finally:
        news.cancel()
        await asyncio.gather(news, return_exceptions=True)


async def test_pools_of_homes_are_bounded_and_one_at_rest_makes_room(
    place: Installation, postgres: EmbeddedPostgres, template: str
) -> None:
    url = postgres.app_url(place.name)
    names = [f"room_{ids.new_id().hex}" for _ in range(3)]
    for name in names:
        await asyncio.to_thread(postgres.create_database, name, template=template)
    address_of = Addresses(url, "", is_owner=False).url_of
    database = Database(url, pool_max=4, address_of=address_of, connections_max=18)
    homes = [Home(name, name) for name in names]
    try:
        async with database.transaction(homes[0], ()), database.transaction(homes[1], ()):
            with pytest.raises(Unavailable, match="SERAI_CONNECTIONS_MAX"):
                async with database.transaction(homes[2], ()):
                    pass
        async with database.transaction(homes[2], ()) as tx:
            assert await tx.connection.fetchval("SELECT current_database()") == names[2]
        with pytest.raises(Unavailable, match="does not let us in"):
            async with database.transaction(Home("x", "no_such_database"), ()):
                pass
    finally:
        await database.close()
