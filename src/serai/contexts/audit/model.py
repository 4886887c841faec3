"""The chain: how an entry is written down to be hashed, how it is linked, and what breaks it."""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from serai.contexts.audit.contract import Broken, HeadView
from serai.kernel.actor import ActorKind
from serai.kernel.changes import Change

GENESIS: Final = bytes(32)
"""What the first entry of a chain follows."""


class Entry(msgspec.Struct, frozen=True):
    """One change in a tenant's trail.

    Its fields are hashed in this order, which never changes: whoever holds a hash of today must be
    able to recompute it for ever.
    """

    tenant_id: UUID
    seq: int
    recorded_at: datetime
    event_id: UUID
    action: str
    actor_kind: ActorKind
    actor_id: UUID
    address: str | None
    subject_kind: str
    subject_id: str
    correlation_id: UUID
    causation_id: UUID | None
    request_id: str | None
    detail: msgspec.Raw
    """`{"before": ..., "after": ...}` as it was written, byte for byte."""


class Linked(msgspec.Struct, frozen=True):
    """An entry in its place in the chain."""

    entry: Entry
    previous: bytes
    hash: bytes


class Head(msgspec.Struct, frozen=True):
    """The end of a chain, or of a piece of it."""

    seq: int
    hash: bytes

    @property
    def view(self) -> HeadView:
        return HeadView(self.seq, self.hash.hex())


START: Final = Head(0, GENESIS)
_canonical: Final = msgspec.json.Encoder().encode
_detail: Final = msgspec.json.Encoder(order="deterministic").encode


def canonical(entry: Entry) -> bytes:
    """An entry as JSON in the order of its fields, without spaces; times in UTC."""
    return _canonical(entry)


def hash_of(previous: bytes, entry: Entry) -> bytes:
    """SHA-256 of the hash before (32 bytes) and the entry's canonical JSON."""
    return hashlib.sha256(previous + canonical(entry)).digest()


def link(
    head: Head,
    tenant_id: UUID,
    told: Iterable[tuple[UUID, datetime, Sequence[Change]]],
) -> list[Linked]:
    """The next entries of a chain: for each event its id, its time and the changes in it."""
    linked: list[Linked] = []
    seq, previous = head.seq, head.hash
    for event_id, recorded_at, changes in told:
        for change in changes:
            seq += 1
            entry = Entry(
                tenant_id,
                seq,
                recorded_at,
                event_id,
                change.action,
                change.actor.kind,
                change.actor.id,
                change.actor.address,
                change.subject_kind,
                change.subject_id,
                change.correlation_id,
                change.causation_id,
                change.request_id,
                msgspec.Raw(_detail({"before": change.before, "after": change.after})),
            )
            made = Linked(entry, previous, hash_of(previous, entry))
            linked.append(made)
            previous = made.hash
    return linked


def verify(start: Head, entries: Iterable[Linked]) -> tuple[Head, Broken | None]:
    """Recomputes a piece of a chain; where it holds up to, and the first entry that does not."""
    seq, previous = start.seq, start.hash
    for linked in entries:
        found = linked.entry.seq
        if found != seq + 1:
            return Head(seq, previous), Broken(
                seq + 1, f"entry {seq + 1} is missing: {found} follows {seq}"
            )
        if linked.previous != previous:
            return Head(seq, previous), Broken(found, "it does not follow the entry before it")
        if linked.hash != hash_of(previous, linked.entry):
            return Head(seq, previous), Broken(found, "what it says is not what was hashed")
        seq, previous = found, linked.hash
    return Head(seq, previous), None
