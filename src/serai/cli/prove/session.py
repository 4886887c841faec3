"""A run from its first to its last moment: the ground, the attack, the rest, the judgement."""

import asyncio
import time
from typing import Any, Final, NamedTuple

import msgspec

from serai.cli.bench.shop import REQUEST_TIMEOUT_S
from serai.cli.prove.adversary import Adversary
from serai.cli.prove.buyers import Load
from serai.cli.prove.ground import Ground, open_ground
from serai.cli.prove.history import Happening, History
from serai.cli.prove.invariants import Case, Violation, judge
from serai.cli.prove.plan import APIS, CURRENCY, Goods, Plan
from serai.cli.prove.probes import watch_api
from serai.cli.prove.progress import Board
from serai.cli.prove.wire import Wire
from serai.cli.prove.witness import await_rest, gather_evidence
from serai.kernel.failure import Unavailable

FINISH_MAX_S: Final = 60.0
"""How long buyers go on asking once nobody is attacked any more."""
REST_MAX_S: Final = 90.0
"""How long the shop is given to come to rest: looks at an open payment come ever more seldom."""
REST_STEP_S: Final = 2.0
GOODS_A_CALL: Final = 50
FINAL: Final = frozenset({"acknowledged", "oversold", "charged_once", "equal_keys", "bugs"})
"""Breaches that no amount of time mends; the others may only not be over yet."""


class Proof(NamedTuple):
    """A run that is over: what was seen, and what was broken."""

    case: Case
    violations: list[Violation]
    rest_s: float


async def prove(plan: Plan, board: Board) -> Proof:
    """Carries the plan out on a new shop and judges it; nothing of the shop is left afterwards."""
    board.start("starting", note="PostgreSQL, two APIs, two workers, the provider")
    async with open_ground() as ground:
        await furnish(ground, plan.goods)
        history = await attack(ground, plan, board)
        board.start("resting", REST_MAX_S, note="everything that was begun comes to its end")
        return await judge_at_rest(ground, plan, history)


async def attack(ground: Ground, plan: Plan, board: Board) -> History:
    """Buyers and faults for as long as the plan says; then the faults are undone."""
    history = History()
    began = time.monotonic()

    def now() -> float:
        return time.monotonic() - began

    ground.on_happening = lambda part, what: history.happenings.append(Happening(now(), part, what))
    adversary = Adversary(ground, history, now)
    load = Load(ground.ports, ground.key, history, now)
    watchers = [
        asyncio.create_task(watch_api(api, ground.ports[api], history, now)) for api in APIS
    ]
    board.start("attacking", plan.seconds, note=f"seed {plan.seed}")
    watchers.append(asyncio.create_task(board.follow(history, now)))
    buying = asyncio.create_task(load.carry_out(plan.buyers))
    try:
        await adversary.carry_out(plan.faults)
        await asyncio.sleep(max(0.0, plan.seconds - now()))
        await adversary.relent()
        _, late = await asyncio.wait({buying}, timeout=FINISH_MAX_S)
        if late:
            load.give_up()
        await buying
    finally:
        for task in (buying, *watchers):
            task.cancel()
        await asyncio.gather(buying, *watchers, return_exceptions=True)
        load.close()
    return history


async def judge_at_rest(ground: Ground, plan: Plan, history: History) -> Proof:
    """The verdict, once it is clean, cannot become so any more, or the patience is over."""
    began = time.monotonic()
    while True:
        spent = time.monotonic() - began
        left = await await_rest(ground, REST_MAX_S - spent)
        case = Case(plan, history, await gather_evidence(ground, left))
        violations = judge(case)
        spent = time.monotonic() - began
        is_final = any(violation.invariant in FINAL for violation in violations)
        if not violations or is_final or spent > REST_MAX_S:
            return Proof(case, violations, spent)
        await asyncio.sleep(REST_STEP_S)


async def furnish(ground: Ground, goods: tuple[Goods, ...]) -> None:
    """Publishes the goods and puts their units on the shelf."""
    wire = Wire(ground.ports[APIS[0]], ground.key)
    try:
        for at in range(0, len(goods), GOODS_A_CALL):
            part = goods[at : at + GOODS_A_CALL]
            products = [_product(one) for one in part]
            await _post(wire, "/v1/products:batch", {"products": products}, f"goods-{at}")
            moves = [{"sku": g.sku, "quantity": g.units, "reason": "receipt"} for g in part]
            await _post(wire, "/v1/stock-receipts", {"moves": moves}, f"receipt-{at}")
    finally:
        wire.close()


def _product(goods: Goods) -> dict[str, Any]:
    price = {"currency": CURRENCY, "amount_minor": goods.price_minor}
    variant = {"sku": goods.sku, "prices": [price]}
    return {
        "title": goods.sku, "handle": goods.sku, "status": "published", "variants": [variant],
    }  # fmt: skip


async def _post(wire: Wire, path: str, body: Any, key: str) -> None:
    reply = await wire.post(path, msgspec.json.encode(body), key=key, timeout_s=REQUEST_TIMEOUT_S)
    if not reply.is_ok:
        raise Unavailable(f"the shop cannot be furnished: {path} answered {reply.status}")
