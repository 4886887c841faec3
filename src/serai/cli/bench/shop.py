"""A fresh shop to be measured: what `serai run` starts, with a tenant and full shelves."""

import asyncio
import contextlib
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final, Literal

import httpx
import msgspec

from serai import settings
from serai.cli.bench.load import CURRENCY, PRICE_MINOR, UNITS
from serai.cli.children import Child, Probe
from serai.cli.console import Failure
from serai.cli.inside import go_inside
from serai.cli.installation import embedded_postgres
from serai.cli.supervise import Supervisor
from serai.contexts.catalog.contract import Price, ProductInput, VariantInput
from serai.contexts.tenancy.contract import SCOPES
from serai.kernel import ids
from serai.kernel.embedded import EmbeddedPostgres

HOST: Final = "127.0.0.1"
TENANT: Final = "bench"
START_TIMEOUT_S: Final = 30.0
STOP_TIMEOUT_S: Final = 15.0
REQUEST_TIMEOUT_S: Final = 60.0
GOODS_A_CALL: Final = 250
LOG_BYTES_SHOWN: Final = 2_000

Provider = Literal["direct", "http"]


class Server(msgspec.Struct, frozen=True):
    """What takes orders: where, for whom, and in which processes."""

    port: int
    api_key: str
    roots: Mapping[str, int]


@contextlib.asynccontextmanager
async def fresh_postgres(parent: Path | None) -> AsyncIterator[EmbeddedPostgres]:
    """A server that keeps every promise of durability; gone without a trace afterwards."""
    folder = _make_folder(parent or default_parent())
    postgres = embedded_postgres(settings.load_with(data_dir=folder))
    try:
        await asyncio.to_thread(postgres.start)
        yield postgres
    finally:
        await asyncio.to_thread(postgres.stop, "immediate")
        data = postgres.data_dir
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


@contextlib.asynccontextmanager
async def open_shop(
    postgres: EmbeddedPostgres, provider: Provider, skus: Sequence[str]
) -> AsyncIterator[Server]:
    """A running shop with one tenant and full shelves."""
    with tempfile.TemporaryDirectory(prefix="serai-bench-") as folder:
        own = settings.load_with(
            data_dir=folder, database_url=postgres.owner_url(),
            database_app_url=postgres.app_url(), host=HOST, port=free_port(),
            worker_port=free_port(), tls_certificate="", tls_key="",
        )  # fmt: skip
        sandbox_port = free_port() if provider == "http" else None
        supervisor = Supervisor(own, has_log_files=True, sandbox_port=sandbox_port)
        try:
            await supervisor.start()
            async with go_inside(own) as house:
                issued = await house.tenancy.create_tenant(TENANT, scopes=SCOPES)
            api_key: str = issued.key.key
            await fill_shelves(supervisor.api_url, api_key, skus)
            children = supervisor.children.values()
            roots = {child.name: child.pid for child in children if child.pid is not None}
            yield Server(own.port, api_key, _with_postgres(roots, postgres))
        finally:
            await supervisor.stop()


@contextlib.asynccontextmanager
async def open_process(
    postgres: EmbeddedPostgres, name: str, module: str, said: object, *, port: int, api_key: str
) -> AsyncIterator[Server]:
    """`python -m module FILE`, with what it is told in the file, until the block ends."""
    with _paper(said) as (told, output):
        child = Child(
            name, ["-m", module, str(told)], environment=os.environ,
            probe=Probe(HOST, port, "/readyz"), output=output, tell=_tell_nobody,
        )  # fmt: skip
        child.start()
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(child.wait_ready(), START_TIMEOUT_S)
            if not child.is_ready or child.pid is None:
                raise Failure(f"the process {name} cannot start:\n{_tail(output)}")
            yield Server(port, api_key, _with_postgres({name: child.pid}, postgres))
        finally:
            await child.end(patience_s=STOP_TIMEOUT_S)


@contextlib.contextmanager
def _paper(said: object) -> Iterator[tuple[Path, IO[bytes]]]:
    """A file with what a process is told, and one for what it says."""
    with tempfile.TemporaryDirectory(prefix="serai-bench-") as folder:
        told = Path(folder, "told.json")
        told.write_bytes(msgspec.json.encode(said))
        with Path(folder, "log").open("a+b") as output:
            yield told, output


def _tail(output: IO[bytes]) -> str:
    output.seek(0)
    return output.read()[-LOG_BYTES_SHOWN:].decode(errors="replace")


def _with_postgres(roots: Mapping[str, int], postgres: EmbeddedPostgres) -> dict[str, int]:
    pid = postgres.pid
    return dict(roots) if pid is None else {**roots, "postgres": pid}


def _tell_nobody(_part: str, _what: str, _detail: str) -> None:
    """What befalls a process shows in what it answers."""


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


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
