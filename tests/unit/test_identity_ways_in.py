"""Passkeys and providers without a database: any bytes are refused, and whom a first word opens."""

import base64
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from webauthn.helpers import encode_cbor

from serai.contexts.identity.gateways.ceremonies import WebAuthn
from serai.contexts.identity.model import passkeys, providers
from serai.contexts.identity.model.accounts import Account
from serai.contexts.identity.model.passkeys import Challenge, Passkey
from serai.contexts.identity.model.providers import Provider
from serai.kernel.failure import Refused
from tests.integration.soft_authenticator import SoftAuthenticator, decode, encode

NOW = datetime(2026, 11, 27, tzinfo=UTC)
PAGE = "https://shop.example"
HER = UUID(int=7)
CHALLENGE = Challenge(b"c" * 32, PAGE, "shop.example", NOW)
DEVICE = SoftAuthenticator(PAGE, counts=False)
MADE = DEVICE.make({
    "user": {"id": encode(HER.bytes)}, "rp": {"id": "shop.example"},
    "challenge": encode(CHALLENGE.challenge),
})  # fmt: skip
SIGNED = DEVICE.sign({"rpId": "shop.example", "challenge": encode(CHALLENGE.challenge)})
PASSKEY = Passkey(
    HER, HER, DEVICE.credential_id, DEVICE.key.public(), "shop.example", 0,
    False, "x", NOW,  # noqa: FBT003 - it is not backed up
)  # fmt: skip
CBOR = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.binary(max_size=80), st.text(max_size=9)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.sampled_from(["fmt", "attStmt", "authData", "x5c", 1, 3]), inner),
    ),
    max_leaves=8,
)


def with_bytes(credential: dict[str, Any], field: str, raw: bytes) -> dict[str, Any]:
    text = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    return credential | {"response": credential["response"] | {field: text}}


def test_what_was_made_and_signed_is_read() -> None:
    made = WebAuthn().read_made(MADE, CHALLENGE)
    assert made is not None
    assert (made.credential_id, made.public_key) == (DEVICE.credential_id, DEVICE.key.public())
    assert WebAuthn().read_signed(SIGNED, CHALLENGE, PASSKEY) is not None


@given(field=st.sampled_from(["clientDataJSON", "attestationObject"]), data=st.data())
def test_any_bytes_in_place_of_what_was_made_are_refused(field: str, data: st.DataObject) -> None:
    right = decode(MADE["response"][field])
    at = data.draw(st.integers(0, len(right) - 1))
    raw = data.draw(st.one_of(
        st.binary(max_size=200), CBOR.map(encode_cbor), st.just(right[:at]),
        st.binary(min_size=1, max_size=9).map(lambda middle: right[:at] + middle + right[at + 1 :]),
    ))  # fmt: skip
    made = WebAuthn().read_made(with_bytes(MADE, field, raw), CHALLENGE)
    # Without an attestation nothing but the site, the challenge and the page is signed for.
    assert made is None or made.credential_id == DEVICE.credential_id


@given(
    field=st.sampled_from(["clientDataJSON", "authenticatorData", "signature", "userHandle"]),
    raw=st.binary(max_size=200),
)
def test_any_bytes_in_place_of_what_was_signed_are_refused(field: str, raw: bytes) -> None:
    assert WebAuthn().read_signed(with_bytes(SIGNED, field, raw), CHALLENGE, PASSKEY) is None


@given(key=st.one_of(st.binary(max_size=80), CBOR.map(encode_cbor)))
def test_a_key_of_any_bytes_opens_nothing(key: bytes) -> None:
    kept = msgspec.structs.replace(PASSKEY, public_key=key)
    assert WebAuthn().read_signed(SIGNED, CHALLENGE, kept) is None


def test_the_site_is_looked_for_from_the_top() -> None:
    assert list(passkeys.list_sites("https://a.shop.example:444")) == [
        "https://example:444", "https://shop.example:444", "https://a.shop.example:444",
    ]  # fmt: skip
    assert passkeys.host_of("https://shop.example:444") == "shop.example"


@pytest.mark.parametrize(
    ("kept", "told", "is_back"), [(0, 0, False), (0, 1, False), (1, 2, False), (1, 1, True),
                                  (2, 1, True), (1, 0, True)],
)  # fmt: skip
def test_a_counter_has_to_grow_unless_there_is_none(kept: int, told: int, is_back: bool) -> None:  # noqa: FBT001
    assert passkeys.went_back(kept, told) is is_back


def provider(kind: Any, *domains: str) -> Provider:
    return Provider(HER, kind, "x", PAGE, "c", None, domains, True, 1, NOW)  # noqa: FBT003


def account(email: str) -> Account:
    return Account(HER, HER, "customer", email, "", None, ("customer",), 1, NOW)


CHOICES: list[tuple[Provider, str | None, str | None, str]] = [
    (provider("customer"), None, None, "email_not_allowed"),
    (provider("customer"), "a@x.example", None, "make"),
    (provider("customer"), "a@x.example", "a@x.example", "account_not_linked"),
    (provider("customer", "x.example"), "a@x.example", "a@x.example", "link"),
    (provider("customer", "x.example"), "A@X.example", "a@x.example", "link"),
    (provider("customer", "x.example"), "a@x.example", None, "make"),
    (provider("customer", "x.example"), "a@y.example", None, "email_not_allowed"),
    (provider("customer", "x.example"), "a@sub.x.example", None, "email_not_allowed"),
    (provider("customer", "x.example"), "a@x.example@y.example", None, "email_not_allowed"),
    # We compare more loosely than mail servers do: one who owns the other address is not she.
    (provider("customer", "x.example"), "\u212aim@x.example", "kim@x.example",
     "account_not_linked"),
    (provider("customer", "x.example"), "stra\u00dfe@x.example", "strasse@x.example",
     "account_not_linked"),
    (provider("staff", "x.example"), "a@x.example", None, "not_invited"),
    (provider("staff", "x.example"), "a@x.example", "a@x.example", "link"),
    (provider("staff", "x.example"), "a@y.example", "a@y.example", "email_not_allowed"),
]  # fmt: skip


@pytest.mark.parametrize(("by", "email", "there", "wanted"), CHOICES)
def test_the_first_word_of_a_provider_opens_what_it_may(
    by: Provider, email: str | None, there: str | None, wanted: str
) -> None:
    chosen = providers.choose(by, email, None if there is None else account(there))
    assert (chosen.code if isinstance(chosen, Refused) else chosen) == wanted
