"""The demo's client waits a busy or absent API out, and sends what moves something only once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from serai.cli.demo import api as api_module
from serai.cli.demo.api import Api, GivenUp

Answers = list[bytes]


def answer(status: str, body: bytes, *headers: str) -> bytes:
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers])
    return f"{head}\r\n\r\n".encode() + body


BUSY = answer("503 Service Unavailable", b"{}", "Retry-After: 0")
DONE = answer("201 Created", b'{"id": 1}')
HANG_UP = b""


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_module, "PAUSE_FIRST_S", 0.0)


@asynccontextmanager
async def server(answers: Answers) -> AsyncIterator[tuple[str, list[str]]]:
    """A real server that gives the answers in turn; an empty one is a connection that breaks."""
    requests: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(
                    (int(line.split(b":")[1]) for line in head.split(b"\r\n")
                     if line.lower().startswith(b"content-length")), 0,
                )  # fmt: skip
                body = await reader.readexactly(length)
                requests.append((head + body).decode())
                given = answers.pop(0)
                if not given:
                    break
                writer.write(given)
                await writer.drain()
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    running = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = running.sockets[0].getsockname()[1]
    async with running:
        yield f"http://127.0.0.1:{port}", requests


@asynccontextmanager
async def client(url: str, **given: int) -> AsyncIterator[Api]:
    api = Api(url, "the-key", stop=asyncio.Event(), **given)
    try:
        yield api
    finally:
        await api.close()


def header(request: str, name: str) -> str:
    lines = request.split("\r\n\r\n", maxsplit=1)[0].splitlines()[1:]
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return headers[name]


async def test_a_post_is_repeated_under_its_key_until_it_is_answered() -> None:
    async with server([BUSY, HANG_UP, DONE]) as (url, requests), client(url) as api:
        done = await api.post("/v1/orders", {"a": 1})
    assert (done.status_code, done.json()) == (201, {"id": 1})
    assert len(requests) == 3
    assert len({header(request, "idempotency-key") for request in requests}) == 1
    assert {header(request, "authorization") for request in requests} == {"bearer the-key"}
    assert {request.split("\r\n\r\n")[1] for request in requests} == {'{"a":1}'}
    assert api.answer_ms is not None


async def test_two_posts_are_two_intents() -> None:
    async with server([DONE, DONE]) as (url, requests), client(url) as api:
        await api.post("/v1/orders", {})
        await api.post("/v1/orders", {})
    assert len({header(request, "idempotency-key") for request in requests}) == 2


async def test_a_refusal_of_a_post_comes_back_and_is_not_repeated() -> None:
    refusal = answer("422 Unprocessable", b'{"code": "unknown_sku"}')
    async with server([refusal]) as (url, requests), client(url) as api:
        got = await api.post("/v1/orders", {})
    assert (got.status_code, got.json(), len(requests)) == (422, {"code": "unknown_sku"}, 1)


async def test_a_refusal_of_a_look_is_an_error() -> None:
    refusal = answer("401 Unauthorized", b"{}")
    async with server([refusal]) as (url, _), client(url) as api:
        with pytest.raises(httpx.HTTPStatusError):
            await api.get("/v1/tenant")


async def test_all_pages_are_read() -> None:
    pages = [
        answer("200 OK", b'{"items": [1, 2], "next": "c1"}'),
        answer("200 OK", b'{"items": [3], "next": null}'),
    ]
    async with server(pages) as (url, requests), client(url) as api:
        assert await api.get_all("/v1/products") == [1, 2, 3]
    assert [request.splitlines()[0] for request in requests] == [
        "GET /v1/products?limit=200 HTTP/1.1",
        "GET /v1/products?limit=200&cursor=c1 HTTP/1.1",
    ]


async def test_it_gives_up_in_the_end() -> None:
    async with server([BUSY] * 3) as (url, requests), client(url, tries_max=3) as api:
        with pytest.raises(GivenUp):
            await api.post("/v1/orders", {})
    assert len(requests) == 3


@pytest.mark.parametrize(
    "call",
    [lambda api: api.get("/v1/tenant"), lambda api: api.post("/v1/orders", {})],
    ids=["get", "post"],
)
async def test_when_the_end_has_come_nothing_new_is_sent(
    call: Callable[[Api], Awaitable[object]],
) -> None:
    stop = asyncio.Event()
    stop.set()
    async with server([]) as (url, requests):
        api = Api(url, "the-key", stop=stop)
        with pytest.raises(GivenUp):
            await call(api)
        await api.close()
    assert requests == []
