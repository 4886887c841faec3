"""Old and new code both work while homes are migrated one after the other.

There is no earlier release to start: the code of every step is taken to be what was valid at that
step, its statements and its rows, and the next release to be this code with one migration more.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import httpx
import pytest

from serai.contexts.orders.model import PlaceLine, PlaceOrder
from serai.contexts.payments.gateways import sandbox_cards
from serai.contexts.tenancy.contract import Tier
from serai.kernel import ids, migrate, migrated
from serai.kernel.db import Database
from serai.kernel.embedded import EmbeddedPostgres
from serai.kernel.events import Cause
from serai.kernel.idempotency import Claim
from serai.kernel.migrate import Migration
from serai.kernel.migrated import HomeBehind, Migrated
from serai.kernel.tenant import POOLED
from serai.kernel.workers import Workers
from serai.roles.api import build_app
from serai.roles.composition import Composition, compose
from serai.roles.connection import Addresses, databases_at
from serai.roles.migrate import bring_up_homes, tell_homes
from serai.roles.schemas import find_migrations, list_needed
from serai.settings import Settings
from tests.integration.test_homes import Installation, Resident, status
from tests.integration.test_statements import STATEMENTS

PATIENCE_S = 30.0
NEXT = Migration(
    "orders",
    "9999_pre_gifts.sql",
    "ALTER TABLE {orders}.orders ADD COLUMN IF NOT EXISTS is_gift boolean NOT NULL DEFAULT false;",
)
"""What the next release brings."""
LITERAL = re.compile(r"'([^']*)'")
VALUES = {
    "uuid": f"'{ids.new_id()}'", "text": "'x'", "varchar": "'x'", "bool": "false", "xid8": "'1'",
    "timestamptz": "now()", "date": "now()", "json": "'{}'", "jsonb": "'{}'", "bytea": "''",
    "tsvector": "''", "_text": "'{}'", "_uuid": "'{}'", "_int4": "'{}'", "_int8": "'{}'",
}  # fmt: skip
_TABLES = """
SELECT format('%I.%I', n.nspname, c.relname) AS table, a.attname AS column, t.typname AS type,
       a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AS is_needed,
       a.attgenerated <> '' OR a.attidentity <> '' AS is_made
FROM pg_attribute a
JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p')
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_type t ON t.oid = a.atttypid
WHERE a.attnum > 0 AND NOT a.attisdropped
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
ORDER BY 1, a.attnum"""
_CHECKS = """
SELECT conrelid::regclass::text AS table, conname AS name, pg_get_constraintdef(oid) AS rule
FROM pg_constraint WHERE contype = 'c' AND connamespace::regnamespace::text <> 'pg_catalog'
  AND conrelid <> 0"""


class State(NamedTuple):
    """What code could rely on at one step."""

    columns: dict[str, list[asyncpg.Record]]
    checks: dict[tuple[str, str], str]
    valid: set[str]


async def look(connection: asyncpg.Connection, context: str, before: State | None) -> State:
    """The tables, and which statements are valid; only those that the last step may concern."""
    columns: dict[str, list[asyncpg.Record]] = {}
    for row in await connection.fetch(_TABLES):
        columns.setdefault(row["table"], []).append(row)
    checks = {(r["table"], r["name"]): r["rule"] for r in await connection.fetch(_CHECKS)}
    valid = set(before.valid) if before else set()
    for package, statement in STATEMENTS:
        if not package.endswith((f".{context}", ".kernel")):
            continue
        name = f"{package}: {statement.name}"
        try:
            await connection.prepare(statement.text(""))
        except asyncpg.PostgresError:
            valid.discard(name)
        else:
            valid.add(name)
    return State(columns, checks, valid)


async def old_code_fails(
    connection: asyncpg.Connection, before: State, after: State
) -> AsyncIterator[str]:
    """What the code of one step can no longer do after the next."""
    for statement in sorted(before.valid - after.valid):
        yield f"{statement} is no longer valid"
    for key, rule in before.checks.items():
        kept = after.checks.get(key, rule)
        if not set(LITERAL.findall(rule)) <= set(LITERAL.findall(kept)):
            yield f"{key[0]}: {key[1]} is narrower than it was"
    for table, columns in before.columns.items():
        if after.columns.get(table) != columns:
            try:
                await write_as_before(connection, table, columns, before)
            except asyncpg.PostgresError as error:
                yield f"{table}: {error}"


async def write_as_before(
    connection: asyncpg.Connection, table: str, columns: list[asyncpg.Record], before: State
) -> None:
    """Inserts, reads and changes a row as code does that knows these columns and no more."""
    named = [row for row in columns if row["is_needed"]]
    names = ", ".join(f'"{row["column"]}"' for row in named)
    values = ", ".join(VALUES.get(row["type"], "1") for row in named)
    known = ", ".join(f'"{row["column"]}"' for row in columns)
    same = ", ".join(
        f'"{row["column"]}" = "{row["column"]}"' for row in columns if not row["is_made"]
    )
    trying = connection.transaction()
    await trying.start()
    try:
        await connection.execute("SET LOCAL session_replication_role = replica")
        for place, name in before.checks:
            # The row is made up; what held it before is no question, what is new must not.
            if place == table:
                await connection.execute(f'ALTER TABLE {table} DROP CONSTRAINT IF EXISTS "{name}"')
        await connection.execute(f"INSERT INTO {table} ({names}) VALUES ({values})")
        assert len(await connection.fetch(f"SELECT {known} FROM {table}")) == 1
        await connection.execute(f"UPDATE {table} SET {same}")
    finally:
        await trying.rollback()


@pytest.fixture
async def empty(postgres: EmbeddedPostgres) -> AsyncIterator[tuple[str, asyncpg.Connection]]:
    name = f"upgrade_{ids.new_id().hex[-12:]}"
    await asyncio.to_thread(postgres.create_database, name)
    connection = await asyncpg.connect(postgres.admin_url(name))
    yield postgres.owner_url(name), connection
    await connection.close()


async def test_what_worked_at_each_step_works_after_the_next(
    empty: tuple[str, asyncpg.Connection],
) -> None:
    url, connection = empty
    migrations = [m for m in await asyncio.to_thread(find_migrations) if not m.is_post]
    before: State | None = None
    failed = []
    for count, migration in enumerate(migrations, start=1):
        await migrate.apply(url, POOLED, migrations[:count])
        after = await look(connection, migration.context, before)
        if before is not None:
            failed += [
                f"{migration.context}/{migration.name}: {fault}"
                async for fault in old_code_fails(connection, before, after)
            ]
        before = after
    assert failed == []
    assert before is not None
    assert len(before.valid) == len(STATEMENTS)


@pytest.mark.parametrize(
    ("planted", "told"),
    [
        ("ALTER TABLE {orders}.orders DROP COLUMN email", "is no longer valid"),
        ("ALTER TABLE {orders}.orders ADD COLUMN a text NOT NULL", "orders.orders: null value"),
        ("ALTER TABLE {orders}.orders ADD COLUMN a int DEFAULT 0 CHECK (a > 0)", "orders.orders: "),
        (
            "ALTER TABLE {returns}.returns DROP CONSTRAINT returns_status_check;"
            "ALTER TABLE {returns}.returns ADD CONSTRAINT returns_status_check "
            "CHECK (status <> 'x')",
            "returns_status_check is narrower",
        ),
    ],
)
async def test_a_step_after_which_old_code_fails_is_found(
    postgres: EmbeddedPostgres, database_name: str, planted: str, told: str
) -> None:
    connection = await asyncpg.connect(postgres.admin_url(database_name))
    try:
        before = await look(connection, "orders", None)
        migrations = await asyncio.to_thread(find_migrations)
        bad = Migration("orders", "9999_pre_bad.sql", planted)
        await migrate.apply(postgres.owner_url(database_name), POOLED, [*migrations, bad])
        after = await look(connection, "orders", before)
        faults = [fault async for fault in old_code_fails(connection, before, after)]
        assert any(told in fault for fault in faults), faults
    finally:
        await connection.close()


class NextRelease:
    """The code as it is and one migration that it needs, beside the code that runs."""

    def __init__(self, url: str, folder: Path) -> None:
        address_of = Addresses(url, "", is_owner=False).url_of
        self.database = Database(url, pool_max=4, address_of=address_of)
        self.house: Composition = compose(Settings(data_dir=str(folder)), self.database)
        self.database.migrated = Migrated(lambda: list_needed() | {(NEXT.context, NEXT.name)})


@pytest.fixture
async def place(
    postgres: EmbeddedPostgres, database_name: str, template: str, tmp_path: Path
) -> AsyncIterator[Installation]:
    installation = Installation(postgres, database_name, template, tmp_path)
    await installation.database.open()
    yield installation
    await installation.house.close()
    await installation.database.close()


@pytest.fixture
async def coming(
    place: Installation, postgres: EmbeddedPostgres, tmp_path: Path
) -> AsyncIterator[NextRelease]:
    release = NextRelease(postgres.app_url(place.name), tmp_path)
    await release.database.open()
    yield release
    await release.house.close()
    await release.database.close()


@contextlib.asynccontextmanager
async def working(house: Composition) -> AsyncIterator[None]:
    workers = Workers(
        database=house.database, homes=house.homes, consumers=house.consumers, timers=house.timers
    )
    stop = asyncio.Event()
    running = asyncio.create_task(workers.run(stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(running, PATIENCE_S)


async def list_orders(house: Composition, who: Resident) -> httpx.Response:
    app: Any = build_app(Settings(), house)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as http:
        return await http.get("/v1/orders", headers={"Authorization": f"Bearer {who.key}"})


async def until(place: Installation, who: Resident, statuses: list[str]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while await status(place, who) != statuses:
            await asyncio.sleep(0.05)


def order_of(who: Resident) -> tuple[PlaceOrder, Claim]:
    order_id = ids.new_id()
    command = PlaceOrder(
        who.id, order_id, "USD", (PlaceLine(who.sku, 1, Decimal("10.00")),),
        sandbox_cards.APPROVED, False,  # noqa: FBT003 - the struct's order
        "buyer@example.com", None, None, Cause(ids.new_id()),
    )  # fmt: skip
    return command, Claim(order_id.hex, order_id.bytes)


@pytest.mark.parametrize("tier", ["schema", "database"])
async def test_both_releases_serve_while_homes_are_half_migrated(
    place: Installation,
    coming: NextRelease,
    postgres: EmbeddedPostgres,
    tier: Tier,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(migrated, "BEHIND_S", 0.2)
    ready, behind = await place.settle(tier), await place.settle(tier)
    migrations = [*await asyncio.to_thread(find_migrations), NEXT]
    databases = databases_at(postgres.owner_url(place.name), postgres.app_url(place.name), "")
    url = databases.owner.url_of(ready.home.database)
    await migrate.apply(url, ready.home, migrations)

    async with working(coming.house):
        await until(place, ready, ["confirmed"])
        # The code that runs goes on in both, before and after.
        for who in (ready, behind):
            answer = await list_orders(place.house, who)
            assert answer.status_code == 200, answer.text
            await place.order(who)
        await until(place, ready, ["confirmed", "confirmed"])
        answer = await list_orders(coming.house, ready)
        assert answer.status_code == 200, answer.text

        refused = await list_orders(coming.house, behind)
        assert refused.status_code == 503
        assert refused.headers["Retry-After"] == "5"
        assert "is being brought up to date" in refused.json()["detail"]
        batch = {b.name: b for b in coming.house.batches}["orders.place_orders"]
        command, claim = order_of(behind)
        with pytest.raises(HomeBehind):
            await batch.submit(command, home=behind.home, claim=claim)
        # Nothing was written, and what had happened there waits in its log.
        assert await status(place, behind) == ["placed", "placed"]

        outcomes = await bring_up_homes(databases, more=[NEXT])
        assert {o.home: o.applied for o in outcomes} == {
            ready.home.name: [],
            behind.home.name: [f"{NEXT.context}/{NEXT.name}"],
        }
        await until(place, behind, ["confirmed", "confirmed"])
        assert (await list_orders(coming.house, behind)).status_code == 200
        # The code that runs goes on after the last home, until it is told to stop.
        for who in (ready, behind):
            await place.order(who)
            await until(place, who, ["confirmed"] * 3)


async def test_one_home_that_cannot_be_migrated_is_told_of_with_what_to_do(
    place: Installation, postgres: EmbeddedPostgres
) -> None:
    homes = [(await place.settle("schema")).home for _ in range(2)]
    gone = (await place.settle("database")).home
    admin = await asyncpg.connect(postgres.admin_url("postgres"))
    try:
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1",
            gone.database,
        )
        await admin.execute(f'ALTER DATABASE "{gone.database}" RENAME TO "{gone.database}_lost"')
    finally:
        await admin.close()
    databases = databases_at(postgres.owner_url(place.name), postgres.app_url(place.name), "")
    outcomes = {o.home: o for o in await bring_up_homes(databases, more=[NEXT])}
    assert [outcomes[home.name].applied for home in homes] == [["orders/9999_pre_gifts.sql"]] * 2
    said = outcomes[gone.name].failed
    assert said is not None
    assert said.startswith("InvalidCatalogNameError")
    assert "SERAI_DATABASES" in said
    assert "`serai migrate up` again" in said
    looked = {o.home: o.failed for o in await tell_homes(databases)}
    assert [looked[home.name] for home in homes] == [None, None]
    assert looked[gone.name] == said
