"""Sweeps up after a run whose own process was killed: its processes, its database, its folder.

It holds the end of a pipe whose other end is the run's, so it learns of any death. A process that
is stopped (SIGSTOP) cannot see its own lifeline, and PostgreSQL has none: hence somebody beside.
"""

import contextlib
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Final

import psutil

from serai.kernel.embedded import EmbeddedPostgres

PROCESSES_FILE: Final = "processes"
DATABASE_WAIT_S: Final = 10.0
POLL_S: Final = 0.1
BYTES: Final = 64


def note_process(folder: Path, pid: int) -> None:
    """Puts a process on the list of those that must not outlive the run."""
    with contextlib.suppress(psutil.NoSuchProcess):
        born = psutil.Process(pid).create_time()
        with (folder / PROCESSES_FILE).open("a") as file:
            file.write(f"{pid} {born!r}\n")


def kill_listed(folder: Path) -> None:
    """Ends the listed processes; a number that is another process's by now is left alone."""
    try:
        lines = (folder / PROCESSES_FILE).read_text().splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        pid, _, born = line.partition(" ")
        with contextlib.suppress(psutil.NoSuchProcess, ValueError):
            process = psutil.Process(int(pid))
            if process.create_time() == float(born):
                process.kill()


def stop_database(data_dir: Path) -> None:
    """An immediate shutdown; the server is not ours to wait for long."""
    postgres = EmbeddedPostgres(data_dir)
    deadline = time.monotonic() + DATABASE_WAIT_S
    number = signal.SIGQUIT
    while (pid := postgres.pid) is not None:
        if time.monotonic() > deadline:
            number = signal.SIGKILL
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        time.sleep(POLL_S)


def sweep(folder: Path, data_dir: Path) -> None:
    """Ends everything, and leaves no trace of it."""
    kill_listed(folder)
    if data_dir.exists():
        stop_database(data_dir)
    for place in traces_of(folder, data_dir):
        shutil.rmtree(place, ignore_errors=True)


def traces_of(folder: Path, data_dir: Path) -> tuple[Path, ...]:
    """Everything on disk that is a run's; the database may have to lie elsewhere than the rest."""
    return folder, data_dir, data_dir.with_name(f"{data_dir.name}.binaries")


def main() -> None:
    """Waits for the end of the run; sweeps if it left anything."""
    folder, data_dir = Path(sys.argv[1]), Path(sys.argv[2])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while os.read(sys.stdin.fileno(), BYTES):
        pass
    if folder.exists() or data_dir.exists():
        sweep(folder, data_dir)


if __name__ == "__main__":
    main()
