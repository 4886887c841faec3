"""`serai audit` as scripts use it: one JSON document, exit codes, the first broken entry named."""

import asyncio
from pathlib import Path
from typing import Any

import asyncpg

from serai.kernel.db import Database
from serai.kernel.embedded import EmbeddedPostgres
from tests.e2e.processes import Done, serai
from tests.integration.audited_shop import make_products, open_shop


async def test_a_trail_is_verified_its_head_is_told_and_tampering_exits_with_1(
    postgres: EmbeddedPostgres, database_name: str, database: Database, tmp_path: Path
) -> None:
    async for shop in open_shop(database, tmp_path):
        await make_products(shop, 3)

    async def run(*words: str) -> Done:
        url = postgres.admin_url(database_name)
        return await asyncio.to_thread(
            serai, *words, cwd=tmp_path, database_url=url, data_dir=str(tmp_path / "data")
        )

    whole = await run("audit", "verify", "--json")
    assert whole.code == 0, whole.err
    (trail,) = whole.document["trails"]
    assert (trail["tenant"], trail["verdict"]["broken"]) == ("house", None)
    entries: int = trail["verdict"]["entries"]
    head: dict[str, Any] = trail["verdict"]["head"]
    assert head["seq"] == entries > 5
    told = await run("audit", "head", "--tenant", "house")
    assert told.out.split() == ["house", f"{entries}:{head['hash']}"]
    held = ["--tenant", "house", "--head", told.out.split()[1]]
    assert (await run("audit", "verify", *held)).code == 0
    for wrong in (["--head", told.out.split()[1]], ["--tenant", "house", "--head", "7:abc"]):
        assert (await run("audit", "verify", *wrong)).code == 1

    connection = await asyncpg.connect(postgres.admin_url(database_name))
    await connection.execute("DELETE FROM audit.entries WHERE seq = $1", entries)
    cut = await run("audit", "verify", *held, "--json")
    assert (cut.code, cut.document["is_whole"]) == (1, False)
    await connection.execute("UPDATE audit.entries SET action = 'nothing' WHERE seq = 2")
    broken = await run("audit", "verify")
    assert broken.code == 1
    assert "house: entry 2: what it says is not what was hashed" in broken.out
    await connection.close()
