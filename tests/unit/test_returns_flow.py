"""What follows a return: goods, money, and the books that say so."""

# ruff: noqa: ARG002 - a fake is given what its port is given

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest

from serai.contexts.inventory.contract import Restock, Want
from serai.contexts.orders.contract import RefundRecord
from serai.contexts.payments.contract import RefundFailed, RefundSettled, RequestRefund
from serai.contexts.returns.contract import ReturnAccepted, ReturnedUnits, ReturnRef
from serai.flows import returns as flow
from serai.kernel.db import Tx
from serai.kernel.events import Delivery
from serai.kernel.module import Surroundings
from tests.unit.fulfilment_fakes import NOW, delivery_of, make_tx

A, B = UUID(int=1), UUID(int=2)


class House:
    """All four neighbours of the flow: writes down, in order, what it is asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, list[Any]]] = []
        self.impossible: set[UUID] = set()

    async def restock(self, commands: Sequence[Restock], *, tx: Tx, now: datetime) -> None:
        self.calls.append(("restock", list(commands)))

    async def request_refunds(
        self, commands: Sequence[RequestRefund], *, tx: Tx, now: datetime
    ) -> list[bool]:
        self.calls.append(("request_refunds", list(commands)))
        return [command.refund_id not in self.impossible for command in commands]

    async def settle_returns(self, refs: Sequence[ReturnRef], *, tx: Tx, now: datetime) -> None:
        self.calls.append(("settle_returns", list(refs)))

    async def fail_returns(self, refs: Sequence[ReturnRef], *, tx: Tx, now: datetime) -> None:
        self.calls.append(("fail_returns", list(refs)))

    async def record_refunds(
        self, records: Sequence[RefundRecord], *, tx: Tx, now: datetime
    ) -> None:
        self.calls.append(("record_refunds", list(records)))


@pytest.fixture
def house() -> House:
    return House()


async def hear(house: House, *deliveries: Delivery) -> None:
    """Gives deliveries of one type to the flow, as its consumer does."""
    made: Any = house
    module = flow.build(
        Surroundings(made, made, made, None),
        orders=made, inventory=made, payments=made, returns=made,
    )  # fmt: skip
    (consumer,) = module.consumers
    assert consumer.group == "returns"
    handler = consumer.hears[deliveries[0].type.model]
    assert callable(handler)
    await handler(deliveries, tx=make_tx(), now=NOW)


def came_back(
    number: int, *units: ReturnedUnits, restock: bool = True, tenant: UUID = A
) -> Delivery:
    refund = sum(unit.refund_minor for unit in units)
    event = ReturnAccepted(UUID(int=100 + number), UUID(int=number), "GBP", refund, restock, units)
    return delivery_of(tenant, event)


async def test_goods_go_back_on_the_shelf_and_money_is_asked_back(house: House) -> None:
    one = came_back(1, ReturnedUnits(1, "MUG", 2, 500), ReturnedUnits(2, "MUG", 1, 250))
    two = came_back(2, ReturnedUnits(1, "TEA", 1, 99), restock=False, tenant=B)
    await hear(house, one, two)
    assert house.calls == [
        ("restock", [Restock(A, UUID(int=101), (Want("MUG", 3),), one.cause)]),
        (
            "request_refunds",
            [
                RequestRefund(A, UUID(int=101), UUID(int=1), 750, one.cause),
                RequestRefund(B, UUID(int=102), UUID(int=2), 99, two.cause),
            ],
        ),
    ]
    assert one.cause.causation_id == one.event_id


async def test_what_cost_nothing_is_settled_at_once(house: House) -> None:
    await hear(house, came_back(1, ReturnedUnits(1, "GIFT", 2, 0), restock=False))
    assert house.calls == [("settle_returns", [ReturnRef(A, UUID(int=1))])]


async def test_a_refund_of_more_than_is_left_fails_only_its_own_return(house: House) -> None:
    house.impossible = {UUID(int=2)}
    heard = [came_back(n, ReturnedUnits(1, "MUG", 1, 5), restock=False) for n in (1, 2)]
    await hear(house, *heard)
    assert [name for name, _ in house.calls] == ["request_refunds", "fail_returns"]
    assert house.calls[1][1] == [ReturnRef(A, UUID(int=2))]


async def test_every_refund_that_arrives_is_in_its_orders_book(house: House) -> None:
    heard = [
        delivery_of(A, RefundSettled(UUID(int=101), UUID(int=1), 750, "GBP")),
        delivery_of(B, RefundSettled(UUID(int=102), UUID(int=9), 40, "GBP")),
    ]
    await hear(house, *heard)
    assert house.calls == [
        (
            "record_refunds",
            [RefundRecord(A, UUID(int=101), 750), RefundRecord(B, UUID(int=102), 40)],
        ),
        ("settle_returns", [ReturnRef(A, UUID(int=1)), ReturnRef(B, UUID(int=9))]),
    ]


async def test_a_refund_that_fails_is_told_to_its_return_alone(house: House) -> None:
    await hear(house, delivery_of(A, RefundFailed(UUID(int=101), UUID(int=1), "closed")))
    assert house.calls == [("fail_returns", [ReturnRef(A, UUID(int=1))])]
