"""One embedded PostgreSQL a run; each test that commits gets a clone of a migrated template."""

import asyncio
import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
from blockbuster import blockbuster_ctx
from hypothesis import settings

from serai.kernel import ids, migrate
from serai.kernel.db import Database
from serai.kernel.embedded import EmbeddedPostgres
from serai.kernel.embedded.rights import in_session
from serai.kernel.tenant import POOLED
from serai.roles.schemas import find_migrations

TEMPLATE = "serai_template"
DATABASES = "SELECT datname FROM pg_database"
MEMORY = Path("/dev/shm")
MEMORY_BYTES = 1 << 30
"""More than the server of one pytest process takes; a clone is 15 MB, in a thousand files."""

MAY_BLOCK = {
    # The journal goes to the page cache, in microseconds: it says so at `append`.
    "sandbox_journal.py": {"append"},
    # A process reads the files that come with it, and where it stands, before it serves anybody.
    "serai/roles/composition.py": {"compose"},
    "serai/roles/api.py": {"build_app"},
    "serai/roles/server.py": {"serve_app"},
    "serai/contexts/notifications/gateways/defaults.py": {"load_defaults"},
    "serai/settings.py": {"data_path"},
    # A time zone's file is small, and read once.
    "serai/contexts/billing/model.py": {"zone_of"},
    # Password and certificate files are looked for once a connection.
    "asyncpg/connect_utils.py": {"_parse_connect_arguments"},
    # The colourful log is for a person at a terminal; a process that serves writes JSON.
    "structlog/dev.py": {"__call__"},
}
"""Where a loop may be kept waiting, by the end of the file's path, and why."""

# A machine that is busy is no fault of the code: examples are bounded by number, not by time.
settings.register_profile("every_commit", max_examples=60, deadline=None)
settings.register_profile("thorough", max_examples=2_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "every_commit"))
_numbers = itertools.count()

LONG_FIRST = ("e2e", "browser", "integration", "simulation", "ports", "faults", "architecture")
"""Folders whose files take long, the longest first; then comes what is not named here."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files are given out in this order, so that no core waits at the end for another's long one.

    By itself xdist begins with the file of the most tests: the longest, a few tests of real
    processes, would come last. `make test` therefore says --no-loadscope-reorder.
    """
    root = Path(__file__).parent
    place = {folder: number for number, folder in enumerate(LONG_FIRST)}
    items.sort(key=lambda item: place.get(item.path.relative_to(root).parts[0], len(place)))


@pytest.fixture(autouse=True)
def _nothing_blocks_the_loop(request: pytest.FixtureRequest) -> Iterator[None]:
    """A call of ours that blocks while a loop runs fails its test: others would wait for it.

    Not in tests/e2e, whose processes have loops of their own: what runs there is their client.
    """
    if "e2e" in request.path.parts:
        yield
        return
    # The embedded server blocks by its own word; tests of it may call it, and we may not.
    with blockbuster_ctx("serai", excluded_modules=["serai.kernel.embedded"]) as blocking:
        for function in blocking.functions.values():
            for file, names in MAY_BLOCK.items():
                function.can_block_in(file, names)
        yield


@pytest.fixture(scope="session")
def memory() -> Path | None:
    """Where files lie in memory, if there is room: there a clone is made in a fifth of the time."""
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if not MEMORY.is_dir() or shutil.disk_usage(MEMORY).free < processes * MEMORY_BYTES:
        return None
    return MEMORY


@pytest.fixture(scope="session")
def postgres(memory: Path | None) -> Iterator[EmbeddedPostgres]:
    """A real server for this run, without durability: the machine's crash is not what is tested."""
    with tempfile.TemporaryDirectory(prefix="serai-test-", dir=memory) as folder:
        Path(folder).chmod(0o755)
        server = EmbeddedPostgres(Path(folder) / "pg", durable=False)
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")


@pytest.fixture
def passing(postgres: EmbeddedPostgres, memory: Path | None) -> Iterator[None]:
    """Drops the databases that come while a test runs, if they take up memory."""
    if memory is None:
        yield
        return
    kept: set[str] = set()

    async def look(connection: asyncpg.Connection) -> None:
        kept.update([row["datname"] for row in await connection.fetch(DATABASES)])

    async def drop(connection: asyncpg.Connection) -> None:
        for row in await connection.fetch(DATABASES):
            if row["datname"] not in kept:
                await connection.execute(f'DROP DATABASE "{row["datname"]}" WITH (FORCE)')

    in_session(postgres.admin_url(), look)
    yield
    in_session(postgres.admin_url(), drop)


@pytest.fixture(scope="session")
def template(postgres: EmbeddedPostgres) -> str:
    """A database with every migration applied, to be cloned."""
    postgres.create_database(TEMPLATE)
    asyncio.run(migrate.apply(postgres.owner_url(TEMPLATE), POOLED, find_migrations()))
    return TEMPLATE


@pytest.fixture
def database_name(postgres: EmbeddedPostgres, template: str, passing: None) -> str:
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
