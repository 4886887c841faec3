"""What a history is to hold: who wants what and when, and what goes wrong. Drawn from the seed.

A plan is data. A shrinker takes parts of it away, and what is left runs as it did before.
"""

import dataclasses
from random import Random

from serai.contexts.payments.gateways import sandbox_cards as cards

HORIZON_S = 2.5
"""Virtual seconds in which buyers begin and faults happen."""
PRICES_MINOR = {"anvil": 1999, "bell": 350, "candle": 5}
SKUS = tuple(PRICES_MINOR)
RETURN_AFTER_S = 0.3
REPEATED_SHARE = 0.1
"""Orders that name a SKU on two lines."""
CARDS = (
    cards.APPROVED, cards.APPROVED, cards.APPROVED, cards.NO_FUNDS, cards.SILENT_APPROVED,
    cards.SILENT_DECLINED, cards.ANSWERED_TWICE, cards.LATE_APPROVED, cards.LATE_DECLINED,
    cards.TOLD_TWICE, cards.TOLD_OUT_OF_ORDER, cards.DOWN_BRIEFLY, cards.DOWN_LONG,
)  # fmt: skip
GROUPS = ("orders", "payments", "shipping", "notifications", "checkout", "cancellation", "returns")
POISONED = ("payments", "payments", "payments", "checkout", "returns", "notifications", "shipping",
            "cancellation")  # fmt: skip
"""Groups that get a poison; that of most events of one key oftenest, so that some stand behind."""

FAULTS = {
    "crash_api": 2, "crash_worker": 2, "crash_before_commit": 4, "crash_after_commit": 4,
    "crash_before_vendor": 2, "crash_after_vendor": 3, "freeze_worker": 4, "freeze_api": 1,
    "cut_before_commit": 3, "cut_after_commit": 3, "db_crash": 2, "vendor_lost": 2,
    "vendor_silent": 2, "vendor_late": 2, "callback_lost": 1, "callback_twice": 1,
    "callback_late": 1, "notices_lost": 2, "rewind": 4, "clock_jump": 1, "days_pass": 1,
    "poison": 4, "answer_lost": 3, "freeze_after_vendor": 3, "stall": 3,
}  # fmt: skip
"""How often each kind of fault is drawn, against the others."""


@dataclasses.dataclass(frozen=True)
class Place:
    """An order as a buyer wants it, and how the buyer behaves while it is placed."""

    name: str
    at: float
    tenant: int
    lines: tuple[tuple[str, int], ...]
    card: str | None
    is_capture_manual: bool
    has_email: bool
    copies: int
    """Equal requests under one key at once."""
    leaves_after_s: float | None
    """A buyer who hangs up so soon, and does not come back."""
    is_unstorable: bool
    """The order holds a text that no database takes: whatever comes with it must not suffer."""


@dataclasses.dataclass(frozen=True)
class Step:
    """Something that is done later with an order, or with stock."""

    name: str
    at: float
    kind: str
    tenant: int
    order: str
    sku: str = ""
    quantity: int = 0


@dataclasses.dataclass(frozen=True)
class Fault:
    """Something that goes wrong from a moment on."""

    at: float
    kind: str
    target: int
    length_s: float
    count: int


@dataclasses.dataclass(frozen=True)
class Plan:
    """All of a history that is decided before it begins."""

    seed: int
    tenants: int
    apis: int
    workers: int
    batch_max: int
    has_jobs_everywhere: bool
    stock: tuple[tuple[int, str, int], ...]
    """Units by tenant and SKU that are received before the first buyer comes."""
    places: tuple[Place, ...]
    steps: tuple[Step, ...]
    faults: tuple[Fault, ...]


def draw_plan(seed: int) -> Plan:
    """The plan of a seed: always the same."""
    draw = Random(f"plan {seed}")  # noqa: S311 - a seed decides
    tenants = draw.choice((1, 1, 2))
    stock = tuple((t, sku, draw.randint(1, 5)) for t in range(tenants) for sku in SKUS)
    places = tuple(_draw_place(draw, n, tenants) for n in range(draw.randint(2, 7)))
    steps = [step for place in places for step in _draw_steps(draw, place)]
    steps += [_draw_stock_step(draw, n, tenants) for n in range(draw.choice((0, 1, 1, 2)))]
    kinds, weights = list(FAULTS), list(FAULTS.values())
    faults = [
        Fault(
            at=round(draw.uniform(0.0, HORIZON_S) ** 2 / HORIZON_S, 3),
            kind=draw.choices(kinds, weights)[0],
            target=draw.randrange(8),
            length_s=round(draw.uniform(0.1, 3.2), 3),
            count=draw.randint(1, 4),
        )
        for _ in range(draw.choice((0, 1, 2, 3, 4, 6)))
    ]
    return Plan(
        seed=seed,
        tenants=tenants,
        apis=draw.choice((1, 2, 2)),
        workers=draw.choice((1, 2, 2)),
        batch_max=draw.choice((8, 64, 512)),
        has_jobs_everywhere=draw.random() < 0.3,
        stock=stock,
        places=places,
        steps=tuple(steps),
        faults=tuple(faults),
    )


def _draw_place(draw: Random, number: int, tenants: int) -> Place:
    skus = draw.sample(SKUS, draw.choice((1, 1, 2)))
    if draw.random() < REPEATED_SHARE:
        skus.append(skus[0])
    return Place(
        name=f"order-{number}",
        # Crowds: most buyers come within the same blink.
        at=round(draw.choice((0.0, 0.0, 0.2, 0.8)) + draw.uniform(0.0, 0.02), 4),
        tenant=draw.randrange(tenants),
        lines=tuple((sku, draw.randint(1, 3)) for sku in skus),
        card=None if draw.random() < 0.1 else draw.choice(CARDS),
        is_capture_manual=draw.random() < 0.25,
        has_email=draw.random() < 0.5,
        copies=draw.choice((1, 1, 1, 2, 3)),
        leaves_after_s=round(draw.uniform(0.0, 0.02), 4) if draw.random() < 0.1 else None,
        is_unstorable=draw.random() < 0.03,
    )


def _draw_steps(draw: Random, place: Place) -> list[Step]:
    wanted: list[str] = []
    if place.card is None and draw.random() < 0.7:
        wanted.append("pay")
    if place.is_capture_manual and draw.random() < 0.7:
        wanted.append("capture")
    if draw.random() < 0.3:
        wanted.append("cancel")
    if draw.random() < 0.5:
        wanted.append("ship")
    if draw.random() < 0.3:
        # Only what has left can come back.
        wanted += ["return"] if "ship" in wanted else ["ship", "return"]
    if draw.random() < 0.15:
        wanted.append("refund")
    return [
        Step(
            name=f"{kind} {place.name}",
            at=round(place.at + draw.choice((0.01, 0.1, 0.4)) + draw.uniform(0.0, 0.3), 4)
            + (RETURN_AFTER_S if kind == "return" else 0.0),
            kind=kind,
            tenant=place.tenant,
            order=place.name,
            quantity=draw.randint(1, 2),
        )
        for kind in wanted
    ]


def _draw_stock_step(draw: Random, number: int, tenants: int) -> Step:
    return Step(
        name=f"stock-{number}",
        at=round(draw.uniform(0.0, HORIZON_S / 2), 4),
        kind=draw.choice(("receive", "write_off", "hold", "reprice")),
        tenant=draw.randrange(tenants),
        order="",
        sku=draw.choice(SKUS),
        quantity=draw.randint(1, 3),
    )
