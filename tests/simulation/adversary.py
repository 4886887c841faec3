"""Decides what goes wrong, and when: all of it from the plan and from streams of the seed."""

import collections
from collections.abc import Callable
from random import Random
from typing import Protocol

from tests.simulation.loop import Owner
from tests.simulation.plan import Fault, Plan

FAST_S = 0.002
SLOW_S = 0.05
SLOW_SHARE = 0.03
AT_ONCE_SHARE = 0.7
LATE_CHARGE_MAX_S = 3.0
"""Shorter than payments hold a lost question for possibly under way."""

TRAPS = {
    "crash_before_commit": "before_commit",
    "crash_after_commit": "after_commit",
    "crash_before_vendor": "before_vendor",
    "crash_after_vendor": "after_vendor",
    "freeze_after_vendor": "after_vendor",
    "cut_before_commit": "before_commit",
    "cut_after_commit": "after_commit",
}
"""Where the next one who comes by is struck."""


class Victims(Protocol):
    """What the adversary can do to the world at once; it knows how each is undone."""

    def crash(self, owner: Owner, after_s: float) -> None: ...

    def freeze(self, owner: Owner, length_s: float) -> None: ...

    def strike(self, fault: Fault) -> None: ...


class Adversary:
    """The fate of every message and every step that can be struck."""

    def __init__(self, plan: Plan, victims: Victims, note: Callable[[str, str], None]) -> None:
        self._victims = victims
        self._note = note
        self._wire = Random(f"wire {plan.seed}")  # noqa: S311 - a seed decides
        self._traps: dict[str, list[Fault]] = {}
        self._calls: collections.deque[Fault] = collections.deque()
        self._callbacks: collections.deque[Fault] = collections.deque()
        self._answers: collections.deque[Fault] = collections.deque()
        self._poisons: list[Fault] = []
        self.are_notices_lost = False
        self.is_over = False

    def begin(self, fault: Fault) -> None:
        """A fault's moment has come: it strikes now, or lies in wait."""
        if self.is_over:
            return
        if fault.kind in TRAPS:
            self._traps.setdefault(TRAPS[fault.kind], []).append(fault)
        elif fault.kind.startswith("vendor_"):
            self._calls.extend([fault] * fault.count)
        elif fault.kind.startswith("callback_"):
            self._callbacks.extend([fault] * fault.count)
        elif fault.kind == "answer_lost":
            self._answers.append(fault)
        elif fault.kind == "poison":
            self._poisons.append(fault)
        else:
            self._victims.strike(fault)

    def end(self) -> None:
        """From now on nothing goes wrong any more."""
        self.is_over = True
        self.are_notices_lost = False
        for waiting in (self._traps, self._calls, self._callbacks, self._answers, self._poisons):
            waiting.clear()

    # ------------------------------------------------------------------------------- on the wire

    def latency_s(self) -> float:
        """Most messages take no time, some a little, a few long."""
        chance = self._wire.random()
        if chance < AT_ONCE_SHARE:
            return 0.0
        if chance < 1.0 - SLOW_SHARE or self.is_over:
            return chance * FAST_S
        return self._wire.random() * SLOW_S

    def notice_delay_s(self) -> float | None:
        """Notifications overtake each other, and vanish while their connection is bad."""
        if self.are_notices_lost:
            self._note("notice_lost", "")
            return None
        return self._wire.random() * FAST_S

    def at(self, place: str, owner: Owner) -> str | None:
        """Strikes the one who stands where a trap lies."""
        traps = self._traps.get(place)
        if not traps:
            return None
        fault = traps.pop(0)
        self._note(fault.kind, owner.name)
        if fault.kind.startswith("cut"):
            return "cut"
        if fault.kind.startswith("freeze"):
            self._victims.freeze(owner, fault.length_s)
            return "frozen"
        self._victims.crash(owner, fault.length_s)
        return "died"

    # ------------------------------------------------------------------------------- the provider

    def of_call(self) -> tuple[str, float]:
        """How a call to the provider fares."""
        if not self._calls:
            return "heard", 0.0
        fault = self._calls.popleft()
        self._note(fault.kind, "")
        return fault.kind.removeprefix("vendor_"), min(fault.length_s, LATE_CHARGE_MAX_S)

    def of_callback(self) -> tuple[str, float]:
        """How a callback fares."""
        if not self._callbacks:
            return "heard", self._wire.random() * FAST_S
        fault = self._callbacks.popleft()
        self._note(fault.kind, "")
        return fault.kind.removeprefix("callback_"), fault.length_s

    # -------------------------------------------------------------------------------- the clients

    def is_answer_lost(self) -> bool:
        """Whether the client does not hear what was just answered."""
        if not self._answers:
            return False
        self._note(self._answers.popleft().kind, "")
        return True

    def take_poison(self, group: str, groups: tuple[str, ...]) -> Fault | None:
        """A poison that waits for a message of this group, if one does."""
        for place, fault in enumerate(self._poisons):
            if groups[fault.target % len(groups)] == group:
                return self._poisons.pop(place)
        return None
