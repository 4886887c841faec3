"""One embedded PostgreSQL a run; each test that commits gets a clone of a migrated template."""

import asyncio
import itertools
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import UUID

import pytest
from blockbuster import blockbuster_ctx
from hypothesis import settings

from serai.kernel import ids, migrate
from serai.kernel.db import Database
from serai.kernel.embedded import EmbeddedPostgres
from serai.kernel.tenant import POOLED
from serai.roles.schemas import find_migrations

TEMPLATE = "serai_template"

# A machine that is busy is no fault of the code: examples are bounded by number, not by time.
settings.register_profile("every_commit", max_examples=60, deadline=None)
settings.register_profile("thorough", max_examples=2_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "every_commit"))
_numbers = itertools.count()


@pytest.fixture(autouse=True, scope="session")
def _nothing_blocks_the_loop() -> Iterator[None]:
    """A call of ours that blocks while a loop runs fails its test: others would wait for it."""
    # The embedded server blocks by its own word; tests of it may call it, and we may not.
    with blockbuster_ctx("serai", excluded_modules=["serai.kernel.embedded"]) as blocking:
        # The sandbox's journal goes to the page cache, in microseconds: it says so at `append`.
        journal = blocking.functions["io.BufferedRandom.write"]
        journal.can_block_in("sandbox_journal.py", {"append"})
        for function in blocking.functions.values():
            # asyncpg looks for password and certificate files, once a connection.
            function.can_block_in("asyncpg/connect_utils.py", {"_parse_connect_arguments"})
            # A process reads the files that come with it before it serves anybody.
            function.can_block_in("serai/roles/composition.py", {"compose"})
        yield


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
