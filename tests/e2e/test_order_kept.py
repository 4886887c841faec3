"""Workers that are killed, paused and cut off keep the order of every key, once in effect."""

import asyncio
import contextlib
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from serai.kernel import ids
from serai.kernel.db import Database
from serai.kernel.embedded import EmbeddedPostgres
from serai.kernel.events import Cause
from serai.kernel.leases import LEASE_S
from serai.kernel.tenant import POOLED
from tests.e2e.processes import ROOT, environment
from tests.e2e.recorder import TABLE, NumberTold

KEYS = 24
TELL_EVERY_S = 0.02
PAUSED_S = LEASE_S + 1.0
STEP_S = 0.7
SETTLE_TIMEOUT_S = 30.0


class Recorders:
    """Recording workers on one database."""

    def __init__(self, app_url: str, folder: Path) -> None:
        self._app_url = app_url
        self._log = (folder / "recorders.log").open("ab")
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        self.running.append(
            subprocess.Popen(
                [sys.executable, "-m", "tests.e2e.recorder", self._app_url],
                cwd=ROOT, env=environment(), stdin=subprocess.DEVNULL,
                stdout=self._log, stderr=self._log,
            )
        )  # fmt: skip

    def kill_oldest(self) -> None:
        process = self.running.pop(0)
        process.kill()
        process.wait(10)

    def stop(self) -> None:
        for process in self.running:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in self.running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait(10)
        self._log.close()


@pytest.fixture
def recorders(
    postgres: EmbeddedPostgres, database_name: str, tmp_path: Path
) -> Iterator[Recorders]:
    started = Recorders(postgres.app_url(database_name), tmp_path)
    yield started
    started.stop()


async def tell(database: Database, tenant: UUID, keys: list[UUID], stop: asyncio.Event) -> int:
    """Tells every key its next number, again and again; how many each was told."""
    number = 0
    while not stop.is_set():
        async with database.transaction(POOLED, (tenant,)) as tx:
            for key in keys:
                tx.announce(tenant, NumberTold(key, number), Cause(ids.new_id()))
        number += 1
        await asyncio.sleep(TELL_EVERY_S)
    return number


async def hurt(recorders: Recorders, owner: asyncpg.Connection, *, spared: list[int]) -> None:
    """Kills one amid its batches, pauses one beyond its leases, cuts off all but `spared`."""
    for _ in range(2):
        await asyncio.sleep(STEP_S)
        recorders.kill_oldest()
        recorders.start()
    await asyncio.sleep(STEP_S)
    for paused in tuple(recorders.running):
        paused.send_signal(signal.SIGSTOP)
        await asyncio.sleep(PAUSED_S)
        paused.send_signal(signal.SIGCONT)
        await asyncio.sleep(STEP_S)
    cut = set(await sessions(owner)) - set(spared)
    for pid in cut:
        await owner.execute("SELECT pg_terminate_backend($1)", pid)
    assert len(cut) >= 4
    await asyncio.sleep(STEP_S)


async def sessions(owner: asyncpg.Connection) -> list[int]:
    """The server's processes of our connections."""
    return [
        row["pid"]
        for row in await owner.fetch(
            "SELECT pid FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = 'serai'"
        )
    ]


async def test_every_key_is_heard_once_and_in_order(
    recorders: Recorders, postgres: EmbeddedPostgres, database: Database, database_name: str,
    tenant: UUID,
) -> None:  # fmt: skip
    owner = await asyncpg.connect(postgres.admin_url(database_name))
    await owner.execute(TABLE)
    keys = [ids.new_id() for _ in range(KEYS)]
    stop = asyncio.Event()
    spared = await sessions(owner)
    recorders.start()
    recorders.start()
    telling = asyncio.create_task(tell(database, tenant, keys, stop))
    await hurt(recorders, owner, spared=spared)
    stop.set()
    told = await telling
    async with asyncio.timeout(SETTLE_TIMEOUT_S):
        while await owner.fetchval("SELECT count(*) FROM recorded") < told * KEYS:
            await asyncio.sleep(0.05)
    heard: dict[UUID, list[int]] = defaultdict(list)
    for row in await owner.fetch("SELECT key, number FROM recorded ORDER BY place"):
        heard[row["key"]].append(row["number"])
    await owner.close()
    assert told > 100
    assert {key: numbers for key, numbers in heard.items() if numbers != list(range(told))} == {}
    assert set(heard) == set(keys)
