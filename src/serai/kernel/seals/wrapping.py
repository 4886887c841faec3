"""What wraps the installation's root keys: a key-encryption key from a setting or a file.

A setting or file holds one key or several, each 32 bytes in base64: the first wraps, all unwrap. So
a new key is put before the old one, `serai privacy rotate-key` is run, and the old one is removed.
"""

import asyncio
import base64
import binascii
import contextlib
import hashlib
import os
import secrets
from pathlib import Path
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from serai.kernel import sealed
from serai.kernel.failure import Unavailable

KEY_BYTES: Final = 32
KEYS_MAX: Final = 8
"""Keys that a setting or file may hold at the same time."""
FILE: Final = "privacy.key"
NONCE_BYTES: Final = 12
_NAME_CHARS: Final = 16
_MARK: Final = "local"


class Wrapping(Protocol):
    """Wraps and unwraps root keys by a key that is kept outside the database."""

    async def wrap(self, key: bytes, bound: bytes) -> str:
        """A key as it may be stored, by the newest key-encryption key."""
        ...

    async def unwrap(self, wrapped: str, bound: bytes) -> bytes:
        """What was wrapped. Unavailable where none of our keys opens it."""
        ...

    async def renew(self) -> None:
        """Makes a new key-encryption key, where that is ours to make."""
        ...

    async def retire(self) -> bool:
        """Ends all but the newest; False where only the operator can do so."""
        ...

    async def close(self) -> None:
        """Gives back what is held."""
        ...


def read_keys(text: str) -> list[bytes]:
    """The keys that a text stands for, the newest first; ValueError where it holds none."""
    keys = []
    for word in text.replace(",", " ").split():
        try:
            raw = base64.urlsafe_b64decode(word.encode("ascii") + b"=" * (-len(word) % 4))
        except (UnicodeEncodeError, binascii.Error) as error:
            raise ValueError("a key is not written in base64") from error
        if len(raw) != KEY_BYTES:
            raise ValueError(f"a key has not {KEY_BYTES} bytes")
        keys.append(raw)
    if not 1 <= len(keys) <= KEYS_MAX:
        raise ValueError(f"there must be 1 to {KEYS_MAX} keys")
    return keys


class LocalWrapping:
    """`Wrapping` by keys that this process is given, or that stand in a file of the data folder."""

    def __init__(self, *, keys: str, folder: Path) -> None:
        self._given = keys
        self._path = folder / FILE
        self._keys: dict[str, bytes] = {}
        self._lock = asyncio.Lock()

    async def wrap(self, key: bytes, bound: bytes) -> str:
        if not self._given:
            await asyncio.to_thread(self._make)
        known = await self._open(is_anew=True)
        name, raw = next(iter(known.items()))
        nonce = sealed.draw(NONCE_BYTES)
        closed = nonce + AESGCM(raw).encrypt(nonce, key, bound)
        return f"{_MARK}:{name}:{base64.urlsafe_b64encode(closed).decode()}"

    async def unwrap(self, wrapped: str, bound: bytes) -> bytes:
        mark, _, rest = wrapped.partition(":")
        name, _, text = rest.partition(":")
        known = await self._open(is_anew=False)
        if mark == _MARK and name not in known:
            known = await self._open(is_anew=True)
        try:
            raw = base64.urlsafe_b64decode(text)
            return AESGCM(known[name]).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], bound)
        except (KeyError, ValueError, InvalidTag) as error:
            raise Unavailable(
                "personal data was sealed under another key than this process has: give every "
                "process the same SERAI_PRIVACY_KEY"
            ) from error

    async def renew(self) -> None:
        if not self._given:
            made = secrets.token_bytes(KEY_BYTES)
            async with self._lock:
                kept = await asyncio.to_thread(self._read)
                await asyncio.to_thread(self._write, [made, *kept][:KEYS_MAX])
            self._keys = {}

    async def retire(self) -> bool:
        if self._given:
            return len(read_keys(self._given)) == 1
        async with self._lock:
            kept = await asyncio.to_thread(self._read)
            await asyncio.to_thread(self._write, kept[:1])
        self._keys = {}
        return True

    async def close(self) -> None:
        """Nothing is held."""

    async def _open(self, *, is_anew: bool) -> dict[str, bytes]:
        if not self._keys or (is_anew and not self._given):
            async with self._lock:
                keys = (
                    read_keys(self._given) if self._given else await asyncio.to_thread(self._read)
                )
                self._keys = {_name_of(key): key for key in keys}
        return self._keys

    def _make(self) -> None:
        """Makes the file where there is none: only who is the first to wrap may do so."""
        try:
            if not self._path.exists():
                _make(self._path, _write_keys([secrets.token_bytes(KEY_BYTES)]))
        except OSError as error:
            raise Unavailable(
                f"cannot write {self._path.name}: {type(error).__name__}; see SERAI_PRIVACY_KEY"
            ) from error

    def _read(self) -> list[bytes]:
        try:
            return read_keys(self._path.read_text("ascii"))
        except (OSError, ValueError) as error:
            raise Unavailable(
                f"cannot read the key of personal data from {self._path.name}: "
                f"{type(error).__name__}; see SERAI_PRIVACY_KEY"
            ) from error

    def _write(self, keys: list[bytes]) -> None:
        draft = _draft(self._path, _write_keys(keys))
        draft.replace(self._path)


def _write_keys(keys: list[bytes]) -> str:
    return "".join(base64.urlsafe_b64encode(key).decode() + "\n" for key in keys)


def _name_of(key: bytes) -> str:
    """What a key is called beside what it wrapped; it tells nothing of the key."""
    return hashlib.sha256(b"serai: the name of a key" + key).hexdigest()[:_NAME_CHARS]


def _make(path: Path, text: str) -> None:
    """Writes a file where there is none; of several processes at once, one's stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = _draft(path, text)
    try:
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()


def _draft(path: Path, text: str) -> Path:
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return draft
