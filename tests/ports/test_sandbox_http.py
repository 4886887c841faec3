"""The sandbox over HTTP: what is refused at its door, and what its client makes of bad servers."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from serai.contexts.payments.gateways import sandbox_cards as cards
from serai.contexts.payments.gateways.sandbox_client import HttpSandbox
from serai.contexts.payments.ports import Charge, Refund
from tests.ports.payment_settings import (
    HOST,
    IMPATIENT_S,
    WAIT_MAX_S,
    SandboxProcess,
    answer,
    free_port,
    make_charge,
    plain,
)


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxProcess]:
    process = SandboxProcess()
    process.start()
    yield process
    assert process.stop() == 0


def body(**changes: Any) -> bytes:
    charge = msgspec.to_builtins(make_charge("key-1")) | changes
    return msgspec.json.encode({"charge": charge, "capture": True})


@pytest.mark.parametrize(
    ("path", "content", "status", "code"),
    [
        ("/v1/charges", body(amount_minor="500"), 400, "malformed_request"),
        ("/v1/charges", body(amount_minor=5.5), 400, "malformed_request"),
        ("/v1/charges", body(tip_minor=1), 400, "malformed_request"),
        ("/v1/charges", b"", 400, "malformed_request"),
        ("/v1/charges", b'{"charge"', 400, "malformed_request"),
        ("/v1/charges", body().replace(b"key-1", b"key-\xff"), 400, "malformed_request"),
        ("/v1/charges", body().replace(b"500", b"NaN"), 400, "malformed_request"),
        (
            "/v1/charges:batch",
            msgspec.json.encode({"charges": [make_charge("key-1")] * 501, "capture": True}),
            400,
            "malformed_request",
        ),
        ("/v1/charges/key-1/capture", b"{}", 400, "malformed_request"),
        ("/v1/refunds", b"[]", 400, "malformed_request"),
        ("/v1/nowhere", b"{}", 404, "no_such_address"),
        ("/healthz", b"{}", 405, "no_such_method"),
    ],
)
async def test_a_request_that_is_not_understood_is_refused_and_writes_nothing(
    server: SandboxProcess, path: str, content: bytes, status: int, code: str
) -> None:
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
        response = await client.post(path, content=content)
        assert (response.status_code, response.json()["code"]) == (status, code)
        assert response.headers["content-type"] == "application/problem+json"
        assert (await client.get("/v1/charges/key-1")).status_code == 404


async def test_a_body_over_the_limit_is_refused_before_it_is_read(server: SandboxProcess) -> None:
    reader, writer = await asyncio.open_connection(HOST, server.port)
    writer.write(b"POST /v1/charges HTTP/1.1\r\nHost: x\r\nContent-Length: 524289\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 413 ")
    writer.close()
    await writer.wait_closed()


async def test_a_verdict_has_the_status_that_fits_it(server: SandboxProcess) -> None:
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:

        async def status(key: str, card: str) -> int:
            charge = {"charge": make_charge(key, card), "capture": True}
            return (
                await client.post("/v1/charges", content=msgspec.json.encode(charge))
            ).status_code

        assert await status("status-1", cards.APPROVED) == 200
        assert await status("status-1", cards.NO_FUNDS) == 409
        assert await status("status-2", cards.NO_FUNDS) == 200
        assert await status("status-3", cards.LATE_APPROVED) == 202
        assert await status("status-4", cards.DOWN_LONG) == 503
        assert (await client.get("/v1/charges/status-9")).status_code == 404
        assert (await client.get("/v1/book", params={"limit": 501})).status_code == 400


async def test_a_killed_server_comes_back_with_its_book(tmp_path: Path) -> None:
    process = SandboxProcess("--journal", str(tmp_path / "journal"))
    process.start()
    charges = [make_charge(f"key-{n}") for n in range(50)]
    async with HttpSandbox(process.url, retry_pause_s=0.01) as provider:
        before = await provider.charge(charges)
        given = await provider.refund([Refund("refund-1", "key-0", 200, "EUR")])
        process.kill()
        gone = await provider.charge([make_charge("key-0"), make_charge("key-x")])
        assert plain(gone) == [answer(k, "unknown", "unavailable") for k in ("key-0", "key-x")]
        process.start()
        assert await provider.look_up([charge.key for charge in charges]) == before
        assert await provider.charge(charges) == before
        assert await provider.look_up(["refund-1"]) == given
        assert plain(await provider.look_up(["key-x"])) == [answer("key-x", "unknown", "absent")]
    assert process.stop() == 0


def test_a_second_server_on_the_same_port_does_not_start(server: SandboxProcess) -> None:
    module = "serai.contexts.payments.gateways.sandbox_server"
    second = subprocess.run(
        [sys.executable, "-m", module, "--host", HOST, "--port", str(server.port)],
        env={"PYTHONPATH": str(Path(__file__).parents[2] / "src")},
        capture_output=True,
        text=True,
        timeout=WAIT_MAX_S,
        check=False,
    )
    assert second.returncode == 1
    assert "Address already in use" in second.stderr


async def test_a_server_that_stops_answers_what_it_holds_back() -> None:
    process = SandboxProcess("--timeout-hold-s", "60")
    process.start()
    async with HttpSandbox(process.url) as provider:
        held = asyncio.create_task(provider.charge([make_charge("key-1", cards.SILENT_APPROVED)]))
        while plain(await provider.look_up(["key-1"]))[0].reason == "absent":
            await asyncio.sleep(0.01)
        assert await asyncio.to_thread(process.stop) == 0
        assert plain(await held) == [answer("key-1", "captured", None, 500)]


@asynccontextmanager
async def bad_server(*replies: bytes | None) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that gives these replies, one a connection, the last for ever; None is silence."""
    port = free_port()
    asked: list[bytes] = []
    left = list(replies)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
            asked.append(await reader.readexactly(int(length or 0)))
            reply = left.pop(0) if len(left) > 1 else left[0]
            if reply is None:
                await reader.read()
            else:
                writer.write(reply)
                await writer.drain()
        finally:
            writer.close()

    async with await asyncio.start_server(serve, HOST, port):
        yield f"http://{HOST}:{port}", asked


def reply(status: int, content: bytes = b"") -> bytes:
    head = f"HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content


ONE = [make_charge("key-1")]
MANY = [make_charge(f"key-{n}") for n in range(6)]
CAPTURED = b'{"key":"key-1","outcome":"captured","amount_minor":500}'


@pytest.mark.parametrize(
    ("replies", "reason", "attempts"),
    [
        ([None], "timeout", 1),
        ([b""], "unavailable", 4),
        ([reply(500)], "unavailable", 4),
        ([reply(429)], "unavailable", 4),
        ([reply(503), None], "timeout", 2),
        ([reply(400)], "http_400", 1),
        ([reply(302)], "http_302", 1),
        ([reply(200, b"<html>")], "unreadable_answer", 1),
        ([reply(200, b'{"key":"\xff"}')], "unreadable_answer", 1),
        ([reply(200, b"[]")], "unreadable_answer", 1),
        ([reply(404, b'{"code":"no_such_address"}')], "unreadable_answer", 1),
        ([reply(200, CAPTURED.replace(b"key-1", b"key-2"))], "unreadable_answer", 1),
        ([reply(200, b'{"verdicts":[' + CAPTURED + b"]}")], "unreadable_answer", 1),
    ],
)
@pytest.mark.parametrize("charges", [ONE, MANY], ids=["one", "many"])
async def test_what_a_bad_server_does_is_unknown_and_repeated_only_where_it_helps(
    charges: list[Charge], replies: list[bytes | None], reason: str, attempts: int
) -> None:
    async with (
        bad_server(*replies) as (url, asked),
        HttpSandbox(url, timeout_s=IMPATIENT_S, retry_pause_s=0.001) as provider,
    ):
        answers = await provider.charge(charges)
    assert answers == [answer(charge.key, "unknown", reason) for charge in charges]
    assert asked == [asked[0]] * attempts


async def test_a_server_that_does_not_let_anybody_in_is_unavailable() -> None:
    with socket.create_server((HOST, 0), backlog=0) as full:
        address = full.getsockname()
        # Nobody accepts; once the queue is full, further attempts to connect get no reply at all.
        queue = [socket.socket() for _ in range(4)]
        for waiting in queue:
            waiting.settimeout(0)
            waiting.connect_ex(address)
        async with HttpSandbox(
            f"http://{HOST}:{address[1]}", timeout_s=0.1, retry_pause_s=0.001
        ) as provider:
            answers = await provider.charge(ONE)
        for waiting in queue:
            waiting.close()
    assert answers == [answer("key-1", "unknown", "unavailable")]


async def test_a_server_that_recovers_is_asked_again_with_the_same_key() -> None:
    async with (
        bad_server(reply(500), b"", reply(503), reply(200, CAPTURED)) as (url, asked),
        HttpSandbox(url, retry_pause_s=0.001) as provider,
    ):
        answers = await provider.charge(ONE)
    assert answers == [answer("key-1", "captured", None, 500)]
    assert asked == [body()] * 4
