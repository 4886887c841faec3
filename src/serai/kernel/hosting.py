"""Serves homes beside the pooled one: each from when it is listed until it is no longer.

Each has a task of its own. What breaks in one stays there and is begun again after a pause, so
that a tenant's broken database is nobody else's trouble.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from serai.kernel.failure import Unavailable
from serai.kernel.tenant import POOLED, Home, Homes

_log = structlog.get_logger(__name__)

HOMES_LOOK_S: Final = 5.0
"""How long a new home waits at most until running processes serve it."""
BROKEN_PAUSE_S: Final = 5.0
"""How long a home rests whose serving broke."""

Host = Callable[[Home, asyncio.Event], Awaitable[None]]
"""`host(home, stop)` serves a home until `stop` is set, and then finishes what is at hand."""


async def host_others(homes: Homes, host: Host, *, stop: asyncio.Event) -> None:
    """Serves every listed home but the pooled one until `stop` is set; new ones are found."""
    hosted: dict[Home, tuple[asyncio.Event, asyncio.Task[None]]] = {}
    leaving: set[asyncio.Task[None]] = set()
    try:
        while not stop.is_set():
            with contextlib.suppress(Unavailable):
                listed = set(await homes.all_homes()) - {POOLED}
                for home in sorted(listed - hosted.keys(), key=lambda home: home.name):
                    left = asyncio.Event()
                    hosted[home] = (left, asyncio.create_task(_keep(home, host, left)))
                for home in hosted.keys() - listed:
                    left, task = hosted.pop(home)
                    left.set()
                    leaving.add(task)
                    task.add_done_callback(leaving.discard)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), HOMES_LOOK_S)
        for left, _ in hosted.values():
            left.set()
        await asyncio.gather(*(task for _, task in hosted.values()), *leaving)
    finally:
        tasks = [*(task for _, task in hosted.values()), *leaving]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _keep(home: Home, host: Host, stop: asyncio.Event) -> None:
    while not stop.is_set():
        try:
            await host(home, stop)
        except Unavailable as error:
            _log.warning("home_away", action="home_away", home=home.name, reason=error.detail)
        except Exception as error:  # noqa: BLE001 - the bug of one home must not end the others
            _log.error("home_broken", action="home_broken", home=home.name, exc_info=error)
        if not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), BROKEN_PAUSE_S)
