"""What is personal as it rests: sealed under a key of whom it is about, and bound to its place.

A sealed value is text that names its subject and its key's serial number. It is AES-256-GCM, whose
associated data is the tenant, the subject, the serial and the place (a table and a column): put
anywhere else it does not open. Once the subject's key is erased it opens nowhere, in backups too.
"""

import binascii
import os
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MARK: Final = "s1:"
"""How every sealed value begins; no e-mail address can, and what does not is from before."""
SERIAL_BYTES: Final = 4
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
FOLDS_MAX: Final = 4
"""Of some letters the folded form folds once more."""
_SUBJECT_CHARS: Final = 22

draw = os.urandom
"""The chance that keys and nonces are made of; who simulates puts a seeded one here."""


class Plain(msgspec.Struct, frozen=True):
    """A value before it is sealed: whose it is, and the table and column where it will rest."""

    tenant_id: UUID
    subject: UUID
    place: str
    text: str


class Sealed(msgspec.Struct, frozen=True):
    """A value as it rests, and where."""

    tenant_id: UUID
    place: str
    text: str


class Person(msgspec.Struct, frozen=True):
    """One whom an address names; customers with and without an account are buyers alike."""

    tenant_id: UUID
    kind: str
    email: str


BUYER: Final = "buyer"
STAFF: Final = "staff"


class Sealing(Protocol):
    """Seals and opens; every call but the first is part of the given transaction."""

    async def freshen(self, now: datetime) -> None:
        """Reads what sealing needs, before a transaction begins."""
        ...

    async def seal(self, plains: Sequence[Plain], *, tx: Any) -> list[str]:
        """Values as they may rest; a subject without a key is given one."""
        ...

    async def unseal(self, sealed: Sequence[Sealed], *, tx: Any) -> list[str | None]:
        """The values; None where the subject's key was erased. What is from before is clear."""
        ...

    async def find_subjects(self, people: Sequence[Person], *, tx: Any) -> list[UUID]:
        """Who these are: keyed digests of their addresses, by a key of the tenant's own."""
        ...


class MisplacedError(Exception):
    """A sealed value was changed, or stands where it was not sealed for."""


def normalize(email: str) -> str:
    """What an address is compared by: how its letters are written makes no difference."""
    if email.isascii():
        return email.lower()
    for _ in range(FOLDS_MAX):
        folded = unicodedata.normalize("NFKC", email).casefold()
        if folded == email:
            break
        email = folded
    return email


def is_sealed(text: str) -> bool:
    """Whether a text is a sealed value, as far as its form tells."""
    return subject_of(text) is not None


def subject_of(text: str) -> UUID | None:
    """Whom a sealed value is about; None for a clear one."""
    head, end = text[len(MARK) : len(MARK) + _SUBJECT_CHARS], len(MARK) + _SUBJECT_CHARS
    if not text.startswith(MARK) or text[end : end + 1] != ":":
        return None
    try:
        return UUID(bytes=binascii.a2b_base64(head + "=="))
    except (ValueError, binascii.Error):
        return None


def prefix_of(subject: UUID) -> str:
    """How every value about a subject begins."""
    return f"{MARK}{binascii.b2a_base64(subject.bytes)[:_SUBJECT_CHARS].decode()}:"


def close(key: AESGCM, serial: bytes, plain: Plain) -> str:
    """Seals a value."""
    nonce = draw(NONCE_BYTES)
    bound = _bind(plain.tenant_id, plain.subject, serial, plain.place)
    sealed = key.encrypt(nonce, plain.text.encode(), bound)
    raw = binascii.b2a_base64(serial + nonce + sealed, newline=False)
    return prefix_of(plain.subject) + raw.decode()


def reveal(key: AESGCM, serial: bytes, sealed: Sealed) -> str | None:
    """Opens a value; None where it is of another key than this, which is gone then."""
    subject = subject_of(sealed.text)
    assert subject is not None, "only a sealed value is opened"
    try:
        raw = binascii.a2b_base64(sealed.text[len(MARK) + _SUBJECT_CHARS + 1 :])
        if len(raw) < SERIAL_BYTES + NONCE_BYTES + TAG_BYTES:
            raise ValueError("too short")
    except (ValueError, binascii.Error) as error:
        raise MisplacedError(f"a sealed value in {sealed.place} is cut short") from error
    if raw[:SERIAL_BYTES] != serial:
        return None
    nonce = raw[SERIAL_BYTES : SERIAL_BYTES + NONCE_BYTES]
    try:
        bound = _bind(sealed.tenant_id, subject, serial, sealed.place)
        return key.decrypt(nonce, raw[SERIAL_BYTES + NONCE_BYTES :], bound).decode()
    except (InvalidTag, ValueError) as error:
        raise MisplacedError(f"a sealed value does not belong into {sealed.place}") from error


def _bind(tenant_id: UUID, subject: UUID, serial: bytes, place: str) -> bytes:
    return b"".join((MARK.encode(), tenant_id.bytes, subject.bytes, serial, place.encode()))
