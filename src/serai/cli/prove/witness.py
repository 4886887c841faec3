"""What is true once the faults have stopped: read over HTTP, from the provider's book and inside.

The provider's book is asked over the provider's own HTTP, since what it took is its word and not
ours. The kernel is asked for what nobody outside can see: flows that still run, events nobody
handled.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from serai.cli.check import Report, check_tenants
from serai.cli.inside import go_inside
from serai.cli.prove.ground import Ground
from serai.cli.prove.plan import APIS
from serai.cli.prove.wire import NoAnswer, Wire
from serai.contexts.orders.contract import OrderCancelled, OrderConfirmed, OrderPlaced
from serai.contexts.payments.contract import PaymentCaptured, PaymentRequested
from serai.kernel import dlq, remains
from serai.kernel.failure import Unavailable
from serai.kernel.remains import RepeatedEvent, RunningFlow, UnhandledEvent
from serai.roles.composition import Composition

PAGE: Final = 200
READ_TIMEOUT_S: Final = 20.0
READ_TRIES_MAX: Final = 10
READ_PAUSE_S: Final = 0.5
REST_POLL_S: Final = 0.5
ONCE: Final = (OrderPlaced, OrderConfirmed, OrderCancelled, PaymentRequested, PaymentCaptured)
"""What may be announced once about an order, and never again."""

T = TypeVar("T")


class OrderSeen(msgspec.Struct, frozen=True):
    """An order as the API shows it at the end."""

    id: str
    status: str
    reason: str | None
    total_minor: int
    captured_minor: int
    refunded_minor: int
    reference: str | None


class PaymentSeen(msgspec.Struct, frozen=True):
    """A payment as the API shows it at the end."""

    order_id: str
    status: str
    captured_minor: int
    refunding_minor: int
    refunded_minor: int


class ReturnedUnits(msgspec.Struct, frozen=True):
    """Units of a SKU that came back."""

    sku: str
    quantity: int


class ReturnSeen(msgspec.Struct, frozen=True):
    """A return as the API shows it at the end."""

    id: str
    order_id: str
    status: str
    refund_minor: int
    is_restocked: bool
    lines: list[ReturnedUnits]


class StockSeen(msgspec.Struct, frozen=True):
    """A stock item as the API shows it at the end."""

    sku: str
    received: int
    available: int
    reserved: int
    sold: int
    written_off: int


class MessageSeen(msgspec.Struct, frozen=True):
    """A message to a customer."""

    order_id: str
    kind: str


class ShipmentSeen(msgspec.Struct, frozen=True):
    """A shipment."""

    id: str
    order_id: str
    status: str


class ChargeSeen(msgspec.Struct, frozen=True):
    """A charge in the provider's book; its reference is the order's id."""

    key: str
    reference: str
    status: str
    authorised_minor: int
    captured_minor: int
    refunded_minor: int


class Remains(msgspec.Struct, frozen=True):
    """What the kernel still had before it when the time to rest was over."""

    flows: list[RunningFlow] = []
    unhandled: list[UnhandledEvent] = []
    parked: list[str] = []

    @property
    def is_empty(self) -> bool:
        """Whether everything had come to its end."""
        return not (self.flows or self.unhandled or self.parked)


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the history is held against."""

    orders: list[OrderSeen]
    payments: list[PaymentSeen]
    returns: list[ReturnSeen]
    stock: list[StockSeen]
    messages: list[MessageSeen]
    shipments: list[ShipmentSeen]
    book: list[ChargeSeen]
    remains: Remains
    repeated: list[RepeatedEvent]
    check: Report


async def await_rest(ground: Ground, patience_s: float) -> Remains:
    """Waits until nothing is under way any more, or the patience is over; what is left then."""
    deadline = time.monotonic() + patience_s
    async with go_inside(ground.inside) as house:
        while True:
            left = await _remains(ground, house)
            if (left.is_empty and await _is_settled(ground)) or time.monotonic() > deadline:
                return left
            await asyncio.sleep(REST_POLL_S)


async def gather_evidence(ground: Ground, left: Remains) -> Evidence:
    """Reads everything there is."""
    assert ground.tenant is not None
    tenant = ground.tenant
    wire = Wire(ground.direct_ports[APIS[0]], ground.key)
    provider = Wire(ground.provider_port)
    try:
        book = await _book(provider)
        orders = await _pages(wire, "/v1/orders", OrderSeen)
        payments = await _pages(wire, "/v1/payments", PaymentSeen)
        returns = await _pages(wire, "/v1/returns", ReturnSeen)
        stock = await _pages(wire, "/v1/stock-items", StockSeen)
        messages = await _pages(wire, "/v1/notifications", MessageSeen)
        shipments = await _pages(wire, "/v1/shipments", ShipmentSeen)
    finally:
        wire.close()
        provider.close()
    async with go_inside(ground.inside) as house:
        home = await house.homes.home_of(tenant.id)
        async with house.database.transaction(home, (tenant.id,), is_report=True) as tx:
            repeated = await remains.list_repeated_events(tenant.id, ONCE, tx=tx)
        report = await check_tenants(house, [tenant], is_quiet=True)
    return Evidence(
        orders=orders, payments=payments, returns=returns, stock=stock, messages=messages,
        shipments=shipments, book=book, remains=left, repeated=repeated, check=report,
    )  # fmt: skip


async def _remains(ground: Ground, house: Composition) -> Remains:
    assert ground.tenant is not None
    tenant_id = ground.tenant.id
    home = await house.homes.home_of(tenant_id)
    async with house.database.transaction(home, (tenant_id,), is_report=True) as tx:
        flows = await remains.list_running_flows(tenant_id, tx=tx)
        unhandled = await remains.list_unhandled_events(tenant_id, house.consumers, tx=tx)
    letters = await dlq.list_letters(house.database, home)
    parked = [f"{x.group} {x.type} of {x.key}, {x.state}: {x.error}" for x in letters]
    return Remains(flows, unhandled, parked)


async def _is_settled(ground: Ground) -> bool:
    """Whether no payment, refund or return waits for the provider's word."""
    wire = Wire(ground.direct_ports[APIS[0]], ground.key)
    try:
        payments = await _pages(wire, "/v1/payments", PaymentSeen)
        returns = await _pages(wire, "/v1/returns", ReturnSeen)
    finally:
        wire.close()
    return not (
        any(is_open(payment) for payment in payments)
        or any(one.status == "accepted" for one in returns)
    )


def is_open(payment: PaymentSeen) -> bool:
    """Whether the provider's last word on it is still to come."""
    return payment.status in {"requested", "unknown"} or payment.refunding_minor > 0


async def _pages(wire: Wire, path: str, kind: type[T]) -> list[T]:
    """Every item of a list."""
    items: list[T] = []
    cursor = ""
    while True:
        query = f"?limit={PAGE}" + (f"&cursor={cursor}" if cursor else "")
        page = await _read(wire, path + query)
        items += msgspec.convert(page["items"], list[kind])  # type: ignore[valid-type]
        cursor = page["next"] or ""
        if not cursor:
            return items


async def _book(wire: Wire) -> list[ChargeSeen]:
    charges: list[ChargeSeen] = []
    after = 0
    while True:
        page = await _read(wire, f"/v1/book?after={after}&limit={PAGE}")
        charges += msgspec.convert(page["charges"], list[ChargeSeen])
        if page["next_after"] is None:
            return charges
        after = page["next_after"]


async def _read(wire: Wire, path: str) -> Any:
    """What a path answers, asked again while it does not; nobody is attacked any more."""
    said = ""
    for _ in range(READ_TRIES_MAX):
        try:
            reply = await wire.get(path, timeout_s=READ_TIMEOUT_S)
        except NoAnswer as silence:
            said = str(silence)
        else:
            if reply.is_ok:
                return reply.read()
            said = f"{reply.status} {reply.code}"
        await asyncio.sleep(READ_PAUSE_S)
    raise Unavailable(f"{path} cannot be read although the faults have stopped: {said}")


def count_by(items: list[T], key: Callable[[T], str]) -> dict[str, int]:
    """How many items there are of each kind."""
    counts: dict[str, int] = {}
    for item in items:
        counts[key(item)] = counts.get(key(item), 0) + 1
    return dict(sorted(counts.items()))
