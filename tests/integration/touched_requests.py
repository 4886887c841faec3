"""Signed requests that were touched on their way, and how each of them must be refused."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from http_message_signatures import ContentDigest, algorithms

from serai.kernel.signatures import AGE_MAX, AHEAD_MAX
from tests.integration.signing_shop import ORDER, Signatory, SigningShop

Touch = Callable[[SigningShop], httpx.Request]


def _header(name: str, value: str) -> Touch:
    def touch(shop: SigningShop) -> httpx.Request:
        request = shop.signed("POST", "/v1/orders", ORDER)
        request.headers[name] = value
        return request

    return touch


def _without(name: str) -> Touch:
    def touch(shop: SigningShop) -> httpx.Request:
        request = shop.signed("POST", "/v1/orders", ORDER)
        del request.headers[name]
        return request

    return touch


def _added(name: str, value: str) -> Touch:
    def touch(shop: SigningShop) -> httpx.Request:
        request = shop.signed("POST", "/v1/orders", ORDER)
        lines = [*request.headers.raw, (name.encode(), value.encode())]
        return httpx.Request("POST", request.url, content=ORDER, headers=lines)

    return touch


def _sent_as(method: str, path: str) -> Touch:
    def touch(shop: SigningShop) -> httpx.Request:
        signed = shop.signed("POST", "/v1/orders?a=1", ORDER)
        return httpx.Request(method, f"http://shop.test{path}", content=ORDER,
                             headers=signed.headers)  # fmt: skip

    return touch


def _body(shop: SigningShop) -> httpx.Request:
    signed = shop.signed("POST", "/v1/orders", ORDER)
    return httpx.Request("POST", signed.url, headers=signed.headers,
                         content=ORDER.replace(b'"quantity":1', b'"quantity":9'))  # fmt: skip


def _body_and_digest(shop: SigningShop) -> httpx.Request:
    request = _body(shop)
    request.headers["content-digest"] = ContentDigest.create(request.content)
    return request


def _given(**given: Any) -> Touch:
    return lambda shop: shop.signed("POST", "/v1/orders", ORDER, **given)


def _uncovered(*left_out: str) -> Touch:
    def touch(shop: SigningShop) -> httpx.Request:
        request = shop.request("POST", "/v1/orders", ORDER, if_match='"1"')
        covered = [*request.headers, "@method", "@target-uri"]
        kept = [n for n in covered if n not in {*left_out, "host", "content-length"}]
        body = None if "content-digest" in left_out else ORDER
        return shop.one.sign(request, at=shop.now, covered=kept, body=body)

    return touch


def _body_of_none(shop: SigningShop) -> httpx.Request:
    """A body that was put into a signed request which had none."""
    signed = shop.signed("POST", "/v1/orders")
    headers = [h for h in signed.headers.raw if h[0].lower() != b"content-length"]
    headers.append((b"content-type", b"application/json"))
    return httpx.Request("POST", signed.url, content=ORDER, headers=headers)


def _by(private: Any, algorithm: Any = algorithms.ED25519) -> Touch:
    def touch(shop: SigningShop) -> httpx.Request:
        other = Signatory(shop.one.key, shop.one.key_id, private)
        request = shop.request("POST", "/v1/orders", ORDER)
        return other.sign(request, at=shop.now, algorithm=algorithm)

    return touch


def _by_the_other_tenant(shop: SigningShop) -> httpx.Request:
    return shop.two.sign(shop.request("POST", "/v1/orders", ORDER), at=shop.now)


def _by_the_other_tenant_under_this_id(shop: SigningShop) -> httpx.Request:
    request = shop.request("POST", "/v1/orders", ORDER)
    return shop.two.sign(request, at=shop.now, key_id=shop.one.key_id)


def _with_its_key(shop: SigningShop) -> httpx.Request:
    """The other tenant's API key, with what this one has signed."""
    request = shop.signed("POST", "/v1/orders", ORDER)
    request.headers["authorization"] = f"Bearer {shop.two.key}"
    return request


def _without_nonce(shop: SigningShop) -> httpx.Request:
    return shop.signed("POST", "/v1/orders", ORDER, nonce=None)


def _twice(shop: SigningShop) -> httpx.Request:
    request = shop.signed("POST", "/v1/orders", ORDER, label="a")
    return shop.one.sign(request, at=shop.now, label="b", append_if_signature_exists=True,
                         use_existing_digest=True)  # fmt: skip


TOUCHED: dict[str, tuple[Touch, str]] = {
    "another method": (_sent_as("GET", "/v1/orders?a=1"), "signature_invalid"),
    "another path": (_sent_as("POST", "/v1/returns?a=1"), "signature_invalid"),
    "another query": (_sent_as("POST", "/v1/orders?a=2"), "signature_invalid"),
    "no query": (_sent_as("POST", "/v1/orders"), "signature_invalid"),
    "another host": (_header("host", "other.test"), "signature_invalid"),
    "another body": (_body, "content_digest_unfit"),
    "another body and its digest": (_body_and_digest, "signature_invalid"),
    "a body where there was none": (_body_of_none, "signature_incomplete"),
    "a digest that is none": (_header("content-digest", "sha-256=:AAAA:"), "signature_invalid"),
    "another idempotency key": (_header("idempotency-key", "mine"), "signature_invalid"),
    "no idempotency key": (_without("idempotency-key"), "signature_malformed"),
    "a second idempotency key": (_added("idempotency-key", "mine"), "signature_invalid"),
    "a version that was not signed": (_header("if-match", '"7"'), "signature_incomplete"),
    "another type": (_header("content-type", "text/plain"), "signature_invalid"),
    "an encoding": (_header("content-encoding", "gzip"), "signature_incomplete"),
    "another tenant's key": (_with_its_key, "signature_malformed"),
    "another tenant's signer": (_by_the_other_tenant, "signature_malformed"),
    "its signer under this id": (_by_the_other_tenant_under_this_id, "signature_invalid"),
    "anybody's signature": (_by(Ed25519PrivateKey.generate()), "signature_invalid"),
    "old": (_given(later=-AGE_MAX - timedelta(seconds=1)), "signature_out_of_time"),
    "of the future": (_given(later=AHEAD_MAX + timedelta(seconds=1)), "signature_out_of_time"),
    "no nonce": (_without_nonce, "signature_incomplete"),
    "a short nonce": (_given(nonce="x" * 15), "signature_incomplete"),
    "a long nonce": (_given(nonce="x" * 65), "signature_incomplete"),
    "without the method": (_uncovered("@method"), "signature_incomplete"),
    "without the address": (_uncovered("@target-uri"), "signature_incomplete"),
    "without the key": (_uncovered("authorization"), "signature_incomplete"),
    "without the idempotency key": (_uncovered("idempotency-key"), "signature_incomplete"),
    "without the version": (_uncovered("if-match"), "signature_incomplete"),
    "without the type": (_uncovered("content-type"), "signature_incomplete"),
    "without the digest": (_uncovered("content-digest"), "signature_incomplete"),
    "hmac with the public key": (
        lambda shop: _by(shop.one.private.public_key().public_bytes_raw(),
                         algorithms.HMAC_SHA256)(shop), "signature_malformed"),
    "rsa": (_by(rsa.generate_private_key(65537, 2048), algorithms.RSA_PSS_SHA512),
            "signature_malformed"),
    "ecdsa without saying so": (
        lambda shop: Signatory(
            shop.one.key, shop.one.key_id, ec.generate_private_key(ec.SECP256R1())
        ).sign(shop.request("POST", "/v1/orders", ORDER), at=shop.now, include_alg=False,
               algorithm=algorithms.ECDSA_P256_SHA256), "signature_invalid"),
    "two signatures": (_twice, "signature_malformed"),
    "no signature beside its input": (_without("signature"), "signature_malformed"),
    "no input beside the signature": (_without("signature-input"), "signature_malformed"),
    "an input that is none": (_header("signature-input", "pyhms=("), "signature_malformed"),
    "an input without end": (_header("signature-input", "a=" + "(" * 5000), "signature_malformed"),
    "a signature that is text": (_header("signature", 'pyhms="x"'), "signature_malformed"),
    "an empty signature": (_header("signature", "pyhms=::"), "signature_invalid"),
    "a second signature line": (_added("signature", "x=:AAAA:"), "signature_malformed"),
}  # fmt: skip
