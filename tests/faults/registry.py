"""Every known fault by its name, and the one way to plant it."""

from contextlib import AbstractContextManager

from tests.faults.batches import BATCH_FAULTS
from tests.faults.flows import FLOW_FAULTS
from tests.faults.messages import MESSAGE_FAULTS
from tests.faults.money import MONEY_FAULTS
from tests.faults.plant import Fault, side_by_side
from tests.faults.stock import STOCK_FAULTS
from tests.faults.walls import WALL_FAULTS

FAULTS: dict[str, Fault] = {
    fault.name: fault
    for fault in (
        *STOCK_FAULTS, *MESSAGE_FAULTS, *BATCH_FAULTS, *FLOW_FAULTS, *MONEY_FAULTS, *WALL_FAULTS,
    )
}  # fmt: skip


def planted(name: str) -> AbstractContextManager[None]:
    """Plants a fault by its name, in code and migrations, until the context is left."""
    fault = FAULTS[name]
    schema = (fault.plant_schema(),) if fault.plant_schema else ()
    return side_by_side(fault.plant(), *schema)
