"""A fresh shop to be measured: PostgreSQL, API and worker as processes of their own, with goods."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import httpx
import msgspec

from serai.cli.bench.load import CURRENCY, PRICE_MINOR, UNITS
from serai.cli.console import Failure
from serai.contexts.catalog.contract import Price, ProductInput, VariantInput
from serai.contexts.tenancy.contract import SCOPES
from serai.kernel import ids
from serai.kernel.embedded import EmbeddedPostgres, reachable_data_dir
from serai.roles.composition import compose
from serai.roles.connection import open_database
from serai.roles.migrate import bring_up
from serai.settings import Settings

HOST: Final = "127.0.0.1"
TENANT: Final = "bench"
START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 30.0
REQUEST_TIMEOUT_S: Final = 60.0
POLL_S: Final = 0.05
GOODS_A_CALL: Final = 250
LOG_LINES_SHOWN: Final = 15

Provider = Literal["direct", "http"]


class Child:
    """A process of ours, with its log in a file; it ends when we do, even when we are killed."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self.pid = process.pid
        self._process = process
        self._log = log

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.returncode is None

    def last_words(self) -> str:
        """The end of its log."""
        lines = self._log.read_text("utf-8", "replace").splitlines()
        return "\n".join(lines[-LOG_LINES_SHOWN:])

    async def stop(self) -> None:
        """Asks it to end, and ends it when it does not."""
        if self.is_alive:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self._process.wait(), STOP_TIMEOUT_S)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()


async def await_ready(child: Child, url: str) -> None:
    """Waits until a process answers 200; fails with the end of its log when it ends before."""
    async with httpx.AsyncClient(timeout=REQUEST_TIMEOUT_S) as client:
        deadline = asyncio.get_running_loop().time() + START_TIMEOUT_S
        while asyncio.get_running_loop().time() < deadline:
            if not child.is_alive:
                raise Failure(f"the process {child.name} ended at once:\n{child.last_words()}")
            with contextlib.suppress(httpx.HTTPError):
                if (await client.get(url)).is_success:
                    return
            await asyncio.sleep(POLL_S)
    raise Failure(f"{child.name} was not ready in {START_TIMEOUT_S} s:\n{child.last_words()}")


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


class Installation:
    """A durable PostgreSQL in a folder of its own, and the processes that run on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.postgres = EmbeddedPostgres(reachable_data_dir(folder / "postgres"))
        self.children: list[Child] = []

    @property
    def roots(self) -> dict[str, int]:
        """The process id under which each part is found."""
        found = {child.name: child.pid for child in self.children if child.is_alive}
        server = self.postgres.pid
        return found if server is None else {**found, "postgres": server}

    async def start(
        self,
        name: str,
        words: Sequence[str],
        ready_url: str,
        *,
        said: bytes = b"",
        given: Mapping[str, object],
    ) -> None:
        """Starts `python -m words` with settings of its own and waits until it is ready.

        Its standard input gets `said`; without it, it stays open as the lifeline.
        """
        chosen = {f"SERAI_{key.upper()}": str(value) for key, value in given.items()}
        log = self.folder / f"{name}.log"
        with log.open("wb") as target:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", *words, env={**os.environ, **chosen},
                stdin=asyncio.subprocess.PIPE, stdout=target, stderr=target,
            )  # fmt: skip
        child = Child(name, process, log)
        self.children.append(child)
        if said and process.stdin is not None:
            process.stdin.write(said)
            process.stdin.close()
        await await_ready(child, ready_url)

    async def stop_children(self) -> None:
        """Ends every process but the database, the last one first."""
        for child in reversed(self.children):
            await child.stop()
        self.children.clear()


@contextlib.asynccontextmanager
async def fresh_installation(parent: Path | None) -> AsyncIterator[Installation]:
    """A PostgreSQL that keeps every promise of durability; gone without a trace afterwards."""
    folder = _make_folder(parent or default_parent())
    installation = Installation(folder)
    try:
        await asyncio.to_thread(installation.postgres.start)
        yield installation
    finally:
        await installation.stop_children()
        await asyncio.to_thread(installation.postgres.stop, "immediate")
        data = installation.postgres.data_dir
        for place in (folder, data, data.with_name(f"{data.name}.binaries")):
            shutil.rmtree(place, ignore_errors=True)


def _make_folder(parent: Path) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="serai-bench-", dir=parent))
    folder.chmod(0o711)  # where we are root, the server runs as another user
    return folder


def default_parent() -> Path:
    """Where a disk is: the usual folder for temporary files is often in memory."""
    kept = Path("/var/tmp")  # noqa: S108 - a folder with a random name is made in it
    return kept if kept.is_dir() and os.access(kept, os.W_OK) else Path(tempfile.gettempdir())


class Shop(msgspec.Struct, frozen=True):
    """Where the shop listens and the key that its client has."""

    port: int
    api_key: str


async def open_shop(installation: Installation, provider: Provider, skus: Sequence[str]) -> Shop:
    """Migrates, makes a tenant, starts API and worker, and fills the shelves over the API."""
    postgres = installation.postgres
    urls = {"database_url": postgres.owner_url(), "database_app_url": postgres.app_url()}
    await bring_up(postgres.owner_url())
    api_key = await _make_tenant(postgres.app_url())
    port, worker_port = free_port(), free_port()
    given: dict[str, object] = {
        **urls, "host": HOST, "port": port, "worker_port": worker_port,
        "data_dir": installation.folder, "log_level": "warning",
    }  # fmt: skip
    if provider == "http":
        given["payment_provider"] = await _start_sandbox(installation, port)
    await installation.start(
        "api", ["serai", "serve", "--role", "api", "--lifeline"], f"http://{HOST}:{port}/readyz",
        given=given,
    )  # fmt: skip
    await installation.start(
        "worker", ["serai", "worker", "--with-scheduler", "--lifeline"],
        f"http://{HOST}:{worker_port}/readyz", given=given,
    )  # fmt: skip
    await fill_shelves(f"http://{HOST}:{port}", api_key, skus)
    return Shop(port, api_key)


async def _make_tenant(app_url: str) -> str:
    database = await open_database(app_url, pool_max=2)
    try:
        tenancy = compose(Settings(), database).tenancy
        issued = await tenancy.create_tenant(TENANT, scopes=SCOPES)
        return str(issued.key.key)
    finally:
        await database.close()


async def _start_sandbox(installation: Installation, api_port: int) -> str:
    port = free_port()
    url = f"http://{HOST}:{port}"
    words = [
        "serai.contexts.payments.gateways.sandbox_server", "--host", HOST, "--port", str(port),
        "--callback-url", f"http://{HOST}:{api_port}/v1/payment-callbacks/sandbox",
        "--callback-secret", Settings().callback_secret,
    ]  # fmt: skip
    await installation.start("sandbox", words, f"{url}/healthz", given={})
    return url


async def fill_shelves(url: str, api_key: str, skus: Sequence[str]) -> None:
    """Publishes a product for each SKU and receives more units than any run can sell."""
    headers = {"Authorization": f"Bearer {api_key}", "Content-Type": "application/json"}
    async with httpx.AsyncClient(
        base_url=url, headers=headers, timeout=REQUEST_TIMEOUT_S
    ) as client:
        for at in range(0, len(skus), GOODS_A_CALL):
            part = skus[at : at + GOODS_A_CALL]
            saved = await _send(
                client, "/v1/products:batch", {"products": [_product(sku) for sku in part]}
            )
            if saved["refused"]:
                raise Failure(f"the catalog refused goods: {saved['items'][0]}")
            moves = [{"sku": sku, "quantity": UNITS, "reason": "receipt"} for sku in part]
            await _send(client, "/v1/stock-receipts", {"moves": moves})


def _product(sku: str) -> ProductInput:
    price = Price(currency=CURRENCY, amount_minor=PRICE_MINOR)
    return ProductInput(
        title=f"Product {sku}",
        handle=sku.lower(),
        status="published",
        variants=[VariantInput(sku=sku, prices=[price])],
    )


async def _send(client: httpx.AsyncClient, path: str, body: object) -> Any:
    answer = await client.post(
        path,
        content=msgspec.json.encode(body),
        headers={"Idempotency-Key": f"bench-{ids.new_id()}"},
    )
    if not answer.is_success:
        raise Failure(f"{path} answered {answer.status_code}: {answer.text}")
    return answer.json()
