"""The catalog, and the inventory that imports fill, behind HTTP on a real PostgreSQL."""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import msgspec
from litestar import Litestar
from litestar.datastructures import State

from serai.contexts.catalog import module as catalog_module
from serai.contexts.inventory import module as inventory_module
from serai.kernel import ids
from serai.kernel.actor import Actor
from serai.kernel.clock import ManualClock
from serai.kernel.db import Database
from serai.kernel.edge import edge
from serai.kernel.module import Finding, Module, Surroundings
from serai.kernel.problems import EXCEPTION_HANDLERS
from serai.kernel.tenant import POOLED, Home
from serai.kernel.web import Principal, Unauthenticated
from serai.settings import Settings

BEGIN = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
EVERYTHING = frozenset({"catalog:read", "catalog:write", "inventory:read", "inventory:write"})
READ_ONLY = frozenset({"catalog:read"})
BODY_BYTES_MAX = 2 * 1024 * 1024

FULL: dict[str, Any] = {
    "title": "Dune tent",
    "handle": "dune-tent",
    "description": "Two poles, no fuss.",
    "status": "published",
    "categories": ["Camp > Tents"],
    "facets": {"colour": ["sand", "indigo"], "material": ["canvas"]},
    "media": ["https://x.example/tent.png"],
    "option_names": ["Size"],
    "variants": [
        {
            "sku": "TENT S/1",
            "options": {"Size": "Small"},
            "prices": [
                {"currency": "USD", "amount_minor": 12900},
                {"currency": "JPY", "amount_minor": 19000},
            ],
            "barcode": "4006381333931",
            "media": ["https://x.example/small.png"],
        },
        {"sku": "TENT-L", "options": {"Size": "Large"}},
    ],
}  # fmt: skip


class OneHome:
    """A directory that knows the pooled home only."""

    async def home_of(self, tenant_id: UUID) -> Home:  # noqa: ARG002 - all live here
        return POOLED

    async def all_homes(self) -> Collection[Home]:
        return (POOLED,)

    async def tenants_of(self, home: Home) -> Collection[UUID]:  # noqa: ARG002 - none is known
        return ()


class Keyring:
    """Takes `<tenant>:rw` and `<tenant>:r` for keys of that tenant."""

    async def authenticate(self, token: str) -> Principal:
        tenant, _, rights = token.partition(":")
        if rights not in {"rw", "r"}:
            raise Unauthenticated("no such key")
        scopes = EVERYTHING if rights == "rw" else READ_ONLY
        return Principal(UUID(tenant), POOLED, Actor("key", ids.new_id()), scopes)


class CatalogHouse:
    """The catalog's routes as an application, with a client for each tenant."""

    def __init__(self, database: Database, *, body_bytes_max: int = BODY_BYTES_MAX) -> None:
        self.clock = ManualClock(BEGIN)
        database.clock = self.clock
        self.database = database
        s = Surroundings(database=database, homes=OneHome(), clock=self.clock, settings=Settings())
        self.module: Module = catalog_module.build(s)
        self.inventory: Module = inventory_module.build(s)
        self.app = Litestar(
            route_handlers=[*self.module.routes, *self.inventory.routes],
            exception_handlers=EXCEPTION_HANDLERS,
            middleware=[edge],
            request_max_body_size=body_bytes_max,
            state=State({"authenticator": Keyring()}),
            logging_config=None,
            openapi_config=None,
        )

    def transport(self) -> httpx.ASGITransport:
        """The way to the application, without a network."""
        app: Any = self.app
        return httpx.ASGITransport(app, raise_app_exceptions=False)

    def client(
        self,
        tenant: UUID,
        rights: str = "rw",
        *,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> httpx.AsyncClient:
        """An HTTP client with a key of the tenant."""
        return httpx.AsyncClient(
            transport=transport or self.transport(),
            base_url="http://catalog.test",
            headers={"authorization": f"Bearer {tenant}:{rights}"},
        )

    async def check(self, tenant: UUID) -> list[Finding]:
        """What all the catalog's invariants find."""
        async with self.database.transaction(POOLED, (tenant,), is_read_only=True) as tx:
            return [
                finding
                for check in (*self.module.checks, *self.inventory.checks)
                for finding in await check.run(tx, tenant)
            ]


def keyed(**headers: str) -> dict[str, str]:
    """Headers with a fresh idempotency key."""
    return {"idempotency-key": str(ids.new_id()), "content-type": "application/json", **headers}


async def post(client: httpx.AsyncClient, path: str, body: Any = None) -> httpx.Response:
    """Sends a body under a fresh key."""
    content = b"" if body is None else msgspec.json.encode(body)
    return await client.post(path, content=content, headers=keyed())


async def create(client: httpx.AsyncClient, body: Any) -> Any:
    """Creates a product that must be taken."""
    answer = await post(client, "/v1/products", body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def product(title: str, **more: Any) -> dict[str, Any]:
    """A published product with one variant for 12.50 USD, but for what is said otherwise."""
    sku = more.pop("sku", title.upper().replace(" ", "-"))
    price = more.pop("price", 1250)
    variant = {"sku": sku, "prices": [{"currency": "USD", "amount_minor": price}]}
    return {"title": title, "status": "published", "variants": [variant], **more}


async def leaf(client: httpx.AsyncClient, path: str, **query: str) -> list[Any]:
    """Every item of a list, page by page."""
    items: list[Any] = []
    cursor: str | None = None
    while True:
        more = {} if cursor is None else {"cursor": cursor}
        answer = await client.get(path, params={**query, **more})
        assert answer.status_code == 200, answer.text
        items += answer.json()["items"]
        cursor = answer.json()["next"]
        if cursor is None:
            return items
