"""The twins answer what PostgreSQL answers: whole histories, direct cases and duels."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from serai.kernel.embedded import EmbeddedPostgres
from tests.simulation import twins
from tests.simulation.cases_duels import duels
from tests.simulation.cases_reading import reading_cases
from tests.simulation.cases_writing import writing_cases
from tests.simulation.duels import Duel, RealSide, Seen, SimulatedSide, fight
from tests.simulation.plan import draw_plan
from tests.simulation.recording import Recorder, Speaker, record, rows_of
from tests.simulation.replaying import Disagreement, Replay, connect_app
from tests.simulation.rows import Row
from tests.simulation.statements.tables import TABLES
from tests.simulation.storage import Session, Storage
from tests.simulation.world import BEGAN

SEEDS = (2, 4, 9)
SHORT_SEED = 5
TENANT = UUID(int=42)


async def speak_cases(recorder: Recorder) -> None:
    """Says all cases to what a history has left."""
    assert recorder.storage is not None
    speaker = Speaker(recorder, recorder.storage)
    for cases in (reading_cases, writing_cases, reading_cases):
        for case in list(cases(recorder.after)):
            await speaker.say(
                case.tenants,
                *case.said,
                is_transport=case.is_transport,
                is_read_only=case.is_read_only,
            )


def agree(postgres: EmbeddedPostgres, database_name: str, seed: int) -> dict[str, int]:
    """Records a history and all cases, and replays them; how often each twin was compared."""
    recorder = record(draw_plan(seed))
    asyncio.run(speak_cases(recorder))

    async def replay() -> dict[str, int]:
        urls = postgres.admin_url(database_name), postgres.app_url(database_name)
        opened = await Replay.open(*urls)
        try:
            await opened.follow(recorder)
        finally:
            await opened.close()
        return opened.compared

    return asyncio.run(replay())


@pytest.mark.parametrize("seed", SEEDS)
def test_every_twin_answers_what_its_statement_answers(
    postgres: EmbeddedPostgres, database_name: str, seed: int
) -> None:
    compared = agree(postgres, database_name, seed)
    never = sorted(set(twins.all_twins()) - set(compared))
    assert never == []
    assert sum(compared.values()) > 1000


# -------------------------------------------------------------------------------- planted mistakes


def forgets(column: str, value: Any) -> Any:
    """A twin whose rows all say the same in one column."""

    async def wrong(right: twins.Twin, session: Session, *args: Any) -> twins.Answer:
        rows = await right(session, *args)
        assert isinstance(rows, list)
        return [{**row, column: value} for row in rows]

    return wrong


async def turns_round(right: twins.Twin, session: Session, *args: Any) -> twins.Answer:
    rows = await right(session, *args)
    assert isinstance(rows, list)
    return rows[::-1]


async def takes_an_id(right: twins.Twin, session: Session, *args: Any) -> twins.Answer:
    assert session.xid
    return await right(session, *args)


async def counts_only(right: twins.Twin, session: Session, *args: Any) -> twins.Answer:
    return len(args[0])


async def sees_through_the_wall(right: twins.Twin, session: Session, *args: Any) -> twins.Answer:
    rows: list[Row] = session.storage.rows("orders.orders")
    found = [row for row in rows if row["id"] in args[1]]
    return [{name: row[name] for name in ("tenant_id", "id", "status")} for row in found]


async def heeds_no_check(right: twins.Twin, session: Session, *args: Any) -> twins.Answer:
    try:
        return await right(session, *args)
    except asyncpg.CheckViolationError:
        return len(args[0])


PLANTED = [
    ("serai.contexts.orders.lock_orders", turns_round, "orders.lock_orders"),
    ("serai.contexts.inventory.list_sold", forgets("quantity", 1), "inventory.list_sold"),
    ("serai.contexts.orders.record_refunds", counts_only, "contexts.orders"),
    ("serai.contexts.inventory.change_levels", heeds_no_check, "inventory.change_levels"),
    ("serai.contexts.orders.find_statuses", sees_through_the_wall, "orders.find_statuses"),
    ("serai.kernel.find_answers", takes_an_id, "kernel.find_answers: transaction id"),
    ("serai.kernel.fetch_events", forgets("seq", 1), "kernel.fetch_events"),
    ("serai.contexts.notifications.insert_contacts", counts_only, "notifications"),
]


@pytest.mark.parametrize(("name", "wrong", "found"), PLANTED)
def test_a_wrong_twin_is_caught(
    postgres: EmbeddedPostgres, database_name: str, name: str, wrong: Any, found: str
) -> None:
    right = twins.all_twins()[name]

    async def planted(session: Session, *args: Any) -> twins.Answer:
        answer: twins.Answer = await wrong(right, session, *args)
        return answer

    with (
        twins.replaced(name, planted),
        pytest.raises(Disagreement, match=found.replace(".", r"\.")),
    ):
        agree(postgres, database_name, SHORT_SEED)


# ------------------------------------------------------------------------------------------ duels


async def simulate_duel(duel: Duel) -> tuple[Seen, Storage]:
    """A duel on the simulated database."""
    storage = Storage(TABLES, clock=lambda: BEGAN)

    async def begin() -> SimulatedSide:
        return SimulatedSide(storage, TENANT)

    return await fight(duel, begin), storage


class Arena:
    """A real database for one duel after another."""

    def __init__(self, replay: Replay, connections: list[Any], observer: Any) -> None:
        self.replay = replay
        self._connections = itertools.cycle(connections)
        self._observer = observer

    async def begin(self) -> RealSide:
        """A transaction on a connection that is free."""
        return await RealSide.begin(next(self._connections), self._observer, TENANT, BEGAN)


async def in_arena(
    postgres: EmbeddedPostgres, database_name: str, do: Callable[[Arena], Awaitable[None]]
) -> None:
    """Opens what duels on a real database need, and closes it."""
    urls = postgres.admin_url(database_name), postgres.app_url(database_name)
    replay = await Replay.open(*urls)
    observer = await asyncpg.connect(urls[0])
    connections = [await connect_app(urls[1]) for _ in range(3)]
    try:
        await do(Arena(replay, connections, observer))
    finally:
        await replay.close()
        for connection in (observer, *connections):
            await connection.close()


async def compare_duel(arena: Arena, duel: Duel) -> Seen:
    """A duel on both sides; what was seen."""
    await arena.replay.empty([table.name for table in TABLES])
    simulated, storage = await simulate_duel(duel)
    real = await fight(duel, arena.begin)
    if simulated != real:
        raise Disagreement(f"{duel.name}: {real}, the twins {simulated}")
    await arena.replay.compare_tables(rows_of(storage))
    return real


def test_two_transactions_get_in_each_others_way_alike(
    postgres: EmbeddedPostgres, database_name: str
) -> None:
    async def run(arena: Arena) -> None:
        seen = [await compare_duel(arena, duel) for duel in duels(TENANT)]
        waits = sum(one[2] == "waits" for steps in seen for one in steps)
        assert waits > len(seen) // 2

    asyncio.run(in_arena(postgres, database_name, run))


async def does_not_look_again(right: twins.Twin, session: Session, *args: Any) -> twins.Answer:
    tenants, orders, reasons, now = args
    for key, reason in zip(zip(tenants, orders, strict=True), reasons, strict=True):
        seen = session.get("orders.orders", key)
        await session.update(
            "orders.orders", key, status="cancelled", reason=reason, settled_at=now
        )
        assert seen is not None
    return [{"id": order} for order in orders]


async def does_not_wait(right: twins.Twin, session: Session, *args: Any) -> twins.Answer:
    return [{"event_id": event_id} for event_id in args[2]]


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("serai.contexts.orders.cancel_orders", does_not_look_again),
        ("serai.kernel.insert_inbox", does_not_wait),
    ],
)
def test_a_twin_that_waits_for_nobody_is_caught(
    postgres: EmbeddedPostgres, database_name: str, name: str, wrong: Any
) -> None:
    right = twins.all_twins()[name]

    async def planted(session: Session, *args: Any) -> twins.Answer:
        answer: twins.Answer = await wrong(right, session, *args)
        return answer

    async def run(arena: Arena) -> None:
        for duel in duels(TENANT):
            await compare_duel(arena, duel)

    with twins.replaced(name, planted), pytest.raises(Disagreement):
        asyncio.run(in_arena(postgres, database_name, run))
