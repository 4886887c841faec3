import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable

import pytest

from serai.cli.replay import client as client_module
from serai.cli.replay.client import Answer, Client, ShopGone

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
BUSY = b'HTTP/1.1 503 Busy\r\ncontent-length: 22\r\n\r\n{"code":"unavailable"}'
BUG = b'HTTP/1.1 500 Bug\r\ncontent-length: 25\r\n\r\n{"code":"internal_error"}'
REFUSED = b'HTTP/1.1 409 No\r\nContent-Length: 23\r\n\r\n{"code":"out_of_stock"}'
HANG_UP = b""

Script = Callable[[int, bytes], bytes]


class Shop:
    """A server that answers by a script, and remembers what it was asked."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.requests: list[bytes] = []
        self.open = 0
        self.open_max = 0
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        self.open_max = max(self.open_max, self.open)
        try:
            await self._answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the client has hung up, or the test is over
        finally:
            self.open -= 1
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0]
            self.requests.append(head + await reader.readexactly(int(length or 0)))
            answer = self._script(len(self.requests), self.requests[-1])
            if not answer:
                return
            for start in range(0, len(answer), 20):
                writer.write(answer[start : start + 20])
                await writer.drain()


@contextlib.asynccontextmanager
async def asking(
    script: Script, *, connections: int = 1, stillness_max_s: float = 5.0
) -> AsyncIterator[tuple[Client, Shop]]:
    shop = Shop(script)
    server = await asyncio.start_server(shop.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    client = Client(url, "secret", connections=connections, stillness_max_s=stillness_max_s)
    try:
        yield client, shop
    finally:
        client.close()
        server.close()
        await server.wait_closed()


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "PAUSE_S", 0.0)


async def test_a_request_carries_key_idempotency_key_and_body() -> None:
    async with asking(lambda _number, _request: OK) as (client, shop):
        assert await client.post("/v1/orders", b'{"a":1}', key="k-1") == Answer(200, b"{}", "")
    head, _, body = shop.requests[0].partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /v1/orders HTTP/1.1"
    assert {b"Authorization: Bearer secret", b"Idempotency-Key: k-1"} <= set(lines)
    assert body == b'{"a":1}'


async def test_a_connection_is_kept_for_the_next_request() -> None:
    async with asking(lambda _number, _request: OK) as (client, shop):
        for _ in range(3):
            await client.get("/v1/returns?limit=200")
        assert (shop.connections, client.requests, client.repeats) == (1, 3, 0)


async def test_a_refusal_is_an_answer_with_its_code_and_is_not_repeated() -> None:
    async with asking(lambda _number, _request: REFUSED) as (client, shop):
        answer = await client.post("/v1/orders", b"{}", key="k")
        assert (answer.status, answer.code, answer.is_ok) == (409, "out_of_stock", False)
        assert len(shop.requests) == 1


@pytest.mark.parametrize(
    "trouble", [BUSY, HANG_UP, BUG, b"HTTP/1.1 200 OK\r\nno-length: 1\r\n\r\n"]
)
async def test_what_may_pass_is_asked_again_under_the_same_key(trouble: bytes) -> None:
    async with asking(lambda number, _request: OK if number > 2 else trouble) as (client, shop):
        assert (await client.post("/v1/orders", b"{}", key="k")).is_ok
        assert len(shop.requests) == 3
        assert len(set(shop.requests)) == 1
        assert client.repeats == 2


async def test_a_mistake_of_the_server_that_stays_is_told() -> None:
    async with asking(lambda _number, _request: BUG) as (client, shop):
        answer = await client.get("/v1/orders")
        assert (answer.status, answer.code) == (500, "internal_error")
        assert len(shop.requests) == client_module.BUGS_MAX


async def test_a_shop_that_stays_busy_is_given_up_when_nothing_moves() -> None:
    async with asking(lambda _number, _request: BUSY, stillness_max_s=0.0) as (client, _shop):
        with pytest.raises(ShopGone, match=r"nothing moved for 0 s: GET /v1/orders: unavailable"):
            await client.get("/v1/orders")


async def test_a_shop_that_is_not_there_is_given_up_when_nothing_moves() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        client = Client(url, "secret", connections=2, stillness_max_s=0.0)
        with pytest.raises(ShopGone, match="nothing moved for 0 s: POST /v1/orders"):
            await client.post("/v1/orders", b"{}", key="k")


async def test_no_more_is_under_way_than_there_are_connections() -> None:
    done: list[int] = []
    async with asking(lambda _number, _request: OK, connections=4) as (client, shop):

        async def work(number: int) -> None:
            await client.get(f"/v1/orders?cursor={number}")
            done.append(number)

        await client.for_each(range(50), work)
        assert sorted(done) == list(range(50))
        assert shop.open_max <= 4


async def test_the_first_failure_of_many_is_the_one_that_is_told() -> None:
    async def fail(number: int) -> None:
        raise ShopGone(str(number))

    client = Client("http://127.0.0.1:1", "secret", connections=3)
    with pytest.raises(ShopGone, match=r"^0$"):
        await client.for_each(range(9), fail)


async def test_an_answer_without_a_body_is_read() -> None:
    gone = b"HTTP/1.1 204 No Content\r\n\r\n"
    async with asking(lambda _number, _request: gone) as (client, _shop):
        assert await client.delete("/v1/api-keys/1") == Answer(204, b"", "")


async def test_an_answer_of_many_pieces_is_put_together() -> None:
    body = bytes(range(256)) * 40
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    async with asking(lambda _number, _request: answer) as (client, _shop):
        assert (await client.get("/v1/orders")).body == body
