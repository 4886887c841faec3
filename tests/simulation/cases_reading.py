"""Questions to ask of a history that has ended: every statement that reads, on every side of it."""

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from tests.simulation.recording import Rows, Said

FIRST, LAST = UUID(int=0), UUID(int=2**128 - 1)
NOBODY = UUID(int=7)
"""An id that nothing has."""
LONG_AGO, LATER = datetime(2000, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)

_TEXTS = {
    ("kernel.idempotency_keys", "key"), ("inventory.stock_items", "sku"),
    ("notifications.templates", "kind"),
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Case:
    """One transaction that is said to both sides."""

    tenants: tuple[UUID, ...]
    said: tuple[Said, ...]
    is_transport: bool = False
    is_read_only: bool = False


class Scene:
    """The things of a history, by which a case names them."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.tenants = tuple(row["tenant_id"] for row in rows["tenancy.tenants"])

    def ids(self, table: str, column: str, tenant: UUID) -> list[Any]:
        """A column of a tenant's rows, with an id that is not there in their midst."""
        found = [row[column] for row in self.rows[table] if row["tenant_id"] == tenant]
        found = list(dict.fromkeys(found))
        nothing = "nothing" if (table, column) in _TEXTS else NOBODY
        return [*found[:1], nothing, *found[1:]]

    def pairs(self, table: str, column: str) -> tuple[list[UUID], list[Any]]:
        """All of them side by side with their tenants, the last first, some twice or strayed."""
        found = [
            (tenant, thing) for tenant in self.tenants for thing in self.ids(table, column, tenant)
        ]
        strayed = [(NOBODY, thing) for _, thing in found[:1]]
        asked = [*reversed(found), *strayed]
        return [tenant for tenant, _ in asked], [thing for _, thing in asked]


def reading_cases(rows: Rows) -> Iterator[Case]:
    """Every statement that reads."""
    scene = Scene(rows)
    shared = [
        *_kernel(scene), *_directory(scene), *_by_pairs(scene),
    ]  # fmt: skip
    yield Case(scene.tenants, tuple(shared), is_transport=True)
    # The same behind the wall: what is not the transaction's does not show.
    yield Case(scene.tenants[:1], tuple(shared))
    yield Case((), tuple(shared))
    for tenant in scene.tenants:
        said = tuple(_of_tenant(scene, tenant))
        yield Case((tenant,), said)
        yield Case(tuple(set(scene.tenants) - {tenant}), said)


def _kernel(scene: Scene) -> Iterator[Said]:
    keys = [row["key"] for row in scene.rows["kernel.dead_letters"]]
    letters = [row["event_id"] for row in scene.rows["kernel.dead_letters"]]
    for group in ("orders", "checkout", "nobody"):
        yield "kernel.list_positions", group, [0, 3, 3, 99]
        yield "kernel.list_blocked_keys", group, [*keys, *keys, NOBODY]
        yield "kernel.list_due_letters", group, LATER, 2, [0, 1, 2, 3, 4, 5, 6, 7]
        yield "kernel.list_due_letters", group, LATER, 20, [1, 2, 3]
        yield "kernel.list_due_letters", group, LONG_AGO, 20, [0, 1, 2, 3, 4, 5, 6, 7]
        yield "kernel.list_letters", group, None, None, 2
    for letter in (*letters[:2], NOBODY):
        yield "kernel.list_letters", None, letter, None, 5
        yield "kernel.list_letters", None, None, letter, 5
    yield "kernel.list_letters", None, None, None, 50
    for worker in {row["owner"] for row in scene.rows["kernel.leases"]} - {None} | {NOBODY}:
        yield "kernel.list_leases", worker
    yield "kernel.count_members", ["orders", "checkout", "nobody"], 60.0
    yield "kernel.count_members", ["orders", "orders"], 0.001
    yield ("kernel.count_lag", 2)
    yield ("kernel.count_running_flows",)
    yield ("kernel.read_horizon",)
    yield ("kernel.list_departed",)
    yield "kernel.admit_tenants", [NOBODY], False
    for limit in (1, 50):
        yield "kernel.fetch_events", *_places(scene), limit, _types(scene), _newest(scene)
        yield "kernel.gather_facts", *_places(scene), limit, _newest(scene)
    yield "kernel.count_unserved", ["orders", "orders", "nobody"]
    yield "kernel.list_due_flows", LATER, 1
    yield "kernel.list_due_flows", LONG_AGO, 10
    yield "kernel.find_flows", "checkout", *scene.pairs("kernel.flows", "key")
    yield "kernel.find_answers", *scene.pairs("kernel.idempotency_keys", "key")


def _places(scene: Scene) -> tuple[list[str], list[int], list[str], list[int]]:
    """Every second partition from behind its first event, the others from their start."""
    first = {(r["topic"], r["partition"]): r for r in reversed(scene.rows["kernel.outbox"])}
    starts = [
        (row["xid"], row["seq"]) if number % 2 else (0, 0)
        for number, row in enumerate(first.values())
    ]
    return (
        [topic for topic, _ in first],
        [partition for _, partition in first],
        [str(xid) for xid, _ in starts],
        [seq for _, seq in starts],
    )


def _newest(scene: Scene) -> str:
    return str(max(row["xid"] for row in scene.rows["kernel.outbox"]))


def _types(scene: Scene) -> list[str]:
    """All but one."""
    return sorted({row["type"] for row in scene.rows["kernel.outbox"]})[1:]


def _directory(scene: Scene) -> Iterator[Said]:
    for tenant in (*scene.tenants, NOBODY):
        yield "contexts.tenancy.find_tenant", tenant
        yield "contexts.tenancy.find_home", tenant
        yield "contexts.tenancy.list_residents", "pooled", tenant, 5
    for name in ("shop-0", "nobody"):
        yield "contexts.tenancy.find_named_tenant", name
        yield "contexts.tenancy.list_tenants", name, 5
    yield "contexts.tenancy.list_tenants", "", 1
    yield "contexts.tenancy.list_residents", "pooled", None, 1
    yield "contexts.tenancy.list_residents", "elsewhere", None, 1
    yield ("contexts.tenancy.list_homes",)
    asked = [
        (tenant, sku, currency)
        for tenant in scene.tenants
        for sku in ("candle", "anvil", "nothing")
        for currency in ("EUR", "USD")
    ]
    yield "contexts.catalog.quote_skus", *map(list, zip(*asked, strict=True))


def _by_pairs(scene: Scene) -> Iterator[Said]:
    orders = scene.pairs("orders.orders", "id")
    for name in ("find_statuses", "list_settled", "list_lines", "lock_orders"):
        yield f"contexts.orders.{name}", *orders
    yield "contexts.inventory.list_sold", *orders
    yield "contexts.inventory.lock_limited", *orders
    yield "contexts.inventory.lock_levels", *scene.pairs("inventory.stock_items", "sku")
    yield "contexts.inventory.list_locations", [*scene.tenants, NOBODY]
    yield "contexts.inventory.list_expired", list(scene.tenants), LATER, 50
    yield "contexts.inventory.list_expired", list(scene.tenants), LONG_AGO, 50
    for name in ("list_requested", "find_intents", "lock_intents"):
        yield f"contexts.payments.{name}", *orders
    yield "contexts.payments.find_refunds", *scene.pairs("payments.refunds", "refund_id")
    yield "contexts.shipping.lock_orders", *orders
    yield "contexts.shipping.find_shipments_of_orders", *orders
    shipments = scene.pairs("shipping.shipments", "id")
    yield "contexts.shipping.lock_orders_of_shipments", *shipments
    yield "contexts.notifications.find_contacts", *orders
    yield "contexts.notifications.lock_messages", *scene.pairs("notifications.messages", "id")
    for name in ("find_templates", "lock_templates"):
        yield f"contexts.notifications.{name}", *scene.pairs("notifications.templates", "kind")


def _of_tenant(scene: Scene, tenant: UUID) -> Iterator[Said]:
    orders = scene.ids("orders.orders", "id", tenant)
    yield from _checks(scene, tenant)
    yield from _orders(tenant, orders)
    yield from _stock(scene, tenant, orders)
    yield from _payments(tenant, orders)
    yield from _parcels(scene, tenant, orders)
    yield from _messages(tenant, orders)
    yield from _audit(tenant)


def _audit(tenant: UUID) -> Iterator[Said]:
    here = "contexts.audit"
    yield f"{here}.find_anchor", tenant
    for seq in (0, 1, 3, 10**9):
        yield f"{here}.find_entry", tenant, seq
        yield f"{here}.read_piece", tenant, seq, 4


def _checks(scene: Scene, tenant: UUID) -> Iterator[Said]:
    heard = list({(row["topic"], row["type"]) for row in scene.rows["kernel.outbox"]})
    topics, types = [topic for topic, _ in heard], [kind for _, kind in heard]
    for group in ("notifications", "cases"):
        groups = [group] * len(heard)
        yield "kernel.check_handled", tenant, groups, topics, types, 5
        yield "kernel.list_unhandled_events", tenant, groups, types, 5
    yield "kernel.list_repeated_events", tenant, types, 5
    told = "audit.changes_recorded.v1"
    for group, limit in (("audit", 3), ("audit", 99), ("nobody", 9)):
        partition = tenant.int % 8
        yield "kernel.list_handled_events", tenant, "audit", partition, told, group, limit
    for moment in (LONG_AGO, LATER):
        yield "kernel.check_letters", tenant, moment, 2
        yield "kernel.check_flows", tenant, moment, 9
    yield "kernel.list_running_flows", tenant, 2


def _orders(tenant: UUID, orders: list[UUID]) -> Iterator[Said]:
    here = "contexts.orders"
    for order in orders:
        yield f"{here}.find_order", tenant, order
        yield f"{here}.list_orders", tenant, order, None, 2
    for ended in ("confirmed", "cancelled", None):
        yield f"{here}.list_orders", tenant, None, ended, 3
    for word in ("order-0", "order-1", "nobody"):
        for before in (None, LAST, *orders[:1]):
            yield f"{here}.list_orders_by_reference", tenant, before, word, 2
            yield f"{here}.list_orders_by_customer", tenant, before, word, 2
    yield f"{here}.list_unpaid_orders", tenant, None, 1
    yield f"{here}.list_unpaid_orders", tenant, orders[0], 5
    yield f"{here}.list_trusting", tenant, [*orders, orders[0]]
    yield f"{here}.tell_orders", tenant, FIRST, 2
    yield f"{here}.tell_orders", tenant, min(orders), 50
    yield "contexts.notifications.tell_unconfirmed", tenant, orders
    for here, verb in (("inventory", "stock"), ("payments", "payments"), ("shipping", "shipments")):
        yield f"contexts.{here}.tell_{verb}", tenant, FIRST, LAST
        yield f"contexts.{here}.tell_{verb}", tenant, min(orders), max(orders)
    here = "contexts.orders"
    yield f"{here}.sum_orders", tenant
    for late in (LONG_AGO, LATER):
        yield f"{here}.check_orders", tenant, late, 50


def _stock(scene: Scene, tenant: UUID, orders: list[UUID]) -> Iterator[Said]:
    here = "contexts.inventory"
    for order in orders:
        yield f"{here}.find_reservation", tenant, order
    yield f"{here}.list_stock", tenant, "", "", None, None, 2
    yield f"{here}.list_stock", tenant, "anvil", "main", None, None, 5
    yield f"{here}.list_stock", tenant, "anvil", "a", None, "main", 5
    yield f"{here}.list_stock", tenant, "", "", "bell", None, 5
    movements = [row["id"] for row in scene.rows["inventory.movements"]]
    for sku in ("anvil", "bell", "nothing"):
        for before in (None, *movements[-2:]):
            yield f"{here}.list_movements", tenant, sku, before, 3
    yield f"{here}.total_movements", tenant, "", 2
    yield f"{here}.total_movements", tenant, "anvil", 50
    yield f"{here}.check_levels", tenant, 50


def _payments(tenant: UUID, orders: list[UUID]) -> Iterator[Said]:
    here = "contexts.payments"
    for order in orders:
        yield f"{here}.find_payment", tenant, order
        yield f"{here}.list_refunds", tenant, order, 50
        yield f"{here}.list_payments", tenant, order, 2
        for status in ("captured", "declined", "withdrawn"):
            yield f"{here}.list_payments_by_status", tenant, status, LAST, order, 2
    for offset in (0, 1, 50):
        yield f"{here}.find_scan_end", tenant, LAST, offset
    yield f"{here}.list_payments", tenant, LAST, 50
    for moment in (LONG_AGO, LATER):
        yield f"{here}.list_ended", tenant, FIRST, moment, 1
        yield f"{here}.list_ended", tenant, min(orders), moment, 50
    for after in (None, orders[0]):
        yield f"{here}.list_given_up", tenant, after, 2
    yield f"{here}.check_captures", tenant, 50
    yield f"{here}.check_refunds", tenant, 50
    for moment in (LONG_AGO, LATER):
        yield f"{here}.check_open", tenant, moment, LATER, 50


def _parcels(scene: Scene, tenant: UUID, orders: list[UUID]) -> Iterator[Said]:
    here = "contexts.shipping"
    for shipment in scene.ids("shipping.shipments", "id", tenant):
        yield f"{here}.find_shipment", tenant, shipment
        yield f"{here}.list_tracking_events", tenant, shipment, 2
        yield f"{here}.list_shipments", tenant, shipment, 2
    for status in ("pending", "dispatched", "cancelled"):
        yield f"{here}.list_shipments_in_status", tenant, LAST, 2, status
        for order in orders:
            yield f"{here}.list_shipments_of_order", tenant, LAST, 2, status, order
    for order in orders:
        yield f"{here}.list_shipments_of_order", tenant, LAST, 2, None, order
        yield "contexts.returns.list_returns_of_order", tenant, LAST, 2, order
    for name in ("check_cancelled", "check_waiting", "check_delivered"):
        yield f"{here}.{name}", tenant, 50
    here = "contexts.returns"
    for one in scene.ids("returns.returns", "id", tenant):
        yield f"{here}.find_return", tenant, one
        yield f"{here}.list_returns", tenant, one, 5
    yield f"{here}.list_returns", tenant, LAST, 1
    yield f"{here}.check_returns", tenant, FIRST, 50


def _messages(tenant: UUID, orders: list[UUID]) -> Iterator[Said]:
    here = "contexts.notifications"
    yield f"{here}.list_messages", tenant, LAST, 3
    for status in ("queued", "sent", "skipped", "failed"):
        yield f"{here}.list_messages_in_status", tenant, LAST, 3, status
    for order in orders:
        for one in ("sent", None):
            yield f"{here}.list_messages_of_order", tenant, LAST, 3, one, order
    for moment in (LONG_AGO, LATER):
        yield f"{here}.check_overdue", tenant, moment, 50
