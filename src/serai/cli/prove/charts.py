"""Drawings of a run as inline SVG; colours come from the page, so that light and dark both fit."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import Final

from serai.cli.prove.history import History, Strike
from serai.cli.prove.plan import KINDS
from serai.cli.prove.probes import Unavailable

WIDTH: Final = 960
LEFT: Final = 150
RIGHT: Final = 12
GRAPH_HEIGHT: Final = 160
LANE_HEIGHT: Final = 18
TOP: Final = 16
AXIS_HEIGHT: Final = 24
TICKS_MAX: Final = 12
BAR_WIDTH: Final = 300
BAR_HEIGHT: Final = 10

Scale = Callable[[float], float]
"""Where a moment lies on the drawing."""
Count = Callable[[int], float]
"""Where a number lies on it."""


def per_second(moments: Iterable[float], seconds: int) -> list[int]:
    """How many moments fall into each second."""
    counts = [0] * seconds
    for moment in moments:
        if 0 <= moment < seconds:
            counts[int(moment)] += 1
    return counts


def timeline(history: History, seconds: int) -> str:
    """Orders acknowledged and seen confirmed in each second, and below them every fault."""
    acknowledged = per_second(_acknowledged(history), seconds)
    confirmed = per_second(_confirmed(history), seconds)
    kinds = [kind for kind in KINDS if any(s.fault.kind == kind for s in history.strikes)]
    top = max([*acknowledged, *confirmed, 1])
    lanes_top = TOP + GRAPH_HEIGHT + AXIS_HEIGHT
    height = lanes_top + LANE_HEIGHT * len(kinds) + TOP
    scale = (WIDTH - LEFT - RIGHT) / max(1, seconds)

    def x(moment: float) -> float:
        return round(LEFT + moment * scale, 1)

    def y(count: int) -> float:
        return round(TOP + GRAPH_HEIGHT * (1 - count / top), 1)

    parts = [
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="orders a second, and faults">',
        *_axis(x, y, seconds, top),
        *_bars(acknowledged, x, y, scale),
        f'<polyline class="line" points="{_points(confirmed, x, y)}"/>',
        *_lanes(kinds, history.strikes, x, lanes_top),
        "</svg>",
    ]
    return "\n".join(parts)


def recovery_bar(figure: Unavailable | None, longest_ms: float) -> str:
    """The middle and the worst recovery of a kind of fault, against the worst of all."""
    if figure is None or longest_ms <= 0:
        return ""
    worst = round(BAR_WIDTH * figure.max / longest_ms, 1)
    middle = round(BAR_WIDTH * figure.p50 / longest_ms, 1)
    return (
        f'<svg viewBox="0 0 {BAR_WIDTH} {BAR_HEIGHT}" class="bar" aria-hidden="true">'
        f'<rect class="worst" width="{worst}" height="{BAR_HEIGHT}" rx="2"/>'
        f'<rect class="middle" width="{middle}" height="{BAR_HEIGHT}" rx="2"/></svg>'
    )


def longest(figures: Mapping[str, Unavailable]) -> float:
    """The worst recovery of all, in milliseconds."""
    return max((figure.max for figure in figures.values()), default=0.0)


def _acknowledged(history: History) -> Iterable[float]:
    for story in history.stories:
        deed = story.deed("place")
        success = deed.success if deed is not None else None
        if success is not None:
            yield success.at_s + success.took_s


def _confirmed(history: History) -> Iterable[float]:
    """When buyers saw an order confirmed; not every buyer looks."""
    seen = (story.seen_confirmed_s for story in history.stories)
    return (moment for moment in seen if moment is not None)


def _axis(x: Scale, y: Count, seconds: int, top: int) -> list[str]:
    step = max(1, -(-seconds // TICKS_MAX))
    lines = [
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(n)}" y2="{y(n)}"/>'
        f'<text class="tick" x="{LEFT - 6}" y="{y(n) + 4}" text-anchor="end">{n}</text>'
        for n in sorted({0, top // 2, top})
    ]
    below = TOP + GRAPH_HEIGHT + 16
    lines += [
        f'<text class="tick" x="{x(at)}" y="{below}" text-anchor="middle">{at} s</text>'
        for at in range(0, seconds + 1, step)
    ]
    return lines


def _bars(counts: Sequence[int], x: Scale, y: Count, scale: float) -> list[str]:
    width = round(max(1.0, scale - 1), 1)
    floor = TOP + GRAPH_HEIGHT
    return [
        f'<rect class="area" x="{x(second)}" y="{y(count)}" width="{width}" '
        f'height="{round(floor - y(count), 1)}"><title>{count} acknowledged in second {second}'
        "</title></rect>"
        for second, count in enumerate(counts)
        if count
    ]


def _points(counts: Sequence[int], x: Scale, y: Count) -> str:
    return " ".join(f"{x(second + 0.5)},{y(count)}" for second, count in enumerate(counts))


def _lanes(kinds: Sequence[str], strikes: Sequence[Strike], x: Scale, top: int) -> list[str]:
    lines: list[str] = []
    for lane, kind in enumerate(kinds):
        middle = top + LANE_HEIGHT * lane + LANE_HEIGHT // 2
        name = kind.replace("_", " ")
        lines.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{middle}" y2="{middle}"/>'
            f'<text class="lane" x="{LEFT - 8}" y="{middle + 4}" text-anchor="end">{name}</text>'
        )
        for strike in strikes:
            if strike.fault.kind == kind:
                said = escape(f"{strike.at_s:.1f} s: {name} {strike.fault.target} {strike.note}")
                lines.append(
                    f'<circle class="fault" cx="{x(strike.at_s)}" cy="{middle}" r="5">'
                    f"<title>{said}</title></circle>"
                )
    return lines
