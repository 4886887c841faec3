"""The order in which a consumer handles a batch of events of several types."""

from collections.abc import Sequence
from uuid import UUID

from serai.kernel.events import Delivery
from serai.kernel.module import Consumer, Hear, Outside

Stage = tuple[Hear | Outside, list[Delivery]]


def plan_stages(deliveries: Sequence[Delivery], consumer: Consumer) -> list[Stage]:
    """Cuts a batch into runs of one type, such that no key's events change their order.

    An event joins the earliest run of its type that does not lie before its key's previous event.
    """
    stages: list[Stage] = []
    types: list[str] = []
    last: dict[UUID, int] = {}
    for delivery in deliveries:
        name = delivery.type.name
        index = last.get(delivery.key, 0)
        while index < len(stages) and types[index] != name:
            index += 1
        if index == len(stages):
            stages.append((consumer.hears[delivery.type.model], []))
            types.append(name)
        stages[index][1].append(delivery)
        last[delivery.key] = index
    return stages
