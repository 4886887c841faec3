"""The demo's buyers want what there is, in a steady mixture, and come in a slow wave."""

from collections import Counter
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from serai.cli.demo.buyers import (
    APPROVED,
    BUSY_S,
    CARDS,
    LINES_MAX,
    QUIET_RATE,
    RATE_HIGH,
    RATE_LOW,
    WAVE_S,
    Crowd,
    Visit,
    wanted_rate,
)
from serai.cli.demo.goods import demo_goods, is_scarce
from serai.contexts.payments.gateways import sandbox_cards
from serai.contexts.payments.gateways.sandbox_cards import SCRIPTS

GOODS = demo_goods("http://127.0.0.1:8000")
SHELVES = {sku: units for ware in GOODS for sku, units in ware.stock.items()}
PRICES = {variant.sku: variant.prices for ware in GOODS for variant in ware.product.variants}


def crowd(seed: int) -> Crowd:
    return Crowd(GOODS, Random(seed))  # noqa: S311 - it makes up buyers


def visits(seed: int, count: int) -> list[Visit]:
    buyers = crowd(seed)
    return [buyers.next_visit() for _ in range(count)]


def test_the_same_seed_sends_the_same_buyers() -> None:
    assert visits(7, 50) == visits(7, 50)
    assert visits(7, 50) != visits(8, 50)


def test_buyers_want_what_there_is_at_a_price_that_it_has() -> None:
    for visit in visits(1, 2_000):
        assert 1 <= len(visit.lines) <= LINES_MAX
        assert len({sku for sku, _ in visit.lines}) == len(visit.lines)
        for sku, units in visit.lines:
            assert 1 <= units <= 3
            assert visit.currency in {price.currency for price in PRICES[sku]}
        assert visit.card in SCRIPTS


def test_the_cards_are_the_sandboxs_own() -> None:
    assert APPROVED == sandbox_cards.APPROVED
    assert {card for card, _ in CARDS} <= set(SCRIPTS)


def test_most_cards_are_good_and_a_few_orders_are_thought_over() -> None:
    seen = visits(2, 10_000)
    cards = Counter(visit.card for visit in seen)
    moods = Counter(visit.mood for visit in seen)
    assert set(cards) >= {APPROVED}
    assert 9_000 < cards[APPROVED] < 9_300
    assert sum(SCRIPTS[card].decline_reason is not None for card in cards.elements()) > 200
    assert set(moods) == {"keeps", "cancels", "returns"}
    assert moods["keeps"] > 9_200


def test_scarce_goods_are_wanted_now_and_then() -> None:
    scarce = [
        visit for visit in visits(3, 10_000) if any(is_scarce(SHELVES[s]) for s, _ in visit.lines)
    ]
    assert 400 < len(scarce) < 600


def test_best_loved_goods_sell_more_than_others_and_all_sell() -> None:
    wanted = Counter(sku for visit in visits(4, 20_000) for sku, _ in visit.lines)
    assert set(wanted) == set(SHELVES)
    (_, most), *_, (_, least) = wanted.most_common()
    assert most > 5 * least


def test_an_order_is_posted_in_the_form_that_the_api_takes() -> None:
    visit = Visit((("TENT", 2),), "EUR", APPROVED, "caravan-001", None, "keeps")
    assert visit.body() == {
        "currency": "EUR",
        "lines": [{"sku": "TENT", "quantity": 2}],
        "payment": {"card": APPROVED},
        "customer": "caravan-001",
    }
    told = Visit((("TENT", 2),), "EUR", APPROVED, "caravan-001", "a@example.org", "keeps")
    assert told.body() == {**visit.body(), "email": "a@example.org"}


def test_the_rate_swings_between_its_bounds_and_falls_to_a_trickle() -> None:
    assert wanted_rate(0) == RATE_LOW
    assert wanted_rate(WAVE_S / 2) == RATE_HIGH
    assert abs(wanted_rate(WAVE_S) - RATE_LOW) < 1e-9
    assert wanted_rate(BUSY_S + 1) == QUIET_RATE


@given(st.floats(0, BUSY_S))
def test_the_rate_never_leaves_its_bounds(since_s: float) -> None:
    assert RATE_LOW <= wanted_rate(since_s) <= RATE_HIGH


def test_buyers_come_as_often_as_the_rate_says() -> None:
    buyers = crowd(5)
    gaps = [buyers.next_gap_s(WAVE_S / 2) for _ in range(20_000)]
    assert abs(sum(gaps) / len(gaps) - 1 / RATE_HIGH) < 0.002
