"""What the contexts say of an order: each way in which they can disagree is seen."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from serai.contexts.inventory.contract import StockTestimony
from serai.contexts.orders.contract import OrderTestimony
from serai.contexts.payments.contract import PaymentTestimony
from serai.contexts.shipping.contract import ShipmentTestimony
from serai.flows.agreement import Case, disagreements

ORDER = UUID(int=1)
BEFORE = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
OLD, NEW = BEFORE - timedelta(seconds=1), BEFORE
CONFIRMED = Case(
    OrderTestimony(
        ORDER, "confirmed", is_unpaid=False, total_minor=900, captured_minor=900,
        refunded_minor=100, has_email=True, settled_at=OLD, units=3, shipped=2,
    ),
    StockTestimony(ORDER, 0, 3),
    PaymentTestimony(ORDER, "captured", 900, 0, 100, OLD),
    ShipmentTestimony(ORDER, 1, 2, OLD),
)  # fmt: skip
CANCELLED = Case(
    OrderTestimony(
        ORDER, "cancelled", is_unpaid=False, total_minor=900, captured_minor=0,
        refunded_minor=0, has_email=True, settled_at=OLD, units=3, shipped=0,
    ),
    StockTestimony(ORDER, 0, 0),
    PaymentTestimony(ORDER, "withdrawn", 900, 400, 500, OLD),
    ShipmentTestimony(ORDER, 0, 0, OLD),
)  # fmt: skip


def said(case: Case) -> list[str]:
    return list(disagreements(case, before=BEFORE))


def changed(case: Case, part: str, **values: Any) -> Case:
    """The case with some of one witness's words changed."""
    parts = {name: getattr(case, name) for name in ("order", "stock", "payment", "shipment")}
    return Case(**(parts | {part: msgspec.structs.replace(parts[part], **values)}))


def without(case: Case, part: str) -> Case:
    parts = {name: getattr(case, name) for name in ("order", "stock", "payment", "shipment")}
    return Case(**(parts | {part: None}))


@pytest.mark.parametrize(
    "case",
    [
        CONFIRMED,
        CANCELLED,
        Case(CANCELLED.order, None, None, None),
        changed(CONFIRMED, "order", status="placed"),
        changed(CONFIRMED, "payment", status="authorised"),
        without(changed(CONFIRMED, "order", total_minor=0, captured_minor=0), "payment"),
        changed(CONFIRMED, "payment", refunded_minor=900, moved_at=NEW),
        changed(CONFIRMED, "shipment", waiting=0, sent=3, moved_at=NEW),
        without(changed(CONFIRMED, "order", settled_at=NEW, shipped=0), "shipment"),
        changed(changed(CONFIRMED, "order", is_unpaid=True), "payment", status="declined"),
        Case(None, StockTestimony(ORDER, 5, 0), None, None),
    ],
)
def test_what_fits_or_is_still_on_its_way_is_no_finding(case: Case) -> None:
    assert said(case) == []


def test_an_order_that_was_paid_and_then_cancelled_has_a_captured_payment_given_back() -> None:
    given_back = changed(CANCELLED, "payment", status="captured")
    assert said(given_back) == []


@pytest.mark.parametrize(
    ("case", "word"),
    [
        (without(CONFIRMED, "stock"), "3 units are confirmed, 0 are sold"),
        (changed(CONFIRMED, "stock", sold=2), "2 are sold"),
        (changed(CONFIRMED, "stock", reserved=1), "1 reserved"),
        (without(CONFIRMED, "payment"), "has no payment"),
        (changed(CONFIRMED, "payment", status="declined"), "its payment is declined"),
        (changed(CONFIRMED, "payment", captured_minor=901), "captured are 901"),
        (changed(CONFIRMED, "payment", refunded_minor=99), "refunded are 99"),
        (without(CONFIRMED, "shipment"), "0 units are in shipments"),
        (changed(CONFIRMED, "shipment", waiting=999), "1001 units are in shipments"),
        (changed(CONFIRMED, "shipment", waiting=0, sent=3), "has sent 3 units, the order counts 2"),
        (changed(CANCELLED, "stock", sold=3), "holds 3 units"),
        (changed(CANCELLED, "stock", reserved=2), "holds 2 units"),
        (changed(CANCELLED, "shipment", waiting=1), "has a shipment"),
        (changed(CANCELLED, "payment", refunded_minor=499), "keeps 1 minor units"),
        (changed(CANCELLED, "payment", status="authorised"), "its payment is still held"),
        (Case(None, StockTestimony(ORDER, 0, 2), None, None), "2 units are sold to an order"),
        (Case(None, None, CONFIRMED.payment, None), "a payment for an order that does not"),
        (Case(None, None, None, CONFIRMED.shipment), "a shipment for an order that does not"),
    ],
)
def test_each_disagreement_is_said_once(case: Case, word: str) -> None:
    assert len(said(case)) == 1
    assert word in said(case)[0]
