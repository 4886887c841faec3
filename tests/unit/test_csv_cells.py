"""Single cells: exact values in, a stable code for everything else."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serai.contexts.catalog.contract import PRICE_MINOR_MAX
from serai.contexts.catalog.gateways import csv_cells
from serai.contexts.catalog.gateways.csv_cells import CellRefused
from serai.contexts.catalog.gateways.product_rows import PriceRow
from serai.contexts.catalog.model.text import make_handle
from serai.kernel.money import exponent


def code_of(read: Callable[[], object]) -> str:
    with pytest.raises(CellRefused) as refused:
        read()
    assert refused.value.detail.endswith(".")
    return refused.value.code


def price_code(text: str, currency: str = "USD") -> str:
    return code_of(lambda: csv_cells.read_price(text, currency=currency, column="price"))


def stock_code(text: str) -> str:
    return code_of(lambda: csv_cells.read_stock(text, column="stock"))


@pytest.mark.parametrize(
    ("text", "currency", "amount_minor"),
    [
        ("12.50", "USD", 1250),
        ("12.5", "USD", 1250),
        (" 12 ", "EUR", 1200),
        ("0", "USD", 0),
        ("-0.00", "USD", 0),
        ("0.29", "GBP", 29),
        ("1250", "JPY", 1250),
        ("1250.00", "JPY", 1250),
        ("1.005", "KWD", 1005),
        ("1.0050", "KWD", 1005),
        ("10000000000.00", "USD", PRICE_MINOR_MAX),
    ],
)
def test_a_price_is_exact_in_the_minor_units_of_its_currency(
    text: str, currency: str, amount_minor: int
) -> None:
    price = csv_cells.read_price(text, currency=currency, column="price")
    assert price == PriceRow(currency, amount_minor)


@given(st.integers(0, PRICE_MINOR_MAX), st.sampled_from(["USD", "JPY", "KWD"]))
def test_any_price_is_read_as_decimal_arithmetic_says(amount_minor: int, currency: str) -> None:
    digits = exponent(currency)
    text = f"{Decimal(amount_minor).scaleb(-digits):f}"
    assert csv_cells.read_price(text, currency=currency, column="price") == PriceRow(
        currency, amount_minor
    )


def test_an_empty_price_or_stock_says_nothing() -> None:
    assert csv_cells.read_price("  ", currency="USD", column="price") is None
    assert csv_cells.read_stock("", column="stock") is None


@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        "inf",
        "-inf",
        "1e5",
        "1,299.00",
        "$5",
        "5 USD",
        "1.",
        ".5",
        "+5",
        "\u0665",
        "0x10",
        "1_0",
    ],
)
def test_what_is_not_a_plain_decimal_is_a_bad_price(text: str) -> None:
    assert price_code(text) == "bad_price"


def test_prices_out_of_their_bounds_are_refused() -> None:
    assert price_code("-0.01") == "negative_price"
    assert price_code("0.001") == "fractional_price"
    assert price_code("0.5", "JPY") == "fractional_price"
    assert price_code("10000000000.01") == "price_too_large"
    assert price_code("9" * 30) == "price_too_large"
    assert price_code("9" * 31) == "bad_price"


def test_stock_is_a_whole_number_of_units() -> None:
    assert csv_cells.read_stock(" 12 ", column="stock") == 12
    assert csv_cells.read_stock("12.0", column="stock") == 12
    assert csv_cells.read_stock("-0", column="stock") == 0
    assert csv_cells.read_stock("1000000000", column="stock") == 1_000_000_000
    assert stock_code("1.5") == "fractional_stock"
    assert stock_code("-1") == "negative_stock"
    assert stock_code("1000000001") == "stock_too_large"
    for text in ("many", "NaN", "1e3", "\u0663"):
        assert stock_code(text) == "bad_stock"


@pytest.mark.parametrize(
    "url",
    [
        "http://a",
        "https://example.com/a/b.png?x=1&y=2#z",
        "HTTPS://EXAMPLE.COM/A.PNG",
        "https://example.com:8443/%C3%A9.jpg",
        "http://[::1]/x.svg",
        "https://example.com/@2x.png",
    ],
)
def test_whole_web_addresses_are_kept(url: str) -> None:
    assert csv_cells.read_url(f" {url} ", column="media") == url


@pytest.mark.parametrize(
    "url",
    [
        "photo.jpg",
        "//example.com/a.png",
        "ftp://example.com/a.png",
        "javascript:alert(1)",
        "data:image/png;base64,AAAA",
        "https://",
        "https:///a.png",
        "https://user:secret@example.com/a.png",
        "https://example.com/a b.png",
        "https://example.com/é.png",
        "https://example.com/a|b",
        "https://example.com/\x01",
        'https://example.com/"',
        "https://example.com:99999/",
        "http://[::1/",
    ],
)
def test_other_addresses_are_bad(url: str) -> None:
    assert code_of(lambda: csv_cells.read_url(url, column="media")) == "bad_url"


def test_addresses_are_given_once_and_bounded() -> None:
    texts = ["http://a/1", " ", "http://a/2", "http://a/1"]
    urls = csv_cells.read_urls(texts, column="media", count_max=2)
    assert urls == ("http://a/1", "http://a/2")
    assert (
        code_of(lambda: csv_cells.read_urls(texts, column="media", count_max=1)) == "too_many_media"
    )


@pytest.mark.parametrize(
    ("title", "handle"),
    [
        ("Dune Tent", "dune-tent"),
        ("  Thé à la  menthe! ", "the-a-la-menthe"),
        ("32-Inch Monitor", "32-inch-monitor"),
        ("Merchant's tent", "merchants-tent"),
        ("茶", ""),
        ("x" * 200, "x" * 120),
    ],
)
def test_a_handle_is_made_from_a_title(title: str, handle: str) -> None:
    assert make_handle(title) == handle


def test_a_given_handle_is_checked_and_lowered() -> None:
    assert csv_cells.read_handle(" Dune-Tent_2 ", title="", column="handle") == "dune-tent_2"
    for text in ("dune tent", "-dune", "dune/tent", "دون"):
        bad = code_of(lambda text=text: csv_cells.read_handle(text, title="", column="handle"))  # type: ignore[misc]
        assert bad == "bad_handle"
    assert (
        code_of(lambda: csv_cells.read_handle("", title="茶", column="handle")) == "missing_handle"
    )


def test_a_line_has_no_breaks_and_a_bound() -> None:
    assert csv_cells.read_line(" a b\n", column="title", chars_max=3) == "a b"
    read = csv_cells.read_line
    assert code_of(lambda: read("a\nb", column="t", chars_max=9)) == "control_character"
    assert code_of(lambda: read("abcd", column="t", chars_max=3)) == "field_too_long"
    required = csv_cells.read_required
    assert code_of(lambda: required(" ", column="sku", chars_max=9)) == "missing_sku"


def test_truth_has_the_spellings_of_spreadsheets() -> None:
    read = csv_cells.read_truth
    assert [read(text, column="t", default=True) for text in ("TRUE", "no", "0", "")] == [
        True,
        False,
        False,
        True,
    ]
    assert code_of(lambda: read("maybe", column="t", default=True)) == "bad_truth"


def test_categories_and_facets_are_trimmed_and_whole() -> None:
    assert (
        csv_cells.read_category("Camp>Light >  Lanterns", column="c") == "Camp > Light > Lanterns"
    )
    assert code_of(lambda: csv_cells.read_category("Camp > > Light", column="c")) == "bad_category"
    assert csv_cells.read_facet(" colour", "indigo ", column="f") == ("colour", "indigo")
    assert code_of(lambda: csv_cells.read_facet("colour", "", column="f")) == "bad_facet"
