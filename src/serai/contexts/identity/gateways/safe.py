"""The installation's own key: it seals private keys, and the tokens in mails are made by it.

It comes from a setting or a file; where neither is set, one is made in the data folder, for its
owner's eyes only. The keys for the two uses are derived from it (HKDF, RFC 5869), private keys are
sealed as JWE (RFC 7516) with AES-256-GCM.
"""

import asyncio
import base64
import binascii
import contextlib
import os
import secrets
from pathlib import Path
from typing import Final

import msgspec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from serai.kernel.failure import Unavailable

KEY_BYTES: Final = 32
FILE: Final = "identity.key"
_ALGORITHMS: Final = ["dir", "A256GCM"]


class _Derived(msgspec.Struct, frozen=True):
    sealing: bytes
    mail: bytes


class Safe:
    """Seals and opens, and holds the secret of the mails; reads its key when first asked."""

    def __init__(self, *, key: str, key_file: str, folder: Path) -> None:
        self._key = key
        self._path = Path(key_file) if key_file else folder / FILE
        self._may_make = not key_file
        self._derived: _Derived | None = None
        self._lock = asyncio.Lock()

    async def mail_key(self) -> bytes:
        """The secret that the tokens in mails are made of."""
        return (await self._open()).mail

    async def seal(self, secret: bytes) -> str:
        """A secret as it may be stored."""
        key = OctKey.import_key((await self._open()).sealing)
        header = {"alg": "dir", "enc": "A256GCM"}
        return jwe.encrypt_compact(header, secret, key, algorithms=_ALGORITHMS)

    async def unseal(self, sealed: str) -> bytes:
        """What was sealed. Unavailable where it was by another key."""
        key = OctKey.import_key((await self._open()).sealing)
        try:
            plain = jwe.decrypt_compact(sealed, key, algorithms=_ALGORITHMS).plaintext
        except (JoseError, ValueError) as error:
            raise Unavailable(
                "the signing key was sealed by another key than this process has: give every "
                "process the same SERAI_IDENTITY_KEY, or, where it is lost, run `serai identity "
                "rotate-keys --compromised`"
            ) from error
        if plain is None:
            raise Unavailable("the sealed signing key is empty")
        return plain

    async def _open(self) -> _Derived:
        if self._derived is None:
            async with self._lock:
                if self._derived is None:
                    raw = read_key(self._key) if self._key else await asyncio.to_thread(self._read)
                    self._derived = _Derived(
                        _derive(raw, b"serai: signing keys"), _derive(raw, b"serai: mail tokens")
                    )
        return self._derived

    def _read(self) -> bytes:
        try:
            if self._may_make and not self._path.exists():
                _make(self._path)
            return read_key(self._path.read_text("ascii").strip())
        except (OSError, ValueError) as error:
            raise Unavailable(
                f"cannot read the installation's key from {self._path.name}: "
                f"{type(error).__name__}; see SERAI_IDENTITY_KEY and SERAI_IDENTITY_KEY_FILE"
            ) from error


def read_key(text: str) -> bytes:
    """The key that a text stands for; ValueError where it is none."""
    try:
        raw = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except (UnicodeEncodeError, binascii.Error) as error:
        raise ValueError("the key is not written in base64") from error
    if len(raw) != KEY_BYTES:
        raise ValueError(f"the key has not {KEY_BYTES} bytes")
    return raw


def _make(path: Path) -> None:
    """Writes a new key where there is none; of several processes at once, one's stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).decode() + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()


def _derive(raw: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info).derive(raw)
