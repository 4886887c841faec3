"""The keys of subjects: read and made by the batch, unwrapped in memory within a bound.

Whether a subject has a key is read anew in every transaction: what one process erases, none goes on
to use. Only the unwrapping is remembered, by the wrapped key itself, so that nothing which was
rolled back or erased can be taken for a key that is there.
"""

import hashlib
import hmac
from collections import ChainMap
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from serai.kernel import queries, sealed
from serai.kernel.db import Record, Tx
from serai.kernel.failure import Unavailable
from serai.kernel.sealed import SERIAL_BYTES, Person, Plain, Sealed
from serai.kernel.seals.roots import Root, Roots
from serai.kernel.seals.wrapping import KEY_BYTES, NONCE_BYTES

REMEMBERED_MAX: Final = 20_000
"""Unwrapped keys that a process remembers, about 500 bytes each."""
TENANT: Final = UUID(int=0)
"""The subject whose key makes the digests of a tenant's addresses."""
_VERSION: Final = 8
_SQL = queries.load("serai.kernel")

Whose = tuple[UUID, UUID]
"""A tenant and a subject of hers."""


class DataKey(msgspec.Struct, frozen=True):
    """A subject's key, unwrapped."""

    serial: bytes
    raw: bytes
    aead: AESGCM


class Seals:
    """The port `Sealing` over the tables of the kernel."""

    def __init__(self, roots: Roots) -> None:
        self.roots = roots
        self._unwrapped: dict[bytes, DataKey] = {}
        self._tenants: dict[UUID, DataKey] = {}

    async def freshen(self, now: datetime) -> None:
        await self.roots.freshen(now)

    async def seal(self, plains: Sequence[Plain], *, tx: Tx) -> list[str]:
        keys = await self._keys({(p.tenant_id, p.subject) for p in plains}, tx=tx)
        out = []
        for plain in plains:
            key = keys[plain.tenant_id, plain.subject]
            out.append(sealed.close(key.aead, key.serial, plain))
        return out

    async def unseal(self, values: Sequence[Sealed], *, tx: Tx) -> list[str | None]:
        subjects = [sealed.subject_of(value.text) for value in values]
        wanted = {
            (value.tenant_id, subject)
            for value, subject in zip(values, subjects, strict=True)
            if subject is not None
        }
        keys = await self._find(wanted, tx=tx) if wanted else {}
        out: list[str | None] = []
        for value, subject in zip(values, subjects, strict=True):
            if subject is None:
                out.append(value.text)
                continue
            key = keys.get((value.tenant_id, subject))
            out.append(None if key is None else sealed.reveal(key.aead, key.serial, value))
        return out

    async def find_subjects(self, people: Sequence[Person], *, tx: Tx) -> list[UUID]:
        if not people:
            return []
        strange = {(p.tenant_id, TENANT) for p in people if p.tenant_id not in self._tenants}
        # One that is read before any was made here has been committed, and it is never erased.
        mine = strange & tx.keys.keys()
        found = await self._find(strange - mine, tx=tx) if strange - mine else {}
        if len(self._tenants) >= REMEMBERED_MAX:
            self._tenants.clear()
        self._tenants |= {tenant_id: key for (tenant_id, _), key in found.items()}
        made = await self._keys(strange - found.keys(), tx=tx) if strange - found.keys() else {}
        keys = ChainMap({tenant_id: key for (tenant_id, _), key in made.items()}, self._tenants)
        return [_digest(keys[p.tenant_id].raw, p) for p in people]

    async def erase(self, tenant_id: UUID, subjects: Collection[UUID], *, tx: Tx) -> int:
        """Erases the keys of subjects; how many there were."""
        assert TENANT not in subjects, "a tenant's own key goes with the tenant"
        for subject in subjects:
            tx.keys.pop((tenant_id, subject), None)
        return await tx.execute(_SQL.erase_data_keys, tenant_id, sorted(subjects))

    async def _keys(self, wanted: set[Whose], *, tx: Tx) -> dict[Whose, DataKey]:
        keys = await self._find(wanted, tx=tx)
        missing = sorted(wanted - keys.keys())
        if not missing:
            return keys
        root = self.roots.newest(tx.now)
        fresh = [(sealed.draw(SERIAL_BYTES), sealed.draw(KEY_BYTES)) for _ in missing]
        made = await tx.execute(
            _SQL.insert_data_keys,
            [tenant_id for tenant_id, _ in missing],
            [subject for _, subject in missing],
            [serial for serial, _ in fresh],
            root.number,
            [wrap(root, w, s, raw) for w, (s, raw) in zip(missing, fresh, strict=True)],
            tx.now,
        )
        if made == len(missing):
            given = zip(missing, fresh, strict=True)
            made_here = {w: DataKey(serial, raw, AESGCM(raw)) for w, (serial, raw) in given}
            tx.keys |= made_here
            return keys | made_here
        # Of two that gave a key at the same time one was late: what stands there counts.
        return keys | await self._find(set(missing), tx=tx)

    async def _find(self, wanted: set[Whose], *, tx: Tx) -> dict[Whose, DataKey]:
        listed = sorted(wanted - tx.keys.keys())
        if listed:
            rows = await tx.fetch(
                _SQL.find_data_keys, [t for t, _ in listed], [s for _, s in listed]
            )
            for row in rows:
                whose = (row["tenant_id"], row["subject"])
                tx.keys[whose] = self._unwrap(row)
        return {whose: tx.keys[whose] for whose in wanted if whose in tx.keys}

    def _unwrap(self, row: Record) -> DataKey:
        wrapped: bytes = row["wrapped"]
        known = self._unwrapped.get(wrapped)
        if known is not None:
            return known
        root = self.roots.find(row["root"])
        raw = unwrap(root, (row["tenant_id"], row["subject"]), row["serial"], wrapped)
        while len(self._unwrapped) >= REMEMBERED_MAX:
            self._unwrapped.pop(next(iter(self._unwrapped)))
        key = self._unwrapped[wrapped] = DataKey(row["serial"], raw, AESGCM(raw))
        return key


def wrap(root: Root, whose: Whose, serial: bytes, raw: bytes) -> bytes:
    """A subject's key as it may rest."""
    nonce = sealed.draw(NONCE_BYTES)
    return nonce + root.key.encrypt(nonce, raw, _bound(whose, serial))


def unwrap(root: Root, whose: Whose, serial: bytes, wrapped: bytes) -> bytes:
    """A subject's key. Unavailable where it is another's, or of another root key."""
    try:
        return root.key.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], _bound(whose, serial))
    except InvalidTag as error:
        raise Unavailable("the key of a subject does not open by its root key") from error


def _bound(whose: Whose, serial: bytes) -> bytes:
    return b"serai: data key" + whose[0].bytes + whose[1].bytes + serial


def _digest(key: bytes, person: Person) -> UUID:
    """The subject that an address stands for: HMAC-SHA256, cut to the 122 bits of a UUID."""
    text = f"{person.kind}\0{sealed.normalize(person.email)}".encode()
    raw = bytearray(hmac.digest(key, text, hashlib.sha256)[:16])
    raw[6] = (raw[6] & 0x0F) | _VERSION << 4
    raw[8] = (raw[8] & 0x3F) | 0x80
    return UUID(bytes=bytes(raw))
