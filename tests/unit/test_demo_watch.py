"""What the board makes of figures: rates, sums, and a choice of SKUs that keeps still."""

from typing import Any

import httpx
import pytest

from serai.cli.demo.api import GivenUp
from serai.cli.demo.scene import StockRow
from serai.cli.demo.watch import (
    HANDLED,
    INTEREST_EVERY_S,
    LETTERS,
    Interest,
    Meter,
    add_up_stock,
    read_figures,
    reason_of,
)
from serai.kernel.failure import Unavailable


def test_a_meter_gives_the_mean_rate_of_the_last_three_looks() -> None:
    meter = Meter()
    for figure, at in ((100, 0.0), (110, 1.0), (130, 2.0), (160, 3.0), (160, 4.0)):
        meter.read(figure, at)
    assert list(meter.rates) == [10.0, 15.0, 20.0, pytest.approx(50 / 3)]


def test_a_meter_that_fell_has_begun_anew() -> None:
    meter = Meter()
    for figure, at in ((100, 0.0), (104, 1.0), (2, 2.0)):
        meter.read(figure, at)
    assert list(meter.rates) == [4.0, 3.0]


def test_a_gap_in_what_is_known_is_no_rate() -> None:
    meter = Meter()
    for figure, at in ((100, 0.0), (None, 1.0), (500, 2.0), (506, 4.0)):
        meter.read(figure, at)
    assert list(meter.rates) == [3.0]


def test_figures_are_read_by_name_over_all_labels_or_by_name_and_labels() -> None:
    text = (
        "# HELP serai_events_handled Events.\n"
        'serai_events_handled_total{group="checkout"} 40.0\n'
        'serai_events_handled_total{group="payments"} 2.5\n'
        'serai_events_handled_created{group="payments"} 1.7e9\n'
        'serai_dead_letters{state="dead"} 3.0\n'
        'serai_dead_letters{state="retrying"} 9.0\n'
    )
    assert read_figures(text, (HANDLED, LETTERS)) == {HANDLED: 42.5, LETTERS: 3.0}


def item(sku: str, location: str, *units: int) -> dict[str, Any]:
    received, available, reserved, sold = units
    return {
        "sku": sku,
        "location": location,
        "received": received,
        "available": available,
        "reserved": reserved,
        "sold": sold,
        "written_off": 0,
    }


def test_stock_is_added_up_over_locations() -> None:
    rows = add_up_stock(
        [
            item("A", "main", 10, 5, 1, 4),
            item("A", "east", 7, 7, 0, 0),
            item("B", "main", 1, 0, 0, 1),
        ],
        {"A": 12},
    )
    assert rows == {"A": StockRow("A", 17, 12, 1, 4, 12), "B": StockRow("B", 1, 0, 0, 1, 0)}


def row(sku: str, available: int, sold: int) -> StockRow:
    return StockRow(sku, 100, available, 0, sold, 100)


def test_what_sells_best_and_what_runs_low_take_turns() -> None:
    rows = {r.sku: r for r in (row("A", 50, 1), row("B", 40, 9), row("C", 2, 3), row("D", 90, 0))}
    chosen = Interest().choose(rows, 0.0)
    assert [r.sku for r in chosen] == ["B", "C", "A", "D"]


def test_the_choice_keeps_still_for_a_while_and_shows_what_is_now() -> None:
    interest = Interest()
    first = {r.sku: r for r in (row("A", 50, 9), row("B", 40, 0))}
    then = {r.sku: r for r in (row("A", 50, 9), row("B", 10, 30))}
    assert [r.sku for r in interest.choose(first, 0.0)] == ["A", "B"]
    assert interest.choose(then, 1.0) == (then["A"], then["B"])
    assert interest.choose(then, INTEREST_EVERY_S) == (then["B"], then["A"])


def test_why_something_cannot_be_read_is_told_in_a_few_words() -> None:
    assert reason_of(GivenUp("GET /v1/stock-items was not answered")) == "no answer"
    assert reason_of(httpx.ConnectError("All connection attempts failed")) == "no answer"
    assert reason_of(Unavailable("the database is closed")) == "the database is closed"
    assert reason_of(Unavailable()) == "Unavailable"
