"""A scheduler that is killed while it collects an invoice: the money is taken once all the same."""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import asyncpg
import httpx
import msgspec
import pytest

from serai.contexts.billing.handlers import put_card
from serai.contexts.billing.model import RETRY_UNKNOWN
from serai.contexts.billing.store import PostgresBooks
from serai.contexts.payments.gateways import sandbox_cards as cards
from serai.contexts.payments.gateways.sandbox_wire import BookLine, BookPage
from serai.contexts.tenancy.contract import SCOPES
from serai.kernel import ids
from serai.kernel.clock import ManualClock
from serai.kernel.db import Database
from serai.kernel.embedded import EmbeddedPostgres
from serai.kernel.events import Cause
from serai.kernel.tenant import POOLED
from serai.roles.composition import compose
from serai.settings import Settings
from tests.e2e.processes import environment, wait_until
from tests.ports.payment_settings import SandboxProcess

PLANS: Final = '[{"name": "dear", "currency": "USD", "monthly_minor": 9100}]'
LONG_AGO: Final = timedelta(days=40)


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[SandboxProcess]:
    """A provider that takes the money and does not say so; its book outlives it."""
    server = SandboxProcess("--timeout-hold-s", "60", "--journal", str(tmp_path / "book.jsonl"))
    server.start()
    yield server
    server.kill()


async def owe(database: Database, settings: Settings) -> None:
    """A tenant with an invoice of a month that is over, whose money is due now."""
    clock = ManualClock(datetime.now(UTC) - LONG_AGO)
    database.clock = clock
    await database.open()
    try:
        house = compose(settings, database, clock=clock)
        issued = await house.tenancy.create_tenant("acme", scopes=SCOPES)
        tenant_id = issued.tenant.id
        await house.billing.assign_plan(tenant_id, POOLED, plan="dear", zone=None)
        async with database.transaction(POOLED, (tenant_id,)) as tx:
            await put_card(
                tenant_id, cards.SILENT_APPROVED, Cause(ids.new_id()), tx=tx, books=PostgresBooks()
            )
        clock.advance(LONG_AGO)
        (close,) = [job for job in house.jobs if job.name == "billing.close"]
        assert await close.run(database, POOLED, clock) == 1
        await house.close()
    finally:
        await database.close()


def book_of(provider: SandboxProcess) -> list[BookLine]:
    answer = httpx.get(f"{provider.url}/v1/book", trust_env=False)
    return msgspec.json.decode(answer.content, type=BookPage).charges


def invoices(url: str) -> list[dict[str, Any]]:
    """The rows of all invoices, as the server's owner sees them."""

    async def read() -> list[dict[str, Any]]:
        connection = await asyncpg.connect(url)
        try:
            rows = await connection.fetch("SELECT * FROM billing.invoices")
        finally:
            await connection.close()
        return [dict(row) for row in rows]

    return asyncio.run(read())


@contextlib.contextmanager
def scheduler(folder: Path, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """A `serai scheduler`; it is killed at the end, as kill -9 does."""
    with (folder / "scheduler.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "serai", "scheduler"],
            env=environment(**settings), cwd=folder, stdin=subprocess.DEVNULL, stdout=log,
            stderr=log,
        )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


@pytest.mark.parametrize("is_provider_killed", [False, True])
def test_a_scheduler_killed_in_the_middle_of_collecting_charges_once(
    postgres: EmbeddedPostgres, database_name: str, tmp_path: Path, provider: SandboxProcess,
    is_provider_killed: bool,  # noqa: FBT001 - a parameter of the test
) -> None:  # fmt: skip
    plans = tmp_path / "plans.json"
    plans.write_text(PLANS)
    given: dict[str, Any] = {
        "plans": str(plans),
        "payment_provider": provider.url,
        "data_dir": str(tmp_path),
    }
    asyncio.run(owe(Database(postgres.app_url(database_name), pool_max=4), Settings(**given)))
    url = postgres.admin_url(database_name)
    [before] = invoices(url)
    assert (before["status"], before["card"], before["attempt"]) == ("open", None, 1)
    total = before["total_minor"]
    assert total > 0

    settings = {
        **given, "database_app_url": postgres.app_url(database_name), "payment_timeout_s": "60",
    }  # fmt: skip
    with scheduler(tmp_path, **settings):
        # The provider has taken the money; the answer is out for a minute, in which we are killed.
        wait_until(lambda: len(book_of(provider)) == 1, "the provider was asked")
    if is_provider_killed:
        provider.kill()
        provider.start()
    [asked] = invoices(url)
    assert (asked["status"], asked["card"]) == ("open", cards.SILENT_APPROVED)
    assert [line.captured_minor for line in book_of(provider)] == [total]

    later = str((RETRY_UNKNOWN + timedelta(minutes=1)).total_seconds())
    with scheduler(tmp_path, **settings, clock_offset_s=later):
        wait_until(lambda: invoices(url)[0]["status"] != "open", "the invoice is settled")
    [paid] = invoices(url)
    assert (paid["status"], paid["attempt"], paid["card"]) == ("paid", 1, None)
    assert [line.captured_minor for line in book_of(provider)] == [total]
