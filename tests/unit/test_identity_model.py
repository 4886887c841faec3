"""What identity decides: tries, refresh tokens, keys, roles, and who may change whom."""

import secrets
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serai.contexts.identity.contract import ACCESS_S, MorePowerful, RoleView, UnknownRole
from serai.contexts.identity.model import accounts, keys, roles, sessions, throttle, tokens
from serai.contexts.identity.model.keys import PUBLISHED_AFTER, SIGNS_AFTER, SigningKey
from serai.contexts.identity.model.sessions import SESSION_IDLE, SESSION_MAX, Session
from serai.contexts.identity.model.throttle import Allowance
from serai.contexts.tenancy.contract import SCOPES
from serai.kernel.failure import Throttled

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
TENANT, ACCOUNT, SESSION = UUID(int=1), UUID(int=2), UUID(int=3)
HALVES = st.integers(0, 2**32).map(lambda n: (f"{n:043d}", f"{n + 1:043d}"))


@given(
    tries=st.integers(1, 20), every=st.integers(1, 600),
    waits=st.lists(st.integers(0, 900), max_size=60),
)  # fmt: skip
def test_in_no_span_of_time_are_there_more_tries_than_allowed(
    tries: int, every: int, waits: list[int]
) -> None:
    allowance = Allowance(tries, timedelta(seconds=every))
    now, full_at, granted = NOW, NOW, []
    for wait in waits:
        now += timedelta(seconds=wait)
        spent = throttle.spend(full_at, allowance=allowance, now=now)
        if isinstance(spent, Throttled):
            # It says when there is one: not a second later, and not two earlier.
            after = spent.facts["retry_after_s"]
            then = throttle.spend(full_at, allowance=allowance, now=now + timedelta(seconds=after))
            assert isinstance(then, datetime)
            continue
        full_at = spent
        granted.append(now)
    for index, begin in enumerate(granted):
        for further, end in enumerate(granted[index:], start=1):
            assert further <= tries + (end - begin).total_seconds() / every + 1e-9


def test_a_bucket_tells_nobody_what_it_is_about() -> None:
    assert throttle.bucket_of("login", "a@b.de") != throttle.bucket_of("log", "ina@b.de")
    assert len(throttle.bucket_of("login", "a@b.de")) == 32


def session_of(family: str, fresh: str) -> Session:
    return Session(
        SESSION, ACCOUNT, sessions.digest_of(family), sessions.digest_of(fresh), NOW, NOW,
        sessions.expiry(NOW, NOW),
    )  # fmt: skip


def test_a_refresh_token_is_written_and_read_and_its_successor_has_the_same_family() -> None:
    family, fresh = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    text = sessions.write_refresh(TENANT, SESSION, family, fresh)
    token = sessions.read_refresh(text)
    assert token is not None
    assert (token.tenant_id, token.session_id) == (TENANT, SESSION)
    assert sessions.family_half(text) == family
    assert sessions.judge(session_of(family, fresh), token, now=NOW) == "good"


@given(halves=HALVES)
def test_only_the_latest_token_of_a_living_family_is_good(halves: tuple[str, str]) -> None:
    family, fresh = halves
    session = session_of(family, fresh)
    token = sessions.RefreshToken(
        TENANT, SESSION, sessions.digest_of(family), sessions.digest_of(fresh)
    )
    replace = msgspec.structs.replace
    assert sessions.judge(session, token, now=NOW) == "good"
    used = replace(session, fresh=sessions.digest_of("next"))
    assert sessions.judge(used, token, now=NOW) == "used"
    # Who knows no family cannot end one; what has ended is not ended again.
    other = replace(token, family=sessions.digest_of("made up"))
    for end in (session, used):
        assert sessions.judge(end, other, now=NOW) == "bad"
        assert sessions.judge(replace(end, ended_at=NOW), token, now=NOW) == "bad"
        assert sessions.judge(end, token, now=end.expires_at) == "bad"
    assert sessions.judge(None, token, now=NOW) == "bad"


@given(text=st.text(max_size=200))
def test_no_other_text_is_read_as_a_refresh_token(text: str) -> None:
    assert sessions.read_refresh(text) is None


def test_a_session_ends_when_nobody_uses_it_and_in_any_case() -> None:
    assert sessions.expiry(NOW, NOW) == NOW + SESSION_IDLE
    late = NOW + SESSION_MAX - timedelta(days=1)
    assert sessions.expiry(NOW, late) == NOW + SESSION_MAX


def key_of(number: int, signs_from: datetime, *, is_revoked: bool = False) -> SigningKey:
    revoked_at = NOW if is_revoked else None
    return SigningKey(number, UUID(int=number), "", "", signs_from, signs_from, revoked_at)


@given(
    gaps=st.lists(st.integers(0, 3 * 3600), min_size=1, max_size=8),
    after=st.integers(0, 5 * 3600),
)
def test_a_key_is_published_as_long_as_a_token_of_it_can_be_good(
    gaps: list[int], after: int
) -> None:
    """Whatever the rotations: who signs at any time is published until her token is over."""
    made_at, known = NOW, [key_of(1, NOW)]
    for number, gap in enumerate(gaps, start=2):
        made_at += timedelta(seconds=gap)
        known.append(key_of(number, made_at + SIGNS_AFTER))
    signed_at = NOW + timedelta(seconds=after)
    signing = keys.find_signing(known, now=signed_at)
    assert signing is not None
    for age in (0, ACCESS_S // 2, ACCESS_S):
        read_at = signed_at + timedelta(seconds=age)
        assert signing in keys.list_published(known, now=read_at)
        there = [key for key in known if key.created_at - SIGNS_AFTER <= signed_at]
        assert keys.find_signing(there, now=signed_at) == signing


def test_a_key_goes_when_its_last_token_is_over_and_a_revoked_one_at_once() -> None:
    old, new = key_of(1, NOW), key_of(2, NOW + SIGNS_AFTER)
    last = NOW + SIGNS_AFTER + PUBLISHED_AFTER
    assert keys.list_published([old, new], now=last - timedelta(seconds=1)) == [new, old]
    assert keys.list_published([old, new], now=last) == [new]
    revoked = key_of(1, NOW, is_revoked=True)
    assert keys.list_published([revoked, new], now=NOW) == [new]
    assert keys.find_signing([revoked], now=NOW) is None
    assert keys.find_signing([old, new], now=NOW) == old


@given(key=st.binary(min_size=32, max_size=32), number=st.integers(0, 2**128 - 1))
def test_a_mailed_token_is_read_by_its_key_and_for_its_tenant_only(key: bytes, number: int) -> None:
    token_id = UUID(int=number)
    text = tokens.write_mail_token(key, TENANT, token_id)
    assert len(text) == 64
    assert tokens.read_mail_token(key, TENANT, text) == token_id
    assert tokens.read_mail_token(key, UUID(int=9), text) is None
    assert tokens.read_mail_token(bytes(32) if any(key) else b"1" * 32, TENANT, text) is None
    for place in (0, 21, 63):
        other = "A" if text[place] != "A" else "B"
        assert tokens.read_mail_token(key, TENANT, text[:place] + other + text[place + 1 :]) is None


@given(text=st.text(max_size=80))
def test_no_other_text_is_read_as_a_mailed_token(text: str) -> None:
    assert tokens.read_mail_token(b"k" * 32, TENANT, text) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ada@Example.com", "ada@example.com"), ("STRASSE@x.de", "straße@x.de"),
        ("\uff41@b.de", "a@b.de"),
    ],
)  # fmt: skip
def test_an_address_is_the_same_however_its_letters_are_written(one: str, other: str) -> None:
    assert accounts.email_key(one) == accounts.email_key(other)


def test_roles_allow_what_they_say_and_one_that_is_gone_nothing() -> None:
    own = {"clerk": RoleView("clerk", ["orders:read"], is_ready_made=False, version=1)}
    assert roles.scopes_of(["clerk", "customer"], own) == {
        "orders:read", "catalog:read", "orders:own", "identity:self",
    }  # fmt: skip
    assert roles.scopes_of(["clerk"], {}) == {"identity:self"}
    assert set(roles.READY_MADE["owner"]) == set(SCOPES)
    assert all(scope.endswith(":read") for scope in roles.READY_MADE["auditor"])
    assert all(set(scopes) <= set(SCOPES) for scopes in roles.READY_MADE.values())


def test_customers_and_staff_have_roles_of_their_own() -> None:
    assert roles.find_fault(["customer"], kind="customer", own={}) is None
    assert roles.find_fault(["owner", "clerk"], kind="staff", own={"clerk": ()}) is None
    for kind, wanted in (("customer", "owner"), ("staff", "customer"), ("staff", "ghost")):
        fault = roles.find_fault([wanted], kind=kind, own={})  # type: ignore[arg-type]
        assert isinstance(fault, UnknownRole)


def test_nobody_gives_more_than_she_holds() -> None:
    assert accounts.refuse_more_powerful({"orders:read"}, held={"orders:read", "x"}) is None
    refused = accounts.refuse_more_powerful({"orders:read", "a:b"}, held={"orders:read"})
    assert isinstance(refused, MorePowerful)
    assert refused.facts == {"missing": ["a:b"]}
