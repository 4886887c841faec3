"""A return as a machine: news of its refund in any order, and what arrived stays arrived."""

from typing import Any
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from serai.contexts.orders.contract import ReturnLine
from serai.contexts.returns import handlers
from serai.contexts.returns.contract import ReturnRef
from serai.contexts.returns.handlers import AcceptReturn
from serai.kernel.events import Cause
from tests.unit.fulfilment_fakes import NOW, MemoryReturns, OrderDesk, make_tx

TENANT, STRANGER = UUID(int=1), UUID(int=2)
CAUSE = Cause(UUID(int=3))


class Returns(RuleBasedStateMachine):
    """Returns are accepted, and their refunds settle and fail, twice and for strangers too."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = MemoryReturns()
        self.port: Any = self.rows
        self.expected: dict[UUID, str] = {}

    @staticmethod
    def run(work: Any) -> None:
        try:
            work.send(None)
        except StopIteration:
            return
        raise AssertionError("work in memory waits for nothing")

    @rule(units=st.integers(1, 3))
    def accept(self, units: int) -> None:
        new = UUID(int=100 + len(self.expected))
        command = AcceptReturn(
            TENANT, new, UUID(int=9), (ReturnLine(1, units),), "", is_restocked=True, cause=CAUSE
        )
        desk: Any = OrderDesk()
        self.run(
            handlers.accept_returns(
                [command], tx=make_tx(), now=NOW, returns=self.port, orders=desk
            )
        )
        self.expected[new] = "accepted"

    def pick(self, data: st.DataObject) -> tuple[UUID, list[UUID]]:
        tenant = data.draw(st.sampled_from([TENANT, STRANGER]))
        chosen = data.draw(st.lists(st.sampled_from(sorted(self.expected)), min_size=1, max_size=3))
        return tenant, chosen

    @precondition(lambda self: self.expected)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        tenant, chosen = self.pick(data)
        refs = [ReturnRef(tenant, one) for one in chosen]
        self.run(handlers.settle_returns(refs, tx=make_tx(), now=NOW, returns=self.port))
        if tenant == TENANT:
            self.expected.update(dict.fromkeys(chosen, "refunded"))

    @precondition(lambda self: self.expected)
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        tenant, chosen = self.pick(data)
        refs = [ReturnRef(tenant, one) for one in chosen]
        self.run(handlers.fail_returns(refs, tx=make_tx(), now=NOW, returns=self.port))
        for one in chosen:
            if tenant == TENANT and self.expected[one] == "accepted":
                self.expected[one] = "refund_failed"

    @invariant()
    def every_return_is_where_its_news_left_it(self) -> None:
        assert {key: row.status for (_, key), row in self.rows.rows.items()} == self.expected
        for row in self.rows.rows.values():
            assert (row.settled_at is not None) is (row.status == "refunded")


TestReturns = Returns.TestCase
TestReturns.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
