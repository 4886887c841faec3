"""Drains a backlog of mails over SMTP to a server of its own, with and without going on at once.

python -m tests.e2e.mail_backlog --mails 20000
"""

import argparse
import asyncio
import dataclasses
import json
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from uuid import UUID

from serai.cli.bench.shop import HOST, free_port, fresh_postgres
from serai.contexts.notifications import handlers
from serai.contexts.notifications import module as notifications
from serai.contexts.notifications.model.messages import Contact, Facts, Message
from serai.contexts.notifications.store import PostgresMessages
from serai.kernel import ids, migrate
from serai.kernel.clock import SystemClock
from serai.kernel.db import Database
from serai.kernel.module import Job
from serai.kernel.scheduler import run_jobs
from serai.kernel.tenant import POOLED
from serai.roles.schemas import find_migrations
from serai.settings import Settings
from tests.integration.fulfilment_shop import PLACES, NoTokens, surroundings

BEAT_BY_BEAT_S = 15.0
"""How long it is sent as before: a chunk a beat, however much there is."""
PUT_CHUNK = 1_000
OLD = timedelta(hours=2)


async def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mails", type=int, default=20_000)
    given = parser.parse_args()
    tenant = ids.new_id()
    async with fresh_postgres(None) as postgres, serve_mail() as port:
        await migrate.apply(postgres.owner_url(), POOLED, find_migrations())
        database = Database(postgres.app_url(), pool_max=10)
        await database.open()
        around = surroundings(
            database, tenants=[tenant], clock=SystemClock(),
            settings=Settings(smtp_url=f"smtp://{HOST}:{port}"),
        )  # fmt: skip
        job, _ = notifications.build(around, tokens=NoTokens(), **PLACES).jobs
        await put(database, tenant, given.mails)
        slow = dataclasses.replace(job, chunk=handlers.SEND_CHUNK + 1)
        sent, seconds = await work(database, tenant, slow, around.homes, seconds=BEAT_BY_BEAT_S)
        all_sent, all_seconds = await work(database, tenant, job, around.homes, seconds=None)
        await database.close()
    before, after = sent / seconds, all_sent / all_seconds
    print(json.dumps({  # noqa: T201 - what it is for
        "mails": given.mails, "beat_by_beat_per_s": round(before, 1), "per_s": round(after, 1),
        "ratio": round(after / before, 1), "seconds_for_the_rest": round(all_seconds, 1),
    }))  # fmt: skip


@asynccontextmanager
async def serve_mail() -> AsyncIterator[int]:
    """A mail server in a process of its own that takes everything and keeps nothing."""
    port = free_port()
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "aiosmtpd", "-n", "-l", f"{HOST}:{port}",
        "-c", "aiosmtpd.handlers.Sink",
    )  # fmt: skip
    try:
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection(HOST, port)
                writer.close()
                break
            await asyncio.sleep(0.05)
        yield port
    finally:
        server.terminate()
        await server.wait()


async def put(database: Database, tenant: UUID, mails: int) -> None:
    """Queues mails that have been due for long."""
    queue = PostgresMessages()
    at = SystemClock().now() - OLD
    for start in range(0, mails, PUT_CHUNK):
        orders = [ids.new_id() for _ in range(min(PUT_CHUNK, mails - start))]
        contacts = [Contact(tenant, o, f"c{o.hex}@example.org", "GBP", 900) for o in orders]
        facts = Facts(amount_minor=900, currency="GBP", units=1, lines=(("MUG", 1),))
        messages = [
            Message(tenant, ids.new_id(), order, "order_confirmed", facts, at, at)
            for order in orders
        ]
        async with database.transaction(POOLED, (tenant,)) as tx:
            await queue.insert_contacts(contacts, tx=tx)
            await queue.insert(messages, tx=tx)


async def work(
    database: Database, tenant: UUID, job: Job, homes: object, *, seconds: float | None
) -> tuple[int, float]:
    """Runs the job as a process does, for so long or until all are sent; how many, how long."""
    stop, before, began = asyncio.Event(), await count(database, tenant), time.perf_counter()
    jobs: Sequence[Job] = [job]
    running = asyncio.create_task(
        run_jobs(jobs, database=database, homes=homes, clock=SystemClock(), stop=stop)  # type: ignore[arg-type]
    )
    while before if seconds is None else time.perf_counter() - began < seconds:
        await asyncio.sleep(0.5)
        if seconds is None and not await count(database, tenant):
            break
    stop.set()
    await running
    return before - await count(database, tenant), time.perf_counter() - began


async def count(database: Database, tenant: UUID) -> int:
    """How many are left."""
    async with database.transaction(POOLED, (tenant,), is_read_only=True) as tx:
        left: int = await tx.connection.fetchval(
            "SELECT count(*) FROM notifications.messages WHERE tenant_id = $1 "
            "AND status IN ('queued', 'sending')",
            tenant,
        )
    return left


if __name__ == "__main__":
    asyncio.run(main())
