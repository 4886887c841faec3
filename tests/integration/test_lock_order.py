"""Each context locks its rows in one written order: the plans say so, and rivals never deadlock."""

import asyncio
import json
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest

from serai.contexts.orders.contract import CancelOrder, ConfirmOrder, RefundRecord
from serai.contexts.orders.model import Back, Draft, Line, PlaceOrder
from serai.contexts.orders.store import PostgresOrders
from serai.contexts.payments.handlers.books import FirstWord, Look
from serai.contexts.payments.store import PostgresBooks
from serai.kernel import ids, queries
from serai.kernel.db import Database, Tx
from serai.kernel.embedded import EmbeddedPostgres
from serai.kernel.events import Cause
from serai.kernel.pool import WalledConnection, session_settings
from serai.kernel.queries import Statement
from serai.kernel.tenant import POOLED
from tests.integration.test_statements import WITH_SQL
from tests.unit.payments_memory import intent_of

HELD = {
    "serai.contexts.catalog": {
        "update_products", "update_variants", "delete_prices", "clear_price_ranges",
        "clear_shelves", "clear_facets", "clear_words",
    },
    "serai.contexts.identity": {"seal_accounts", "update_throttles"},
    "serai.contexts.inventory": {"change_levels"},
    "serai.contexts.notifications": {"requeue_messages", "seal_contacts", "update_templates"},
    "serai.contexts.orders": {"request_cancellations", "seal_orders"},
    "serai.contexts.payments": {"save_intents", "save_refunds"},
    "serai.contexts.returns": {"grant_returns"},
    "serai.contexts.shipping": {"update_shipments"},
}  # fmt: skip
"""Statements that change only rows which their transaction has locked, in order, before."""

Plan = dict[str, Any]
Path = tuple[Plan, ...]


def nodes(plan: Plan, above: Path = ()) -> Iterator[Path]:
    """Every node of a plan, each at the end of the way that leads to it."""
    way = (*above, plan)
    yield way
    for child in plan.get("Plans", ()):
        yield from nodes(child, way)


def is_locking(node: Plan) -> bool:
    """Whether a node locks rows, or waits for those that others are adding."""
    if node["Node Type"] == "LockRows":
        return True
    if node["Node Type"] != "ModifyTable":
        return False
    return node["Operation"] in {"Update", "Delete"} or "Conflict Resolution" in node


def is_sorted(plan: Plan, ctes: dict[str, Plan]) -> bool:
    """Whether the rows that a node gives come in an order that its statement asks for."""
    if plan["Node Type"] in {"Sort", "Incremental Sort"}:
        return True
    if plan["Node Type"] == "CTE Scan":
        return is_sorted(ctes[plan["CTE Name"]], ctes)
    children = [
        child
        for child in plan.get("Plans", ())
        if child["Parent Relationship"] in {"Outer", "Subquery", "Member"}
    ]
    return bool(children) and is_sorted(children[0], ctes)


def unordered(plan: Plan) -> list[str]:
    """The nodes that lock rows in an order of their own making."""
    ways = list(nodes(plan))
    ctes = {
        way[-1]["Subplan Name"].removeprefix("CTE "): way[-1]
        for way in ways
        if way[-1].get("Subplan Name", "").startswith("CTE ")
    }
    faults = []
    for way in ways:
        if not is_locking(way[-1]) or is_sorted(way[-1], ctes):
            continue
        # Locked once for each row of a sorted side: that side gives the order.
        loops = [node for node in way[:-1] if node["Node Type"] == "Nested Loop"]
        if not any(is_sorted(loop["Plans"][0], ctes) for loop in loops):
            faults.append(f"{way[-1]['Node Type']} of {way[-1].get('Relation Name', 'rows')}")
    return faults


def takes_many(statement: Statement) -> bool:
    """Whether a statement locks or changes rows that it is given by the list."""
    text = statement.text("")
    return (
        "unnest(" in text
        and re.search(r"\b(FOR UPDATE|UPDATE|DELETE|CONFLICT)\b", text) is not None
    )


@pytest.fixture
async def connection(
    postgres: EmbeddedPostgres, database_name: str
) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(
        postgres.app_url(database_name),
        server_settings=session_settings(),
        connection_class=WalledConnection,
    )
    yield opened
    await opened.close()


async def plan_of(connection: asyncpg.Connection, statement: Statement) -> Plan:
    """The generic plan of a statement, as a tree."""
    text = statement.text("")
    count = max((int(n) for n in re.findall(r"\$(\d+)", text)), default=0)
    await connection.execute(f"PREPARE locking AS {text}")
    try:
        nulls = ", ".join(["NULL"] * count)
        said = await connection.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE locking ({nulls})")
    finally:
        await connection.execute("DEALLOCATE locking")
    plan: Plan = json.loads(said)[0]["Plan"]
    return plan


async def test_every_statement_locks_its_rows_in_an_order_that_it_asks_for(
    connection: asyncpg.Connection,
) -> None:
    faults = []
    seen: dict[str, set[str]] = {package: set() for package in HELD}
    for package in WITH_SQL:
        if package == "serai.kernel":
            continue
        for statement in queries.load(package).statements.values():
            if not takes_many(statement):
                continue
            found = unordered(await plan_of(connection, statement))
            if statement.name in HELD.get(package, set()):
                seen[package].add(statement.name)
            elif found:
                faults.append(f"{package} {statement.name}: {', '.join(found)}")
    assert faults == []
    assert seen == HELD


@pytest.mark.parametrize(
    "planted",
    [
        "UPDATE {orders}.orders o SET version = 1 FROM unnest($1::uuid[], $2::uuid[]) AS c(t, id) "
        "WHERE o.tenant_id = c.t AND o.id = c.id",
        "SELECT 1 FROM {orders}.orders o JOIN unnest($1::uuid[], $2::uuid[]) AS c(t, id) "
        "ON o.tenant_id = c.t AND o.id = c.id FOR UPDATE OF o",
        "DELETE FROM {orders}.lines o USING unnest($1::uuid[], $2::uuid[]) AS c(t, id) "
        "WHERE o.tenant_id = c.t AND o.order_id = c.id",
    ],
)
async def test_a_statement_without_an_order_is_noticed(
    connection: asyncpg.Connection, planted: str
) -> None:
    statement = Statement("planted", "Planted.", planted)
    assert takes_many(statement)
    assert unordered(await plan_of(connection, statement)) != []


# ------------------------------------------------------------------------------------------ rivals

ROWS = 120
RIVALS = 6
ROUNDS = 12

Work = Callable[[Sequence[UUID], Tx], Awaitable[object]]


async def run_rivals(database: Database, tenant: UUID, keys: Sequence[UUID], work: Work) -> None:
    """Does one kind of work again and again, on most of the rows and each time in another order."""
    chance = random.Random(repr(work))  # noqa: S311 - an order that a failure can be repeated with
    for _ in range(ROUNDS):
        some = chance.sample(list(keys), k=len(keys) * 3 // 4)
        async with database.transaction(POOLED, (tenant,)) as tx:
            await work(some, tx)


async def deadlocks_of(url: str) -> int:
    """How many deadlocks the server has resolved in a database."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("SELECT pg_stat_clear_snapshot()")
        count: int = await connection.fetchval(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        )
        return count
    finally:
        await connection.close()


async def assert_no_deadlock(
    url: str, database: Database, tenant: UUID, keys: Sequence[UUID], works: Sequence[Work]
) -> None:
    """Lets every kind of work race every other and itself; Conflicted would say that two stuck."""
    async with asyncio.TaskGroup() as group:
        for work in works:
            for _ in range(max(2, RIVALS // len(works))):
                group.create_task(run_rivals(database, tenant, keys, work))
    # What a session counted is told by its end or a second later, whichever comes first.
    await database.close()
    assert await deadlocks_of(url) == 0


@pytest.fixture
async def crowd(postgres: EmbeddedPostgres, database_name: str) -> AsyncIterator[Database]:
    """A pool in which every rival has a connection of its own."""
    pool = Database(postgres.app_url(database_name), pool_max=24)
    await pool.open()
    yield pool
    await pool.close()


async def test_orders_are_changed_by_rivals_without_a_deadlock(
    postgres: EmbeddedPostgres, database_name: str, crowd: Database, tenant: UUID
) -> None:
    book = PostgresOrders()
    keys = [ids.new_id() for _ in range(ROWS)]
    why = Cause(ids.new_id())
    line = Line(1, "tent", 1000, Decimal(1), 1000)
    drafts = [
        Draft(
            PlaceOrder(tenant, key, "EUR", (), None, False, None, None, None, why),  # noqa: FBT003
            [line, msgspec.structs.replace(line, line_no=2)],
            2000,
            (),
        )
        for key in keys
    ]
    async with crowd.transaction(POOLED, (tenant,)) as tx:
        await book.insert_orders(drafts, tx=tx, now=tx.now)

    def named(some: Sequence[UUID]) -> list[tuple[UUID, UUID]]:
        return [(tenant, key) for key in some]

    def money(some: Sequence[UUID]) -> list[RefundRecord]:
        return [RefundRecord(tenant, key, 0) for key in some]

    async def take_back(some: Sequence[UUID], tx: Tx) -> None:
        await book.lock_orders(named(some), tx=tx)
        await book.return_lines({(tenant, key, no): Back() for key in some for no in (2, 1)}, tx=tx)

    async def want_cancelled(some: Sequence[UUID], tx: Tx) -> None:
        await book.lock_orders(named(some), tx=tx)
        await book.request_cancellations(named(some), tx=tx)

    works: list[Work] = [
        lambda some, tx: book.record_refunds(money(some), tx=tx),
        lambda some, tx: book.record_captures(money(some), tx=tx),
        lambda some, tx: book.keep_orders(named(some), tx=tx),
        lambda some, tx: book.mark_unpaid(named(some), tx=tx),
        lambda some, tx: book.ship_lines(
            [(tenant, key, no, 0) for key in some for no in (2, 1)], tx=tx
        ),
        lambda some, tx: book.confirm_orders(
            [ConfirmOrder(tenant, key, 0, why) for key in some[:5]], tx=tx, now=tx.now
        ),
        lambda some, tx: book.cancel_orders(
            [CancelOrder(tenant, key, "expired", why) for key in some[:5]], tx=tx, now=tx.now
        ),
        take_back,
        want_cancelled,
    ]
    url = postgres.owner_url(database_name)
    await assert_no_deadlock(url, crowd, tenant, keys, works)


async def test_payments_are_changed_by_rivals_without_a_deadlock(
    postgres: EmbeddedPostgres, database_name: str, crowd: Database, tenant: UUID
) -> None:
    books = PostgresBooks()
    keys = [ids.new_id() for _ in range(ROWS)]
    async with crowd.transaction(POOLED, (tenant,)) as tx:
        intents = [intent_of("requested", tenant_id=tenant, order_id=key) for key in keys]
        await books.insert_intents(intents, tx=tx)

    def named(some: Sequence[UUID]) -> list[tuple[UUID, UUID]]:
        return [(tenant, key) for key in some]

    async def decide(some: Sequence[UUID], tx: Tx) -> None:
        locked = await books.lock_intents(named(some), tx=tx)
        again = [msgspec.structs.replace(i, status="requested") for i in locked.values()]
        await books.save_intents(again, tx=tx)
        await books.add_looks("intent", named(some), due_at=tx.now, tx=tx)

    async def settle(some: Sequence[UUID], tx: Tx) -> None:
        words = [FirstWord(tenant, key, "unknown", 0, None, None) for key in some]
        await books.settle_requested(words, tx=tx, now=tx.now)

    async def put_off(some: Sequence[UUID], tx: Tx) -> None:
        looks = [Look(tenant, "intent", key, 1, tx.now) for key in some]
        await books.move_looks(looks, tx=tx)

    works: list[Work] = [
        decide,
        settle,
        put_off,
        lambda some, tx: books.lock_intents(named(some), tx=tx),
        lambda some, tx: books.end_looks("intent", named(some), tx=tx),
        lambda some, tx: books.take_due_looks(
            [tenant], now=tx.now, until=tx.now, limit=len(some), tx=tx
        ),
    ]
    await assert_no_deadlock(postgres.owner_url(database_name), crowd, tenant, keys, works)
