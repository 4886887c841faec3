"""Keeps a whole installation running: PostgreSQL, an API process and a worker process.

What dies is started again with growing pauses. The order of the end is that of the work: the API
first, so that nothing new comes in, then the worker, then the database.
"""

import asyncio
import collections
import contextlib
import os
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Final

import msgspec

from serai.cli.children import BACKOFF_FIRST_S, BACKOFF_MAX_S, Child, Probe
from serai.cli.installation import (
    Runtime,
    Urls,
    embedded_postgres,
    remove_runtime,
    sole_run,
    write_runtime,
)
from serai.cli.processes import Understudy
from serai.contexts.payments.contract import CALLBACKS_PATH
from serai.kernel.embedded import EmbeddedError, EmbeddedPostgres
from serai.kernel.failure import Unavailable
from serai.roles.connection import app_url, databases_at
from serai.roles.migrate import bring_up, bring_up_homes
from serai.roles.ports import refuse_taken_port
from serai.settings import PREFIX, Settings, environment_of

START_TIMEOUT_S: Final = 60.0
GRACE_S: Final = 5.0
"""What a child gets on top of its own drain before it is killed."""
DATABASE_LOOK_S: Final = 0.5
PORT_RETRY_S: Final = 0.2
HAPPENINGS_KEPT: Final = 200
LOG_FOLDER: Final = "log"
LOG_BYTES_MAX: Final = 32 * 1024 * 1024
LOG_TAIL_BYTES: Final = 2000


class Happening(msgspec.Struct, frozen=True):
    """Something that befell a part of the installation."""

    at: datetime
    part: str
    what: str
    """started, ready, died, hung, stopped or failed."""
    detail: str


Listener = Callable[[Happening], None]


class Supervisor:
    """An installation as one thing: started, healthy or not, stopped.

    `has_log_files` sends the children's output to files in the data folder, for whoever draws on
    the terminal; else it goes to standard error. `has_demo_pictures` lets the API serve the demo
    shop's. `sandbox_port` adds the payment sandbox as a
    process of its own, and makes it the payment provider.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        has_log_files: bool = False,
        has_demo_pictures: bool = False,
        sandbox_port: int | None = None,
        listener: Listener | None = None,
    ) -> None:
        self.settings = settings
        self.happenings: collections.deque[Happening] = collections.deque(maxlen=HAPPENINGS_KEPT)
        self.children: dict[str, Child] = {}
        self.urls: Urls | None = None
        self._has_log_files = has_log_files
        self._has_demo_pictures = has_demo_pictures
        self._sandbox_port = sandbox_port
        self._listener = listener
        self._postgres: EmbeddedPostgres | None = None
        self._is_database_up = False
        self._is_published = False
        self._understudy: Understudy | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._started_at = datetime.now(UTC)
        self._at_end = contextlib.ExitStack()

    @property
    def api_url(self) -> str:
        """Where the API answers; with TLS by its public URL, which its certificate names."""
        own = self.settings
        if own.tls is not None and own.public_url:
            return own.public_url
        return f"{own.scheme}://{_reachable(own.host)}:{own.port}"

    @property
    def worker_url(self) -> str:
        """Where the worker's probes and metrics answer."""
        return f"http://{_reachable(self.settings.host)}:{self.settings.worker_port}"

    @property
    def sandbox_url(self) -> str | None:
        """Where the payment sandbox answers, if it was asked for."""
        return f"http://127.0.0.1:{self._sandbox_port}" if self._sandbox_port else None

    @property
    def restarts(self) -> int:
        """How often a child was started again."""
        return sum(child.restarts for child in self.children.values())

    def log_path(self, part: str) -> Path:
        """Where the output of a part goes when it goes to a file."""
        return self.settings.data_path / LOG_FOLDER / f"{part}.log"

    def healthy(self) -> bool:
        """Whether the database is up and every process says that it is ready."""
        children = self.children.values()
        return self._is_database_up and bool(children) and all(c.is_ready for c in children)

    async def start(self) -> None:
        """Returns when everything is ready; Unavailable says what could not be started, and why."""
        left = self._at_end.enter_context(sole_run(self.settings.data_path))
        await self._wait_for_ports(self.settings.drain_s if left else 0.0)
        self.urls = await self._start_database()
        await bring_up(self.urls.owner_url)
        await self._bring_up_homes(self.urls)
        self._is_database_up = True
        for child in self._make_children(self.urls):
            self.children[child.name] = child
            child.start()
        await self._wait_ready()
        if self._understudy is not None:
            await self._understudy.prepare()
        self._write_runtime()
        self._is_published = True
        if self._postgres is not None:
            self._keeper = asyncio.create_task(self._keep_database(self._postgres))

    async def stop(self) -> bool:
        """Ends everything in good order; whether all of it ended by itself."""
        self._is_published = False
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        patience_s = self.settings.drain_notice_s + self.settings.drain_s + GRACE_S
        is_clean = True
        for child in self.children.values():
            is_clean &= await child.end(patience_s=patience_s)
        if self._understudy is not None:
            await self._understudy.end()
        if self._postgres is not None and self._postgres.is_owned:
            await asyncio.to_thread(self._postgres.stop)
            self._tell("postgres", "stopped", "")
        if self.urls is not None:
            remove_runtime(self.settings.data_path)
        self._at_end.close()
        return is_clean

    async def _bring_up_homes(self, urls: Urls) -> None:
        """Migrates the homes of single tenants; one that fails is told of, and no other waits."""
        databases = databases_at(urls.owner_url, urls.app_url, self.settings.databases)
        for outcome in await bring_up_homes(databases):
            if outcome.failed:
                self._tell("migrate", "failed", f"{outcome.home}: {outcome.failed}")

    async def _start_database(self) -> Urls:
        if self.settings.database_url:
            return Urls(self.settings.database_url, app_url(self.settings))
        postgres = await asyncio.to_thread(embedded_postgres, self.settings)
        # Adopted: one that a killed predecessor left is ours to stop now.
        starting = asyncio.create_task(asyncio.to_thread(postgres.start, adopt=True))
        try:
            await asyncio.shield(starting)
        except asyncio.CancelledError:
            with contextlib.suppress(EmbeddedError):
                await starting
            self._postgres = postgres
            raise
        self._postgres = postgres
        self._tell("postgres", "started", f"process {postgres.pid}")
        return Urls(postgres.owner_url(), postgres.app_url())

    async def _keep_database(self, postgres: EmbeddedPostgres) -> None:
        pause_s = BACKOFF_FIRST_S
        while True:
            if not await asyncio.to_thread(postgres.wait_for_end, DATABASE_LOOK_S):
                self._is_database_up, pause_s = True, BACKOFF_FIRST_S
                continue
            self._is_database_up = False
            self._tell("postgres", "died", "started again")
            try:
                await asyncio.to_thread(postgres.start, adopt=True)
            except (EmbeddedError, OSError) as error:
                self._tell("postgres", "failed", f"{error}; tried again in {pause_s:g} s")
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, BACKOFF_MAX_S)
            else:
                self._tell("postgres", "started", f"process {postgres.pid}")

    def _make_children(self, urls: Urls) -> list[Child]:
        own = self.settings
        host = _reachable(own.host)
        environment = self._environment(urls)
        self._understudy = Understudy(environment=environment, output=self._open_log("understudy"))
        serve = ["-m", "serai", "serve", "--role", "api", "--lifeline"]
        if self._has_demo_pictures:
            serve.append("--demo-pictures")
        work = ["-m", "serai", "worker", "--with-scheduler", "--lifeline"]
        children = [
            self._make_child(
                "api", serve, environment, Probe(host, own.port, "/readyz", own.tls is not None)
            ),
            self._make_child("worker", work, environment, Probe(host, own.worker_port, "/readyz")),
        ]
        if self._sandbox_port is not None:
            # Last, for they end in this order: what the worker has at hand may still be paid.
            arguments = self._sandbox_arguments(self._sandbox_port)
            probe = Probe("127.0.0.1", self._sandbox_port, "/healthz")
            children.append(self._make_child("sandbox", arguments, environment, probe))
        return children

    def _environment(self, urls: Urls) -> dict[str, str]:
        """Our settings for a child, all of them; not the owner's URL, which it has no use for."""
        own = msgspec.structs.replace(
            self.settings,
            data_dir=str(self.settings.data_path),
            database_url="",
            database_app_url=urls.app_url,
            payment_provider=self.sandbox_url or self.settings.payment_provider,
        )
        others = {name: v for name, v in os.environ.items() if not name.startswith(PREFIX)}
        return {**others, **environment_of(own)}

    def _sandbox_arguments(self, port: int) -> list[str]:
        return [
            "-m", "serai.contexts.payments.gateways.sandbox_server",
            "--port", str(port),
            "--callback-url", f"{self.api_url}{CALLBACKS_PATH}",
            "--callback-secret", self.settings.callback_secret,
            "--journal", str(self.settings.data_path / "sandbox.jsonl"),
            "--lifeline",
        ]  # fmt: skip

    def _make_child(
        self,
        name: str,
        arguments: list[str],
        environment: Mapping[str, str],
        probe: Probe,
    ) -> Child:
        return Child(
            name,
            arguments,
            environment=environment,
            probe=probe,
            output=self._open_log(name),
            tell=self._tell,
            understudy=self._understudy,
        )

    def _open_log(self, part: str) -> IO[bytes] | int:
        if not self._has_log_files:
            return sys.stderr.fileno()
        path = self.log_path(part)
        path.parent.mkdir(exist_ok=True)
        if path.exists() and path.stat().st_size > LOG_BYTES_MAX:
            path.replace(path.with_name(f"{path.name}.1"))
        return self._at_end.enter_context(path.open("ab"))

    async def _wait_ready(self) -> None:
        waits = [asyncio.create_task(child.wait_ready()) for child in self.children.values()]
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                await asyncio.gather(*waits)
        except TimeoutError:
            late = next(c for c in self.children.values() if not c.is_ready)
            raise Unavailable(
                f"the {late.name} process is not ready after {START_TIMEOUT_S:g} s. "
                f"It answers: {late.said or 'nothing'}. {self._hint(late.name)}"
            ) from None
        finally:
            for wait in waits:
                wait.cancel()
        failed = [c.name for c in self.children.values() if c.has_failed]
        if failed:
            raise Unavailable(f"the {failed[0]} process cannot start. {self._hint(failed[0])}")

    def _hint(self, part: str) -> str:
        path = self.log_path(part)
        if not self._has_log_files or not path.exists():
            return "What it said stands above"
        tail = path.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace").strip()
        return f"{path} ends with:\n{tail}"

    async def _wait_for_ports(self, patience_s: float) -> None:
        """Children of a predecessor that was killed drain before their ports are free."""
        own = self.settings
        wanted = [(own.host, own.port), (own.host, own.worker_port)]
        if self._sandbox_port is not None:
            wanted.append(("127.0.0.1", self._sandbox_port))
        if own.port == own.worker_port:
            raise Unavailable(f"API and worker cannot both listen on port {own.port}")
        deadline = asyncio.get_running_loop().time() + patience_s
        for host, port in wanted:
            while True:
                try:
                    refuse_taken_port(host, port)
                except Unavailable:
                    if asyncio.get_running_loop().time() > deadline:
                        raise
                    await asyncio.sleep(PORT_RETRY_S)
                else:
                    break

    def _tell(self, part: str, what: str, detail: str) -> None:
        happening = Happening(datetime.now(UTC), part, what, detail)
        self.happenings.append(happening)
        if self._is_published and what == "started":
            self._write_runtime()
        if self._listener is not None:
            self._listener(happening)

    def _write_runtime(self) -> None:
        assert self.urls is not None
        pids = {name: child.pid for name, child in self.children.items()}
        write_runtime(
            self.settings.data_path,
            Runtime(
                pid=os.getpid(),
                started_at=self._started_at,
                api_url=self.api_url,
                worker_url=self.worker_url,
                owner_url=self.urls.owner_url,
                app_url=self.urls.app_url,
                api_pid=pids.get("api"),
                worker_pid=pids.get("worker"),
                postgres_pid=self._postgres.pid if self._postgres else None,
                sandbox_url=self.sandbox_url,
                sandbox_pid=pids.get("sandbox"),
            ),
        )


def _reachable(host: str) -> str:
    """Where to ask for what listens on `host`."""
    return "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104 - it is compared, not bound
