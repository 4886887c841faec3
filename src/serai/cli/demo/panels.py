"""Draws a scene of the board for a terminal of any size. Pure: the same scene, the same picture."""

from collections.abc import Sequence
from statistics import fmean
from typing import Final

from rich import box
from rich.console import Group, RenderableType
from rich.layout import Layout
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from serai.cli.demo.scene import Counts, OrderRow, PartRow, Scene, StockRow
from serai.kernel.money import price_of

WIDE_COLUMNS_MIN: Final = 130
"""From this width on stock and orders stand beside each other."""
TALL_ROWS_MIN: Final = 28
HEAD_ROWS: Final = 1
COUNT_ROWS: Final = 4
"""The heads of the columns, and orders placed, confirmed and cancelled."""
PACE_SHARE: Final = 0.4
PACE_FIGURES_CELLS: Final = 25
HOUSE_FIGURES_CELLS: Final = 28
"""What the figures, the frame and the air leave of a panel goes to the little bars."""
STOCK_SHARE: Final = 0.54
STOCK_BAR_SHARE: Final = 0.4
FOOT_ROWS: Final = 2
FRAME: Final = 2
"""Rows and columns that a panel's frame takes; a panel has one column of air on each side too."""
AIR: Final = 2
BAR_CELLS_MIN: Final = 8
STOCK_FIGURES_CELLS: Final = 38
"""The four figures of a SKU with the air between them."""

AMBER: Final = "#e9b44c"
TEAL: Final = "#3fb0a3"
RUST: Final = "#e0694f"
SAND: Final = "#b8a58c"
BLUE: Final = "#6fa8dc"
BOLD: Final = "bold"

_STANDING: Final = {
    "up": ("●", TEAL),
    "not ready": ("◐", AMBER),
    "restarting": ("○", RUST),
}
_FATES: Final = {
    "placed": ("in flight", BLUE),
    "confirmed": ("confirmed", TEAL),
    "shipped": ("shipped", TEAL),
    "returned": ("returned", AMBER),
    "out_of_stock": ("sold out", RUST),
    "payment_declined": ("declined", RUST),
    "expired": ("not paid", RUST),
    "requested": ("cancelled", SAND),
}
_REASONS: Final = (
    ("out_of_stock", "sold out"),
    ("payment_declined", "card declined"),
    ("requested", "by request"),
    ("expired", "not paid"),
)
_SPARKS: Final = "▁▂▃▄▅▆▇█"
_NOTHING: Final = "-"


def draw(scene: Scene, *, width: int, height: int) -> RenderableType:
    """The whole board in `height` rows of `width` columns; made for 80 x 24 and more."""
    is_tall, is_wide = height >= TALL_ROWS_MIN, width >= WIDE_COLUMNS_MIN
    reasons = len(_REASONS) if is_tall else len(_REASONS) - 1
    figure_rows = COUNT_ROWS + reasons + FRAME
    list_rows = max(2 * FRAME, height - HEAD_ROWS - figure_rows - FOOT_ROWS)
    figures, lists = Layout(size=figure_rows), Layout(size=list_rows)
    orders = Layout(_orders_panel(scene, reasons))
    if is_wide:
        share = int(width * PACE_SHARE)
        figures.split_row(
            orders,
            Layout(_pace_panel(scene, cells=share - PACE_FIGURES_CELLS), size=share),
            Layout(_house_panel(scene)),
        )
        part = int(width * STOCK_SHARE)
        lists.split_row(
            Layout(_stock_panel(scene, width=part, rows=list_rows), size=part),
            Layout(_last_panel(scene, rows=list_rows)),
        )
    else:
        half = width // 2
        engine = _engine_panel(scene, width=half)
        figures.split_row(orders, Layout(engine, size=half))
        stock_rows = (list_rows + FRAME) // 2
        lists.split_column(
            Layout(_stock_panel(scene, width=width, rows=stock_rows), size=stock_rows),
            Layout(_last_panel(scene, rows=list_rows - stock_rows)),
        )
    whole = Layout()
    whole.split_column(
        Layout(_head(scene), size=HEAD_ROWS), figures, lists, Layout(_foot(scene), size=FOOT_ROWS)
    )
    return whole


def _head(scene: Scene) -> RenderableType:
    line = Table.grid(expand=True)
    line.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    line.add_column(justify="right", no_wrap=True)
    name = Text.assemble(
        (" SERAI ", f"bold {AMBER} reverse"), "  ", (scene.title, BOLD), ("  Ctrl-C stops it", SAND)
    )
    up = Text.assemble((scene.addresses.api, f"{BLUE} underline"), f"   up {duration(scene.up_s)} ")
    line.add_row(name, up)
    return line


def _foot(scene: Scene) -> RenderableType:
    addresses = Text(no_wrap=True, overflow="ellipsis")
    for name, address in (("docs", scene.addresses.docs), ("metrics", scene.addresses.metrics)):
        addresses.append(f" {name} ", SAND)
        addresses.append(address, f"{BLUE} underline")
        addresses.append(" ")
    curl = Text(no_wrap=True, overflow="ellipsis")
    curl.append(" try  ", SAND)
    curl.append(scene.addresses.curl, BOLD)
    return Group(addresses, curl)


def _orders_panel(scene: Scene, reasons: int) -> Panel:
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(ratio=1, no_wrap=True)
    table.add_column(justify="right", no_wrap=True, min_width=8)
    table.add_column(justify="right", no_wrap=True, min_width=9)
    table.add_row("", Text("this run", SAND), Text("all time", SAND))
    all_time = scene.all_time
    for name, style in (("placed", BLUE), ("confirmed", TEAL), ("cancelled", RUST)):
        table.add_row(
            Text(name, style),
            Text(f"{_count(scene.this_run, name):,}", BOLD),
            _NOTHING if all_time is None else f"{_count(all_time, name):,}",
        )
    for name, units in _reasons(scene, reasons):
        table.add_row(Text(f"  {name}", SAND), Text(f"{units:,}", SAND), "")
    return _panel("Orders", table)


def _count(counts: Counts, name: str) -> int:
    return int(getattr(counts, name))


def _reasons(scene: Scene, rows: int) -> list[tuple[str, int]]:
    """The reasons with their figures; where there is no room for all, the last ones share a row."""
    told = [(name, scene.reasons.get(reason, 0)) for reason, name in _REASONS]
    shown, rest = told[: rows - 1], told[rows - 1 :]
    others = [name for name, units in rest if units] or [rest[0][0]]
    name = others[0] if len(others) == 1 else "other reasons"
    return [*shown, (name, sum(units for _, units in rest))]


def _engine_panel(scene: Scene, *, width: int) -> Panel:
    """Pace and house in one, for a narrow terminal."""
    table = _figures()
    _add_house(table, scene)
    _add_pace(table, scene, width - HOUSE_FIGURES_CELLS)
    parts = _in_rows([_part(part) for part in scene.parts], width - FRAME - AIR)
    return _panel("Engine", Group(table, *parts, _buyers(scene)))


def _in_rows(words: Sequence[Text], cells: int) -> list[Text]:
    """Words beside each other where there is room, none of them broken."""
    rows: list[Text] = []
    for word in words:
        if rows and rows[-1].cell_len + 2 + word.cell_len <= cells:
            rows[-1].append("  ").append_text(word)
        else:
            rows.append(word)
    return rows


def _pace_panel(scene: Scene, *, cells: int) -> Panel:
    table = _figures()
    _add_pace(table, scene, cells)
    answer = _NOTHING if scene.answer_ms is None else f"{scene.answer_ms:.1f}"
    table.add_row("answer, ms", Text(answer, BOLD), Text("median", SAND))
    table.add_row("shipped", Text(f"{scene.shipped:,}", BOLD), Text("this run", SAND))
    table.add_row("returned", Text(f"{scene.returned:,}", BOLD), Text("this run", SAND))
    return _panel("Pace", Group(table, _buyers(scene)))


def _house_panel(scene: Scene) -> Panel:
    table = _figures()
    _add_house(table, scene)
    rows = [_part(part) for part in scene.parts]
    return _panel("House", Group(table, *rows))


def _buyers(scene: Scene) -> Text:
    return Text(scene.buyers, SAND, no_wrap=True, overflow="ellipsis")


def _figures() -> Table:
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(no_wrap=True, style=SAND)
    table.add_column(justify="right", no_wrap=True, min_width=7)
    table.add_column(ratio=1, no_wrap=True)
    return table


def _add_house(table: Table, scene: Scene) -> None:
    table.add_row("oversold units", _promise(scene.oversold_units), "")
    flight = _NOTHING if scene.in_flight is None else f"{scene.in_flight:,}"
    table.add_row("sagas in flight", Text(flight, BOLD), "")
    table.add_row("dead letters", _promise(scene.dead_letters), "")


def _add_pace(table: Table, scene: Scene, cells: int) -> None:
    for name, rates in (("orders/s", scene.orders_per_s), ("events/s", scene.events_per_s)):
        now = f"{rates[-1]:,.1f}" if rates else _NOTHING
        table.add_row(name, Text(now, BOLD), Text(spark(rates, cells), TEAL))


def _promise(units: int | None) -> Text:
    """A figure that ought to be zero."""
    if units is None:
        return Text(_NOTHING)
    return Text(f"{units:,}", f"bold {TEAL if units == 0 else RUST}")


def _part(part: PartRow) -> Text:
    sign, colour = _STANDING[part.standing]
    text = Text.assemble((part.name, SAND), " ", (f"{sign} {part.standing}", colour))
    if part.restarts:
        text.append(f" ↻{part.restarts}", AMBER)
    return text


def _stock_panel(scene: Scene, *, width: int, rows: int) -> Panel:
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(no_wrap=True, ratio=1, overflow="ellipsis")
    room = width - FRAME - AIR - STOCK_FIGURES_CELLS
    cells = max(BAR_CELLS_MIN, int(room * STOCK_BAR_SHARE))
    table.add_column(no_wrap=True, width=cells)
    names = ("available", "reserved", "sold", "received")
    for name in names:
        table.add_column(justify="right", no_wrap=True, min_width=max(6, len(name)))
    table.add_row(Text("SKU", SAND), "", *(Text(name, SAND) for name in names))
    for row in scene.stock[: max(0, rows - FRAME - 1)]:
        table.add_row(
            Text(row.sku),
            shelf(row, cells),
            Text(f"{row.available:,}", TEAL if row.available else RUST),
            Text(f"{row.reserved:,}", AMBER if row.reserved else SAND),
            f"{row.sold:,}",
            f"{row.received:,}",
        )
    out = f" · {scene.sold_out} sold out" if scene.sold_out else ""
    return _panel(f"Stock{out}", table)


def _last_panel(scene: Scene, *, rows: int) -> Panel:
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(no_wrap=True, style=SAND)
    table.add_column(no_wrap=True, ratio=1, overflow="ellipsis")
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True, min_width=9)
    for order in scene.orders[: max(0, rows - FRAME)]:
        fate, colour = _FATES.get(order.fate, (order.fate, SAND))
        table.add_row(
            order.placed_at.astimezone().strftime("%H:%M:%S"),
            Text(order.goods),
            price(order),
            Text(fate, colour),
        )
    panel = _panel("Last orders", table)
    if scene.note:
        panel.subtitle = Text(f" {scene.note} ", f"bold {RUST}", no_wrap=True, overflow="ellipsis")
    return panel


def price(order: OrderRow) -> str:
    """The order's total as people write it."""
    return f"{price_of(order.total_minor, order.currency):,f} {order.currency}"


def shelf(row: StockRow, cells: int) -> Text:
    """A shelf as a bar: free units, then held ones, then the gap to a full shelf."""
    if row.available + row.reserved == 0:
        return Text("sold out", RUST)
    full = max(row.shelf, row.available + row.reserved)
    # What is there is seen: a single unit of thousands still has its cell.
    held = -(-row.reserved * cells // full)
    free = min(-(-row.available * cells // full), cells - held)
    bar = Text("█" * free, TEAL)
    bar.append("█" * held, AMBER)
    bar.append("·" * (cells - free - held), f"dim {SAND}")
    return bar


def spark(rates: Sequence[float], cells: int) -> str:
    """All rates as a line of little bars, as many to a bar as needed; the highest is full."""
    if cells <= 0:
        return ""
    size = max(1, -(-len(rates) // cells))
    bars = [fmean(rates[at : at + size]) for at in range(0, len(rates), size)]
    top = max(bars, default=0.0)
    if top <= 0:
        return _SPARKS[0] * len(bars)
    return "".join(_SPARKS[round(max(0.0, bar) / top * (len(_SPARKS) - 1))] for bar in bars)


def duration(seconds: float) -> str:
    """Hours, minutes and seconds as a clock shows them."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def tell(scene: Scene) -> str:
    """The scene in one line, for where there is no terminal to draw on."""
    run = scene.this_run
    told = ", ".join(f"{name} {units:,}" for name, units in _reasons(scene, len(_REASONS)) if units)
    reasons = f" ({told})" if told else ""
    events = f"{scene.events_per_s[-1]:,.0f}" if scene.events_per_s else _NOTHING
    parts = ", ".join(
        f"{part.name} {part.standing}" + (f" (restarts: {part.restarts})" if part.restarts else "")
        for part in scene.parts
    )
    line = (
        f"placed {run.placed:,}, confirmed {run.confirmed:,}, "
        f"cancelled {run.cancelled:,}{reasons}; in flight {_or_dash(scene.in_flight)}, "
        f"events/s {events}, dead letters {_or_dash(scene.dead_letters)}, "
        f"oversold {_or_dash(scene.oversold_units)}"
    )
    return "; ".join(part for part in (line, parts, scene.note) if part)


def _or_dash(units: int | None) -> str:
    return _NOTHING if units is None else f"{units:,}"


def _panel(title: str, inside: RenderableType) -> Panel:
    return Panel(
        inside,
        title=Text(title, f"bold {AMBER}"),
        title_align="left",
        border_style=SAND,
        box=box.ROUNDED,
        padding=(0, 1),
    )
