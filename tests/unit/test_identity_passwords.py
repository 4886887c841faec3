"""Which passwords will not do, and that good ones are let through."""

import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serai.contexts.identity.model import passwords

EMAIL = "ada.lovelace@analytical.example"


def reason(password: str, email: str = EMAIL) -> str | None:
    fault = passwords.find_fault(password, email=email, shop="lamps")
    return None if fault is None else str(fault.facts["reason"])


@pytest.mark.parametrize(
    ("password", "expected"),
    [
        ("", "too_short"), ("123456789", "too_short"), ("x7!qPmz2_", "too_short"),
        ("a" * 129, "too_long"),
        ("password123", "common"), ("Password123!", "common"), ("P@ssw0rd2024", "common"),
        ("1234567890", "common"), ("0987654321", "common"), ("qwertyuiop", "common"),
        ("qwertzuiop1", "common"), ("asdfghjkl;'", "common"), ("aaaaaaaaaaaa", "common"),
        ("abcabcabcabc", "common"), ("abcdefghijkl", "common"), ("iloveyou123", "common"),
        ("letmein12345", "common"), ("summer2024!", "common"), ("01.01.1990!!", "common"),
        ("112233445566", "common"), ("football2025", "common"), ("drowssap123", "common"),
        ("321drowssap", "common"), ("Willkommen2026", "common"), ("1q2w3e4r5t6y", "common"),
        ("dragondragon", "common"), ("changeme!!!!", "common"),
        (EMAIL, "address"), ("Ada.Lovelace1", "address"), ("analytical!!1", "address"),
        ("correct horse battery", None), ("seven brass lanterns", None), ("Tr0ub4dor&33x", None),
        ("ada.lovelace likes trains", None), ("пароль надёжный", None), ("gk3 vv9 ql1", None),
    ],
)  # fmt: skip
def test_what_everybody_tries_first_is_refused(password: str, expected: str | None) -> None:
    assert reason(password) == expected


@given(st.integers(12, 64))
def test_chance_is_let_through(length: int) -> None:
    assert reason(secrets.token_urlsafe(length)) is None


@given(st.text(max_size=300), st.text(max_size=40))
def test_any_text_is_judged(password: str, email: str) -> None:
    assert reason(password, email) in {None, "too_short", "too_long", "common", "address", "shop"}


def test_the_same_word_from_another_keyboard_is_the_same_password() -> None:
    assert passwords.normalize("cafe\u0301 au lait") == passwords.normalize("caf\u00e9 au lait")
