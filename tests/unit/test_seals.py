"""Sealed values and wrapped keys: bound to their places, and opened by the right key only."""

import asyncio
import base64
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from serai.kernel import sealed
from serai.kernel.failure import Unavailable
from serai.kernel.sealed import MisplacedError, Plain, Sealed
from serai.kernel.seals.wrapping import LocalWrapping, read_keys

TENANT, SUBJECT = UUID(int=1), UUID(int=2)
SERIAL = b"\1\2\3\4"
KEY = AESGCM(bytes(32))
ONE, TWO = (base64.urlsafe_b64encode(bytes([n]) * 32).decode().rstrip("=") for n in (1, 2))


@given(st.text())
def test_what_was_sealed_opens_where_it_was_sealed_for(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    rests = sealed.close(KEY, SERIAL, Plain(TENANT, SUBJECT, "a.b.c", text))
    assert sealed.subject_of(rests) == SUBJECT
    assert sealed.reveal(KEY, SERIAL, Sealed(TENANT, "a.b.c", rests)) == text


@pytest.mark.parametrize(
    ("tenant", "place", "subject"),
    [(UUID(int=9), "a.b.c", SUBJECT), (TENANT, "a.b.d", SUBJECT), (TENANT, "a.b.c", UUID(int=9))],
)
def test_it_opens_for_no_other_tenant_place_or_subject(
    tenant: UUID, place: str, subject: UUID
) -> None:
    rests = sealed.close(KEY, SERIAL, Plain(TENANT, SUBJECT, "a.b.c", "me@example.org"))
    moved = sealed.prefix_of(subject) + rests.rpartition(":")[2]
    with pytest.raises(MisplacedError):
        sealed.reveal(KEY, SERIAL, Sealed(tenant, place, moved))


def test_what_another_key_sealed_is_gone_and_what_was_changed_is_told() -> None:
    rests = sealed.close(KEY, SERIAL, Plain(TENANT, SUBJECT, "a.b.c", "me@example.org"))
    assert sealed.reveal(KEY, b"\0\0\0\0", Sealed(TENANT, "a.b.c", rests)) is None
    for changed in (rests[:-5] + "AAAA=", rests[:-8], rests[:30]):
        with pytest.raises(MisplacedError):
            sealed.reveal(KEY, SERIAL, Sealed(TENANT, "a.b.c", changed))


@pytest.mark.parametrize("text", ["", "a@b.example", "s1:short", "s1:" + "x" * 22, "sealed"])
def test_what_was_never_sealed_is_clear(text: str) -> None:
    assert not sealed.is_sealed(text)


@given(st.text())
def test_an_address_that_was_folded_is_not_folded_further(text: str) -> None:
    once = sealed.normalize(text)
    assert sealed.normalize(once) == once


async def test_the_first_key_wraps_and_all_unwrap(tmp_path: Path) -> None:
    old = await LocalWrapping(keys=ONE, folder=tmp_path).wrap(b"k" * 32, b"bound")
    both = LocalWrapping(keys=f"{TWO},{ONE}", folder=tmp_path)
    assert await both.unwrap(old, b"bound") == b"k" * 32
    new = await both.wrap(b"k" * 32, b"bound")
    assert await both.retire() is False
    alone = LocalWrapping(keys=TWO, folder=tmp_path)
    assert await alone.unwrap(new, b"bound") == b"k" * 32
    assert await alone.retire() is True
    strange = ((old, b"bound"), (new, b"other"), ("local:x:y", b""), ("vault:v1:", b""))
    for wrapped, bound in strange:
        with pytest.raises(Unavailable):
            await alone.unwrap(wrapped, bound)


async def test_a_file_is_made_once_and_renewed(tmp_path: Path) -> None:
    one, two = (LocalWrapping(keys="", folder=tmp_path / "data") for _ in range(2))
    wrapped = await asyncio.gather(one.wrap(b"k" * 32, b""), two.wrap(b"k" * 32, b""))
    for each in wrapped:
        assert await one.unwrap(each, b"") == b"k" * 32
    file = tmp_path / "data" / "privacy.key"
    assert file.stat().st_mode & 0o777 == 0o600
    await one.renew()
    assert len(read_keys(file.read_text())) == 2
    renewed = await one.wrap(b"n" * 32, b"")
    assert await two.unwrap(renewed, b"") == b"n" * 32, "it reads the file again"
    assert await one.retire() is True
    assert len(read_keys(file.read_text())) == 1
    with pytest.raises(Unavailable):
        await one.unwrap(wrapped[0], b"")
    assert await one.unwrap(renewed, b"") == b"n" * 32
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "ä", "AAAA", ",".join([ONE] * 9), "!"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="key"):
        read_keys(text)
