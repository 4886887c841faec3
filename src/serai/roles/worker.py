"""The worker role: hears events and rings timers, with a small server for probes beside it."""

import contextlib
import os
from typing import Final, NoReturn

import structlog
from litestar import Litestar

from serai.kernel.failure import Unavailable
from serai.kernel.problems import EXCEPTION_HANDLERS
from serai.kernel.tenant import MAIN
from serai.kernel.workers import Workers
from serai.roles import process
from serai.roles.composition import Composition
from serai.roles.probes import probe_routes
from serai.roles.process import Process
from serai.roles.scheduler import run_scheduler
from serai.roles.server import serve_app
from serai.settings import Settings

_log = structlog.get_logger(__name__)

NICENESS: Final = 10
"""How far a worker stands back from an API process on the same machine, in steps of nice(2)."""


def main(
    settings: Settings,
    *,
    has_scheduler: bool = False,
    has_lifeline: bool = False,
    has_json_logs: bool | None = None,
) -> NoReturn:
    """Hears events until the process is told to stop; with a scheduler it does jobs too."""
    # Where cores are scarce, answering comes before carrying out: a drop costs a queue, no outage.
    os.nice(NICENESS)
    parts = [serve_worker, serve_probes, *([run_scheduler] if has_scheduler else [])]
    process.run(parts, settings, has_lifeline=has_lifeline, has_json_logs=has_json_logs)


async def serve_worker(own: Process) -> None:
    """Runs every consumer group and every timer; at the end the batches at hand are finished."""
    composition = own.composition
    workers = Workers(
        database=composition.database,
        homes=composition.homes,
        consumers=composition.consumers,
        timers=composition.timers,
        ears=own.ears,
    )
    await _tell_missing(composition)
    own.readiness.ask_also(workers.obstacle)
    await workers.run(own.stop)


async def _tell_missing(composition: Composition) -> None:
    """Says at the start that SERAI_CONNECTIONS_MAX is too small; what fits is served all the same.

    In a database whose sessions find no room a worker hears of events by looking only.
    """
    with contextlib.suppress(Unavailable):
        homes = await composition.homes.all_homes()
        missing = composition.database.count_missing(len({h.database for h in homes} - {MAIN}))
        if missing:
            _log.error(
                "connections_missing", action="connections_missing", count=missing,
                reason=f"SERAI_CONNECTIONS_MAX has to be {missing} more for all homes' databases",
            )  # fmt: skip


async def serve_probes(own: Process) -> None:
    """Answers /livez, /readyz and /metrics on the worker's port."""
    app = Litestar(
        route_handlers=probe_routes(own.readiness, has_metrics=own.settings.metrics),
        exception_handlers=EXCEPTION_HANDLERS,
        openapi_config=None,
        debug=False,
        logging_config=None,
    )
    await serve_app(app, host=own.settings.host, port=own.settings.worker_port, stop=own.stop)
