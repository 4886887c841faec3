"""Whether a server of a data folder is alive, told from `postmaster.pid` and from the processes.

The file alone does not tell: a killed server leaves it behind, and its number may by now belong to
another program, which PostgreSQL itself takes for a living server and refuses to start beside.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

PID_FILE: Final = "postmaster.pid"
_PROGRAM: Final = "postgres"
_DEAD: Final = frozenset({psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD})


@dataclass(frozen=True)
class Postmaster:
    """What a server says of itself in `postmaster.pid`; the later lines come as it starts."""

    pid: int
    port: int = 0
    socket_dir: str = ""
    listens_on: str = ""
    is_ready: bool = False


def read_postmaster(data_dir: Path) -> Postmaster | None:
    """The content of `postmaster.pid`, dead or alive; None without such a file, or sense."""
    try:
        lines = (data_dir / PID_FILE).read_text(errors="replace").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return None
    _, _, _, port, socket_dir, listens_on, _, status = [*lines, *[""] * 8][:8]
    pid = lines[0].strip() if lines else ""
    if not pid.isdecimal():
        return None
    return Postmaster(
        pid=int(pid),
        port=int(port) if port.strip().isdecimal() else 0,
        socket_dir=socket_dir.strip(),
        listens_on=listens_on.strip(),
        is_ready=status.strip() == "ready",
    )


def find_live_postmaster(data_dir: Path) -> Postmaster | None:
    """The server that runs in this very folder, starting and stopping ones included."""
    found = read_postmaster(data_dir)
    return found if found and _serves(found.pid, data_dir) else None


def clear_stale_pid_file(data_dir: Path) -> None:
    """Removes a pid file whose number is another program's by now. Call it with no server alive.

    One whose number is nobody's is left: PostgreSQL takes it away itself, and first looks through
    it for backends that live on. They are noticed without it too, by the folder's memory key.
    """
    found = read_postmaster(data_dir)
    if found is None or psutil.pid_exists(found.pid):
        (data_dir / PID_FILE).unlink(missing_ok=True)


def find_orphans(data_dir: Path) -> list[int]:
    """The backends still at work in a folder whose server has died, as far as we may see them."""
    return sorted(
        process.pid
        for process in psutil.process_iter(["name", "cwd"])
        if process.info["name"] == _PROGRAM and process.info["cwd"] == str(data_dir)
    )


def _serves(pid: int, data_dir: Path) -> bool:
    """Whether `pid` is a server of this folder. In doubt it is: better refused than run twice."""
    try:
        process = psutil.Process(pid)
        if process.name() != _PROGRAM or process.status() in _DEAD:
            return False
        words = process.cmdline()
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
    try:
        return process.cwd() == str(data_dir)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:  # a container without CAP_SYS_PTRACE does not show root the folder
        if "-D" in words[:-1]:
            return Path(words[words.index("-D") + 1]).resolve() == data_dir
        return not words[:1] or not words[0].startswith(f"{_PROGRAM}:")  # the title of a backend
