"""One embedded PostgreSQL server: started, found again, stopped, and how to connect to it."""

import hashlib
import os
import stat
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal
from urllib.parse import quote

import psutil

from serai.kernel.embedded import rights
from serai.kernel.embedded.account import (
    Account,
    EmbeddedError,
    account_for,
    barrier,
    is_root,
    run_as,
)
from serai.kernel.embedded.binaries import Binaries, find_binaries, reachable_binaries
from serai.kernel.embedded.folder import (
    SUPERUSER,
    check_contents,
    initialise,
    locked,
    make_folder,
    open_log,
    write_settings,
)
from serai.kernel.embedded.postmaster import (
    Postmaster,
    clear_stale_pid_file,
    find_live_postmaster,
    find_orphans,
)

START_TIMEOUT_S: Final = 60
STOP_TIMEOUT_S: Final = 30
ORPHANS_TIMEOUT_S: Final = 20
GRACE_S: Final = 10  # for pg_ctl to come back by itself after its own timeout
POLL_S: Final = 0.02
RETRY_S: Final = 0.25
LOG_TAIL_LINES: Final = 12
SOCKET_PATH_BYTES_MAX: Final = 103  # sun_path holds 108 bytes on Linux, 104 on macOS
SOCKET_PORT: Final = 5432  # a part of the socket's file name and no more, unless TCP is asked for

_FALLBACK_HOME: Final = Path("/var/lib/serai")
_STATISTICS: Final = "pg_stat_statements"
_IN_USE: Final = "is still in use"  # PostgreSQL's words when backends of a dead server live on

_SETTINGS: Final = {
    "autovacuum": "on",
    "autovacuum_naptime": "15s",
    "checkpoint_completion_target": "0.9",
    "checkpoint_timeout": "15min",
    "huge_pages": "off",
    "jit": "off",
    "log_timezone": "UTC",
    "logging_collector": "off",
    "max_connections": "100",
    "max_wal_size": "2GB",
    "timezone": "UTC",
    "track_io_timing": "off",
    "unix_socket_permissions": "0700",
}
_DURABLE: Final = {"fsync": "on", "synchronous_commit": "on", "shared_buffers": "256MB"}
_FORGETFUL: Final = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "128MB",
}


def reachable_data_dir(preferred: Path, *, user: str | None = None) -> Path:
    """`preferred`, or a folder in /var/lib/serai where the server's user cannot get there.

    A checkout in /root is the usual case: root may work in it, the server's user may not enter.
    """
    preferred = preferred.resolve()
    account = account_for(preferred, user=user)
    if not is_root() or barrier(preferred.parent, account) is None:
        return preferred
    return _FALLBACK_HOME / f"{preferred.name}-{_hash_of(str(preferred))}"


class EmbeddedPostgres:
    """A PostgreSQL server in `data_dir`, reached by a unix socket that only its user can open.

    With `port` it listens on 127.0.0.1 too. `durable=False` forgets on a power cut: for tests.
    `settings` are added to ours. `user` runs the server where we are root.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int | None = None,
        binaries: Binaries | None = None,
        durable: bool = True,
        settings: Mapping[str, str] | None = None,
        user: str | None = None,
    ) -> None:
        self.data_dir = data_dir.resolve()
        self._port = port
        self._binaries = binaries
        self._durable = durable
        self._settings = dict(settings or {})
        self._user = user
        self._is_owned = False

    def start(self, *, adopt: bool = False) -> None:
        """Starts the server, or attaches to the one that runs here; then it takes connections.

        A server that we merely attached to is not ours to stop, unless we `adopt` it. Returns
        with the database and both roles in place, or raises and leaves no server of ours behind.
        """
        binaries = self._binaries = self._binaries or find_binaries()
        account = account_for(self.data_dir, user=self._user)
        make_folder(self.data_dir, account)
        with locked(self.data_dir):
            check_contents(self.data_dir, binaries)
            is_new = not self._attach()
            if is_new:
                server = self._launch(account)
                try:
                    self._furnish(server)
                except EmbeddedError:
                    self._halt(account, "fast")
                    raise
            self._is_owned = self._is_owned or is_new or adopt

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stops the server if it is ours: running transactions are rolled back, the rest is kept.

        `immediate` does not tidy up, the next start recovers; also used when `fast` takes too long.
        """
        if not self._is_owned:
            return
        account = account_for(self.data_dir, user=self._user)
        with locked(self.data_dir):
            self._halt(account, mode)
        self._is_owned = False

    @property
    def is_owned(self) -> bool:
        """Whether `stop` will stop it."""
        return self._is_owned

    @property
    def pid(self) -> int | None:
        """The process id of the server that runs in this folder, whoever started it."""
        server = find_live_postmaster(self.data_dir)
        return server.pid if server else None

    def is_running(self) -> bool:
        """Whether a server runs in this folder, whoever started it."""
        return self.pid is not None

    def wait_for_end(self, timeout_s: float) -> bool:
        """Whether no server runs in this folder any more; told as soon as it ends."""
        if (pid := self.pid) is not None:
            with suppress(psutil.Error):
                psutil.Process(pid).wait(timeout_s)
        return not self.is_running()

    def url(self, database: str, user: str) -> str:
        """Where `user` finds `database`, over the unix socket; for asyncpg and libpq alike."""
        server = find_live_postmaster(self.data_dir)
        if server is None or not server.socket_dir:
            raise EmbeddedError(f"No server runs in {self.data_dir}: start it first.")
        return _url(server, user, database)

    def admin_url(self, database: str = "postgres") -> str:
        """For the superuser, whom row-level security does not stop: to make databases, to tune."""
        return self.url(database, SUPERUSER)

    def owner_url(self, database: str = rights.DATABASE) -> str:
        """For migrations: the owner of the tables."""
        return self.url(database, rights.OWNER_ROLE)

    def app_url(self, database: str = rights.DATABASE) -> str:
        """For everything else: walled by row-level security."""
        return self.url(database, rights.APP_ROLE)

    def create_database(self, name: str, *, template: str | None = None) -> None:
        """Sees to it that the database exists, a copy of `template` if it has to be made."""
        rights.in_session(
            self.admin_url(),
            lambda connection: rights.ensure_database(connection, name, template=template),
        )
        if template is None:  # a copy has the rights of what it is copied from
            rights.in_session(self.admin_url(name), rights.close_settings)

    def _attach(self) -> bool:
        """Whether a server runs here, found and furnished; one in its start or end is awaited."""
        deadline = time.monotonic() + START_TIMEOUT_S
        failure: EmbeddedError | None = None
        while server := find_live_postmaster(self.data_dir):
            if server.is_ready:
                try:
                    self._furnish(server)
                    return True
                except rights.Unreachable as unreachable:  # killed a moment ago, it looks alive
                    failure = unreachable
            if time.monotonic() > deadline:
                raise EmbeddedError(
                    f"The server in {self.data_dir} (process {server.pid}) runs, but has not "
                    f"answered for {START_TIMEOUT_S} s; after a crash it may have much to recover. "
                    "Its log is in the log folder there. Wait, or end it (kill), then start again."
                ) from failure
            time.sleep(POLL_S)
        return False

    def _furnish(self, server: Postmaster) -> None:
        if self._port is not None and (server.port != self._port or not server.listens_on):
            raise EmbeddedError(
                f"The server in {self.data_dir} (process {server.pid}) runs already and does not "
                f"listen on port {self._port}. Stop it and start again, or leave out the port."
            )
        rights.in_session(_url(server, SUPERUSER, "postgres"), self._check_and_furnish)
        own = _url(server, SUPERUSER, rights.DATABASE)
        rights.in_session(own, rights.add_statement_statistics)
        rights.in_session(own, rights.close_settings)

    async def _check_and_furnish(self, connection: "rights.Connection") -> None:
        if self._durable and await connection.fetchval("SHOW fsync") == "off":
            raise EmbeddedError(
                f"A server runs in {self.data_dir} with fsync off and would lose orders in a power "
                "cut. Stop it (pg_ctl stop) and start again, or ask for one that is not durable."
            )
        await rights.furnish(connection)

    def _reachable(self, account: Account) -> Binaries:
        copies = self.data_dir.with_name(f"{self.data_dir.name}.binaries")
        return reachable_binaries(self._binaries or find_binaries(), account, beside=copies)

    def _launch(self, account: Account) -> Postmaster:
        binaries = self._reachable(account)
        initialise(self.data_dir, binaries, account, durable=self._durable)
        clear_stale_pid_file(self.data_dir)
        sockets = _make_socket_dir(self.data_dir, account, port=self._port or SOCKET_PORT)
        write_settings(self.data_dir, self._all_settings(binaries, account, sockets), account)
        log = open_log(self.data_dir, account)
        command: list[str | Path] = [binaries.folder / "pg_ctl", "start", "-w"]
        command += ["-t", str(START_TIMEOUT_S), "-D", self.data_dir, "-l", log]
        patience = time.monotonic() + ORPHANS_TIMEOUT_S
        while True:
            said_before = log.stat().st_size if log.exists() else 0
            done = run_as(account, command, timeout_s=START_TIMEOUT_S + GRACE_S)
            if done.returncode == 0 and (server := find_live_postmaster(self.data_dir)):
                return server
            said = _tail(log, said_before) or done.stderr.strip()
            if _IN_USE not in said:
                raise EmbeddedError(f"PostgreSQL did not start in {self.data_dir}. It says: {said}")
            if time.monotonic() > patience:
                pids = " ".join(map(str, find_orphans(self.data_dir))) or "see ps -C postgres"
                raise EmbeddedError(
                    f"The server in {self.data_dir} was killed, and after {ORPHANS_TIMEOUT_S} s "
                    f"processes of it are still at work ({pids}). End them with kill (not with "
                    "kill -9), then start again."
                )
            time.sleep(RETRY_S)

    def _all_settings(self, binaries: Binaries, account: Account, sockets: Path) -> dict[str, str]:
        chosen = _SETTINGS | (_DURABLE if self._durable else _FORGETFUL)
        chosen |= {
            "listen_addresses": "127.0.0.1" if self._port else "",
            "port": str(self._port or SOCKET_PORT),
            "unix_socket_directories": f'"{sockets}"',
        }
        if sys.platform == "linux":
            # After a crash it makes sure of every file: in one sweep, not in seconds of one by one.
            chosen["recovery_init_sync_method"] = "syncfs"
        if binaries.has_library(_STATISTICS):
            chosen["shared_preload_libraries"] = _STATISTICS
        ask: list[str | Path] = [binaries.folder / "postgres", "-D", self.data_dir]
        ask += ["-C", "wal_compression", "-c", "wal_compression=lz4"]
        told = run_as(account, ask, timeout_s=GRACE_S)
        if told.returncode == 0:  # else it was built without lz4; pglz costs more than it saves
            chosen["wal_compression"] = "lz4"
        return chosen | self._settings

    def _halt(self, account: Account, mode: Literal["fast", "immediate"]) -> None:
        binaries = self._reachable(account)
        command: list[str | Path] = [binaries.folder / "pg_ctl", "stop", "-w"]
        command += ["-t", str(STOP_TIMEOUT_S), "-D", self.data_dir]
        server = find_live_postmaster(self.data_dir)
        for how in dict.fromkeys((mode, "immediate")):
            if find_live_postmaster(self.data_dir):
                run_as(account, [*command, "-m", how], timeout_s=STOP_TIMEOUT_S + GRACE_S)
        if left := find_live_postmaster(self.data_dir):
            raise EmbeddedError(
                f"The server in {self.data_dir} (process {left.pid}) does not stop. What was "
                "committed is safe; see what holds it (ps, its log), then kill that process."
            )
        if server and Path(server.socket_dir).name == _socket_dir_name(self.data_dir):
            with suppress(OSError):  # not empty: then it is not only ours
                Path(server.socket_dir).rmdir()


def _url(server: Postmaster, user: str, database: str) -> str:
    place = f"host={quote(server.socket_dir, safe='')}&port={server.port}"
    return f"postgresql://{quote(user, safe='')}@/{quote(database, safe='')}?{place}"


def _socket_dir_name(data_dir: Path) -> str:
    """A folder made anew at the same path has another number, and so a socket folder of its own.

    The server of a deleted folder lives for up to a minute before it notices.
    """
    found = data_dir.stat()
    return f"serai-{_hash_of(f'{data_dir} {found.st_dev} {found.st_ino}')}"


def _make_socket_dir(data_dir: Path, account: Account, *, port: int) -> Path:
    """A folder that only the account (and root) can enter, with a path short enough for sockets.

    Who can enter it is superuser in the database: whatever stands there already must be ours.
    """
    refused = "no folder for temporary files is open to it"
    for base in (Path(tempfile.gettempdir()).resolve(), Path("/tmp")):  # noqa: S108 (checked below)
        place = base / _socket_dir_name(data_dir)
        if len(os.fsencode(place / f".s.PGSQL.{port}")) > SOCKET_PATH_BYTES_MAX:
            refused = f"{place} is too long a path for a socket"
            continue
        if is_root() and barrier(base, account):
            continue
        place.mkdir(mode=0o700, exist_ok=True)
        found = place.lstat()
        if is_root() and found.st_uid == 0 and stat.S_ISDIR(found.st_mode):
            os.chown(place, account.uid, account.gid, follow_symlinks=False)
            found = place.lstat()
        if (
            stat.S_ISDIR(found.st_mode)
            and found.st_uid == account.uid
            and not found.st_mode & 0o077
        ):
            for left in place.glob(".s.PGSQL.*"):  # of a server that was killed
                left.unlink()
            return place
        refused = (
            f"{place} exists and is not a folder that only {account.name} can enter: remove it"
        )
    raise EmbeddedError(f"PostgreSQL has no place for its socket: {refused}. Or set TMPDIR.")


def _hash_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _tail(log: Path, start: int) -> str:
    """The last lines that the log has gained since it was `start` bytes long."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(start)
        lines = file.read().decode(errors="replace").splitlines()
    return "\n".join(lines[-LOG_TAIL_LINES:])
