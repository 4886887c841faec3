"""What may leave, what stays behind, and what is refused."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from msgspec.structs import replace

from serai.contexts.shipping import model
from serai.contexts.shipping.contract import (
    SHIPMENTS_MAX,
    TRACKING_EVENTS_MAX,
    ShipmentStatus,
    ShippedLine,
)
from serai.contexts.shipping.gateways import ManualCarrier
from serai.contexts.shipping.model import Booking, Shipment, Split, TrackingEvent, Units
from serai.contexts.shipping.ports import Parcel
from serai.kernel.failure import Refused
from tests.unit.fulfilment_fakes import NOW

TENANT, ORDER = UUID(int=1), UUID(int=2)
FIRST, REST = UUID(int=3), UUID(int=4)
LINES = (ShippedLine(1, "MUG", 5), ShippedLine(2, "TEA", 2))
WAITING = Shipment(TENANT, FIRST, ORDER, 1, "pending", LINES, NOW)
POST = Booking("Post", "T1")


def dispatch(
    shipment: Shipment, units: list[Units] | None = None, siblings: int = 1
) -> Split | Refused:
    return model.dispatch(shipment, units, POST, siblings=siblings, remainder_id=REST, now=NOW)


def test_without_lines_everything_leaves_and_nothing_stays() -> None:
    left = replace(
        WAITING,
        status="dispatched",
        carrier="Post",
        tracking_number="T1",
        dispatched_at=NOW,
        version=2,
    )
    assert dispatch(WAITING) == Split(left, None)


def test_what_is_not_named_waits_in_a_shipment_of_its_own() -> None:
    split = dispatch(WAITING, [Units(1, 3)], siblings=4)
    assert isinstance(split, Split)
    assert split.left.lines == (ShippedLine(1, "MUG", 3),)
    rest = (ShippedLine(1, "MUG", 2), ShippedLine(2, "TEA", 2))
    assert split.remainder == Shipment(TENANT, REST, ORDER, 5, "pending", rest, NOW)


def test_naming_every_unit_leaves_nothing_behind() -> None:
    split = dispatch(WAITING, [Units(2, 2), Units(1, 5)])
    assert isinstance(split, Split)
    assert (split.left.lines, split.remainder) == (LINES, None)


@pytest.mark.parametrize(
    ("units", "code"),
    [
        ([Units(1, 6)], "nothing_to_ship"),
        ([Units(3, 1)], "nothing_to_ship"),
        ([Units(1, 1), Units(1, 1)], "invalid"),
        ([Units(1, 0)], "invalid"),
        ([], "invalid"),
    ],
)
def test_units_that_do_not_wait_here_do_not_leave(units: list[Units], code: str) -> None:
    refused = dispatch(WAITING, units)
    assert isinstance(refused, Refused)
    assert refused.code == code


@pytest.mark.parametrize("status", ["dispatched", "delivered", "cancelled"])
def test_only_a_pending_shipment_can_be_dispatched(status: ShipmentStatus) -> None:
    refused = dispatch(replace(WAITING, status=status))
    assert isinstance(refused, Refused)
    assert (refused.code, refused.status, refused.facts) == (
        "illegal_state", 409, {"status": status},
    )  # fmt: skip


def test_an_order_is_not_split_without_end() -> None:
    refused = dispatch(WAITING, [Units(1, 1)], siblings=SHIPMENTS_MAX)
    assert isinstance(refused, Refused)
    assert refused.code == "too_many_shipments"
    assert isinstance(dispatch(WAITING, siblings=SHIPMENTS_MAX), Split)


def event(status: str, occurred_at: datetime = NOW) -> TrackingEvent:
    return TrackingEvent(TENANT, FIRST, UUID(int=9), status, "", occurred_at)


ON_ROAD = replace(WAITING, status="dispatched", carrier="Post", dispatched_at=NOW)


def test_news_of_a_parcel_is_counted_and_changes_nothing_else() -> None:
    assert model.track(ON_ROAD, event("in_transit"), now=NOW) == replace(
        ON_ROAD, version=2, tracking_count=1
    )


def test_delivered_ends_a_shipment_at_the_time_the_carrier_says() -> None:
    arrived_at = NOW - timedelta(hours=2)
    assert model.track(ON_ROAD, event("delivered", arrived_at), now=NOW) == replace(
        ON_ROAD, status="delivered", delivered_at=arrived_at, version=2, tracking_count=1
    )


@pytest.mark.parametrize("status", ["pending", "delivered", "cancelled"])
def test_only_a_parcel_on_the_road_is_tracked(status: ShipmentStatus) -> None:
    refused = model.track(replace(ON_ROAD, status=status), event("in_transit"), now=NOW)
    assert isinstance(refused, Refused)
    assert refused.code == "illegal_state"


@pytest.mark.parametrize(
    "occurred_at", [datetime(1999, 12, 31, tzinfo=UTC), NOW + timedelta(days=1, seconds=1)]
)
def test_news_from_another_age_is_refused(occurred_at: datetime) -> None:
    refused = model.track(ON_ROAD, event("in_transit", occurred_at), now=NOW)
    assert isinstance(refused, Refused)
    assert refused.code == "invalid"


def test_a_shipment_is_not_tracked_without_end() -> None:
    full = replace(ON_ROAD, tracking_count=TRACKING_EVENTS_MAX)
    refused = model.track(full, event("delivered"), now=NOW)
    assert isinstance(refused, Refused)
    assert refused.code == "too_many_tracking_events"


def test_undoing_an_order_cancels_what_waits() -> None:
    gone = replace(WAITING, status="cancelled", version=2)
    assert model.cancel([WAITING]) == [gone]
    assert model.cancel([gone]) == []


@pytest.mark.parametrize("status", ["dispatched", "delivered"])
def test_an_order_with_goods_on_the_road_cannot_be_undone(status: ShipmentStatus) -> None:
    assert model.cancel([WAITING, replace(ON_ROAD, id=REST, status=status)]) is None


def test_ids_are_made_of_others_always_the_same_and_in_their_order() -> None:
    early, late = (UUID("0190a000-0000-7000-8000-00000000000" + n) for n in "12")
    assert model.first_id(early) == model.first_id(early) != early
    assert (model.first_id(early).int >> 64, model.first_id(early).version) == (early.int >> 64, 7)
    assert len({model.first_id(early), model.first_id(late), model.stub_id(early), early}) == 4


async def test_the_manual_carrier_keeps_what_it_is_told() -> None:
    book = ManualCarrier().book
    assert await book(Parcel("k", None, None)) == Booking("manual", None)
    assert await book(Parcel("k", "Post", "T1")) == Booking("Post", "T1")
