"""Twins of who has left a home: in a history nobody moves."""

from collections.abc import Sequence
from uuid import UUID

from tests.simulation.rows import Row
from tests.simulation.statements.kernel_log import KERNEL
from tests.simulation.statements.records import columns
from tests.simulation.storage import Session
from tests.simulation.twins import twin

_admitted = columns("admit")


@twin(KERNEL, "list_departed")
async def list_departed(_session: Session) -> list[Row]:
    return []


@twin(KERNEL, "admit_tenants")
async def admit_tenants(
    _session: Session,
    _whose: Sequence[UUID],
    _is_directory: bool,  # noqa: FBT001 - the statement's order
) -> list[Row]:
    return [_admitted({"admit": None})]
