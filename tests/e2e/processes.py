"""Real processes of the command line, each ended within a bound."""

import functools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from email.message import Message
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
COMMAND_TIMEOUT_S = 120.0
READY_TIMEOUT_S = 90.0
ASK_TIMEOUT_S = 10.0
POLL_S = 0.1


class Done(NamedTuple):
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document that it printed."""
        return json.loads(self.out)


class Answer(NamedTuple):
    """What an address answered; status 0 where nobody did."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def environment(**settings: str) -> dict[str, str]:
    """Our environment with these settings and no others; the package is found where it lies."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("SERAI_")}
    own["PYTHONPATH"] = str(ROOT / "src")
    own["COLUMNS"] = "200"
    return {**own, **{f"SERAI_{name.upper()}": value for name, value in settings.items()}}


def serai(*words: str, cwd: Path, **settings: str) -> Done:
    """Runs `serai words` to its end, in a process that has its code loaded already."""
    order = {"words": words, "cwd": str(cwd), "environment": environment(**settings)}
    ours, theirs = socket.socketpair()
    with ours, tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        with theirs:
            files = [theirs.fileno(), out.fileno(), err.fileno()]
            socket.send_fds(_warm().orders, [json.dumps(order).encode()], files)
        with ours.makefile() as told:
            pid = int(told.readline())
            ours.settimeout(COMMAND_TIMEOUT_S)
            try:
                code = int(told.readline())
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                raise
        out.seek(0)
        err.seek(0)
        return Done(code, out.read(), err.read())


class Warm(NamedTuple):
    """The process that commands are forked from, and the way to it; it ends with us."""

    orders: socket.socket
    process: subprocess.Popen[bytes]


@functools.cache
def _warm() -> Warm:
    ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
    with theirs:
        words = [sys.executable, "-m", "tests.e2e.warm"]
        return Warm(
            ours, subprocess.Popen(words, cwd=ROOT, env=environment(), stdin=theirs.fileno())
        )


def ask(url: str, *, key: str = "", method: str = "GET") -> Answer:
    """One request."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    request = urllib.request.Request(url, headers=headers, method=method)  # noqa: S310 - our own
    try:
        with urllib.request.urlopen(request, timeout=ASK_TIMEOUT_S) as answer:  # noqa: S310
            return Answer(answer.status, answer.read(), _lowered(answer.headers))
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.read(), _lowered(error.headers))
    except OSError:
        return Answer(0, b"", {})


def wait_until(is_so: Callable[[], bool], what: str, *, timeout_s: float = READY_TIMEOUT_S) -> None:
    """Returns when it is so; fails when it does not become so in time."""
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        time.sleep(POLL_S)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def _lowered(headers: Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
