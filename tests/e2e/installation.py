"""A `serai run` of real processes in a data folder of its own."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

from tests.e2e.processes import Answer, ask, environment, free_ports

STOP_TIMEOUT_S = 60.0
DRAIN_S = "5"


class Installation:
    """A `serai run` in a data folder of its own; `words` are more of its options."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.folder = folder
        self._words = words
        self.data = folder / "data"
        self.port, self.worker_port = free_ports(2)
        self.process: subprocess.Popen[str] | None = None
        self._log: IO[str] | None = None

    def start(self) -> dict[str, Any]:
        """Starts it, and returns the document that it prints when everything is ready."""
        self._log = (self.folder / "run.log").open("a")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "serai", "run", "--json", *self._words],
            cwd=self.folder,
            env=environment(**self.settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        assert self.process.stdout is not None
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if line.rstrip() == "}":
                break
        assert lines, f"it did not start: {self.said()}"
        document: dict[str, Any] = json.loads("".join(lines))
        return document

    @property
    def settings(self) -> dict[str, str]:
        return {
            "data_dir": str(self.data),
            "port": str(self.port),
            "worker_port": str(self.worker_port),
            "drain_s": DRAIN_S,
        }

    def said(self) -> str:
        return (self.folder / "run.log").read_text()

    def runtime(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.data / "runtime.json").read_text())
        return document

    def api(self, path: str, *, key: str = "", method: str = "GET") -> Answer:
        return ask(f"http://127.0.0.1:{self.port}{path}", key=key, method=method)

    def worker(self, path: str) -> Answer:
        return ask(f"http://127.0.0.1:{self.worker_port}{path}")

    def is_ready(self) -> bool:
        return self.api("/readyz").status == 200 and self.worker("/readyz").status == 200

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Tells it to stop; its exit code."""
        assert self.process is not None
        assert self.process.stdout is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(STOP_TIMEOUT_S)
        self.process.stdout.close()
        if self._log is not None:
            self._log.close()
        return code
