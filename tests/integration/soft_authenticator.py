"""An authenticator in software: makes passkeys and signs challenges, as a browser's device does.

By Web Authentication, level 3: client data (5.8.1), authenticator data (6.1), no attestation (8.7),
with the keys as COSE (RFC 9052). It lies where a test tells it to.
"""

import base64
import hashlib
import json
import secrets
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from webauthn.helpers import encode_cbor

PRESENT, VERIFIED, BACKUP_ELIGIBLE, BACKED_UP, ATTESTED = 1, 4, 8, 16, 64


def encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "===")


class SoftKey:
    """One key pair, ES256 or EdDSA."""

    def __init__(self, algorithm: str) -> None:
        self._ec = ec.generate_private_key(ec.SECP256R1()) if algorithm == "ES256" else None
        self._ed = ed25519.Ed25519PrivateKey.generate()

    def public(self) -> bytes:
        """The public half as a COSE key."""
        if self._ec is not None:
            numbers = self._ec.public_key().public_numbers()
            x, y = (n.to_bytes(32, "big") for n in (numbers.x, numbers.y))
            return encode_cbor({1: 2, 3: -7, -1: 1, -2: x, -3: y})
        raw = self._ed.public_key().public_bytes_raw()
        return encode_cbor({1: 1, 3: -8, -1: 6, -2: raw})

    def sign(self, data: bytes) -> bytes:
        if self._ec is not None:
            return self._ec.sign(data, ec.ECDSA(SHA256()))
        return self._ed.sign(data)


class SoftAuthenticator:
    """A device with one passkey; `origin` is that of the page that its browser shows."""

    def __init__(self, origin: str, *, algorithm: str = "ES256", counts: bool = True) -> None:
        self.origin = origin
        self.key = SoftKey(algorithm)
        self.credential_id = secrets.token_bytes(32)
        self.user_handle = b""
        self.flags = PRESENT | VERIFIED
        self.counter = 0
        self._step = 1 if counts else 0

    def make(self, options: dict[str, Any], **lies: Any) -> dict[str, Any]:
        """What `navigator.credentials.create` gives for these options, as JSON."""
        self.user_handle = decode(options["user"]["id"])
        client_data = self._client_data("webauthn.create", options, **lies)
        length = len(self.credential_id).to_bytes(2, "big")
        attested = bytes(16) + length + self.credential_id + self.key.public()
        rp_id = lies.get("rp_id", options["rp"]["id"])
        data = self._data(rp_id, lies.get("flags", self.flags) | ATTESTED) + attested
        attestation = encode_cbor({"fmt": "none", "attStmt": {}, "authData": data})
        response = {"clientDataJSON": encode(client_data), "attestationObject": encode(attestation)}
        return self._credential(response | {"transports": ["internal"]})

    def sign(self, options: dict[str, Any], **lies: Any) -> dict[str, Any]:
        """What `navigator.credentials.get` gives for these options, as JSON."""
        client_data = self._client_data("webauthn.get", options, **lies)
        self.counter += self._step
        rp_id = lies.get("rp_id", options["rpId"])
        data = self._data(rp_id, lies.get("flags", self.flags))
        signature = self.key.sign(data + hashlib.sha256(client_data).digest())
        response = {
            "clientDataJSON": encode(client_data),
            "authenticatorData": encode(data),
            "signature": encode(signature),
            "userHandle": encode(lies.get("user_handle", self.user_handle)),
        }
        return self._credential(response)

    def _client_data(self, kind: str, options: dict[str, Any], **lies: Any) -> bytes:
        said = {
            "type": lies.get("type", kind),
            "challenge": lies.get("challenge", options["challenge"]),
            "origin": lies.get("origin", self.origin),
            "crossOrigin": lies.get("cross_origin", False),
        }
        return json.dumps(said).encode()

    def _data(self, rp_id: str, flags: int) -> bytes:
        head = hashlib.sha256(rp_id.encode()).digest()
        return head + bytes([flags]) + self.counter.to_bytes(4, "big")

    def _credential(self, response: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": encode(self.credential_id),
            "rawId": encode(self.credential_id),
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {},
            "response": response,
        }
