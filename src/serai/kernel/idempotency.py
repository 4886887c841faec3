"""Durable idempotency keys: equal requests give one effect and one answer, however far apart.

The key is claimed first, in the transaction of the effect. An equal request at the same instant
waits on the row of the first, and then finds its answer; a different one under the same key is
refused.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from serai.kernel import queries
from serai.kernel.db import Tx
from serai.kernel.failure import Refused
from serai.kernel.sealed import BUYER, Person, Plain, Sealed

KEY_CHARS_MAX = 255
PLACE: Final = "kernel.idempotency_keys.answer"
_SQL = queries.load("serai.kernel")


class Claim(msgspec.Struct, frozen=True):
    """A request's idempotency key and the fingerprint of what it asks for."""

    key: str
    fingerprint: bytes


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was answered: kept byte for byte, so that a repeated request gets the very same."""

    status: int
    body: bytes
    location: str = ""
    etag: str = ""
    is_repeated: bool = False
    """Whether it was given before, to a request that is long done; it is kept without."""
    subject: UUID | None = None
    """Under whose key the body is kept, where it says something about a person."""
    buyer: str | None = None
    """The address of the buyer whom the body is about; kept as `subject` only."""


def as_sent(answer: Answer | Refused) -> Answer | Refused:
    """What whoever asked is given: the same the first time and whenever it is repeated."""
    if isinstance(answer, Refused) or answer.buyer is None:
        return answer
    return msgspec.structs.replace(answer, buyer=None)


class Owned(msgspec.Struct, frozen=True):
    """A claim of one tenant."""

    tenant_id: UUID
    claim: Claim


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Answer)


def fingerprint(operation: str, body: bytes) -> bytes:
    """What tells two requests apart: the operation with its path, and the body byte for byte."""
    return hashlib.blake2b(operation.encode() + b"\0" + body, digest_size=16).digest()


async def claim_keys(claims: Sequence[Owned], *, tx: Tx, now: datetime) -> set[tuple[UUID, str]]:
    """Claims keys; returns those that are ours now. Waits for concurrent claims of them."""
    rows = await tx.fetch(
        _SQL.claim_keys,
        [c.tenant_id for c in claims],
        [c.claim.key for c in claims],
        [c.claim.fingerprint for c in claims],
        now,
    )
    return {(row["tenant_id"], row["key"]) for row in rows}


async def find_answers(
    claims: Sequence[Owned], *, tx: Tx
) -> dict[tuple[UUID, str], tuple[bytes, Answer | None]]:
    """What was answered under these keys: fingerprint and answer by (tenant, key)."""
    rows = await tx.fetch(
        _SQL.find_answers, [c.tenant_id for c in claims], [c.claim.key for c in claims]
    )
    found: dict[tuple[UUID, str], tuple[bytes, Answer | None]] = {
        (row["tenant_id"], row["key"]): (
            row["fingerprint"],
            None if row["answer"] is None else _decoder.decode(row["answer"]),
        )
        for row in rows
    }
    return found | await _open(found, tx=tx)


async def store_answers(answers: Sequence[tuple[Owned, Answer]], *, tx: Tx) -> None:
    """Keeps the answers beside their keys; what is about a person sealed under her key."""
    kept = await _close(answers, tx=tx)
    await tx.execute(
        _SQL.store_answers,
        [owned.tenant_id for owned, _ in answers],
        [owned.claim.key for owned, _ in answers],
        [_encoder.encode(answer) for answer in kept],
    )


def read_answer(raw: bytes) -> Answer:
    """An answer as it rests."""
    return _decoder.decode(raw)


def write_answer(answer: Answer) -> bytes:
    """An answer as it may rest."""
    return _encoder.encode(answer)


async def release_keys(claims: Sequence[Owned], *, tx: Tx) -> None:
    """Gives back keys under which nothing was done."""
    await tx.execute(
        _SQL.release_keys, [c.tenant_id for c in claims], [c.claim.key for c in claims]
    )


async def _close(answers: Sequence[tuple[Owned, Answer]], *, tx: Tx) -> list[Answer]:
    """The answers as they may rest."""
    about = [(owned.tenant_id, answer) for owned, answer in answers if answer.buyer is not None]
    if not about:
        return [answer for _, answer in answers]
    subjects = await tx.find_subjects([Person(t, BUYER, a.buyer or "") for t, a in about])
    sealed = await tx.seal([
        Plain(tenant_id, subject, PLACE, answer.body.decode())
        for (tenant_id, answer), subject in zip(about, subjects, strict=True)
    ])  # fmt: skip
    closed = iter(zip(subjects, sealed, strict=True))
    out = []
    for _, answer in answers:
        if answer.buyer is None:
            out.append(answer)
            continue
        subject, text = next(closed)
        kept = msgspec.structs.replace(answer, body=text.encode(), subject=subject, buyer=None)
        out.append(kept)
    return out


async def _open(
    found: dict[tuple[UUID, str], tuple[bytes, Answer | None]], *, tx: Tx
) -> dict[tuple[UUID, str], tuple[bytes, Answer | None]]:
    """Those of the answers that rest sealed. Of one who was erased nobody knows the request."""
    closed = [
        (key, fingerprint, answer)
        for key, (fingerprint, answer) in found.items()
        if answer is not None and answer.subject is not None
    ]
    if not closed:
        return {}
    texts = await tx.unseal([Sealed(key[0], PLACE, a.body.decode()) for key, _, a in closed])
    return {
        key: (b"", answer)
        if text is None
        else (fingerprint, msgspec.structs.replace(answer, body=text.encode(), subject=None))
        for (key, fingerprint, answer), text in zip(closed, texts, strict=True)
    }
