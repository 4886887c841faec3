"""What a run has cost, told by the operating system and by PostgreSQL's own statistics.

A process counts with all that descend from it, so that it does not matter into how many the shop or
the server divides itself.
"""

import os
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import psutil

from serai.kernel import queries
from serai.kernel.pool import APP_ROLE
from serai.roles.schemas import PACKAGES

BYTES_A_MB = 1_000_000

_SQL = queries.load("serai.cli.bench")
# What PostgreSQL replaces, leaves out or shortens when it keeps a statement's text.
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_CONSTANT = re.compile(r"'[^']*'|\$\d+|\b\d+(?:\.\d+)?\b|\b(?:true|false|null)\b")
_LIST = re.compile(r"\?(?:,\?)+")


class Machine(msgspec.Struct, frozen=True):
    """What the figures were measured on."""

    cpu: str
    cores: int
    memory_mb: int
    kernel: str
    file_system: str
    python: str
    postgres: str


class StatementCost(msgspec.Struct, frozen=True):
    """What a named statement has cost the server."""

    name: str
    calls: int
    total_ms: float
    rows: int


def describe_machine(folder: Path, postgres: str) -> Machine:
    """The machine, and the file system under `folder`."""
    return Machine(
        cpu=_cpu_model(),
        cores=len(os.sched_getaffinity(0)),
        memory_mb=psutil.virtual_memory().total // BYTES_A_MB,
        kernel=f"{platform.system()} {platform.release()}",
        file_system=_file_system(folder),
        python=platform.python_version(),
        postgres=postgres,
    )


def _cpu_model() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def _file_system(folder: Path) -> str:
    mounts = psutil.disk_partitions(all=True)
    holding = [mount for mount in mounts if folder.resolve().is_relative_to(mount.mountpoint)]
    return max(holding, key=lambda mount: len(mount.mountpoint)).fstype if holding else "unknown"


def trees(roots: Mapping[str, int]) -> dict[str, list[psutil.Process]]:
    """Each named process with all that live and descend from it."""
    found: dict[str, list[psutil.Process]] = {}
    for name, pid in roots.items():
        with suppress(psutil.NoSuchProcess):
            root = psutil.Process(pid)
            found[name] = [root, *root.children(recursive=True)]
    return found


def cpu_seconds(roots: Mapping[str, int]) -> dict[str, float]:
    """Processor time that each tree has used since it began, ended children included."""
    return {name: _sum_cpu(processes) for name, processes in trees(roots).items()}


def _sum_cpu(processes: Iterable[psutil.Process]) -> float:
    total = 0.0
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            # A parent's `children_` times hold those that have ended; the living count themselves.
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def memory_mb(roots: Mapping[str, int]) -> dict[str, float]:
    """Memory of each tree in MB; what processes share is counted once, in shares."""
    return {
        name: round(sum(map(_memory_bytes, processes)) / BYTES_A_MB, 1)
        for name, processes in trees(roots).items()
    }


def _memory_bytes(process: psutil.Process) -> int:
    try:
        full = process.memory_full_info()
        return int(getattr(full, "pss", 0) or full.rss)
    except psutil.NoSuchProcess:
        return 0
    except psutil.AccessDenied:
        return int(process.memory_info().rss)


async def reset_statements(connection: Any) -> None:
    """Begins to count statements anew."""
    await connection.execute(_SQL.reset_statements.text(""))


async def list_statements(connection: Any, role: str = APP_ROLE) -> list[StatementCost]:
    """What each statement of a role has cost since the reset, the dearest first."""
    rows = await connection.fetch(_SQL.list_statements.text(""), role)
    names = name_statements(PACKAGES)
    return sum_by_name(
        [
            StatementCost(name_of(r["query"], names), r["calls"], r["total_ms"], r["rows"])
            for r in rows
        ]
    )


def name_statements(packages: Iterable[str]) -> dict[str, str]:
    """The name of each statement of these packages, by its outline."""
    names: dict[str, str] = {}
    for package in packages:
        with suppress(FileNotFoundError):
            for statement in queries.load(package).statements.values():
                names[outline(statement.text(""))] = statement.name
    return names


def outline(query: str) -> str:
    """A statement without what PostgreSQL changes when it keeps it, and without spaces."""
    bare = _CONSTANT.sub("?", _COMMENT.sub("", query).lower())
    return _LIST.sub("?", "".join(bare.split()))


def name_of(query: str, names: Mapping[str, str]) -> str:
    """The name under which we know a statement, else how it begins."""
    return names.get(outline(query)) or " ".join(query.split()[:3])[:40]


def sum_by_name(costs: Sequence[StatementCost]) -> list[StatementCost]:
    """One cost for each name, the dearest first."""
    sums: dict[str, StatementCost] = {}
    for cost in costs:
        known = sums.get(cost.name, StatementCost(cost.name, 0, 0.0, 0))
        sums[cost.name] = StatementCost(
            cost.name,
            known.calls + cost.calls,
            known.total_ms + cost.total_ms,
            known.rows + cost.rows,
        )
    return sorted(sums.values(), key=lambda cost: (-cost.total_ms, cost.name))
