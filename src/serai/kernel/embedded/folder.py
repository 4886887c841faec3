"""The data folder: whose it is, what may be in it, how it is made, its settings and its log."""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from serai.kernel.embedded.account import (
    VERSION_FILE,
    Account,
    EmbeddedError,
    barrier,
    is_root,
    run_as,
)
from serai.kernel.embedded.binaries import Binaries

SUPERUSER: Final = "postgres"
INITDB_TIMEOUT_S: Final = 120
LOCK_TIMEOUT_S: Final = 90  # another process may be starting here: initdb, then a recovery
LOCK_POLL_S: Final = 0.02
LOG_BYTES_MAX: Final = 32 * 1024 * 1024  # of the log, and as much again of the one before it

_SETTINGS_FILE: Final = "serai.conf"
_INCLUDE: Final = f"include_if_exists = '{_SETTINGS_FILE}'"
# initdb works in the first, which is given the second name once it is whole, and then moved up.
# Killed in the middle it would else leave a folder that looks like a database and is none.
_HALF_MADE: Final = "initdb.partial"
_WHOLE: Final = "initdb.whole"
_NOT_OURS_BUT_HARMLESS: Final = "lost+found"  # a volume of its own has it
_BUILTIN_LOCALE_SINCE: Final = 17


def make_folder(data_dir: Path, account: Account) -> None:
    """Makes the folder and those above it, if `account` will be able to get there."""
    if is_root() and (blocked := barrier(data_dir.parent, account)):
        raise EmbeddedError(
            f"PostgreSQL would run as {account.name}, who may not enter {blocked} on the way to "
            f"{data_dir}. Allow it (chmod o+x {blocked}) or choose another data folder."
        )
    try:
        missing = [part for part in data_dir.parents if not part.exists()]
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        if is_root():
            for part in missing:  # our umask may have shut the account out
                part.chmod(0o755)
    except OSError as failure:
        raise EmbeddedError(
            f"The data folder {data_dir} cannot be made: {failure}. Choose another one."
        ) from failure
    owner_uid = data_dir.stat().st_uid
    if not is_root() and owner_uid != account.uid:
        raise EmbeddedError(
            f"The data folder {data_dir} belongs to user {owner_uid}, and we are {account.name}. "
            "Start Serai as that user, or choose another data folder."
        )


@contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """Keeps other processes from starting or stopping a server here meanwhile."""
    handle = os.open(data_dir, os.O_RDONLY)
    deadline = time.monotonic() + LOCK_TIMEOUT_S
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as busy:
                if time.monotonic() > deadline:
                    raise EmbeddedError(
                        f"Another process has been starting or stopping the server in {data_dir} "
                        f"for {LOCK_TIMEOUT_S} s. Wait for it or end it, then try again."
                    ) from busy
                time.sleep(LOCK_POLL_S)
        yield
    finally:
        os.close(handle)


def check_contents(data_dir: Path, binaries: Binaries) -> None:
    """Refuses a folder of another major version, and one that holds anything but a database."""
    present = {entry.name for entry in data_dir.iterdir()}
    if VERSION_FILE in present:
        found = (data_dir / VERSION_FILE).read_text().strip()
        if found != str(binaries.major):
            raise EmbeddedError(
                f"{data_dir} was made by PostgreSQL {found}, and {binaries.folder} is PostgreSQL "
                f"{binaries.major}. Nothing was changed. Either run it with PostgreSQL {found} "
                "(SERAI_POSTGRES_BIN), or move it: start that version, pg_dumpall, and load the "
                "dump into a new folder; or pg_upgrade; or choose another data folder."
            )
        return
    strange = sorted(present - {_HALF_MADE, _WHOLE, _NOT_OURS_BUT_HARMLESS})
    if strange and _WHOLE not in present:
        raise EmbeddedError(
            f"{data_dir} is not empty and is no database of PostgreSQL (it holds "
            f"{', '.join(strange[:3])}). Nothing was changed. Choose an empty or a new folder."
        )


def initialise(data_dir: Path, binaries: Binaries, account: Account, *, durable: bool) -> None:
    """Makes a new database in the folder unless there is one; picks up where a crash left it."""
    if is_root() and data_dir.stat().st_uid != account.uid:
        _hand_over(data_dir, account)
    if data_dir.stat().st_mode & 0o027:  # PostgreSQL accepts 0700 and 0750 only
        data_dir.chmod(0o700)
    whole = data_dir / _WHOLE
    if not whole.exists():
        if (data_dir / VERSION_FILE).exists():
            return
        half = data_dir / _HALF_MADE
        shutil.rmtree(half, ignore_errors=True)
        _initdb(half, binaries, account, durable=durable)
        half.rename(whole)
    for entry in sorted(whole.iterdir(), key=lambda entry: entry.name == VERSION_FILE):
        entry.rename(data_dir / entry.name)
    whole.rmdir()
    if durable:
        handle = os.open(data_dir, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _initdb(folder: Path, binaries: Binaries, account: Account, *, durable: bool) -> None:
    """Runs initdb: UTF-8, sorted by code point, checksums; nobody but the socket's owner comes in.

    Over TCP a password is asked for and no role has one, so that is closed until one is set.
    """
    command: list[str | Path] = [binaries.folder / "initdb", "-D", folder, "-U", SUPERUSER]
    command += ["--encoding=UTF8", "--auth-local=trust", "--auth-host=scram-sha-256"]
    command += ["--data-checksums", "--no-instructions"]
    if not durable:
        command += ["--no-sync"]
    if binaries.major >= _BUILTIN_LOCALE_SINCE:
        locales = [["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]]
    else:  # not every system has C.UTF-8; plain C sorts alike and only knows no accented capitals
        locales = [["--locale=C.UTF-8"], ["--no-locale"]]
    said = ""
    for locale in locales:
        done = run_as(account, [*command, *locale], timeout_s=INITDB_TIMEOUT_S)
        if done.returncode == 0:
            return
        said = (done.stderr or done.stdout).strip()
        shutil.rmtree(folder, ignore_errors=True)
    raise EmbeddedError(
        f"initdb could not make a database in {folder.parent} as {account.name}: {said}"
    )


def _hand_over(data_dir: Path, account: Account) -> None:
    """Gives the folder to the account with all that is in it: root copied a backup back, say."""
    for place, folders, files in os.walk(data_dir):
        for name in (".", *folders, *files):
            os.chown(Path(place) / name, account.uid, account.gid, follow_symlinks=False)


def write_settings(data_dir: Path, settings: Mapping[str, str], account: Account) -> None:
    """Writes our settings into a file of their own that postgresql.conf includes.

    So `ALTER SYSTEM` stands above them, and pg_ctl by hand starts the same server.
    """
    lines = [f"{name} = '{_escaped(value)}'" for name, value in sorted(settings.items())]
    head = "# Written by Serai at every start. Change settings with ALTER SYSTEM instead."
    _replace(data_dir / _SETTINGS_FILE, "\n".join([head, *lines, ""]), account)
    main = data_dir / "postgresql.conf"
    text = main.read_text()
    if _INCLUDE not in text.splitlines():
        _replace(main, f"{text.rstrip()}\n\n{_INCLUDE}\n", account)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")


def _replace(path: Path, text: str, account: Account) -> None:
    """Replaces a file in one step. Exclusive: as root we follow no link that was laid here."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with new.open("x") as file:
        file.write(text)
        if is_root():
            os.fchown(file.fileno(), account.uid, account.gid)
        os.fchmod(file.fileno(), 0o600)
    new.replace(path)


def open_log(data_dir: Path, account: Account) -> Path:
    """The path of the server's log, the former one put aside when it has grown too long."""
    log = data_dir / "log" / "postgres.log"
    with suppress(FileExistsError):
        log.parent.mkdir(mode=0o700)
        if is_root():
            os.chown(log.parent, account.uid, account.gid)
    if log.exists() and log.stat().st_size > LOG_BYTES_MAX:
        log.replace(log.with_name(f"{log.name}.1"))
    return log
