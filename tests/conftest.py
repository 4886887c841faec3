"""One embedded PostgreSQL a run; each test that commits gets a clone of a migrated template."""

import asyncio
import itertools
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import UUID

import pytest

from serai.kernel import ids, migrate
from serai.kernel.db import Database
from serai.kernel.embedded import EmbeddedPostgres
from serai.kernel.tenant import POOLED
from serai.roles.schemas import find_migrations

TEMPLATE = "serai_template"
_numbers = itertools.count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """A real server for this run, without durability: the machine's crash is not what is tested."""
    with tempfile.TemporaryDirectory(prefix="serai-test-") as folder:
        Path(folder).chmod(0o755)
        server = EmbeddedPostgres(Path(folder) / "pg", durable=False)
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")


@pytest.fixture(scope="session")
def template(postgres: EmbeddedPostgres) -> str:
    """A database with every migration applied, to be cloned."""
    postgres.create_database(TEMPLATE)
    asyncio.run(migrate.apply(postgres.owner_url(TEMPLATE), POOLED, find_migrations()))
    return TEMPLATE


@pytest.fixture
def database_name(postgres: EmbeddedPostgres, template: str) -> str:
    """A fresh clone of the template."""
    name = f"test_{next(_numbers)}"
    postgres.create_database(name, template=template)
    return name


@pytest.fixture
async def database(postgres: EmbeddedPostgres, database_name: str) -> AsyncIterator[Database]:
    """A pool on a fresh clone, as the walled role."""
    pool = Database(postgres.app_url(database_name), pool_max=8)
    await pool.open()
    yield pool
    await pool.close()


@pytest.fixture
def tenant() -> UUID:
    """A tenant in the pooled home."""
    return ids.new_id()
