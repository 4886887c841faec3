"""Whatever happens to an order's shipments in whatever order, no unit is lost or sent twice."""

from collections import Counter
from datetime import timedelta
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from serai.contexts.shipping import model
from serai.contexts.shipping.contract import ShipmentStatus, ShippedLine
from serai.contexts.shipping.model import Booking, Shipment, TrackingEvent, Units
from serai.kernel.failure import Refused
from tests.unit.fulfilment_fakes import NOW

TENANT, ORDER = UUID(int=1), UUID(int=2)
LEGAL: set[tuple[ShipmentStatus, ShipmentStatus]] = {
    ("pending", "dispatched"),
    ("pending", "cancelled"),
    ("dispatched", "dispatched"),
    ("dispatched", "delivered"),
}
INDEX = st.integers(0, 9)


class Fulfilment(RuleBasedStateMachine):
    """One order whose shipments are dispatched, tracked and cancelled at random."""

    def __init__(self) -> None:
        super().__init__()
        self.shipments: list[Shipment] = []
        self.ordered: Counter[int] = Counter()
        self.is_cancelled = False

    @initialize(quantities=st.lists(st.integers(1, 4), min_size=1, max_size=4))
    def confirm(self, quantities: list[int]) -> None:
        lines = tuple(ShippedLine(no, f"S{no}", q) for no, q in enumerate(quantities, 1))
        self.ordered = Counter({line.line_no: line.quantity for line in lines})
        self.shipments = [Shipment(TENANT, UUID(int=100), ORDER, 1, "pending", lines, NOW)]

    def put(self, index: int, after: Shipment) -> None:
        before = self.shipments[index]
        assert (before.status, after.status) in LEGAL
        assert after.version == before.version + 1
        self.shipments[index] = after

    @rule(
        index=INDEX,
        units=st.none()
        | st.lists(st.builds(Units, st.integers(1, 5), st.integers(0, 5)), max_size=3),
    )
    def dispatch(self, index: int, units: list[Units] | None) -> None:
        index %= len(self.shipments)
        shipment = self.shipments[index]
        split = model.dispatch(
            shipment, units, Booking("Post", None), siblings=len(self.shipments),
            remainder_id=UUID(int=100 + len(self.shipments)), now=NOW,
        )  # fmt: skip
        if isinstance(split, Refused):
            waiting = {line.line_no: line.quantity for line in shipment.lines}
            assert shipment.status != "pending" or (
                units is not None
                and (
                    not units
                    or len({u.line_no for u in units}) < len(units)
                    or any(not 1 <= u.quantity <= waiting.get(u.line_no, 0) for u in units)
                )
            )
            return
        self.put(index, split.left)
        if split.remainder is not None:
            self.shipments.append(split.remainder)

    @rule(index=INDEX, status=st.sampled_from(["in_transit", "delivered"]))
    def track(self, index: int, status: str) -> None:
        index %= len(self.shipments)
        shipment = self.shipments[index]
        event = TrackingEvent(
            TENANT, shipment.id, UUID(int=0), status, "", NOW + timedelta(hours=1)
        )
        tracked = model.track(shipment, event, now=NOW)
        assert isinstance(tracked, Refused) == (shipment.status != "dispatched")
        if not isinstance(tracked, Refused):
            self.put(index, tracked)

    @rule()
    def cancel(self) -> None:
        changed = model.cancel(self.shipments)
        has_left = any(s.status in {"dispatched", "delivered"} for s in self.shipments)
        assert (changed is None) == has_left
        for after in changed or ():
            index = next(n for n, s in enumerate(self.shipments) if s.id == after.id)
            self.put(index, after)
            self.is_cancelled = True

    @invariant()
    def every_unit_is_in_one_shipment(self) -> None:
        held: Counter[int] = Counter()
        for shipment in self.shipments:
            for line in shipment.lines:
                assert line.quantity > 0
                held[line.line_no] += line.quantity
        assert held == self.ordered

    @invariant()
    def at_most_one_shipment_waits(self) -> None:
        assert sum(s.status == "pending" for s in self.shipments) <= 1
        assert [s.number for s in self.shipments] == list(range(1, len(self.shipments) + 1))

    @invariant()
    def nothing_of_a_cancelled_order_leaves(self) -> None:
        if self.is_cancelled:
            assert {s.status for s in self.shipments} == {"cancelled"}

    @invariant()
    def times_agree_with_the_status(self) -> None:
        for s in self.shipments:
            assert (s.dispatched_at is not None) == (s.status in {"dispatched", "delivered"})
            assert (s.delivered_at is not None) == (s.status == "delivered")


TestFulfilment = Fulfilment.TestCase
TestFulfilment.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
