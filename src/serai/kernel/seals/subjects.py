"""The keys of subjects: read and made by the batch, unwrapped in memory within a bound.

Whether a subject has a key is read anew in every transaction: what one process erases, none goes on
to use. Only the unwrapping is remembered, by the wrapped key itself, so that nothing which was
rolled back or erased can be taken for a key that is there.
"""

import hmac
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from asyncpg.pgproto import pgproto
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
_DIGEST_MASK: Final = ~(0xF << 76 | 0b11 << 62)
_DIGEST_MARKS: Final = 0x8 << 76 | 0b10 << 62
"""Version and variant of a UUIDv8 (RFC 9562)."""
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
        await self._ensure([(p.tenant_id, p.subject) for p in plains], tx=tx)
        out = []
        for plain in plains:
            key: DataKey = tx.keys[plain.tenant_id, plain.subject]
            out.append(sealed.close(key.aead, key.serial, plain))
        return out

    async def unseal(self, values: Sequence[Sealed], *, tx: Tx) -> list[str | None]:
        subjects = [sealed.subject_of(value.text) for value in values]
        pairs = list(zip(values, subjects, strict=True))
        await self._find([(v.tenant_id, s) for v, s in pairs if s is not None], tx=tx)
        out: list[str | None] = []
        for value, subject in pairs:
            if subject is None:
                out.append(value.text)
                continue
            key: DataKey | None = tx.keys.get((value.tenant_id, subject))
            out.append(None if key is None else sealed.reveal(key.aead, key.serial, value))
        return out

    async def find_keys(self, wanted: Sequence[Whose], *, tx: Tx) -> dict[Whose, DataKey]:
        """The keys that there are of some subjects."""
        await self._find(wanted, tx=tx)
        return {whose: tx.keys[whose] for whose in wanted if whose in tx.keys}

    async def find_subjects(self, people: Sequence[Person], *, tx: Tx) -> list[UUID]:
        strange = {(p.tenant_id, TENANT) for p in people if p.tenant_id not in self._tenants}
        if strange:
            await self._find_tenants(strange, tx=tx)
        out = []
        for person in people:
            # The answer about an order is of the same person as the order.
            name = (person.tenant_id, person.kind, person.email)
            subject: UUID | None = tx.keys.get(name)
            if subject is None:
                key: DataKey | None = self._tenants.get(person.tenant_id)
                key = key or tx.keys[person.tenant_id, TENANT]
                subject = tx.keys[name] = _digest(key.raw, person)
            out.append(subject)
        return out

    async def erase(self, tenant_id: UUID, subjects: Collection[UUID], *, tx: Tx) -> int:
        """Erases the keys of subjects; how many there were."""
        assert TENANT not in subjects, "a tenant's own key goes with the tenant"
        for subject in subjects:
            tx.keys.pop((tenant_id, subject), None)
        return await tx.execute(_SQL.erase_data_keys, tenant_id, sorted(subjects))

    async def _find_tenants(self, strange: set[Whose], *, tx: Tx) -> None:
        """Reads or makes tenants' own keys. What others made is remembered: it is never erased."""
        others = [whose for whose in strange if whose not in tx.keys]
        await self._find(others, tx=tx)
        if len(self._tenants) >= REMEMBERED_MAX:
            self._tenants.clear()
        self._tenants |= {whose[0]: tx.keys[whose] for whose in others if whose in tx.keys}
        await self._ensure(list(strange), tx=tx)

    async def _ensure(self, wanted: Sequence[Whose], *, tx: Tx) -> None:
        """Sees to it that the transaction knows a key of each; makes the missing ones."""
        await self._find(wanted, tx=tx)
        missing = list(dict.fromkeys(whose for whose in wanted if whose not in tx.keys))
        if not missing:
            return
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
            for whose, (serial, raw) in zip(missing, fresh, strict=True):
                tx.keys[whose] = DataKey(serial, raw, AESGCM(raw))
        else:
            # Of two that gave a key at the same time one was late: what stands there counts.
            await self._find(missing, tx=tx)

    async def _find(self, wanted: Sequence[Whose], *, tx: Tx) -> None:
        """Reads the keys that the transaction does not know yet; some may have none."""
        listed = list(dict.fromkeys(whose for whose in wanted if whose not in tx.keys))
        if not listed:
            return
        rows = await tx.fetch(_SQL.find_data_keys, [t for t, _ in listed], [s for _, s in listed])
        for row in rows:
            whose = listed[row["number"] - 1]
            tx.keys[whose] = self._unwrapped.get(row["wrapped"]) or self._unwrap(whose, row)

    def _unwrap(self, whose: Whose, row: Record) -> DataKey:
        serial, wrapped = row["serial"], row["wrapped"]
        raw = unwrap(self.roots.find(row["root"]), whose, serial, wrapped)
        while len(self._unwrapped) >= REMEMBERED_MAX:
            self._unwrapped.pop(next(iter(self._unwrapped)))
        key = self._unwrapped[wrapped] = DataKey(serial, raw, AESGCM(raw))
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
    value = int.from_bytes(hmac.digest(key, text, "sha256")[:16], "big")
    # The driver's own UUID is one to every reader, and is made and written ten times as fast.
    made: UUID = pgproto.UUID((value & _DIGEST_MASK | _DIGEST_MARKS).to_bytes(16, "big"))
    return made
