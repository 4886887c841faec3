"""One suite for payments' rows, in memory and in PostgreSQL, and the constraints that both hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import msgspec
import pytest

from serai.contexts.payments.handlers.books import Books, FirstWord, Key, Look
from serai.contexts.payments.model import Intent, Refund
from serai.contexts.payments.store import PostgresBooks
from serai.kernel import ids
from serai.kernel.clock import ManualClock
from serai.kernel.db import Database
from serai.kernel.tenant import POOLED
from tests.unit.payments_memory import (
    START,
    MemoryBooks,
    MemoryDatabase,
    Violated,
    intent_of,
    later,
)

A, B = ids.new_id(), ids.new_id()
REFUSALS = (Violated, asyncpg.CheckViolationError)


@dataclass
class Shelf:
    """Books with a database under them; each call is a transaction of its own."""

    books: Books
    database: Database

    async def __call__(self, verb: str, *args: Any, **named: Any) -> Any:
        async with self.database.transaction(POOLED, (A, B)) as tx:
            return await getattr(self.books, verb)(*args, tx=tx, **named)

    async def hold(self, *intents: Intent) -> None:
        await self("insert_intents", intents)

    async def intent(self, intent: Intent) -> Intent:
        found = await self("find_intents", [key_of(intent)])
        return found[key_of(intent)]  # type: ignore[no-any-return]


@pytest.fixture(params=["memory", "postgres"])
def shelf(request: pytest.FixtureRequest, database: Database) -> Shelf:
    if request.param == "memory":
        return Shelf(MemoryBooks(), MemoryDatabase(ManualClock(START)))
    return Shelf(PostgresBooks(), database)


def key_of(intent: Intent) -> Key:
    return intent.tenant_id, intent.order_id


def held(status: str = "requested", **changes: Any) -> Intent:
    return intent_of(status, **({"tenant_id": A} | changes))


def word(intent: Intent, status: Any, captured: int = 0, **more: Any) -> FirstWord:
    given = {"provider_ref": "ch_1", "reason": None} | more
    return FirstWord(intent.tenant_id, intent.order_id, status, captured, **given)


async def test_an_order_has_one_intent_whoever_comes_first(shelf: Shelf) -> None:
    first, other = held(), held("awaiting", tenant_id=B)
    twin = msgspec.structs.replace(first, amount_minor=900)
    assert await shelf("insert_intents", [first, other, twin]) == {first.order_id, other.order_id}
    assert await shelf("insert_intents", [twin]) == set()
    keys = [key_of(first), key_of(other), (A, ids.new_id()), (B, first.order_id)]
    expected = {key_of(first): first, key_of(other): other}
    assert await shelf("find_intents", keys) == expected
    assert await shelf("lock_intents", keys) == expected


async def test_those_that_are_still_requested_are_told_by_their_places(shelf: Shelf) -> None:
    wanted, ended = held(), held("awaiting")
    await shelf.hold(wanted, ended)
    keys = [key_of(ended), (A, ids.new_id()), key_of(wanted), (B, wanted.order_id)]
    assert await shelf("list_requested", keys) == [2]


@pytest.mark.parametrize(
    ("status", "captured", "reason", "keeps_card", "is_settled"),
    [
        ("captured", 500, None, False, True),
        ("authorised", 0, None, False, False),
        ("declined", 0, "no funds", False, True),
        ("unknown", 0, "timeout", True, False),
    ],
)
async def test_the_first_word_settles_once(
    shelf: Shelf,
    *,
    status: str,
    captured: int,
    reason: str | None,
    keeps_card: bool,
    is_settled: bool,
) -> None:
    intent, other = held(), held()
    await shelf.hold(intent, other)
    said = word(intent, status, captured, reason=reason)
    assert await shelf("settle_requested", [said], now=later(3)) == [0]
    expected = msgspec.structs.replace(
        intent,
        status=status,
        captured_minor=captured,
        provider_ref="ch_1",
        reason=reason,
        card=intent.card if keeps_card else None,
        settled_at=later(3) if is_settled else None,
        version=2,
    )
    assert await shelf.intent(intent) == expected
    again = word(intent, "declined", reason="late")
    assert await shelf("settle_requested", [again, said], now=later(4)) == []
    assert await shelf.intent(intent) == expected
    assert await shelf.intent(other) == other


async def test_of_many_words_the_places_of_those_that_settled_come_back(shelf: Shelf) -> None:
    intents = [held() for _ in range(5)]
    await shelf.hold(*intents[1:])
    ended = msgspec.structs.replace(intents[3], status="withdrawn", card=None)
    await shelf("save_intents", [ended])
    words = [word(intent, "captured", 500) for intent in reversed(intents)]
    assert sorted(await shelf("settle_requested", words, now=later(1))) == [0, 2, 3]
    assert (await shelf.intent(intents[3])).captured_minor == 0


async def test_everything_that_can_change_is_written_back(shelf: Shelf) -> None:
    captured, asked, ended = held(), held(is_capture_manual=True), held("awaiting")
    await shelf.hold(captured, asked, ended)
    after = [
        msgspec.structs.replace(
            captured, status="captured", card=None, settled_at=later(1), captured_minor=400,
            refunding_minor=100, refunded_minor=50, provider_ref="ch", reason="r", version=7,
        ),
        msgspec.structs.replace(
            asked, status="authorised", card=None, capture_asked_minor=1, asked_at=later(2)
        ),
        msgspec.structs.replace(ended, status="withdrawn", is_closed=True),
    ]  # fmt: skip
    await shelf("save_intents", after)
    for intent in after:
        assert await shelf.intent(intent) == intent


@pytest.mark.parametrize(
    "broken",
    [
        {"captured_minor": 501, "status": "captured"},
        {"captured_minor": 500, "refunded_minor": 501, "status": "captured"},
        {"captured_minor": 500, "refunding_minor": 1, "refunded_minor": 500, "status": "captured"},
        {"captured_minor": 500, "refunding_minor": -1, "status": "captured"},
        {"captured_minor": 500, "refunded_minor": -1, "status": "captured"},
        {"captured_minor": 1, "status": "authorised"},
        {"status": "unknown", "card": None},
        {"status": "authorised", "capture_asked_minor": 0},
        {"status": "authorised", "capture_asked_minor": 501},
        {"status": "captured", "capture_asked_minor": 1},
        {"status": "paid"},
    ],
    ids=str,
)
async def test_what_must_never_be_cannot_be_written(
    shelf: Shelf, broken: dict[str, object]
) -> None:
    intent = held()
    await shelf.hold(intent)
    with pytest.raises(REFUSALS):
        await shelf("save_intents", [msgspec.structs.replace(intent, **broken)])
    assert await shelf.intent(intent) == intent


@pytest.mark.parametrize("broken", [{"amount_minor": -1}, {"currency": "EURO"}], ids=str)
async def test_what_must_never_be_cannot_be_begun(shelf: Shelf, broken: dict[str, Any]) -> None:
    with pytest.raises(REFUSALS):
        await shelf.hold(held(**broken))


async def test_refunds_are_kept_as_they_are_and_settle(shelf: Shelf) -> None:
    intent = held()
    refunds = [
        Refund(
            tenant_id=A,
            refund_id=ids.new_id(),
            order_id=intent.order_id,
            status="requested",
            amount_minor=amount,
            currency="EUR",
            reason=reason,
            is_told=is_told,
            correlation_id=ids.new_id(),
            created_at=later(1),
        )
        for amount, reason, is_told in [(1, "broken", True), (2, None, False)]
    ]
    keys = [(A, refund.refund_id) for refund in refunds]
    await shelf("insert_refunds", refunds)
    assert await shelf("find_refunds", [*keys, (B, refunds[0].refund_id)]) == dict(
        zip(keys, refunds, strict=True)
    )
    settled = msgspec.structs.replace(refunds[0], status="settled", settled_at=later(2))
    failed = msgspec.structs.replace(refunds[1], status="failed", failure="no", settled_at=later(2))
    await shelf("save_refunds", [settled, failed])
    assert await shelf("find_refunds", keys) == {keys[0]: settled, keys[1]: failed}


async def look(shelf: Shelf, at: float, limit: int = 9, tenants: Sequence[object] = (A, B)) -> Any:
    """What is due so many seconds after the start; it is kept for another 100."""
    return await shelf(
        "take_due_looks", list(tenants), now=later(at), until=later(at + 100), limit=limit
    )


async def test_a_matter_is_looked_at_when_it_is_due_and_then_kept_from_others(
    shelf: Shelf,
) -> None:
    one, two, three = ids.new_id(), ids.new_id(), ids.new_id()
    await shelf("add_looks", "intent", [(A, one)], due_at=later(2))
    await shelf("add_looks", "refund", [(A, two)], due_at=later(1))
    await shelf("add_looks", "intent", [(A, one), (B, three)], due_at=later(9))
    assert await look(shelf, 0) == []
    assert await look(shelf, 2, tenants=[B]) == []
    assert await look(shelf, 2, limit=1) == [Look(A, "refund", two, 1, later(102))]
    assert await look(shelf, 2) == [Look(A, "intent", one, 1, later(102))]
    assert await look(shelf, 2) == []
    due = await look(shelf, 102)
    assert sorted((each.thing_id, each.looks) for each in due) == [(one, 2), (two, 2), (three, 1)]


async def test_a_matter_is_moved_given_up_or_forgotten(shelf: Shelf) -> None:
    things = [ids.new_id() for _ in range(3)]
    await shelf("add_looks", "intent", [(A, thing) for thing in things], due_at=later(1))
    looks = {each.thing_id: each for each in await look(shelf, 1)}
    moved = msgspec.structs.replace(looks[things[0]], due_at=later(5))
    given_up = msgspec.structs.replace(looks[things[1]], due_at=None)
    await shelf("move_looks", [moved, given_up])
    await shelf("end_looks", "refund", [(A, things[0])])
    await shelf("end_looks", "intent", [(A, things[2]), (B, things[0])])
    assert [each.thing_id for each in await look(shelf, 5)] == [things[0]]
    assert [each.thing_id for each in await look(shelf, 10**6)] == [things[0]]
