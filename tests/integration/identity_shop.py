"""Processes with identity, as applications over one real database, and mails that can be read."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx

from serai.contexts.tenancy.contract import SCOPES
from serai.kernel.db import Database
from serai.kernel.tenant import POOLED
from serai.roles.api import build_app
from serai.roles.composition import Composition, compose
from serai.settings import Settings
from tests.integration.house import QUICK

PASSWORD = "seven brass lanterns"
NEXT_PASSWORD = "a quiet blue harbour"


def settings_of(folder: Path, **given: Any) -> Settings:
    return Settings(**{"data_dir": str(folder), **QUICK, **given})


class Shop:
    """One process of an installation, and its tenants."""

    def __init__(self, composition: Composition, http: httpx.AsyncClient) -> None:
        self.house = composition
        self.http = http
        self.tenants: dict[str, UUID] = {}
        self.keys: dict[str, str] = {}

    async def add_tenant(self, name: str) -> UUID:
        """A tenant with an API key that may do everything."""
        issued = await self.house.tenancy.create_tenant(name, scopes=SCOPES)
        self.tenants[name] = issued.tenant.id
        self.keys[name] = issued.key.key
        return UUID(str(issued.tenant.id))

    async def post(self, path: str, body: Any, *, tenant: str = "acme") -> httpx.Response:
        """An open call."""
        return await self.http.post(path, json=body, headers={"Serai-Tenant": tenant})

    async def call(self, method: str, path: str, token: str, body: Any = None) -> httpx.Response:
        """A call of who has a token or a key."""
        headers = {"Authorization": f"Bearer {token}"}
        return await self.http.request(method, path, json=body, headers=headers)

    async def events(self, name: str, *, tenant: str = "acme") -> list[dict[str, Any]]:
        """What was announced under a name, oldest first."""
        tenant_id = self.tenants[tenant]
        async with self.house.database.transaction(POOLED, (tenant_id,)) as tx:
            rows = await tx.connection.fetch(
                "SELECT data FROM kernel.outbox WHERE type = $1 AND tenant_id = $2 "
                "ORDER BY xid, seq",
                f"identity.{name}.v1", tenant_id,
            )  # fmt: skip
        return [json.loads(row["data"]) for row in rows]

    async def mailed(self, name: str, *, tenant: str = "acme") -> str:
        """The token in the latest mail of a kind."""
        latest = (await self.events(name, tenant=tenant))[-1]
        token: str = await self.house.identity.write_token(
            self.tenants[tenant], UUID(latest["token_id"])
        )
        return token

    async def register(
        self, email: str, password: str = PASSWORD, *, tenant: str = "acme"
    ) -> dict[str, Any]:
        """A customer whose address is shown to be hers."""
        body = {"email": email, "password": password, "name": "A Buyer"}
        assert (await self.post("/v1/customers", body, tenant=tenant)).status_code == 202
        token = await self.mailed("registration_requested", tenant=tenant)
        shown = {"token": token, "password": password}
        answer = await self.post("/v1/customers/verifications", shown, tenant=tenant)
        assert answer.status_code == 201, answer.text
        account: dict[str, Any] = answer.json()
        return account

    async def sign_in(
        self, email: str, password: str = PASSWORD, *, tenant: str = "acme", kind: str = "customer"
    ) -> dict[str, Any]:
        """The tokens of a new session."""
        body = {"email": email, "password": password, "kind": kind}
        answer = await self.post("/v1/sessions", body, tenant=tenant)
        assert answer.status_code == 201, answer.text
        given: dict[str, Any] = answer.json()
        return given

    async def hire(self, email: str, *roles: str, tenant: str = "acme") -> str:
        """A member of the staff who has signed in; her access token."""
        invited = await self.house.identity.invite_staff(
            self.tenants[tenant], email=email, name="A Member", roles=roles
        )
        body = {"token": invited.token, "password": PASSWORD}
        answer = await self.post("/v1/password-resets/confirmations", body, tenant=tenant)
        assert answer.status_code == 204, answer.text
        given = await self.sign_in(email, tenant=tenant, kind="staff")
        return str(given["access_token"])


@contextlib.asynccontextmanager
async def open_shop(
    database: Database,
    folder: Path,
    *,
    is_watching: bool = True,
    peer: str = "127.0.0.1",
    **given: Any,
) -> AsyncIterator[Shop]:
    """One process that `peer` calls; with `is_watching` it is told what others change."""
    composition = compose(settings_of(folder, **given), database)
    app: Any = build_app(composition.surroundings.settings, composition)
    watching = asyncio.create_task(composition.identity.watch()) if is_watching else None
    if watching is not None:
        await asyncio.wait_for(composition.identity.watching.wait(), 5)
    transport = httpx.ASGITransport(app, client=(peer, 40_000))
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://shop.test") as http:
            yield Shop(composition, http)
    finally:
        if watching is not None:
            watching.cancel()
        await composition.close()


def code_of(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a refusal."""
    return answer.status_code, str(answer.json().get("code"))
