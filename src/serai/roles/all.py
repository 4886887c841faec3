"""Every role in one process: what a small shop needs."""

from typing import NoReturn

from serai.roles import process
from serai.roles.api import serve_api
from serai.roles.scheduler import run_scheduler
from serai.roles.worker import serve_worker
from serai.settings import Settings


def main(
    settings: Settings, *, has_lifeline: bool = False, has_json_logs: bool | None = None
) -> NoReturn:
    """Answers HTTP, hears events and does jobs until the process is told to stop."""
    process.run(
        [serve_api, serve_worker, run_scheduler],
        settings,
        has_lifeline=has_lifeline,
        has_json_logs=has_json_logs,
    )
