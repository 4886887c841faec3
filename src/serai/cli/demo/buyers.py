"""Makes up the demo shop's buyers: who comes when, what they want, how they pay.

Pure but for chance, which is a generator that is passed in: a seed gives the same crowd again.
"""

import itertools
import math
from collections.abc import Sequence
from random import Random
from typing import Final, Literal, TypeVar

import msgspec

from serai.cli.demo.goods import Goods, is_scarce

RATE_LOW: Final = 5.0
RATE_HIGH: Final = 15.0
WAVE_S: Final = 90.0
"""How long it is from one rush of buyers to the next."""
BUSY_S: Final = 3_600.0
QUIET_RATE: Final = 0.5
"""Orders a second after an hour: a board that is left alone over night must not fill the disk."""
LINES_MAX: Final = 4
CUSTOMERS: Final = 400
SCARCE_SHARE: Final = 0.05
"""How often a buyer wants something scarce first."""
STEEPNESS: Final = 6.0
"""How much more the best-loved goods are wanted than the others: weight 1 / (rank + steepness)."""

Mood = Literal["keeps", "cancels", "returns"]
T = TypeVar("T")

_CURRENCIES: Final = (("USD", 60), ("EUR", 25), ("GBP", 10), ("JPY", 5))
# What each test card does is written in the sandbox's own table.
APPROVED: Final = "4000009901000003"
CARDS: Final = (
    (APPROVED, 914),
    ("4000009902000002", 30),  # declined: no funds
    ("4000009903000001", 12),  # declined: not honoured
    ("4000009906000008", 20),  # approved, and told twice
    ("4000009911000001", 10),  # the provider is down briefly, then approves
    ("4000009909000005", 4),  # approved a little later, and told twice
    ("4000009910000002", 4),  # approved a little later, and told out of order
    ("4000009904000000", 2),  # approved, but nobody says so: found out by asking again
    ("4000009905000009", 2),  # declined, but nobody says so
    ("4000009907000007", 2),  # approved much later
)
_MOODS: Final[tuple[tuple[Mood, int], ...]] = (("keeps", 94), ("cancels", 3), ("returns", 3))
_LINES: Final = ((1, 55), (2, 28), (3, 12), (LINES_MAX, 5))
_UNITS: Final = ((1, 80), (2, 15), (3, 5))
_WITH_EMAIL_SHARE: Final = 0.05


class Visit(msgspec.Struct, frozen=True):
    """What one buyer does: an order, and whether it stays one."""

    lines: tuple[tuple[str, int], ...]
    currency: str
    card: str
    customer: str
    email: str | None
    mood: Mood

    def body(self) -> dict[str, object]:
        """The order as it is posted."""
        body: dict[str, object] = {
            "currency": self.currency,
            "lines": [{"sku": sku, "quantity": units} for sku, units in self.lines],
            "payment": {"card": self.card},
            "customer": self.customer,
        }
        return body if self.email is None else {**body, "email": self.email}


def wanted_rate(since_s: float) -> float:
    """Orders a second, so long after the opening: a slow wave, and after an hour a trickle."""
    if since_s > BUSY_S:
        return QUIET_RATE
    middle, swing = (RATE_HIGH + RATE_LOW) / 2, (RATE_HIGH - RATE_LOW) / 2
    return middle - swing * math.cos(2 * math.pi * since_s / WAVE_S)


class Crowd:
    """Sends one buyer after the other into the shop; some goods are loved more than others."""

    def __init__(self, goods: Sequence[Goods], chance: Random) -> None:
        self._chance = chance
        shelves = [shelf for ware in goods for shelf in ware.stock.items()]
        self._scarce = [sku for sku, units in shelves if is_scarce(units)]
        plenty = [sku for sku, units in shelves if not is_scarce(units)]
        chance.shuffle(plenty)
        self._plenty = plenty
        weights = (1 / (rank + STEEPNESS) for rank in range(len(plenty)))
        self._reach = list(itertools.accumulate(weights))

    def next_visit(self) -> Visit:
        """The next buyer."""
        wanted: dict[str, int] = {}
        for number in range(self._pick(_LINES)):
            wanted[self._next_sku(is_first=number == 0)] = self._pick(_UNITS)
        customer = f"caravan-{self._chance.randrange(CUSTOMERS):03}"
        has_email = self._chance.random() < _WITH_EMAIL_SHARE
        return Visit(
            lines=tuple(wanted.items()),
            currency=self._pick(_CURRENCIES),
            card=self._pick(CARDS),
            customer=customer,
            email=f"{customer}@example.org" if has_email else None,
            mood=self._pick(_MOODS),
        )

    def next_gap_s(self, since_s: float) -> float:
        """How long it is to the next buyer: buyers come by chance, not by the clock."""
        return self._chance.expovariate(wanted_rate(since_s))

    def _next_sku(self, *, is_first: bool) -> str:
        if is_first and self._scarce and self._chance.random() < SCARCE_SHARE:
            return self._chance.choice(self._scarce)
        [sku] = self._chance.choices(self._plenty, cum_weights=self._reach)
        return sku

    def _pick(self, choices: Sequence[tuple[T, int]]) -> T:
        [choice] = self._chance.choices(choices, [weight for _, weight in choices])
        return choice[0]
