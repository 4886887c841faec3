"""Asks of each request with a key that has a signer whether it is signed by that one, and now."""

from datetime import datetime
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from serai.contexts.tenancy.contract import TakeNonce
from serai.contexts.tenancy.model import KeyRecord
from serai.kernel.batch import Batch
from serai.kernel.clock import Clock
from serai.kernel.signatures import Asked, verify
from serai.kernel.tenant import DIRECTORY
from serai.kernel.web import Proof


class Signer:
    """`Proof` by signatures: each is of the request as it came, and good once in all processes."""

    def __init__(self, record: KeyRecord, key: bytes, signers: "Signers") -> None:
        self._tenant_id, self._key_id = record.tenant_id, record.key_id
        self._key = Ed25519PublicKey.from_public_bytes(key)
        self._signers = signers

    async def check(self, connection: Any) -> None:
        """Refuses a request that is not signed. It is let in once its nonce is on disk."""
        asked = await _read(connection, self._signers.scheme)
        signed = verify(
            asked, key_id=str(self._key_id), signer=self._key, now=self._signers.clock.now()
        )
        await self._signers.take(self._tenant_id, self._key_id, signed.nonce, signed.until)


class Signers:
    """Makes of an API key what it asks of requests. `scheme` is the one that clients speak."""

    def __init__(self, batch: Batch[TakeNonce, Any], clock: Clock, *, scheme: str) -> None:
        self._batch = batch
        self.clock = clock
        self.scheme = scheme

    def prove(self, record: KeyRecord) -> Proof | None:
        """What a key asks for beside itself; None for one without a signer."""
        return None if record.signer is None else Signer(record, record.signer, self)

    async def take(self, tenant_id: UUID, key_id: UUID, nonce: str, until: datetime) -> None:
        """Uses up a nonce; refuses one that was used."""
        await self._batch.submit(TakeNonce(tenant_id, key_id, nonce, until), home=DIRECTORY)


async def _read(connection: Any, scheme: str) -> Asked:
    """A request as it came, before anything of it is decoded."""
    scope = connection.scope
    headers = [
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]
    ]
    host = ", ".join(value for name, value in headers if name == "host")
    query = scope["query_string"].decode("latin-1")
    url = f"{scheme}://{host}{scope['raw_path'].decode('latin-1')}" + (f"?{query}" if query else "")
    return Asked(scope["method"], url, headers, await connection.body())
