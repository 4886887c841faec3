"""Nobody says of herself where she calls from: only proxies of ours are believed."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serai.kernel.proxies import HOPS_MAX, Proxies
from serai.settings import SettingsError, load

PROXIES = Proxies([ip_network("10.0.0.0/8"), ip_network("192.0.2.7"), ip_network("2001:db8::/32")])
INNER, OUTER, SHE, LIE = "10.0.0.1", "192.0.2.7", "203.0.113.9", "198.51.100.1"


def caller(peer: str, *lines: str) -> str:
    headers = [(b"x-forwarded-for", line.encode("latin-1")) for line in lines]
    return PROXIES.find_caller(peer, [(b"host", b"shop"), *headers, (b"accept", b"*/*")])


@pytest.mark.parametrize(
    ("peer", "lines", "expected"),
    [
        # Who is no proxy of ours may say what she likes.
        (SHE, [], SHE), (SHE, [LIE], SHE), (SHE, [f"{LIE}, {INNER}"], SHE), ("", [LIE], ""),
        ("unix:", [LIE], "unix:"), ("fe80::1%eth0", [LIE], "fe80::1%eth0"),
        # A proxy of ours says who called it.
        (INNER, [SHE], SHE), (INNER, [f"{SHE}, {OUTER}"], SHE), (INNER, [SHE, OUTER], SHE),
        (INNER, [f"{SHE} ,\t{OUTER}"], SHE), (f"::ffff:{INNER}", [SHE], SHE),
        (INNER, [f"{SHE}:443"], SHE), (INNER, ["[2001:db9::1]:443"], "2001:db9::1"),
        (INNER, ["2001:DB9:0::1"], "2001:db9::1"), (INNER, [f"::ffff:{SHE}"], SHE),
        ("2001:db8::5", [SHE], SHE),
        # What she has said herself stands to the left of that, and is not looked at.
        (INNER, [f"{LIE}, {SHE}"], SHE), (INNER, [LIE, SHE], SHE),
        (INNER, [f"{LIE}, {INNER}, {SHE}, {OUTER}"], SHE), (INNER, [f"nonsense, {SHE}"], SHE),
        # Where it ends within our own, the farthest of them is as far as we see.
        (INNER, [], INNER), (INNER, [""], INNER), (INNER, [OUTER], OUTER),
        (INNER, [f"{LIE}, unknown, {OUTER}"], OUTER), (INNER, [f"{LIE}, "], INNER),
        (INNER, [f"{LIE}, _hidden"], INNER), (INNER, [f"{LIE}, {SHE}\xff"], INNER),
        (INNER, [f"{LIE}, fe80::1%eth0"], INNER), (INNER, [f"{LIE}, 1.2.3.4.5"], INNER),
        (INNER, [f"{LIE}, 010.0.0.1"], INNER),
    ],
)  # fmt: skip
def test_the_caller_is_the_first_from_the_right_that_is_no_proxy_of_ours(
    peer: str, lines: list[str], expected: str
) -> None:
    assert caller(peer, *lines) == expected


@given(st.lists(st.text(st.characters(max_codepoint=0xFF))), st.booleans())
def test_whatever_she_says_changes_nothing(lies: list[str], is_behind: bool) -> None:  # noqa: FBT001
    if is_behind:
        assert caller(INNER, *lies, SHE) == SHE
        assert caller(INNER, ",".join([*lies, SHE, OUTER])) == SHE
    else:
        assert caller(SHE, *lies) == SHE
    ip_address(caller(INNER, *lies))


def test_so_many_proxies_are_gone_through() -> None:
    assert caller(INNER, ",".join([SHE, *[OUTER] * (HOPS_MAX - 1)])) == SHE
    assert caller(INNER, ",".join([SHE, *[OUTER] * HOPS_MAX])) == OUTER


@pytest.mark.parametrize(
    "text", ["0.0.0.0/0", "10.0.0.0/8,::/0", "10.0.0.1/8", "proxy", "10.0.0.0/33", " , "]
)
def test_proxies_that_are_none_or_everybody_are_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="SERAI_TRUSTED_PROXIES"):
        load({"SERAI_TRUSTED_PROXIES": text})


def test_proxies_are_networks_or_addresses() -> None:
    own = load({"SERAI_TRUSTED_PROXIES": "10.0.0.0/8, 192.0.2.7,2001:db8::/32"})
    assert [str(n) for n in own.proxies] == ["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32"]
    assert load({}).proxies == ()
