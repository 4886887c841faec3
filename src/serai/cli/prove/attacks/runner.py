"""Runs attacks against a target, some rounds at a time, and says which of them held."""

import asyncio
from collections.abc import Callable, Collection
from random import Random
from typing import Final

import msgspec

from serai.cli.check import Report
from serai.cli.prove.attacks.attack import Anomaly, Attack, Family
from serai.cli.prove.attacks.ground import Ground, Violation
from serai.cli.prove.attacks.registry import ATTACKS
from serai.cli.prove.attacks.session import Session
from serai.cli.prove.attacks.shop import Shop
from serai.cli.prove.attacks.target import Target
from serai.kernel import ids

ROUNDS: Final = 10
ROUNDS_AT_ONCE: Final = 6
"""More would make a small machine answer late, not interleave more."""
VIOLATIONS_KEPT: Final = 5
"""Rounds of one attack whose history is kept; that many show what is wrong."""


class Outcome(msgspec.Struct, frozen=True):
    """What became of an attack: it held, it succeeded, or it was not tried for want of something.

    `interleavings` counts the different orders in which its sessions were answered.
    """

    name: str
    family: Family
    anomaly: Anomaly
    sentence: str
    rounds: int
    rounds_broken: int
    interleavings: int
    lacks: str | None
    violations: list[Violation]

    @property
    def has_held(self) -> bool:
        """Whether no round broke a promise."""
        return self.rounds_broken == 0


class Verdict(msgspec.Struct, frozen=True):
    """All attacks on a target, and what the database says afterwards where it can be asked."""

    url: str
    seed: int
    has_held: bool
    requests: int
    attacks: list[Outcome]
    check: Report | None


def choose(names: Collection[str]) -> list[Attack]:
    """The attacks of these names or families, in the order of the list; KeyError for another."""
    known = {attack.name for attack in ATTACKS} | {attack.family for attack in ATTACKS}
    for name in names:
        if name not in known:
            raise KeyError(name)
    return [a for a in ATTACKS if not names or a.name in names or a.family in names]


async def run_attacks(
    target: Target,
    *,
    seed: int,
    rounds: int = ROUNDS,
    names: Collection[str] = (),
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Verdict:
    """Runs the named attacks, or all, and proves the invariants at the end where that is possible.

    A seed decides what each session does when; what the shop does meanwhile it cannot decide, so
    a run that found something is repeated with its seed until it shows it again.
    """
    attacks = choose(names)
    own = Session(target.url, target.key)
    other = None if target.other_key is None else Session(target.url, target.other_key)
    sessions = [session for session in (own, other) if session is not None]
    turns = asyncio.Semaphore(ROUNDS_AT_ONCE)
    run = _Run(target, own, other, seed=seed, turns=turns, progress=progress)
    try:
        tried = [attack for attack in attacks if run.lacks(attack) is None]
        run.total = rounds * len(tried)
        async with asyncio.TaskGroup() as group:
            tasks = {a.name: group.create_task(run.rounds_of(a, rounds)) for a in tried}
        outcomes = [
            tasks[a.name].result() if a.name in tasks else _untried(a, run.lacks(a))
            for a in attacks
        ]
        report = None if target.check is None else await target.check()
    finally:
        for session in sessions:
            await session.close()
    has_held = all(outcome.has_held for outcome in outcomes) and (report is None or report.is_clean)
    requests = sum(session.requests for session in sessions)
    return Verdict(target.url, seed, has_held, requests, outcomes, report)


class _Run:
    """What all rounds of one run have in common."""

    def __init__(
        self,
        target: Target,
        own: Session,
        other: Session | None,
        *,
        seed: int,
        turns: asyncio.Semaphore,
        progress: Callable[[int, int], None],
    ) -> None:
        self._target = target
        self._own = Shop(own)
        self._other = None if other is None else Shop(other)
        self._seed = seed
        self._turns = turns
        self._progress = progress
        # Two runs with one seed may meet in one shop: their goods need names of their own.
        self._mark = ids.new_id().hex[-8:]
        self._done = 0
        self.total = 0

    def lacks(self, attack: Attack) -> str | None:
        """What an attack needs and the target does not give."""
        is_there = {
            None: True,
            "another tenant": self._other is not None,
            "the callback secret": self._target.callback_secret is not None,
        }
        return None if is_there[attack.needs] else attack.needs

    async def rounds_of(self, attack: Attack, rounds: int) -> Outcome:
        """All rounds of one attack."""
        grounds = await asyncio.gather(*(self._round(attack, number) for number in range(rounds)))
        broken = [ground for ground in grounds if ground.violations]
        shown = [v for ground in broken[:VIOLATIONS_KEPT] for v in ground.violations]
        interleavings = set().union(*(ground.interleavings for ground in grounds))
        return Outcome(
            attack.name, attack.family, attack.anomaly, attack.sentence, rounds, len(broken),
            len(interleavings), None, shown,
        )  # fmt: skip

    async def _round(self, attack: Attack, number: int) -> Ground:
        place = [a.name for a in ATTACKS].index(attack.name)
        ground = Ground(
            self._own,
            self._other,
            number=number,
            name=f"bait-{self._mark}-{place}-{number}",
            rng=Random(f"{self._seed}/{attack.name}/{number}"),  # noqa: S311 - to be repeated
            callback_secret=self._target.callback_secret,
        )
        async with self._turns:
            try:
                await attack.run(ground)
            except (AssertionError, KeyError, TypeError, ValueError) as error:
                # The shop answered something that no attack can go on from.
                ground.blame("the API answers as it says", error=f"{type(error).__name__}: {error}")
        self._done += 1
        self._progress(self._done, self.total)
        return ground


def _untried(attack: Attack, lacks: str | None) -> Outcome:
    return Outcome(
        attack.name, attack.family, attack.anomaly, attack.sentence, 0, 0, 0, lacks, []
    )  # fmt: skip
