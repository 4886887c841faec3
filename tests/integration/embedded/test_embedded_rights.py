"""The two roles, the database and its clones."""

import asyncio

import asyncpg
import pytest

from serai.kernel.embedded import EmbeddedError, EmbeddedPostgres
from tests.integration.embedded.ground import Make, ask


@pytest.mark.parametrize("role", ["serai_app", "serai_owner"])
async def test_neither_role_can_become_more_than_it_is(
    running: EmbeddedPostgres, role: str
) -> None:
    rights = """SELECT array[rolcanlogin, rolsuper, rolbypassrls, rolcreatedb, rolcreaterole,
                             rolreplication] FROM pg_roles WHERE rolname = current_user"""
    assert await ask(running.url("serai", role), rights) == [True, *[False] * 5]
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await ask(running.url("serai", role), f"ALTER ROLE {role} SUPERUSER", "SELECT 1")


async def test_the_app_role_sees_only_what_a_policy_shows_it(running: EmbeddedPostgres) -> None:
    await ask(
        running.owner_url(),
        "CREATE TABLE secrets AS SELECT generate_series(1, 9) AS tenant",
        "ALTER TABLE secrets ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY wall ON secrets USING (tenant = 4)",
        "GRANT SELECT ON secrets TO serai_app",
        "SELECT 1",
    )
    assert await ask(running.app_url(), "SELECT array_agg(tenant) FROM secrets") == [4]
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await ask(
            running.app_url(), "SET row_security = off", "SELECT array_agg(tenant) FROM secrets"
        )
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await ask(running.app_url(), "DROP TABLE secrets", "SELECT 1")
    assert await ask(running.owner_url(), "SELECT count(*) FROM secrets") == 9


async def test_rights_that_were_widened_are_put_right_at_the_next_start(make: Make) -> None:
    postgres = make()
    postgres.start()
    await ask(postgres.admin_url(), "ALTER ROLE serai_app SUPERUSER BYPASSRLS", "SELECT 1")
    postgres.start()
    rights = "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = 'serai_app'"
    assert await ask(postgres.admin_url(), rights) is False


async def test_the_owner_owns_the_database_and_may_make_what_search_needs(
    running: EmbeddedPostgres,
) -> None:
    owner = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'serai'"
    assert await ask(running.admin_url(), owner) == "serai_owner"
    similar = await ask(
        running.owner_url(), "CREATE EXTENSION pg_trgm", "SELECT similarity('mug', 'mug')"
    )
    assert similar == 1.0


async def test_statements_are_counted_where_the_library_is_there(
    running: EmbeddedPostgres,
) -> None:
    assert await ask(running.owner_url(), "SELECT count(*) > 0 FROM pg_stat_statements") is True


async def test_a_database_is_made_once_and_cloned_from_a_template(
    running: EmbeddedPostgres,
) -> None:
    running.create_database("shelf")
    await ask(running.owner_url("shelf"), "CREATE TABLE mugs AS SELECT 3 AS n", "SELECT 1")
    running.create_database("shelf")
    await asyncio.to_thread(running.create_database, "clone", template="shelf")
    assert await ask(running.owner_url("clone"), "SELECT n FROM mugs") == 3
    assert await ask(running.app_url("clone"), "SELECT current_user") == "serai_app"


@pytest.mark.parametrize("name", ["", "Shop", "a-b", 'x"; DROP DATABASE serai; --', "x" * 64])
async def test_a_name_that_needs_quoting_is_no_name_for_a_database(
    running: EmbeddedPostgres, name: str
) -> None:
    with pytest.raises(EmbeddedError, match="no name for a database"):
        running.create_database(name)
