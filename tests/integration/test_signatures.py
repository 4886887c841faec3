"""A key that takes signed requests only: what is signed passes once, what was touched never."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from http_message_signatures import ContentDigest

from serai.kernel import ids, signatures
from serai.kernel.db import Database
from serai.kernel.signatures import AGE_MAX, AHEAD_MAX, KEPT_LONGER
from serai.kernel.tenant import POOLED
from serai.kernel.web import Rule
from serai.roles.api import build_app
from serai.settings import Settings
from tests.integration import audited_shop
from tests.integration.fulfilment_shop import code_of
from tests.integration.signing_shop import (
    ORDER,
    Signatory,
    SigningShop,
    make_signatory,
    open_signing_shop,
    pem_of,
)
from tests.integration.touched_requests import TOUCHED

PARTS = {"{seq}": "1"}
"""What stands in a path for a parameter that is no id."""


@pytest.fixture
async def shop(database: Database, tmp_path: Path) -> AsyncIterator[SigningShop]:
    async for opened in open_signing_shop(database, tmp_path):
        yield opened


async def test_a_signed_request_passes_on_every_way(shop: SigningShop) -> None:
    for http in (shop.http, shop.long):
        placed = await http.send(shop.signed("POST", "/v1/orders", ORDER))
        assert placed.status_code == 201, placed.text
        listed = await http.send(shop.signed("GET", "/v1/orders?limit=5&unpaid=true"))
        assert listed.status_code == 200, listed.text
        made = await http.send(shop.signed("POST", "/v1/api-keys", b'{"scopes":["orders:read"]}'))
        assert made.status_code == 201, made.text
        ended = await http.send(shop.signed("DELETE", f"/v1/api-keys/{made.json()['id']}"))
        assert ended.status_code == 204
    orders, _, nonces = await shop.count()
    assert (orders, nonces) == (2, 8)


async def test_the_address_may_be_signed_in_parts_and_the_digest_be_sha_512(
    shop: SigningShop,
) -> None:
    request = shop.request("POST", "/v1/orders", ORDER)

    class Sha512(ContentDigest):
        algorithm = "sha-512"

    Sha512.add(request.headers, ORDER)
    covered = ["@method", "@authority", "@path", "@query", "authorization", "content-type",
               "idempotency-key", "content-digest"]  # fmt: skip
    shop.one.sign(request, at=shop.now, covered=covered, use_existing_digest=True)
    assert (await shop.http.send(request)).status_code == 201


async def test_a_key_without_a_signer_asks_for_nothing_more(shop: SigningShop) -> None:
    answer = await shop.http.get("/v1/orders", headers={"Authorization": f"Bearer {shop.staff}"})
    assert answer.status_code == 200
    assert (await shop.count())[2] == 0


def routes_of(shop: SigningShop) -> list[tuple[str, str]]:
    """Every route that asks for a scope, whatever it does."""
    return sorted({
        (method, route.path_format)
        for route in shop.app.routes
        for handler in getattr(route, "route_handlers", ())
        for method in handler.http_methods
        if any(isinstance(guard, Rule) for guard in handler.resolve_guards())
    })  # fmt: skip


async def test_every_route_refuses_what_is_not_signed(shop: SigningShop) -> None:
    routes = routes_of(shop)
    assert len(routes) > 100
    before = await shop.house.rows("SELECT count(*) FROM kernel.outbox")
    let_in = []
    for method, path in routes:
        parts = [PARTS.get(p, str(ids.new_id())) if "{" in p else p for p in path.split("/")]
        for http in (shop.http, shop.long):
            request = shop.request(method, "/".join(parts), b"{}" if method != "GET" else b"")
            answer = await http.send(request)
            if (answer.status_code, answer.json()["code"]) != (401, "signature_missing"):
                let_in.append((method, path, answer.text))
    assert let_in == []
    assert await shop.house.rows("SELECT count(*) FROM kernel.outbox") == before


async def test_every_writing_route_takes_what_is_signed(database: Database, tmp_path: Path) -> None:
    """The guard has read the body by then, of whatever kind it is: the route still finds it."""
    async for shop in audited_shop.open_shop(database, tmp_path):
        app: Any = build_app(Settings(), shop.house.composition)
        own = await make_signatory(shop.house, shop.house.tenant, shop.key, app)

        async def sign(request: httpx.Request, own: Signatory = own, shop: Any = shop) -> None:
            request.headers["authorization"] = f"Bearer {own.key}"
            own.sign(request, at=shop.house.clock.now())

        shop.http.event_hooks["request"].append(sign)
        for (method, _), ask in audited_shop.SCENARIOS.items():
            path, body, headers = await ask(shop)
            answer = await shop.send(method, path, body, **headers)
            assert answer.is_success, f"{method} {path}: {answer.text}"
            await shop.rest()


async def test_what_was_touched_is_refused_and_nothing_is_changed(shop: SigningShop) -> None:
    before = await shop.count()
    for what, (touch, code) in TOUCHED.items():
        for http in (shop.http, shop.long):
            answer = await http.send(touch(shop))
            assert code_of(answer) == (401, code), f"{what}: {answer.text}"
            assert answer.headers["www-authenticate"] == 'Bearer realm="serai"'
            assert answer.json()["detail"], what
            assert shop.one.key not in answer.text
        assert await shop.count() == before, what


async def test_bytes_that_are_no_text_are_refused(shop: SigningShop) -> None:
    before = await shop.count()
    for name in ("signature", "signature-input", "content-digest", "host", "idempotency-key"):
        for value in (b"\xff\xfe", b"\xc3\x28=:AAAA:", b"pyhms=\xe9", b"\x01"):
            signed = shop.signed("POST", "/v1/orders", ORDER)
            lines = [(n, v) for n, v in signed.headers.raw if n.lower() != name.encode()]
            lines.append((name.encode(), value))
            request = httpx.Request("POST", signed.url, content=ORDER, headers=lines)
            answer = await shop.http.send(request)
            assert answer.status_code == 401, f"{name} {value!r}: {answer.text}"
            assert answer.json()["code"] in {"signature_malformed", "signature_invalid"}
    assert await shop.count() == before


async def test_a_signature_is_good_once_in_every_process(shop: SigningShop) -> None:
    for method, path, body in (
        ("GET", "/v1/orders", b""), ("POST", "/v1/orders", ORDER),
        ("POST", "/v1/api-keys", b'{"scopes":["orders:read"]}'),
    ):  # fmt: skip
        signed = shop.signed(method, path, body)
        assert (await shop.http.send(signed)).is_success
        before = await shop.count()
        for http in (shop.http, shop.long):
            again = httpx.Request(method, signed.url, content=body, headers=signed.headers)
            assert code_of(await http.send(again)) == (401, "signature_replayed")
        assert await shop.count() == before


async def test_of_equal_requests_at_the_same_instant_one_is_let_in(shop: SigningShop) -> None:
    signed = shop.signed("GET", "/v1/orders")
    copies = [httpx.Request("GET", signed.url, headers=signed.headers) for _ in range(20)]
    answers = await asyncio.gather(*(shop.http.send(copy) for copy in copies))
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 19


async def test_who_repeats_signs_anew_and_gets_the_first_answer(shop: SigningShop) -> None:
    first = shop.request("POST", "/v1/orders", ORDER, idempotency_key="mine")
    placed = await shop.http.send(shop.one.sign(first, at=shop.now))
    second = shop.request("POST", "/v1/orders", ORDER, idempotency_key="mine")
    again = await shop.http.send(shop.one.sign(second, at=shop.now))
    assert (placed.status_code, again.status_code) == (201, 201)
    assert placed.json() == again.json()
    assert (await shop.count())[0] == 1


async def test_a_signature_lasts_so_long_and_its_nonce_longer(shop: SigningShop) -> None:
    clock = shop.house.clock
    [job] = [j for j in shop.house.composition.jobs if j.name == "tenancy.drop_nonces"]
    early = shop.signed("GET", "/v1/orders", later=AHEAD_MAX)
    assert (await shop.http.send(early)).status_code == 200
    late = shop.signed("GET", "/v1/orders")
    over = shop.signed("GET", "/v1/orders", expires=shop.now + timedelta(seconds=10))
    clock.advance(timedelta(seconds=10))
    assert code_of(await shop.http.send(over)) == (401, "signature_out_of_time")
    clock.advance(AGE_MAX - timedelta(seconds=10))
    assert (await shop.http.send(late)).status_code == 200, "the last moment"
    again = httpx.Request("GET", early.url, headers=early.headers)
    assert await job.run(shop.house.database, POOLED, clock) == 0
    assert code_of(await shop.http.send(again)) == (401, "signature_replayed")
    clock.advance(AHEAD_MAX + timedelta(seconds=1))
    again = httpx.Request("GET", early.url, headers=early.headers)
    assert code_of(await shop.http.send(again)) == (401, "signature_out_of_time")
    assert await job.run(shop.house.database, POOLED, clock) == 0
    clock.advance(KEPT_LONGER)
    assert await job.run(shop.house.database, POOLED, clock) == 2
    assert (await shop.count())[2] == 0


async def test_a_key_in_use_takes_a_signer_at_once_and_for_good(shop: SigningShop) -> None:
    staff = {"Authorization": f"Bearer {shop.staff}"}
    made = await shop.http.post("/v1/api-keys", headers=staff, json={"scopes": ["orders:read"]})
    key, key_id = made.json()["key"], made.json()["id"]
    assert made.json()["signer"] is None
    bare = {"Authorization": f"Bearer {key}"}
    assert (await shop.http.get("/v1/orders", headers=bare)).status_code == 200

    signers = [Ed25519PrivateKey.generate() for _ in range(2)]
    for private in signers:
        put = await shop.http.put(
            f"/v1/api-keys/{key_id}/signer", headers=staff, json={"signer": pem_of(private)}
        )
        assert put.status_code == 200, put.text
        assert put.json()["signer"] == pem_of(private)
        answer = await shop.http.get("/v1/orders", headers=bare)
        assert code_of(answer) == (401, "signature_missing")
    for private, status in zip(signers, (401, 200), strict=True):
        signatory = Signatory(key, key_id, private)
        request = signatory.sign(shop.request("GET", "/v1/orders", who=signatory), at=shop.now)
        assert (await shop.http.send(request)).status_code == status
    listed = (await shop.http.get("/v1/api-keys", headers=staff)).json()["items"]
    assert [k["signer"] for k in listed if k["id"] == key_id] == [pem_of(signers[1])]


async def test_who_names_a_signer_may_do_all_that_the_key_may(shop: SigningShop) -> None:
    """She could use it, once she has its text: it is no way to more than she has."""
    few = await shop.house.composition.tenancy.create_key(
        shop.house.tenant, label="", scopes=["tenancy:write", "tenancy:read"]
    )
    pem = pem_of(Ed25519PrivateKey.generate())
    cases = [
        (shop.one.key_id, few.key, pem, (403, "scope_not_held")),
        (shop.two.key_id, shop.staff, pem, (404, "not_found")),
        (str(ids.new_id()), shop.staff, pem, (404, "not_found")),
        (str(few.id), shop.staff, "nonsense", (422, "signer_unfit")),
    ]
    before = await shop.house.rows("SELECT key_id, signer FROM tenancy.api_keys ORDER BY key_id")
    for key_id, key, signer, expected in cases:
        answer = await shop.http.put(
            f"/v1/api-keys/{key_id}/signer", headers={"Authorization": f"Bearer {key}"},
            json={"signer": signer},
        )  # fmt: skip
        assert code_of(answer) == expected, answer.text
    after = await shop.house.rows("SELECT key_id, signer FROM tenancy.api_keys ORDER BY key_id")
    assert after == before
    assert (await shop.http.send(shop.signed("GET", "/v1/orders"))).status_code == 200


async def test_a_digest_that_nobody_compares_is_caught(
    shop: SigningShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted fault: with it, the altered body would be let in."""

    class Blind(ContentDigest):
        @classmethod
        def verify(cls, value: Any, body: bytes, *, key: str | None = None) -> None:
            del value, body, key

    monkeypatch.setattr(signatures, "ContentDigest", Blind)
    answer = await shop.http.send(TOUCHED["another body"][0](shop))
    assert answer.status_code == 201
