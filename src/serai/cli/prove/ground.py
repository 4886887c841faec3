"""The shop that is attacked: a database, two APIs, two workers and a provider, in a folder of ours.

Whatever one part says to another goes through a `Link`. Of the environment only the choice of
PostgreSQL counts; the rest of the shop is always the same.
"""

import asyncio
import contextlib
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, quote, urlsplit

import msgspec

from serai import settings
from serai.cli.bench.shop import default_parent
from serai.cli.inside import go_inside
from serai.cli.prove.guard import note_process, traces_of
from serai.cli.prove.links import HOST, Link
from serai.cli.prove.members import Member
from serai.cli.prove.plan import APIS, DATABASE, PROVIDER, WORKERS
from serai.contexts.payments.contract import CALLBACKS_PATH
from serai.contexts.tenancy.contract import SCOPES, TenantView
from serai.kernel.embedded import EmbeddedPostgres, find_binaries, reachable_data_dir
from serai.kernel.pool import APP_ROLE
from serai.roles.migrate import bring_up
from serai.settings import PREFIX, Settings, environment_of

TENANT: Final = "proving-ground"
CONNECTIONS_MAX: Final = 48
"""Of the database: what the four pools may hold in all, and little more."""
POOL_MAX: Final = 8
PAYMENT_TIMEOUT_S: Final = 2.0
PAYMENT_DEADLINE_S: Final = 25.0
SILENCE_S: Final = 5.0
"""How long the provider withholds an answer: longer than anyone waits for it."""
LATE_S: Final = 3.0
SECRET: Final = "proving-ground-callbacks"  # noqa: S105 - no money moves
SOCKET_NAME: Final = ".s.PGSQL.5432"
GUARD_TIMEOUT_S: Final = 15.0
CHOSEN: Final = ("SERAI_POSTGRES_BIN",)


class Ground:
    """The running shop, its parts by name, and the way past every proxy for whoever judges it."""

    def __init__(self, folder: Path, postgres: EmbeddedPostgres, own: Settings) -> None:
        self.folder = folder
        self.postgres = postgres
        self.members: dict[str, Member] = {}
        self.links: dict[str, Link] = {}
        self.ports: dict[str, int] = {}
        """Where the client reaches each API: the ports of its links."""
        self.provider_port = free_port()
        self.key = ""
        self.tenant: TenantView | None = None
        self.on_happening: Callable[[str, str], None] = lambda _part, _what: None
        self.database_lock = asyncio.Lock()
        """Held while the database is started again, so that it happens once at a time."""
        self._own = own
        self._direct = {name: free_port() for name in (*APIS, *WORKERS)}

    @property
    def direct_ports(self) -> Mapping[str, int]:
        """Where each process really listens."""
        return self._direct

    @property
    def inside(self) -> Settings:
        """Settings for looking into the database itself."""
        return msgspec.structs.replace(self._own, database_app_url=self.postgres.app_url())

    async def open(self) -> None:
        """Starts everything, and returns when all of it is ready."""
        await asyncio.to_thread(self.postgres.start)
        await bring_up(self.postgres.owner_url())
        async with go_inside(self.inside) as house:
            issued = await house.tenancy.create_tenant(TENANT, scopes=SCOPES)
        self.tenant, self.key = issued.tenant, issued.key.key
        await self._lay_links()
        self._make_members()
        for member in self.members.values():
            member.start()
        await asyncio.gather(*(member.wait_ready() for member in self.members.values()))

    async def close(self) -> None:
        """Ends everything: first those that take orders, then those that carry them out."""
        for names in (APIS, WORKERS, (PROVIDER,)):
            ending = [self.members[name].end() for name in names if name in self.members]
            await asyncio.gather(*ending)
        for link in self.links.values():
            await link.close()
        async with self.database_lock:
            await asyncio.to_thread(self.postgres.stop, "immediate")

    async def _lay_links(self) -> None:
        query = parse_qs(urlsplit(self.postgres.app_url()).query)
        database = Path(query["host"][0]) / f".s.PGSQL.{query['port'][0]}"
        for api in APIS:
            link = await self._lay(f"client>{api}", self._direct[api])
            self.ports[api] = link
        for process in (*APIS, *WORKERS):
            near = self.folder / "links" / process
            near.mkdir(mode=0o700, parents=True)
            link_to_database = Link(f"{process}>{DATABASE}", database)
            await link_to_database.open(near / SOCKET_NAME)
            self.links[link_to_database.name] = link_to_database
        for worker in WORKERS:
            self.ports[f"{worker}>{PROVIDER}"] = await self._lay(
                f"{worker}>{PROVIDER}", self.provider_port
            )
        callbacks = f"{PROVIDER}>{APIS[0]}"
        self.ports[callbacks] = await self._lay(callbacks, self._direct[APIS[0]])

    async def _lay(self, name: str, port: int) -> int:
        link = Link(name, port)
        near = await link.open()
        assert isinstance(near, int), "a link to a port listens at a port"
        self.links[name] = link
        return near

    def _make_members(self) -> None:
        logs = self.folder / "log"
        logs.mkdir()

        def add(name: str, arguments: list[str], probe: tuple[int, str]) -> None:
            self.members[name] = Member(
                name,
                arguments,
                environment=lambda offset_s: self._environment(name, offset_s),
                probe=probe,
                log=logs / f"{name}.log",
                tell=self._tell,
                born=lambda pid: note_process(self.folder, pid),
            )

        callbacks = f"http://{HOST}:{self.ports[f'{PROVIDER}>{APIS[0]}']}{CALLBACKS_PATH}"
        add(PROVIDER, [
            "-m", "serai.contexts.payments.gateways.sandbox_server",
            "--port", str(self.provider_port), "--callback-url", callbacks,
            "--callback-secret", SECRET, "--timeout-hold-s", str(SILENCE_S),
            "--late-delay-s", str(LATE_S), "--journal", str(self.folder / "provider.jsonl"),
            "--lifeline",
        ], (self.provider_port, "/healthz"))  # fmt: skip
        for name in APIS:
            serve = ["-m", "serai", "serve", "--role", "api", "--lifeline"]
            add(name, serve, (self._direct[name], "/readyz"))
        for name in WORKERS:
            work = ["-m", "serai", "worker", "--with-scheduler", "--lifeline"]
            add(name, work, (self._direct[name], "/readyz"))

    def _tell(self, part: str, what: str) -> None:
        self.on_happening(part, what)

    def _environment(self, name: str, offset_s: float) -> dict[str, str]:
        """Our environment, with the settings of this process and no others.

        Variables that are no settings go along, SERAI_ or not: a test plants its faults by one.
        """
        known = {f"{PREFIX}{field.name.upper()}" for field in msgspec.structs.fields(Settings)}
        others = {n: value for n, value in os.environ.items() if n not in known}
        if name == PROVIDER:
            return others
        near = quote(str(self.folder / "links" / name), safe="")
        own = msgspec.structs.replace(
            self._own,
            database_app_url=f"postgresql://{APP_ROLE}@/serai?host={near}&port=5432",
            clock_offset_s=offset_s,
            port=self._direct[name],
            worker_port=self._direct[name],
            payment_provider=(
                f"http://{HOST}:{self.ports[f'{name}>{PROVIDER}']}" if name in WORKERS else "direct"
            ),
        )
        return {**others, **environment_of(own)}


@contextlib.asynccontextmanager
async def open_ground() -> AsyncIterator[Ground]:
    """The shop in a new folder, and nothing left of it afterwards, whatever happens meanwhile."""
    ground = make_ground()
    data_dir = ground.postgres.data_dir
    async with _guarded(ground.folder, data_dir):
        try:
            await ground.open()
            yield ground
        finally:
            try:
                await asyncio.shield(asyncio.ensure_future(ground.close()))
            finally:
                for place in traces_of(ground.folder, data_dir):
                    shutil.rmtree(place, ignore_errors=True)


def make_ground() -> Ground:
    """The shop in a new folder, nothing of it started; no folder is left where that cannot be."""
    chosen = settings.load({n: v for n, v in os.environ.items() if n in CHOSEN})
    binaries = find_binaries(Path(chosen.postgres_bin)) if chosen.postgres_bin else None
    folder = Path(tempfile.mkdtemp(prefix="serai-prove-", dir=default_parent()))
    try:
        folder.chmod(0o711)  # where we are root, the server runs as another user
        data_dir = reachable_data_dir(folder / "database")
    except BaseException:
        folder.rmdir()
        raise
    bounds = {"max_connections": str(CONNECTIONS_MAX)}
    postgres = EmbeddedPostgres(data_dir, binaries=binaries, settings=bounds)
    own = msgspec.structs.replace(
        chosen, data_dir=str(folder), pool_max=POOL_MAX, log_level="warning",
        payment_timeout_s=PAYMENT_TIMEOUT_S, payment_deadline_s=PAYMENT_DEADLINE_S,
        callback_secret=SECRET,
    )  # fmt: skip
    return Ground(folder, postgres, own)


@contextlib.asynccontextmanager
async def _guarded(folder: Path, data_dir: Path) -> AsyncIterator[None]:
    """Has a process beside us sweep up if we are killed."""
    guard = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "serai.cli.prove.guard", str(folder), str(data_dir),
        stdin=asyncio.subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        yield
    finally:
        assert guard.stdin is not None
        guard.stdin.close()
        try:
            await asyncio.wait_for(guard.wait(), GUARD_TIMEOUT_S)
        except TimeoutError:
            guard.kill()
            await guard.wait()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
