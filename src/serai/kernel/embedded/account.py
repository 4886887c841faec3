"""The system user that PostgreSQL runs as, and how a program is run as that user.

PostgreSQL refuses to be root. Where we are root, an ordinary user runs it; where we are not, we do.
"""

import os
import pwd
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

VERSION_FILE: Final = "PG_VERSION"
SERVER_USERS: Final = ("postgres", "nobody")


class EmbeddedError(Exception):
    """The embedded server cannot do what was asked; the message says what to do about it."""


@dataclass(frozen=True)
class Account:
    """A system user; a number without a name will do, as in containers and mounted volumes."""

    name: str
    uid: int
    gid: int


def is_root() -> bool:
    """Whether the server has to be handed to another user."""
    return os.geteuid() == 0


def account_for(data_dir: Path, *, user: str | None) -> Account:
    """Who runs the server: we ourselves, or, as root, the folder's owner, else a plain user.

    An owner who is but a number keeps a database that is there, and cannot make one: initdb asks
    for a name.
    """
    if not is_root():
        return Account(f"uid {os.geteuid()}", os.geteuid(), os.getegid())
    if user is None and data_dir.exists():
        owner = data_dir.stat()
        has_name = any(entry.pw_uid == owner.st_uid for entry in pwd.getpwall())
        if owner.st_uid != 0 and (has_name or (data_dir / VERSION_FILE).exists()):
            return Account(f"uid {owner.st_uid}", owner.st_uid, owner.st_gid)
    for name in (user,) if user else SERVER_USERS:
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            if entry.pw_uid != 0:
                return Account(name, entry.pw_uid, entry.pw_gid)
    raise EmbeddedError(
        "PostgreSQL refuses to run as root, and no other user was found to run it "
        f"({user or ', '.join(SERVER_USERS)}). Create one (useradd --system postgres), or start "
        "Serai as an ordinary user."
    )


def barrier(path: Path, account: Account) -> Path | None:
    """The first existing part of `path` that the account may not enter (or, a file, read)."""
    for part in (*reversed(path.parents), path):
        if not part.exists():
            return None
        found = part.stat()
        shift = 6 if found.st_uid == account.uid else 3 if found.st_gid == account.gid else 0
        needed = 0o1 if part.is_dir() else 0o4
        if not (found.st_mode >> shift) & needed:
            return part
    return None


def run_as(
    account: Account | None, command: Sequence[str | Path], *, timeout_s: float
) -> subprocess.CompletedProcess[str]:
    """Runs a program of PostgreSQL to its end; raises only if it cannot be run at all.

    PG* variables of our own environment would send it elsewhere, hence the bare environment.
    """
    other = account if is_root() else None
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    try:
        return subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            cwd="/",
            env=kept | {"LC_ALL": "C", "TZ": "UTC"},
            umask=0o077,
            start_new_session=True,  # Ctrl-C in our terminal is for us, not for the server
            user=other.uid if other else None,
            group=other.gid if other else None,
            extra_groups=[] if other else None,
        )
    except subprocess.TimeoutExpired as slow:
        raise EmbeddedError(f"{command[0]} was ended: it took over {timeout_s:g} s.") from slow
    except (OSError, subprocess.SubprocessError) as failure:
        as_whom = f" as {other.name}" if other else ""
        raise EmbeddedError(f"{command[0]} cannot be run{as_whom}: {failure}") from failure
