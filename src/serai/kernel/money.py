"""Money is a whole number of minor units and an ISO 4217 code; prices may be finer than that."""

import re
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal

import msgspec

AMOUNT_MINOR_MAX = 10**15
PRICE_DIGITS_MAX = 6
"""Decimal places that a unit price may have, counted in major units."""

_PRICE = re.compile(rf"[0-9]{{1,15}}(\.[0-9]{{1,{PRICE_DIGITS_MAX}}})?")

# ISO 4217 list one: the active currencies whose minor unit is not two digits, with their digits.
_ODD_EXPONENTS = {
    "BIF": 0, "CLP": 0, "DJF": 0, "GNF": 0, "ISK": 0, "JPY": 0, "KMF": 0, "KRW": 0, "PYG": 0,
    "RWF": 0, "UGX": 0, "UYI": 0, "VND": 0, "VUV": 0, "XAF": 0, "XOF": 0, "XPF": 0,
    "BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "LYD": 3, "OMR": 3, "TND": 3,
}  # fmt: skip
_TWO_DIGITS = frozenset(
    [
        "AED",
        "AFN",
        "ALL",
        "AMD",
        "AOA",
        "ARS",
        "AUD",
        "AWG",
        "AZN",
        "BAM",
        "BBD",
        "BDT",
        "BGN",
        "BMD",
        "BND",
        "BOB",
        "BRL",
        "BSD",
        "BTN",
        "BWP",
        "BYN",
        "BZD",
        "CAD",
        "CDF",
        "CHF",
        "CNY",
        "COP",
        "CRC",
        "CUP",
        "CVE",
        "CZK",
        "DKK",
        "DOP",
        "DZD",
        "EGP",
        "ERN",
        "ETB",
        "EUR",
        "FJD",
        "FKP",
        "GBP",
        "GEL",
        "GHS",
        "GIP",
        "GMD",
        "GTQ",
        "GYD",
        "HKD",
        "HNL",
        "HTG",
        "HUF",
        "IDR",
        "ILS",
        "INR",
        "IRR",
        "JMD",
        "KES",
        "KGS",
        "KHR",
        "KPW",
        "KYD",
        "KZT",
        "LAK",
        "LBP",
        "LKR",
        "LRD",
        "LSL",
        "MAD",
        "MDL",
        "MGA",
        "MKD",
        "MMK",
        "MNT",
        "MOP",
        "MRU",
        "MUR",
        "MVR",
        "MWK",
        "MXN",
        "MYR",
        "MZN",
        "NAD",
        "NGN",
        "NIO",
        "NOK",
        "NPR",
        "NZD",
        "PAB",
        "PEN",
        "PGK",
        "PHP",
        "PKR",
        "PLN",
        "QAR",
        "RON",
        "RSD",
        "RUB",
        "SAR",
        "SBD",
        "SCR",
        "SDG",
        "SEK",
        "SGD",
        "SHP",
        "SLE",
        "SOS",
        "SRD",
        "SSP",
        "STN",
        "SVC",
        "SYP",
        "SZL",
        "THB",
        "TJS",
        "TMT",
        "TOP",
        "TRY",
        "TTD",
        "TWD",
        "TZS",
        "UAH",
        "USD",
        "UYU",
        "UZS",
        "VES",
        "WST",
        "XCD",
        "YER",
        "ZAR",
        "ZMW",
    ],
)


def exponent(currency: str) -> int:
    """How many digits the minor unit of a currency has; KeyError for a code that is not active."""
    if currency in _TWO_DIGITS:
        return 2
    return _ODD_EXPONENTS[currency]


def is_currency(code: str) -> bool:
    """Whether `code` is an active ISO 4217 currency."""
    return code in _TWO_DIGITS or code in _ODD_EXPONENTS


class Money(msgspec.Struct, frozen=True):
    """An amount: `amount_minor` whole minor units of `currency`."""

    amount_minor: int
    currency: str


def parse_price(text: str) -> Decimal | None:
    """A unit price in major units from plain decimal text, or None where it is not one.

    Refuses exponents, signs, spaces, NaN, infinities and more than PRICE_DIGITS_MAX places.
    """
    return Decimal(text) if _PRICE.fullmatch(text) else None


def write_price(price: Decimal, currency: str) -> str:
    """A unit price in major units as plain decimal text, as `parse_price` takes it.

    It has at least the digits of the currency's minor unit, and no more zeros than that.
    """
    exact = price.normalize()
    digits = max(exponent(currency), -int(exact.as_tuple().exponent))
    return f"{exact:.{digits}f}"


def extend(price: Decimal, quantity: int, currency: str) -> int:
    """`quantity` x `price` in minor units, rounded half up once, at the end."""
    amount = price * quantity * (10 ** exponent(currency))
    return int(amount.quantize(Decimal(1), ROUND_HALF_UP))


def price_of(amount_minor: int, currency: str) -> Decimal:
    """The price in major units of a whole number of minor units."""
    return Decimal(amount_minor).scaleb(-exponent(currency))


def split(amount_minor: int, weights: Sequence[int]) -> list[int]:
    """Shares of an amount by weight that sum to it; the largest remainders get the odd units."""
    total = sum(weights)
    if total <= 0 or any(weight < 0 for weight in weights):
        raise ValueError("weights must be non-negative and not all zero")
    sign = -1 if amount_minor < 0 else 1
    exact = [divmod(abs(amount_minor) * weight, total) for weight in weights]
    shares = [share for share, _ in exact]
    odd = abs(amount_minor) - sum(shares)
    by_remainder = sorted(range(len(weights)), key=lambda i: (-exact[i][1], i))
    for index in by_remainder[:odd]:
        shares[index] += 1
    return [sign * share for share in shares]
