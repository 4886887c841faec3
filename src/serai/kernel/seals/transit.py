"""HashiCorp Vault's transit engine as what wraps the root keys, over its HTTP interface.

Only encrypt, decrypt, rotate, read and config of one named key are asked for (Vault API, secret
engine `transit`), with the binding as `associated_data`. The key must be of an AEAD type, such as
`aes256-gcm96`, and the token's policy must allow those paths.
"""

import base64
import binascii
from typing import Any, Final

import httpx
import msgspec

from serai.kernel.failure import Unavailable

CONNECT_TIMEOUT_S: Final = 2.0
ANSWER_TIMEOUT_S: Final = 5.0
"""How long Vault may take to answer; it is asked at a process's start and at a rotation only."""
_FIRST_ERROR: Final = 400


class _Data(msgspec.Struct, frozen=True):
    ciphertext: str = ""
    plaintext: str = ""
    latest_version: int = 0


class _Reply(msgspec.Struct, frozen=True):
    data: _Data


_decode = msgspec.json.Decoder(_Reply).decode


class TransitWrapping:
    """`Wrapping` by a key that never leaves Vault."""

    def __init__(self, *, url: str, key: str, token: str, mount: str = "transit") -> None:
        self._key = key
        self._client = httpx.AsyncClient(
            base_url=f"{url.rstrip('/')}/v1/{mount}",
            headers={"X-Vault-Token": token, "X-Vault-Request": "true"},
            timeout=httpx.Timeout(ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            trust_env=False,
        )

    async def wrap(self, key: bytes, bound: bytes) -> str:
        body = {"plaintext": _b64(key), "associated_data": _b64(bound)}
        reply = await self._ask("POST", f"/encrypt/{self._key}", body)
        if reply is None or not reply.data.ciphertext.startswith("vault:"):
            raise Unavailable("Vault answered without a ciphertext")
        return reply.data.ciphertext

    async def unwrap(self, wrapped: str, bound: bytes) -> bytes:
        body = {"ciphertext": wrapped, "associated_data": _b64(bound)}
        reply = await self._ask("POST", f"/decrypt/{self._key}", body)
        try:
            return base64.b64decode("" if reply is None else reply.data.plaintext, validate=True)
        except binascii.Error as error:
            raise Unavailable("Vault answered with what is no key") from error

    async def renew(self) -> None:
        await self._ask("POST", f"/keys/{self._key}/rotate", {})

    async def retire(self) -> bool:
        reply = await self._ask("GET", f"/keys/{self._key}", None)
        if reply is None or reply.data.latest_version < 1:
            raise Unavailable("Vault does not tell the version of its key")
        newest = {"min_decryption_version": reply.data.latest_version}
        await self._ask("POST", f"/keys/{self._key}/config", newest)
        return True

    async def close(self) -> None:
        await self._client.aclose()

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None) -> _Reply | None:
        try:
            answer = await self._client.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise Unavailable(f"Vault was not reached: {type(error).__name__}") from error
        if answer.status_code >= _FIRST_ERROR:
            # Its words may repeat what was sent; the status says enough.
            raise Unavailable(f"Vault refused {path}: {answer.status_code}")
        if not answer.content:
            return None
        try:
            return _decode(answer.content)
        except msgspec.DecodeError:
            return None


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
