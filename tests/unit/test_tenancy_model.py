import hashlib
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serai.contexts.tenancy import model
from serai.contexts.tenancy.contract import (
    KEYS_MAX,
    SCOPES,
    ScopeNotHeld,
    TenantNameUnfit,
    TooManyKeys,
    UnknownScope,
)
from serai.contexts.tenancy.model import KeyAddress, KeyRecord
from serai.kernel.tenant import POOLED

TENANT = UUID("01931a2b-0000-7000-8000-000000000001")
KEY = UUID("01931a2b-0000-7000-8000-0000000000aa")
SECRET = "a" * 42 + "_"
TEXT = f"serai_{TENANT.hex}_{KEY.hex}_{SECRET}"


def record(*, digest: bytes, revoked_at: datetime | None = None) -> KeyRecord:
    return KeyRecord(TENANT, KEY, POOLED, digest, frozenset({"orders:read"}), revoked_at)


@pytest.mark.parametrize("name", ["a", "my-shop", "0", "a" * 63, "x--y"])
def test_a_slug_is_a_name(name: str) -> None:
    model.check_name(name)


@pytest.mark.parametrize(
    "name", ["", "-a", "a-", "A", "a b", "a_b", "a" * 64, "ä", "a\n", "a\0", "٣", "a/b"]
)
def test_what_is_no_slug_is_refused_as_a_name(name: str) -> None:
    with pytest.raises(TenantNameUnfit):
        model.check_name(name)


@given(st.uuids(), st.uuids())
def test_a_written_key_tells_its_address(tenant_id: UUID, key_id: UUID) -> None:
    text = model.write_key(tenant_id, key_id, SECRET)
    assert len(text) == model.KEY_CHARS
    assert model.address_of(text) == KeyAddress(tenant_id, key_id)


@given(st.text(max_size=200))
def test_no_other_text_has_an_address(text: str) -> None:
    assert model.address_of(text) is None


@pytest.mark.parametrize(
    "text",
    [
        TEXT[:-1],
        TEXT + "a",
        TEXT.upper(),
        TEXT.replace("serai", "serei"),
        TEXT[:-1] + "=",
        TEXT[:-1] + "\n",
        TEXT.replace(TENANT.hex, "g" * 32),
    ],
)
def test_a_key_with_a_fault_has_no_address(text: str) -> None:
    assert model.address_of(text) is None


def test_only_the_sha_256_of_a_key_is_kept() -> None:
    assert model.digest_of(TEXT) == hashlib.sha256(TEXT.encode()).digest()
    assert len(model.digest_of(TEXT)) == 32


def test_a_key_is_valid_with_its_own_digest_until_it_is_revoked() -> None:
    digest = model.digest_of(TEXT)
    other = model.digest_of(TEXT[:-1] + "b")
    assert model.is_valid(record(digest=digest), digest)
    assert not model.is_valid(record(digest=other), digest)
    assert not model.is_valid(None, digest)
    assert not model.is_valid(
        record(digest=digest, revoked_at=datetime(2026, 1, 1, tzinfo=UTC)), digest
    )


def test_scopes_come_out_once_and_in_their_usual_order() -> None:
    wanted = ["orders:write", "catalog:read", "orders:write"]
    assert model.choose_scopes(wanted, held=SCOPES) == ("catalog:read", "orders:write")


def test_an_unknown_scope_is_refused_and_named() -> None:
    with pytest.raises(UnknownScope) as refusal:
        model.choose_scopes(["orders:eat", "orders:read"], held=SCOPES)
    assert refusal.value.facts == {"unknown": ["orders:eat"]}


def test_a_key_without_any_scope_is_refused() -> None:
    with pytest.raises(UnknownScope):
        model.choose_scopes([], held=SCOPES)


def test_a_key_cannot_give_what_it_does_not_hold() -> None:
    with pytest.raises(ScopeNotHeld) as refusal:
        model.choose_scopes(["orders:read", "orders:write"], held={"orders:read"})
    assert refusal.value.facts == {"missing": ["orders:write"]}
    assert refusal.value.status == 403


def test_the_last_key_that_fits_is_made_and_the_next_refused() -> None:
    assert model.refuse_too_many(KEYS_MAX - 1) is None
    assert isinstance(model.refuse_too_many(KEYS_MAX), TooManyKeys)
