"""What others may know of stock: commands, events, refusals and what inventory offers."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec

from serai.kernel.db import Tx
from serai.kernel.events import Cause, event
from serai.kernel.failure import Refused, Unprocessable

DEFAULT_LOCATION = "main"
UNITS_MAX = 1_000_000_000
"""Units of one SKU that a location may ever have received."""


class OutOfStock(Refused):
    """Not every line can be filled; nothing was reserved."""


class UnknownLocation(Unprocessable):
    """Units are to come to a place that was never made; a slip of the pen would hide them there."""


class SameLocation(Unprocessable):
    """A transfer goes from a location to itself."""


class ReservationNotFound(Refused):
    """No open reservation has this id: it was never made, has expired or has been used."""

    status = 404


class Want(msgspec.Struct, frozen=True):
    """Units of a SKU that an order needs."""

    sku: str
    quantity: int


class ReserveStock(msgspec.Struct, frozen=True):
    """Promises units to an order, all lines or none, until they are sold, released or expired."""

    tenant_id: UUID
    order_id: UUID
    wants: tuple[Want, ...]
    expires_at: datetime | None
    cause: Cause


class StockRef(msgspec.Struct, frozen=True):
    """What is held for an order of a tenant, and why it is spoken of."""

    tenant_id: UUID
    order_id: UUID
    cause: Cause


class Restock(msgspec.Struct, frozen=True):
    """Puts sold units of an order back on the shelf."""

    tenant_id: UUID
    order_id: UUID
    units: tuple[Want, ...]
    cause: Cause


@event(topic="inventory", key="order_id")
class StockReserved(msgspec.Struct, frozen=True):
    """Every unit that the order wants is promised to it."""

    order_id: UUID


@event(topic="inventory", key="order_id")
class StockRefused(msgspec.Struct, frozen=True):
    """At least one line could not be filled, so nothing is promised."""

    order_id: UUID
    skus: tuple[str, ...]


@event(topic="inventory", key="order_id")
class StockReleased(msgspec.Struct, frozen=True):
    """What was promised to the order is available again."""

    order_id: UUID


class Reserved(msgspec.Struct, frozen=True):
    """The promise was made."""

    order_id: UUID
    wants: tuple[Want, ...]
    expires_at: datetime | None


class Inventory(Protocol):
    """What inventory offers to flows; every call is part of the caller's transaction."""

    async def reserve_stock(
        self, commands: Sequence[ReserveStock], *, tx: Tx, now: datetime
    ) -> list[Reserved | Refused]:
        """Decides in the order given; announces StockReserved or StockRefused for each."""
        ...

    async def commit_stock(self, refs: Sequence[StockRef], *, tx: Tx, now: datetime) -> None:
        """Turns what is promised to orders into sold units."""
        ...

    async def release_stock(self, refs: Sequence[StockRef], *, tx: Tx, now: datetime) -> None:
        """Makes what undone orders were promised or sold available again; harmless twice."""
        ...

    async def restock(self, commands: Sequence[Restock], *, tx: Tx, now: datetime) -> None:
        """Puts returned units back: sold goes down, available goes up."""
        ...


class Receiving(Protocol):
    """What inventory offers to sign-up; the call is part of the caller's transaction."""

    async def receive_stock(
        self, tenant_id: UUID, wants: Sequence[Want], cause: Cause, *, tx: Tx, now: datetime
    ) -> None:
        """Receives units at the main location."""
        ...


class StockTestimony(msgspec.Struct, frozen=True):
    """What is promised to an order, and what was sold to it, returned units included."""

    order_id: UUID
    reserved: int
    sold: int


class StockWitness(Protocol):
    """Tells what stock says of orders, for those who compare it with what others say."""

    async def tell_stock(
        self, tenant_id: UUID, *, after: UUID, until: UUID, tx: Tx
    ) -> list[StockTestimony]:
        """Of all orders with ids above one and up to another."""
        ...
