"""Batches are cut into runs of one type without changing the order of any key's events."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from serai.kernel.events import Delivery, event, type_of
from serai.kernel.module import Consumer
from serai.kernel.stages import plan_stages


@event(topic="stages", key="key")
class Alpha(msgspec.Struct, frozen=True):
    """A first kind of fact."""

    key: UUID


@event(topic="stages", key="key")
class Beta(msgspec.Struct, frozen=True):
    """A second kind of fact."""

    key: UUID


async def _ignore(deliveries: Any, *, tx: Any, now: Any) -> None:
    del deliveries, tx, now


CONSUMER = Consumer("stages", {Alpha: _ignore, Beta: _ignore})


def delivery(number: int, kind: str, key: int) -> Delivery:
    model = Alpha if kind == "a" else Beta
    return Delivery(
        UUID(int=number), UUID(int=1), type_of(model), UUID(int=key), 0, (1, number),
        datetime(2026, 1, 1, tzinfo=UTC), UUID(int=9), None, b"{}",
    )  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 4)), max_size=40))
def test_every_event_is_in_one_run_of_its_type_and_keys_keep_their_order(
    facts: list[tuple[str, int]],
) -> None:
    deliveries = [delivery(n, kind, key) for n, (kind, key) in enumerate(facts)]
    stages = plan_stages(deliveries, CONSUMER)
    flat = [d for _, items in stages for d in items]
    assert sorted(d.position for d in flat) == [d.position for d in deliveries]
    for _, items in stages:
        assert len({d.type.name for d in items}) == 1
    for key in {d.key for d in deliveries}:
        mine = [d.position for d in flat if d.key == key]
        assert mine == sorted(mine)


def test_a_batch_of_many_keys_needs_few_runs() -> None:
    deliveries = [delivery(n, "ab"[n % 2], 1000 + n) for n in range(100)]
    assert len(plan_stages(deliveries, CONSUMER)) == 2
