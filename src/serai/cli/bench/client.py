"""The load client: sends prepared orders over kept-alive connections and measures the answers.

Its own process (`python -m serai.cli.bench.client`): reads a Load as JSON from standard input and
writes a Report to standard output. Cheap on purpose, as it shares the machine with what it
measures: no HTTP library, requests that are glued from three prepared pieces, answers of which only
the status and the length are read.
"""

import asyncio
import collections
import contextlib
import gc
import itertools
import math
import sys
import time
from array import array
from collections.abc import Coroutine
from typing import Any, cast

import msgspec
import uvloop

from serai.cli.bench.load import (
    Load,
    Report,
    answer_bytes,
    code_of,
    percentiles,
    prepare_head,
    prepare_tails,
    status_of,
)

ANSWER_TIMEOUT_S = 10.0
"""How long requests that were sent within the window may still be answered after it."""
CONNECT_TIMEOUT_S = 10.0
CONNECTING_MAX = 16
"""Connections that are opened at the same time: fewer than any listen backlog."""
PAUSE_S = 0.05
"""How long a connection rests after the server said that it is busy, or hung up."""
TICK_S = 0.001
LATENCIES_START = 1 << 18
CLOSED = "connection_lost"
BUSY = (429, 503)


class Driver:
    """Keeps the connections busy, and the score."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self._head = prepare_head(load)
        self._tails = prepare_tails(load)
        self._numbers = itertools.count()
        self._idle: list[Connection] = []
        self._due: collections.deque[float] = collections.deque()
        self._latencies_s = array("d", bytes(8 * LATENCIES_START))
        self._timed = 0
        self._sent = 0
        self._in_flight = 0
        self._accepted = self._late = self._refused = self._failed = 0
        self._codes: collections.Counter[str] = collections.Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._over = asyncio.Event()
        self._drained = asyncio.Event()
        self._began = self._ends = math.inf

    async def run(self) -> Report:
        """Opens the connections, sends for the time of the window, waits for the last answers."""
        connections = await self._connect()
        cpu_began_s = time.process_time()
        started_at = time.time()
        self._began = time.perf_counter()
        self._ends = self._began + self.load.seconds
        loop = asyncio.get_running_loop()
        window = loop.call_later(self.load.seconds, self._close_window)
        if self.load.rate is None:
            for connection in connections:
                self.go_on(connection, time.perf_counter())
        else:
            self._idle += connections
            self._tick()
        await self._over.wait()
        window.cancel()
        with contextlib.suppress(TimeoutError):  # then the report says how many are unanswered
            await asyncio.wait_for(self._drained.wait(), ANSWER_TIMEOUT_S)
        seconds = min(time.perf_counter(), self._ends) - self._began
        report = self._report(started_at, seconds, time.process_time() - cpu_began_s)
        for connection in connections:
            connection.close()
        return report

    def go_on(self, connection: "Connection", now: float) -> None:
        """Gives a connection its next order, or lets it rest until one is due."""
        if self._over.is_set():
            return
        if self.load.rate is None:
            self._send(connection, now)
        elif self._due:
            self._send(connection, self._due.popleft())
        else:
            self._idle.append(connection)

    def answered(self, connection: "Connection", status: int, answer: bytes) -> None:
        """Counts an answer and sends the next order on its connection."""
        now = time.perf_counter()
        self._in_flight -= 1
        self._note_end()
        if 200 <= status < 300:  # noqa: PLR2004 - what HTTP calls success
            self._time(now - connection.began)
            if now <= self._ends:
                self._accepted += 1
            else:
                self._late += 1
            self.go_on(connection, now)
            return
        self._codes[code_of(status, answer)] += 1
        if status < 500:  # noqa: PLR2004 - what HTTP calls a fault of the client
            self._refused += 1
        else:
            self._failed += 1
        if status in BUSY:
            connection.rest()
        else:
            self.go_on(connection, now)

    def lost(self, connection: "Connection", reason: str) -> None:
        """Counts an order whose connection broke: whether it was accepted is not known here."""
        if connection.is_busy or reason != CLOSED:
            # A server may close what rests; that is no failure of anything.
            self._codes[reason] += 1
        if connection.is_busy:
            self._in_flight -= 1
            self._failed += 1
            self._note_end()
        elif connection in self._idle:
            self._idle.remove(connection)

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Does something beside the load, and remembers it until it is done."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _send(self, connection: "Connection", began: float) -> None:
        number = next(self._numbers)
        tail = self._tails[number % len(self._tails)]
        connection.send(b"%b%010d%b" % (self._head, number, tail), began)
        self._sent += 1
        self._in_flight += 1
        if self._sent == self.load.requests_max:
            self._close_window()

    def _tick(self) -> None:
        """Sends what has become due; what no connection is free for waits, and its time counts."""
        if self._over.is_set():
            return
        now = time.perf_counter()
        rate = self.load.rate or 0.0
        due = int((now - self._began) * rate) + 1
        if self.load.requests_max:
            due = min(due, self.load.requests_max)
        for number in range(self._sent + len(self._due), due):
            self._due.append(self._began + number / rate)
        while self._due and self._idle and not self._over.is_set():
            self._send(self._idle.pop(), self._due.popleft())
        asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def _time(self, latency_s: float) -> None:
        if self._timed == len(self._latencies_s):
            self._latencies_s.extend(array("d", bytes(8 * self._timed)))
        self._latencies_s[self._timed] = latency_s
        self._timed += 1

    def _close_window(self) -> None:
        self._over.set()
        self._note_end()

    def _note_end(self) -> None:
        if self._in_flight == 0 and self._over.is_set():
            self._drained.set()

    async def _connect(self) -> list["Connection"]:
        gate = asyncio.Semaphore(CONNECTING_MAX)

        async def connect() -> Connection:
            async with gate:
                connection = Connection(self)
                await connection.open()
                return connection

        wanted = (connect() for _ in range(self.load.connections))
        return list(await asyncio.wait_for(asyncio.gather(*wanted), CONNECT_TIMEOUT_S))

    def _report(self, started_at: float, seconds: float, cpu_s: float) -> Report:
        return Report(
            accepted=self._accepted,
            late=self._late,
            refused=self._refused,
            failed=self._failed,
            unanswered=self._in_flight + len(self._due),
            codes=dict(self._codes),
            started_at=started_at,
            seconds=seconds,
            answer_ms=percentiles(self._latencies_s[: self._timed]),
            cpu_s=cpu_s,
        )


class Connection(asyncio.Protocol):
    """One kept-alive connection with at most one order under way; reconnects when it is cut."""

    __slots__ = ("_driver", "_is_closed", "_later", "_pieces", "_transport", "began", "is_busy")

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._transport: asyncio.WriteTransport | None = None
        self._pieces = b""
        self._later: asyncio.Handle | None = None
        self._is_closed = False
        self.is_busy = False
        self.began = 0.0

    async def open(self) -> None:
        """Connects; raises OSError where nobody listens."""
        load = self._driver.load
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self, load.host, load.port)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the methods of asyncio's and are none of its classes.
        self._transport = cast("asyncio.WriteTransport", transport)

    def send(self, request: bytes, began: float) -> None:
        """Sends a request whose time is counted from `began`."""
        assert self._transport is not None
        self.began = began
        self.is_busy = True
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Collects an answer until it is whole."""
        if self._pieces:
            data = self._pieces + data
        try:
            size = answer_bytes(data)
            status = 0 if size is None else status_of(data)
        except ValueError:
            self._hang_up("unreadable_answer")
            return
        if size is None or len(data) < size:
            self._pieces = data
            return
        self._pieces = b""
        if not self.is_busy or len(data) > size:
            self._hang_up("answer_without_request")
            return
        self.is_busy = False
        self._driver.answered(self, status, data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Reconnects, unless it was us who hung up."""
        if self._transport is not None:
            self._hang_up(CLOSED)

    def rest(self) -> None:
        """Sends nothing for a moment: the server said that it is busy."""
        self._later = asyncio.get_running_loop().call_later(PAUSE_S, self._resume)

    def close(self) -> None:
        """Hangs up for good."""
        self._is_closed = True
        self._cut()

    def _cut(self) -> None:
        if self._later is not None:
            self._later.cancel()
        if self._transport is not None:
            transport, self._transport = self._transport, None
            transport.abort()

    def _hang_up(self, reason: str) -> None:
        self._cut()
        self._pieces = b""
        self._driver.lost(self, reason)
        self.is_busy = False
        if not self._is_closed:
            self._later = asyncio.get_running_loop().call_later(PAUSE_S, self._reconnect)

    def _reconnect(self) -> None:
        self._driver.start(self._reopen())

    async def _reopen(self) -> None:
        while not self._is_closed:
            try:
                await self.open()
            except OSError:
                await asyncio.sleep(PAUSE_S)
            else:
                self._resume()
                return

    def _resume(self) -> None:
        if not self._is_closed:
            self._driver.go_on(self, time.perf_counter())


def main() -> int:
    """Reads a Load, drives it, writes the Report; returns the exit code."""
    try:
        load = msgspec.json.decode(sys.stdin.buffer.read(), type=Load)
        driver = Driver(load)
        # What is prepared lives to the end, and nothing made later forms a circle.
        gc.freeze()
        gc.disable()
        report = uvloop.run(driver.run())
    except (msgspec.DecodeError, OSError, TimeoutError) as error:
        sys.stderr.write(f"the load client could not run: {error!r}\n")
        return 1
    sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
