"""Money, ids, cursors and names: the small values everything rests on."""

from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from random import Random

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from serai.kernel import ids, money
from serai.kernel.clock import SystemClock
from serai.kernel.failure import Invalid, Refused
from serai.kernel.queries import load as load_queries
from serai.kernel.queries import parse, render
from serai.kernel.strict_json import DuplicateKey, decode_json
from serai.kernel.web import decode_cursor, encode_cursor
from serai.settings import SettingsError, load


@given(st.integers(0, 10**9), st.integers(1, 10**6), st.integers(0, 6))
def test_a_line_is_rounded_half_up_once(units: int, quantity: int, places: int) -> None:
    price = Decimal(units).scaleb(-places)
    exact = Fraction(price) * quantity * 100
    assert money.extend(price, quantity, "GBP") == (2 * exact + 1) // 2


def test_currencies_have_their_own_minor_units() -> None:
    assert money.extend(Decimal("1.5"), 1, "JPY") == 2
    assert money.extend(Decimal("1.2345"), 1, "KWD") == 1235
    assert money.price_of(1999, "USD") == Decimal("19.99")


@given(st.integers(-(10**12), 10**12), st.lists(st.integers(0, 1000), min_size=1, max_size=20))
def test_shares_sum_to_the_amount_and_stay_within_one_unit(amount: int, weights: list[int]) -> None:
    if not sum(weights):
        with pytest.raises(ValueError, match="weights"):
            money.split(amount, weights)
        return
    shares = money.split(amount, weights)
    assert sum(shares) == amount
    for share, weight in zip(shares, weights, strict=True):
        assert abs(share - Fraction(amount * weight, sum(weights))) < 1


@given(st.integers(0, 10**15 - 1), st.integers(0, 6), st.sampled_from(["USD", "JPY", "KWD"]))
def test_a_price_is_written_as_it_is_read(units: int, places: int, currency: str) -> None:
    price = Decimal(units).scaleb(-places)
    text = money.write_price(price, currency)
    assert money.parse_price(text) == price
    assert money.write_price(price.normalize(), currency) == text
    digits = len(text.partition(".")[2])
    assert digits >= money.exponent(currency)
    assert digits == money.exponent(currency) or not text.endswith("0")


@given(st.integers(0, 10**12), st.lists(st.integers(0, 50), min_size=1, max_size=12), st.randoms())
def test_shares_are_fair_and_do_not_depend_on_the_order(
    amount: int, weights: list[int], chance: Random
) -> None:
    assume(sum(weights))
    shares = money.split(amount, weights)
    assert all(share >= 0 for share in shares)
    by_weight = sorted(zip(weights, shares, strict=True))
    # Who weighs more never gets less, and who weighs nothing gets nothing.
    assert [share for _, share in by_weight] == sorted(shares)
    assert all(share == 0 for weight, share in by_weight if weight == 0)
    shuffled = list(weights)
    chance.shuffle(shuffled)
    again = money.split(amount, shuffled)
    sums = {w: sum(s for v, s in by_weight if v == w) for w in weights}
    others = {w: sum(s for v, s in zip(shuffled, again, strict=True) if v == w) for w in weights}
    assert all(abs(sums[w] - others[w]) <= weights.count(w) for w in weights)
    assert money.split(-amount, weights) == [-share for share in shares]


@given(
    st.integers(0, 10**7),
    st.lists(st.integers(1, 50), min_size=1, max_size=6),
    st.integers(0, 4),
    st.sampled_from(["USD", "JPY", "KWD"]),
)
def test_pieces_of_a_line_sum_to_it_within_their_roundings(
    units: int, pieces: list[int], places: int, currency: str
) -> None:
    price = Decimal(units).scaleb(-places)
    whole = money.extend(price, sum(pieces), currency)
    parts = [money.extend(price, piece, currency) for piece in pieces]
    assert all(part >= 0 for part in parts)
    assert 2 * abs(sum(parts) - whole) <= len(pieces) + 1
    if price == money.price_of(money.extend(price, 1, currency), currency):
        assert sum(parts) == whole, "a price of whole minor units loses nothing to rounding"


@pytest.mark.parametrize(
    "text", ["NaN", "Infinity", "-1", "1e3", "1.1234567", "", "\u0661", "1_0 ", "--1"]
)
def test_what_is_not_a_plain_price_is_none(text: str) -> None:
    assert money.parse_price(text) is None


def test_ids_grow_and_are_version_7() -> None:
    made = [ids.new_id() for _ in range(10_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert {i.version for i in made} == {7}


def test_a_refusal_s_code_is_its_name() -> None:
    class GoneFishing(Refused):
        """A test's situation."""

    assert GoneFishing.code == "gone_fishing"


@given(st.tuples(st.integers(), st.text(max_size=50)))
def test_cursors_come_back_if_postgresql_can_compare_with_them(position: tuple[int, str]) -> None:
    cursor = encode_cursor(list(position))
    if abs(position[0]) < 2**63 and "\0" not in position[1]:
        assert decode_cursor(cursor, tuple[int, str]) == position
    else:
        with pytest.raises(Invalid):
            decode_cursor(cursor, tuple[int, str])


@pytest.mark.parametrize("cursor", ["", "%%%", "AAAA", "bnVsbA", "x" * 600, "é"])
def test_a_cursor_that_is_not_ours_is_refused(cursor: str) -> None:
    with pytest.raises(Invalid):
        decode_cursor(cursor, tuple[int, str])


@pytest.mark.parametrize(
    "body", [b'{"a":1,"a":2}', b'{"x":[{"b":1,"b":1}]}', b'{"a":1,"\\u0061":2}']
)
def test_a_key_that_stands_twice_is_refused(body: bytes) -> None:

    with pytest.raises(DuplicateKey):
        decode_json(msgspec.json.Decoder(), body)


def test_statements_are_cut_by_name_and_rendered_for_a_home() -> None:
    statements = parse("-- name: read_x\n-- Reads x.\nSELECT 1 FROM {orders}.lines;\n")
    assert statements["read_x"].sentence == "Reads x."
    assert statements["read_x"].text("t_") == "/* read_x */ SELECT 1 FROM t_orders.lines"
    assert render("{kernel}.outbox", "") == "kernel.outbox"


def test_settings_refuse_what_they_do_not_know() -> None:
    assert load({}).port == 8000
    assert load({"SERAI_PORT": "9000"}).port == 9000
    for environment in ({"SERAI_PROT": "1"}, {"SERAI_PORT": "x"}, {"SERAI_PORT": "70000"}):
        with pytest.raises(SettingsError):
            load(environment)


def test_a_clock_with_an_offset_is_wrong_by_that_much() -> None:
    right, wrong = SystemClock(), SystemClock(timedelta(hours=-1))
    before = right.now()
    found = wrong.now()
    assert before <= found + timedelta(hours=1) <= right.now()


def test_a_folder_of_statements_is_read_as_one_file_and_names_none_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / "shelves" / "queries"
    folder.mkdir(parents=True)
    (tmp_path / "shelves" / "__init__.py").write_text("")
    (folder / "a.sql").write_text("-- name: find_one\n-- Finds one.\nSELECT 1;")
    (folder / "b.sql").write_text("-- name: find_two\n-- Finds two.\nSELECT 2;\n")
    (folder / "notes.txt").write_text("-- name: find_none\n-- Finds none.\nSELECT 0;\n")
    load = load_queries.__wrapped__  # What all others have read stays read.
    loaded = load("shelves")
    assert {n: s.text("") for n, s in loaded.statements.items()} == {
        "find_one": "/* find_one */ SELECT 1",
        "find_two": "/* find_two */ SELECT 2",
    }
    with pytest.raises(AttributeError, match="shelves has no statement 'find_three'"):
        _ = loaded.find_three
    (folder / "c.sql").write_text("-- name: find_one\n-- Finds one again.\nSELECT 3;\n")
    with pytest.raises(ValueError, match="'find_one' is named twice"):
        load("shelves")
