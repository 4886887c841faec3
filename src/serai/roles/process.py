"""A process of ours from its first to its last moment: opens, runs its parts, drains, closes."""

import asyncio
import dataclasses
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Final, NoReturn

import structlog
import uvloop

from serai.kernel import observe
from serai.kernel.attention import Ears
from serai.kernel.clock import SystemClock
from serai.kernel.db import Database
from serai.kernel.failure import Unavailable
from serai.kernel.lifeline import watch_lifeline
from serai.roles.composition import Composition, compose
from serai.roles.connection import Away, app_url, open_database
from serai.roles.probes import Readiness
from serai.settings import Settings

_log = structlog.get_logger(__name__)

FAILED: Final = 1
UNAVAILABLE: Final = 3
DATABASE_WAIT_S: Final = 30.0
"""How long a supervised process waits for its database: who started us sees to that one too."""
DATABASE_LOOK_S: Final = 0.1
GC_THRESHOLDS: Final = (20_000, 50, 100)
"""Batches make and drop thousands of objects that no cycle holds; the collector may look seldom."""


@dataclasses.dataclass(frozen=True)
class Process:
    """What the parts of a process share. When `stop` is set, each finishes what it began."""

    settings: Settings
    composition: Composition
    readiness: Readiness
    stop: asyncio.Event
    ears: Ears


Part = Callable[[Process], Awaitable[None]]


def run(
    parts: Sequence[Part],
    settings: Settings,
    *,
    has_lifeline: bool,
    has_json_logs: bool | None,
) -> NoReturn:
    """Runs parts of the house as this process, to its end; exits with 0 after a clean drain.

    With a lifeline it also stops when standard input closes: whoever holds the other end is gone.
    """
    url = app_url(settings)
    observe.configure_logs(settings.log_level, is_json=has_json_logs)
    try:
        code = uvloop.run(_live(parts, settings, url, has_lifeline=has_lifeline))
    except Unavailable as error:
        _log.error("cannot_run", action="cannot_run", reason=error.detail)
        code = UNAVAILABLE
    except Exception as error:  # noqa: BLE001 - the last one who can say why the process ended
        _log.error("process_failed", action="process_failed", exc_info=error)
        code = FAILED
    # Threads of the HTTP server outlive it by a moment, and tearing the interpreter down under
    # them would abort the process. Everything of ours is closed by now.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


async def _live(parts: Sequence[Part], settings: Settings, url: str, *, has_lifeline: bool) -> int:
    stop = asyncio.Event()
    _listen_for_the_end(stop, has_lifeline=has_lifeline)
    patience_s = DATABASE_WAIT_S if has_lifeline else 0.0
    clock = SystemClock(timedelta(seconds=settings.clock_offset_s))
    opening = partial(
        open_database, url, pool_max=settings.pool_max, clock=clock, settings=settings
    )
    database = await _await_database(opening, stop, patience_s=patience_s)
    if database is None:
        return 0
    try:
        composition = compose(settings, database, clock=clock)
        process = Process(settings, composition, Readiness(database), stop, Ears(database))
        # What was imported and built lives as long as we do: the collector need not walk it.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        try:
            return await _run_parts(parts, process)
        finally:
            await composition.close()
    finally:
        await database.close()


async def _await_database(
    opening: Callable[[], Awaitable[Database]], stop: asyncio.Event, *, patience_s: float
) -> Database | None:
    """The database, if need be as soon as it is there; None when told to stop before."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience_s
    while not stop.is_set():
        try:
            return await opening()
        except Away:
            if loop.time() >= deadline:
                raise
            await asyncio.sleep(DATABASE_LOOK_S)
    return None


async def _run_parts(parts: Sequence[Part], process: Process) -> int:
    """Runs until told to stop or until a part ends; a part that ends by itself ends the process."""
    tasks = [asyncio.ensure_future(part(process)) for part in parts]
    stopped = asyncio.create_task(process.stop.wait())
    _log.info("process_started", action="process_started", pid=os.getpid())
    await asyncio.wait({stopped, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    was_told = process.stop.is_set()
    process.readiness.is_draining = True
    process.stop.set()
    patience_s = process.settings.drain_notice_s + process.settings.drain_s
    _, late = await asyncio.wait(tasks, timeout=patience_s)
    for task in late:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    if late:
        _log.warning("drain_cut_short", action="drain_cut_short", after_s=patience_s)
    for result in results:
        if isinstance(result, Exception):
            raise result
    _log.info("process_stopped", action="process_stopped", pid=os.getpid())
    return 0 if was_told and not late else FAILED


def _listen_for_the_end(stop: asyncio.Event, *, has_lifeline: bool) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if has_lifeline:
        watch_lifeline(stop.set)
