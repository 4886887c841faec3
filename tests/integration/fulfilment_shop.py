"""A shop with a single context in it, over HTTP and on real tables, and its query plans."""

import json
import re
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import asyncpg
import httpx
import msgspec
from litestar import Litestar
from litestar.datastructures import State

from serai.contexts.tenancy.contract import SCOPES
from serai.kernel import events, ids
from serai.kernel.actor import Actor
from serai.kernel.changes import Change, ChangesRecorded
from serai.kernel.clock import Clock, ManualClock
from serai.kernel.db import Database
from serai.kernel.edge import edge
from serai.kernel.events import Delivery
from serai.kernel.module import Hear, Module, Surroundings
from serai.kernel.pool import WalledConnection, session_settings
from serai.kernel.problems import EXCEPTION_HANDLERS
from serai.kernel.queries import Queries
from serai.kernel.seals import building as sealing
from serai.kernel.tenant import POOLED, Home
from serai.kernel.web import Principal, Unauthenticated
from serai.settings import Settings

PRIVACY_KEY = "A" * 43
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class SomeHomes:
    """The pooled home and the tenants that a test puts into it."""

    def __init__(self, tenants: Collection[UUID]) -> None:
        self.tenants = tenants

    async def home_of(self, tenant_id: UUID) -> Home:
        assert tenant_id in self.tenants
        return POOLED

    async def all_homes(self) -> Collection[Home]:
        return (POOLED,)

    async def tenants_of(self, home: Home) -> Collection[UUID]:
        assert home == POOLED
        return self.tenants


class Keys:
    """API keys of the form `<tenant> <scope> ...`; without scopes a key may do everything."""

    async def authenticate(self, token: str) -> Principal:
        tenant, *scopes = token.split()
        if not re.fullmatch(r"[0-9a-f-]{36}", tenant):
            raise Unauthenticated("no such key")
        actor = Actor("key", ids.new_id())
        return Principal(UUID(tenant), POOLED, actor, frozenset(scopes or SCOPES))


class NoTokens:
    """For notifications that write no mail about an account."""

    async def write_token(self, tenant_id: UUID, token_id: UUID) -> str:
        raise AssertionError(f"no mail here holds a token: {tenant_id} {token_id}")


class NamedHome:
    """Every tenant names https://shop.example, and has proven no domain."""

    async def allows(self, origin: str, tenant_id: UUID | None) -> bool:
        assert tenant_id is not None
        return origin == "https://shop.example"

    async def find_by_host(self, host: str) -> UUID | None:
        assert host
        return None


HOME = NamedHome()
PLACES: dict[str, Any] = {"pages": HOME, "find_by_host": HOME.find_by_host}


def surroundings(
    database: Database,
    *,
    tenants: Collection[UUID] = (),
    clock: Clock | None = None,
    settings: Settings | None = None,
) -> Surroundings:
    """What a module is built with."""
    database.seals = sealing.build(Settings(privacy_key=PRIVACY_KEY), database)
    return Surroundings(
        database, SomeHomes(tenants), clock or ManualClock(NOW), settings or Settings()
    )


def open_client(module: Module) -> httpx.AsyncClient:
    """The module's routes over HTTP, as they are put into an application."""
    app = Litestar(
        route_handlers=list(module.routes),
        exception_handlers=EXCEPTION_HANDLERS,
        middleware=[edge],
        state=State({"authenticator": Keys()}),
        logging_config=None,
    )
    assert app.openapi_schema.paths
    # The transport tells nothing of what the application raises: a client only sees answers.
    transport = httpx.ASGITransport(app=cast("Any", app), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://shop")


class Client:
    """A client with a tenant's key; a new idempotency key for each post unless it is given one."""

    def __init__(self, http: httpx.AsyncClient, key: object) -> None:
        self._http = http
        self._key = str(key)

    async def get(self, path: str, **query: Any) -> httpx.Response:
        return await self._http.get(path, params=query, headers=self._headers({}))

    async def post(
        self, path: str, body: Any = None, *, key: str | None = None, **more: str
    ) -> httpx.Response:
        headers = self._headers({"Idempotency-Key": key or ids.new_id().hex, **more})
        return await self._http.post(path, content=encode(body), headers=headers)

    async def post_keyless(self, path: str, body: Any) -> httpx.Response:
        return await self._http.post(path, content=encode(body), headers=self._headers({}))

    async def put(self, path: str, body: Any, **headers: str) -> httpx.Response:
        return await self._http.put(path, content=encode(body), headers=self._headers(headers))

    async def delete(self, path: str) -> httpx.Response:
        return await self._http.delete(path, headers=self._headers({}))

    def _headers(self, more: dict[str, str]) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self._key}", "Content-Type": "application/json", **more
        }  # fmt: skip


def encode(body: Any) -> bytes:
    """A body as it is sent: bytes as they are, anything else as JSON."""
    if body is None:
        return b""
    return body if isinstance(body, bytes) else json.dumps(body).encode()


def code_of(response: httpx.Response) -> tuple[int, str]:
    """Status and code of a refusal."""
    assert response.headers["content-type"].startswith("application/problem+json"), response.text
    return response.status_code, response.json()["code"]


async def hear(module: Module, database: Database, *deliveries: Delivery) -> list[msgspec.Struct]:
    """Gives deliveries of one type to a module's consumer; what it announced."""
    (consumer,) = module.consumers
    handler: Hear = consumer.hears[deliveries[0].type.model]  # type: ignore[assignment]
    async with database.transaction(POOLED, {d.tenant_id for d in deliveries}) as tx:
        await handler(deliveries, tx=tx, now=tx.now)
        return [announcement.event for announcement in tx.announced]


async def outbox(database: Database, tenant: UUID) -> list[msgspec.Struct]:
    """Everything that contexts ever announced for a tenant, in order; see `trail` for the rest."""
    async with database.transaction(POOLED, (tenant,), is_read_only=True) as tx:
        rows = await tx.connection.fetch("SELECT type, data FROM kernel.outbox ORDER BY xid, seq")
    told = [events.type_named(row["type"]).decoder.decode(row["data"]) for row in rows]
    return [event for event in told if not isinstance(event, ChangesRecorded)]


async def trail(database: Database, tenant: UUID) -> list[Change]:
    """Every change that was ever recorded for a tenant, in order."""
    async with database.transaction(POOLED, (tenant,), is_read_only=True) as tx:
        rows = await tx.connection.fetch(
            "SELECT data FROM kernel.outbox WHERE topic = 'audit' ORDER BY xid, seq"
        )
    decode = events.type_of(ChangesRecorded).decoder.decode
    return [change for row in rows for change in decode(row["data"]).changes]


async def assert_plans(url: str, queries: Queries, wanted: dict[str, Sequence[str]]) -> None:
    """The generic plan of each statement uses these index conditions and scans nothing whole."""
    connection = await asyncpg.connect(
        url,
        server_settings=session_settings(),
        connection_class=WalledConnection,
    )
    try:
        for name, conditions in wanted.items():
            text = queries.statements[name].text("")
            count = max(int(n) for n in re.findall(r"\$(\d+)", text))
            await connection.execute(f"PREPARE wanted AS {text}")
            nulls = ", ".join(["NULL"] * count)
            rows = await connection.fetch(f"EXPLAIN EXECUTE wanted ({nulls})")
            await connection.execute("DEALLOCATE wanted")
            plan = "\n".join(row[0] for row in rows)
            assert "Seq Scan" not in plan, f"{name}\n{plan}"
            for condition in conditions:
                assert condition in plan, f"{name}: {condition}\n{plan}"
            bare = re.findall(r"Index (?:Only )?Scan.*\n(?!\s+Index Cond)", plan)
            assert bare == [], f"{name}\n{plan}"
    finally:
        await connection.close()
