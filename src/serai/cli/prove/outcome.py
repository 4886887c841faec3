"""What a run ends with: one document for scripts, a page of text for people."""

from typing import Final

import msgspec
from rich.markup import escape
from rich.table import Table

from serai.cli.console import out, say
from serai.cli.prove.history import Happening
from serai.cli.prove.invariants import INVARIANTS, Violation
from serai.cli.prove.probes import Spread, Unavailable, unavailable_by_kind
from serai.cli.prove.session import Proof
from serai.cli.prove.witness import count_by

SHOWN_MAX: Final = 10
HISTORY_SHOWN_MAX: Final = 40
STUCK: Final = frozenset({"ended", "flows", "settled", "handled"})


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The document of a run."""

    is_clean: bool
    seed: int
    seconds: float
    faults: dict[str, int]
    orders: int
    acknowledged: int
    confirmed: int
    cancelled: int
    lost: int
    oversold_units: int
    double_charges: int
    charged_without_order: int
    stuck: int
    rest_s: float
    requests: int
    unanswered: int
    """Requests that nobody answered; each was sent again with the same key."""
    unavailable_ms: dict[str, Unavailable]
    invariants: dict[str, int]
    """Breaches by invariant: every one that was checked, and zero where it held."""
    happenings: list[Happening]
    """What befell the parts by themselves, and when the database answered again."""
    violations: list[Violation]


def outcome_of(proof: Proof) -> Outcome:
    """The document of a run that is over."""
    case, violations = proof.case, proof.violations
    broken = {invariant.name: 0 for invariant in INVARIANTS}
    for violation in violations:
        broken[violation.invariant] += violation.count
    acknowledged = list(case.history.acknowledged())
    ends = [case.orders[s.order_id].status for s in acknowledged if s.order_id in case.orders]
    attempts = [a for s in case.history.stories for d in s.deeds for a in d.attempts]
    return Outcome(
        is_clean=not violations,
        seed=case.plan.seed,
        seconds=case.plan.seconds,
        faults=count_by(case.history.strikes, lambda strike: strike.fault.kind),
        orders=len(case.evidence.orders),
        acknowledged=len(acknowledged),
        confirmed=ends.count("confirmed"),
        cancelled=ends.count("cancelled"),
        lost=broken["acknowledged"] + broken["kept"],
        oversold_units=broken["oversold"],
        double_charges=broken["charged_once"],
        charged_without_order=broken["charged_for_goods"],
        stuck=sum(broken[name] for name in STUCK),
        rest_s=round(proof.rest_s, 1),
        requests=len(attempts),
        unanswered=sum(attempt.status == 0 for attempt in attempts),
        unavailable_ms=unavailable_by_kind(case.history),
        invariants=broken,
        happenings=case.history.happenings,
        violations=violations,
    )


def show(found: Outcome) -> None:
    """Prints it for people."""
    faults = Table("fault", "times", "API answers again, ms", "an order confirms again, ms")
    for kind, times in found.faults.items():
        figure = found.unavailable_ms.get(kind)
        answers = _spread(figure.answers if figure else None)
        confirms = _spread(figure.confirms if figure else None)
        faults.add_row(kind.replace("_", " "), str(times), answers, confirms)
    out.print(faults)
    sentences = {invariant.name: invariant.sentence for invariant in INVARIANTS}
    promises = Table("promise", "held")
    for name, broken in found.invariants.items():
        promises.add_row(sentences[name], f"[red]no: {broken}[/]" if broken else "[green]yes[/]")
    out.print(promises)
    for violation in found.violations[:SHOWN_MAX]:
        say(f"[red]{violation.invariant}[/]: {escape(violation.detail)}")
        for line in violation.history[:HISTORY_SHOWN_MAX]:
            say(f"    {escape(line)}")
    if len(found.violations) > SHOWN_MAX:
        say(f"... and {len(found.violations) - SHOWN_MAX} more; --json has them all")
    say(
        f"{sum(found.faults.values())} faults of {len(found.faults)} kinds in "
        f"{found.seconds:g} s (seed {found.seed}); {found.acknowledged:,} orders acknowledged: "
        f"{found.confirmed:,} confirmed, {found.cancelled:,} cancelled."
    )
    count = len(found.violations)
    say("[green]Every promise held.[/]" if found.is_clean else f"[red]{count} violations.[/]")


def _spread(spread: Spread | None) -> str:
    return "-" if spread is None else f"{spread.p50:,.0f} (at most {spread.max:,.0f})"
