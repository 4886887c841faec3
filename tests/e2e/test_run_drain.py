"""The HTTP server of a process at its end: nothing new, and an answer for what was accepted."""

import asyncio
import socket
from typing import Any

import httpx
import pytest
from litestar import Litestar, get

from serai.kernel.failure import Unavailable
from serai.roles.server import serve_app
from tests.e2e.processes import free_ports

BOUND_S = 20.0
SLOW_S = 0.5


class Gate:
    """Lets a request go on when the test says so."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.opened = asyncio.Event()


def app_with(gate: Gate) -> Litestar:
    @get("/slow")
    async def slow() -> dict[str, Any]:
        gate.entered.set()
        await gate.opened.wait()
        return {"done": True}

    @get("/quick")
    async def quick() -> dict[str, Any]:
        return {"quick": True}

    return Litestar([slow, quick], openapi_config=None, logging_config=None)


async def answers(client: httpx.AsyncClient, path: str) -> bool:
    try:
        return (await client.get(path)).is_success
    except httpx.TransportError:
        return False


async def test_what_was_accepted_is_answered_and_nothing_else_is_taken() -> None:
    gate, stop = Gate(), asyncio.Event()
    [port] = free_ports(1)
    async with asyncio.timeout(BOUND_S):
        serving = asyncio.create_task(
            serve_app(app_with(gate), host="127.0.0.1", port=port, stop=stop)
        )
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", timeout=BOUND_S
        ) as client:
            while not await answers(client, "/quick"):
                await asyncio.sleep(0.02)
            slow = asyncio.create_task(client.get("/slow"))
            await gate.entered.wait()
            stop.set()
            while True:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) != 0:
                        break
                await asyncio.sleep(0.02)
            assert not serving.done(), "it waits for the answer that it owes"
            assert not slow.done()
            gate.opened.set()
            assert (await slow).json() == {"done": True}
        await serving


async def test_for_the_time_of_the_notice_it_still_answers() -> None:
    gate, stop = Gate(), asyncio.Event()
    [port] = free_ports(1)
    async with asyncio.timeout(BOUND_S):
        serving = asyncio.create_task(
            serve_app(app_with(gate), host="127.0.0.1", port=port, stop=stop, notice_s=SLOW_S)
        )
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", timeout=BOUND_S
        ) as client:
            while not await answers(client, "/quick"):
                await asyncio.sleep(0.02)
            began = asyncio.get_running_loop().time()
            stop.set()
            assert await answers(client, "/quick")
            await serving
            assert asyncio.get_running_loop().time() - began >= SLOW_S
            assert not await answers(client, "/quick")


async def test_a_taken_port_is_refused_even_by_a_server_like_ours() -> None:
    stop = asyncio.Event()
    [port] = free_ports(1)
    async with asyncio.timeout(BOUND_S):
        first = asyncio.create_task(
            serve_app(app_with(Gate()), host="127.0.0.1", port=port, stop=stop)
        )
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            while not await answers(client, "/quick"):
                await asyncio.sleep(0.02)
        with pytest.raises(Unavailable, match=f"port {port} on 127.0.0.1 is taken"):
            await serve_app(app_with(Gate()), host="127.0.0.1", port=port, stop=stop)
        stop.set()
        await first
