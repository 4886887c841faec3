"""What the buyers were answered: their own book, which no table of ours has a hand in."""

from collections.abc import Iterator
from typing import Literal

import msgspec

from serai.cli.prove.plan import Buyer, Fault

What = Literal["place", "cancel", "capture", "return", "pay"]
SUCCESS = range(200, 300)
REFUSED = range(400, 500)
BUG = 500


class Attempt(msgspec.Struct, frozen=True):
    """One request and what came of it; `status` 0: no answer."""

    at_s: float
    took_s: float
    api: str
    status: int
    said: str
    """The body of a success, the code of a refusal, or what was met instead of an answer."""
    is_waiting: bool = False
    """It asked for the order's end (`Prefer: wait`), so its body may tell of a later state."""


class Deed(msgspec.Struct):
    """Something a buyer or staff wanted, under one idempotency key, and every attempt at it."""

    what: What
    key: str
    attempts: list[Attempt] = msgspec.field(default_factory=list)

    @property
    def success(self) -> Attempt | None:
        """The first answer that said it was done."""
        return next((a for a in self.attempts if a.status in SUCCESS), None)

    @property
    def refusal(self) -> Attempt | None:
        """An answer that said it will not be done, if that was the end of it."""
        last = self.attempts[-1] if self.attempts else None
        return last if last is not None and last.status in REFUSED else None


class Sight(msgspec.Struct, frozen=True):
    """A state in which the buyer saw the order."""

    at_s: float
    status: str


class Story(msgspec.Struct):
    """One buyer's order from beginning to end."""

    buyer: Buyer
    deeds: list[Deed] = msgspec.field(default_factory=list)
    sights: list[Sight] = msgspec.field(default_factory=list)
    order_id: str | None = None

    def deed(self, what: What) -> Deed | None:
        """What was done of that kind, if anything."""
        return next((deed for deed in self.deeds if deed.what == what), None)

    def is_done(self, what: What) -> bool:
        """Whether that was asked for and answered with success."""
        deed = self.deed(what)
        return deed is not None and deed.success is not None

    @property
    def is_acknowledged(self) -> bool:
        """Whether the buyer was told that the order is placed."""
        return self.is_done("place")

    @property
    def seen_confirmed_s(self) -> float | None:
        """When the buyer first saw it confirmed."""
        return next((s.at_s for s in self.sights if s.status == "confirmed"), None)

    @property
    def accepted_s(self) -> float | None:
        """When the request began that was the first to be answered with the order."""
        deed = self.deed("place")
        success = deed.success if deed is not None else None
        return None if success is None else success.at_s

    @property
    def began_s(self) -> float:
        """When it was first sent."""
        return next((d.attempts[0].at_s for d in self.deeds if d.attempts), self.buyer.at_s)


class Strike(msgspec.Struct, frozen=True):
    """A fault that was done."""

    fault: Fault
    at_s: float
    note: str


class Happening(msgspec.Struct, frozen=True):
    """Something that befell a part by itself, or that we did for it as a supervisor would."""

    at_s: float
    part: str
    what: str


class ProbeSight(msgspec.Struct, frozen=True):
    """An API said that it is ready: the moment it was asked, and the moment it answered."""

    api: str
    asked_s: float
    answered_s: float


class History(msgspec.Struct):
    """Everything that was seen from outside during a run."""

    stories: list[Story] = msgspec.field(default_factory=list)
    strikes: list[Strike] = msgspec.field(default_factory=list)
    happenings: list[Happening] = msgspec.field(default_factory=list)
    answers: list[ProbeSight] = msgspec.field(default_factory=list)

    def acknowledged(self) -> Iterator[Story]:
        """The orders whose buyers were told that they are placed."""
        return (story for story in self.stories if story.is_acknowledged)


def tell(story: Story, strikes: list[Strike], *, around_s: float = 3.0) -> list[str]:
    """The story of one order in lines, with the faults around it, in the order of time."""
    lines: list[tuple[float, str]] = []
    buyer = story.buyer
    card = buyer.card or "none"
    units = ", ".join(f"{line.quantity} x {line.sku}" for line in buyer.lines[:4])
    more = f" and {len(buyer.lines) - 4} lines more" if len(buyer.lines) > 4 else ""  # noqa: PLR2004
    lines.append((story.began_s, f"{buyer.reference} wants {units}{more}; card {card}"))
    for deed in story.deeds:
        for attempt in deed.attempts:
            said = attempt.said[:160] if attempt.status not in SUCCESS else ""
            answer = f"{attempt.status or 'no answer'} {said}".rstrip()
            asked = f"{deed.what} at {attempt.api} (key {deed.key})"
            lines.append((attempt.at_s, f"{asked}: {answer} after {attempt.took_s:.2f} s"))
    lines += [(sight.at_s, f"seen {sight.status}") for sight in story.sights]
    moments = [moment for moment, _ in lines]
    first, last = min(moments) - around_s, max(moments) + around_s
    lines += [
        (strike.at_s, f"FAULT {strike.fault.kind} {strike.fault.target} {strike.note}".rstrip())
        for strike in strikes
        if first <= strike.at_s <= last
    ]
    lines.sort(key=lambda line: line[0])
    return [f"{moment:8.3f} s  {text}" for moment, text in lines]
