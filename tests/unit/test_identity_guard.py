"""The memory of tokens: what it holds to, what it is told, and what it costs."""

import asyncio
import logging
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from litestar.datastructures import State

from serai.contexts.identity.contract import ACCESS_S, ROLES_TRUSTED_S
from serai.contexts.identity.gateways import guard as guard_module
from serai.contexts.identity.gateways.guard import LOOK_UPS_MAX, UNTOLD_S, Guard
from serai.contexts.identity.model import tokens
from serai.contexts.identity.model.tokens import Claims
from serai.contexts.identity.ports import LiveSession
from serai.kernel import ids
from serai.kernel.clock import ManualClock
from serai.kernel.conditions import NETWORKS_MAX, Limit, Way, Ways, learn
from serai.kernel.failure import NotFound, Unavailable
from serai.kernel.tenant import POOLED, Home
from serai.kernel.web import Unauthenticated, requires

_log = logging.getLogger(__name__)
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
TENANT, ACCOUNT, SESSION = UUID(int=1), UUID(int=2), UUID(int=3)
BUDGET_US = 60
GOOD = "good"


class OneHome:
    def __init__(self) -> None:
        self.home = POOLED
        self.is_suspended = False

    async def home_of(self, tenant_id: UUID) -> Home:
        if self.is_suspended:
            raise NotFound(f"{tenant_id} is suspended")
        return self.home

    async def all_homes(self) -> list[Home]:
        return [self.home]

    async def tenants_of(self, home: Home) -> list[UUID]:
        return [TENANT] if home == self.home else []


class World:
    """Everything that a guard asks, in memory."""

    def __init__(self) -> None:
        self.clock = ManualClock(NOW)
        self.at = 1000.0
        self.is_told = True
        self.live: LiveSession | None = LiveSession(ACCOUNT, "customer", frozenset({"orders:own"}))
        self.look_ups = 0
        self.at_once = 0
        self.most_at_once = 0
        self.gate: asyncio.Event | None = None
        self.homes = OneHome()
        self.guard = Guard(
            self.verify, self.look_up, self.homes.home_of, self.clock,
            is_told=lambda: self.is_told, now=lambda: self.at,
        )  # fmt: skip

    async def verify(self, token: str) -> Claims | None:
        if not token.startswith("good"):
            return None
        return tokens.claim(
            issuer="serai", account_id=ACCOUNT, tenant_id=TENANT, kind="customer",
            session_id=SESSION, roles=("customer",), token_id=ids.new_id(), now=NOW,
        )  # fmt: skip

    async def look_up(self, home: Home, claims: Claims) -> LiveSession | None:
        assert (home, claims.sid) == (self.homes.home, SESSION)
        self.look_ups += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        live = self.live
        if self.gate is not None:
            await self.gate.wait()
        self.at_once -= 1
        return live

    async def is_let_in(self, token: str = GOOD) -> bool:
        try:
            await self.guard.authenticate(token)
        except Unauthenticated:
            return False
        return True


async def test_a_token_is_looked_up_once_while_we_are_told() -> None:
    world = World()
    for _ in range(5):
        assert await world.is_let_in()
        world.at += 1
    assert world.look_ups == 1
    world.at += ROLES_TRUSTED_S
    assert await world.is_let_in()
    assert world.look_ups == 2


async def test_before_its_time_is_up_it_is_read_anew_and_nobody_waits() -> None:
    world = World()
    assert await world.is_let_in()
    world.at += ROLES_TRUSTED_S * 0.6
    world.gate = asyncio.Event()
    assert await asyncio.wait_for(world.is_let_in(), 1)
    await asyncio.sleep(0)
    world.gate.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert world.look_ups == 2
    world.at += ROLES_TRUSTED_S * 0.45
    assert await world.is_let_in()
    assert world.look_ups == 2


async def test_who_is_not_told_fails_closed() -> None:
    world = World()
    assert await world.is_let_in()
    world.live = None
    assert await world.is_let_in()
    world.is_told = False
    world.at += UNTOLD_S
    assert not await world.is_let_in()


async def test_a_look_up_that_fails_lets_nobody_in() -> None:
    world = World()

    async def away(home: Home, claims: Claims) -> LiveSession | None:
        raise Unavailable("the database is away")

    assert await world.is_let_in()
    world.guard._look_up = away  # noqa: SLF001 - the database goes away under it
    world.is_told = False
    world.at += UNTOLD_S
    with pytest.raises(Unavailable):
        await world.guard.authenticate("good")


async def test_what_was_read_while_it_was_changed_is_not_remembered() -> None:
    world = World()
    world.gate = asyncio.Event()
    early = asyncio.create_task(world.is_let_in())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    world.live = None
    world.guard.forget(ACCOUNT)
    world.gate.set()
    assert await early  # it came before the change
    assert not await world.is_let_in()


@pytest.mark.parametrize("what", ["account", "tenant", "all"])
async def test_what_is_told_is_forgotten(what: str) -> None:
    world = World()
    assert await world.is_let_in()
    world.guard.forget(UUID(int=99))
    world.guard.forget_tenant(UUID(int=99))
    assert await world.is_let_in()
    assert world.look_ups == 1
    world.live = None
    match what:
        case "account":
            world.guard.forget(ACCOUNT)
        case "tenant":
            world.guard.forget_tenant(TENANT)
        case _:
            world.guard.forget_all()
    assert not await world.is_let_in()


async def test_a_token_is_over_when_its_time_is_whatever_is_remembered() -> None:
    world = World()
    assert await world.is_let_in()
    world.clock.advance(timedelta(seconds=ACCESS_S))
    assert not await world.is_let_in()


async def test_a_suspended_tenant_is_out_and_a_moved_one_is_found() -> None:
    world = World()
    assert await world.is_let_in()
    world.homes.home = Home("far", "other", "t_")
    assert (await world.guard.authenticate("good")).home == world.homes.home
    world.homes.is_suspended = True
    assert not await world.is_let_in()
    assert not await world.is_let_in("good too")


async def test_a_flood_is_bounded_in_memory_and_in_look_ups(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guard_module, "KNOWN_MAX", 50)
    monkeypatch.setattr(guard_module, "OVER_MAX", 50)
    world = World()
    for number in range(200):
        assert await world.is_let_in(f"good {number}")
        assert not await world.is_let_in(f"bad {number}")
    assert len(world.guard._known) == 50  # noqa: SLF001 - the bound is what is tested
    assert {len(digests) for digests in world.guard._of_account.values()} == {50}  # noqa: SLF001
    world.live = None
    world.gate = asyncio.Event()
    tasks = [asyncio.create_task(world.is_let_in(f"good over {n}")) for n in range(100)]
    for _ in range(10):
        await asyncio.sleep(0)
    world.gate.set()
    assert not any(await asyncio.gather(*tasks))
    assert world.most_at_once == LOOK_UPS_MAX
    assert len(world.guard._over) == 50  # noqa: SLF001
    before = world.look_ups
    assert not await world.is_let_in("good over 99")
    assert world.look_ups == before


async def test_requests_with_one_token_share_one_look_up() -> None:
    world = World()
    world.gate = asyncio.Event()
    tasks = [asyncio.create_task(world.is_let_in()) for _ in range(20)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    world.gate.set()
    assert all(await asyncio.gather(*tasks))
    assert world.look_ups == 1


def limited(zone: str) -> Way:
    """The conditions of a role for refunds: four, of which the amount waits for the route."""
    networks = [f"10.{number}.0.0/16" for number in range(NETWORKS_MAX)]
    data = {
        "within_hours": {
            "begin": "08:00",
            "end": "20:00",
            "zone": zone,
            "days": [1, 2, 3, 4, 5, 6],
        },
        "from_networks": [*networks[1:], "192.0.2.0/24"],
        "from_device": {"factor_age_min": 480},
        "amount_up_to": {"USD": 2000},
    }
    return tuple(Limit("payments:write", name, given) for name, given in data.items())


@pytest.mark.parametrize(
    "ways",
    [(), (limited("UTC"),), (limited("UTC"), limited("Europe/Berlin"))],
    ids=["free", "one way", "two ways"],
)
async def test_token_and_permission_together_cost_less_than_their_budget(
    ways: Ways,
) -> None:
    # As the look-up does, in a thread: a time zone lies on the disk.
    await asyncio.to_thread(learn, [ways])
    world = World()
    world.live = LiveSession(
        ACCOUNT, "staff", frozenset({"payments:write"}),
        {"payments:write": ways} if ways else {}, NOW,
    )  # fmt: skip
    app = SimpleNamespace(state=State({"authenticator": world.guard, "clock": world.clock}))
    scope = {"query_string": b"", "client": ("192.0.2.7", 40_000)}
    headers = {"authorization": f"Bearer {GOOD}{'x' * 700}"}
    connection: Any = SimpleNamespace(headers=headers, app=app, scope=scope)
    handler: Any = None
    rule = requires("payments:write", judges=("amount_minor", "currency"))
    calls = 5_000
    best = float("inf")
    for _ in range(5):
        began = time.process_time()
        for _ in range(calls):
            await rule(connection, handler)
            rule.terms_of(scope["user"])  # type: ignore[arg-type]
        best = min(best, (time.process_time() - began) / calls * 1e6)
    _log.info("token and permission, %d ways: %.1f microseconds", len(ways), best)
    terms = rule.terms_of(scope["user"])  # type: ignore[arg-type]
    assert (terms is None) is (not ways)
    assert world.look_ups == 1, "no request of them asked anybody"
    assert best < BUDGET_US
