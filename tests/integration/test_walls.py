"""Isolation by the database: every tenant table has its wall, and no wall lets anyone through."""

from uuid import UUID

import asyncpg
import pytest

from serai.kernel import ids
from serai.kernel.db import Database
from serai.kernel.embedded import EmbeddedPostgres
from serai.kernel.failure import Unavailable
from serai.kernel.tenant import POOLED

TENANTLESS = {
    "kernel.leases", "kernel.positions", "kernel.members", "kernel.migrations",
    "notifications.sender",
}  # fmt: skip
"""Tables that hold nothing of any tenant."""

APPENDED = {"audit.entries", "audit.anchors"}
"""Tables in which the application may change and delete nothing, not even what it sees."""

UNCHANGING = {"privacy.consents"}
"""Tables in which the application may delete, with a whole tenant, and change nothing."""

_TABLES = """
SELECT n.nspname || '.' || c.relname AS name,
       c.relrowsecurity AND c.relforcerowsecurity AS is_walled,
       EXISTS (SELECT 1 FROM pg_policy p WHERE p.polrelid = c.oid) AS has_policy,
       EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id'
               AND NOT a.attisdropped) AS has_tenant,
       (SELECT a.attname FROM pg_index i JOIN pg_attribute a
          ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
        WHERE i.indrelid = c.oid AND i.indisprimary) AS leads
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'public')
ORDER BY 1
"""


async def tables(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    return list(await connection.fetch(_TABLES))


async def test_no_tenant_table_is_without_a_wall(
    postgres: EmbeddedPostgres, database_name: str
) -> None:
    connection = await asyncpg.connect(postgres.owner_url(database_name))
    try:
        rows = await tables(connection)
        open_ones = [
            row["name"]
            for row in rows
            if row["name"] not in TENANTLESS and not (row["is_walled"] and row["has_policy"])
        ]
        without_tenant = [
            row["name"] for row in rows if row["name"] not in TENANTLESS and not row["has_tenant"]
        ]
        assert len(rows) > 15
        assert open_ones == []
        assert without_tenant == []
        await connection.execute("CREATE TABLE orders.planted (tenant_id uuid)")
        planted = [r for r in await tables(connection) if r["name"] == "orders.planted"]
        assert [(r["is_walled"], r["has_policy"]) for r in planted] == [(False, False)]
    finally:
        await connection.close()


async def test_a_tenant_s_transaction_sees_no_row_of_another(
    postgres: EmbeddedPostgres, database_name: str, database: Database
) -> None:
    """Puts a row of B into every table, then reads, changes and deletes as A: nothing happens."""
    a, b = ids.new_id(), ids.new_id()
    admin = await asyncpg.connect(postgres.admin_url(database_name))
    try:
        names = [r["name"] for r in await tables(admin) if r["name"] not in TENANTLESS]
        await admin.execute("SET session_replication_role = replica")
        for name in names:
            await plant_row(admin, name, b)
        async with database.transaction(POOLED, (a,)) as tx:
            for name in names:
                assert await tx.connection.fetchval(f"SELECT count(*) FROM {name}") == 0, name
                if name in APPENDED:
                    continue
                if name not in UNCHANGING:
                    assert (
                        await tx.connection.execute(f"UPDATE {name} SET tenant_id = '{a}'")
                        == "UPDATE 0"
                    )
                assert await tx.connection.execute(f"DELETE FROM {name}") == "DELETE 0"
        # Else nobody may write for B here, and hers would be refused before any wall.
        await admin.execute("DELETE FROM kernel.departures")
        names.remove("kernel.departures")
        async with database.transaction(POOLED, (b,)) as tx:
            for name in names:
                assert await tx.connection.fetchval(f"SELECT count(*) FROM {name}") == 1, name
        for name in names:
            async with database.transaction(POOLED, (b,)) as tx:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await tx.connection.execute(f"UPDATE {name} SET tenant_id = '{a}'")
                await tx.connection.execute("ROLLBACK; BEGIN")
    finally:
        await admin.close()


async def test_without_a_tenant_nothing_is_seen(
    postgres: EmbeddedPostgres, database_name: str, database: Database, tenant: UUID
) -> None:
    admin = await asyncpg.connect(postgres.admin_url(database_name))
    try:
        await plant_row(admin, "orders.orders", tenant)
    finally:
        await admin.close()
    async with database.transaction(POOLED, ()) as tx:
        assert await tx.connection.fetchval("SELECT count(*) FROM orders.orders") == 0
    async with database.transaction(POOLED, (), is_transport=True) as tx:
        assert await tx.connection.fetchval("SELECT count(*) FROM orders.orders") == 0


async def test_a_role_that_walls_do_not_bind_is_refused(
    postgres: EmbeddedPostgres, database_name: str
) -> None:
    pool = Database(postgres.admin_url(database_name), pool_max=2)
    with pytest.raises(Unavailable, match="bypasses row-level security"):
        await pool.open()


async def plant_row(connection: asyncpg.Connection, table: str, tenant: UUID) -> None:
    """Inserts one row with any value that each column takes, past every check."""
    schema, name = table.split(".")
    checks = await connection.fetch(
        "SELECT conname FROM pg_constraint WHERE conrelid = $1::regclass AND contype = 'c'",
        table,
    )
    for check in checks:
        await connection.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{check["conname"]}"')
    columns = await connection.fetch(
        "SELECT column_name AS name, udt_name AS type FROM information_schema.columns "
        "WHERE table_schema = $1 AND table_name = $2 AND is_generated = 'NEVER' "
        "AND is_identity = 'NO' AND (is_nullable = 'NO' OR column_name = 'tenant_id')",
        schema,
        name,
    )
    values = {
        "uuid": f"'{tenant}'", "text": "'x'", "varchar": "'x'", "citext": "'x'", "bool": "false",
        "timestamptz": "now()", "date": "now()", "json": "'{}'", "jsonb": "'{}'", "bytea": "''",
        "xid8": "'1'", "tsvector": "''", "_text": "'{}'", "_uuid": "'{}'", "_int4": "'{}'",
        "_int8": "'{}'",
    }  # fmt: skip
    names = ", ".join(f'"{c["name"]}"' for c in columns)
    given = ", ".join(values.get(c["type"], "1") for c in columns)
    await connection.execute(f"INSERT INTO {table} ({names}) VALUES ({given})")


async def test_no_statement_and_no_idle_transaction_is_without_its_end(database: Database) -> None:
    names = ("statement_timeout", "idle_in_transaction_session_timeout")
    for kind in ({}, {"is_read_only": True}, {"is_report": True}):
        async with database.transaction(POOLED, (), **kind) as tx:
            found = [await tx.connection.fetchval(f"SHOW {name}") for name in names]
        assert "0" not in found, kind
