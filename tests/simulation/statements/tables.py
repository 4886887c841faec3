"""The tables of the migrations: their keys, what must be unique, what a CHECK forbids.

A condition over NULL is not false, so a check of a nullable column lets NULL pass, as SQL does.
"""

import re
from typing import Any

import msgspec

from tests.simulation.rows import Row, Table

_json_length = msgspec.json.Decoder(list[msgspec.Raw]).decode
_TENANT_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_CURRENCY = re.compile(r"[A-Z]{3}")
_PRICE_MAX = 1_000_000_000_000


def _within(value: int | None, low: int, high: int) -> bool:
    return value is None or low <= value <= high


def _transport(name: str, *key: str, **more: Any) -> Table:
    return Table(f"kernel.{name}", key, is_transport=True, **more)


def _dead_letter(row: Row) -> bool:
    return row["state"] in {"retrying", "dead"}


KERNEL = [
    _transport("outbox", "topic", "partition", "xid", "seq", indexes=[("topic", "partition")]),
    Table(
        "kernel.leases",
        ("group_name", "partition"),
        is_walled=False,
        indexes=[("owner",), ("group_name",)],
    ),
    Table(
        "kernel.positions",
        ("group_name", "topic", "partition"),
        is_walled=False,
        indexes=[("group_name",)],
    ),
    Table("kernel.members", ("group_name", "worker"), is_walled=False),
    _transport("inbox", "group_name", "event_id", indexes=[("group_name",)]),
    _transport(
        "dead_letters",
        "group_name",
        "event_id",
        checks={"state": _dead_letter},
        indexes=[("group_name",)],
    ),
    # Running flows, as PostgreSQL's own partial index: what has ended is under another value.
    _transport("flows", "tenant_id", "flow", "key", indexes=[("ended_at",)]),
    _transport("idempotency_keys", "tenant_id", "key"),
    Table(
        "kernel.data_keys",
        ("tenant_id", "subject"),
        is_transport=True,
        checks={"key": lambda row: len(row["serial"]) == 4 and row["root"] > 0},
    ),
    Table(
        "kernel.root_keys",
        ("tenant_id", "number"),
        checks={"number": lambda row: row["number"] > 0 and row["tenant_id"].int == 0},
        indexes=[("tenant_id",)],
    ),
]


def _order(row: Row) -> bool:
    return bool(
        row["status"] in {"placed", "confirmed", "cancelled"}
        and row["reason"] in {None, "out_of_stock", "payment_declined", "expired", "requested"}
        and (row["status"] == "cancelled") == (row["reason"] is not None)
        and 0 <= row["refunded_minor"] <= row["captured_minor"] <= row["total_minor"]
    )


def _line(row: Row) -> bool:
    return bool(
        row["quantity"] > 0
        and row["unit_price"] >= 0
        and row["amount_minor"] >= 0
        and 0 <= row["shipped"] <= row["quantity"]
        and 0 <= row["returned"] <= row["quantity"]
        and 0 <= row["refund_minor"] <= row["amount_minor"]
    )


ORDERS = [
    Table("orders.orders", ("tenant_id", "id"), checks={"order": _order}),
    Table(
        "orders.lines",
        ("tenant_id", "order_id", "line_no"),
        checks={"line": _line},
        indexes=[("tenant_id", "order_id")],
    ),
]


def _stock_item(row: Row) -> bool:
    available, reserved, sold = row["available"], row["reserved"], row["sold"]
    written_off = row["written_off"]
    return bool(
        available >= 0
        and reserved >= 0
        and sold >= 0
        and written_off >= 0
        and row["received"] == available + reserved + sold + written_off
    )


def _reservation(row: Row) -> bool:
    return (
        row["quantity"] > 0
        and row["state"] in {"reserved", "sold", "released"}
        and 0 <= row["returned"] <= row["quantity"]
    )


def _movement(row: Row) -> bool:
    return row["quantity"] > 0 and row["kind"] in {
        "receipt", "write_off", "sale", "return", "transfer_in", "transfer_out",
    }  # fmt: skip


INVENTORY = [
    Table("inventory.locations", ("tenant_id", "code")),
    Table(
        "inventory.stock_items",
        ("tenant_id", "sku", "location"),
        checks={"every_unit_is_somewhere": _stock_item},
        indexes=[("tenant_id", "sku")],
    ),
    Table(
        "inventory.reservations",
        ("tenant_id", "order_id", "sku", "location"),
        checks={"reservation": _reservation},
        indexes=[("tenant_id", "order_id"), ("tenant_id", "state")],
    ),
    Table(
        "inventory.movements",
        ("tenant_id", "sku", "id"),
        checks={"movement": _movement},
        indexes=[("tenant_id", "sku")],
    ),
]

_INTENT_STATUSES = {
    "awaiting", "requested", "authorised", "captured", "declined", "unknown", "withdrawn",
}  # fmt: skip


def _intent(row: Row) -> bool:
    status, amount, captured = row["status"], row["amount_minor"], row["captured_minor"]
    asked = row["capture_asked_minor"]
    return (
        status in _INTENT_STATUSES
        and len(row["currency"]) == 3
        and _within(asked, 1, amount)
        and row["refunding_minor"] >= 0
        and row["refunded_minor"] >= 0
        and row["refunded_minor"] + row["refunding_minor"] <= captured <= amount
        and (captured == 0 or status in {"captured", "declined", "withdrawn"})
        and (asked is None or status == "authorised")
        and (row["card"] is not None or status not in {"requested", "unknown"})
    )


def _refund(row: Row) -> bool:
    return (
        row["status"] in {"requested", "settled", "unknown", "failed"}
        and row["amount_minor"] > 0
        and len(row["currency"]) == 3
    )


PAYMENTS = [
    Table(
        "payments.intents",
        ("tenant_id", "order_id"),
        checks={"intent": _intent},
        indexes=[("tenant_id",)],
    ),
    Table(
        "payments.refunds",
        ("tenant_id", "refund_id"),
        checks={"refund": _refund},
        indexes=[("order_id",), ("tenant_id",)],
    ),
    Table(
        "payments.looks",
        ("tenant_id", "kind", "thing_id"),
        checks={"kind": lambda row: row["kind"] in {"intent", "refund"}},
        indexes=[("tenant_id",)],
    ),
]


def _shipment(row: Row) -> bool:
    status, is_dispatched = row["status"], row["dispatched_at"] is not None
    return (
        row["number"] > 0
        and status in {"pending", "dispatched", "delivered", "cancelled"}
        and (status == "cancelled" or len(_json_length(row["lines"])) > 0)
        and (status in {"dispatched", "delivered"}) == is_dispatched
        and (status == "delivered") == (row["delivered_at"] is not None)
        and (not is_dispatched or row["carrier"] is not None)
    )


SHIPPING = [
    Table(
        "shipping.shipments",
        ("tenant_id", "id"),
        unique={"shipments_order": ("tenant_id", "order_id", "number")},
        checks={"shipment": _shipment},
        indexes=[("tenant_id", "order_id"), ("tenant_id",)],
    ),
    Table(
        "shipping.tracking_events",
        ("tenant_id", "shipment_id", "id"),
        indexes=[("tenant_id", "shipment_id")],
    ),
]


def _return(row: Row) -> bool:
    return (
        row["status"] in {"requested", "declined", "accepted", "refunded", "refund_failed"}
        and row["refund_minor"] >= 0
        and len(_json_length(row["lines"])) > 0
        and (row["status"] == "refunded") == (row["settled_at"] is not None)
    )


RETURNS = [
    Table(
        "returns.returns",
        ("tenant_id", "id"),
        checks={"return": _return},
        indexes=[("tenant_id", "order_id"), ("tenant_id",)],
    ),
]


def _message(row: Row) -> bool:
    return (
        row["status"] in {"queued", "sending", "sent", "failed", "skipped"}
        and row["round"] > 0
        and (row["status"] == "sent") == (row["sent_at"] is not None)
    )


NOTIFICATIONS = [
    Table("notifications.contacts", ("tenant_id", "order_id")),
    Table(
        "notifications.messages",
        ("tenant_id", "id"),
        checks={"message": _message},
        indexes=[("tenant_id", "status"), ("tenant_id", "order_id"), ("tenant_id",)],
    ),
    Table("notifications.sender", ("is_here",), is_walled=False),
    Table(
        "notifications.templates",
        ("tenant_id", "kind"),
        checks={"version": lambda row: row["version"] > 0},
    ),
]

TENANCY = [
    Table(
        "tenancy.tenants",
        ("tenant_id",),
        is_transport=True,
        unique={"tenants_name_key": ("name",)},
        checks={"name": lambda row: _TENANT_NAME.fullmatch(row["name"]) is not None},
        indexes=[("home",)],
    ),
    Table(
        "tenancy.api_keys",
        ("tenant_id", "key_id"),
        checks={"key": lambda row: len(row["digest"]) == 32 and len(row["scopes"]) > 0},
        indexes=[("tenant_id",)],
    ),
]


def _product(row: Row) -> bool:
    return bool(
        row["handle"]
        and row["title"]
        and row["version"] > 0
        and row["status"] in {"draft", "published", "archived"}
    )


def _price(row: Row) -> bool:
    return (
        _CURRENCY.fullmatch(row["currency"]) is not None and 0 <= row["amount_minor"] <= _PRICE_MAX
    )


CATALOG = [
    Table(
        "catalog.products",
        ("tenant_id", "product_id"),
        unique={"products_handle": ("tenant_id", "handle")},
        checks={"product": _product},
    ),
    Table(
        "catalog.variants",
        ("tenant_id", "variant_id"),
        unique={"variants_sku": ("tenant_id", "sku")},
        checks={"variant": lambda row: bool(row["sku"] and row["version"] > 0)},
        indexes=[("tenant_id", "sku")],
    ),
    Table(
        "catalog.prices",
        ("tenant_id", "product_id", "variant_id", "currency"),
        checks={"price": _price},
    ),
]


def _entry(row: Row) -> bool:
    return bool(
        row["seq"] > 0
        and row["actor_kind"] in {"key", "staff", "customer", "app", "operator", "system"}
        and len(row["previous"]) == len(row["hash"]) == HASH_BYTES
    )


HASH_BYTES = 32
AUDIT = [
    Table("audit.entries", ("tenant_id", "seq"), checks={"entry": _entry},
          indexes=[("tenant_id",)]),
    Table("audit.anchors", ("tenant_id", "seq"), indexes=[("tenant_id",)]),
]  # fmt: skip

TABLES: list[Table] = [
    *KERNEL, *ORDERS, *INVENTORY, *PAYMENTS, *SHIPPING, *RETURNS, *NOTIFICATIONS, *TENANCY,
    *CATALOG, *AUDIT,
]  # fmt: skip
