import asyncio
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

import msgspec
import pytest

from serai.cli.bench import client, load
from serai.cli.bench.load import Latencies, Load, Report

CREATED = b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\ncontent-type: application/json\r\n\r\n{}"
BODY_409 = b'{"code":"out_of_stock","title":"out of stock"}'
REFUSED = b"HTTP/1.1 409 Conflict\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY_409), BODY_409)
REQUESTS_A_CPU_SECOND_MIN = 10_000


class Door(asyncio.Protocol):
    """One connection of a server that answers every request as it is told to."""

    def __init__(self, requests: list[bytes], answer: Callable[[int], list[bytes]]) -> None:
        self._requests = requests
        self._answer = answer
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, separator, body = self._data.partition(b"\r\n\r\n")
        if not separator or len(body) < int(head.rpartition(b": ")[2]):
            return
        self._requests.append(self._data)
        self._data = b""
        pieces = self._answer(len(self._requests))
        if not pieces:
            self._transport.abort()
        for number, piece in enumerate(pieces):
            asyncio.get_running_loop().call_later(number * 0.001, self._transport.write, piece)


@asynccontextmanager
async def served(
    answer: Callable[[int], list[bytes]], **changes: object
) -> AsyncIterator[tuple[Load, list[bytes]]]:
    requests: list[bytes] = []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Door(requests, answer), "127.0.0.1", 0)
    given = Load(
        host="127.0.0.1",
        port=server.sockets[0].getsockname()[1],
        api_key="secret-key",
        run="run",
        skus=("SKU-0001", "SKU-0002", "SKU-0003"),
        card="4000009901000003",
        connections=4,
    )
    try:
        yield msgspec.structs.replace(given, **changes), requests
    finally:
        server.close()
        await server.wait_closed()


async def run_as_process(given: Load) -> tuple[int | None, bytes, bytes]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "serai.cli.bench.client",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    out, said = await process.communicate(msgspec.json.encode(given))
    return process.returncode, out, said


async def test_it_sends_whole_orders_each_under_a_key_of_its_own() -> None:
    async with served(lambda _: [CREATED], requests_max=50) as (given, requests):
        report = await client.Driver(given).run()
    assert (report.accepted, report.late, report.refused, report.failed) == (50, 0, 0, 0)
    assert (report.unanswered, report.codes) == (0, {})
    assert 0 < report.answer_ms.p50 <= report.answer_ms.p99 <= report.answer_ms.max
    heads = [request.partition(b"\r\n\r\n")[0].decode().split("\r\n") for request in requests]
    assert {head[0] for head in heads} == {"POST /v1/orders HTTP/1.1"}
    assert {head[2] for head in heads} == {"Authorization: Bearer secret-key"}
    assert sorted(head[4] for head in heads) == [
        f"Idempotency-Key: run-{number:010d}" for number in range(50)
    ]
    body = msgspec.json.decode(requests[0].partition(b"\r\n\r\n")[2])
    assert body.keys() == {"currency", "email", "lines", "payment"}
    assert [line["quantity"] for line in body["lines"]] == [1, 1]
    assert body["payment"] == {"card": "4000009901000003"}


async def test_an_answer_in_pieces_is_one_answer() -> None:
    pieces = [CREATED[:5], CREATED[5:30], CREATED[30:-1], CREATED[-1:]]
    async with served(lambda _: pieces, requests_max=12) as (given, _):
        report = await client.Driver(given).run()
    assert (report.accepted, report.failed, report.codes) == (12, 0, {})


async def test_refusals_are_counted_by_their_code_and_not_timed() -> None:
    async with served(lambda _: [REFUSED], requests_max=20) as (given, _):
        report = await client.Driver(given).run()
    assert (report.accepted, report.refused, report.failed) == (0, 20, 0)
    assert report.codes == {"out_of_stock": 20}
    assert report.answer_ms == Latencies(0.0, 0.0, 0.0, 0.0)


async def test_a_busy_server_is_given_a_rest_and_then_asked_again() -> None:
    busy = b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\nretry-after: 1\r\n\r\n"
    async with served(lambda n: [busy if n <= 4 else CREATED], requests_max=20) as (given, _):
        report = await client.Driver(given).run()
    assert (report.accepted, report.failed) == (16, 4)
    assert report.codes == {"status_503": 4}
    assert report.seconds >= client.PAUSE_S


@pytest.mark.parametrize("rate", [None, 2000.0])
async def test_a_broken_connection_is_counted_and_replaced(rate: float | None) -> None:
    def answer(number: int) -> list[bytes]:
        return [] if number % 10 == 0 else [CREATED]

    async with served(answer, requests_max=40, connections=2, rate=rate) as (given, requests):
        report = await client.Driver(given).run()
    assert len(requests) == 40
    assert (report.accepted, report.failed, report.unanswered) == (36, 4, 0)
    assert report.codes == {"connection_lost": 4}


async def test_an_answer_without_a_length_is_a_failure_and_no_endless_wait() -> None:
    async with served(lambda _: [b"HTTP/1.1 200 OK\r\n\r\n"], requests_max=3) as (given, _):
        report = await client.Driver(given).run()
    assert (report.accepted, report.failed) == (0, 3)
    assert report.codes == {"unreadable_answer": 3}


async def test_at_a_rate_it_sends_no_more_than_is_due() -> None:
    async with served(lambda _: [CREATED], rate=500.0, seconds=0.2) as (given, requests):
        began = time.perf_counter()
        report = await client.Driver(given).run()
        took = time.perf_counter() - began
    assert len(requests) <= 500 * took + 1
    assert report.accepted + report.late + report.unanswered == len(requests) + report.unanswered
    assert 0.199 <= report.seconds <= took


async def test_at_a_rate_waiting_for_a_free_connection_counts_as_time() -> None:
    slow = [CREATED[:10], *[b""] * 19, CREATED[10:]]
    async with served(lambda _: slow, rate=1000.0, requests_max=20, connections=1) as (given, _):
        report = await client.Driver(given).run()
    assert report.accepted == 20
    # Each takes 20 ms alone; the twentieth was due after 20 ms and waited for all before it.
    assert report.answer_ms.max > 300


async def test_it_drives_ten_thousand_orders_with_one_second_of_processor_time() -> None:
    async with served(lambda _: [CREATED], requests_max=20_000, connections=128) as (given, _):
        returncode, out, _ = await run_as_process(given)
    report = msgspec.json.decode(out, type=Report)
    assert (returncode, report.accepted, report.codes) == (0, 20_000, {})
    assert report.accepted / report.cpu_s > REQUESTS_A_CPU_SECOND_MIN


async def test_without_a_server_the_process_says_so_and_fails() -> None:
    async with served(lambda _: [CREATED]) as (given, _):
        pass
    returncode, out, said = await run_as_process(given)
    assert (returncode, out) == (1, b"")
    assert said.startswith(b"the load client could not run: ")


def a_load(**changes: object) -> Load:
    skus = tuple(f"SKU-{number:04d}" for number in range(1000))
    given = Load(host="h", port=1, api_key="k", run="r", skus=skus, card="c")
    return msgspec.structs.replace(given, **changes)


def test_every_sku_is_chosen_equally_often_and_the_seed_decides_the_order() -> None:
    chosen = load.choose_skus(a_load())
    assert len(chosen) == load.BODIES_MIN
    assert set(Counter(sku for order in chosen for sku in order).values()) == {10}
    assert all(len(set(order)) == 2 for order in chosen)
    assert chosen == load.choose_skus(a_load())
    assert chosen != load.choose_skus(a_load(seed=2))


def test_one_hot_sku_is_in_every_line() -> None:
    assert load.choose_skus(a_load(skus=("HOT",), lines=3)) == [("HOT", "HOT", "HOT")]


def test_percentiles_are_of_the_nearest_rank() -> None:
    latencies_s = [number / 1000 for number in range(200, 0, -1)]
    assert load.percentiles(latencies_s) == Latencies(100.0, 190.0, 198.0, 200.0)
    assert load.percentiles([0.0125]) == Latencies(12.5, 12.5, 12.5, 12.5)


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n", None),
        (b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\n", 43 + 2),
        (b"HTTP/1.1 201 Created\r\nContent-Length:2\r\nx: y\r\n\r\n{", 48 + 2),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 38),
    ],
)
def test_the_length_of_an_answer_is_read_from_its_head(data: bytes, size: int | None) -> None:
    assert load.answer_bytes(data) == size


@pytest.mark.parametrize("length", [b"x", b"99999999999"])
def test_a_length_that_makes_no_sense_is_refused(length: bytes) -> None:
    with pytest.raises(ValueError, match=r"answer|invalid literal"):
        load.answer_bytes(b"HTTP/1.1 200 OK\r\ncontent-length: %b\r\n\r\n" % length)
