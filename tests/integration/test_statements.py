"""Every named statement is valid against the real schema, used, and hot ones go by an index."""

import asyncio
import importlib
import pkgutil
import re
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

import serai
from serai.kernel import migrate, queries
from serai.kernel.embedded import EmbeddedPostgres
from serai.kernel.pool import WalledConnection, session_settings
from serai.kernel.queries import Statement, render
from serai.kernel.tenant import POOLED, Home
from serai.roles.schemas import PACKAGES, find_migrations

SOURCE = Path(serai.__file__).parent
WITH_SQL = [
    package
    for package in PACKAGES
    for folder in (SOURCE / Path(*package.split(".")[1:]),)
    if (folder / "queries.sql").exists() or (folder / "queries").is_dir()
]
HOT = {
    "serai.kernel": [
        "fetch_events", "insert_inbox", "move_positions", "start_flows", "move_flows", "find_flows",
        "claim_keys", "store_answers", "find_answers", "list_due_flows", "list_blocked_keys",
    ],
    "serai.contexts.orders": [
        "confirm_orders", "cancel_orders", "list_lines", "list_orders", "find_order",
        "list_own_orders", "list_owned",
    ],
    "serai.contexts.returns": ["lock_returns", "grant_returns", "find_asked", "list_requests"],
    "serai.contexts.inventory": [
        "lock_levels", "change_levels", "sell_reservations", "release_reservations", "list_sold",
        "return_units",
    ],
}  # fmt: skip


# Read here, since a test of the event loop may not wait for a disk.
STATEMENTS: list[tuple[str, Statement]] = [
    (package, statement)
    for package in WITH_SQL
    for statement in queries.load(package).statements.values()
]


@pytest.fixture
async def connection(
    postgres: EmbeddedPostgres, database_name: str
) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(
        postgres.app_url(database_name),
        server_settings=session_settings(),
        connection_class=WalledConnection,
    )
    yield opened
    await opened.close()


async def test_every_statement_is_valid_and_has_a_sentence(connection: asyncpg.Connection) -> None:
    assert len(STATEMENTS) > 60
    for package, statement in STATEMENTS:
        assert statement.sentence.endswith("."), f"{package}: {statement.name}"
        await connection.prepare(statement.text(""))


def test_every_statement_is_used() -> None:
    code = "\n".join(path.read_text("utf-8") for path in SOURCE.rglob("*.py"))
    used = set(re.findall(r"_?SQL\.([a-z0-9_]+)", code))
    assert [s.name for _, s in STATEMENTS if s.name not in used] == []


async def plan_of(connection: asyncpg.Connection, statement: Statement) -> str:
    """The plan as the application gets it: generic, whatever the arguments."""
    text = statement.text("")
    arguments = max((int(n) for n in re.findall(r"\$(\d+)", text)), default=0)
    await connection.execute(f"PREPARE hot AS {text}")
    try:
        given = "(" + ", ".join(["NULL"] * arguments) + ")" if arguments else ""
        rows = await connection.fetch(f"EXPLAIN EXECUTE hot{given}")
    finally:
        await connection.execute("DEALLOCATE hot")
    return "\n".join(row[0] for row in rows)


def reads_everything(plan: str) -> bool:
    """Whether a plan scans a table, or a whole index of one."""
    lines = plan.splitlines()
    for number, line in enumerate(lines):
        if "Seq Scan" in line:
            return True
        if "Index" in line and " Scan using " in line:
            below = lines[number + 1 : number + 2]
            if not below or "Index Cond" not in below[0]:
                return True
    return False


async def test_hot_statements_go_by_an_index(connection: asyncpg.Connection) -> None:
    for package, names in HOT.items():
        for name in names:
            plan = await plan_of(connection, queries.load(package).statements[name])
            assert not reads_everything(plan), f"{package} {name}\n{plan}"


async def test_a_plan_without_an_index_is_noticed(connection: asyncpg.Connection) -> None:
    for text in (
        "SELECT id FROM {orders}.orders WHERE email = $1",
        "SELECT id FROM {orders}.orders WHERE total_minor > $1 ORDER BY tenant_id, id LIMIT 5",
    ):
        plan = await plan_of(connection, Statement("planted", "Planted.", text))
        assert reads_everything(plan), plan


async def test_migrations_apply_twice_without_harm(
    postgres: EmbeddedPostgres, database_name: str
) -> None:
    url = postgres.owner_url(database_name)
    migrations = await asyncio.to_thread(find_migrations)
    assert await migrate.apply(url, POOLED, migrations) == []
    connection = await asyncpg.connect(url)
    try:
        for migration in migrations:
            text = render(migration.text, "")
            pieces = migrate.split_statements(text) if migration.is_concurrent else [text]
            for piece in pieces:
                await connection.execute(piece)
    finally:
        await connection.close()
    assert {s.state for s in await migrate.status(url, POOLED, migrations)} == {"applied"}


async def test_a_changed_migration_is_refused(
    postgres: EmbeddedPostgres, database_name: str
) -> None:
    url = postgres.owner_url(database_name)
    first = (await asyncio.to_thread(find_migrations))[0]
    changed = migrate.Migration(first.context, first.name, first.text + "\n-- changed")
    with pytest.raises(migrate.MigrationFailed, match="was changed after it was applied"):
        await migrate.apply(url, POOLED, [changed])


async def test_the_same_sql_serves_a_home_with_a_prefix(
    postgres: EmbeddedPostgres, database_name: str
) -> None:
    home = Home("acme", prefix="acme_")
    migrations = await asyncio.to_thread(find_migrations)
    await migrate.apply(postgres.owner_url(database_name), home, migrations)
    connection = await asyncpg.connect(
        postgres.app_url(database_name), connection_class=WalledConnection
    )
    try:
        for _, statement in STATEMENTS:
            await connection.prepare(statement.text("acme_"))
        assert await connection.fetchval("SELECT count(*) FROM acme_orders.orders") == 0
    finally:
        await connection.close()


def test_every_context_is_found_by_migrate() -> None:
    contexts = importlib.import_module("serai.contexts")
    with_tables = {
        f"serai.contexts.{m.name}"
        for m in pkgutil.iter_modules(contexts.__path__)
        if (SOURCE / "contexts" / m.name / "migrations").is_dir()
    }
    assert with_tables <= set(PACKAGES)
