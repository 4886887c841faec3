"""The whole API in this process, a key that takes signed requests only, and who signs for it."""

import dataclasses
import secrets
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from http_message_signatures import HTTPMessageSigner, MappingKeyResolver, algorithms

from serai.contexts.tenancy import model
from serai.contexts.tenancy.contract import SCOPES
from serai.kernel import express
from serai.kernel.db import Database
from serai.roles.api import build_app
from serai.settings import Settings
from tests.integration.house import House

BASE = "http://shop.test"
ORDER = b'{"currency":"USD","lines":[{"sku":"tent","quantity":1}]}'
COVERED = (
    "@method", "@target-uri", "authorization", "content-type", "idempotency-key", "if-match",
)  # fmt: skip


def pem_of(private: Ed25519PrivateKey) -> str:
    """The public key, as a tenant registers it."""
    public = private.public_key()
    return public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()


class Signatory:
    """An API key and the private key of its signer; signs requests as a good client does."""

    def __init__(self, key: str, key_id: str, private: Any) -> None:
        self.key = key
        self.key_id = key_id
        self.private = private

    def sign(
        self,
        request: httpx.Request,
        *,
        at: datetime,
        covered: Sequence[str] | None = None,
        **given: Any,
    ) -> httpx.Request:
        """The request, signed at a moment; `given` replaces what a good client says."""
        if covered is None:
            covered = [n for n in COVERED if n.startswith("@") or n in request.headers]
        said: dict[str, Any] = {
            "key_id": self.key_id, "created": at, "nonce": secrets.token_urlsafe(16),
            "body": request.content or None, "covered_component_ids": covered, **given,
        }  # fmt: skip
        algorithm = said.pop("algorithm", algorithms.ED25519)
        keys = MappingKeyResolver(public_keys={}, private_keys={said["key_id"]: self.private})
        signer = HTTPMessageSigner(signature_algorithm=algorithm, key_resolver=keys)
        signer.sign(request, **said)
        return request


@dataclasses.dataclass(frozen=True)
class SigningShop:
    """Both ways into one house, and a signatory of each of two tenants."""

    house: House
    app: Any
    http: httpx.AsyncClient
    """The short way where a route has one, as a running API answers."""
    long: httpx.AsyncClient
    staff: str
    """A key that asks for nothing but itself."""
    one: Signatory
    two: Signatory

    @property
    def now(self) -> datetime:
        return self.house.clock.now()

    def request(
        self, method: str, path: str, body: bytes = b"", *, who: Signatory | None = None,
        **headers: str,
    ) -> httpx.Request:  # fmt: skip
        """A request that is not signed yet."""
        sent = {"authorization": f"Bearer {(who or self.one).key}"}
        if method != "GET":
            sent["idempotency-key"] = secrets.token_hex(8)
        if body:
            sent["content-type"] = "application/json"
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.Request(method, f"{BASE}{path}", content=body, headers=sent)

    def signed(self, method: str, path: str, body: bytes = b"", **given: Any) -> httpx.Request:
        """A request that is signed now by the first tenant's signatory."""
        at = self.now + given.pop("later", timedelta())
        return self.one.sign(self.request(method, path, body), at=at, **given)

    async def count(self) -> tuple[int, ...]:
        """How many orders, API keys and nonces the tenant has."""
        [row] = await self.house.rows(
            "SELECT (SELECT count(*) FROM orders.orders) AS orders, "
            "(SELECT count(*) FROM tenancy.api_keys) AS keys, "
            "(SELECT count(*) FROM tenancy.signature_nonces) AS nonces"
        )
        return tuple(row.values())


def client_of(app: Any) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url=BASE)


async def make_signatory(house: House, tenant: UUID, key: str, app: Any) -> Signatory:
    """A key of the tenant with all scopes, made over HTTP with a signer."""
    private = Ed25519PrivateKey.generate()
    async with client_of(app) as http:
        answer = await http.post(
            "/v1/api-keys",
            headers={"Authorization": f"Bearer {key}"},
            json={"scopes": list(SCOPES), "label": "till", "signer": pem_of(private)},
        )
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert made["signer"] == pem_of(private)
    address = model.address_of(made["key"])
    assert address is not None
    assert address.tenant_id == tenant
    return Signatory(made["key"], made["id"], private)


async def open_signing_shop(
    database: Database, folder: Path, **given: Any
) -> AsyncIterator[SigningShop]:
    """A shop with tents on its shelf."""
    house = await House(database, folder, **given).open()
    await house.offer("tent")
    await house.receive(tent=100)
    tenancy = house.composition.tenancy
    staff = await tenancy.create_key(house.tenant, label="staff", scopes=SCOPES)
    other = await tenancy.create_tenant("second", scopes=SCOPES)
    app: Any = build_app(Settings(**given), house.composition)
    one = await make_signatory(house, house.tenant, staff.key, app)
    two = await make_signatory(house, other.tenant.id, other.key.key, app)
    short = express.shorten(app, body_bytes_max=1 << 20)
    async with client_of(short) as http, client_of(app) as long:
        yield SigningShop(house, app, http, long, staff.key, one, two)
    await house.composition.close()
