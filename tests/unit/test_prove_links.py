"""The proxy between two parts, over real sockets of this machine."""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from serai.cli.prove.links import HOST, Link

PATIENCE_S = 5.0


class Echo:
    """A server that says everything back, and what it heard of the end."""

    def __init__(self) -> None:
        self.ends = 0
        self.port = 0
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, HOST, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
            self.ends += 1
        writer.close()


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    opened = Echo()
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def link(echo: Echo) -> AsyncIterator[Link]:
    made = Link("a>b", echo.port)
    made.target = echo.port
    yield made
    await made.close()


Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connect(link: Link) -> Pair:
    port = await link.open()
    assert isinstance(port, int)
    return await again(port)


async def again(port: int) -> Pair:
    return await asyncio.open_connection(HOST, port)


async def say(pair: Pair, text: bytes) -> bytes:
    reader, writer = pair
    writer.write(text)
    await writer.drain()
    async with asyncio.timeout(PATIENCE_S):
        return await reader.readexactly(len(text))


async def the_end(reader: asyncio.StreamReader) -> bytes:
    """What still comes before the connection is over; a reset is an end, too."""
    async with asyncio.timeout(PATIENCE_S):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


async def test_what_is_said_passes_unchanged(link: Link) -> None:
    pair = await connect(link)
    text = bytes(range(256)) * 4096
    assert await say(pair, text) == text
    assert (link.connections, link.open_connections) == (1, 1)
    pair[1].close()


async def test_a_unix_socket_is_a_link_as_good(echo: Echo) -> None:
    with tempfile.TemporaryDirectory() as folder:
        link = Link("a>b", echo.port)
        path = Path(folder) / "socket"
        assert await link.open(path) == path
        pair = await asyncio.open_unix_connection(path)
        assert await say(pair, b"hello") == b"hello"
        pair[1].close()
        await link.close()


async def test_a_cut_ends_what_there_is_and_refuses_what_comes_for_a_while(link: Link) -> None:
    pair = await connect(link)
    assert await say(pair, b"1") == b"1"
    port = pair[1].get_extra_info("peername")[1]
    link.cut(60)
    assert await the_end(pair[0]) == b""
    refused = await again(port)
    assert await the_end(refused[0]) == b""
    link.heal()
    welcome = await again(port)
    assert await say(welcome, b"2") == b"2"
    for _, writer in (pair, refused, welcome):
        writer.close()


async def test_a_delay_slows_each_way(link: Link) -> None:
    pair = await connect(link)
    link.delay(0.1, 60)
    began = time.monotonic()
    assert await say(pair, b"slow") == b"slow"
    assert time.monotonic() - began >= 0.2
    pair[1].close()


async def test_what_is_stalled_comes_late_and_whole(link: Link) -> None:
    pair = await connect(link)
    link.stall(60)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await say(pair, b"early")
    link.heal()
    async with asyncio.timeout(PATIENCE_S):
        assert await pair[0].readexactly(5) == b"early"
    pair[1].close()


async def test_a_stall_is_over_by_itself(link: Link) -> None:
    pair = await connect(link)
    link.stall(0.1)
    assert await say(pair, b"late") == b"late"
    pair[1].close()


async def test_a_way_there_that_is_closed_is_the_end_for_the_target_alone(
    link: Link, echo: Echo
) -> None:
    pair = await connect(link)
    assert await say(pair, b"1") == b"1"
    assert link.half_close("there") == 1
    assert await the_end(pair[0]) == b""  # the target answers its end with its own
    assert echo.ends == 1
    pair[1].close()


async def test_a_way_back_that_is_closed_still_lets_the_target_hear(link: Link, echo: Echo) -> None:
    pair = await connect(link)
    assert await say(pair, b"1") == b"1"
    link.half_close("back")
    assert await the_end(pair[0]) == b""
    pair[1].write(b"2")
    await pair[1].drain()
    assert echo.ends == 0
    pair[1].close()


async def test_nobody_at_the_target_is_the_end_at_once() -> None:
    link = Link("a>b", 1)
    pair = await connect(link)
    assert await the_end(pair[0]) == b""
    pair[1].close()
    await link.close()
