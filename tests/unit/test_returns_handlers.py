"""Returns: accepted as the order says, and moved on as the money says."""

from uuid import UUID

import pytest

from serai.contexts.orders.contract import ReturnLine, ReturnLines, ReturnNotPossible
from serai.contexts.returns import handlers
from serai.contexts.returns.contract import ReturnAccepted, ReturnedUnits, ReturnRef
from serai.contexts.returns.handlers import AcceptReturn
from serai.contexts.returns.model import Return
from serai.kernel.events import Cause
from serai.kernel.failure import NotFound, Refused
from tests.unit.fulfilment_fakes import NOW, MemoryReturns, OrderDesk, announced, make_tx

A, B = UUID(int=1), UUID(int=2)
CAUSE = Cause(UUID(int=99))


@pytest.fixture
def rows() -> MemoryReturns:
    return MemoryReturns()


def take_back(number: int, *lines: tuple[int, int], restock: bool = True) -> AcceptReturn:
    taken = tuple(ReturnLine(no, quantity) for no, quantity in lines)
    order = UUID(int=100 + number)
    return AcceptReturn(A, UUID(int=number), order, taken, "broken", restock, CAUSE)


def accepted(number: int, *units: ReturnedUnits, restock: bool = True) -> Return:
    total = sum(unit.refund_minor for unit in units)
    return Return(
        A, UUID(int=number), UUID(int=100 + number), "accepted", "broken", "GBP", total, restock,
        units, NOW,
    )  # fmt: skip


async def test_a_mixed_batch_keeps_what_the_orders_take_and_tells_of_it(
    rows: MemoryReturns,
) -> None:
    desk, tx = OrderDesk(), make_tx()
    desk.refusals = {
        UUID(int=102): ReturnNotPossible("more than was bought"),
        UUID(int=103): NotFound("no such order"),
    }
    commands = [
        take_back(1, (1, 2), (3, 1), restock=False),
        take_back(2, (1, 9)),
        take_back(3, (1, 1)),
        take_back(4, (1, 1), (1, 1)),
        take_back(5, (2, 4)),
    ]
    outcomes = await handlers.accept_returns(
        commands,
        tx=tx,
        now=NOW,
        returns=rows,
        orders=desk,  # type: ignore[arg-type]
    )
    first = (ReturnedUnits(1, "SKU-1", 2, 2), ReturnedUnits(3, "SKU-3", 1, 1))
    last = (ReturnedUnits(2, "SKU-2", 4, 4),)
    assert [o.code if isinstance(o, Refused) else o for o in outcomes] == [
        accepted(1, *first, restock=False),
        "return_not_possible",
        "not_found",
        "invalid",
        accepted(5, *last),
    ]
    assert desk.asked == [
        ReturnLines(A, c.order_id, c.lines, CAUSE) for n, c in enumerate(commands) if n != 3
    ]
    assert list(rows.rows) == [(A, UUID(int=1)), (A, UUID(int=5))]
    assert announced(tx) == [
        ReturnAccepted(UUID(int=101), UUID(int=1), "GBP", 3, is_restocked=False, lines=first),
        ReturnAccepted(UUID(int=105), UUID(int=5), "GBP", 4, is_restocked=True, lines=last),
    ]


async def test_a_batch_without_a_sound_return_asks_nobody_and_writes_nothing(
    rows: MemoryReturns,
) -> None:
    desk, tx = OrderDesk(), make_tx()
    outcomes = await handlers.accept_returns(
        [take_back(1, (1, 1), (1, 1))],
        tx=tx,
        now=NOW,
        returns=rows,
        orders=desk,  # type: ignore[arg-type]
    )
    assert [o.code for o in outcomes if isinstance(o, Refused)] == ["invalid"]
    assert (desk.asked, rows.rows, announced(tx)) == ([], {}, [])


async def test_a_refund_arrives_once_and_stays_arrived(rows: MemoryReturns) -> None:
    units = ReturnedUnits(1, "MUG", 1, 1)
    await rows.insert([accepted(1, units), accepted(2, units)], tx=make_tx())
    both = [ReturnRef(A, UUID(int=1)), ReturnRef(A, UUID(int=2))]
    strange = [ReturnRef(B, UUID(int=1)), ReturnRef(A, UUID(int=77))]
    tx = make_tx()
    await handlers.fail_returns([both[1], *strange], tx=tx, now=NOW, returns=rows)
    assert [r.status for r in rows.rows.values()] == ["accepted", "refund_failed"]
    await handlers.settle_returns([*both, *both, *strange], tx=tx, now=NOW, returns=rows)
    await handlers.fail_returns(both, tx=tx, now=NOW, returns=rows)
    assert [(r.status, r.settled_at) for r in rows.rows.values()] == [("refunded", NOW)] * 2
    assert announced(tx) == []
