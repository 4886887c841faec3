"""The log in PostgreSQL: the outbox by (transaction id, sequence), below the oldest that runs.

A sequence alone would skip what a slower transaction commits later; nothing below
`pg_snapshot_xmin` can still appear, so a position that stays below it skips nothing.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from serai.kernel import queries
from serai.kernel.db import Database
from serai.kernel.events import Delivery, type_named
from serai.kernel.failure import Unavailable
from serai.kernel.outbox import CHANNEL
from serai.kernel.tenant import MAIN, Home

_log = structlog.get_logger(__name__)
_SQL = queries.load("serai.kernel")

Position = tuple[int, int]
"""Transaction id and sequence."""
Cursors = Mapping[tuple[str, int], Position]
"""Where a group stands, by topic and partition."""

RECONNECT_S = 0.5


async def fetch_events(
    database: Database, home: Home, cursors: Cursors, types: Sequence[str], *, limit: int
) -> tuple[list[Delivery], int]:
    """The next events after the cursors, at most `limit` a partition, in the order of the log.

    Also returns the horizon: every event below it has been seen by a fetch that was not full.
    """
    places = list(cursors)
    async with database.transaction(home, (), is_transport=True, is_read_only=True) as tx:
        horizon: int = await tx.fetchval(_SQL.read_horizon)
        rows = await tx.fetch(
            _SQL.fetch_events,
            [topic for topic, _ in places],
            [partition for _, partition in places],
            [str(cursors[place][0]) for place in places],
            [cursors[place][1] for place in places],
            limit,
            types,
            str(horizon),
        )
    deliveries = [read_delivery(row) for row in rows]
    deliveries.sort(key=lambda delivery: delivery.position)
    return deliveries, horizon


def read_delivery(row: Any) -> Delivery:
    """A row of the outbox or of the dead letters as a delivery."""
    return Delivery(
        row["event_id"],
        row["tenant_id"],
        type_named(row["type"]),
        row["key"],
        row["partition"],
        (row["xid"], row["seq"]),
        row["occurred_at"],
        row["correlation_id"],
        row["traceparent"],
        row["data"],
    )


class Wake:
    """Hears NOTIFY in one database and wakes who waits for a type; polling is the safety net.

    A notification names the transaction that wrote; until the log's horizon has passed it, what it
    wrote may not be readable yet, so `pending` keeps the newest one of each type.
    """

    def __init__(self, database: Database, name: str = MAIN) -> None:
        self._database = database
        self._name = name
        # In the order of their coming, so that who is woken first is no matter of chance.
        self._waiters: dict[tuple[str, str], dict[asyncio.Event, None]] = {}
        self._watchers: dict[str, dict[asyncio.Event, None]] = {}
        self.pending: dict[tuple[str, str], int] = {}

    def subscribe(self, home: Home, types: Sequence[str]) -> asyncio.Event:
        """An event that is set whenever an event of one of the types was written."""
        woken = asyncio.Event()
        for name in types:
            self._waiters.setdefault((home.prefix, name), {})[woken] = None
        return woken

    def unsubscribe(self, home: Home, types: Sequence[str], woken: asyncio.Event) -> None:
        """Forgets an event that nobody waits for any more."""
        for name in types:
            self._waiters[home.prefix, name].pop(woken, None)

    def watch(self, home: Home) -> asyncio.Event:
        """An event that is set whenever anything was written in a home."""
        stirred = asyncio.Event()
        self._watchers.setdefault(home.prefix, {})[stirred] = None
        return stirred

    def unwatch(self, home: Home, stirred: asyncio.Event) -> None:
        """Forgets an event of `watch`."""
        self._watchers[home.prefix].pop(stirred, None)

    def newest(self, home: Home, types: Sequence[str]) -> int:
        """The newest transaction known to have written an event of the types."""
        return max(self.pending.get((home.prefix, name), 0) for name in types)

    async def run(self) -> None:
        """Listens until cancelled; reconnects after every loss and then wakes everyone once."""
        while True:
            with contextlib.suppress(Unavailable):
                async with self._database.session(self._name) as connection:
                    lost = asyncio.Event()
                    connection.add_termination_listener(lambda _c, lost=lost: lost.set())
                    await connection.add_listener(CHANNEL, self._on_notify)
                    self._wake_all()
                    await lost.wait()
                    _log.warning("wake_lost", action="wake_lost")
            await asyncio.sleep(RECONNECT_S)

    def _on_notify(self, _connection: Any, _pid: int, _channel: str, payload: object) -> None:
        prefix, name, xid = str(payload).split("|")
        self.pending[prefix, name] = max(self.pending.get((prefix, name), 0), int(xid))
        for woken in self._waiters.get((prefix, name), ()):
            woken.set()
        for stirred in self._watchers.get(prefix, ()):
            stirred.set()

    def _wake_all(self) -> None:
        for waiters in (*self._waiters.values(), *self._watchers.values()):
            for woken in waiters:
                woken.set()
