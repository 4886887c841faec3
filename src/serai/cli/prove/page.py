"""The page of a run: one file with nothing from elsewhere, for light and dark, phone and desk."""

import math
import platform
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Final

from serai.cli.prove import charts
from serai.cli.prove.invariants import INVARIANTS, Violation
from serai.cli.prove.outcome import Outcome
from serai.cli.prove.probes import Spread
from serai.cli.prove.session import Proof
from serai.settings import version

PAGE_FILE: Final = "prove.html"
VIOLATIONS_SHOWN_MAX: Final = 100
HISTORY_SHOWN_MAX: Final = 200
HAPPENINGS_SHOWN_MAX: Final = 200

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1c1b18; --paper: #fbfaf7; --faint: #6d6a62;
  --rule: #dedacf; --area: #9db8cf; --line: #1f6f4a; --fault: #b4482f; --good: #1f6f4a;
  --bad: #b3261e; --middle: #40729c; --worst: #c6d6e4; }
@media (prefers-color-scheme: dark) { :root { --ink: #ece8df; --paper: #191815; --faint: #a09b8f;
  --rule: #3a372f; --area: #3f5f7a; --line: #6fd0a2; --fault: #e58a70; --good: #6fd0a2;
  --bad: #ff8a80; --middle: #7fb2dc; --worst: #33495c; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.25rem; max-width: 62rem; background: var(--paper);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .25rem; }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p { margin: .25rem 0; } .faint { color: var(--faint); }
.verdict { font-weight: 600; } .good { color: var(--good); } .bad { color: var(--bad); }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr));
  gap: .75rem; margin: 1rem 0; padding: 0; list-style: none; }
.figures li { border: 1px solid var(--rule); border-radius: .5rem; padding: .5rem .75rem; }
.figures b { display: block; font-size: 1.4rem; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; } .wide > svg { min-width: 44rem; width: 100%; height: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--rule);
  vertical-align: top; } td.number, th.number { text-align: right; }
svg.bar { width: 100%; min-width: 6rem; height: .7rem; }
.area { fill: var(--area); } .line { fill: none; stroke: var(--line); stroke-width: 1.5; }
.grid { stroke: var(--rule); } .tick, .lane { fill: var(--faint); font-size: 11px; }
.fault { fill: var(--fault); } .middle { fill: var(--middle); } .worst { fill: var(--worst); }
pre { overflow-x: auto; font-size: .8rem; border-left: 3px solid var(--rule);
  padding-left: .75rem; }
"""

_HOW_TO_READ: Final = (
    "From a fault to the next success of what was begun after it, in milliseconds: the middle one, "
    "and the worst. Faults come faster than the shop recovers from the worst of them, so each "
    "figure holds what its neighbours did, too."
)
_HEAD: Final = (
    "<tr><th>fault</th><th class=number>times</th><th class=number>API answers</th>"
    "<th class=number>order confirms</th><th></th></tr>"
)


def write_report(folder: Path, proof: Proof, found: Outcome) -> Path:
    """Writes the page into a folder, which is made where it is not there; where the page is."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / PAGE_FILE
    path.write_text(page_of(proof, found, datetime.now(UTC)), "utf-8")
    return path


def page_of(proof: Proof, found: Outcome, made_at: datetime) -> str:
    """The page as text."""
    verdict = "Every promise held." if found.is_clean else f"{len(found.violations)} violations."
    tone = "good" if found.is_clean else "bad"
    faults = sum(found.faults.values())
    history = proof.case.history
    seconds = math.ceil(max([found.seconds, *(s.at_s + 1 for s in history.strikes)]))
    return "\n".join([
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>serai prove, seed {found.seed}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{faults} faults in {found.seconds:g} seconds</h1>",
        f'<p class="verdict {tone}">{verdict}</p>',
        f'<p class="faint">{escape(_circumstances(found, made_at))}</p>',
        _figures(found),
        "<h2>Orders a second, and the faults</h2>",
        '<p class="faint">Bars: orders acknowledged. Line: orders that buyers saw confirmed.</p>',
        f'<div class="wide">{charts.timeline(history, seconds)}</div>',
        "<h2>How long something could not be done</h2>",
        f'<p class="faint">{_HOW_TO_READ}</p>',
        _recoveries(found),
        "<h2>Promises</h2>",
        _promises(found),
        _violations(found.violations),
        "<h2>What befell the parts by themselves</h2>",
        _happenings(found),
        "</body></html>",
        "",
    ])  # fmt: skip


def _circumstances(found: Outcome, made_at: datetime) -> str:
    return (
        f"Seed {found.seed}; serai {version()}, Python {platform.python_version()}, "
        f"{platform.platform()}; {made_at:%Y-%m-%d %H:%M} UTC"
    )


def _figures(found: Outcome) -> str:
    figures = {
        "orders acknowledged": found.acknowledged,
        "confirmed": found.confirmed,
        "cancelled": found.cancelled,
        "lost": found.lost,
        "units oversold": found.oversold_units,
        "charged twice": found.double_charges,
        "charged without goods": found.charged_without_order,
        "stuck": found.stuck,
        "requests": found.requests,
        "of them unanswered": found.unanswered,
    }
    items = "".join(f"<li><b>{n:,}</b>{escape(name)}</li>" for name, n in figures.items())
    return f'<ul class="figures">{items}</ul>'


def _recoveries(found: Outcome) -> str:
    longest = charts.longest(found.unavailable_ms)
    rows = [_HEAD]
    for kind, times in found.faults.items():
        figure = found.unavailable_ms.get(kind)
        rows.append(
            f"<tr><td>{kind.replace('_', ' ')}</td><td class=number>{times}</td>"
            f"<td class=number>{_spread(figure.answers if figure else None)}</td>"
            f"<td class=number>{_spread(figure.confirms if figure else None)}</td>"
            f"<td>{charts.recovery_bar(figure, longest)}</td></tr>"
        )
    return f'<div class="wide"><table>{"".join(rows)}</table></div>'


def _spread(spread: Spread | None) -> str:
    return "-" if spread is None else f"{spread.p50:,.0f} / {spread.max:,.0f}"


def _promises(found: Outcome) -> str:
    rows = []
    for invariant in INVARIANTS:
        broken = found.invariants[invariant.name]
        held = (
            f'<span class="bad">no: {broken}</span>' if broken else '<span class="good">yes</span>'
        )
        rows.append(f"<tr><td>{escape(invariant.sentence)}</td><td>{held}</td></tr>")
    return f"<table>{''.join(rows)}</table>"


def _violations(violations: list[Violation]) -> str:
    if not violations:
        return ""
    parts = ["<h2>What was broken</h2>"]
    for violation in violations[:VIOLATIONS_SHOWN_MAX]:
        lines = "\n".join(violation.history[:HISTORY_SHOWN_MAX])
        parts.append(
            f"<details open><summary><b>{escape(violation.invariant)}</b> "
            f"{escape(violation.detail)}</summary><pre>{escape(lines)}</pre></details>"
        )
    if len(violations) > VIOLATIONS_SHOWN_MAX:
        parts.append(f"<p>... and {len(violations) - VIOLATIONS_SHOWN_MAX} more.</p>")
    return "\n".join(parts)


def _happenings(found: Outcome) -> str:
    if not found.happenings:
        return "<p>Nothing.</p>"
    lines = [
        f"{happening.at_s:8.3f} s  {happening.part}: {happening.what}"
        for happening in found.happenings[:HAPPENINGS_SHOWN_MAX]
    ]
    return f"<pre>{escape(chr(10).join(lines))}</pre>"
