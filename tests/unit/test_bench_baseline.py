from decimal import Decimal

import pytest

from serai.cli.bench.baseline import (
    LineBody,
    PaymentBody,
    PlaceOrderBody,
    Priced,
    price_lines,
    want_units,
)
from serai.contexts.catalog.contract import Quote
from serai.contexts.orders.contract import UnknownSku

BODY = PlaceOrderBody(
    currency="USD",
    lines=(LineBody("A", 2), LineBody("B", 1), LineBody("A", 3)),
    payment=PaymentBody("4000009901000003"),
    email="buyer@example.com",
)
SOLD_AT = {
    "A": Quote(status="published", title="A", unit_price=Decimal("1.005")),
    "B": Quote(status="published", title="B", unit_price=Decimal("19.99")),
}


def test_lines_are_priced_by_the_catalog_and_rounded_once_each() -> None:
    assert price_lines(BODY, SOLD_AT) == Priced(
        ["A", "B", "A"],
        [2, 1, 3],
        [Decimal("1.005"), Decimal("19.99"), Decimal("1.005")],
        [201, 1999, 302],
        2502,
    )


def test_a_sku_on_two_lines_is_wanted_once() -> None:
    assert want_units(price_lines(BODY, SOLD_AT)) == {"A": 5, "B": 1}


@pytest.mark.parametrize(
    "quote",
    [
        None,
        Quote(status="draft", title="B", unit_price=Decimal(1)),
        Quote(status="published", title="B", unit_price=None),
    ],
)
def test_what_is_not_for_sale_is_refused(quote: Quote | None) -> None:
    quotes = {"A": SOLD_AT["A"], **({} if quote is None else {"B": quote})}
    with pytest.raises(UnknownSku) as refusal:
        price_lines(BODY, quotes)
    assert refusal.value.facts == {"sku": "B"}
