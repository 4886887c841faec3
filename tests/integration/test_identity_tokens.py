"""Access tokens that are not quite ours: each is refused alike, and tells nothing."""

import base64
import json
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from joserfc import jws
from joserfc.jwk import OctKey, OKPKey, RSAKey

from serai.contexts.identity.gateways.safe import Safe
from serai.contexts.identity.model.keys import PLATFORM
from serai.kernel.db import Database
from serai.kernel.tenant import POOLED
from tests.integration.identity_shop import Shop, open_shop, settings_of

EMAIL = "buyer@example.com"
# The key and the signature of RFC 8037, appendix A: sound, and not ours.
RFC_8037_TOKEN = (
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
)
# RFC 7515, appendix A.1 (HS256) and A.5 (unsecured).
RFC_7515_A1 = (
    "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
    "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
)
RFC_7515_A5 = (
    "eyJhbGciOiJub25lIn0."
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
)
# What RFC 7515 and 7520 sign by besides, and the rest of RFC 7518.
JOSE_ALGORITHMS = ("HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
                   "ES256", "ES384", "ES512", "ES256K")  # fmt: skip
# RFC 7520, section 4.1 (RS256), its signature cut as it stands for any other.
RFC_7520_HEADER = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9"


class Forge:
    """The shop's own key, a token of its own, and means to make others of it."""

    def __init__(self, shop: Shop, token: str, key: OKPKey) -> None:
        self.shop = shop
        self.token = token
        self.key = key
        header, payload, self.signature = token.split(".")
        self.header: dict[str, Any] = json.loads(unb64(header))
        self.claims: dict[str, Any] = json.loads(unb64(payload))

    def sign(
        self, header: dict[str, Any] | None = None, claims: Any = None, key: Any = None
    ) -> str:
        """A token with a sound signature over whatever is wanted."""
        head = {**self.header, **(header or {})}
        payload = claims if isinstance(claims, bytes) else encode({**self.claims, **(claims or {})})
        return sign_raw(encode(head), payload, key or self.key)


def sign_raw(header: bytes, payload: bytes, key: OKPKey) -> str:
    """Ed25519 over any two texts, as no library would let us."""
    signing_input = f"{b64(header)}.{b64(payload)}"
    private: Any = key.private_key
    return f"{signing_input}.{b64(private.sign(signing_input.encode()))}"


def encode(value: Any) -> bytes:
    return json.dumps(value).encode()


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@pytest.fixture
async def forge(database: Database, tmp_path: Path) -> AsyncIterator[Forge]:
    async with open_shop(database, tmp_path) as shop:
        await shop.add_tenant("acme")
        await shop.add_tenant("rival")
        await shop.register(EMAIL)
        token = (await shop.sign_in(EMAIL))["access_token"]
        async with database.transaction(POOLED, (PLATFORM,)) as tx:
            sealed = await tx.connection.fetchval("SELECT sealed_key FROM identity.signing_keys")
        safe = Safe(key="", key_file="", folder=settings_of(tmp_path).data_path)
        key = OKPKey.import_key(json.loads(await safe.unseal(sealed)))
        yield Forge(shop, token, key)


def now() -> int:
    return int(time.time())


def _by(alg: str, f: Forge) -> str:
    header = b64(encode({"alg": alg, "kid": "bilbo.baggins@hobbiton.example"}))
    return f"{header}.{f.token.split('.')[1]}.{f.signature}"


Attack = Callable[[Forge], str]
ATTACKS: dict[str, Attack] = {
    "alg none": lambda f: (
        f"{b64(encode({'alg': 'none', 'typ': 'at+jwt'}))}.{f.token.split('.')[1]}."
    ),
    "alg none with our kid": lambda f: (
        f"{b64(encode({**f.header, 'alg': 'none'}))}.{f.token.split('.')[1]}."
    ),
    "alg None in capitals": lambda f: f.sign({"alg": "NONE"}),
    "no signature": lambda f: f.token.rpartition(".")[0] + ".",
    "two parts": lambda f: f.token.rpartition(".")[0],
    "four parts": lambda f: f.token + ".x",
    "five parts": lambda f: f.token + ".x.y",
    "HS256 by the public key": lambda f: jws.serialize_compact(
        {**f.header, "alg": "HS256"},
        encode(f.claims),
        OctKey.import_key(unb64(str(f.key.as_dict(private=False)["x"]))),
        algorithms=["HS256"],
    ),
    "HS256 by the public JWK": lambda f: jws.serialize_compact(
        {**f.header, "alg": "HS256"},
        encode(f.claims),
        OctKey.import_key(encode(f.key.as_dict(private=False))),
        algorithms=["HS256"],
    ),
    "RS256 by a key of one's own": lambda f: jws.serialize_compact(
        {**f.header, "alg": "RS256"},
        encode(f.claims),
        RSAKey.generate_key(2048),
        algorithms=["RS256"],
    ),
    "another Ed25519 key under our kid": lambda f: f.sign(key=OKPKey.generate_key("Ed25519")),
    "an unknown kid": lambda f: f.sign({"kid": str(uuid4())}),
    "a kid that is a path": lambda f: f.sign({"kid": "../../../../dev/null"}),
    "a kid that is SQL": lambda f: f.sign({"kid": "x' UNION SELECT 'k' --"}),
    "a kid that is a number": lambda f: f.sign({"kid": 1}),
    "no kid": lambda f: sign_raw(
        encode({"alg": "Ed25519", "typ": "at+jwt"}), encode(f.claims), f.key
    ),
    "an embedded jwk": lambda f: _embedded(f, "jwk"),
    "a jku": lambda f: f.sign({"jku": "https://evil.example/jwks.json"}),
    "an x5u": lambda f: f.sign({"x5u": "https://evil.example/cert.pem"}),
    "an x5c": lambda f: f.sign({"x5c": ["MIIB"]}),
    "crit": lambda f: f.sign({"crit": ["exp"]}),
    "crit of b64": lambda f: f.sign({"crit": ["b64"], "b64": False}),
    "zip": lambda f: f.sign({"zip": "DEF"}),
    "another typ": lambda f: f.sign({"typ": "JWT"}),
    "EdDSA by its old name": lambda f: f.sign({"alg": "EdDSA"}),
    "expired": lambda f: f.sign(
        claims={"iat": now() - 1000, "nbf": now() - 1000, "exp": now() - 100}
    ),
    "expired this second": lambda f: f.sign(claims={"iat": now() - 900, "exp": now()}),
    "of the future": lambda f: f.sign(claims={"iat": now() + 300, "exp": now() + 600}),
    "not before the future": lambda f: f.sign(claims={"nbf": now() + 300}),
    "longer than ours": lambda f: f.sign(claims={"exp": now() + 90_000}),
    "an exp beyond every clock": lambda f: f.sign(claims={"exp": 2**62}),
    "an exp that is text": lambda f: f.sign(claims={"exp": str(now() + 600)}),
    "an exp that is broken": lambda f: f.sign(claims={"exp": now() + 600.5}),
    "another audience": lambda f: f.sign(claims={"aud": "someone-else"}),
    "a list of audiences": lambda f: f.sign(claims={"aud": ["serai-api", "someone-else"]}),
    "another issuer": lambda f: f.sign(claims={"iss": "https://evil.example"}),
    "another tenant": lambda f: f.sign(claims={"tenant": str(f.shop.tenants["rival"])}),
    "a tenant that is none": lambda f: f.sign(claims={"tenant": str(uuid4())}),
    "the platform's tenant": lambda f: f.sign(claims={"tenant": str(PLATFORM)}),
    "another account": lambda f: f.sign(claims={"sub": str(uuid4())}),
    "another session": lambda f: f.sign(claims={"sid": str(uuid4())}),
    "another kind": lambda f: f.sign(claims={"kind": "staff"}),
    "a kind that is none": lambda f: f.sign(claims={"kind": "operator"}),
    "a claim too many": lambda f: f.sign(claims={"scope": "identity:write"}),
    "no claims": lambda f: f.sign(claims=b"{}"),
    "claims that are a list": lambda f: f.sign(claims=b"[]"),
    "claims that are no JSON": lambda f: f.sign(claims=b"\xff\xfe"),
    "a claim twice": lambda f: f.sign(claims=encode(f.claims)[:-1] + b', "kind": "customer"}'),
    "a header member twice": lambda f: sign_raw(
        encode(f.header)[:-1] + b', "alg": "Ed25519"}', encode(f.claims), f.key
    ),
    "a header that is no JSON": lambda f: sign_raw(b"{", encode(f.claims), f.key),
    "a header that is deep": lambda f: sign_raw(b"[" * 900, encode(f.claims), f.key),
    "truncated": lambda f: f.token[:-4],
    "cut in half": lambda f: f.token[: len(f.token) // 2],
    "one bit of the signature": lambda f: (
        f"{f.token[:-10]}{'A' if f.token[-10] != 'A' else 'B'}{f.token[-9:]}"
    ),
    "the signature of another": lambda f: (
        f.sign(claims={"jti": str(uuid4())}).rpartition(".")[0] + "." + f.signature
    ),
    "spaces inside": lambda f: f.token.replace(".", ". ", 1),
    "padding": lambda f: f.token + "==",
    "the alphabet of plain base64": lambda f: f.token + "+/",
    "huge": lambda f: f.sign(claims={"roles": ["x" * 20_000]}),
    "huge and no token": lambda _: "a." * 50_000,
    "dots only": lambda _: "..",
    "a refresh token's form": lambda _: "refresh_" + "0" * 150,
    "RFC 8037 A.4": lambda _: RFC_8037_TOKEN,
    "RFC 7515 A.1": lambda _: RFC_7515_A1,
    "RFC 7515 A.5": lambda _: RFC_7515_A5,
    "RFC 7520 4.1": lambda f: f"{RFC_7520_HEADER}.{f.token.split('.')[1]}.{f.signature}",
    **{f"signed by {alg}, with the kid of RFC 7520": partial(_by, alg) for alg in JOSE_ALGORITHMS},
    "JSON serialization": lambda f: json.dumps(
        {"payload": f.token.split(".")[1], "signature": f.signature}
    ),
}


def _embedded(f: Forge, member: str) -> str:
    own = OKPKey.generate_key("Ed25519")
    return f.sign({member: own.as_dict(private=False)}, key=own)


async def test_every_attack_is_refused_alike_and_tells_nothing(forge: Forge) -> None:
    # What the forge signs without a change is good: so it is the change that is refused.
    good = forge.sign(claims={"jti": str(uuid4())})
    assert (await forge.shop.call("GET", "/v1/me", good)).status_code == 200
    let_in, said = [], set()
    for name, attack in ATTACKS.items():
        answer = await forge.shop.call("GET", "/v1/me", attack(forge))
        body = answer.json()
        if answer.status_code != 401:
            let_in.append((name, answer.status_code))
        said.add((body["code"], body["detail"]))
        assert answer.headers["www-authenticate"] == 'Bearer realm="serai"'
    assert let_in == []
    assert said == {
        ("unauthenticated", "this token is not valid: it is malformed, over, or its session ended")
    }
    assert (await forge.shop.call("GET", "/v1/me", forge.token)).status_code == 200


async def test_a_header_that_is_no_text_is_refused(forge: Forge) -> None:
    for raw in (b"Bearer \xff\xfe.\xff.\xff", b"Bearer " + "ü.é.ß".encode(), b"Bearer"):
        answer = await forge.shop.http.get("/v1/me", headers=[(b"Authorization", raw)])
        assert answer.status_code == 401


async def test_the_key_set_is_public_and_holds_no_secret(forge: Forge) -> None:
    answer = await forge.shop.http.get("/.well-known/jwks.json")
    assert answer.headers["cache-control"] == "public, max-age=300"
    (key,) = answer.json()["keys"]
    assert set(key) == {"kty", "crv", "x", "kid", "alg", "use"}
    public = OKPKey.import_key(key)
    verified = jws.deserialize_compact(forge.token, public, algorithms=["Ed25519"])
    assert json.loads(verified.payload or b"")["tenant"] == str(forge.shop.tenants["acme"])


async def test_what_is_stored_cannot_be_used(forge: Forge, database: Database) -> None:
    """No table holds a password, a token, or a key in the clear."""
    shop = forge.shop
    given = await shop.sign_in(EMAIL)
    await shop.post("/v1/password-resets", {"email": EMAIL})
    mailed = await shop.mailed("password_reset_requested")
    halves = given["refresh_token"][-86:-43], given["refresh_token"][-43:]
    secrets = ["seven brass lanterns", given["access_token"], *halves, mailed, mailed[22:]]
    secrets.append(str(forge.key.as_dict(private=True)["d"]))
    async with database.transaction(
        POOLED, (shop.tenants["acme"], PLATFORM), is_transport=True
    ) as tx:
        tables = await tx.connection.fetch(
            "SELECT schemaname || '.' || tablename AS name FROM pg_tables "
            "WHERE schemaname IN ('identity', 'kernel', 'notifications') "
            "AND tablename <> 'migrations' ORDER BY 1"
        )
        assert len(tables) > 8
        for table in tables:
            rows = await tx.connection.fetch(f"SELECT t::text AS text FROM {table['name']} t")
            for row in rows:
                assert not any(secret in row["text"] for secret in secrets), table["name"]
