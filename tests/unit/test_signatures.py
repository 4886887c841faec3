"""What a signature must be: the vectors of RFC 9421, and whatever else may come."""

import base64
import contextlib
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from http_message_signatures import ContentDigest, HTTPMessageSigner, MappingKeyResolver, algorithms
from hypothesis import given
from hypothesis import strategies as st

from serai.contexts.tenancy import model
from serai.contexts.tenancy.contract import SignerUnfit
from serai.contexts.tenancy.gateways.keyring import Keyring
from serai.contexts.tenancy.model import KeyAddress, KeyRecord
from serai.kernel import ids
from serai.kernel.signatures import (
    AGE_MAX,
    AHEAD_MAX,
    FIELD_CHARS_MAX,
    KEPT_LONGER,
    Asked,
    ContentDigestUnfit,
    SignatureIncomplete,
    SignatureInvalid,
    SignatureMalformed,
    SignatureMissing,
    SignatureOutOfTime,
    Signed,
    verify,
)
from serai.kernel.tenant import POOLED
from serai.kernel.web import Rule, Unauthenticated

BUDGET_US: Final = 60.0
"""What checking who asks, and what she may, may cost a request."""
VERIFYING_US_MAX: Final = 2_000.0

# RFC 9421, appendix B: the key of B.1.4, the request of B.2, the signature of B.2.6.
PUBLIC = (
    "-----BEGIN PUBLIC KEY-----\n"
    "MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=\n"
    "-----END PUBLIC KEY-----\n"
)
PRIVATE = (
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF\n"
    "-----END PRIVATE KEY-----\n"
)
KEY_ID = "test-key-ed25519"
CREATED = 1618884473
BODY = b'{"hello": "world"}'
URL = "https://example.com/foo?param=Value&Pet=dog"
HEADERS = {
    "host": "example.com",
    "date": "Tue, 20 Apr 2021 02:07:55 GMT",
    "content-type": "application/json",
    "content-digest": "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BN"
    "NyealdVLvRwEmTHWXvJwew==:",
    "content-length": "18",
}
INPUT = (
    'sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length")'
    f';created={CREATED};keyid="{KEY_ID}"'
)
SIGNATURE = (
    "sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpB"
    "KRCw==:"
)
SIGNER = Ed25519PublicKey.from_public_bytes(model.read_signer(PUBLIC))
NOW = datetime.fromtimestamp(CREATED, UTC)


def vector(**changes: str) -> Asked:
    """The request of the RFC, with what an attacker has changed."""
    headers = {**HEADERS, "signature-input": INPUT, "signature": SIGNATURE}
    method, url = changes.pop("method", "POST"), changes.pop("url", URL)
    headers |= {name.replace("_", "-"): value for name, value in changes.items()}
    return Asked(method, url, list(headers.items()), BODY)


def check(asked: Asked, *, key_id: str = KEY_ID, now: datetime = NOW) -> Signed:
    return verify(asked, key_id=key_id, signer=SIGNER, now=now)


def test_the_vector_of_the_rfc_is_right_and_not_enough_for_us() -> None:
    with pytest.raises(SignatureIncomplete) as refused:
        check(vector())
    assert refused.value.facts["missing"] == [
        "authorization", "content-digest", "@target-uri", "nonce (of 16 to 64 characters)",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "PUT"},
        {"url": URL.replace("foo", "bar")},
        {"url": URL.replace("example.com", "example.org")},
        {"date": "Tue, 20 Apr 2021 02:07:56 GMT"},
        {"content_type": "application/jsom"},
        {"content_length": "19"},
        {"signature_input": INPUT.replace(str(CREATED), str(CREATED + 1))},
        {"signature_input": INPUT.replace('"date" "@method"', '"@method" "date"')},
        {"signature": SIGNATURE.replace("wqcA", "wqcB")},
    ],
)
def test_the_vector_changed_in_anything_that_it_covers_is_wrong(changes: dict[str, str]) -> None:
    with pytest.raises(SignatureInvalid):
        check(vector(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "https:///foo"},
        {"url": "https://a b/foo"},
        {"signature_input": INPUT.replace(KEY_ID, "another")},
        {"signature_input": INPUT + ';alg="rsa-pss-sha512"'},
        {"signature_input": INPUT + ";unheard-of=1"},
        {"signature_input": INPUT.replace('"date"', '"date" "date"')},
        {"signature_input": INPUT.replace('"date"', '"@status"')},
        {"signature_input": INPUT.replace('"date"', '"x-unsent"')},
        {"signature_input": INPUT.replace('"date"', "date")},
        {"signature_input": INPUT.replace('"date"', '"Date"')},
        {"signature_input": INPUT.replace(str(CREATED), "1.5")},
        {"signature_input": INPUT.replace(str(CREATED), "@1618884473")},
        {"signature_input": INPUT.replace("sig-b26", "other")},
        {"signature_input": f"{INPUT}, b=()"},
        {"signature": SIGNATURE.replace("==:", "==")},
        {"signature": "x" * (FIELD_CHARS_MAX + 1)},
    ],
)
def test_what_cannot_be_read_is_told_from_what_is_wrong(changes: dict[str, str]) -> None:
    with pytest.raises(SignatureMalformed):
        check(vector(**changes))


class Careless(ContentDigest):
    """Signs over whatever the header says."""

    @classmethod
    def prepare(cls, headers: Any, body: bytes | None, *, use_existing_digest: bool) -> None:
        del headers, body, use_existing_digest


class CarelessSigner(HTTPMessageSigner):
    content_digest_class = Careless


def test_the_private_key_of_the_rfc_makes_its_signature() -> None:
    """Ed25519 takes no chance: what clients sign with is checked by the same vector."""
    private = serialization.load_pem_private_key(PRIVATE.encode(), None)
    message = SimpleNamespace(method="POST", url=URL, headers=dict(HEADERS))
    keys = MappingKeyResolver(public_keys={}, private_keys={KEY_ID: private})  # type: ignore[dict-item]
    CarelessSigner(signature_algorithm=algorithms.ED25519, key_resolver=keys).sign(
        message, key_id=KEY_ID, created=NOW, label="sig-b26", include_alg=False,
        covered_component_ids=["date", "@method", "@path", "@authority", "content-type",
                               "content-length"],
    )  # fmt: skip
    assert message.headers["Signature-Input"] == INPUT
    assert message.headers["Signature"] == SIGNATURE


def signed(
    *, created: int = CREATED, body: bytes = BODY, digest: str = HEADERS["content-digest"],
    **given: Any,
) -> Asked:  # fmt: skip
    """A request that is enough for us, by the RFC's key."""
    private = serialization.load_pem_private_key(PRIVATE.encode(), None)
    headers = {**HEADERS, "authorization": "Bearer key", "content-digest": digest}
    message = SimpleNamespace(method="POST", url=URL, headers=headers)
    keys = MappingKeyResolver(public_keys={}, private_keys={KEY_ID: private})  # type: ignore[dict-item]
    CarelessSigner(signature_algorithm=algorithms.ED25519, key_resolver=keys).sign(
        message, key_id=KEY_ID, created=datetime.fromtimestamp(created, UTC),
        covered_component_ids=["@method", "@target-uri", "authorization", "content-type",
                               "content-digest"],
        **{"nonce": "n" * 16, **given},
    )  # fmt: skip
    return Asked("POST", URL, [(n.lower(), v) for n, v in headers.items()], body)


def test_what_is_signed_whole_and_just_now_is_let_in() -> None:
    assert check(signed()) == Signed("n" * 16, NOW + AGE_MAX + KEPT_LONGER)


@pytest.mark.parametrize(
    ("created", "is_let_in"),
    [
        (NOW - AGE_MAX, True), (NOW - AGE_MAX - timedelta(seconds=1), False),
        (NOW + AHEAD_MAX, True), (NOW + AHEAD_MAX + timedelta(seconds=1), False),
        (datetime.fromtimestamp(0, UTC), False), (datetime(9999, 1, 1, tzinfo=UTC), False),
    ],
)  # fmt: skip
def test_a_signature_is_good_for_so_long(created: datetime, is_let_in: bool) -> None:  # noqa: FBT001
    asked = signed(created=int(created.timestamp()))
    if is_let_in:
        check(asked)
        return
    with pytest.raises(SignatureOutOfTime) as refused:
        check(asked)
    assert refused.value.facts == {"now": CREATED}


def test_a_signature_is_over_when_it_says_so() -> None:
    check(signed(expires=NOW + timedelta(seconds=1)))
    with pytest.raises(SignatureOutOfTime):
        check(signed(expires=NOW))


@pytest.mark.parametrize(
    ("body", "digest"),
    [
        (BODY + b" ", HEADERS["content-digest"]),
        (b"", HEADERS["content-digest"]),
        (BODY, "sha-256=:AAAA:"),
        (BODY, "md5=:Sd/dVLAcvNLSq16eXua5uQ==:"),
        (BODY, "nothing"),
        # One of two that is wrong makes both wrong.
        (BODY, f"{HEADERS['content-digest']}, sha-256=:{base64.b64encode(b'x' * 32).decode()}:"),
    ],
)
def test_a_body_that_is_not_the_one_that_was_signed_is_refused(body: bytes, digest: str) -> None:
    with pytest.raises(ContentDigestUnfit):
        check(signed(body=body, digest=digest))


def test_nothing_at_all_is_told_from_a_wrong_signature() -> None:
    with pytest.raises(SignatureMissing):
        check(Asked("POST", URL, list(HEADERS.items()), BODY))


@given(
    st.sampled_from(["signature-input", "signature", "content-digest", "authorization", "host"]),
    st.one_of(st.text(st.characters(max_codepoint=0xFF)), st.sampled_from([INPUT, SIGNATURE])),
)
def test_whatever_comes_is_refused_and_breaks_nothing(name: str, value: str) -> None:
    good = signed()
    for headers in (
        [(n, value if n == name else v) for n, v in good.headers],
        [*good.headers, (name, value)],
    ):
        if headers == good.headers or name == "host":
            continue
        with pytest.raises(Unauthenticated):
            check(good._replace(headers=headers))


@given(st.sampled_from(["signature-input", "signature"]), st.data())
def test_no_signature_survives_a_character(name: str, data: st.DataObject) -> None:
    good = signed()
    text = dict(good.headers)[name]
    place = data.draw(st.integers(text.index("="), len(text) - 1))
    put = data.draw(st.characters(max_codepoint=0xFF).filter(lambda c: c != text[place]))
    changed = text[:place] + put + text[place + 1 :]
    headers = [(n, changed if n == name else v) for n, v in good.headers]
    with contextlib.suppress(Unauthenticated):
        assert check(good._replace(headers=headers)) == check(good), "the same in other letters"


@pytest.mark.parametrize(
    "pem",
    [
        "", "nonsense", PRIVATE, PUBLIC[:-30], PUBLIC.replace("MCow", "MCox"), "\ud800",
        # A key of another kind (X25519), and one of P-256.
        PUBLIC.replace("AyEA", "BiEA"),
        "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+"
        "D9Lfw0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ==\n"
        "-----END PUBLIC KEY-----\n",
    ],
)  # fmt: skip
def test_what_is_no_public_key_of_this_kind_is_no_signer(pem: str) -> None:
    with pytest.raises(SignerUnfit):
        model.read_signer(pem)


def test_a_signer_is_shown_as_it_was_given() -> None:
    assert model.write_signer(model.read_signer(PUBLIC)) == PUBLIC
    made = Ed25519PrivateKey.generate().public_key()
    assert model.read_signer(model.write_signer(made.public_bytes_raw())) == made.public_bytes_raw()


async def test_a_key_without_a_signer_costs_no_more_than_the_budget() -> None:
    tenant_id, key_id = ids.new_id(), ids.new_id()
    text = model.write_key(tenant_id, key_id, "s" * 43)
    scopes = frozenset({"orders:read"})
    record = KeyRecord(tenant_id, key_id, POOLED, model.digest_of(text), scopes, None)

    async def look_up(_: KeyAddress) -> KeyRecord:
        return record

    state = SimpleNamespace(authenticator=Keyring(look_up, lambda _: None), get=lambda _name: None)
    connection: Any = SimpleNamespace(
        headers={"authorization": f"Bearer {text}"}, scope={"query_string": b""},
        app=SimpleNamespace(state=state),
    )  # fmt: skip
    rule, handler, calls = Rule("orders:read"), None, 5_000
    best = float("inf")
    for _ in range(3):
        began = time.process_time()
        for _ in range(calls):
            await rule(connection, handler)  # type: ignore[arg-type]
        best = min(best, (time.process_time() - began) / calls * 1e6)
    print(f"\na key without a signer: {best:.1f} µs")  # noqa: T201 - for who measures
    assert best < BUDGET_US


def test_checking_a_signature_is_bounded() -> None:
    asked = signed()
    best = float("inf")
    for _ in range(3):
        began = time.process_time()
        for _ in range(200):
            check(asked)
        best = min(best, (time.process_time() - began) / 200 * 1e6)
    print(f"\na signature: {best:.1f} µs")  # noqa: T201 - for who measures
    assert best < VERIFYING_US_MAX
