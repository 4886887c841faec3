"""Starts processes of ours: from nothing, or out of an understudy that has everything loaded."""

import asyncio
import contextlib
import sys
from collections.abc import Mapping, Sequence
from typing import IO, Final

import msgspec

OURS: Final = ("-m", "serai")
UNDERSTUDY: Final = ("-m", "serai.cli.understudy")


class Part(msgspec.Struct, frozen=True):
    """What an understudy is told to be: the words of a command line, and where its output goes."""

    words: Sequence[str]
    log: str | None


async def spawn(
    arguments: Sequence[str], *, environment: Mapping[str, str], output: IO[bytes] | int
) -> asyncio.subprocess.Process:
    """Starts Python with `arguments`; the pipe to its standard input is its lifeline."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=output,
        stderr=output,
        env=dict(environment),
        start_new_session=True,  # Ctrl-C in our terminal is for us; we tell it in good order
    )


class Understudy:
    """One process that stands by for whichever child dies: to load our code takes a second or more.

    It holds neither port nor connection, and ends when we do.
    """

    def __init__(self, *, environment: Mapping[str, str], output: IO[bytes] | int) -> None:
        self._environment = environment
        self._output = output
        self._waiting: asyncio.subprocess.Process | None = None
        self._preparing = asyncio.Lock()

    async def prepare(self) -> None:
        """Sees to it that one stands by, or is on its way to."""
        async with self._preparing:
            if self._waiting is None or self._waiting.returncode is not None:
                self._waiting = await spawn(
                    UNDERSTUDY, environment=self._environment, output=self._output
                )

    async def take(
        self, arguments: Sequence[str], *, output: IO[bytes] | int
    ) -> asyncio.subprocess.Process | None:
        """The process that stood by, from now on what `arguments` say; None where none can be."""
        if tuple(arguments[: len(OURS)]) != OURS:
            return None
        process, self._waiting = self._waiting, None
        if process is None or process.returncode is not None or process.stdin is None:
            return None
        log = None if isinstance(output, int) else output.name
        line = msgspec.json.encode(Part(arguments[len(OURS) :], log)) + b"\n"
        try:
            process.stdin.write(line)
            await process.stdin.drain()
        except ConnectionError:
            return None
        return process

    async def end(self) -> None:
        """Lets nobody stand by any more; it has nothing to finish."""
        process, self._waiting = self._waiting, None
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
