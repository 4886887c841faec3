"""What a run will do, decided by its seed alone: goods, buyers and faults, each with its moment."""

import random
from collections.abc import Iterator, Sequence
from typing import Final, Literal, get_args

import msgspec

CURRENCY: Final = "USD"
APIS: Final = ("api-1", "api-2")
WORKERS: Final = ("worker-1", "worker-2")
PROVIDER: Final = "provider"
DATABASE: Final = "postgres"

Kind = Literal[
    "api_killed",
    "worker_killed",
    "postgres_killed",
    "worker_frozen",
    "link_cut",
    "link_delayed",
    "link_stalled",
    "link_half_closed",
    "pool_filled",
    "clock_moved",
    "provider_silent",
    "provider_down",
    "provider_repeats",
    "provider_late",
    "provider_out_of_order",
    "provider_forged",
]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

# The sandbox's cards, by the fault that their scripts are (contexts/payments/gateways).
APPROVED: Final = "4000009901000003"
DECLINED: Final[tuple[str, ...]] = (
    "4000009902000002",
    "4000009903000001",
    "4000009905000009",
    "4000009908000006",
)
FAULTY: Final[dict[str, tuple[str, ...]]] = {
    "provider_silent": ("4000009904000000",),
    "provider_down": ("4000009911000001", "4000009912000000"),
    "provider_repeats": ("4000009906000008", "4000009909000005"),
    "provider_late": ("4000009907000007", "4000009908000006"),
    "provider_out_of_order": ("4000009910000002",),
    "provider_forged": ("4000009913000009",),
}
"""What the provider does to the orders of a moment is what their cards make it do."""

FAULT_GAP_S: Final = 1.15
FAULT_JITTER: Final = 0.3
FIRST_FAULT_S: Final = 1.0
MOOD_S: Final = 1.5
"""How long the provider keeps a fault up."""
MOOD_SHARE: Final = 0.8
ORDERS_A_SECOND: Final = 6.0
PROBE_GAP_S: Final = 0.5
PROBED_AFTER_S: Final = 4.0
"""How long after the last fault plain orders still come, so that its recovery shows."""
DROP_GAP_S: Final = 3.0
DROP_BUYERS: Final = (9, 15)
DROP_UNITS: Final = (2, 6)
DROP_SPREAD_S: Final = 0.03
HOT: Final = ("hot-1", "hot-2", "hot-3")
SHELF: Final = tuple(f"shelf-{number:02d}" for number in range(40))
PLENTY: Final = 1_000_000
LINES: Final = (12, 40)
CLOCK_OFFSET_S: Final = (2.0, 20.0)


class Goods(msgspec.Struct, frozen=True):
    """A SKU, its price and the units that the buyers themselves have seen go on the shelf."""

    sku: str
    price_minor: int
    units: int


class Wanted(msgspec.Struct, frozen=True):
    """Units of a SKU on one line of an order."""

    sku: str
    quantity: int


class Buyer(msgspec.Struct, frozen=True, kw_only=True):
    """One order and what its buyer does about it; moments are seconds from the start."""

    number: int
    at_s: float
    lines: tuple[Wanted, ...]
    card: str | None = APPROVED
    """None: placed without a payment; `pays_with` is then what it is paid with later, if at all."""
    pays_with: str | None = None
    is_manual: bool = False
    """The money is only held, and staff capture it once the order is confirmed."""
    is_probe: bool = False
    """A plain order, looked at until it has ended: it shows how long nothing could be bought."""
    wait_s: int = 0
    twins: int = 1
    """How often the same request with the same key is sent at the same instant."""
    leaves: Literal["never", "for_good", "and_returns"] = "never"
    """Whether the buyer hangs up before the answer is there."""
    cancels_after_s: float | None = None
    returns_units: int = 0
    """Units of the first line that come back once the order is confirmed."""

    @property
    def reference(self) -> str:
        """By this the order is found, whether or not its buyer ever heard of it."""
        return f"buyer-{self.number:05d}"


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One fault: what happens to whom, when and for how long."""

    number: int
    at_s: float
    kind: Kind
    target: str
    """A process, a link or the provider."""
    for_s: float
    amount: float = 0.0
    """The delay of a link, or the offset of a clock, in seconds."""
    direction: Literal["there", "back"] = "there"
    """Which half of a link is closed."""


class Plan(msgspec.Struct, frozen=True):
    """Everything that a run is going to do."""

    seed: int
    seconds: float
    goods: tuple[Goods, ...]
    buyers: tuple[Buyer, ...]
    faults: tuple[Fault, ...]


def link_names() -> tuple[str, ...]:
    """Every connection between two parts that goes through a proxy of ours."""
    return (
        *(f"client>{api}" for api in APIS),
        *(f"{process}>{DATABASE}" for process in (*APIS, *WORKERS)),
        *(f"{worker}>{PROVIDER}" for worker in WORKERS),
        f"{PROVIDER}>{APIS[0]}",
    )


Bounds = tuple[float, float]
LINKS: Final = link_names()
MOOD: Final[tuple[tuple[str, ...], Bounds, Bounds | None]] = ((PROVIDER,), (MOOD_S, MOOD_S), None)
TARGETS: Final[dict[str, tuple[tuple[str, ...], Bounds, Bounds | None]]] = {
    "api_killed": (APIS, (0.1, 1.0), None),
    "worker_killed": (WORKERS, (0.1, 1.0), None),
    "postgres_killed": ((DATABASE,), (0.1, 0.8), None),
    "worker_frozen": (WORKERS, (2.5, 4.5), None),
    "link_cut": (LINKS, (0.0, 1.5), None),
    "link_delayed": (LINKS, (1.5, 3.0), (0.05, 0.4)),
    "link_stalled": (LINKS, (1.0, 4.0), None),
    "link_half_closed": (LINKS, (0.5, 1.5), None),
    "pool_filled": ((DATABASE,), (1.0, 2.5), None),
    "clock_moved": ((*APIS, *WORKERS), (0.1, 0.3), CLOCK_OFFSET_S),
}
"""Of each kind: whom it may strike, for how many seconds, and how much it delays or is wrong by.
A frozen worker sleeps past its lease of two seconds; the kinds of the provider are its moods."""


def make_plan(seed: int, seconds: float) -> Plan:
    """The plan of a seed: the same one every time, on every machine."""
    faults = tuple(_faults(random.Random(f"faults {seed}"), seconds))  # noqa: S311 - plays, guards nothing
    chance = random.Random(f"buyers {seed}")  # noqa: S311 - the same
    drops = [
        Goods(f"drop-{number:03d}", 900 + number, chance.randint(*DROP_UNITS))
        for number in range(max(1, int(seconds / DROP_GAP_S)))
    ]
    goods = [Goods(sku, 1_000 + 7 * n, PLENTY) for n, sku in enumerate((*HOT, *SHELF))]
    moments = sorted(_moments(chance, seconds, drops), key=lambda moment: moment[0])
    buyers = tuple(
        _buyer(chance, number, at_s, drop, is_probe=is_probe, faults=faults)
        for number, (at_s, drop, is_probe) in enumerate(moments)
    )
    return Plan(seed, seconds, (*goods, *drops), buyers, faults)


def _faults(chance: random.Random, seconds: float) -> Iterator[Fault]:
    """A deck of all kinds, dealt and shuffled again: every kind comes about equally often."""
    deck: list[Kind] = []
    at_s, number = FIRST_FAULT_S, 0
    while at_s < seconds:
        if not deck:
            deck = list(KINDS)
            chance.shuffle(deck)
        yield _fault(chance, number, round(at_s, 3), deck.pop())
        number += 1
        at_s += FAULT_GAP_S * chance.uniform(1 - FAULT_JITTER, 1 + FAULT_JITTER)


def _fault(chance: random.Random, number: int, at_s: float, kind: Kind) -> Fault:
    targets, span_s, amount = TARGETS.get(kind, MOOD)
    value = chance.uniform(*amount) if amount is not None else 0.0
    if kind == "clock_moved":
        value *= chance.choice((-1, 1))
    return Fault(
        number=number,
        at_s=at_s,
        kind=kind,
        target=chance.choice(targets),
        for_s=round(chance.uniform(*span_s), 3),
        amount=round(value, 3),
        direction=chance.choice(("there", "back")),
    )


def _moments(
    chance: random.Random, seconds: float, drops: Sequence[Goods]
) -> Iterator[tuple[float, str | None, bool]]:
    """When somebody comes: the moment, the drop that is wanted if it is one, whether it probes."""
    at_s = 0.0
    while (at_s := at_s + chance.expovariate(ORDERS_A_SECOND)) < seconds:
        yield round(at_s, 3), None, False
    for number in range(int((seconds + PROBED_AFTER_S) / PROBE_GAP_S)):
        yield round(number * PROBE_GAP_S, 3), None, True
    for number, goods in enumerate(drops):
        opens_s = (number + chance.uniform(0.3, 0.9)) * DROP_GAP_S
        for _ in range(chance.randint(*DROP_BUYERS)):
            yield round(opens_s + chance.uniform(0, DROP_SPREAD_S), 3), goods.sku, False


def _buyer(
    chance: random.Random,
    number: int,
    at_s: float,
    drop: str | None,
    *,
    is_probe: bool,
    faults: Sequence[Fault],
) -> Buyer:
    if is_probe:
        plain = (Wanted(chance.choice(HOT), 1),)
        return Buyer(number=number, at_s=at_s, lines=plain, is_probe=True, wait_s=2)
    lines = _lines(chance, drop)
    card: str | None = _card(chance, at_s, faults)
    pays_with: str | None = None
    if drop is None and chance.random() < 0.03:  # noqa: PLR2004 - a share of the buyers
        card, pays_with = None, chance.choice((card, None))
    leaves: Literal["never", "for_good", "and_returns"] = "never"
    if chance.random() < 0.08:  # noqa: PLR2004
        leaves = chance.choice(("for_good", "and_returns"))
    is_manual = card is not None and chance.random() < 0.12  # noqa: PLR2004
    # What staff have not captured yet cannot be refunded, so these buyers send nothing back.
    returns = not is_manual and chance.random() < 0.15  # noqa: PLR2004
    return Buyer(
        number=number,
        at_s=at_s,
        lines=lines,
        card=card,
        pays_with=pays_with,
        is_manual=is_manual,
        wait_s=chance.choice((0, 0, 0, 2)),
        twins=chance.choice((2, 3, 5)) if chance.random() < 0.15 else 1,  # noqa: PLR2004
        leaves=leaves,
        cancels_after_s=round(chance.uniform(0.0, 2.0), 3) if chance.random() < 0.12 else None,  # noqa: PLR2004
        returns_units=int(returns),
    )


def _lines(chance: random.Random, drop: str | None) -> tuple[Wanted, ...]:
    if drop is not None:
        more = (Wanted(chance.choice(HOT), 1),) if chance.random() < 0.3 else ()  # noqa: PLR2004
        again = (Wanted(drop, 1),) if chance.random() < 0.1 else ()  # noqa: PLR2004
        return (Wanted(drop, chance.choice((1, 1, 1, 2))), *more, *again)
    if chance.random() < 0.1:  # noqa: PLR2004
        skus = chance.sample((*HOT, *SHELF), chance.randint(*LINES))
        return tuple(Wanted(sku, chance.randint(1, 3)) for sku in skus)
    skus = chance.sample((*HOT, chance.choice(SHELF)), chance.randint(1, 2))
    if chance.random() < 0.1:  # noqa: PLR2004
        skus.append(skus[0])  # one SKU on two lines
    return tuple(Wanted(sku, chance.randint(1, 3)) for sku in skus)


def _card(chance: random.Random, at_s: float, faults: Sequence[Fault]) -> str:
    moods = [f for f in faults if f.kind in FAULTY and f.at_s <= at_s < f.at_s + f.for_s]
    if moods and chance.random() < MOOD_SHARE:
        return chance.choice(FAULTY[chance.choice(moods).kind])
    return chance.choice(DECLINED) if chance.random() < 0.06 else APPROVED  # noqa: PLR2004
