"""Looks at the running shop once a second, cheaply, and keeps what the board shows.

It hears the order events as any other consumer would, from the log and from where it came in; asks
the public API for stock and totals; and reads the worker's own figures from /metrics. Whatever does
not answer is shown as unknown, and asked again.
"""

import asyncio
import contextlib
import itertools
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Final

import httpx
import msgspec

from serai.cli.demo.api import Api, GivenUp, rest
from serai.cli.demo.scene import Counts, StockRow
from serai.cli.demo.tally import HEARD, Tally, plus
from serai.kernel.db import Database
from serai.kernel.events import PARTITIONS, type_of
from serai.kernel.failure import Unavailable
from serai.kernel.log.postgres import Position, fetch_events
from serai.kernel.tenant import POOLED

LOOK_EVERY_S: Final = 1.0
EVENTS_A_LOOK: Final = 500
"""Events of one partition in one look; where more come, the board is late and catches up."""
LOOKS_AT_ONCE_MAX: Final = 4
STOCK_EVERY_S: Final = 2.0
QUIET_TRIES_MAX: Final = 5
METRICS_TIMEOUT_S: Final = 2.0
RATES_KEPT: Final = 120
SMOOTHED_OVER: Final = 3
"""Looks that a rate is the mean of."""
INTEREST_EVERY_S: Final = 20.0
ROWS_MAX: Final = 60
RETRY_S: Final = 1.0
LOG: Final = "the log"
HANDLED: Final = "serai_events_handled_total"
LETTERS: Final = 'serai_dead_letters{state="dead"}'
_FAR: Final = (1 << 62, 0)


class LogTail:
    """Hears events from the end of the log on."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._types = sorted({type_of(model).name for model in HEARD})
        topics = sorted({type_of(model).topic for model in HEARD})
        self._cursors: dict[tuple[str, int], Position] = {
            (topic, partition): _FAR for topic in topics for partition in range(PARTITIONS)
        }

    async def hear(self, tally: Tally) -> None:
        """Gives the tally what is new; the first time only finds where the log ends."""
        for _ in range(LOOKS_AT_ONCE_MAX):
            deliveries, horizon = await fetch_events(
                self._database, POOLED, self._cursors, self._types, limit=EVENTS_A_LOOK
            )
            last: dict[tuple[str, int], Position] = {}
            heard: dict[tuple[str, int], int] = {}
            for delivery in deliveries:
                place = (delivery.type.topic, delivery.partition)
                last[place] = delivery.position
                heard[place] = heard.get(place, 0) + 1
            full = {place for place, count in heard.items() if count >= EVENTS_A_LOOK}
            for place, position in self._cursors.items():
                if place in full:
                    self._cursors[place] = last[place]
                elif position == _FAR or position < (horizon, 0):
                    # Everything below the horizon was seen, and nothing new can appear there.
                    self._cursors[place] = (horizon, 0)
            tally.hear(deliveries)
            if not full:
                return


class Meter:
    """Turns a figure that only grows into rates a second; a figure that fell has begun anew."""

    def __init__(self) -> None:
        self._last: tuple[float, float] | None = None
        self._raw: deque[float] = deque(maxlen=SMOOTHED_OVER)
        self.rates: deque[float] = deque(maxlen=RATES_KEPT)

    def read(self, figure: float | None, at: float) -> None:
        """Takes in the figure at a moment; None where it is not known."""
        if figure is None:
            self._last = None
            return
        if self._last is not None and at > self._last[1]:
            before = self._last[0] if figure >= self._last[0] else 0.0
            self._raw.append((figure - before) / (at - self._last[1]))
            self.rates.append(sum(self._raw) / len(self._raw))
        self._last = (figure, at)


class Watcher:
    """Everything that is known of the running shop; `watch` keeps it up to date."""

    def __init__(
        self,
        *,
        api: Api,
        worker_url: str,
        database: Database,
        tally: Tally,
        shelves: Mapping[str, int],
    ) -> None:
        self.tally = tally
        self.orders = Meter()
        self.events = Meter()
        self.dead_letters: int | None = None
        self.oversold_units: int | None = None
        self.sold_out = 0
        self.stock: tuple[StockRow, ...] = ()
        self._api = api
        self._shelves = shelves
        self._tail = LogTail(database)
        self._worker = httpx.AsyncClient(
            base_url=worker_url, timeout=METRICS_TIMEOUT_S, trust_env=False
        )
        self._base: tuple[Counts, Counts] | None = None
        self._interest = Interest()
        self._troubles: dict[str, str] = {}

    @property
    def all_time(self) -> Counts | None:
        """How all orders of the shop stand, also those from before this run."""
        if self._base is None:
            return None
        base, then = self._base
        return plus(base, self.tally.standing, then)

    @property
    def in_flight(self) -> int | None:
        """Orders that are on their way through checkout: each is a saga."""
        counts = self.all_time
        if counts is None:
            return None
        return max(0, counts.placed - counts.confirmed - counts.cancelled)

    @property
    def note(self) -> str:
        """What cannot be seen at the moment, in one sentence; empty where all can."""
        return next(iter(self._troubles.values()), "")

    @property
    def hears(self) -> bool:
        """Whether the log, and with it the database, answered the last time."""
        return LOG not in self._troubles

    async def begin(self) -> None:
        """Finds where the log ends and how all orders stand there; from then on it counts on.

        What happens while the API adds up might count twice, so it is asked again until nothing
        did, within a bound: adding up costs more the more orders there are.
        """
        await self._hear()
        for _ in range(QUIET_TRIES_MAX):
            then = self.tally.standing
            rows = await self._api.get("/v1/order-totals")
            totals = {row["status"]: row["orders"] for row in rows}
            confirmed, cancelled = totals.get("confirmed", 0), totals.get("cancelled", 0)
            self._base = (Counts(sum(totals.values()), confirmed, cancelled), then)
            await self._hear()
            if self.tally.standing == then:
                return

    async def end(self) -> None:
        """A last look at what has happened."""
        with contextlib.suppress(Unavailable):
            await self._hear()

    async def watch(self, stop: asyncio.Event) -> None:
        """Looks until `stop` is set."""
        looks: tuple[tuple[str, Callable[[], Awaitable[None]], float], ...] = (
            (LOG, self._hear, LOOK_EVERY_S),
            ("the worker's figures", self._read_worker, LOOK_EVERY_S),
            ("the stock", self._count_stock, STOCK_EVERY_S),
        )
        tasks = [asyncio.create_task(self._repeat(*look, stop)) for look in looks]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._worker.aclose()

    async def _repeat(
        self,
        what: str,
        look: Callable[[], Awaitable[None]],
        every_s: float,
        stop: asyncio.Event,
    ) -> None:
        while not stop.is_set():
            pause_s = RETRY_S
            try:
                await look()
            except (Unavailable, GivenUp, httpx.HTTPError) as error:
                self._troubles[what] = f"{what} cannot be read: {reason_of(error)}"
            else:
                self._troubles.pop(what, None)
                pause_s = every_s
            await rest(pause_s, stop)

    async def _hear(self) -> None:
        await self._tail.hear(self.tally)
        self.orders.read(self.tally.placed, time.monotonic())

    async def _read_worker(self) -> None:
        try:
            answer = await self._worker.get("/metrics")
            answer.raise_for_status()
        except httpx.HTTPError:
            self.events.read(None, time.monotonic())
            self.dead_letters = None
            raise
        figures = read_figures(answer.text, (HANDLED, LETTERS))
        self.events.read(figures.get(HANDLED, 0.0), time.monotonic())
        self.dead_letters = int(figures.get(LETTERS, 0))

    async def _count_stock(self) -> None:
        rows = add_up_stock(await self._api.get_all("/v1/stock-items"), self._shelves)
        self.sold_out = sum(row.available == 0 for row in rows.values())
        # Units that were promised or sold beyond those that ever came: the promise is that it is 0.
        self.oversold_units = sum(
            max(0, -row.available, row.reserved + row.sold - row.received) for row in rows.values()
        )
        self.stock = self._interest.choose(rows, time.monotonic())


class Interest:
    """Chooses the SKUs that are worth a row: those that sell best and that run low, in turn."""

    def __init__(self) -> None:
        self._chosen: list[str] = []
        self._sold: dict[str, int] = {}
        self._chosen_at = -INTEREST_EVERY_S

    def choose(self, rows: Mapping[str, StockRow], at: float) -> tuple[StockRow, ...]:
        """The rows in the order of their interest, which stays the same for a while."""
        if at - self._chosen_at >= INTEREST_EVERY_S or not self._chosen:
            low = sorted(rows, key=lambda sku: (_share(rows[sku]), sku))
            best = sorted(rows, key=lambda sku: (self._sold.get(sku, 0) - rows[sku].sold, sku))
            turns = itertools.chain.from_iterable(zip(best, low, strict=True))
            self._chosen = list(dict.fromkeys(turns))[:ROWS_MAX]
            self._sold = {sku: row.sold for sku, row in rows.items()}
            self._chosen_at = at
        return tuple(rows[sku] for sku in self._chosen if sku in rows)


def _share(row: StockRow) -> float:
    return (row.available + row.reserved) / max(1, row.shelf)


def add_up_stock(items: Sequence[Any], shelves: Mapping[str, int]) -> dict[str, StockRow]:
    """Stock items of the API as one row a SKU, over all its locations."""
    rows: dict[str, StockRow] = {}
    for item in items:
        sku = item["sku"]
        row = rows.get(sku) or StockRow(sku, 0, 0, 0, 0, shelves.get(sku, 0))
        rows[sku] = msgspec.structs.replace(
            row,
            received=row.received + item["received"],
            available=row.available + item["available"],
            reserved=row.reserved + item["reserved"],
            sold=row.sold + item["sold"],
        )
    return rows


def read_figures(text: str, wanted: Collection[str]) -> dict[str, float]:
    """Sums the samples of Prometheus text whose name, or name with its labels, is wanted."""
    sums: dict[str, float] = {}
    for line in text.splitlines():
        name, _, value = line.rpartition(" ")
        for key in (name, name.partition("{")[0]):
            if key in wanted:
                sums[key] = sums.get(key, 0.0) + float(value)
                break
    return sums


def reason_of(error: Exception) -> str:
    """Why something cannot be read, in a few words."""
    if isinstance(error, GivenUp | httpx.TransportError):
        return "no answer"
    return str(error) or type(error).__name__
