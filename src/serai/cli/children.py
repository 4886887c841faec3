"""One child process: started, asked how it is, started again when it dies, drained at the end."""

import asyncio
import contextlib
import math
import signal
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Final, NamedTuple

from serai.cli.console import UNAVAILABLE
from serai.cli.processes import Understudy, spawn

BACKOFF_FIRST_S: Final = 0.2
BACKOFF_MAX_S: Final = 10.0
BACKOFF_UNREACHED_S: Final = 1.0
"""The longest pause for one that ends because it cannot reach what it needs, such as a database."""
STABLE_S: Final = 3.0
"""A child that was ready for this long has its death forgiven: it is started again at once."""
ASK_TIMEOUT_S: Final = 3.0
ASK_STARTING_S: Final = 0.1
ASK_EVERY_S: Final = 1.0
HUNG_S: Final = 30.0
"""A child that was ready and then answers nothing for this long is killed, and started again."""
ANSWER_BYTES_MAX: Final = 4096
OK: Final = 200

Tell = Callable[[str, str, str], None]
"""Is told what happened: the part, what, and a detail."""


def pause_after(pause_s: float, *, ready_s: float, code: int) -> float:
    """How long a child rests that rested `pause_s` before, was ready for `ready_s`, and died.

    One that never was ready was so for less than no time.
    """
    if ready_s >= STABLE_S:
        return 0.0
    longest_s = BACKOFF_UNREACHED_S if code == UNAVAILABLE else BACKOFF_MAX_S
    return min(max(pause_s * 2, BACKOFF_FIRST_S), longest_s)


class Probe(NamedTuple):
    """Where a child is asked how it is."""

    host: str
    port: int
    path: str
    has_tls: bool = False


class Child:
    """A process of ours that is to run until we say otherwise.

    Standard input is its lifeline: when we die, however we die, it closes, and the child drains.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str],
        probe: Probe,
        output: IO[bytes] | int,
        tell: Tell,
        understudy: Understudy | None = None,
    ) -> None:
        self.name = name
        self.restarts = 0
        self.is_ready = False
        self.has_failed = False
        """Whether it died before it ever was ready: then starting it again would not help."""
        self.said = ""
        """What it answered last when it was asked how it is."""
        self._arguments = arguments
        self._environment = environment
        self._probe = probe
        self._output = output
        self._tell = tell
        self._understudy = understudy
        self._process: asyncio.subprocess.Process | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._ending = asyncio.Event()
        self._settled = asyncio.Event()
        self._was_ready = False
        self._ready_at = math.inf
        self._died = asyncio.Event()
        self._heard_at = time.monotonic()

    @property
    def pid(self) -> int | None:
        """The process id, while there is a process."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if running and self._process else None

    def start(self) -> None:
        """Starts it, and keeps it running from now on."""
        self._tasks = [asyncio.create_task(self._keep()), asyncio.create_task(self._watch())]

    async def wait_ready(self) -> None:
        """Returns when it says that it is ready, or has failed to become so."""
        await self._settled.wait()

    async def end(self, *, patience_s: float) -> bool:
        """Lets it finish what it began, up to `patience_s`; whether that was enough."""
        self._ending.set()
        self.is_ready = False
        process = self._process
        is_clean = True
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), patience_s)
            except TimeoutError:
                is_clean = False
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if process is not None:
            self._tell(self.name, "stopped", "" if is_clean else f"killed after {patience_s:g} s")
        return is_clean

    async def _keep(self) -> None:
        pause_s = 0.0
        while not self._ending.is_set():
            self._heard_at, self._ready_at = time.monotonic(), math.inf
            process = await self._spawn()
            code = await process.wait()
            self.is_ready = False
            self._died.set()
            if self._ending.is_set():
                return
            if not self._was_ready:
                self.has_failed = True
                self._settled.set()
            ready_s = time.monotonic() - self._ready_at
            pause_s = pause_after(pause_s, ready_s=ready_s, code=code)
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            when = f"in {pause_s:g} s" if pause_s else "at once"
            self._tell(self.name, "died", f"{how}; started again {when}")
            await asyncio.sleep(pause_s)
            self.restarts += 1

    async def _spawn(self) -> asyncio.subprocess.Process:
        process = None
        if self._understudy is not None:
            process = await self._understudy.take(self._arguments, output=self._output)
        if process is None:
            process = await spawn(
                self._arguments, environment=self._environment, output=self._output
            )
        self._process = process
        self._tell(self.name, "started", f"process {process.pid}")
        return process

    async def _watch(self) -> None:
        while True:
            self._died.clear()
            pid = self.pid
            status, self.said = await ask(*self._probe) if pid else (None, "")
            now = time.monotonic()
            if status is not None:
                self._heard_at = now
            elif self._was_ready and pid and now - self._heard_at > HUNG_S:
                self._heard_at = now
                self._tell(self.name, "hung", f"no answer for {HUNG_S:g} s; killed")
                self._kill()
            was_ready, self.is_ready = self.is_ready, status == OK and pid == self.pid
            if self.is_ready and not was_ready:
                self._was_ready = True
                self._ready_at = min(self._ready_at, now)
                self._settled.set()
                self._tell(self.name, "ready", f"process {pid}")
                if self.restarts and self._understudy is not None:
                    await self._understudy.prepare()
            # Not wait_for: in Python 3.11 it may swallow the cancelling that comes with the event.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ASK_EVERY_S if self.is_ready else ASK_STARTING_S):
                    await self._died.wait()

    def _kill(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()


async def ask(
    host: str,
    port: int,
    path: str,
    has_tls: bool = False,
) -> tuple[int | None, str]:
    """The status and the body with which `path` is answered; None where nothing answers in time."""
    try:
        async with asyncio.timeout(ASK_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(
                host, port, ssl=_unchecked() if has_tls else None
            )
            try:
                request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
                writer.write(request.encode())
                await writer.drain()
                answer = await reader.read(ANSWER_BYTES_MAX)
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
        head, _, body = answer.decode(errors="replace").partition("\r\n\r\n")
        return int(head.split(" ", 2)[1]), body
    except (OSError, TimeoutError, ValueError, IndexError):
        return None, ""


def _unchecked() -> ssl.SSLContext:
    """For asking our own child, by an address that its certificate need not name.

    Nothing secret is said. A certificate that is over is for its clients to refuse: a shop that is
    killed for it, over and over, would not be better off.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
