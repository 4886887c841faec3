"""The settings in which a payment provider is tested: in process, and as a server of its own."""

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec

from serai.contexts.payments.gateways import sandbox_cards as cards
from serai.contexts.payments.gateways.sandbox import DirectSandbox
from serai.contexts.payments.gateways.sandbox_book import SandboxBook
from serai.contexts.payments.gateways.sandbox_callbacks import (
    CallbackRefusedError,
    deliver_callbacks,
    verify_signature,
)
from serai.contexts.payments.gateways.sandbox_client import HttpSandbox
from serai.contexts.payments.gateways.sandbox_wire import BookPage, Callback
from serai.contexts.payments.ports import Answer, Charge, PaymentProvider

HOST = "127.0.0.1"
SECRET = "a secret of the tests"
CALLBACK_DELAY_S = 0.05
LATE_DELAY_S = 1.5
# The server holds an answer far longer than the impatient client waits, so that neither a slow
# machine nor a fast one changes who gives up first.
HOLD_S = 20.0
IMPATIENT_S = 0.3
WAIT_MAX_S = 15.0


def make_charge(key: str, card: str = cards.APPROVED, amount: int = 500) -> Charge:
    return Charge(key, amount, "EUR", card, f"order-of-{key}")


def answer(key: str, status: str, reason: str | None = None, amount: int = 0) -> Answer:
    """An answer without the provider's reference, which the provider chooses."""
    return msgspec.convert(
        {"key": key, "status": status, "provider_ref": None, "reason": reason}
        | {"amount_minor": amount},
        Answer,
    )


def plain(answers: list[Answer]) -> list[Answer]:
    return [msgspec.structs.replace(answer, provider_ref=None) for answer in answers]


class Mailbox:
    """Where callbacks arrive; it refuses the first `refusals` of them."""

    def __init__(self) -> None:
        self.received: list[Callback] = []
        self.refusals = 0
        self._arrived = asyncio.Event()

    def take(self, callback: Callback) -> bool:
        self.received.append(callback)
        self._arrived.set()
        self.refusals -= 1
        return self.refusals < 0

    async def wait_for(self, key: str, count: int) -> list[Callback]:
        async with asyncio.timeout(WAIT_MAX_S):
            while len(self.of(key)) < count:
                self._arrived.clear()
                await self._arrived.wait()
        return self.of(key)

    def of(self, key: str) -> list[Callback]:
        return [callback for callback in self.received if callback.key == key]


@dataclass(frozen=True)
class Setting:
    """A provider, an impatient twin over the same book, the mailbox, and a look into the book."""

    provider: PaymentProvider
    impatient: PaymentProvider
    mailbox: Mailbox
    read_book: Callable[[], Awaitable[BookPage]]


@asynccontextmanager
async def direct_setting() -> AsyncIterator[Setting]:
    mailbox = Mailbox()
    book = SandboxBook(callback_delay_s=CALLBACK_DELAY_S, late_delay_s=LATE_DELAY_S)

    async def deliver(callback: Callback) -> None:
        if not mailbox.take(callback):
            raise CallbackRefusedError("not now")

    async def read_book() -> BookPage:
        return book.page(after=0, limit=100_000, now=time.time())

    telling = asyncio.create_task(deliver_callbacks(book, deliver))
    provider = DirectSandbox(book)
    yield Setting(provider, provider, mailbox, read_book)
    telling.cancel()
    await asyncio.wait({telling})


@asynccontextmanager
async def http_setting(url: str, callback_port: int) -> AsyncIterator[Setting]:
    mailbox = Mailbox()

    async def read_book() -> BookPage:
        lines = []
        after: int | None = 0
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            while after is not None:
                response = await client.get("/v1/book", params={"after": after, "limit": 500})
                page = msgspec.json.decode(response.content, type=BookPage)
                lines += page.charges
                after = page.next_after
        return BookPage(page.totals, lines, None)

    async with (
        receiver(callback_port, mailbox),
        HttpSandbox(url, retry_pause_s=0.01) as patient,
        HttpSandbox(url, timeout_s=IMPATIENT_S, retry_pause_s=0.01) as impatient,
    ):
        yield Setting(patient, impatient, mailbox, read_book)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def receiver(port: int, mailbox: Mailbox) -> AsyncIterator[None]:
    """A small HTTP server that checks every signature and puts the callbacks in the mailbox."""

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = [line.partition(":") for line in head.splitlines()[1:]]
        headers = {name.lower(): value.strip() for name, _, value in lines}
        body = await reader.readexactly(int(headers["content-length"]))
        is_signed = verify_signature(
            SECRET, headers["sandbox-signature"], body, time.time(), tolerance_s=30.0
        )
        is_taken = is_signed and mailbox.take(msgspec.json.decode(body, type=Callback))
        status = "204 No Content" if is_taken else "503 Service Unavailable"
        writer.write(
            f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
        )
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(receive, HOST, port)
    async with server:
        yield


class SandboxProcess:
    """A sandbox server in a process of its own, which can be killed and started again."""

    def __init__(self, *options: str) -> None:
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}"
        self._options = options

    def start(self) -> None:
        module = "serai.contexts.payments.gateways.sandbox_server"
        command = [sys.executable, "-m", module, "--host", HOST, "--port", str(self.port)]
        source = Path(__file__).parents[2] / "src"
        self._process = subprocess.Popen(
            [*command, *self._options], env={"PYTHONPATH": str(source)}
        )
        deadline = time.monotonic() + WAIT_MAX_S
        while True:
            with suppress(httpx.TransportError):
                assert httpx.get(f"{self.url}/healthz", trust_env=False).text == "ok"
                return
            assert self._process.poll() is None, "the sandbox server did not start"
            assert time.monotonic() < deadline, "the sandbox server does not answer"
            time.sleep(0.02)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        self._process.terminate()
        return self._process.wait(WAIT_MAX_S)
