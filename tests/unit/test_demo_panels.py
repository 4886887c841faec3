"""The board fits its terminal, says what it knows, and says so where it does not know."""

import io
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from serai.cli.demo.panels import WIDE_COLUMNS_MIN, draw, duration, price, shelf, spark, tell
from serai.cli.demo.scene import Addresses, Counts, OrderRow, PartRow, Scene, StockRow

ADDRESSES = Addresses(
    "http://127.0.0.1:8000",
    "http://127.0.0.1:8000/docs",
    "http://127.0.0.1:8001/metrics",
    "curl -H @.serai/demo.header http://127.0.0.1:8000/v1/order-totals",
)
ORDER = OrderRow(
    UUID(int=1), datetime(2026, 3, 1, 12, tzinfo=UTC), "3x Dune tent", 123_450, "USD", "confirmed"
)
FULL = Scene(
    title="demo shop",
    addresses=ADDRESSES,
    up_s=3_723.4,
    parts=(PartRow("API", "up"), PartRow("worker", "restarting", 2), PartRow("database", "up")),
    this_run=Counts(1_200, 1_100, 77),
    all_time=Counts(54_321, 50_000, 4_300),
    reasons={"out_of_stock": 50, "payment_declined": 20, "requested": 6, "expired": 1},
    in_flight=21,
    orders_per_s=(4.0, 8.0),
    events_per_s=(88.0, 176.5),
    answer_ms=3.44,
    dead_letters=0,
    oversold_units=0,
    shipped=901,
    returned=31,
    buyers="buyers want 9 orders/s",
    stock=(
        StockRow("TENT-DUNE-SAND", 900, 12, 3, 885, 60),
        StockRow("MAP-STARS", 4, 0, 0, 4, 4),
    ),
    sold_out=1,
    orders=(ORDER, msgspec.structs.replace(ORDER, fate="out_of_stock")),
)
BARE = Scene(title="demo shop", addresses=ADDRESSES, up_s=0.0)


def rows_of(scene: Scene, width: int, height: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, color_system=None)
    console.print(draw(scene, width=width, height=height), height=height)
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue().splitlines()


@pytest.mark.parametrize("scene", [FULL, BARE], ids=["full", "bare"])
@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30), (132, 43), (220, 60), (40, 12)])
def test_the_board_fills_its_terminal_and_no_more(scene: Scene, width: int, height: int) -> None:
    rows = rows_of(scene, width, height)
    assert len(rows) == height
    assert max(map(len, rows)) <= width


@pytest.mark.parametrize("width", [80, WIDE_COLUMNS_MIN])
def test_the_board_says_what_there_is_to_know(width: int) -> None:
    text = " ".join("\n".join(rows_of(FULL, width, 30)).split())
    for words in (
        "SERAI demo shop",
        "up 1:02:03",
        "placed 1,200 54,321",
        "confirmed 1,100 50,000",
        "cancelled 77 4,300",
        "sold out 50",
        "card declined 20",
        "by request 6",
        "not paid 1",
        "oversold units 0",
        "sagas in flight 21",
        "dead letters 0",
        "orders/s 8.0 ▅█",
        "events/s 176.5 ▄█",
        "API ● up",
        "worker ○ restarting ↻2",
        "database ● up",
        "Stock · 1 sold out",
        "12 3 885 900",
        "buyers want 9 orders/s",
        "3x Dune tent 1,234.50 USD confirmed",
        ADDRESSES.docs,
        ADDRESSES.metrics,
        ADDRESSES.curl,
    ):
        assert words in text


def test_at_80_columns_the_command_and_the_addresses_are_whole() -> None:
    *_, addresses, curl = rows_of(FULL, 80, 24)
    assert addresses.split() == ["docs", ADDRESSES.docs, "metrics", ADDRESSES.metrics]
    assert curl.strip() == f"try  {ADDRESSES.curl}"


def test_in_24_rows_the_last_reasons_share_a_row() -> None:
    text = " ".join("\n".join(rows_of(FULL, 80, 24)).split())
    assert "other reasons 7" in text


def test_what_nobody_can_tell_is_a_dash() -> None:
    text = " ".join("\n".join(rows_of(BARE, 80, 24)).split())
    for words in ("placed 0 -", "oversold units -", "sagas in flight -", "dead letters -"):
        assert words in text


def test_trouble_is_told_on_the_board() -> None:
    scene = msgspec.structs.replace(FULL, note="the log cannot be read")
    assert "the log cannot be read" in "\n".join(rows_of(scene, 80, 24))


def test_markup_in_goods_and_notes_is_shown_as_it_is() -> None:
    order = msgspec.structs.replace(ORDER, goods="[red]tent[/red]")
    scene = msgspec.structs.replace(FULL, orders=(order,), note="[/] odd [bold]")
    text = "\n".join(rows_of(scene, 80, 24))
    assert "[red]tent[/red]" in text
    assert "[/] odd [bold]" in text


def test_a_line_says_the_same_where_there_is_no_terminal() -> None:
    assert tell(FULL) == (
        "placed 1,200, confirmed 1,100, cancelled 77 (sold out 50, card declined 20, by request 6, "
        "not paid 1); in flight 21, events/s 176, dead letters 0, oversold 0; API up, "
        "worker restarting (restarts: 2), database up"
    )
    assert tell(BARE) == (
        "placed 0, confirmed 0, cancelled 0; in flight -, events/s -, dead letters -, oversold -"
    )


@given(st.integers(0, 10_000), st.integers(0, 10_000), st.integers(0, 10_000), st.integers(8, 100))
def test_a_shelf_fills_its_cells_and_hides_nothing(
    available: int, reserved: int, full: int, cells: int
) -> None:
    bar = shelf(StockRow("A", 0, available, reserved, 0, full), cells).plain
    if available + reserved == 0:
        assert bar == "sold out"
    else:
        assert len(bar) == cells
        assert bar.count("█") >= (available > 0) + (reserved > 0)


def test_a_shelf_shows_its_shares() -> None:
    bar = shelf(StockRow("A", 99, 5, 2, 92, 10), 10)
    assert bar.plain == "███████···"
    assert [(span.start, span.end) for span in bar.spans] == [(5, 7), (7, 10)]


def test_a_spark_is_as_high_as_its_share_of_the_highest() -> None:
    assert spark((0.0, 3.5, 7.0), 10) == "▁▅█"
    assert spark((1.0, 3.0, 4.0, 8.0, 2.0), 3) == "▃█▃"
    assert spark((0.0, 0.0), 10) == "▁▁"
    assert spark((1.0,), 0) == ""


def test_times_and_prices_are_written_as_people_write_them() -> None:
    assert duration(59.9) == "0:00:59"
    assert duration(36_061) == "10:01:01"
    assert price(ORDER) == "1,234.50 USD"
    assert price(msgspec.structs.replace(ORDER, currency="JPY")) == "123,450 JPY"
