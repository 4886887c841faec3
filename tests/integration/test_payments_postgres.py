"""Payments on a real PostgreSQL: races, plans, costs, and what `serai check` finds."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest

from serai.contexts.payments import model
from serai.contexts.payments import module as payments
from serai.contexts.payments.contract import (
    PaymentCaptured,
    PaymentRef,
    PaymentRequested,
    RefundRequested,
    RequestPayment,
    RequestRefund,
)
from serai.contexts.payments.gateways import sandbox_cards as cards
from serai.contexts.payments.gateways.sandbox import DirectSandbox
from serai.contexts.payments.gateways.sandbox_book import SandboxBook
from serai.contexts.payments.handlers import answers, requests
from serai.contexts.payments.handlers.answers import HearCallback
from serai.contexts.payments.handlers.asking import Asking
from serai.contexts.payments.model import Intent
from serai.contexts.payments.ports import Answer
from serai.contexts.payments.store import SQL, PostgresBooks
from serai.kernel import ids
from serai.kernel.db import Database, Tx
from serai.kernel.embedded import EmbeddedPostgres
from serai.kernel.events import Cause, Delivery
from serai.kernel.module import Finding
from serai.kernel.queries import Statement
from serai.kernel.tenant import POOLED
from tests.integration.fulfilment_shop import NOW, assert_plans, outbox, surroundings
from tests.unit.fulfilment_fakes import OrderDesk
from tests.unit.payments_memory import delivery_of, intent_of

BOOKS = PostgresBooks()
WHY = Cause(ids.new_id())
RIVALS = 12


async def request(database: Database, tenant: UUID, count: int = 1, **more: Any) -> list[Delivery]:
    """Payments of 500 that are asked for; the events that say so."""
    terms: dict[str, Any] = {"card": cards.APPROVED, "is_capture_manual": False} | more
    commands = [
        RequestPayment(tenant, ids.new_id(), 500, "EUR", cause=WHY, **terms) for _ in range(count)
    ]
    async with database.transaction(POOLED, (tenant,)) as tx:
        await requests.request_payments(commands, tx=tx, now=tx.now, books=BOOKS)
        return [delivery_of(announcement, tx.now) for announcement in tx.announced]


async def record(database: Database, deliveries: Sequence[Delivery], said: Sequence[Any]) -> None:
    async with database.transaction(POOLED, {d.tenant_id for d in deliveries}) as tx:
        await answers.record_payments(
            deliveries, said, tx=tx, now=tx.now, books=BOOKS, new_id=ids.new_id
        )


async def withdraw(database: Database, tenant: UUID, *orders: UUID) -> None:
    async with database.transaction(POOLED, (tenant,)) as tx:
        refs = [PaymentRef(tenant, order, WHY) for order in orders]
        await requests.withdraw_payments(refs, tx=tx, now=tx.now, books=BOOKS, new_id=ids.new_id)


async def intents(database: Database, tenant: UUID, *orders: UUID) -> list[Intent]:
    keys = [(tenant, order) for order in orders]
    async with database.transaction(POOLED, (tenant,)) as tx:
        found = await BOOKS.find_intents(keys, tx=tx)
    return [found[key] for key in keys]


def captured(delivery: Delivery) -> Answer:
    return Answer(model.key_of(delivery.tenant_id, delivery.key), "captured", "ch_1", None, 500)


def told(events: Sequence[msgspec.Struct], kind: type[msgspec.Struct]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


# ------------------------------------------------------------------------------------------- races


async def test_equal_callbacks_at_the_same_instant_settle_once(
    database: Database, tenant: UUID
) -> None:
    (asked,) = await request(database, tenant)

    async def hear() -> list[object]:
        command = HearCallback(tenant, asked.key, captured(asked), WHY)
        async with database.transaction(POOLED, (tenant,)) as tx:
            return list(
                await answers.hear_callbacks(
                    [command, command], tx=tx, now=tx.now, books=BOOKS, new_id=ids.new_id
                )
            )

    assert await asyncio.gather(*(hear() for _ in range(RIVALS))) == [[None, None]] * RIVALS
    expected = [PaymentCaptured(asked.key, asked.key, 500)]
    assert told(await outbox(database, tenant), PaymentCaptured) == expected
    assert [i.version for i in await intents(database, tenant, asked.key)] == [2]


async def test_an_answer_and_a_callback_at_the_same_instant_settle_once(
    database: Database, tenant: UUID
) -> None:
    asked = await request(database, tenant, 40)

    async def hear(deliveries: Sequence[Delivery]) -> None:
        commands = [HearCallback(tenant, d.key, captured(d), WHY) for d in deliveries]
        async with database.transaction(POOLED, (tenant,)) as tx:
            await answers.hear_callbacks(
                commands, tx=tx, now=tx.now, books=BOOKS, new_id=ids.new_id
            )

    await asyncio.gather(
        record(database, asked, [captured(d) for d in asked]), hear(asked[::-1]), hear(asked[20:])
    )
    events = told(await outbox(database, tenant), PaymentCaptured)
    assert sorted(event.order_id for event in events) == [delivery.key for delivery in asked]


async def test_an_order_given_up_while_the_answer_is_written_keeps_no_money(
    database: Database, tenant: UUID
) -> None:
    asked = await request(database, tenant, 40)
    orders = [delivery.key for delivery in asked]
    await asyncio.gather(
        record(database, asked, [captured(delivery) for delivery in asked]),
        *(withdraw(database, tenant, *orders[start::4]) for start in range(4)),
    )
    after = await intents(database, tenant, *orders)
    assert {intent.status for intent in after} <= {"captured", "withdrawn"}
    assert [(i.captured_minor, i.refunding_minor) for i in after] == [(500, 500)] * 40
    events = await outbox(database, tenant)
    assert sorted(event.order_id for event in told(events, RefundRequested)) == orders
    announced = {event.order_id for event in told(events, PaymentCaptured)}
    assert announced == {i.order_id for i in after if i.status == "captured"}


async def test_refunds_at_the_same_instant_never_exceed_the_capture(
    database: Database, tenant: UUID
) -> None:
    (asked,) = await request(database, tenant)
    await record(database, [asked], [captured(asked)])

    async def refund(amount: int) -> bool:
        command = RequestRefund(tenant, asked.key, ids.new_id(), amount, WHY)
        async with database.transaction(POOLED, (tenant,)) as tx:
            (is_possible,) = await requests.request_refunds(
                [command], tx=tx, now=tx.now, books=BOOKS, new_id=ids.new_id
            )
        return is_possible

    possible = await asyncio.gather(*(refund(200) for _ in range(RIVALS)))
    assert sorted(possible) == [False] * (RIVALS - 2) + [True] * 2
    assert [i.left_minor for i in await intents(database, tenant, asked.key)] == [100]


# ------------------------------------------------------------------------------ the cost of a batch


async def test_a_batch_of_payments_costs_one_read_one_update_and_one_insert(
    database: Database, tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = Asking(DirectSandbox(SandboxBook()), BOOKS, database)
    asked = await request(database, tenant, 300)
    names: list[str] = []
    fetch = Tx.fetch

    async def noted(tx: Tx, statement: Statement, *args: Any) -> list[Any]:
        names.append(statement.name)
        return await fetch(tx, statement, *args)

    async def refused(*_args: object) -> None:
        raise AssertionError("no other statement is needed")

    monkeypatch.setattr(Tx, "fetch", noted)
    monkeypatch.setattr(Tx, "fetchrow", refused)
    monkeypatch.setattr(Tx, "fetchval", refused)
    monkeypatch.setattr(Tx, "execute", refused)
    await record(database, asked, await asking.ask_payments(asked, POOLED))
    monkeypatch.undo()
    assert names == ["list_requested", "settle_requested"]
    events = told(await outbox(database, tenant), PaymentCaptured)
    assert len(events) == 300
    assert len(told(await outbox(database, tenant), PaymentRequested)) == 300


ITS_ORDER = "(tenant_id = a.tenant_id) AND (order_id = a.order_id)"
ITS_REFUND = "(tenant_id = a.tenant_id) AND (refund_id = a.refund_id)"
ITS_MATTER = "(tenant_id = a.tenant_id) AND (kind = a.kind) AND (thing_id = a.thing_id)"


async def test_every_row_is_found_by_its_whole_key_even_by_plans_made_for_empty_tables(
    postgres: EmbeddedPostgres, database_name: str
) -> None:
    wanted: dict[str, Sequence[str]] = {
        "list_requested": [ITS_ORDER],
        # In the order of the ids, which is the order in which everybody locks.
        "settle_requested": [ITS_ORDER, "Sort Key: w.tenant_id, w.order_id", "Nested Loop"],
        "find_intents": [ITS_ORDER],
        "lock_intents": [ITS_ORDER, "Sort Key: i.tenant_id, i.order_id"],
        "save_intents": [ITS_ORDER],
        "find_refunds": [ITS_REFUND],
        "save_refunds": [ITS_REFUND],
        "take_due_looks": ["(due_at <= $2)"],
        "move_looks": [ITS_MATTER],
        "end_looks": [ITS_MATTER],
        "find_payment": ["(tenant_id = $1) AND (order_id = $2)"],
        "list_refunds": ["(order_id = $2)"],
        "list_payments": ["Backward", "(tenant_id = $1) AND (order_id < $2)"],
        "find_scan_end": ["Backward", "(tenant_id = $1) AND (order_id < $2)"],
        "list_payments_by_status": ["Backward", "(order_id < $3) AND (order_id >= $4)"],
    }
    await assert_plans(postgres.app_url(database_name), SQL, wanted)


async def test_settling_touches_no_index(
    postgres: EmbeddedPostgres, database_name: str, database: Database, tenant: UUID
) -> None:
    asked = await request(database, tenant, 200)
    await record(database, asked, [captured(delivery) for delivery in asked])
    owner = await asyncpg.connect(postgres.owner_url(database_name))
    try:
        for _ in range(100):
            (row,) = await owner.fetch(
                "SELECT n_tup_upd AS updated, n_tup_hot_upd AS hot FROM pg_stat_user_tables "
                "WHERE schemaname = 'payments' AND relname = 'intents'"
            )
            if row["updated"] == 200:
                break
            await asyncio.sleep(0.1)
        assert (row["updated"], row["hot"]) == (200, 200)
    finally:
        await owner.close()


# --------------------------------------------------------------------------------------- the checks


async def findings(database: Database, tenant: UUID) -> list[Finding]:
    found = []
    for check in payments.build(
        surroundings(database, tenants=[tenant]), orders=OrderDesk()
    ).checks:
        async with database.transaction(POOLED, (tenant,), is_report=True) as tx:
            found += await check.run(tx, tenant)
    return found


async def test_a_shop_in_order_has_no_findings(database: Database, tenant: UUID) -> None:
    database.clock = surroundings(database).clock
    asked = await request(database, tenant, 3)
    await record(database, asked, [captured(delivery) for delivery in asked])
    await withdraw(database, tenant, asked[0].key)
    await request(database, tenant)
    assert await findings(database, tenant) == []


@pytest.mark.parametrize(
    ("planted", "check", "detail"),
    [
        ("UPDATE payments.intents SET captured_minor = 499", "payments.captures",
         "captured_minor=499"),
        ("UPDATE payments.intents SET refunded_minor = 1", "payments.refunds", "refunded_minor=1"),
        ("UPDATE payments.intents SET refunding_minor = 1", "payments.refunds",
         "refunding_minor=1"),
        ("UPDATE payments.intents SET status = 'withdrawn'", "payments.refunds",
         "status=withdrawn"),
        ("UPDATE payments.intents SET status = 'requested', card = 'x', captured_minor = 0",
         "payments.settled", "status=requested"),
        ("UPDATE payments.intents SET status = 'unknown', card = 'x', captured_minor = 0",
         "payments.settled", "status=unknown"),
        ("UPDATE payments.intents SET status = 'withdrawn', captured_minor = 0",
         "payments.settled", "status=withdrawn"),
        ("INSERT INTO payments.looks SELECT tenant_id, 'intent', order_id, 20, 'infinity' "
         "FROM payments.intents", "payments.settled", "status=given_up"),
        ("INSERT INTO payments.refunds SELECT tenant_id, order_id, order_id, 'unknown', 5, 'EUR', "
         "NULL, NULL, true, correlation_id, created_at FROM payments.intents",
         "payments.settled", "status=unknown"),
    ],
)  # fmt: skip
async def test_what_is_not_in_order_is_found(
    database: Database, tenant: UUID, planted: str, check: str, detail: str
) -> None:
    database.clock = surroundings(database).clock
    old = NOW - payments.SETTLED_WITHIN - timedelta(seconds=1)
    intent = intent_of("captured", tenant_id=tenant, asked_at=old, settled_at=old, created_at=old)
    async with database.transaction(POOLED, (tenant,)) as tx:
        await BOOKS.insert_intents([intent], tx=tx)
        await BOOKS.save_intents([intent], tx=tx)
    assert await findings(database, tenant) == []
    async with database.transaction(POOLED, (tenant,)) as tx:
        await tx.connection.execute(planted)
    found = await findings(database, tenant)
    assert [one for one in found if one.check == check and detail in one.detail], found
    assert str(intent.order_id) in found[0].detail


# -------------------------------------------------------------------------------- pages of a status


async def test_a_page_of_a_status_looks_at_so_many_payments_and_goes_on_where_it_stopped(
    database: Database, tenant: UUID
) -> None:
    asked = await request(database, tenant, 10)
    orders = [delivery.key for delivery in asked]
    await withdraw(database, tenant, orders[0], orders[1], orders[8])
    pages = []
    before = None
    for _ in range(5):
        async with database.transaction(POOLED, (tenant,), is_read_only=True) as tx:
            views, before = await BOOKS.list_payments_by_status(
                tenant, "withdrawn", before=before, limit=9, scanned_max=4, tx=tx
            )
        pages.append([orders.index(view.id) for view in views])
        if before is None:
            break
    assert pages == [[8], [], [1, 0]]
