"""A small proxy between two parts of the shop, which can cut, delay, stall and half-close.

Links to PostgreSQL are unix sockets in a folder of ours, since whoever reaches its port is let in;
for a stream that is closed, held up or half-closed they are no different from TCP.
"""

import asyncio
import contextlib
import socket
import struct
import time
from pathlib import Path
from typing import Final, Literal

Address = Path | int
"""A unix socket, or a port of this machine."""
Direction = Literal["there", "back"]

HOST: Final = "127.0.0.1"
CHUNK_BYTES: Final = 64 * 1024
CONNECT_TIMEOUT_S: Final = 2.0
CLOSE_TIMEOUT_S: Final = 5.0
_RESET: Final = struct.pack("ii", 1, 0)


class _Pair:
    """One connection through the link: the caller's half and ours to the target."""

    def __init__(self, near: asyncio.StreamWriter) -> None:
        self.near = near
        self.far: asyncio.StreamWriter | None = None
        self.is_closed: dict[Direction, bool] = {"there": False, "back": False}

    def abort(self) -> None:
        for writer in (self.near, self.far):
            if writer is None:
                continue
            raw = writer.get_extra_info("socket")
            if raw is not None and raw.family == socket.AF_INET:
                with contextlib.suppress(OSError):
                    # A reset, as from a host that died, instead of a polite good-bye.
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()

    def close_half(self, direction: Direction) -> None:
        """The receiver of that direction sees the end; the other direction goes on."""
        writer = self.far if direction == "there" else self.near
        self.is_closed[direction] = True
        if writer is not None:
            with contextlib.suppress(OSError, RuntimeError):
                writer.write_eof()


class Link:
    """Everything that one part says to another, and what happens to it on the way."""

    def __init__(self, name: str, target: Address) -> None:
        self.name = name
        self.target = target
        self.connections = 0
        """How many were ever made."""
        self._pairs: set[_Pair] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._refuse_until = 0.0
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._thaw: asyncio.TimerHandle | None = None
        self._delay_until = 0.0
        self._delay_s = 0.0

    @property
    def open_connections(self) -> int:
        """How many there are now."""
        return len(self._pairs)

    async def open(self, path: Path | None = None) -> Address:
        """Begins to listen, at a unix socket or at a free port; where."""
        if path is not None:
            self._server = await asyncio.start_unix_server(self._carry, path)
            return path
        self._server = await asyncio.start_server(self._carry, HOST, 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        """Stops listening, and cuts what is still connected."""
        if self._server is not None:
            self._server.close()
        self.heal()
        self.cut(0)
        # Each ends by itself now. Cancelled they would be reported: asyncio's servers ask their
        # tasks for an exception, which a cancelled one does not have.
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=CLOSE_TIMEOUT_S)

    def cut(self, for_s: float) -> None:
        """Every connection is lost; new ones are refused for so long."""
        self._refuse_until = time.monotonic() + for_s
        for pair in list(self._pairs):
            pair.abort()

    def delay(self, delay_s: float, for_s: float) -> None:
        """Everything takes longer, each way."""
        self._delay_s = delay_s
        self._delay_until = time.monotonic() + for_s

    def stall(self, for_s: float) -> None:
        """Nothing passes for so long, and nobody is told; then it all goes on."""
        if self._thaw is not None:
            self._thaw.cancel()
        self._flowing.clear()
        self._thaw = asyncio.get_running_loop().call_later(for_s, self._flowing.set)

    def half_close(self, direction: Direction) -> int:
        """Ends one direction of every connection there is; how many."""
        pairs = list(self._pairs)
        for pair in pairs:
            pair.close_half(direction)
        return len(pairs)

    def heal(self) -> None:
        """Everything passes again; half-closed connections are cut, so that they are made anew."""
        self._refuse_until = self._delay_until = 0.0
        self._flowing.set()
        for pair in list(self._pairs):
            if any(pair.is_closed.values()):
                pair.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        pair = _Pair(writer)
        self._pairs.add(pair)
        self.connections += 1
        try:
            if time.monotonic() < self._refuse_until:
                return
            far_reader, pair.far = await self._connect()
            await asyncio.gather(
                self._pump(reader, pair.far, pair, "there"),
                self._pump(far_reader, writer, pair, "back"),
            )
        except (OSError, TimeoutError):
            pass  # a connection that is lost on one side is lost on the other
        finally:
            pair.abort()
            self._pairs.discard(pair)
            self._tasks.discard(task)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            if isinstance(self.target, Path):
                return await asyncio.open_unix_connection(self.target)
            return await asyncio.open_connection(HOST, self.target)

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        pair: _Pair,
        direction: Direction,
    ) -> None:
        while data := await reader.read(CHUNK_BYTES):
            await self._hold()
            if pair.is_closed[direction]:
                continue
            writer.write(data)
            await writer.drain()
        await self._hold()
        if not pair.is_closed[direction]:
            pair.close_half(direction)

    async def _hold(self) -> None:
        if time.monotonic() < self._delay_until:
            await asyncio.sleep(self._delay_s)
        await self._flowing.wait()
