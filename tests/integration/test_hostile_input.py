"""Bodies and addresses made to break a decoder: refused by every route, and nothing changed."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from serai.contexts.tenancy.contract import SCOPES
from serai.kernel import ids
from serai.kernel.db import Database
from serai.kernel.tenant import POOLED
from serai.roles.api import build_app
from serai.settings import Settings
from tests.integration.fulfilment_shop import code_of
from tests.integration.house import House

KEYLESS = {
    "/v1/payment-callbacks/sandbox", "/v1/me/password", "/v1/me/totp", "/v1/me/totp/confirmations",
    "/v1/me/totp/removals", "/v1/me/passkey-challenges", "/v1/me/passkeys",
    "/v1/me/passkeys/{passkey_id}", "/v1/me/erasure", "/v1/me/consents",
}  # fmt: skip
"""What a key cannot do: a provider calls the one, and who is signed in the other."""


class Desk:
    """The whole API in this process, asked with a key that may do everything."""

    def __init__(self, house: House, http: httpx.AsyncClient, key: str) -> None:
        self.house = house
        self.http = http
        self.key = key

    async def send(
        self, method: str, path: str, content: bytes = b"", media_type: str = "application/json"
    ) -> httpx.Response:
        """A request with a new idempotency key, and `If-Match` for any version."""
        headers = {
            "Authorization": f"Bearer {self.key}",
            "Idempotency-Key": ids.new_id().hex,
            "Content-Type": media_type,
        }
        return await self.http.request(method, path, content=content, headers=headers)

    async def rows(self) -> dict[str, int]:
        """How many rows each table of every context and the outbox hold."""
        async with self.house.database.transaction(
            POOLED, (self.house.tenant,), is_transport=True
        ) as tx:
            tables = await tx.connection.fetch(
                "SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname = ANY ($1) "
                "ORDER BY 1",
                ["catalog", "inventory", "orders", "payments", "shipping", "returns",
                 "notifications", "tenancy", "identity", "kernel"],
            )  # fmt: skip
            return {
                name: await tx.connection.fetchval(f"SELECT count(*) FROM {name}")
                for (name,) in tables
                if not name.startswith(("kernel.migrations", "kernel.leases", "kernel.workers"))
            }


@pytest.fixture
async def desk(database: Database, tmp_path: Path) -> AsyncIterator[Desk]:
    house = await House(database, tmp_path).open()
    await house.offer("tent", "lamp")
    await house.receive(tent=10, lamp=10)
    issued = await house.composition.tenancy.create_key(house.tenant, label="all", scopes=SCOPES)
    app: Any = build_app(Settings(), house.composition)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as http:
        opened = Desk(house, http, issued.key)
        before = await opened.rows()
        assert before["catalog.products"] == 2
        yield opened
        assert await opened.rows() == before
    await house.composition.close()


def routes_of(house: House, *methods: str) -> list[tuple[str, str]]:
    """Every route of the API with one of the methods: (method, path with ids in it)."""
    app = build_app(Settings(), house.composition)
    paths: dict[str, Any] = app.openapi_schema.to_schema()["paths"]
    return [
        (method, re.sub(r"\{[^}]+\}", str(ids.new_id()), path))
        for path, operations in sorted(paths.items())
        for method in methods
        if method.lower() in operations and path not in KEYLESS
    ]


HOSTILE: list[tuple[str, bytes]] = [
    ("NaN", b'{"x":NaN}'),
    ("infinity", b'{"x":Infinity}'),
    ("1e400", b'{"x":1e400}'),
    ("a huge number", b'{"x":' + b"9" * 5_000 + b"}"),
    ("a lone surrogate", b'{"x":"\\ud800"}'),
    ("a lone surrogate as a key", b'{"\\udfff":1}'),
    ("invalid UTF-8", b'{"x":"\xff\xfe"}'),
    ("a surrogate in UTF-8", b'{"x":"\xed\xa0\x80"}'),
    ("overlong UTF-8", b'{"x":"\xc0\x80"}'),
    ("a key twice", b'{"x":1,"x":1}'),
    ("an unknown field", b'{"x":1}'),
    ("a NUL", b'{"x":"\\u0000"}'),
    ("UTF-16", '{"x":1}'.encode("utf-16")),
    ("a byte order mark", b'\xef\xbb\xbf{"x":1}'),
    ("something after the end", b"{}{}"),
    ("cut off", b'{"x":'),
    ("no object", b"[1]"),
    ("null", b"null"),
    ("deep", b'{"x":' * 5_000 + b"1" + b"}" * 5_000),
]


BODYLESS = {
    "verifications",
    "cancel",
    "archive",
    "publish",
    "draft",
    "unpublish",
    "resend",
    "decline",
}
"""The last words of routes that take no body."""


async def test_every_route_with_a_body_refuses_a_hostile_one(desk: Desk) -> None:
    routes = [
        (method, path)
        for method, path in routes_of(desk.house, "POST", "PUT", "PATCH")
        if path.rsplit("/", 1)[-1] not in BODYLESS and path != "/v1/imports"
    ]
    assert len(routes) > 15, routes
    for method, path in routes:
        for name, content in HOSTILE:
            answer = await desk.send(method, path, content)
            assert 400 <= answer.status_code < 500, f"{method} {path}: {name}: {answer.text}"
            status, code = code_of(answer)
            wanted = {(400, "invalid"), (400, "duplicate_key"), (428, "version_required")}
            assert (status, code) in wanted, f"{method} {path}: {name}: {answer.text}"


async def test_every_route_lives_with_a_hostile_query(desk: Desk) -> None:
    names = (
        "sku", "location", "reference", "customer", "q", "handle", "category", "facet", "currency",
        "parent", "cursor", "limit", "status", "order_id", "sort",
    )  # fmt: skip
    values = ("a%00b", "%ed%a0%80", "9" * 400, "1e400")
    for method, path in routes_of(desk.house, "GET"):
        for value in values:
            for name in names:
                answer = await desk.send(method, f"{path}?{name}={value}")
                assert answer.status_code < 500, f"{path}?{name}={value}: {answer.text}"


TEXTS = ("te\x00nt", "\ud800", "a\udfffb")


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
async def test_no_text_of_an_order_holds_what_cannot_be_kept(desk: Desk, text: str) -> None:
    line = {"sku": "tent", "quantity": 1}
    body: dict[str, Any] = {"currency": "USD", "lines": [line], "payment": {"card": "4000"}}
    for changed in (
        body | {"reference": text}, body | {"customer": text}, body | {"email": f"{text}@x.org"},
        body | {"currency": text}, body | {"payment": {"card": text}},
        body | {"lines": [line | {"sku": text}]}, body | {"lines": [line | {"unit_price": text}]},
    ):  # fmt: skip
        answer = await desk.send("POST", "/v1/orders", json.dumps(changed).encode())
        assert code_of(answer) == (400, "invalid"), answer.text


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
async def test_no_text_of_a_product_or_of_stock_holds_what_cannot_be_kept(
    desk: Desk, text: str
) -> None:
    variant = {"sku": "x-1", "prices": [{"currency": "USD", "amount_minor": 1}]}
    product: dict[str, Any] = {"title": "X", "variants": [variant]}
    move = {"sku": "tent", "quantity": 1}
    requests = [
        ("/v1/products", product | {"title": text}),
        ("/v1/products", product | {"description": text}),
        ("/v1/products", product | {"variants": [variant | {"sku": text}]}),
        ("/v1/products", product | {"variants": [variant | {"barcode": text}]}),
        ("/v1/products", product | {"facets": [{"name": "colour", "value": text}]}),
        ("/v1/stock-receipts", {"moves": [move | {"sku": text}]}),
        ("/v1/stock-receipts", {"moves": [move | {"location": text}]}),
        ("/v1/stock-receipts", {"moves": [move | {"reason": text}]}),
        ("/v1/locations", {"code": "a", "name": text}),
        ("/v1/api-keys", {"label": text, "scopes": ["orders:read"]}),
        ("/v1/returns", {"order_id": str(ids.new_id()), "lines": [{"line_no": 1, "quantity": 1}],
                         "reason": text}),
    ]  # fmt: skip
    for path, body in requests:
        answer = await desk.send("POST", path, json.dumps(body).encode())
        assert code_of(answer) == (400, "invalid"), f"{path} {body}: {answer.text}"


NUMBERS = (
    "0",
    "-1",
    "1.5",
    "1e400",
    "-1e400",
    "1e2",
    "NaN",
    "1" + "0" * 400,
    '"1"',
    "true",
    "null",
)


@pytest.mark.parametrize("number", NUMBERS)
async def test_no_quantity_is_anything_but_a_whole_number_within_its_bounds(
    desk: Desk, number: str
) -> None:
    for path, body in (
        ("/v1/orders", '{"currency":"USD","lines":[{"sku":"tent","quantity":%s}]}'),
        ("/v1/stock-receipts", '{"moves":[{"sku":"tent","quantity":%s}]}'),
        ("/v1/stock-write-offs", '{"moves":[{"sku":"tent","quantity":%s}]}'),
        ("/v1/reservations", '{"wants":[{"sku":"tent","quantity":%s}]}'),
        ("/v1/stock-transfers", '{"sku":"tent","from_location":"main","to_location":"b",'
                                '"quantity":%s}'),
        ("/v1/returns", '{"order_id":"01900000-0000-7000-8000-000000000000",'
                        '"lines":[{"line_no":1,"quantity":%s}]}'),
        ("/v1/payments/01900000-0000-7000-8000-000000000000/refunds", '{"amount_minor":%s}'),
    ):  # fmt: skip
        answer = await desk.send("POST", path, (body % number).encode())
        assert code_of(answer) == (400, "invalid"), f"{path} {number}: {answer.text}"


async def test_a_key_that_stands_twice_is_refused_at_any_depth(desk: Desk) -> None:
    for content in (
        b'{"currency":"USD","lines":[{"sku":"tent","quantity":1,"quantity":2}]}',
        b'{"currency":"USD","lines":[{"sku":"tent","quantity":1}],"payment":{"card":"4000",'
        b'"card":"4001"}}',
        b'{"currency":"USD","lines":[{"sku":"tent","quantity":1,"\\u0071uantity":2}]}',
    ):
        answer = await desk.send("POST", "/v1/orders", content)
        assert code_of(answer) == (400, "duplicate_key"), answer.text


async def test_a_body_over_the_limit_is_refused_however_it_is_sent(desk: Desk) -> None:
    big = b'{"currency":"' + b"A" * Settings().body_bytes_max + b'"}'
    whole = await desk.send("POST", "/v1/orders", big)
    assert code_of(whole) == (413, "body_too_large")

    async def parts() -> AsyncIterator[bytes]:
        for start in range(0, len(big), 65_536):
            yield big[start : start + 65_536]

    headers = {"Authorization": f"Bearer {desk.key}", "Idempotency-Key": ids.new_id().hex,
               "Content-Type": "application/json"}  # fmt: skip
    unannounced = await desk.http.post("/v1/orders", content=parts(), headers=headers)
    assert code_of(unannounced) == (413, "body_too_large")
