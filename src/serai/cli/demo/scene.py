"""What the board shows at one moment. Pure data: gathered by `watch`, drawn by `panels`."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

Standing = Literal["up", "not ready", "restarting"]


class OrderRow(msgspec.Struct, frozen=True):
    """One of the last orders; `fate` is its status, or the reason why it was cancelled."""

    order_id: UUID
    placed_at: datetime
    goods: str
    total_minor: int
    currency: str
    fate: str


class StockRow(msgspec.Struct, frozen=True):
    """A SKU with all its units; `shelf` is what a full shelf of it holds."""

    sku: str
    received: int
    available: int
    reserved: int
    sold: int
    shelf: int


class Counts(msgspec.Struct, frozen=True):
    """Orders of one stretch of time."""

    placed: int = 0
    confirmed: int = 0
    cancelled: int = 0


class PartRow(msgspec.Struct, frozen=True):
    """A process of the shop and how it stands."""

    name: str
    standing: Standing
    restarts: int = 0


class Addresses(msgspec.Struct, frozen=True):
    """Where the shop is reached, and a command that can be pasted."""

    api: str
    docs: str
    metrics: str
    curl: str


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """Everything on the board. None stands for what nobody can tell at the moment."""

    title: str
    addresses: Addresses
    up_s: float
    parts: tuple[PartRow, ...] = ()
    this_run: Counts = Counts()
    all_time: Counts | None = None
    reasons: dict[str, int] = {}
    in_flight: int | None = None
    orders_per_s: tuple[float, ...] = ()
    events_per_s: tuple[float, ...] = ()
    answer_ms: float | None = None
    dead_letters: int | None = None
    oversold_units: int | None = None
    shipped: int = 0
    returned: int = 0
    buyers: str = ""
    stock: tuple[StockRow, ...] = ()
    sold_out: int = 0
    orders: tuple[OrderRow, ...] = ()
    note: str = ""
    """What keeps the board from seeing the whole, in one sentence."""
