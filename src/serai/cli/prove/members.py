"""One process of the shop that is killed, stopped and started again at will."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from serai.cli.children import ask
from serai.cli.console import UNAVAILABLE

PAUSE_S: Final = 0.3
"""How long a process that ended by itself rests before it is started again."""
PROBE_S: Final = 0.1
READY_TIMEOUT_S: Final = 60.0
END_TIMEOUT_S: Final = 25.0
LOG_TAIL_BYTES: Final = 2_000
OK: Final = 200

Tell = Callable[[str, str], None]
"""Is told what befell a part: the part, and what."""


class NotReady(Exception):
    """A process did not become ready in time; the message ends with what it said last."""


class Member:
    """Keeps one process running; `environment` is asked anew for each start.

    Standard input is its lifeline: it drains when we are gone, however we went.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        *,
        environment: Callable[[float], Mapping[str, str]],
        probe: tuple[int, str],
        log: Path,
        tell: Tell,
        born: Callable[[int], None],
    ) -> None:
        self.name = name
        self.clock_offset_s = 0.0
        """How wrong the clock of the next process will be; taken once."""
        self.is_skewed = False
        self._arguments = arguments
        self._environment = environment
        self._probe = probe
        self._log = log
        self._tell = tell
        self._born = born
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._ending = asyncio.Event()
        self._was_struck = False
        self._rest_s = 0.0

    @property
    def pid(self) -> int | None:
        """The process id, while there is a process."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    def start(self) -> None:
        """Starts it, and keeps it running from now on."""
        self._keeper = asyncio.create_task(self._keep())

    def kill(self, rest_s: float) -> int | None:
        """Kill -9, now; it is started again after `rest_s`. The process id that it had."""
        pid = self.pid
        if pid is not None:
            self._was_struck, self._rest_s = True, rest_s
            self._signal(signal.SIGKILL)
        return pid

    def freeze(self) -> int | None:
        """Stops it in the midst of whatever it does; the process id."""
        pid = self.pid
        self._signal(signal.SIGSTOP)
        return pid

    def thaw(self, pid: int | None) -> None:
        """Lets it go on, if it is still that process."""
        if pid is not None and pid == self.pid:
            self._signal(signal.SIGCONT)

    async def wait_ready(self) -> None:
        """Returns when it says that it is ready."""
        deadline = time.monotonic() + READY_TIMEOUT_S
        port, path = self._probe
        while time.monotonic() < deadline:
            status, _ = await ask("127.0.0.1", port, path) if self.pid else (None, "")
            if status == OK:
                return
            await asyncio.sleep(PROBE_S)
        raise NotReady(f"{self.name} is not ready after {READY_TIMEOUT_S:g} s: {self._tail()}")

    async def renew(self) -> None:
        """Ends it in good order, and starts it again with a right clock."""
        process = self._process
        if process is not None and process.returncode is None:
            self._was_struck, self._rest_s = True, 0.0
            await self._finish(process)

    async def end(self) -> None:
        """Ends it for good: politely, and by force after a while."""
        self._ending.set()
        if self._process is not None and self._process.returncode is None:
            await self._finish(self._process)
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        # One that was just being started when we were told to end.
        if self.pid is not None:
            self._signal(signal.SIGKILL)

    async def _finish(self, process: asyncio.subprocess.Process) -> None:
        self._signal(signal.SIGCONT)
        self._signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), END_TIMEOUT_S)
        except TimeoutError:
            self._tell(self.name, f"did not end within {END_TIMEOUT_S:g} s and was killed")
            self._signal(signal.SIGKILL)
            await process.wait()

    async def _keep(self) -> None:
        while not self._ending.is_set():
            self._was_struck, self._rest_s = False, PAUSE_S
            process = await self._spawn()
            code = await process.wait()
            if not self._ending.is_set() and not self._was_struck:
                how = f"signal {-code}" if code < 0 else f"exit code {code}"
                # That the database is not there is said by the code; of all else the log tells.
                why = "" if code == UNAVAILABLE else f": {self._tail()}"
                self._tell(self.name, f"ended by itself: {how}{why}")
            await asyncio.sleep(self._rest_s)

    async def _spawn(self) -> asyncio.subprocess.Process:
        offset_s, self.clock_offset_s = self.clock_offset_s, 0.0
        self.is_skewed = offset_s != 0
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *self._arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=dict(self._environment(offset_s)),
                start_new_session=True,  # Ctrl-C in our terminal is for us
            )
        self._born(self._process.pid)
        return self._process

    def _signal(self, number: int) -> None:
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def _tail(self) -> str:
        if not self._log.exists():
            return "it said nothing"
        return self._log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace").strip()
