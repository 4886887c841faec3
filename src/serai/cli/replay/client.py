"""A frugal HTTP client for one shop: kept-alive connections, and patience while it restarts.

Every request may be sent again: what reads is harmless, and what writes bears an idempotency key
that its content alone decides. So a lost answer, a busy server and one that is being restarted are
all the same: ask again, a little later, for as long as anything goes on at all.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, NamedTuple, TypeVar, cast
from urllib.parse import urlsplit

from serai.cli.bench.load import answer_bytes, code_of, status_of

ANSWER_TIMEOUT_S: Final = 70.0
"""Longer than the server takes before it gives a batch or a report up: it is to say so first."""
CONNECT_TIMEOUT_S: Final = 10.0
STILLNESS_MAX_S: Final = 120.0
"""How long a replay goes on asking while nothing at all moves forward."""
PAUSE_S: Final = 0.05
PAUSE_MAX_S: Final = 3.0
DOUBLINGS_MAX: Final = 10
BUSY: Final = (429, 502, 503, 504)
BUG: Final = 500
BUGS_MAX: Final = 3
"""Answers 500 to one request, after which it is not asked again."""
_HEAD_END: Final = b"\r\n\r\n"

T = TypeVar("T")


class ShopGone(Exception):
    """Nothing moved for as long as we wait; the message says what was asked for last."""


class Answer(NamedTuple):
    """An answer that is final: a success, or a refusal with its code."""

    status: int
    body: bytes
    code: str

    @property
    def is_ok(self) -> bool:
        """Whether the shop did what was asked."""
        return self.status < 300  # noqa: PLR2004 - what HTTP calls success


class Client:
    """Asks one shop, over at most `connections` connections at a time."""

    def __init__(
        self, url: str, api_key: str, *, connections: int, stillness_max_s: float = STILLNESS_MAX_S
    ) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or "127.0.0.1"
        self._port = parts.port or 80
        self._head = (
            f"Host: {parts.netloc}\r\nAuthorization: Bearer {api_key}\r\n"
            "Content-Type: application/json\r\n"
        ).encode("ascii")
        self._idle: list[_Connection] = []
        self._gate = asyncio.Semaphore(connections)
        self.stillness_max_s = stillness_max_s
        self._moved_at = time.monotonic()
        self.connections = connections
        self.requests = 0
        self.repeats = 0

    async def get(self, path: str) -> Answer:
        """Reads."""
        return await self._ask(b"GET " + path.encode("ascii") + b" HTTP/1.1\r\n", b"\r\n")

    async def post(self, path: str, body: bytes, *, key: str) -> Answer:
        """Writes once, however often it must be sent for that."""
        rest = f"Idempotency-Key: {key}\r\nContent-Length: {len(body)}\r\n\r\n".encode("ascii")
        return await self._ask(b"POST " + path.encode("ascii") + b" HTTP/1.1\r\n", rest + body)

    async def delete(self, path: str) -> Answer:
        """Deletes; harmless twice."""
        return await self._ask(b"DELETE " + path.encode("ascii") + b" HTTP/1.1\r\n", b"\r\n")

    async def for_each(self, items: Iterable[T], work: Callable[[T], Awaitable[None]]) -> None:
        """Does the work for every item, as many at a time as there are connections."""
        left = iter(items)

        async def go_on() -> None:
            for item in left:
                await work(item)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self.connections):
                    group.create_task(go_on())
        except ExceptionGroup as errors:
            # The first to fail says why; the others ended because of it.
            raise errors.exceptions[0] from errors

    def note_progress(self) -> None:
        """Something moved: the time that we wait for a still shop begins anew."""
        self._moved_at = time.monotonic()

    def is_still(self) -> bool:
        """Whether nothing has moved for longer than we wait."""
        return time.monotonic() - self._moved_at > self.stillness_max_s

    async def pause(self, attempt: int, reason: str) -> None:
        """Rests before the next attempt, longer each time; ShopGone when the patience is over."""
        if self.is_still():
            raise ShopGone(f"nothing moved for {self.stillness_max_s:.0f} s: {reason}")
        rest_s = min(PAUSE_S * 2.0 ** min(attempt, DOUBLINGS_MAX), PAUSE_MAX_S)
        await asyncio.sleep(rest_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter

    def close(self) -> None:
        """Hangs up."""
        while self._idle:
            self._idle.pop().close()

    async def _ask(self, line: bytes, rest: bytes) -> Answer:
        request = line + self._head + rest
        what = line.split(b" HTTP", 1)[0].decode("ascii")
        attempt = bugs = 0
        self.requests += 1
        while True:
            try:
                data = await self._send(request)
            except (OSError, TimeoutError, ValueError) as error:
                reason = f"{what}: {str(error) or type(error).__name__}"
            else:
                status = status_of(data)
                bugs += status == BUG
                if status not in BUSY and (status != BUG or bugs == BUGS_MAX):
                    self.note_progress()
                    body = data[data.find(_HEAD_END) + len(_HEAD_END) :]
                    return Answer(status, body, "" if status < 300 else code_of(status, data))  # noqa: PLR2004
                reason = f"{what}: {code_of(status, data)}"
            self.repeats += 1
            await self.pause(attempt, reason)
            attempt += 1

    async def _send(self, request: bytes) -> bytes:
        async with self._gate:
            connection = self._idle.pop() if self._idle else _Connection()
            try:
                async with asyncio.timeout(ANSWER_TIMEOUT_S):
                    if not connection.is_open:
                        await connection.open(self._host, self._port)
                    data = await connection.ask(request)
            except BaseException:
                connection.close()
                raise
            if connection.is_open:
                self._idle.append(connection)
            return data


class _Connection(asyncio.Protocol):
    """One connection with at most one request under way."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self._answer: asyncio.Future[bytes] | None = None
        self._pieces: list[bytes] = []
        self._missing = 0

    @property
    def is_open(self) -> bool:
        return self._transport is not None

    async def open(self, host: str, port: int) -> None:
        self._pieces = []
        self._missing = 0
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await asyncio.get_running_loop().create_connection(lambda: self, host, port)

    async def ask(self, request: bytes) -> bytes:
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the methods of asyncio's and are none of its classes.
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        """Collects an answer until it is whole."""
        self._pieces.append(data)
        if self._missing > len(data):
            self._missing -= len(data)
            return
        whole = b"".join(self._pieces)
        try:
            size = _size_of(whole)
            if size is None or len(whole) < size:
                self._pieces = [whole]
                self._missing = 0 if size is None else size - len(whole)
                return
            if len(whole) > size or self._answer is None or self._answer.done():
                raise ValueError("an answer without a request")
        except ValueError as error:
            self._fail(ConnectionError(str(error)))
            self.close()
            return
        self._pieces = []
        self._missing = 0
        self._answer.set_result(whole)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tells whoever waits for an answer."""
        self._transport = None
        self._fail(exc or ConnectionResetError("the server hung up"))

    def close(self) -> None:
        if self._transport is not None:
            transport, self._transport = self._transport, None
            transport.abort()

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)


def _size_of(data: bytes) -> int | None:
    """How long the whole answer is; 204 has no body and may not say so."""
    end = data.find(_HEAD_END)
    if end >= 0 and data.startswith((b"HTTP/1.1 204", b"HTTP/1.0 204")):
        return end + len(_HEAD_END)
    return answer_bytes(data)
