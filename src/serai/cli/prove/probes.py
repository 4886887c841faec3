"""How long something could not be done after a fault: until the next answer, the next order.

A fault is timed from its moment to the first success of what was begun after it. Faults come faster
than the shop recovers from the worst of them, so a figure holds what the neighbours did, too.
"""

import asyncio
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from serai.cli.prove.history import History, ProbeSight, Strike
from serai.cli.prove.plan import APIS
from serai.cli.prove.wire import NoAnswer, Wire

PROBE_GAP_S: Final = 0.1
PROBE_TIMEOUT_S: Final = 2.0


class Spread(msgspec.Struct, frozen=True):
    """Milliseconds: the middle one and the worst."""

    p50: float
    max: float


class Unavailable(msgspec.Struct, frozen=True):
    """How long, after faults of one kind, until an API answered and an order was confirmed.

    `p50` and `max` are of the longer of the two.
    """

    p50: float
    max: float
    answers: Spread | None
    confirms: Spread | None


async def watch_api(api: str, port: int, history: History, now: Callable[[], float]) -> None:
    """Asks an API again and again whether it can do its work, until cancelled."""
    wire = Wire(port)
    try:
        while True:
            asked = now()
            try:
                reply = await wire.get("/readyz", timeout_s=PROBE_TIMEOUT_S)
            except NoAnswer:
                reply = None
            if reply is not None and reply.is_ok:
                history.answers.append(ProbeSight(api, asked, now()))
            await asyncio.sleep(max(0.0, asked + PROBE_GAP_S - now()))
    finally:
        wire.close()


def unavailable_by_kind(history: History) -> dict[str, Unavailable]:
    """The figures of every kind of fault that was done."""
    answers = {api: [s for s in history.answers if s.api == api] for api in APIS}
    orders = [
        (story.accepted_s, story.seen_confirmed_s)
        for story in history.stories
        if story.accepted_s is not None and story.seen_confirmed_s is not None
    ]
    found: dict[str, list[tuple[float, float]]] = {}
    for strike in history.strikes:
        asked = [
            _first_after(strike.at_s, ((s.asked_s, s.answered_s) for s in answers[api]))
            for api in _affected(strike)
        ]
        pair = max(asked), _first_after(strike.at_s, orders)
        found.setdefault(strike.fault.kind, []).append(pair)
    return {kind: _figure(pairs) for kind, pairs in sorted(found.items())}


def _affected(strike: Strike) -> Sequence[str]:
    """The APIs that a fault is about: its own one, else both."""
    named = [api for api in APIS if api in strike.fault.target.split(">")]
    return named or APIS


def _first_after(moment: float, begun: Iterable[tuple[float, float]]) -> float:
    """Seconds from a moment to the earliest success of what was begun after it; or for ever."""
    return min((done for start, done in begun if start >= moment), default=math.inf) - moment


def _figure(pairs: Sequence[tuple[float, float]]) -> Unavailable:
    answers = spread(answer for answer, _ in pairs)
    confirms = spread(confirm for _, confirm in pairs)
    whole = spread(max(pair) for pair in pairs) or confirms or answers or Spread(0.0, 0.0)
    return Unavailable(whole.p50, whole.max, answers, confirms)


def spread(seconds: Iterable[float]) -> Spread | None:
    """The spread of what had an end, in milliseconds; None where nothing had."""
    ordered = sorted(s * 1000 for s in seconds if math.isfinite(s))
    if not ordered:
        return None
    middle = ordered[max(0, math.ceil(len(ordered) / 2) - 1)]
    return Spread(round(middle, 1), round(ordered[-1], 1))
