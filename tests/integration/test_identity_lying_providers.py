"""Providers that lie, are slow, send elsewhere or are inside: nobody comes in by them."""

import asyncio
import base64
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwk

from serai.contexts.identity.gateways import openid
from serai.contexts.identity.gateways.openid import DISCOVERY, OpenIdProviders
from serai.contexts.identity.model import providers as model
from serai.kernel.db import Database
from serai.kernel.failure import Unavailable
from tests.integration.identity_shop import Shop, code_of, open_shop
from tests.integration.openid_house import BACK, CLIENT, PAGE, SECRET, Liar, run_liar

UNFIT = (401, "provider_answer_unfit")


@pytest.fixture
async def liar() -> AsyncIterator[Liar]:
    async with run_liar() as running:
        yield running


@pytest.fixture
async def shop(database: Database, tmp_path: Path) -> AsyncIterator[Shop]:
    async with open_shop(database, tmp_path, providers_at_home=True) as opened:
        await opened.add_tenant("acme")
        body = {"origins": [PAGE]}
        await opened.call("PUT", "/v1/tenant/origins", opened.keys["acme"], body)
        yield opened


async def add(shop: Shop, issuer: str) -> httpx.Response:
    body = {"kind": "customer", "name": "Liar", "issuer": issuer, "client_id": CLIENT}
    body |= {"client_secret": SECRET}
    return await shop.call("POST", "/v1/identity-providers", shop.keys["acme"], body)


async def come_in(shop: Shop, liar: Liar, provider_id: str) -> httpx.Response:
    body = {"provider_id": provider_id, "redirect_uri": BACK}
    begun = (await shop.post("/v1/sessions/provider-sign-ins", body)).json()
    query = parse_qs(urlsplit(begun["authorization_url"]).query)
    liar.nonce = query["nonce"][0]
    body = {"state": begun["state"], "binding": begun["binding"], "code": "a code"}
    return await shop.post("/v1/sessions/providers", body)


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def say(**claims: Any) -> Callable[[Liar], None]:
    return lambda liar: liar.claims.update(claims)


def sign_with(key: Any, **header: Any) -> Callable[[Liar], None]:
    def lie(liar: Liar) -> None:
        liar.signs_with, liar.header = key(liar), {**liar.header, **header}

    return lie


def use_none(liar: Liar) -> None:
    now = int(time.time())
    claims = {"iss": liar.issuer, "sub": "her", "aud": CLIENT, "iat": now, "exp": now + 60}
    liar.token = f"{part({'alg': 'none', 'kid': 'one'})}.{part(claims)}."


def publish_symmetric(liar: Liar) -> None:
    key = jwk.OctKey.import_key("0" * 32, {"kid": "one", "alg": "HS256"})
    liar.signs_with, liar.header = key, {"alg": "HS256", "kid": "one"}
    liar.answers["/jwks"] = ("200 OK", json.dumps({"keys": [key.as_dict(private=True)]}).encode())


def use_public_key_as_secret(liar: Liar) -> None:
    """By hand: no library of ours does this any more."""
    body = f"{part({'alg': 'HS256', 'kid': 'one'})}.{liar.sign().split('.')[1]}"
    mac = hmac.digest(liar.key.as_pem(private=False), body.encode(), "sha256")
    liar.token = f"{body}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def other_key(_: Liar) -> Any:
    return jwk.RSAKey.generate_key(2048)


NOW = int(time.time())
LIES: list[tuple[str, Callable[[Liar], None]]] = [
    ("another nonce", say(nonce="another")),
    ("no nonce", say(nonce=None)),
    ("another issuer", say(iss="https://evil.example")),
    ("another audience", say(aud="another")),
    ("no audience", say(aud=None)),
    ("two audiences, no azp", say(aud=[CLIENT, "another"])),
    ("another azp", say(aud=[CLIENT, "another"], azp="another")),
    ("an azp that is not the one audience", say(azp="another")),
    ("over", say(exp=NOW - 120)),
    ("no end", say(exp=None)),
    ("from tomorrow", say(iat=NOW + 86_400, exp=NOW + 90_000)),
    ("from yesterday", say(iat=NOW - 86_400)),
    ("no subject", say(sub="")),
    ("a subject without end", say(sub="x" * 256)),
    ("a subject with a NUL", say(sub="x\0")),
    ("a number as subject", say(sub=7)),
    ("alg none", use_none),
    ("HS256 with the public key", use_public_key_as_secret),
    ("HS256 with a published key", publish_symmetric),
    ("a key that is not published", sign_with(other_key)),
    ("a key id that is not published", sign_with(lambda liar: liar.key, kid="two")),
    ("the key in the header", sign_with(other_key, kid="two", jwk={"kty": "RSA"})),
    ("an algorithm that is not on the list", sign_with(lambda liar: liar.key, alg="RS512")),
    ("no token", lambda liar: setattr(liar, "token", "rubbish")),
    ("a token of five parts", lambda liar: setattr(liar, "token", "a.b.c.d.e")),
    ("no code", lambda liar: liar.answers.update({"/token": ("400 Bad Request", b"{}")})),
    ("sent elsewhere for the token", lambda liar: liar.answers.update(
        {"/token": (f"302 Found\r\nLocation: {liar.issuer}/elsewhere", b"")})),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("name", "lie"), LIES, ids=[name for name, _ in LIES])
async def test_an_answer_that_does_not_show_who_she_is_is_refused(
    shop: Shop, liar: Liar, name: str, lie: Callable[[Liar], None]
) -> None:
    provider_id = (await add(shop, liar.issuer)).json()["id"]
    lie(liar)
    refused = await come_in(shop, liar, provider_id)
    assert code_of(refused) == UNFIT, refused.text
    assert await shop.events("customer_registered") == []
    assert "/elsewhere" not in liar.asked


async def test_the_lying_provider_is_believed_where_it_does_not_lie(shop: Shop, liar: Liar) -> None:
    provider_id = (await add(shop, liar.issuer)).json()["id"]
    assert (await come_in(shop, liar, provider_id)).status_code == 201
    # A new key is asked for once it is met, and the old one is not believed any more.
    liar.key = liar.signs_with = jwk.RSAKey.generate_key(2048, {"kid": "new"})
    liar.header = {"alg": "RS256", "kid": "new"}
    assert code_of(await come_in(shop, liar, provider_id)) == UNFIT, "asked a moment ago"
    openid_now = openid.AGAIN_S
    try:
        openid.AGAIN_S = 0.0  # type: ignore[misc]
        assert (await come_in(shop, liar, provider_id)).status_code == 201
    finally:
        openid.AGAIN_S = openid_now  # type: ignore[misc]


PUBLISHED: list[tuple[str, dict[str, Any]]] = [
    ("another issuer", {"issuer": "https://evil.example"}),
    ("an endpoint without TLS", {"token_endpoint": "http://10.0.0.1/token"}),
    ("keys in a file", {"jwks_uri": "file:///etc/passwd"}),
    ("an endpoint with a user", {"authorization_endpoint": "https://a:b@evil.example/"}),
    ("no keys", {"jwks_uri": None}),
]


@pytest.mark.parametrize(("name", "published"), PUBLISHED)
async def test_a_provider_that_publishes_what_nobody_goes_by_is_not_added(
    shop: Shop, liar: Liar, name: str, published: dict[str, Any]
) -> None:
    liar.published = published
    refused = await add(shop, liar.issuer)
    assert code_of(refused) == (422, "provider_unfit"), name
    assert (await shop.call("GET", "/v1/identity-providers", shop.keys["acme"])).json() == {
        "items": [], "next": None,
    }  # fmt: skip


async def test_no_redirect_is_followed_and_no_answer_without_end_is_read(
    shop: Shop, liar: Liar
) -> None:
    _, right = liar.answer(DISCOVERY)
    for answer in (
        (f"302 Found\r\nLocation: {liar.issuer}/elsewhere", b""),
        ("200 OK", right + b" " * openid.BODY_BYTES_MAX),
        ("200 OK", b"rubbish"),
        ("500 Oh", b""),
    ):
        liar.answers[DISCOVERY] = answer
        assert code_of(await add(shop, liar.issuer)) == (422, "provider_unfit")
    assert set(liar.asked) == {DISCOVERY}


async def test_nobody_goes_inside_without_the_setting(liar: Liar) -> None:
    relying = OpenIdProviders(is_at_home=False)
    try:
        for issuer in (
            liar.issuer, liar.issuer.replace("http", "https"), "https://localhost",
            "https://10.0.0.1", "https://169.254.169.254", "https://[::1]", "https://0.0.0.0",
            "https://[64:ff9b::a9fe:a9fe]", "https://[2002:7f00:1::]", "https://[fec0::1]",
            "https://[::127.0.0.1]", "https://224.0.0.1",
        ):  # fmt: skip
            with pytest.raises(Unavailable, match="nobody goes"):
                await relying.discover(issuer)
    finally:
        await relying.close()
    assert liar.asked == []


@pytest.mark.parametrize(
    "url",
    ["http://shop.example", "ftp://shop.example", "https://", "https://a@b.example", "https://a b/",
     "https://b.example/#x", "https://b.example:port/", "//b.example", "", "https://b.example/\n"],
)  # fmt: skip
def test_an_address_that_is_not_https_or_means_two_things_is_refused(url: str) -> None:
    assert model.find_url_fault(url, is_at_home=False) is not None


async def test_a_provider_that_does_not_answer_is_waited_for_so_long(
    liar: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openid, "CALL_S", 0.05)
    monkeypatch.setattr(liar, "answer", lambda _: ("200 OK\r\nX: y", b""))
    relying = OpenIdProviders(is_at_home=True)

    async def sleep_on(*_: Any, **__: Any) -> Any:
        await asyncio.sleep(5)

    monkeypatch.setattr(relying, "_check_host", sleep_on)
    try:
        with pytest.raises(Unavailable, match="TimeoutError"):
            await relying.discover(liar.issuer)
    finally:
        await relying.close()


async def test_what_is_published_is_asked_for_once_and_so_much_is_remembered(
    liar: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openid, "ISSUERS_MAX", 1)
    clock = [0.0]
    relying = OpenIdProviders(is_at_home=True, now=lambda: clock[0])
    async with run_liar() as second:
        try:
            for _ in range(3):
                await relying.discover(liar.issuer)
            assert liar.asked == [DISCOVERY]
            await relying.discover(second.issuer)
            await relying.discover(liar.issuer)
            assert liar.asked == [DISCOVERY] * 2
            clock[0] += openid.KEPT_S
            await relying.discover(liar.issuer)
            assert liar.asked == [DISCOVERY] * 3
        finally:
            await relying.close()
