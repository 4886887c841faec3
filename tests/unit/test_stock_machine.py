"""Stock as a machine: whatever is done in whatever order, every unit is in exactly one place."""

from collections import Counter
from typing import ClassVar
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from serai.contexts.inventory import model
from serai.contexts.inventory.contract import OutOfStock, ReserveStock, Restock, Want
from serai.contexts.inventory.model import Allocation, Delta, ItemKey, Level, Move
from serai.kernel.events import Cause
from serai.kernel.failure import Refused

TENANTS = (UUID(int=1), UUID(int=2))
SKUS = ("a", "b")
PLACES = ("main", "shop")
CAUSE = Cause(UUID(int=3))

tenants = st.sampled_from(TENANTS)
skus = st.sampled_from(SKUS)
wants = st.lists(st.tuples(skus, st.integers(1, 6)), min_size=1, max_size=3)
moves = st.lists(
    st.one_of(
        st.builds(Move, st.just("receipt"), skus, st.sampled_from(PLACES), st.integers(1, 9),
                  st.just("")),
        st.builds(Move, st.just("write_off"), skus, st.sampled_from(PLACES), st.integers(1, 9),
                  st.just("")),
        st.builds(Move, st.just("transfer"), skus, st.sampled_from(PLACES), st.integers(1, 9),
                  st.just(""), st.none(), st.sampled_from(PLACES)),
    ),
    min_size=1, max_size=4,
)  # fmt: skip


class Stock(RuleBasedStateMachine):
    """Rows as the tables have them, changed by what the model decides, beside a plain book.

    The book takes an order after the other and knows nothing of places or deltas.
    """

    names: ClassVar = ("received", "available", "reserved", "sold", "written_off")

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[ItemKey, Delta] = {
            (t, s, p): Delta() for t in TENANTS for s in SKUS for p in PLACES
        }
        self.promised: dict[UUID, list[Allocation]] = {}
        self.sold: dict[UUID, list[Allocation]] = {}
        self.back: Counter[tuple[UUID, str]] = Counter()
        self.book: Counter[tuple[UUID, str, str]] = Counter()
        self.orders = 10

    def apply(self, deltas: dict[ItemKey, Delta]) -> None:
        for key, delta in deltas.items():
            for name in self.names:
                setattr(self.rows[key], name, getattr(self.rows[key], name) + getattr(delta, name))

    def levels(self, tenant: UUID) -> dict[tuple[UUID, str], list[Level]]:
        return {
            (tenant, sku): [
                Level(p, self.rows[tenant, sku, p].available, self.rows[tenant, sku, p].received)
                for p in PLACES
            ]
            for sku in SKUS
        }

    @rule(tenant=tenants, steps=moves)
    def move(self, tenant: UUID, steps: list[Move]) -> None:
        levels = {
            (tenant, sku, level.location): level
            for (_, sku), places in self.levels(tenant).items()
            for level in places
        }
        decided = model.move(levels, tenant, steps)
        if isinstance(decided, Refused):
            return
        self.apply(model.deltas_of(decided))
        for step in steps:
            if step.kind == "receipt":
                self.book[tenant, step.sku, "received"] += step.quantity
            elif step.kind == "write_off":
                self.book[tenant, step.sku, "written_off"] += step.quantity
        for (_, sku, place), level in levels.items():
            row = self.rows[tenant, sku, place]
            assert (level.available, level.received) == (row.available, row.received)

    @rule(tenant=tenants, batch=st.lists(wants, min_size=1, max_size=3))
    def reserve(self, tenant: UUID, batch: list[list[tuple[str, int]]]) -> None:
        requests = []
        for lines in batch:
            self.orders += 1
            wanted = tuple(Want(sku, quantity) for sku, quantity in lines)
            requests.append(ReserveStock(tenant, UUID(int=self.orders), wanted, None, CAUSE))
        outcomes = model.reserve(self.levels(tenant), requests)
        for request, outcome in zip(requests, outcomes, strict=True):
            needed: Counter[str] = Counter()
            for want in request.wants:
                needed[want.sku] += want.quantity
            can = all(self.free(tenant, sku) >= units for sku, units in needed.items())
            assert isinstance(outcome, OutOfStock) is not can
            if isinstance(outcome, OutOfStock):
                continue
            got: Counter[str] = Counter()
            for allocation in outcome:
                got[allocation.sku] += allocation.quantity
            assert got == needed
            self.apply(model.promised_deltas(outcome))
            self.promised[request.order_id] = outcome
            for sku, units in needed.items():
                self.book[tenant, sku, "reserved"] += units

    def free(self, tenant: UUID, sku: str) -> int:
        """What the plain book has to give."""
        of = {name: self.book[tenant, sku, name] for name in self.names}
        return of["received"] - of["reserved"] - of["sold"] - of["written_off"]

    @precondition(lambda self: self.promised)
    @rule(data=st.data())
    def sell(self, data: st.DataObject) -> None:
        order = data.draw(st.sampled_from(sorted(self.promised)))
        self.sold[order] = self.promised.pop(order)
        for a in self.sold[order]:
            row = self.rows[a.tenant_id, a.sku, a.location]
            row.reserved -= a.quantity
            movement = model.Movement(
                a.tenant_id, a.sku, a.location, "sale", a.quantity, "", order
            )  # fmt: skip
            (delta,) = model.deltas_of([movement]).values()
            assert (delta.reserved, delta.sold) == (-a.quantity, a.quantity)
            row.sold += delta.sold
            self.book[a.tenant_id, a.sku, "reserved"] -= a.quantity
            self.book[a.tenant_id, a.sku, "sold"] += a.quantity

    @precondition(lambda self: self.sold)
    @rule(data=st.data(), units=st.integers(1, 6))
    def take_back(self, data: st.DataObject, units: int) -> None:
        order = data.draw(st.sampled_from(sorted(self.sold)))
        of_order = self.sold[order]
        tenant, sku = of_order[0].tenant_id, of_order[0].sku
        had = sum(a.quantity for a in of_order if a.sku == sku)
        units = min(units, had - self.back[order, sku])
        if not units:
            return
        sold = {(tenant, order, sku): [(a.location, a.quantity) for a in of_order if a.sku == sku]}
        command = Restock(tenant, order, (Want(sku, units),), CAUSE)
        movements = model.restock(sold, [command])
        assert sum(movement.quantity for movement in movements) == units
        self.apply(model.deltas_of(movements))
        self.back[order, sku] += units
        self.book[tenant, sku, "sold"] -= units

    @invariant()
    def every_unit_is_somewhere(self) -> None:
        for row in self.rows.values():
            assert row.received == row.available + row.reserved + row.sold + row.written_off
            assert min(row.received, row.available, row.reserved, row.written_off) >= 0

    @invariant()
    def the_plain_book_says_the_same(self) -> None:
        for tenant in TENANTS:
            for sku in SKUS:
                rows = [self.rows[tenant, sku, place] for place in PLACES]
                for name in ("received", "reserved", "sold", "written_off"):
                    total = sum(getattr(row, name) for row in rows)
                    assert total == self.book[tenant, sku, name], name


TestStock = Stock.TestCase
TestStock.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
