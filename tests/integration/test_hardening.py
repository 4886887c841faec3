"""What every answer says to browsers, which pages of other origins may read it, and TLS itself."""

import asyncio
import base64
import hashlib
import re
import ssl
import warnings
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from litestar import Litestar

from serai.contexts.identity.contract import TENANT_HEADER
from serai.contexts.tenancy.contract import SCOPES
from serai.contexts.tenancy.gateways.origins import KEPT_MAX, VALID_S, KnownOrigins
from serai.contexts.tenancy.store import PostgresOrigins
from serai.kernel import express
from serai.kernel.db import Database
from serai.kernel.edge import PREFLIGHT
from serai.roles.api import build_app
from serai.roles.html import policy_of
from serai.roles.server import serve_app
from serai.settings import Settings, SettingsError
from tests.e2e.certificates import make_certificate
from tests.e2e.processes import free_ports
from tests.integration.fulfilment_shop import Client, code_of
from tests.integration.house import House

SHOP = "https://shop.example"
OTHER = "https://other.example"
ALLOWED = "access-control-allow-origin"
ORDER = b'{"currency":"USD","lines":[{"sku":"tent","quantity":1}]}'


class Both(NamedTuple):
    """One installation with two tenants, asked as browsers ask."""

    house: House
    app: Litestar
    http: httpx.AsyncClient
    one: str
    two: str


@pytest.fixture
async def both(database: Database, tmp_path: Path) -> AsyncIterator[Both]:
    house = await House(database, tmp_path).open()
    tenancy = house.composition.tenancy
    one = await tenancy.create_key(house.tenant, label="", scopes=SCOPES)
    two = (await tenancy.create_tenant("second", scopes=SCOPES)).key
    app = build_app(Settings(tls_in_front=True), house.composition)
    short: Any = express.shorten(app, body_bytes_max=1 << 20)
    transport = httpx.ASGITransport(app=short, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as http:
        yield Both(house, app, http, one.key, two.key)
    await house.composition.close()


async def name_origins(both: Both, key: str, *origins: str) -> httpx.Response:
    return await Client(both.http, key).put("/v1/tenant/origins", {"origins": list(origins)})


def bearer(key: str, **more: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}", **more}


@pytest.mark.parametrize(
    ("method", "path", "is_open"),
    [("GET", "/", True), ("GET", "/docs", True), ("GET", "/livez", True),
     ("GET", "/schema/openapi.json", True), ("GET", "/nowhere", False),
     ("DELETE", "/v1/orders", False), ("GET", "/v1/orders", False), ("POST", "/v1/orders", False),
     ("GET", "/v1/tenant", False), ("OPTIONS", "/v1/orders", False)],
)  # fmt: skip
async def test_every_answer_has_its_headers_whoever_gives_it(
    both: Both,
    method: str,
    path: str,
    is_open: bool,  # noqa: FBT001
) -> None:
    answer = await both.http.request(method, path, headers=bearer(both.one))
    headers = answer.headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["strict-transport-security"] == "max-age=31536000"
    assert headers["x-request-id"]
    assert "Origin" in headers["vary"]
    assert headers["cross-origin-resource-policy"] == ("cross-origin" if is_open else "same-origin")
    assert headers.get("cache-control") == (None if is_open else "no-store")
    assert len(headers.get_list("cache-control")) <= 1
    if headers.get("content-type") == "application/problem+json":
        assert answer.json()["request_id"] == headers["x-request-id"]
    else:
        assert answer.status_code < 300


async def test_both_ways_to_an_order_have_the_same_headers(both: Both) -> None:
    long: Any = both.app
    transport = httpx.ASGITransport(app=long, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as other:
        headers = bearer(both.one, **{"Content-Type": "application/json", "Idempotency-Key": "a"})
        answers = [
            await client.post("/v1/orders", content=ORDER, headers=headers)
            for client in (both.http, other)
        ]
    names = [sorted(name for name, _ in answer.headers.multi_items()) for answer in answers]
    assert names[0] == names[1]
    assert "cache-control" in names[0]


async def test_without_tls_nobody_is_told_to_insist_on_it(both: Both) -> None:
    app: Any = build_app(Settings(), both.house.composition)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as http:
        assert "strict-transport-security" not in (await http.get("/docs")).headers


@pytest.mark.parametrize("path", ["/", "/docs"])
async def test_a_page_may_run_its_own_script_and_no_other(both: Both, path: str) -> None:
    answer = await both.http.get(path)
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'; ")
    assert "frame-ancestors 'none'" in policy
    for kind in ("script", "style"):
        for inside in re.findall(rf"<{kind}[^>]*>(.*?)</{kind}>", answer.text, re.DOTALL):
            digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
            assert f"{kind}-src 'sha256-{digest}'" in policy
    # What hashes do not let in: handlers and styles in attributes, and what lies elsewhere.
    assert re.findall(r"<[^>]+\s(?:on\w+|style|src)=", answer.text) == []
    assert "script-src" not in policy_of(b"<p>no script</p>")


async def test_an_origin_reads_the_answers_of_the_tenant_that_names_it(both: Both) -> None:
    named = await name_origins(both, both.one, SHOP, "http://localhost:3000", SHOP)
    assert named.json() == {"origins": ["http://localhost:3000", SHOP]}
    listed = await Client(both.http, both.one).get("/v1/tenant/origins")
    assert listed.json() == named.json()
    for path in ("/v1/orders", "/v1/tenant", "/v1/orders/00000000-0000-0000-0000-000000000000"):
        mine = await both.http.get(path, headers=bearer(both.one, Origin=SHOP))
        assert mine.headers[ALLOWED] == SHOP
        assert "ETag" in mine.headers["access-control-expose-headers"]
        foreign = await both.http.get(path, headers=bearer(both.two, Origin=SHOP))
        assert ALLOWED not in foreign.headers, "the other tenant does not name it"
        unknown = await both.http.get(path, headers=bearer(both.one, Origin=OTHER))
        assert ALLOWED not in unknown.headers
    refused = await both.http.get("/v1/orders", headers={"Origin": SHOP})
    assert (refused.status_code, refused.headers[ALLOWED]) == (401, SHOP)


async def test_an_open_route_is_read_by_pages_of_the_tenant_that_it_is_asked_for_and_no_other(
    both: Both,
) -> None:
    await name_origins(both, both.one, SHOP)
    signs_in = {"email": "a@example.com", "password": "seven brass lanterns"}
    forgotten = f"refresh_{'0' * 32}_{'0' * 32}_{'a' * 86}"
    asked: list[tuple[str, Any]] = [
        ("/v1/sessions", signs_in), ("/v1/password-resets", {"email": "a@example.com"}),
        ("/v1/customers", signs_in),
        ("/v1/customers/verifications", {"token": "a", "password": signs_in["password"]}),
    ]  # fmt: skip
    for path, body in asked:
        for tenant, expected in (("house", SHOP), ("second", None)):
            headers = {"Origin": SHOP, TENANT_HEADER: tenant}
            answer = await both.http.post(path, json=body, headers=headers)
            assert answer.headers.get(ALLOWED) == expected, (path, tenant)
    second = await both.house.composition.tenancy.find_tenant("second")
    assert second is not None
    text = {"refresh_token": forgotten.replace("0" * 32, second.id.hex, 1)}
    answer = await both.http.post("/v1/sessions/refresh", json=text, headers={"Origin": SHOP})
    assert (answer.status_code, answer.headers.get(ALLOWED)) == (401, None)
    # A key says whose it is, also where it may not do what it asks for.
    may_read = await both.house.composition.tenancy.create_key(
        second.id, label="", scopes=["orders:read"]
    )
    for path in ("/v1/tenant", "/v1/orders?limit=0"):
        refused = await both.http.get(path, headers=bearer(may_read.key, Origin=SHOP))
        assert refused.status_code in (400, 403)
        assert ALLOWED not in refused.headers
    pages = await both.http.get("/t/second/oauth/authorize", headers={"Origin": SHOP})
    assert ALLOWED not in pages.headers


def test_a_page_may_send_every_header_that_a_route_takes() -> None:
    taken = dict(PREFLIGHT)[b"access-control-allow-headers"].decode().split(", ")
    wanted = {
        "Authorization", "Content-Type", "Idempotency-Key", "If-Match", "Prefer", TENANT_HEADER,
        "Traceparent", "X-Request-Id",
    }  # fmt: skip
    assert set(taken) == wanted


async def test_a_preflight_is_answered_without_a_key_for_origins_that_someone_names(
    both: Both,
) -> None:
    await name_origins(both, both.two, SHOP)
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "if-match"}
    answer = await both.http.options("/v1/orders", headers={"Origin": SHOP, **asked})
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers[ALLOWED] == SHOP
    assert "If-Match" in answer.headers["access-control-allow-headers"]
    assert "Idempotency-Key" in answer.headers["access-control-allow-headers"]
    for origin in (OTHER, "null", "*", SHOP.upper(), f"{SHOP}.evil.example", "x" * 300, "\xff"):
        raw = {b"Origin": origin.encode("latin-1"), b"Access-Control-Request-Method": b"POST"}
        shut = await both.http.options("/v1/orders", headers=raw)
        assert shut.status_code == 204
        assert [name for name in shut.headers if name.startswith("access-control")] == []


async def test_no_answer_lets_credentials_along_or_everybody_in(both: Both) -> None:
    await name_origins(both, both.one, SHOP)
    for method in ("GET", "OPTIONS"):
        headers = bearer(both.one, **{"Origin": SHOP, "Access-Control-Request-Method": "GET"})
        answer = await both.http.request(method, "/v1/orders", headers=headers)
        assert "access-control-allow-credentials" not in answer.headers
        assert answer.headers[ALLOWED] != "*"


@pytest.mark.parametrize(
    "origin",
    ["*", "null", "http://shop.example", "https://shop.example/", "https://shop.example/a",
     "https://*.shop.example", "https://Shop.example", "https://a@shop.example", "https://",
     "https://shop.example:0", "https://shop_.example", "ftp://shop.example", "https://-a.example"],
)  # fmt: skip
async def test_what_is_no_origin_is_refused_and_nothing_is_changed(both: Both, origin: str) -> None:
    await name_origins(both, both.one, SHOP)
    assert code_of(await name_origins(both, both.one, OTHER, origin)) == (422, "origin_unfit")
    kept = await Client(both.http, both.one).get("/v1/tenant/origins")
    assert kept.json() == {"origins": [SHOP]}


async def test_an_origin_that_is_dropped_is_shut_out(both: Both) -> None:
    await name_origins(both, both.one, SHOP)
    headers = bearer(both.one, Origin=SHOP)
    assert (await both.http.get("/v1/orders", headers=headers)).headers[ALLOWED] == SHOP
    await name_origins(both, both.one)
    assert ALLOWED not in (await both.http.get("/v1/orders", headers=headers)).headers
    assert (
        code_of(await name_origins(both, both.one, *(f"https://a{n}.example" for n in range(21))))[
            0
        ]
        == 400
    )


async def test_what_is_remembered_of_origins_ends_and_is_bounded(
    both: Both, database: Database
) -> None:
    now = 0.0
    known = KnownOrigins(database, PostgresOrigins(), now=lambda: now)
    assert not await known.allows(SHOP, None)
    assert not await known.allows(SHOP, both.house.tenant)
    await name_origins(both, both.one, SHOP)
    assert not await known.allows(SHOP, both.house.tenant), "another process, not yet told"
    now = VALID_S + 0.1
    assert await known.allows(SHOP, both.house.tenant)
    assert await known.allows(SHOP, None)
    known._of_anyone.update({str(n): (now, False) for n in range(KEPT_MAX)})  # noqa: SLF001
    assert not await known.allows(OTHER, None)
    assert len(known._of_anyone) <= KEPT_MAX + 1  # noqa: SLF001


async def test_with_a_certificate_the_api_speaks_tls_and_nothing_else(tmp_path: Path) -> None:
    tls = make_certificate(tmp_path)
    (port,) = free_ports(1)
    stop = asyncio.Event()

    async def answer(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"well"})

    serving = asyncio.create_task(
        serve_app(answer, host="127.0.0.1", port=port, stop=stop, tls=tls)
    )
    try:
        trust = ssl.create_default_context(cafile=str(tls[0]))
        async with httpx.AsyncClient(verify=trust) as http:
            for _ in range(50):
                try:
                    said = await http.get(f"https://127.0.0.1:{port}/")
                except httpx.TransportError:
                    await asyncio.sleep(0.1)
                    continue
                break
            assert said.content == b"well"
            with pytest.raises(httpx.TransportError):
                await http.get(f"http://127.0.0.1:{port}/")
        for wanted in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            assert await shake_hands(port, tls[0], wanted) == wanted.name.replace("_", ".")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await shake_hands(port, tls[0], ssl.TLSVersion.TLSv1_1)
    finally:
        stop.set()
        await serving


async def shake_hands(port: int, certificate: Path, version: ssl.TLSVersion) -> str | None:
    """What is spoken with a client that knows one version only."""
    trust = ssl.create_default_context(cafile=str(certificate))
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        trust.minimum_version = trust.maximum_version = version
    # Old versions need old ciphers: our server is to refuse them, not this client.
    trust.set_ciphers("ALL:@SECLEVEL=0")
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust)
    spoken: str | None = writer.get_extra_info("ssl_object").version()
    writer.close()
    await writer.wait_closed()
    return spoken


async def test_a_certificate_that_cannot_be_used_is_refused_before_anything_listens(
    tmp_path: Path,
) -> None:
    (certificate, key), (_, other) = (make_certificate(tmp_path, name=n) for n in ("a", "b"))
    sealed = tmp_path / "sealed.key"
    private = serialization.load_pem_private_key(key.read_bytes(), None)
    sealed.write_bytes(private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"x"),
    ))  # fmt: skip
    for pair in ((certificate, other), (key, key), (certificate, certificate),
                 (certificate, sealed), (certificate, tmp_path)):  # fmt: skip
        with pytest.raises(SettingsError, match="SERAI_TLS_KEY"):
            await serve_app(None, host="127.0.0.1", port=free_ports(1)[0], stop=asyncio.Event(),
                            tls=pair)  # fmt: skip
