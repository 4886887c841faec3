"""One HTTP request at a time over kept-alive connections, and nothing done about what goes wrong.

Whoever asks decides whether to ask again: a buyer's history has to say what each attempt met.
"""

import asyncio
import contextlib
from typing import Any, Final, NamedTuple

import msgspec

from serai.cli.bench.load import answer_bytes, code_of, status_of

HOST: Final = "127.0.0.1"
IDLE_MAX: Final = 32
HEAD_BYTES_MAX: Final = 64 * 1024
_HEAD_END: Final = b"\r\n\r\n"
_NO_BODY: Final = (b"HTTP/1.1 204", b"HTTP/1.0 204")
_SUCCESS: Final = range(200, 300)


class NoAnswer(Exception):
    """The request may have been carried out, and nobody said so; the message says what was met."""


class Reply(NamedTuple):
    """An answer: its status, and its body or the code of its problem."""

    status: int
    body: bytes
    code: str

    @property
    def is_ok(self) -> bool:
        """Whether what was asked was done."""
        return self.status in _SUCCESS

    def read(self) -> Any:
        """The body, from JSON."""
        return msgspec.json.decode(self.body)


class Wire:
    """The way to one server."""

    def __init__(self, port: int, api_key: str = "") -> None:
        self._port = port
        self._head = f"Host: {HOST}:{port}\r\nContent-Type: application/json\r\n"
        if api_key:
            self._head += f"Authorization: Bearer {api_key}\r\n"
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def get(self, path: str, *, timeout_s: float) -> Reply:
        """Reads."""
        return await self._ask(f"GET {path} HTTP/1.1\r\n{self._head}\r\n".encode(), timeout_s)

    async def post(
        self, path: str, body: bytes, *, key: str, timeout_s: float, wait_s: int = 0
    ) -> Reply:
        """Writes under an idempotency key; `wait_s` asks for the order's end within that time."""
        return await self._ask(self._post(path, body, key, wait_s), timeout_s)

    async def leave(self, path: str, body: bytes, *, key: str, after_s: float) -> None:
        """Writes, and hangs up without an answer."""
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection(HOST, self._port)
            writer.write(self._post(path, body, key, 0))
            await asyncio.sleep(after_s)
            writer.transport.abort()
            del reader

    def close(self) -> None:
        """Hangs up."""
        while self._idle:
            self._idle.pop()[1].transport.abort()

    def _post(self, path: str, body: bytes, key: str, wait_s: int) -> bytes:
        wait = f"Prefer: wait={wait_s}\r\n" if wait_s else ""
        head = f"POST {path} HTTP/1.1\r\n{self._head}{wait}Idempotency-Key: {key}\r\n"
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    async def _ask(self, request: bytes, timeout_s: float) -> Reply:
        writer = None
        try:
            async with asyncio.timeout(timeout_s):
                if self._idle:
                    reader, writer = self._idle.pop()
                else:
                    reader, writer = await asyncio.open_connection(
                        HOST, self._port, limit=HEAD_BYTES_MAX
                    )
                writer.write(request)
                await writer.drain()
                reply = await _read(reader)
        except (OSError, TimeoutError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
            if writer is not None:
                writer.transport.abort()
            raise NoAnswer(_describe(error, timeout_s)) from error
        except asyncio.CancelledError:
            if writer is not None:
                writer.transport.abort()
            raise
        if len(self._idle) < IDLE_MAX:
            self._idle.append((reader, writer))
        else:
            writer.transport.abort()
        return reply


def _describe(error: Exception, timeout_s: float) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {timeout_s:g} s"
    return str(error) or type(error).__name__


async def _read(reader: asyncio.StreamReader) -> Reply:
    head = await reader.readuntil(_HEAD_END)
    status = status_of(head)
    size = len(head) if head.startswith(_NO_BODY) else answer_bytes(head)
    assert size is not None, "the head is whole"
    body = await reader.readexactly(size - len(head))
    return Reply(status, body, "" if status in _SUCCESS else code_of(status, head + body))
