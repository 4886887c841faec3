"""Carriers: so far the one that people make."""

from serai.contexts.shipping.model import Booking
from serai.contexts.shipping.ports import Parcel

MANUAL = "manual"


class ManualCarrier:
    """Someone brings the parcels to the post: nothing is booked outside, a known number is kept."""

    async def book(self, parcel: Parcel) -> Booking:
        return Booking(parcel.carrier or MANUAL, parcel.tracking_number)
