"""Where the walled role may call `set_config`, the operator is told the line that mends it."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from serai.kernel.embedded import EmbeddedPostgres
from tests.e2e.processes import Done, serai

LINE = "REVOKE EXECUTE ON FUNCTION pg_catalog.set_config(text, text, boolean) FROM PUBLIC"


def administer(url: str, text: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(url)
        await connection.execute(text)
        await connection.close()

    asyncio.run(run())


@pytest.mark.parametrize("words", [("migrate", "up"), ("check",)])
def test_it_is_warned_of_until_an_administrator_has_run_the_line(
    postgres: EmbeddedPostgres, database_name: str, tmp_path: Path, words: tuple[str, ...]
) -> None:
    def run(*more: str) -> Done:
        return serai(
            *words, *more, cwd=tmp_path, database_url=postgres.owner_url(database_name),
            database_app_url=postgres.app_url(database_name), data_dir=str(tmp_path),
        )  # fmt: skip

    admin = postgres.admin_url(database_name)
    assert LINE not in run().err
    administer(
        admin, "GRANT EXECUTE ON FUNCTION pg_catalog.set_config(text, text, boolean) TO PUBLIC"
    )
    warned = run()
    assert (warned.code, "database main" in warned.err) == (0, True)
    assert LINE in " ".join(warned.err.split())
    if words == ("check",):
        (said,) = run("--json").document["warnings"]
        assert LINE in said
    administer(admin, LINE)
    assert LINE not in run().err
